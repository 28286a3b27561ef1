"""Encodes plain values as JSON, and decodes them by the annotations of their types.

Data from another machine is checked against these types and limits; it can contain nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from kdiag.config.annotations import may_be_none, meanings, members
from kdiag.walk.facts import Facts
from kdiag.walk.facts.table import HOP_FACTS

T = TypeVar("T")
Text = Callable[[str], str]

MAX_BYTES = 16 << 20  # of one parcel: a thousand brokers, each with its certificates
MAX_ITEMS = 100_000  # of one array
MAX_VALUES = 500_000  # of one parcel; a thousand brokers come to a fifth of it
MAX_NUMBER = 1 << 53  # beyond any time in seconds, any id and any offset
MAX_TEXT = 1 << 22  # a file of authorities is one text


class SerializationError(Exception):
    """A text is not JSON of the expected type. The message says why and never quotes the text."""


def serialize(value: object) -> bytes:
    """A dataclass or named tuple of plain values, as JSON in ASCII."""
    return json.dumps(_plain(value), separators=(",", ":")).encode("ascii")


def deserialize(kind: type[T], data: bytes, text: Text | None = None) -> T:
    """The value that `serialize` wrote; `text` makes every text fit to be shown.

    Raises SerializationError for anything that `serialize` would not have made of one.
    """
    if len(data) > MAX_BYTES:
        raise SerializationError(f"more than {MAX_BYTES} bytes")
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        raise SerializationError("it is no JSON") from None
    made: T = _Unpacking(text or _as_it_is).value(kind, read, kind.__name__)
    return made


def _plain(value: object) -> Any:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(item)] for key, item in value.items()]
    if isinstance(value, Facts):
        return {hop: _plain(value.get(kind)) for hop, kind in HOP_FACTS.items()}
    kind: Any = type(value)
    if _is_record(kind):
        return {name: _plain(getattr(value, name)) for name in _fields(kind)}
    assert isinstance(value, (tuple, list)), kind
    return [_plain(item) for item in value]


def _is_record(kind: Any) -> bool:
    return is_dataclass(kind) or hasattr(kind, "_fields")


@cache
def _fields(kind: Any) -> Mapping[str, Any]:
    """Name → type, of each field of a dataclass or a named tuple."""
    return meanings(kind)


def _as_it_is(text: str) -> str:
    return text


class _Unpacking:
    """The decoding of one value. `where` names the field, for errors."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._values = 0

    def value(self, kind: Any, data: Any, where: str) -> Any:
        """The value of a type that the data stands for."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise SerializationError(f"more than {MAX_VALUES:,} values")
        if may_be_none(kind):
            return None if data is None else self.value(members(kind)[0], data, where)
        if kind is Facts:
            return self._facts(data, where)
        origin = getattr(kind, "__origin__", None)
        if origin is tuple:
            return self._tuple(kind.__args__, data, where)
        if origin is not None and issubclass(origin, Mapping):
            return self._mapping(kind.__args__, data, where)
        if _is_record(kind):
            return self._record(kind, data, where)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return self._enum(kind, data, where)
        return self._scalar(kind, data, where)

    def _facts(self, data: Any, where: str) -> Facts:
        """The facts of the hops; null where a hop has none."""
        if not isinstance(data, dict) or data.keys() != HOP_FACTS.keys():
            raise SerializationError(f"{where}: not the hops of a walk")
        found = {hop: data[hop] for hop in HOP_FACTS if data[hop] is not None}
        return Facts(tuple(self.value(HOP_FACTS[hop], item, hop) for hop, item in found.items()))

    def _tuple(self, kinds: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
        items = self._list(data, where)
        if kinds[-1:] == (...,):
            return tuple([self.value(kinds[0], item, where) for item in items])
        if len(items) != len(kinds):
            raise SerializationError(f"{where}: {len(kinds)} values expected")
        return tuple(self.value(kind, item, where) for kind, item in zip(kinds, items))

    def _mapping(self, kinds: tuple[Any, ...], data: Any, where: str) -> dict[Any, Any]:
        pairs = [self._tuple(kinds, pair, where) for pair in self._list(data, where)]
        found = dict(pairs)
        if len(found) != len(pairs):
            raise SerializationError(f"{where}: a key stands there twice")
        return found

    def _list(self, data: Any, where: str) -> list[Any]:
        if not isinstance(data, list) or len(data) > MAX_ITEMS:
            raise SerializationError(f"{where}: a list of at most {MAX_ITEMS} expected")
        return data

    def _record(self, kind: Any, data: Any, where: str) -> Any:
        fields = _fields(kind)
        if not isinstance(data, dict) or data.keys() != fields.keys():
            raise SerializationError(f"{where}: not the fields of {kind.__name__}")
        return kind(**{name: self.value(fields[name], item, name) for name, item in data.items()})

    def _enum(self, kind: type[Enum], data: Any, where: str) -> Enum:
        try:
            return kind(data)
        except (ValueError, TypeError):
            raise SerializationError(f"{where}: not a {kind.__name__}") from None

    def _scalar(self, kind: Any, data: Any, where: str) -> Any:
        if kind is str and isinstance(data, str) and len(data) <= MAX_TEXT:
            return self._text(data)
        if kind is bytes and isinstance(data, str) and len(data) <= MAX_TEXT:
            return _bytes(data, where)
        if kind is bool and isinstance(data, bool):
            return data
        number = isinstance(data, (int, float)) and not isinstance(data, bool)
        if kind in (int, float) and number and -MAX_NUMBER <= data <= MAX_NUMBER:
            if kind is float:
                return float(data)
            if isinstance(data, int):
                return data
        raise SerializationError(f"{where}: {getattr(kind, '__name__', kind)} expected")


def _bytes(data: str, where: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise SerializationError(f"{where}: base64 expected") from None

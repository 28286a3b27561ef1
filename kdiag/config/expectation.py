"""Expectations: a name, an operator and a value that the facts of a walk must satisfy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, get_type_hints

from kdiag.config.usage import UsageError, near, quoted, word

ObservedValue = int | float | str | None  # None is what is not known
Reading = tuple[str, ObservedValue]  # whose it is ("" for the cluster's own), and the value
ReadFacts = Callable[..., Iterable[Reading]]

_WRITTEN = re.compile(r"([A-Za-z][\w-]*)\s*(<=|>=|!=|==|=|<|>)\s*(.*)\Z", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?\Z")
_PATTERN = re.compile(r"[\w.*?:%\[\]-]{1,260}\Z")


@dataclass(frozen=True)
class Expectation:
    """An expectation of `--expect`."""

    name: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.value}"


@dataclass(frozen=True)
class Form:
    """The form of an expectation: its operators, its values (`write` describes them for messages),
    and whether it holds for a known value."""

    operators: tuple[str, ...]
    write: str
    accepts: Callable[[str], bool]
    holds: Callable[[Any, str, str], bool]


def number(text: str) -> Form:
    """A number that is compared; `text` says of what. No expectation holds for a text."""
    return Form(
        ("=", "!=", ">=", "<=", ">", "<"),
        f"a number {text}".rstrip(),
        lambda value: bool(_NUMBER.match(value)),
        lambda found, operator, value: (
            not isinstance(found, str) and _COMPARED[operator](found, float(value))
        ),
    )


def pattern(text: str) -> Form:
    """A text, or a pattern with * for any text and ? for one character."""
    return Form(
        ("=", "!="),
        text,
        lambda value: bool(_PATTERN.match(value)),
        lambda found, operator, value: _like(found, value) is (operator == "="),
    )


def address() -> Form:
    """`host:port` without regard to case; a pattern without a port is compared with the host."""

    def holds(found: str, operator: str, value: str) -> bool:
        whole, wanted = found.lower(), value.lower()
        host = whole.rpartition(":")[0].strip("[]")
        return (_like(whole, wanted) or _like(host, wanted)) is (operator == "=")

    write = "HOST or HOST:PORT, with * for anything"
    return Form(("=", "!="), write, lambda value: bool(_PATTERN.match(value)), holds)


def _like(text: str, wanted: str) -> bool:
    # Of a shell's patterns a set in brackets is left out: IPv6 addresses are written in them.
    return fnmatchcase(text, wanted.replace("[", "[[]"))


def one_of(*words: str) -> Form:
    """One of these words."""
    return Form(
        ("=", "!="),
        " or ".join(words),
        lambda value: value in words,
        lambda found, operator, value: (found == value) is (operator == "="),
    )


_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda found, value: found == value,
    "!=": lambda found, value: found != value,
    ">=": lambda found, value: found >= value,
    "<=": lambda found, value: found <= value,
    ">": lambda found, value: found > value,
    "<": lambda found, value: found < value,
}


@dataclass(frozen=True)
class Expectable:
    """What can be expected, by name: its form, an example, how it is read from the facts that it
    needs, and in words what it is."""

    name: str
    form: Form
    example: str
    read: ReadFacts
    needs: tuple[type, ...]

    @property
    def doc(self) -> str:
        """The docstring: what it is."""
        return " ".join((self.read.__doc__ or "").split())


EXPECTABLES: dict[str, Expectable] = {}


def expectable(name: str, form: Form, example: str) -> Callable[[ReadFacts], ReadFacts]:
    """Declares an expectable value, which the function reads from the facts in its signature."""

    def declare(read: ReadFacts) -> ReadFacts:
        hints = get_type_hints(read)
        hints.pop("return", None)
        EXPECTABLES[name] = Expectable(name, form, example, read, tuple(hints.values()))
        return read

    return declare


def parse(text: str, place: str = "--expect") -> Expectation:
    """`NAME OPERATOR VALUE`, without spaces in a shell. Raises UsageError with those that exist."""
    written = _WRITTEN.match(text.strip())
    name = written.group(1) if written else word(text.strip())
    known = EXPECTABLES.get(name)
    if known is None:
        listed = ", ".join(one.example for one in EXPECTABLES.values())
        raise UsageError(
            f"{place} {word(name) or quoted(text)}: no such expectation{near(name, EXPECTABLES)}; "
            f"there is {listed}"
        )
    where, form = f"{place} {name}", known.form
    if written is None:  # a shell takes > and what follows for a file
        raise UsageError(f"{where}: write what is expected of it, in quotes: '{known.example}'")
    operator, value = written.group(2).replace("==", "="), written.group(3).strip()
    if operator not in form.operators:
        raise UsageError(
            f"{where}: {operator} cannot be used with it; write {' or '.join(form.operators)}, for "
            f"example '{known.example}'"
        )
    if not form.accepts(value):
        raise UsageError(f"{where}{operator}{quoted(value)}: write {form.write}")
    return Expectation(name, operator, value)

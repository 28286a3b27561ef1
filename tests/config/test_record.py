"""The named tuples and dataclasses of kdiag/config/record.py do what Python's own do."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import sys
import typing
from collections.abc import Callable
from typing import Any

import pytest

from kdiag.config import record


class Mine(record.NamedTuple):
    """Two fields."""

    host: str
    port: int = 9092

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Theirs(typing.NamedTuple):
    """Two fields."""

    host: str
    port: int = 9092

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@record.dataclass(frozen=True)
class Own:
    """Three fields."""

    host: str
    port: int = 9092
    names: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Pythons:
    """Three fields."""

    host: str
    port: int = 9092
    names: list[str] = dataclasses.field(default_factory=list)


@record.dataclass(frozen=True, kw_only=True)
class OwnNamed:
    """A field without a default behind one that has one."""

    port: int = 9092
    host: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class PythonsNamed:
    """A field without a default behind one that has one."""

    port: int = 9092
    host: str


BOTH: list[Callable[[Any], Any]] = [
    lambda of: of("a"),
    lambda of: of("a", 1),
    lambda of: of(host="a"),
    lambda of: of("a", port=1),
    lambda of: of(port=1, host="a"),
    lambda of: of(),
    lambda of: of(port=1),
    lambda of: of("a", host="a"),
    lambda of: of("a", ports=1),
    lambda of: of("a", 1, 2, 3),
    lambda of: str(of("a")),
    lambda of: of("a") == of("a", 9092),
    lambda of: of("a") == of("b"),
    lambda of: of("a") != 1,
    lambda of: hash(of("a", 1)) == hash(of("a", 1)),
    lambda of: setattr(of("a"), "port", 1),
    lambda of: setattr(of("a"), "other", 1),
    lambda of: delattr(of("a"), "port"),
    lambda of: copy.deepcopy(of("a")) == copy.copy(of("a")) == of("a"),
    lambda of: pickle.loads(pickle.dumps(of("a", 1))) == of("a", 1),
    lambda of: of.__match_args__,
    lambda of: list(inspect.signature(of).parameters),
    lambda of: [p.kind for p in inspect.signature(of).parameters.values()],
    lambda of: [p.default for p in inspect.signature(of).parameters.values()][:2],
    lambda of: typing.get_type_hints(of),
    lambda of: of.__doc__,
]
TUPLES: list[Callable[[Any], Any]] = [
    lambda of: tuple(of("a")),
    lambda of: isinstance(of("a"), tuple),
    lambda of: of._fields + tuple(of._field_defaults.items()),
    lambda of: of("a")._asdict(),
    lambda of: of._make(["a", 1]),
    lambda of: of._make(["a"] * 3),
    lambda of: of("a")._replace(port=1),
    lambda of: of("a")._replace(ports=1),
    lambda of: vars(of("a")),
    lambda of: sorted([of("b"), of("a", 2), of("a", 1)]),
]
CLASSES: list[Callable[[Any], Any]] = [
    lambda of: dataclasses.replace(of("a"), port=1),
    lambda of: dataclasses.replace(of("a"), ports=1),
    lambda of: dataclasses.asdict(of("a")),
    lambda of: [field.name for field in dataclasses.fields(of)],
    lambda of: of("a").names is of("a").names,
]


def outcome(act: Callable[[Any], Any], of: Any) -> object:
    """What it gives, by its text without the name of the class, or the kind of the exception."""
    try:
        return str(repr(act(of))).replace(of.__name__, "it")
    except Exception as error:
        return "refused" if isinstance(error, TypeError | ValueError) else type(error)


@pytest.mark.parametrize(
    ("own", "pythons", "acts"),
    [
        (Mine, Theirs, BOTH + TUPLES),
        (Own, Pythons, BOTH + CLASSES),
        (OwnNamed, PythonsNamed, BOTH),
    ],
    ids=["named tuple", "dataclass", "keywords alone"],
)
def test_they_do_what_pythons_own_do(
    own: Any, pythons: Any, acts: list[Callable[[Any], Any]]
) -> None:
    wrong = {}
    for place, act in enumerate(acts):
        mine, theirs = outcome(act, own), outcome(act, pythons)
        if mine != theirs:
            wrong[f"{place}: {inspect.getsourcelines(act)[0][0].strip()}"] = (mine, theirs)
    assert wrong == {}


@dataclasses.dataclass(frozen=True)
class Heir(Own):
    """A field more."""

    rack: str = ""


class LaterTuple(Mine):
    """A named tuple with another method."""

    @property
    def shown(self) -> str:
        return f"<{self}>"


def test_others_may_inherit_from_them() -> None:
    heir = Heir("a", rack="b")
    assert heir == Heir("a", 9092, [], "b") != Own("a")
    assert [*inspect.signature(Heir).parameters] == ["host", "port", "names", "rack"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        heir.rack = "c"  # type: ignore[misc]
    assert LaterTuple("a")._replace(port=1).shown == "<a:1>"
    assert [*inspect.signature(LaterTuple).parameters] == ["host", "port"]


def test_they_share_their_methods() -> None:
    assert {"__new__", "__repr__"}.isdisjoint(vars(Mine))
    assert vars(Own)["__init__"] is vars(OwnNamed)["__init__"]
    assert sys.modules["kdiag.config.record"].NamedTuple is not typing.NamedTuple

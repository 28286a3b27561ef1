"""Facts: typed values that hops find, and that rules and later hops need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from kdiag.config.annotations import may_be_none, meanings, members

Fact = TypeVar("Fact")


class HopFacts(Protocol):
    """What the facts of every hop have. `elapsed` is in seconds, `summary` one line; `failed` names
    the subjects that failed, as findings do. They may also have `skipped_because`: why the hop says
    nothing of the whole cluster, None where it does."""

    @property
    def elapsed(self) -> float: ...

    @property
    def summary(self) -> str: ...

    @property
    def failed(self) -> tuple[str, ...]: ...


class Facts:
    """Facts of different types, found by their type. They never change."""

    __slots__ = ("values",)

    def __init__(self, values: tuple[object, ...] = ()) -> None:
        self.values: Final = values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facts) and self.values == other.values

    def __hash__(self) -> int:
        return hash(self.values)

    def __repr__(self) -> str:
        return f"Facts({self.values!r})"

    def get(self, kind: type[Fact]) -> Fact | None:
        """The fact of this type; None where it is not known."""
        return next((value for value in self.values if isinstance(value, kind)), None)

    def __getitem__(self, kind: type[Fact]) -> Fact:
        """The fact of this type. Raises KeyError where it is not known."""
        found = self.get(kind)
        if found is None:
            raise KeyError(kind)
        return found

    def __contains__(self, kind: type) -> bool:
        return self.get(kind) is not None

    def adding(self, *more: object) -> Facts:
        """These facts and `more`, which take the place of facts of the same types."""
        kinds = {type(value) for value in more}
        return Facts((*(value for value in self.values if type(value) not in kinds), *more))

    def arguments(self, needs: Sequence[type], optional: frozenset[type]) -> tuple[Any, ...] | None:
        """The facts of these types in their order, None in the place of an optional one that is not
        known; None where another one is not known."""
        found = tuple(self.get(need) for need in needs)
        missing = any(fact is None and need not in optional for need, fact in zip(needs, found))
        return None if missing else found


def needed(function: Callable[..., Any], context: type | None = None) -> tuple[Any, ...]:
    """What a function needs, by the annotations of its parameters: the types of the facts, in
    order, and those that may be missing (`T | None`); a parameter of the type `context` is not a
    fact."""
    hints = meanings(function)
    hints.pop("return", None)
    kinds = [kind for kind in hints.values() if kind is not context]
    optional = frozenset(members(kind)[0] for kind in kinds if may_be_none(kind))
    return tuple(members(kind)[0] for kind in kinds), optional

"""Formats lists, counts and brokers alike in the texts of all findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

MANY = 4


def listed(names: Sequence[str]) -> str:
    """The names as text: `a`, `a and b`, `a, b and c`; of more than four `a, b, c and 7 more`."""
    if len(names) > MANY:
        return f"{', '.join(names[: MANY - 1])} and {len(names) - MANY + 1} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def count_of(some: int, total: int, noun: str) -> str:
    """How many of `total` as text: `2 of 3 brokers`, `the only broker`, `all 3 brokers`."""
    if total == 1:
        return f"the only {noun}"
    return f"all {total} {noun}s" if some == total else f"{some} of {total} {noun}s"


def brokers(nodes: Sequence[int]) -> str:
    """Brokers by node id as text: `broker 3`, `brokers 2 and 3`."""
    return f"broker{'' if len(nodes) == 1 else 's'} {listed([str(node) for node in nodes])}"


def broker_subjects(nodes: Iterable[int]) -> tuple[str, ...]:
    """Brokers as subjects of a finding, each once: `broker 2`, `broker 3`."""
    return tuple(once(f"broker {node}" for node in nodes))


def sentence(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def escaped(text: str) -> str:
    """The text with its braces doubled, to be part of a template for str.format."""
    return text.replace("{", "{{").replace("}", "}}")


def once(values: Iterable[T]) -> list[T]:
    """The values without duplicates, in the order of their first occurrence."""
    return list(dict.fromkeys(values))

"""Lists and numbers in words, the same in every finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MANY = 4


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`, and for a long list its start and how many more."""
    if len(names) > MANY:
        return f"{', '.join(names[: MANY - 1])} and {len(names) - MANY + 1} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def count_of(some: int, total: int, noun: str) -> str:
    """`2 of 3 brokers`, `the only broker`, `all 3 brokers`."""
    if total == 1:
        return f"the only {noun}"
    return f"all {total} {noun}s" if some == total else f"{some} of {total} {noun}s"


def brokers(nodes: Sequence[int]) -> str:
    """`broker 3`, `brokers 2 and 3`."""
    return f"broker{'' if len(nodes) == 1 else 's'} {listed([str(node) for node in nodes])}"


def sentence(text: str) -> str:
    """The text with a capital in front."""
    return text[:1].upper() + text[1:]


def escaped(text: str) -> str:
    """Text that stands in a message with {places} to fill."""
    return text.replace("{", "{{").replace("}", "}}")


def once(texts: Iterable[str]) -> list[str]:
    """Each of them once, in the order in which they first come."""
    return list(dict.fromkeys(texts))

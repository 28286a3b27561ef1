"""Misspelt names: finds the intended name if only one is possible."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

_LONGEST = 100  # characters of a name that is a slip of another
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[A-Z]")

# Units at the end of a name, in milliseconds or in bytes.
_UNITS: Mapping[str, tuple[str, int]] = {
    "ms": ("time", 1), "millis": ("time", 1), "milliseconds": ("time", 1),
    "seconds": ("time", 1000), "secs": ("time", 1000), "sec": ("time", 1000),
    "minutes": ("time", 60_000), "hours": ("time", 3_600_000), "days": ("time", 86_400_000),
    "bytes": ("size", 1), "kb": ("size", 1 << 10), "mb": ("size", 1 << 20), "gb": ("size", 1 << 30),
}  # fmt: skip


def near_to(name: str, names: Iterable[str]) -> str:
    """The intended name, of `names`, for a misspelt one; "" if none or several are possible."""
    return _near(name, tuple(names)) if 0 < len(name) <= _LONGEST else ""


def converted(name: str, value: str, names: Iterable[str]) -> tuple[str, str]:
    """The name of the same quantity in another unit, and the value in it: 60 in
    intervalSeconds is 60000 in intervalMs. ("", "") where there is none."""
    *stem, unit = _words(name) or [""]
    kind, factor = _UNITS.get(unit, ("", 0))
    for other in names if kind and re.fullmatch(r"[0-9]{1,9}", value) else ():
        *same, wanted = _words(other) or [""]
        measure, divisor = _UNITS.get(wanted, ("", 1))
        if same == stem and measure == kind and int(value) * factor % divisor == 0:
            return other, str(int(value) * factor // divisor)
    return "", ""


@lru_cache(maxsize=4096)
def _near(name: str, names: tuple[str, ...]) -> str:
    found = [(_distance(name, each), each) for each in names if _may_be(name, each)]
    close = sorted((far, each) for far, each in found if far is not None)
    if not close or [far for far, _ in close[1:2]] == [close[0][0]]:
        return ""
    return close[0][1]


def _may_be(name: str, other: str) -> bool:
    """Whether one name can be a misspelling of the other; a quick check."""
    return abs(len(name) - len(other)) <= 4


def _distance(name: str, other: str) -> int | None:
    """The number of typing errors between two names; None if they may be two different names."""
    bare, other_bare = _bare(name), _bare(other)
    if bare == other_bare:
        return 0
    words, other_words = _words(name), _words(other)
    if len(words) == len(other_words) > 1:
        far = [
            _slips(a, b, 1 if len(b) < 6 else 2) for a, b in zip(words, other_words, strict=True)
        ]
        if None not in far:
            return sum(each or 0 for each in far)
        if sum(a != b for a, b in zip(words, other_words, strict=True)) == 1:
            return None  # one word of several is another: Seconds, and not Ms
    if ({*words} ^ {*other_words}) & {*_UNITS}:
        return None
    return _slips(bare, other_bare, 1 if len(other_bare) < 8 else 2)


def _slips(one: str, two: str, most: int) -> int | None:
    """The number of extra, missing, wrong or swapped letters; None for more than `most`."""
    if one == two:
        return 0
    if abs(len(one) - len(two)) > most or one.isdecimal() or two.isdecimal():
        return None
    if min(len(one), len(two)) < 3 and (len(two) != 3 or one[:1] != two[:1]):
        return None
    if len(set(one) ^ set(two)) > 2 * most:
        return None
    before: list[int] = []
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        last, row, earlier = row, [i], before
        for j, b in enumerate(two, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == two[j - 2] and one[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return None
        before = last
    far = row[-1]
    return far if far <= (most if one[0] == two[0] else 1) else None


def _bare(name: str) -> str:
    return re.sub(r"[-_ .]", "", name).lower()


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]

"""Takes secrets out of what peers said: as they are, encoded, taken apart or cut in the middle.

A peer that was told a password can repeat it. Everything that was gathered passes here once, before
anybody judges or shows it. What is looked for, in a text and in the same with its escapes undone:

- the letters and digits of a secret, in any case, whatever stands between them; in hex and in
  base64 too, at any offset;
- a secret with less than LEAST_LETTERS letters and digits as it is; one of less than LEAST_LETTERS
  characters only as a word of its own, so that "kafka" does not take a host's name with it;
- the beginning of any of these where a text was cut.

Secrets of less than LEAST characters are not hidden, and neither is one that the user also wrote in
the open, in an address or a name: they stand in many a text by chance, and to take them out would
tell them. No more can be done about a peer that spells a secret in a way of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

HIDDEN = "***"
LEAST, LEAST_LETTERS = 4, 8
_LEAST_BASE64 = 6  # digits; fewer stand in many a word by chance
_LEAST_CUT = 4  # characters of a beginning
_MOST_CUTS = 16
_PERHAPS_CUT = 100  # characters of a text that may have been cut without a mark, by whoever sent it
_MARK = "…"

_USERINFO = re.compile(r"(://)(?:(?!://)[^\s'\"`])*@")
_NO_LETTER = re.compile(r"[\W_]+")
_ESCAPES = re.compile(
    r"(?:%[0-9A-Fa-f]{2})+|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}|\\[nrtbf\"\\\\/]"
    r"|&#?\w{1,8};"
)


class _Needle(NamedTuple):
    """What is looked for. `letters` says that in a text letters and digits alone count, `folded`
    that their case does not; `word` that it has to stand alone."""

    text: str
    letters: bool = True
    folded: bool = False
    word: bool = False
    least_cut: int = _LEAST_CUT

    def places(self, text: str, heads: Iterable[str]) -> Iterator[tuple[int, int]]:
        """Where it is in what counts of a text; and its beginnings at the end of `heads`, which
        is what stands before the places where that was cut."""
        if self.word:
            alone = rf"(?<!\w)(?<!\w[.-]){re.escape(self.text)}(?!\w)(?![.-]\w)"
            yield from (found.span() for found in re.finditer(alone, text))
        else:
            at = text.find(self.text)
            while at >= 0:
                yield at, at + len(self.text)
                at = text.find(self.text, at + 1)
        for head in heads:
            if head[-self.least_cut :] not in self.text:
                continue
            for length in range(min(len(self.text) - 1, len(head)), self.least_cut - 1, -1):
                if head.endswith(self.text[:length]):
                    yield len(head) - length, len(head)
                    break


class _Seen:
    """A text as needles see it."""

    def __init__(self, text: str) -> None:
        self._visible = text if text.isprintable() else "".join(filter(str.isprintable, text))
        self._letters = _NO_LETTER.sub("", text)
        self._folded = _fold(self._letters)

    def by(self, needle: _Needle) -> str:
        """What counts of it."""
        if not needle.letters:
            return self._visible
        return self._folded if needle.folded else self._letters


def secrets(told: Iterable[str], open_words: Iterable[str]) -> tuple[str, ...]:
    """Those that can be hidden: long enough, and nowhere in what the user wrote in the open."""
    known = tuple(open_words)
    return tuple(
        secret
        for secret in told
        if len(secret) >= LEAST and not any(secret in words for words in known)
    )


def without(value: Any, hidden: tuple[str, ...], own: frozenset[str] = frozenset()) -> Any:
    """Plain values, and tuples and dataclasses of them, without secrets. Texts that are one of our
    `own` words stay, and bytes keep their length."""
    if not hidden or value is None:
        return value
    if type(value) is str:
        return value if value in own else _short(value, hidden)
    if isinstance(value, bytes):
        return _bytes(value, hidden)
    if isinstance(value, (tuple, list)):
        parts = [without(part, hidden, own) for part in value]
        same = all(part is old for part, old in zip(parts, value))
        return value if same else getattr(value, "_make", type(value))(parts)
    if isinstance(value, Mapping):
        return {without(k, hidden, own): without(v, hidden, own) for k, v in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        old = {part.name: getattr(value, part.name) for part in fields(value) if part.init}
        new = {name: without(part, hidden, own) for name, part in old.items()}
        changed = {name: part for name, part in new.items() if part is not old[name]}
        return replace(value, **changed) if changed else value
    return value


def without_userinfo(text: str) -> str:
    """A text whose URLs have neither user nor password: SASL_SSL://…@broker:9092."""
    return _USERINFO.sub(r"\1…@", text) if "@" in text else text


def redacted(text: str, hidden: Iterable[str]) -> str:
    """A text without these secrets."""
    for start, end in reversed(_spans(text, tuple(hidden))):
        text = text[:start] + HIDDEN + text[end:]
    return text


@lru_cache(maxsize=4096)  # names and words that every broker says
def _cached(text: str, hidden: tuple[str, ...]) -> str:
    return redacted(text, hidden)


def _short(text: str, hidden: tuple[str, ...]) -> str:
    return _cached(text, hidden) if len(text) <= _PERHAPS_CUT else redacted(text, hidden)


def _bytes(data: bytes, hidden: tuple[str, ...]) -> bytes:
    """Bytes of the same length, so that the structure of a certificate stays."""
    spelt = tuple(secret.encode("utf-8", "surrogateescape").decode("latin-1") for secret in hidden)
    for start, end in _spans(data.decode("latin-1"), spelt):
        data = data[:start] + b"*" * (end - start) + data[end:]
    return data


def _spans(text: str, hidden: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where in a text secrets are, without overlaps, in order."""
    needles = [needle for secret in hidden if secret for needle in _needles(secret)]
    found: list[tuple[int, int]] = []
    for plain, pieces in ((text, _as_it_is), (_ESCAPES.sub(_unescaped, text), _pieces)):
        seen, heads = _Seen(plain), [_Seen(head) for head in _heads(plain)]
        for needle in needles:
            places = list(needle.places(seen.by(needle), [head.by(needle) for head in heads]))
            if places:
                counts = str.isalnum if needle.letters else str.isprintable
                kept = [piece for piece in pieces(text) if counts(piece[0])]
                found += [(kept[start][1], kept[end - 1][2]) for start, end in places]
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


@lru_cache(maxsize=32)
def _needles(secret: str) -> tuple[_Needle, ...]:
    from base64 import b64encode  # where there is a secret, as below

    raw = secret.encode("utf-8", "surrogateescape")
    letters = _fold(_NO_LETTER.sub("", secret))
    needles = []
    if len(letters) >= LEAST_LETTERS:
        needles.append(_Needle(letters, folded=True))
    else:
        visible = "".join(filter(str.isprintable, secret))
        for spelt in {visible, visible.replace(" ", "+")}:
            needles.append(_Needle(spelt, letters=False, word=len(secret) < LEAST_LETTERS))
    if len(raw) >= LEAST:
        for spelt in (raw.hex(), "0x".join(f"{byte:02x}" for byte in raw)):
            needles.append(_Needle(spelt, folded=True, least_cut=2 * _LEAST_CUT))
    for before in range(3):  # bytes in front of it move all others: user and password are one text
        whole = b64encode(bytes(before) + raw).decode()
        own = whole[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        digits = _NO_LETTER.sub("", own)
        if len(digits) >= _LEAST_BASE64:
            needles.append(_Needle(digits, least_cut=_LEAST_BASE64))
    return tuple(needle for needle in needles if needle.text)


def _heads(text: str) -> list[str]:
    """What stands before each place where a text was cut, and all of it where that may be one."""
    heads = [text[: mark.start()] for mark in islice(re.finditer(_MARK, text), _MOST_CUTS)]
    return [*heads, text] if len(text) >= _PERHAPS_CUT else heads


_Piece = tuple[str, int, int]  # a character, and the start and end of what it is written as


def _as_it_is(text: str) -> Iterator[_Piece]:
    return ((char, at, at + 1) for at, char in enumerate(text))


def _pieces(text: str) -> Iterator[_Piece]:
    """The characters of a text with its escapes undone."""
    at = 0
    for escape in _ESCAPES.finditer(text):
        yield from ((text[i], i, i + 1) for i in range(at, escape.start()))
        at = escape.end()
        yield from ((char, escape.start(), at) for char in _unescaped(escape))
    yield from ((text[i], i, i + 1) for i in range(at, len(text)))


def _unescaped(escape: re.Match[str]) -> str:
    written = escape.group()
    if written[0] == "%":
        from urllib.parse import unquote_to_bytes

        return unquote_to_bytes(written).decode("utf-8", "replace")
    if written[0] == "&":
        import html

        return html.unescape(written)
    if written[1] in "xuU":
        code = int(written[2:], 16)
        return chr(code) if code <= 0x10FFFF else ""
    return written[1] if written[1] in '"\\/' else "\n"


def _fold(text: str) -> str:
    """In one case, a character for each."""
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)

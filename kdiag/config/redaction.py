"""Removes secrets from the texts of peers: plain, encoded, with other characters between, or cut.

A peer that knows a password can repeat it. All facts pass here once, before the rules read them. It
searches, in a text and in the same text without escapes, for:

- the letters and digits of a secret, in any case, whatever stands between them; in hex and in
  base64 too, at any offset;
- a secret with less than LEAST_LETTERS letters and digits as it is; one of less than LEAST_LETTERS
  characters only as a word of its own, so that "kafka" does not take a host's name with it;
- the beginning of any of these where a text was cut.

A secret of less than LEAST characters is not removed, and neither is one that the user also wrote
in an address or a name: many texts have it by chance, and removing it would reveal it. A peer that
writes a secret in another encoding is beyond this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, islice
from typing import Any

from kdiag.config.record import NamedTuple

HIDDEN = "***"
LEAST, LEAST_LETTERS = 4, 8
_LEAST_BASE64 = 6  # digits; fewer stand in many a word by chance
_LEAST_CUT = 4  # characters of a beginning
_MOST_CUTS = 16
_PERHAPS_CUT = 100  # characters of a text that may have been cut without a mark, by whoever sent it
_MARK = "…"

# Compiled when they are needed: 1 ms.
_USERINFO = r"(://)(?:(?!://)[^\s'\"`])*@"
_NO_LETTER = r"[\W_]+"
# Each alternative begins with another character, which makes the search fast.
_ESCAPES = (
    r"%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*"
    r"|\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[nrtbf\"\\/])|&#?\w{1,8};"
)


class _Needle(NamedTuple):
    """A text to search for. With `letters` only letters and digits count, with `folded` their case
    does not; with `word` it must be a word of its own."""

    text: str
    letters: bool = True
    folded: bool = False
    word: bool = False
    least_cut: int = _LEAST_CUT

    def places(self, text: str, cuts: Iterable[int]) -> Iterator[tuple[int, int]]:
        """The places of the needle in a text; and of its beginning before each of `cuts`, where the
        text was cut."""
        if self.word:
            alone = rf"(?<!\w)(?<!\w[.-]){re.escape(self.text)}(?!\w)(?![.-]\w)"
            yield from (found.span() for found in re.finditer(alone, text))
        else:
            at = text.find(self.text)
            while at >= 0:
                yield at, at + len(self.text)
                at = text.find(self.text, at + 1)
        for cut in cuts:
            if text[max(0, cut - self.least_cut) : cut] not in self.text:
                continue
            for length in range(min(len(self.text) - 1, cut), self.least_cut - 1, -1):
                if text.startswith(self.text[:length], cut - length):
                    yield cut - length, cut
                    break


class _Haystack:
    """A text as needles search it, and the offsets where it was cut."""

    def __init__(self, text: str) -> None:
        marks = [mark.start() for mark in islice(re.finditer(_MARK, text), _MOST_CUTS)]
        if len(text) >= _PERHAPS_CUT:
            marks.append(len(text))
        parts = [text[a:b] for a, b in zip([0, *marks], [*marks, len(text)])]
        visible = [p if p.isprintable() else "".join(filter(str.isprintable, p)) for p in parts]
        letters = [re.sub(_NO_LETTER, "", part) for part in parts]
        self._visible, self._letters = "".join(visible), "".join(letters)
        self._folded = _fold(self._letters)
        self._cuts = [list(accumulate(map(len, kept)))[:-1] for kept in (visible, letters)]

    def by(self, needle: _Needle) -> tuple[str, list[int]]:
        """The characters that count for a needle, and the offsets of the cuts in them."""
        if not needle.letters:
            return self._visible, self._cuts[0]
        return (self._folded if needle.folded else self._letters), self._cuts[1]


def secrets(texts: Iterable[str], public: Iterable[str]) -> tuple[str, ...]:
    """The secrets among `texts` that kdiag can hide: long enough, and in none of the `public` texts
    that the user wrote."""
    known = tuple(public)
    return tuple(
        secret
        for secret in texts
        if len(secret) >= LEAST and not any(secret in text for text in known)
    )


def without(value: Any, hidden: tuple[str, ...], own: frozenset[str] = frozenset()) -> Any:
    """Plain values, and tuples and dataclasses of them, without secrets. Texts that are one of our
    `own` words stay, and bytes keep their length."""
    return _Veil(hidden, own).over(value) if hidden else value


class _Veil:
    """Hides secrets in one value; a text that occurs often in it is searched once."""

    def __init__(self, hidden: tuple[str, ...], own: frozenset[str]) -> None:
        self._hidden = hidden
        self._bytes: dict[bytes, bytes] = {}
        self._texts: dict[str, str] = {word: word for word in own}

    def over(self, value: Any) -> Any:
        if value is None:
            return value
        if type(value) is str:
            if value not in self._texts:
                self._texts[value] = redacted(value, self._hidden)
            return self._texts[value]
        if isinstance(value, bytes):
            if value not in self._bytes:
                self._bytes[value] = _masked(value, self._hidden)
            return self._bytes[value]
        if isinstance(value, (tuple, list)):
            parts = [self.over(part) for part in value]
            same = all(part is old for part, old in zip(parts, value))
            return value if same else getattr(value, "_make", type(value))(parts)
        if isinstance(value, Mapping):
            return {self.over(key): self.over(part) for key, part in value.items()}
        if hasattr(type(value), "__dataclass_fields__"):
            from dataclasses import fields, replace  # 1 ms, for an expectation alone

            old = {part.name: getattr(value, part.name) for part in fields(value) if part.init}
            new = {name: self.over(part) for name, part in old.items()}
            changed = {name: part for name, part in new.items() if part is not old[name]}
            return replace(value, **changed) if changed else value
        return value


def without_userinfo(text: str) -> str:
    """A text whose URLs have neither user nor password: SASL_SSL://…@broker:9092."""
    return re.sub(_USERINFO, r"\1…@", text) if "@" in text else text


def redacted(text: str, hidden: Iterable[str]) -> str:
    """A text without these secrets."""
    spans = _spans(text, tuple(hidden))
    return _spliced(text, spans, lambda _: HIDDEN) if spans else text


def _masked(data: bytes, hidden: tuple[str, ...]) -> bytes:
    """Bytes of the same length, so that the structure of a certificate stays."""
    spelt = tuple(secret.encode("utf-8", "surrogateescape").decode("latin-1") for secret in hidden)
    text = data.decode("latin-1")
    spans = _spans(text, spelt)
    return _spliced(text, spans, lambda length: "*" * length).encode("latin-1") if spans else data


def _spliced(text: str, spans: Sequence[tuple[int, int]], mask: Callable[[int], str]) -> str:
    """The text with a mask, made for its length, in the place of each span."""
    parts, at = [], 0
    for start, end in spans:
        parts += [text[at:start], mask(end - start)]
        at = end
    return "".join([*parts, text[at:]])


def _spans(text: str, hidden: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where in a text secrets are, without overlaps, in order."""
    needles = [needle for secret in hidden if secret for needle in _needles(secret)]
    found: list[tuple[int, int]] = []
    undone = re.sub(_ESCAPES, _unescaped, text)
    forms = [(text, _as_it_is), (undone, _pieces)] if undone != text else [(text, _as_it_is)]
    for plain, pieces in forms:
        haystack = _Haystack(plain)
        kept: dict[bool, list[_Piece]] = {}
        for needle in needles:
            places = list(needle.places(*haystack.by(needle)))
            if places and needle.letters not in kept:
                counts = str.isalnum if needle.letters else str.isprintable
                kept[needle.letters] = [piece for piece in pieces(text) if counts(piece[0])]
            for start, end in places:
                pieces_ = kept[needle.letters]
                found.append((pieces_[start][1], pieces_[end - 1][2]))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


@lru_cache(maxsize=32)
def _needles(secret: str) -> tuple[_Needle, ...]:
    from base64 import b64encode  # 1.2 ms: where there is a secret, as below

    raw = secret.encode("utf-8", "surrogateescape")
    letters = _fold(re.sub(_NO_LETTER, "", secret))
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
        digits = re.sub(_NO_LETTER, "", own)
        if len(digits) >= _LEAST_BASE64:
            needles.append(_Needle(digits, least_cut=_LEAST_BASE64))
    return tuple(needle for needle in needles if needle.text)


_Piece = tuple[str, int, int]  # a character, and the start and end of what it is written as


def _as_it_is(text: str) -> Iterator[_Piece]:
    return ((char, at, at + 1) for at, char in enumerate(text))


def _pieces(text: str) -> Iterator[_Piece]:
    """The characters of a text with its escapes undone."""
    at = 0
    for escape in re.finditer(_ESCAPES, text):
        yield from ((text[i], i, i + 1) for i in range(at, escape.start()))
        at = escape.end()
        yield from ((char, escape.start(), at) for char in _unescaped(escape))
    yield from ((text[i], i, i + 1) for i in range(at, len(text)))


def _unescaped(escape: re.Match[str]) -> str:
    written = escape.group()
    if written[0] == "%":
        from urllib.parse import unquote_to_bytes  # 4.6 ms

        return unquote_to_bytes(written).decode("utf-8", "replace")
    if written[0] == "&":
        import html  # 3.2 ms

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

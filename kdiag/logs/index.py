"""Finds the patterns that a log line can match, by the words of the line."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kdiag.logs.clients import FAILURE_WORDS, MARKER_WORDS, same_family
from kdiag.logs.pattern import FAILURES, Pattern, every_pattern
from kdiag.logs.stream import MAX_LINE_BYTES

FAILURE = b"%failure"  # no word of a line

# Translates letters to lower case, and all other bytes except newlines to spaces. The result is the
# words of a line; lines that differ only in digits have equal words.
TO_WORDS = bytes(
    byte | 32 if chr(byte).isalpha() and byte < 128 else 10 if byte == 10 else 32
    for byte in range(256)
)
_COMMON_WORDS = set(
    b"broker brokers connect connection message metadata partition record request state failed "
    b"error with client topic kafka service session number version write read open internal local "
    b"update changed location application address range config call find such known list load "
    b"current fetch group offset offsets updated consumer producer could down exception complete "
    b"trying required timeout received response server servers closed node".split()
)


@dataclass(frozen=True)
class IndexedPattern:
    """A pattern with its number among all patterns and its compiled expression."""

    number: int
    pattern: Pattern
    regex: re.Pattern[str] | None


@lru_cache(maxsize=1)
def pattern_index() -> dict[bytes, list[IndexedPattern]]:
    """Maps a word to the patterns that can match a line with that word."""
    index: dict[bytes, list[IndexedPattern]] = {}
    for number, pattern in enumerate(every_pattern()):
        regex = re.compile(pattern.regex) if pattern.regex else None
        for word in index_words(pattern):
            index.setdefault(word, []).append(IndexedPattern(number, pattern, regex))
    return index


def of_interest(index: dict[bytes, list[IndexedPattern]], words: bytes) -> Collection[bytes]:
    """The words of a line that the index has, and FAILURE for a line of a client that tells of a
    failure."""
    line = words[:MAX_LINE_BYTES].split()
    matching = index.keys() & line
    if FAILURE_WORDS.isdisjoint(line) or MARKER_WORDS.isdisjoint(line):
        return matching
    return matching | {FAILURE}


def index_words(pattern: Pattern) -> set[bytes]:
    """The words that the index has for a pattern: of each key the longest whole word, preferably
    one that is rare in logs. A key that is the name of an error also has the names of its classes,
    as clients derive them."""
    examples = [(example, set(words_of(example))) for example in pattern.examples]
    found = set()
    for key in pattern.keys:
        if key.isalpha() and key[0].isupper():
            names = [f"{key}{end}" for end in ("", "Exception", "Error", "Failed", "FailedError")]
            found |= {name.lower().encode() for name in (*names, f"Err{key}")}
            continue
        of_key = [words for example, words in examples if key in example]
        whole = [word for word in words_of(key) if all(word in words for words in of_key)]
        found.add(
            max(whole, key=lambda word: (len(word) > 3, word not in _COMMON_WORDS, len(word)))
        )
    return found


def words_of(text: str) -> list[bytes]:
    return text.encode().translate(TO_WORDS).split()


def matching_patterns(
    text: str, client: str, entries: Sequence[IndexedPattern]
) -> Iterator[tuple[int, Pattern, dict[str, str]]]:
    """The first matching pattern with a code, the first without a code, and the first that tells of
    progress: (number, pattern, details). Patterns of the client that wrote the line come first,
    then those of any client."""
    code = outcome = progress = None
    for entry in sorted(entries, key=lambda entry: (_distance(entry, client), entry.number)):
        pattern = entry.pattern
        failure = pattern.proves in FAILURES
        if code if pattern.code else outcome if failure else progress:
            continue
        match = entry.regex.search(text) if entry.regex else None
        if entry.regex and not match:
            continue
        details = {k: v for k, v in match.groupdict().items() if v} if match else {}
        found = entry.number, pattern, details
        if pattern.needs:  # perhaps the log does not have it
            yield found
        elif pattern.code:
            code = found
        elif failure:
            outcome = found
        else:
            progress = found
    harmless = progress and progress[1].proves == "harmless"
    if (code or harmless) and outcome and not outcome[1].proves:
        outcome = None
    yield from (found for found in (code, outcome, progress) if found)


def _distance(entry: IndexedPattern, client: str) -> int:
    own = entry.pattern.client
    if own == client and own:
        return 0
    return 1 if same_family(own, client) else 2 if not own else 3

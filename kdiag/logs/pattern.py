"""What a pattern is: words that a client or a broker logs, and what they speak for."""

from __future__ import annotations

from dataclasses import dataclass

BOOTSTRAP, METADATA, LISTENERS, PRODUCE = "bootstrap", "metadata", "listeners", "produce"


SHOWS = {
    "dialled": "a connection was tried",
    "connected": "TCP stood",
    "reached": "Kafka answered",
    "login": "the client logs in",
    "first": "this is where the client begins",
    "metadata": "the metadata came",
    "lost": "the metadata came, and all was lost afterwards",
    "after": "it is about a connection that stood before",
}


@dataclass(frozen=True)
class Pattern:
    """A line that has the words `key` in it, and matches the regular expression `detail` where
    there is one: its groups say more.

    `code` is the finding that the line speaks for; "" where it only says that something failed, or
    how far the client came. `sure` is False where the words have other meanings too. `hop` is given
    where the words themselves tell it. `shows` is what the line proves beside: one of SHOWS.
    `words` are those by one of which such lines are found among all others, where it is not the
    longest of the key. `example` is a line as it is logged.
    """

    key: str
    code: str
    layer: str
    example: str
    sure: bool = True
    hop: str = ""
    detail: str = ""
    shows: str = ""
    words: tuple[str, ...] = ()

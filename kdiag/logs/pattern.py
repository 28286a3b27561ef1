"""What a log pattern is: the text of a line, and the finding or progress that the line proves."""

from __future__ import annotations

from dataclasses import dataclass

BOOTSTRAP, METADATA, LISTENERS, PRODUCE = "bootstrap", "metadata", "listeners", "produce"


# What a line can prove about the progress of a client.
PROVES = {
    "dialled": "the client tried a connection",
    "connected": "a TCP connection was established",
    "reached": "a Kafka server answered",
    "login": "the client logs in with SASL",
    "first": "the client sends its first request",
    "metadata": "the client received metadata",
    "lost": "the client received metadata, and lost records afterwards",
    "after": "the connection worked before this line",
}


@dataclass(frozen=True)
class Pattern:
    """A kind of log line: the line contains `key`, and matches the regular expression `regex` if
    there is one. The named groups of `regex` are details such as `address`, `node` or `size`.

    `code` is the finding that the line proves, "" for a line that reports a failure without a
    reason or the progress of the client. `sure` is False if other failures log the same text.
    `hop` is the hop that the text itself names. `proves` is a key of PROVES.
    `index_words` are words of which every such line contains at least one; by default the reader
    takes the longest word of `key`. `example` is a complete line.
    """

    key: str
    code: str
    layer: str
    example: str
    sure: bool = True
    hop: str = ""
    regex: str = ""
    proves: str = ""
    index_words: tuple[str, ...] = ()

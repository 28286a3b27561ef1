"""What a log pattern is, and the reader of the pattern files in `patterns/`.

A pattern file begins with the name of the client that writes the lines. Each paragraph is one
pattern: the code of the finding (`-` for none), the layer, and flags; then lines that begin with
`key`, `find`, `like` and `also`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

BOOTSTRAP, METADATA, LISTENERS, PRODUCE = "bootstrap", "metadata", "listeners", "produce"
_HOPS = (BOOTSTRAP, METADATA, LISTENERS, PRODUCE)

# What a line without a code proves.
PROVES = {
    "": "something failed, and the line does not say why",
    "dialled": "the client tried a connection",
    "connected": "a TCP connection was established",
    "reached": "a Kafka server answered",
    "login": "the client logs in with SASL",
    "first": "the client sends its first request",
    "metadata": "the client received metadata",
    "lost": "the client received metadata, and lost records afterwards",
    "idle": "a connection that worked was closed; the client opens it again",
    "own": "the client's own settings are at fault, before anything was sent",
    "servers": "the line has the client's bootstrap servers",
    "fenced": "another producer has taken over the transactional.id",
    "network": "the lines around this one are about a connection of the client",
    "unknown": "a failure of a client, in words that no pattern has",
    "client": "a line of a client of Kafka is near, or the log is short",
    "nothing": "no server answered",
    "other": "the lines around this one are about a connection of other software",
    "harmless": "the line looks like a failure and is none",
    "stopped": "a broker did not start, or stopped",
    "large": "a request or a response is larger than its reader's limit",
    "rebalance": "a group shares its partitions out anew",
}
FAILURES = ("", "lost", "own", "idle", "fenced", "stopped", "large", "rebalance", "unknown")


@dataclass(frozen=True)
class Pattern:
    """A kind of log line: the line contains one of `keys`, and matches the regular expression
    `regex` if there is one. The named groups of `regex` are details: `address`, `node`, `size`…

    `client` is the client that writes the line, "" for any. `code` is the finding that the line
    proves, "" for none. `sure` is False if other failures have the same text. `hop` is the hop that
    the text itself names. `proves` is a key of PROVES. `needs` is one too: the pattern counts only
    if the log proves that as well, "network" within a few lines; with `unless`, only if no line
    near it proves that. `examples` are complete lines. `also` names the other causes of the same
    text, for a pattern that is not sure.
    """

    client: str
    code: str
    layer: str
    keys: tuple[str, ...]
    examples: tuple[str, ...] = ()
    sure: bool = True
    hop: str = ""
    regex: str = ""
    proves: str = ""
    needs: str = ""
    unless: str = ""
    also: str = ""


# What operating systems say of a connection, in the languages in which people paste it, and by
# number (Linux, macOS, Windows). A file writes <refused> for the first.
_MESSAGES = {
    "<refused>": r"(?:[Cc]onnection refused|actively refused|ECONNREFUSED|econnrefused"
    r"|(?:[Ee]rrno|[Ee]rror|os error|rc|WSA\w*)[ =:]{0,2}-?(?:111|61|10061)\b"
    r"|verweigert|积极拒绝|express.{1,4}ment refus|deneg|rifiutat|recusou|отверг"
    r"|拒绝连接|接続を拒否)",
    "<timeout>": r"(?:[Tt]imed out|ETIMEDOUT|etimedout|did not properly respond|i/o timeout"
    r"|(?:[Ee]rrno|[Ee]rror|os error|rc|WSA\w*)[ =:]{0,2}-?(?:110|60|10060)\b"
    r"|nicht richtig reagiert|没有正确答复|pas r.{1,4}pondu|no respondi|n.o respondeu|безуспешн)",
    "<unreachable>": r"(?:is unreachable|No route to host|no route to host|EHOSTUNREACH|ENETUNREACH"
    r"|ehostunreach|enetunreach|unreachable (?:host|network)"
    r"|(?:[Ee]rrno|[Ee]rror|os error|rc|WSA\w*)[ =:]{0,2}-?(?:113|101|65|51|10051|10065)\b"
    r"|nicht erreichbar|无法连接的(?:主机|网络)|inaccessible|inalcan)",
    "<reset>": r"(?:[Cc]onnection reset|ECONNRESET|econnreset|forcibly closed|[Bb]roken pipe|EPIPE"
    r"|(?:[Ee]rrno|[Ee]rror|os error|rc|WSA\w*)[ =:]{0,2}-?(?:104|54|32|10053|10054)\b"
    r"|Remotehost geschlossen|强迫关闭|connection was aborted|Software caused connection abort)",
    "<resolver>": r"(?:[Tt]emporary failure|try again|EAI_AGAIN|server misbehaving|SERVFAIL"
    r"|timed? ?out)",
}


@lru_cache(maxsize=1)
def every_pattern() -> tuple[Pattern, ...]:
    """The patterns of all files, in the order in which they are tried."""
    folder = Path(__file__).with_name("patterns")
    return tuple(
        pattern
        for path in sorted(folder.glob("*.txt"))
        for pattern in _patterns(path.read_text(encoding="utf-8"))
    )


def _patterns(text: str) -> Iterator[Pattern]:
    client = ""
    for paragraph in text.split("\n\n"):
        lines = [line for line in paragraph.splitlines() if line and not line.startswith("#")]
        if lines and lines[0].startswith("client "):
            client = lines.pop(0).removeprefix("client ").strip("- ")
        if lines:
            yield _pattern(client, lines)


def _pattern(client: str, lines: list[str]) -> Pattern:
    """One paragraph of a file. Raises ValueError for a line that is none of a pattern."""
    code, layer, *flags = ("" if word == "-" else word for word in lines[0].split())
    values: dict[str, list[str]] = {"key": [], "find": [], "like": [], "also": []}
    for line in lines[1:]:
        name, _, value = line.partition(" ")
        if name not in values:
            raise ValueError(f"no line of a pattern: {line}")
        for name_of, expression in _MESSAGES.items() if name == "find" else ():
            value = value.replace(name_of, expression)
        values[name].append(value)
    pairs = dict(flag.split("=") for flag in flags if "=" in flag)
    return Pattern(
        client,
        code,
        layer,
        tuple(values["key"]),
        tuple(values["like"]),
        "likely" not in flags,
        next((flag for flag in flags if flag in _HOPS), ""),
        "|".join(values["find"]),
        pairs.get("proves", ""),
        pairs.get("needs", ""),
        pairs.get("unless", ""),
        "; or ".join(values["also"]),
    )

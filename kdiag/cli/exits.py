"""The exit codes of the command itself, and what ends the text of --help: examples, exit codes."""

from __future__ import annotations

from collections.abc import Iterable

from kdiag.walk.areas import AREAS, EXIT_INTERNAL, EXIT_INTERRUPTED, HOP_IDS

USAGE = 2

_HOPS = " ".join(str(area.exit_code) for area in AREAS if area.number)
_ROWS = (
    ("0", "the path works (warnings allowed, see --fail-on)"),
    (str(EXIT_INTERNAL), "kdiag itself failed"),
    (str(USAGE), "wrong usage: option, file or property"),
    (_HOPS, f"the first hop that fails: {', '.join(HOP_IDS)}"),
    *((str(area.exit_code), area.fails) for area in AREAS if area.fails),
    (str(EXIT_INTERRUPTED), "interrupted"),
)


def _section(title: str, lines: Iterable[str]) -> str:
    return f"\b\n{title}:\n" + "\n".join(f"  {line}" for line in lines)


EXIT_CODES = _section("Exit codes", (f"{code:13}{means}" for code, means in _ROWS))

# By command: lines that run as they stand, with names of the user's own servers and files.
EXAMPLES = {
    "kdiag": (
        "kdiag check broker.example.com:9094",
        "kdiag explain KD301",
        "kdiag lint server.properties",
        "kdiag demo private-address",
    ),
    "check": (
        "kdiag check broker.example.com:9094",
        "kdiag check broker.example.com:9094 --topic orders",
        "kdiag check -F client.properties -o json=report.json",
        "kdiag check broker.example.com:9094 --map 10.0.1.11=broker.example.com",
        "kdiag check @prod --wait 2m --expect brokers=3",
    ),
    "demo": ("kdiag demo", "kdiag demo private-address -v", "kdiag demo --list"),
    "lint": (
        "kdiag lint server.properties docker-compose.yml",
        "kdiag lint --diff kafka.yaml",
        "kdiag lint --report report.json --fix kafka.yaml",
    ),
    "explain": (
        "kdiag explain KD301",
        "kdiag explain LISTENER_NOT_FOUND",
        "kdiag explain client.log",
        "kdiag explain 'Connection to node 1 (/10.0.1.11:9094) could not be established'",
    ),
    "findings": ("kdiag findings", "kdiag findings --json"),
    "diff": (
        "kdiag diff pod.json laptop.json",
        "kdiag diff pod.json laptop.json -o markdown",
        "kdiag diff reports",
    ),
    "show": ("kdiag show report.json -v", "kdiag show report.json -o html=kdiag.html"),
    "mcp": ("kdiag mcp", "kdiag mcp --root ."),
    "serve": ("kdiag serve", "kdiag serve --listen 0.0.0.0:9797 --log-format json"),
    "completion": ("kdiag completion bash", "kdiag completion zsh", "kdiag completion fish"),
}


def epilog(command: str, *others: str) -> str:
    """The end of the help of a command: its examples, and `others`, as click takes them."""
    return "\n\n".join((_section("Examples", EXAMPLES[command]), *others))

"""docs/compatibility.md, from what the control run kept in proven/."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.control.others import OTHERS
from tests.control.outcome import PROVEN
from tests.control.released import names
from tests.control.servers import SERVERS
from tests.lab.kafka import VERSION as JAVA_CLIENT

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"

KINDS = {
    "released": (
        "Apache Kafka",
        "One broker of each release, from Maven Central, on Java 17: in plaintext, and with a "
        "login. Beside the verdict, its log has no error that kdiag caused, and it has no topic "
        "that was not there before. Kafka 0.10 is the exception: in plaintext it logs that it "
        "closes a connection, since kdiag asks for Metadata 4 before it knows which versions there "
        "are, and asks again. Java's client of today does not talk to Kafka 0.10.",
    ),
    "others": (
        "Servers of others",
        "The real ones, as their projects publish them. Java's client does not talk to the mock "
        "cluster.",
    ),
    "stand-ins": (
        "Stand-ins",
        "Servers for which no registry has the real one, or that fail on purpose. Each is a few "
        "lines in `tests/control/servers.py`, and answers with the protocol's own schemas in just "
        "the versions that it lists.",
    ),
}


def compatibility() -> str:
    """The whole page."""
    kept = [(path.stem, json.loads(path.read_text("utf-8"))) for path in PROVEN.glob("*.json")]
    lines = [
        "# Compatibility",
        "",
        "<!-- Written by `python3 tests --rewrite` from tests/control/proven. -->",
        "",
        "What kdiag was proven on. An error of kdiag means that a real client fails there too, so "
        "each of these servers is given to kdiag and to real clients at the same time, and the "
        "tests fail where their verdicts differ: kdiag passes, warnings allowed, where the client "
        "produced, and fails where the client failed.",
        "",
        f"The clients are librdkafka, by confluent-kafka {_locked('confluent-kafka')}, and Java's "
        f"of Kafka {JAVA_CLIENT}. Each writes one record to each partition. kdiag runs without "
        "`--topic` and with it; without it, a failure that only the topic's own records meet is "
        "not seen, or not proven.",
    ]
    for kind, (title, text) in KINDS.items():
        of_kind = [(name, told) for name, told in kept if told["kind"] == kind]
        lines += ["", f"## {title}", "", text, ""]
        lines += ["| server | librdkafka | Java | `kdiag check` | with `--topic` |"]
        lines += ["|---|---|---|---|---|"]
        lines += [_row(told) for _, told in sorted(of_kind, key=lambda one: _place(one[0]))]
    return "\n".join(lines) + "\n"


def _row(told: dict[str, Any]) -> str:
    cells = [told["what"]]
    for client in ("librdkafka", "java"):
        cells.append("produces" if told["clients"][client] else "fails")
    for asked in ("bare", "topic"):
        exit_code, cause = told["kdiag"][asked]
        found = f"[{cause}](findings.md#{cause.lower()})" if cause else f"exit {exit_code}"
        cells.append(found if exit_code else "passes")
    return f"| {' | '.join(cells)} |"


def _place(name: str) -> int:
    """As they are declared."""
    return [*names(), *OTHERS, *(server.name for server in SERVERS)].index(name)


def _locked(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", LOCK.read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1]

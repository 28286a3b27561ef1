"""The control itself: the real clients and kdiag on one server, and what is kept of it.

`proven/NAME.json` is what a run showed; `pytest --snapshot-update` writes it, and the page
docs/compatibility.md is made of these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.control import clients
from tests.control.clients import Checked, Java, Run

PROVEN = Path(__file__).with_name("proven")
CLIENTS = ("librdkafka", "java")
MOST = 150.0  # seconds; kdiag takes that long nowhere


@dataclass(frozen=True)
class Target:
    """Where to produce, and how: one record to each partition, within `patience` seconds.

    `java` are more properties of Java's client, `options` more of `kdiag check`'s.
    """

    bootstrap: str
    topic: str
    partitions: int
    properties: Mapping[str, str] = field(default_factory=dict)
    java: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    patience: float = 12.0

    def check(self, *options: str) -> Checked:
        """`kdiag check` on it."""
        given = (*self.options, *options)
        return clients.check(self.bootstrap, self.properties, *given, seconds=MOST)

    def produce(self, client: str, java: Java | None) -> Run:
        """One client's run."""
        what = (self.bootstrap, self.topic, self.partitions, self.patience)
        if client == "librdkafka":
            return clients.librdkafka(*what, self.properties)
        assert java
        return java.produce(*what, {**self.properties, **self.java})


@dataclass(frozen=True)
class Outcome:
    """How it went: each client's run, and kdiag's report without a topic and with it."""

    runs: Mapping[str, Run]
    bare: Checked
    named: Checked

    @property
    def told(self) -> dict[str, Any]:
        """What is kept of it, the same on every machine."""
        return {
            "clients": {name: run.error is None for name, run in self.runs.items()},
            "kdiag": {
                name: [one.exit_code, one.report["root_cause"]]
                for name, one in (("bare", self.bare), ("topic", self.named))
            },
        }

    def __str__(self) -> str:
        runs = [f"{name}: {run.error or 'produced'}" for name, run in self.runs.items()]
        reports = [f"kdiag check: {self.bare}", f"kdiag check --topic: {self.named}"]
        return "\n".join([*runs, *reports])


def at_once(target: Target, java: Java | None) -> Outcome:
    """All of it at the same time: a server may take long for each answer."""
    with ThreadPoolExecutor(4) as pool:
        bare = pool.submit(target.check)
        named = pool.submit(target.check, "--topic", target.topic)
        runs = {name: pool.submit(target.produce, name, java) for name in there(java)}
        found = {name: run.result() for name, run in runs.items()}
        return Outcome(found, bare.result(), named.result())


def in_turn(target: Target, java: Java | None) -> Outcome:
    """kdiag first, then each client: nobody uses up another's quota."""
    bare, named = target.check(), target.check("--topic", target.topic)
    return Outcome({name: target.produce(name, java) for name in there(java)}, bare, named)


def there(java: Java | None) -> tuple[str, ...]:
    """The clients that this machine has."""
    return CLIENTS if java else CLIENTS[:1]


def agree(outcome: Outcome, client: str, works: bool, *, bare: bool | None = None) -> None:
    """Fails unless this client and kdiag came to the verdict that is expected of both; `bare` is
    what kdiag can know without a topic, where that is another."""
    run = outcome.runs[client]
    assert (run.error is None) is works, f"{client} was to {'work' if works else 'fail'}\n{outcome}"
    assert outcome.named.passes is works, f"kdiag --topic disagrees\n{outcome}"
    expected = works if bare is None else bare
    assert outcome.bare.passes is expected, f"kdiag disagrees\n{outcome}"


def hold(kind: str, name: str, what: str, outcome: Outcome, rewrite: bool) -> None:
    """Holds an outcome on which all agree against what is kept of it, or keeps it.

    `kind` is its section of the page. A client that is not on this machine was proven on another.
    """
    path = PROVEN / f"{name}.json"
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
    told = {"kind": kind, "what": what, **outcome.told}
    told["clients"] = {**kept.get("clients", {}), **told["clients"]}
    if rewrite:
        PROVEN.mkdir(exist_ok=True)
        path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
        return
    assert told == kept, f"{path.name} says something else: pytest tests/control --snapshot-update"

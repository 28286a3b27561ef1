"""Finds the release of each broker from its ApiVersions answer, for notes on upgrades."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kdiag.rules.text import listed
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners

ApiVersionTable = tuple[tuple[int, int, int], ...]

# Release of Kafka, API key, and the version of that API which this release was the first to list.
# Only APIs that brokers list both with ZooKeeper and without. Source: ApiKeys of kafka-clients, in
# tests/rules/kafka_versions.txt. 3.4 lists the same versions as 3.3.
_FIRST = (
    ("0.11", 3, 4),
    ("1.0", 3, 5),
    ("1.1", 32, 1),
    ("2.0", 3, 6),
    ("2.1", 3, 7),
    ("2.2", 2, 5),
    ("2.3", 3, 8),
    ("2.4", 3, 9),
    ("2.5", 9, 7),
    ("2.6", 32, 3),
    ("2.7", 22, 4),
    ("2.8", 3, 11),
    ("3.0", 10, 4),
    ("3.1", 3, 12),
    ("3.2", 11, 9),
    ("3.3", 29, 3),
    ("3.5", 2, 8),
    ("3.6", 24, 4),
    ("3.7", 8, 9),
    ("3.8", 16, 5),
    ("3.9", 18, 4),
    ("4.0", 3, 13),
    ("4.1", 0, 13),
    ("4.2", 8, 10),
    ("4.3", 35, 5),
    ("4.4", 18, 5),
)
_SHOWN = {"3.3": "3.3 or 3.4", "4.4": "4.4 or later"}

# From KIP-896, which names the oldest tested version of each client.
_KNOWN_TO_WORK = "Java 2.1, librdkafka 1.8.2, KafkaJS 1.15.0, Sarama 1.30.1 and kafka-python 2.0.2"


def release(table: ApiVersionTable) -> str | None:
    """The release of Apache Kafka that lists these versions, as in "3.7"; None for a table of no
    release, as a proxy or another server lists. A row of `table` is an API key with its oldest and
    newest version."""
    newest = {key: last for key, _, last in table}
    holds = [newest.get(key, -1) >= version for _, key, version in _FIRST]
    count = sum(holds)
    if not count or not all(holds[:count]):
        return None
    return _FIRST[count - 1][0]


def notes(facts: Facts) -> Iterator[str]:
    """The notes on the brokers' releases: brokers of different releases, or older than 4.0."""
    listeners, bootstrap = facts.get(Listeners), facts.get(Bootstrap)
    tables = {
        f"broker {listener.broker.node}": best.apis
        for listener in (listeners.reached if listeners else ())
        if (best := listener.contact.best) and best.apis
    }
    if len(set(tables.values())) > 1:
        yield _differ(tables)
    dials = [c.best for c in bootstrap.usable if c.best] if bootstrap else []
    releases = {release(table) for table in (*tables.values(), *(d.apis for d in dials if d.apis))}
    before = [name for name in releases if name and name < "4"]
    if before:
        oldest = min(before, key=[name for name, _, _ in _FIRST].index)
        yield (
            f"the brokers are of Kafka {_SHOWN.get(oldest, oldest)}, by the versions they list: "
            "Kafka 4.0 and later is for clients from Kafka 2.1 on, and lacks requests that older "
            f"ones may send (KIP-896); known to work are {_KNOWN_TO_WORK}, and what is newer"
        )


def _differ(tables: Mapping[str, ApiVersionTable]) -> str:
    groups: dict[ApiVersionTable, list[str]] = {}
    for broker, table in tables.items():
        groups.setdefault(table, []).append(broker)
    whose = [
        f"{listed(brokers)} {'is' if len(brokers) == 1 else 'are'} "
        + (
            f"of Kafka {_SHOWN.get(name, name)}"
            if (name := release(table))
            else "of another release"
        )
        for table, brokers in groups.items()
    ]
    if len({release(table) for table in groups}) == 1:
        whose = [f"{listed(brokers)} list the same" for brokers in groups.values()]
    return (
        "the brokers do not list the same versions of requests, as in the middle of an upgrade: "
        + "; ".join(whose)
    )

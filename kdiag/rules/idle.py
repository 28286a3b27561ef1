"""Makes failures of brokers that the client's topic does not need warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kdiag.config.settings import Settings
from kdiag.rules.rule import Finding, Severity
from kdiag.rules.text import brokers
from kdiag.walk.facts import Facts
from kdiag.walk.facts.consume import Consume
from kdiag.walk.facts.produce import Produce

_ALWAYS = ("KD310",)  # what a client writes there goes to another cluster
_ONLY_LEADERS = ("", "producer", "idempotent")


def tempered(facts: Facts, findings: Sequence[Finding]) -> Iterator[Finding]:
    """The findings. An error of hop 3 is a warning where the real client's records for the topic
    were acknowledged by all leaders, and all brokers that the error is about lead none of it: a
    client of that topic works. A reader also needs its group's coordinator, and a transactional
    producer one that is not known."""
    produce = facts.get(Produce)
    idle = {f"broker {node}" for node in produce.idle} if produce else set()
    needed = bool(idle) and _needed(facts, facts[Settings])
    for finding in findings:
        spare = finding.hop == "listeners" and finding.code not in _ALWAYS and finding.subjects
        if needed and spare and finding.severity is Severity.ERROR and idle >= {*finding.subjects}:
            assert produce and produce.client
            line = (
                f"{brokers([d.node for d in produce.client.deliveries])} acknowledged records for "
                f"topic {produce.client.topic}, and no other broker leads a partition of it: its "
                "clients work until one does"
            )
            finding = replace(
                finding, severity=Severity.WARNING, evidence=[*finding.evidence, line]
            )
        yield finding


def _needed(facts: Facts, settings: Settings) -> bool:
    """Whether it is known which brokers a client in this role needs, besides the leaders, and that
    they were reached."""
    consume = facts.get(Consume)
    reader = consume is not None and consume.asks_group and consume.coordinator is not None
    transactional = "transactional.id" in settings.client
    return reader or (settings.options.role in _ONLY_LEADERS and not transactional)

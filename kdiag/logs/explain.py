"""Explains a log: derives the failing hop, the root cause and a command from the log's facts."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO

from kdiag.logs.command import command
from kdiag.logs.explanation import Explanation, LogFinding, LogLine
from kdiag.logs.facts import LogEvent, LogFacts
from kdiag.logs.locate import (
    LocatedEvent,
    has_needed,
    is_outcome,
    kind_of,
    located,
    protocol_in_size,
)
from kdiag.logs.reader import read
from kdiag.logs.stream import unwrapped
from kdiag.logs.text import MESSAGES
from kdiag.rules import walk_rules
from kdiag.rules.client import ClientSystem
from kdiag.rules.root_cause import explained
from kdiag.rules.rule import Finding, Match, Remedy, Severity
from kdiag.rules.text import brokers, listed, sentence
from kdiag.walk.areas import AREA_IDS, EXIT_CODES
from kdiag.walk.facts.run import this_system

_MAX_LINES = 8  # lines that a finding keeps
# These failures are often only a consequence of others. A higher number is a weaker root cause.
_AMBIGUITY = {
    "KD116": 1,
    "KD121": 1,
    "KD204": 2,
    "KD206": 2,
    "KD405": 2,
    "KD201": 1,
    "KD401": 1,
    "KD916": 1,
}
_BOOTSTRAP = "bootstrap server"


def explain(stream: BinaryIO, source: str) -> Explanation:
    """Reads and explains a log. `source` is the name of the log. A short log whose lines were
    wrapped is read once more with its lines joined, if that explains more. Raises OSError,
    PackedLogError."""
    log = read(stream)
    result = judge(log, source)
    joined = [judge(read(io.BytesIO(text)), source) for text in unwrapped(log.small)]
    return max([result, *joined], key=_quality)


def _quality(result: Explanation) -> tuple[bool, bool, bool, int]:
    known = [line for line in result.outcomes if line.kind != "unknown"]
    sure = result.confidence == "sure"
    return result.root_cause is not None, sure, result.hop_told, min(len(known), 1)


def judge(log: LogFacts, source: str) -> Explanation:
    """Explains the facts of a log. A pure function."""
    events = located(log)
    findings = _findings(events)
    cause = _root_cause(findings, log)
    told = cause is not None and cause.hop_known
    recovered = cause is not None and _recovered(cause, events, log)
    addresses = [
        event.address
        for event in events
        if cause and _key(event) == _of(cause) and event.address and not cause.brokers
    ]
    outcomes = _outcomes(log, findings)
    return Explanation(
        source=source,
        lines=log.lines,
        size=log.size,
        clients=list(log.clients),
        hop=cause.finding.hop if cause and not cause.brokers else None,
        hop_told=told,
        layer=cause.layer if cause else "",
        root_cause=cause.finding.code if cause else None,
        confidence=cause.confidence if cause else None,
        exit_code=EXIT_CODES[cause.finding.hop] if cause and told and not recovered else 0,
        command=command(cause.finding if cause else None, addresses, log),
        findings=sorted(findings, key=lambda finding: finding is not cause),
        outcomes=outcomes[:_MAX_LINES],
        notes=list(log.notes),
        recovered=recovered,
    )


_FindingKey = tuple[str, str, bool]


def _key(event: LocatedEvent) -> _FindingKey:
    return event.code, event.hop, event.brokers


def _of(found: LogFinding) -> _FindingKey:
    return found.finding.code, found.finding.hop, found.brokers


def _findings(events: Sequence[LocatedEvent]) -> list[LogFinding]:
    """One finding for each code and hop; a finding that another finding explains refers to it."""
    groups: dict[_FindingKey, list[LocatedEvent]] = {}
    for event in events:
        if event.code in MESSAGES:
            groups.setdefault(_key(event), []).append(event)
    result = []
    for between in (False, True):
        keys = [key for key in groups if key[2] == between]
        findings = [_finding(key[0], key[1], groups[key]) for key in keys]
        for finding in explained(findings):
            group = groups[finding.code, finding.hop, between]
            sure = any(event.sure for event in group) and not between
            result.append(
                LogFinding(
                    finding=finding,
                    layer=next((e.event.pattern.layer for e in group), ""),
                    confidence="sure" if sure else "likely",
                    lines=[_line(e.event) for e in group][:_MAX_LINES],
                    hop_known=any(event.hop_known for event in group),
                    brokers=between,
                )
            )
    return [_turned(found, result) for found in result]


def _turned(found: LogFinding, findings: Sequence[LogFinding]) -> LogFinding:
    """A finding on one connection, as the consequence of another one that is surer."""
    code, hop, own = found.finding.code, found.finding.hop, found.finding.consequence_of

    def surer(other: LogFinding) -> bool:
        same = other.finding.hop == hop and {code[2], other.finding.code[2]} == {"1"}
        return same and other.confidence == "sure" and found.confidence == "likely"

    if own and own[2] == "1" and found.confidence == "sure":
        cause = next((o for o in findings if (o.finding.code, o.finding.hop) == (own, hop)), None)
        if cause and cause.confidence == "likely":
            return replace(found, finding=replace(found.finding, consequence_of=None))
    after = next((o for o in findings if surer(o) and o.finding.consequence_of == code), None)
    if after and not own:
        return replace(found, finding=replace(found.finding, consequence_of=after.finding.code))
    return found


def _finding(code: str, hop: str, group: Sequence[LocatedEvent]) -> Finding:
    """The finding for all events with one code at one hop."""
    template, fix = MESSAGES[code]
    nodes = sorted({event.node for event in group if event.node is not None})
    addresses = sorted({event.address for event in group if event.address})
    known = any(event.hop_known for event in group)
    who = _who(hop if known else "", nodes, addresses)
    at = f": {listed(addresses)}" if addresses else ", which the log does not name"
    many = len(nodes) > 1 if hop != "bootstrap" and nodes else len(addresses) > 1
    ends = {"s": "" if many else "s", "es": "" if many else "es"}
    message = template.format(who=who, Who=sentence(who), at=at, **ends)
    if hop == "bootstrap" and known:
        subjects = [f"bootstrap {address}" for address in addresses] or [_BOOTSTRAP]
    else:
        subjects = [f"broker {node}" for node in nodes] or addresses or ["a connection"]
    return walk_rules()[code].finding(
        Match(
            hop,
            message,
            tuple(subjects),
            tuple(_evidence(group)),
            (Remedy(ClientSystem(this_system()).translated(fix)),),
        )
    )


def _who(hop: str, nodes: Sequence[int], addresses: Sequence[str]) -> str:
    """The brokers or bootstrap servers of a finding, for its message; `hop` is "" if the log does
    not prove it."""
    if hop != "bootstrap" and nodes:
        return brokers(nodes)
    if addresses:
        return listed(addresses)
    return {"bootstrap": "the bootstrap server", "": "the server"}.get(hop, "a broker")


def _evidence(group: Sequence[LocatedEvent]) -> Iterator[str]:
    """Evidence from the details of each event, and the other causes of the same lines."""
    seen = set()
    guess = not any(event.sure for event in group)
    for event in group:
        details, protocol = event.event.details, protocol_in_size(event.event)
        size, also = details.get("size", ""), event.event.pattern.also
        for text in (
            f"the size {size} is no size: its four bytes are {protocol}" if protocol else "",
            f"the listener offers {details['offered']}" if details.get("offered") else "",
            f"it was dialled as {details['wanted']}" if details.get("wanted") else "",
            f"the server says: {details['says']}" if details.get("says") else "",
            f"the same line comes from {also}" if guess and also else "",
        ):
            if text and text not in seen:
                seen.add(text)
                yield text


def _root_cause(findings: Sequence[LogFinding], log: LogFacts) -> LogFinding | None:
    """The root cause: a client's connection, no consequence of another finding, an error, sure, at
    the earliest hop, and about the most brokers, in this order. If the client received metadata, a
    bootstrap server worked, so a later hop is preferred."""
    causes = [found for found in findings if not found.finding.consequence_of]
    later = [found for found in causes if found.finding.hop != "bootstrap" and not found.brokers]
    if log.metadata and later:
        causes = later
    return min(
        causes,
        key=lambda found: (
            found.brokers,
            found.finding.severity is not Severity.ERROR,
            found.confidence != "sure",
            _AMBIGUITY.get(found.finding.code, 0),
            AREA_IDS.index(found.finding.hop),
            -len(found.finding.subjects),
        ),
        default=None,
    )


def _recovered(cause: LogFinding, events: Sequence[LocatedEvent], log: LogFacts) -> bool:
    """Whether a bootstrap server failed, and the client received metadata after that."""
    last = max((e.event.last for e in events if _key(e) == _of(cause)), default=0)
    failed = any(is_outcome(event) and event.last > log.metadata for event in log.events)
    return cause.finding.hop == "bootstrap" and log.metadata > last and not failed


def _outcomes(log: LogFacts, findings: Sequence[LogFinding]) -> list[LogLine]:
    """The lines that report a failure without a code. Lines in unknown words count only where
    nothing else tells of a failure."""
    lines = [_line(e) for e in log.events if is_outcome(e) and has_needed(e, log)]
    known = [line for line in lines if line.kind not in ("unknown", "idle", "rebalance")]
    return [line for line in lines if line.kind != "unknown" or not (known or findings)]


def _line(event: LogEvent) -> LogLine:
    return LogLine(
        line=event.line,
        count=event.count,
        client=event.client,
        text=event.text,
        kind=kind_of(event) or "",
    )

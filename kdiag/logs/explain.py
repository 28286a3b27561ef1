"""Explains a log: derives the failing hop, the root cause and a command from the log's facts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from kdiag.address import internal_name, is_loopback, is_private, is_unusable, parse
from kdiag.config.snippet import fill
from kdiag.kafka.server_words import limits_connections
from kdiag.logs.explanation import Explanation, LogFinding, LogLine
from kdiag.logs.facts import LogEvent, LogFacts
from kdiag.logs.reader import MAX_BYTES, read
from kdiag.logs.text import MESSAGES
from kdiag.network.fingerprint import decode_size
from kdiag.rules import walk_rules
from kdiag.rules.root_cause import explained
from kdiag.rules.rule import Finding, Match, Remedy, Severity
from kdiag.rules.text import brokers, listed, sentence
from kdiag.walk.areas import EXIT_CODES, HOP_IDS

_MAX_DISTANCE = 40  # lines between a stack trace and the line that names its connection
_MAX_LINES = 8  # lines that a finding keeps
_MAX_SERVERS = 3
# These failures are often only a consequence of others. A higher number is a weaker root cause.
_AMBIGUITY = {"KD116": 1, "KD121": 1, "KD204": 2, "KD206": 2, "KD405": 2}
_CODES_OF_ADDRESSES = ("KD101", "KD103", "KD104", "KD105")
_HOP_OF_AREA = {"2": "metadata", "3": "listeners", "4": "produce"}
_BOOTSTRAP = "bootstrap server"
_SERVER = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}")
_TOPIC = re.compile(r"(?:topic[ =:]+|topic=')([\w.-]{1,249})\b|\[([\w.-]+)\]$")


@dataclass(frozen=True)
class _LocatedEvent:
    """An event with its code, hop and broker. `hop_known` is False if the hop is a guess; `sure` is
    False if the code is a guess."""

    event: LogEvent
    code: str
    hop: str
    hop_known: bool
    node: int | None
    address: str
    sure: bool


def explain(stream: BinaryIO, source: str) -> Explanation:
    """Reads and explains a log. `source` is the name of the log. Raises OSError."""
    return judge(read(stream), source)


def judge(log: LogFacts, source: str) -> Explanation:
    """Explains the facts of a log. A pure function."""
    failures = [
        event
        for event in log.events
        if event.pattern.code and (event.pattern.proves != "after" or log.reached)
    ]
    located = [_locate(event, log) for event in failures]
    located += _silent_timeouts(log)
    located += [cause for event in located for cause in _address_causes(event, log)]
    findings = _findings(located)
    cause = _root_cause(findings, log)
    certain = cause is not None and any(
        event.hop_known for event in located if (event.code, event.hop) == _key(cause.finding)
    )
    code = EXIT_CODES[cause.finding.hop] if cause and certain else 0
    return Explanation(
        source=source,
        lines=log.lines,
        size=log.size,
        clients=list(log.clients),
        hop=cause.finding.hop if cause else None,
        hop_told=certain,
        layer=cause.layer if cause else "",
        root_cause=cause.finding.code if cause else None,
        confidence=cause.confidence if cause else None,
        exit_code=code,
        command=_command(cause, log),
        findings=sorted(findings, key=lambda finding: finding is not cause),
        outcomes=[_line(e) for e in log.events if _is_outcome(e)][:_MAX_LINES],
        notes=_notes(log),
    )


def _locate(event: LogEvent, log: LogFacts) -> _LocatedEvent:
    """Assigns an event to a hop and a broker: by the connection in its line, by its address, by its
    pattern, or by the nearest line before it."""
    connection, code = event.connection, _code(event)
    if code == "KD117" and log.login and not event.pattern.sure:
        code = "KD120"  # the client does log in, so a missing login is not the reason
    hop, hop_known, node = connection.hop, bool(connection.hop), connection.node
    if not hop and connection.address:
        hop, node = _hop_of_address(connection.address, log)
        hop_known = bool(hop)
    if not hop:
        hop = event.pattern.hop or _HOP_OF_AREA.get(code[2], "")
        hop_known = bool(hop)
    if not hop:
        near = _event_before(event, log)
        if near:
            connection = near.connection
            hop, hop_known, node = connection.hop, True, connection.node
        else:
            hop, node = "listeners" if log.metadata else "bootstrap", None
    if code[2] in _HOP_OF_AREA:
        hop = event.pattern.hop or _HOP_OF_AREA[code[2]]
    address = connection.address or log.advertised.get(node if node is not None else -1, "")
    if not address and hop == "bootstrap" and len(log.bootstrap) == 1:
        address = log.bootstrap[0]
    # An advertised address may prove a 3xx code, so the code is a guess without the address.
    guess = hop == "listeners" and not address and code in _CODES_OF_ADDRESSES
    return _LocatedEvent(
        event, code, hop, hop_known, node, address, event.pattern.sure and not guess
    )


def _code(event: LogEvent) -> str:
    """The code of an event. A client that reads another protocol as Kafka logs the first four bytes
    as a size, so the size proves which protocol the peer speaks. The server's own words decide why
    a login was refused."""
    protocol = _protocol_in_size(event)
    if protocol and "TLS" in protocol:
        return "KD110" if "alert" in protocol else "KD111"
    if event.pattern.code == "KD120" and limits_connections(event.text):
        return "KD126"  # the server did not look at the credentials
    return event.pattern.code


def _protocol_in_size(event: LogEvent) -> str | None:
    """The protocol whose first four bytes a client read as the size of a response."""
    size = event.details.get("size", "")
    return decode_size(int(size)) if size.isdecimal() and len(size) < 12 else None


def _hop_of_address(address: str, log: LogFacts) -> tuple[str, int | None]:
    """The hop and the node id of an address; "" and None if the log does not prove them."""
    nodes = [node for node, advertised in log.advertised.items() if advertised == address]
    if address in log.bootstrap and not nodes:
        return "bootstrap", None
    if nodes or (log.metadata and address not in log.bootstrap):
        return "listeners", nodes[0] if len(nodes) == 1 else None
    return "", None


def _event_before(event: LogEvent, log: LogFacts) -> LogEvent | None:
    """The nearest event with a known hop, at most _MAX_DISTANCE lines before this event."""
    before = [
        other
        for other in log.events
        if other.connection.hop
        and 0 <= event.line - other.line <= _MAX_DISTANCE
        and other is not event
    ]
    return max(before, key=lambda other: other.line, default=None)


def _silent_timeouts(log: LogFacts) -> Iterator[_LocatedEvent]:
    """Timeouts that a client does not log: connections that the client tried, that Kafka never
    answered, and that have no failure of their own, in a log that reports a failure."""
    failed = any(_is_outcome(event) for event in log.events)
    explained_connections = {
        (event.connection.hop, event.connection.address)
        for event in log.events
        if event.pattern.code
    }
    reached = {connection.address for connection in log.reached}
    for connection in log.dialled:
        hop, address = connection.hop, connection.address
        if not failed or not hop or address in reached or (hop, address) in explained_connections:
            continue
        dialled = next(
            event
            for event in log.events
            if event.pattern.proves == "dialled" and event.connection == connection
        )
        code = "KD107" if address in log.connected else "KD104"
        yield _LocatedEvent(dialled, code, hop, True, connection.node, address, False)


def _address_causes(event: _LocatedEvent, log: LogFacts) -> Iterator[_LocatedEvent]:
    """The 3xx code that explains why a connection to an advertised address fails."""
    if event.hop != "listeners":
        return
    host, _, port = event.address.rpartition(":")
    host = host.strip("[]")
    bootstrap_hosts = [server.rpartition(":")[0].strip("[]") for server in log.bootstrap]
    outside = not any(is_private(name) or is_loopback(name) for name in bootstrap_hosts)
    if event.code in ("KD110", "KD111"):
        yield replace(event, code="KD312")
    if event.code not in _CODES_OF_ADDRESSES:
        return
    if host and is_unusable(host, int(port) if port.isdecimal() else 0):
        yield replace(event, code="KD303", sure=True)
    elif is_loopback(host) and not any(is_loopback(name) for name in bootstrap_hosts):
        yield replace(event, code="KD302", sure=bool(bootstrap_hosts) or event.sure)
    elif event.code == "KD101":
        if internal_name(host):
            yield replace(event, code="KD304")
    elif is_private(host) and outside:
        public = any((ip := parse(name)) and not is_private(str(ip)) for name in bootstrap_hosts)
        yield replace(event, code="KD301", sure=event.sure and public)
    elif event.code in ("KD103", "KD104"):
        yield replace(event, code="KD305" if event.code == "KD103" else "KD306")


def _findings(located: Sequence[_LocatedEvent]) -> list[LogFinding]:
    """One finding for each code and hop; a finding that another finding explains refers to it."""
    groups: dict[tuple[str, str], list[_LocatedEvent]] = {}
    for event in located:
        if event.code in MESSAGES:
            groups.setdefault((event.code, event.hop), []).append(event)
    findings = [_finding(code, hop, group) for (code, hop), group in groups.items()]
    return [
        LogFinding(
            finding=finding,
            layer=next((e.event.pattern.layer for e in groups[_key(finding)]), ""),
            confidence="sure" if any(e.sure for e in groups[_key(finding)]) else "likely",
            lines=[_line(e.event) for e in groups[_key(finding)]][:_MAX_LINES],
        )
        for finding in explained(findings)
    ]


def _key(finding: Finding) -> tuple[str, str]:
    return finding.code, finding.hop


def _finding(code: str, hop: str, group: Sequence[_LocatedEvent]) -> Finding:
    """The finding for all events with one code at one hop."""
    template, fix = MESSAGES[code]
    nodes = sorted({event.node for event in group if event.node is not None})
    addresses = sorted({event.address for event in group if event.address})
    who = _who(hop, nodes, addresses)
    at = f": {listed(addresses)}" if addresses else ", which the log does not name"
    many = len(nodes) > 1 if hop != "bootstrap" and nodes else len(addresses) > 1
    ends = {"s": "" if many else "s", "es": "" if many else "es"}
    message = template.format(who=who, Who=sentence(who), at=at, **ends)
    if hop == "bootstrap":
        subjects = [f"bootstrap {address}" for address in addresses] or [_BOOTSTRAP]
    else:
        subjects = [f"broker {node}" for node in nodes] or addresses or [hop]
    return walk_rules()[code].finding(
        Match(hop, message, tuple(subjects), tuple(_evidence(group)), (Remedy(fix),))
    )


def _who(hop: str, nodes: Sequence[int], addresses: Sequence[str]) -> str:
    """The brokers or bootstrap servers of a finding, for its message."""
    if hop != "bootstrap" and nodes:
        return brokers(nodes)
    if addresses:
        return listed(addresses)
    return "the bootstrap server" if hop == "bootstrap" else "a broker"


def _evidence(group: Sequence[_LocatedEvent]) -> Iterator[str]:
    """Evidence from the details of each event."""
    seen = set()
    for located in group:
        details, protocol = located.event.details, _protocol_in_size(located.event)
        size = details.get("size", "")
        for text in (
            f"the size {size} is no size: its four bytes are {protocol}" if protocol else "",
            f"the listener offers {details['offered']}" if details.get("offered") else "",
            f"it was dialled as {details['wanted']}" if details.get("wanted") else "",
        ):
            if text and text not in seen:
                seen.add(text)
                yield text


def _root_cause(findings: Sequence[LogFinding], log: LogFacts) -> LogFinding | None:
    """The root cause: no consequence of another finding, an error, sure, at the earliest hop, and
    about the most brokers, in this order. If the client received metadata, a bootstrap server
    worked, so a later hop is preferred."""
    causes = [found for found in findings if not found.finding.consequence_of]
    later = [found for found in causes if found.finding.hop != "bootstrap"]
    if log.metadata and later:
        causes = later
    return min(
        causes,
        key=lambda found: (
            found.finding.severity is not Severity.ERROR,
            found.confidence != "sure",
            _AMBIGUITY.get(found.finding.code, 0),
            HOP_IDS.index(found.finding.hop),
            -len(found.finding.subjects),
        ),
        default=None,
    )


def _command(cause: LogFinding | None, log: LogFacts) -> str:
    """The `kdiag check` command that proves the explanation on the client's machine."""
    servers = [server for server in log.bootstrap if _SERVER.fullmatch(server)][:_MAX_SERVERS]
    template = "kdiag check {servers}"
    code = cause.finding.code if cause else ""
    if "KD110" <= code <= "KD120" or code == "KD126":
        template += " -F client.properties"
    if code[2:3] in ("2", "4"):
        template += " --topic {topic}"
    return fill(
        "shell",
        template,
        servers=",".join(servers) or "HOST:PORT",
        topic=_topic(cause) or "TOPIC",
    )


def _topic(cause: LogFinding | None) -> str:
    """The topic in the lines of the root cause, "" if there is none."""
    for line in cause.lines if cause else ():
        match = _TOPIC.search(line.text)
        if match:
            return match[1] or match[2]
    return ""


def _is_outcome(event: LogEvent) -> bool:
    """True for a line that reports a failure without a reason."""
    failure = event.pattern.proves in ("", "lost")
    return not event.pattern.code and failure and not event.details.get("servers")


def _line(event: LogEvent) -> LogLine:
    return LogLine(line=event.line, count=event.count, client=event.client, text=event.text)


def _notes(log: LogFacts) -> list[str]:
    if not log.truncated:
        return []
    if log.size >= MAX_BYTES:
        return [f"only the first {MAX_BYTES >> 30} GiB were read"]
    return ["there were more kinds of lines than are told apart: the rest is left out"]

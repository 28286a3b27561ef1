"""Locates the failures of a log: the code, the hop and the broker of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kdiag.address import internal_name, is_loopback, is_private, is_unusable, parse
from kdiag.kafka.refusals import limits_connections
from kdiag.logs.clients import GO, same_family
from kdiag.logs.facts import BETWEEN_BROKERS, LogEvent, LogFacts
from kdiag.logs.pattern import FAILURES
from kdiag.network.fingerprint import decode_size

_MAX_DISTANCE = 40  # lines between a stack trace and the line that names its connection
_SHORT = 20  # lines of a log that somebody has cut out
_NEAR = 12  # lines between two lines that are about one failure
CODES_OF_ADDRESSES = ("KD101", "KD103", "KD104", "KD105")
_HOP_OF_AREA = {"2": "metadata", "3": "listeners", "4": "produce", "9": "consume"}
_OF_A_PRODUCER = re.compile(r"[Pp]roduce|PRODUCE")
_PER_BROKER = ("a container id", "a private DNS name of EC2", "a Kubernetes service name")


@dataclass(frozen=True)
class LocatedEvent:
    """An event with its code, hop and broker. `hop_known` is False if the log does not prove the
    hop; `sure` is False if the code is a guess. `brokers` is True for a connection of brokers to
    each other, which is no hop of a client."""

    event: LogEvent
    code: str
    hop: str
    hop_known: bool
    node: int | None
    address: str
    sure: bool
    brokers: bool = False


def located(log: LogFacts) -> list[LocatedEvent]:
    """All failures of a log that have a code, and the reasons that their addresses give."""
    failures = [event for event in log.events if event.pattern.code and _counts(event, log)]
    found = [_locate(event, log) for event in failures]
    found += _silent_timeouts(log)
    return found + [cause for event in found for cause in _address_causes(event, log)]


def _counts(event: LogEvent, log: LogFacts) -> bool:
    """Whether an event is about Kafka, and the log has what its pattern needs. An error of Go's own
    packages is not of Kafka in the log of a client in another language."""
    if _of_other_software(event, log):
        return False
    clients = [client for client in log.clients if client != GO]
    if event.client == GO and clients and not any(same_family(c, GO) for c in clients):
        return False
    return kind_of(event) is None and has_needed(event, log)


def _of_other_software(event: LogEvent, log: LogFacts) -> bool:
    """Whether a line that names no client of Kafka is about other software: it, or a line near it,
    names that, and no line of a client of Kafka is nearer."""
    if event.client not in ("", GO):
        return False
    far = _NEAR + 1
    others = [_distance(o, event) for o in log.events if o.pattern.proves == "other"]
    ours = [
        _distance(o, event)
        for o in log.events
        if o.client not in ("", GO) and o.pattern.proves not in ("unknown", "other")
    ]
    return min(others, default=far) < min(*ours, far, far)


def _distance(event: LogEvent, other: LogEvent) -> int:
    """How many lines are between two events."""
    return min(abs(event.line - other.line), abs(event.last - other.line))


def has_needed(event: LogEvent, log: LogFacts) -> bool:
    """Whether a log has what the pattern of an event needs beside its line."""
    needs, unless = event.pattern.needs, event.pattern.unless
    if unless and _near(event, log, unless):
        return False
    if needs == "reached":
        return bool(log.reached)
    if needs == "nothing":
        return not log.metadata and not log.reached
    if needs == "client":
        return log.lines <= _SHORT or any(
            other.client not in ("", GO) and abs(other.line - event.line) <= _NEAR
            for other in log.events
        )
    return not needs or _near(event, log, needs)


def _near(event: LogEvent, log: LogFacts, proves: str) -> bool:
    """Whether a line near an event proves something."""
    return any(
        other.pattern.proves == proves and abs(other.line - event.line) <= _NEAR
        for other in log.events
    )


def _locate(event: LogEvent, log: LogFacts) -> LocatedEvent:
    """Assigns an event to a hop and a broker: by the connection in its line, by its address, by its
    pattern, or by the nearest line before it."""
    connection, code = event.connection, _code(event)
    if code == "KD117" and log.login and not event.pattern.sure:
        code = "KD120"  # the client does log in, so a missing login is not the reason
    hop, node = connection.hop, connection.node
    if not hop and connection.address:
        hop, node = _hop_of_address(connection.address, event, log)
    hop = hop or event.pattern.hop or _HOP_OF_AREA.get(code[2], "")
    hop_known = bool(hop)
    if not hop and ":" not in connection.address:
        near = _event_before(event, log)
        if near:
            connection = near.connection
            hop, hop_known, node = connection.hop, True, connection.node
    if not hop:  # after metadata, most connections are to brokers, and some to other servers
        hop = "listeners" if log.metadata or _leans(connection.address) else "bootstrap"
    brokers = hop == BETWEEN_BROKERS
    if brokers:
        hop, hop_known = "listeners", False
    elif code == "KD401" and not (event.pattern.hop or _OF_A_PRODUCER.search(event.text)):
        hop = "listeners"  # a request of a consumer or an administrator
    elif code[2] in _HOP_OF_AREA:
        hop = event.pattern.hop or _HOP_OF_AREA[code[2]]
    address = connection.address or log.advertised.get(node if node is not None else -1, "")
    if not address and hop == "bootstrap" and hop_known and len(log.bootstrap) == 1:
        address = log.bootstrap[0]
    # An advertised address may prove a 3xx code, so the code is a guess without hop and address.
    guess = code in CODES_OF_ADDRESSES and (not hop_known or (hop == "listeners" and not address))
    # A size that is no size, and no known protocol either, may be of a damaged stream.
    guess = guess or ("size" in event.details and not protocol_in_size(event))
    sure = event.pattern.sure and not guess and _of_kafka(event, log)
    return LocatedEvent(event, code, hop, hop_known, node, address, sure, brokers)


def _of_kafka(event: LogEvent, log: LogFacts) -> bool:
    """Whether a line without a word of a Kafka client is about Kafka: it stands alone, or near a
    line of such a client."""
    if event.client not in ("", GO) or log.lines <= _SHORT:
        return True
    return any(
        other.client not in ("", GO) and abs(other.line - event.line) <= _MAX_DISTANCE
        for other in log.events
    )


def _code(event: LogEvent) -> str:
    """The code of an event. A client that reads another protocol as Kafka logs the first four bytes
    as a size, so the size proves which protocol the peer speaks. The server's own words decide why
    a login was refused."""
    protocol = protocol_in_size(event)
    if protocol and "TLS" in protocol:
        return "KD110" if "alert" in protocol else "KD111"
    if event.pattern.code == "KD120" and limits_connections(event.text):
        return "KD126"  # the server did not look at the credentials
    return event.pattern.code


def protocol_in_size(event: LogEvent) -> str | None:
    """The protocol whose first four bytes a client read as the size of a response."""
    size = event.details.get("size", "")
    return decode_size(int(size)) if size.isdecimal() and len(size) < 12 else None


def _hop_of_address(address: str, event: LogEvent, log: LogFacts) -> tuple[str, int | None]:
    """The hop and the node id of an address; "" and None if the log does not prove them. After a
    client has received metadata, it connects to brokers."""
    nodes = [node for node, advertised in log.advertised.items() if _same(address, advertised)]
    bootstrap = any(_same(address, server) for server in log.bootstrap)
    if bootstrap and not nodes:
        return "bootstrap", None
    after = 0 < log.metadata_first < event.last
    if nodes or ((log.configured or after) and not bootstrap):
        return "listeners", nodes[0] if len(nodes) == 1 else None
    return "", None


def _same(address: str, other: str) -> bool:
    """Whether two addresses are one; a host without a port is the same at every port."""
    return address == other or (":" not in address and address == other.rpartition(":")[0])


def _leans(address: str) -> bool:
    """Whether an address is more likely one that a broker advertises than one that somebody wrote
    into a client's settings: a container's id, 0.0.0.0, the name of a pod."""
    host = _host(address)
    if not host:
        return False
    if is_unusable(host, 1):
        return True
    return internal_name(host) in _PER_BROKER and "bootstrap" not in host


def _host(address: str) -> str:
    host, separator, port = address.rpartition(":")
    return (host if separator and port.isdecimal() else address).strip("[]")


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


def _silent_timeouts(log: LogFacts) -> Iterator[LocatedEvent]:
    """Timeouts that a client does not log: connections that the client tried, that Kafka never
    answered, and that have no failure of their own, in a log that reports a failure."""
    failed = any(is_outcome(e) and e.pattern.proves in ("", "lost") for e in log.events)
    failures = [event.connection for event in log.events if event.pattern.code]
    explained = {(c.hop, c.address) for c in failures} | {
        (c.hop, log.advertised.get(c.node, "")) for c in failures if c.node is not None
    }
    reached = {connection.address for connection in log.reached}
    for connection in log.dialled:
        hop, address = connection.hop, connection.address
        if not failed or not hop or address in reached or (hop, address) in explained:
            continue
        dialled = next(
            event
            for event in log.events
            if event.pattern.proves == "dialled" and event.connection == connection
        )
        code = "KD107" if address in log.connected else "KD104"
        yield LocatedEvent(dialled, code, hop, True, connection.node, address, False)


def _address_causes(event: LocatedEvent, log: LogFacts) -> Iterator[LocatedEvent]:
    """The 3xx code that explains why a connection to an advertised address fails. A host that
    refuses a connection was reached, so its address leads somewhere."""
    if event.hop != "listeners" or event.brokers:
        return
    host, port = _host(event.address), event.address.rpartition(":")[2]
    servers = [_host(server) for server in log.bootstrap]
    if event.code in ("KD110", "KD111"):
        yield replace(event, code="KD312")
    if event.code not in CODES_OF_ADDRESSES or (not event.hop_known and not _leans(event.address)
                                                and not log.metadata):  # fmt: skip
        return
    if host and is_unusable(host, int(port) if port.isdecimal() else 1):
        yield replace(event, code="KD303", sure=event.hop_known)
    elif is_loopback(host) and not any(is_loopback(server) for server in servers):
        yield replace(event, code="KD302", sure=event.hop_known and bool(servers))
    elif event.code == "KD101":
        if internal_name(host):  # where the broker runs in a container, it may just be down
            yield replace(event, code="KD304", sure=False)
    elif event.code == "KD103":
        yield replace(event, code="KD305")
    elif is_private(host) and not any(is_private(s) or is_loopback(s) for s in servers):
        public = any((ip := parse(server)) and not is_private(str(ip)) for server in servers)
        yield replace(event, code="KD301", sure=event.sure and public)
    elif event.code == "KD104":
        yield replace(event, code="KD306")


def is_outcome(event: LogEvent) -> bool:
    """True for a line that reports a failure without a code."""
    return kind_of(event) in FAILURES


def kind_of(event: LogEvent) -> str | None:
    """What the line of an event proves; None for a line of a finding. A size whose first byte is a
    control character, and that is not of TLS, is no other protocol: the message is that large."""
    if not event.pattern.code:
        return event.pattern.proves
    size = event.details.get("size", "")
    plausible = size.isdecimal() and len(size) < 10 and int(size) < 0x20 << 24
    return "large" if plausible and not protocol_in_size(event) else None

"""The running cluster as a walk observed it, for comparison with its configuration files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from kdiag.config.endpoint import Endpoint
from kdiag.config.record import NamedTuple
from kdiag.config.usage import UsageError

if TYPE_CHECKING:
    from kdiag.report.model import Report

KUBECTL = "kubectl:"  # begins the name of what kubectl has shown
MAX_BROKERS = 10_000

_HOST = re.compile(r"[A-Za-z0-9_.-]{1,255}\Z|[0-9A-Fa-f:.]{2,45}\Z")


class ObservedBroker(NamedTuple):
    """A broker of the metadata. `works`: a client on this machine reaches it at its advertised
    address; `reached` is an address where this very broker answered, None where there is none."""

    node: int
    advertised: Endpoint
    works: bool
    reached: Endpoint | None

    @property
    def instead(self) -> Endpoint | None:
        """The address to advertise for this client instead, None where none is proven."""
        return None if self.works else self.reached


class ObservedCluster(NamedTuple):
    """A running cluster. `entered` are the bootstrap servers with which a Kafka connection was set
    up, `brokers` those in their metadata."""

    entered: tuple[Endpoint, ...]
    brokers: tuple[ObservedBroker, ...]

    def broker(self, node: int | None) -> ObservedBroker | None:
        """The broker of this id, None where there is none."""
        return next((each for each in self.brokers if each.node == node), None)

    @property
    def nodes(self) -> tuple[int, ...]:
        return tuple(sorted(each.node for each in self.brokers))


def at(host: str, port: int) -> Endpoint | None:
    """An address that a file may have; None for what is no host or no port."""
    return Endpoint(host, port) if _HOST.match(host) and 0 < port < 65536 else None


def of_report(name: str, data: bytes) -> ObservedCluster:
    """The cluster of a report that was saved as JSON. Raises UsageError where `data` is no such
    report, or the report lists no broker."""
    from kdiag.report.load import read  # 120 ms, which kdiag lint without a report does not need

    report = read(data, name)
    brokers = tuple(_brokers(report))
    if not brokers:
        raise UsageError(f"{name}: this report lists no broker, so no fix can use it")
    entered = [_host_port(each.server) for each in report.bootstrap if _works(each.layers)]
    return ObservedCluster(tuple(found for found in entered if found), brokers)


def _brokers(report: Report) -> Iterator[ObservedBroker]:
    public = dict(_public(report))
    for broker in report.cluster.brokers[:MAX_BROKERS] if report.cluster else ():
        advertised = _host_port(broker.advertised, writable=False)
        if advertised is None:
            continue
        works = _works(broker.layers)
        answered = broker.candidates.items()
        proven = [_host_port(candidate) for candidate, node in answered if node == broker.node]
        reached = at(*advertised) if works else next(iter(proven), public.get(broker.node))
        yield ObservedBroker(broker.node, advertised, works, reached)


def _public(report: Report) -> Iterator[tuple[int, Endpoint]]:
    """The public address of a broker's private one, by AWS, where the walk reached it."""
    for row in report.aws.addresses if report.aws else ():
        node = row.subject.partition("broker ")[2]
        public = _host_port(f"{row.judged}:{row.port}")
        reached = row.judged != row.address and row.walk == "ok"
        if node.isdecimal() and len(node) < 12 and public and reached:
            yield int(node), public


def _works(layers: Mapping[str, str | None]) -> bool:
    """Whether every layer that was tried is well, Kafka among them; `denied` (the broker does not
    let this client see what it serves) is well, too."""
    return layers.get("kafka") == "ok" and {"ok", None, "denied"}.issuperset(layers.values())


def _host_port(text: str, writable: bool = True) -> Endpoint | None:
    """`host:port`; None where the text is not that, or (`writable`) where no file may have it."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) < 6) or len(host) > 255:
        return None
    endpoint = Endpoint(host.strip("[]"), int(port))
    return at(*endpoint) if writable else endpoint

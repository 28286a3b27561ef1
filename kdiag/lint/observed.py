"""What a walk met of the running cluster, in the terms of the files that configure it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kdiag.config.usage import UsageError
from kdiag.text import clean

KUBECTL = "kubectl:"  # begins the name of what kubectl has shown
MAX_BROKERS = 10_000

HostPort = tuple[str, int]  # a host and its port

_HOST = re.compile(r"[A-Za-z0-9_.-]{1,255}\Z|[0-9A-Fa-f:.]{2,45}\Z")


class ObservedBroker(NamedTuple):
    """A broker as the metadata has it. `works`: a client here reaches it at what it advertises;
    `reached` is an address where this very broker answered, None where it did at none."""

    node: int
    advertised: HostPort
    works: bool
    reached: HostPort | None

    @property
    def instead(self) -> HostPort | None:
        """The address that it should advertise for this client, None where none is proven."""
        return None if self.works else self.reached


class ObservedCluster(NamedTuple):
    """A running cluster. `entered` are the bootstrap servers that a Kafka connection came about
    with, `brokers` those that they told of."""

    entered: tuple[HostPort, ...]
    brokers: tuple[ObservedBroker, ...]

    def broker(self, node: int | None) -> ObservedBroker | None:
        """The broker of this id, None where there is none."""
        return next((each for each in self.brokers if each.node == node), None)

    @property
    def nodes(self) -> tuple[int, ...]:
        return tuple(sorted(each.node for each in self.brokers))


def at(host: str, port: int) -> HostPort | None:
    """Where a broker answered, to be written into a file; None for what is no host or no port."""
    return (host, port) if _HOST.match(host) and 0 < port < 65536 else None


def shown(where: HostPort) -> str:
    """`host:port`, with brackets around IPv6."""
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def of_report(name: str, text: str) -> ObservedCluster:
    """The cluster of a saved report. Raises UsageError where it is none, or tells of no broker."""
    import json

    try:
        report = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{name}: not JSON; save a report with kdiag check -o json") from None
    told = _object(report)
    if "schema_version" not in told or not isinstance(told.get("hops"), list):
        raise UsageError(f"{name}: no report of kdiag check; save one with kdiag check -o json")
    brokers = tuple(_brokers(told))
    if not brokers:
        raise UsageError(f"{name}: a report that tells of no broker: there is nothing to go by")
    servers = [_object(each) for each in _list(told.get("bootstrap"))]
    entered = [_where(each.get("server")) for each in servers if _fine(each.get("layers"))]
    return ObservedCluster(tuple(where for where in entered if where), brokers)


def _brokers(report: Mapping[str, Any]) -> Iterator[ObservedBroker]:
    public = dict(_public(report))
    for each in map(_object, _list(_object(report.get("cluster")).get("brokers"))[:MAX_BROKERS]):
        node, advertised = each.get("node"), _where(each.get("advertised"), writable=False)
        if not isinstance(node, int) or isinstance(node, bool) or advertised is None:
            continue
        works = _fine(each.get("layers"))
        answered = _object(each.get("candidates")).items()
        proven = [_where(told) for told, who in answered if who == node and who is not True]
        reached = at(*advertised) if works else next(iter(proven), public.get(node))
        yield ObservedBroker(node, advertised, works, reached)


def _public(report: Mapping[str, Any]) -> Iterator[tuple[int, HostPort]]:
    """The public addresses that AWS knows of private ones, where they were dialled and worked."""
    for row in map(_object, _list(_object(report.get("aws")).get("addresses"))):
        _, _, node = str(row.get("subject")).partition("broker ")
        where = _where(f"{row.get('judged')}:{row.get('port')}")
        moved = row.get("judged") != row.get("address")
        if node.isdecimal() and len(node) < 12 and where and moved and row.get("walk") == "ok":
            yield int(node), where


def _fine(layers: object) -> bool:
    """Whether every layer that was tried was well, the protocol among them; who is there need not
    be told (`denied`)."""
    told = _object(layers)
    return told.get("kafka") == "ok" and all(x in ("ok", None, "denied") for x in told.values())


def _where(said: object, writable: bool = True) -> HostPort | None:
    """`host:port`; None where it is not that, or where that is nothing to write into a file."""
    host, _, port = clean(said).rpartition(":") if isinstance(said, str) else ("", "", "")
    if not (port.isascii() and port.isdecimal() and len(port) < 6) or len(host) > 255:
        return None
    return at(host.strip("[]"), int(port)) if writable else (host.strip("[]"), int(port))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []

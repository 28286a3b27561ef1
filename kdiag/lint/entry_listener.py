"""Which of the listeners in a file a walk came in by, and which others there are for clients."""

from __future__ import annotations

from kdiag.address import internal_name, is_private
from kdiag.lint.broker import ConfiguredBroker
from kdiag.lint.observed import HostPort, shown
from kdiag.lint.strimzi import StrimziCluster, StrimziListener
from kdiag.lint.tree import Spot, number
from kdiag.rules.entry_listener import EntryListener


def entrance(cluster: StrimziCluster) -> tuple[Spot, EntryListener] | None:
    """The listener of a Strimzi cluster that a walk came in by, None where that is not known."""
    found = next((each for each in cluster.listeners if each.live), None)
    if found is None:
        return None
    others = [_called(each) for each in cluster.listeners if each.outside and each is not found]
    return found.node.start, EntryListener(found.name, "", not found.outside, tuple(others))


def door_in(broker: ConfiguredBroker) -> tuple[Spot, EntryListener] | None:
    """The listener of a broker that a walk came in by, None where that is not known."""
    value = broker.settings.get("advertised.listeners")
    told = [each for each in broker.advertised if each.name not in broker.controllers]
    found = next((each for each in told if broker.came_in(each)), None)
    if value is None or found is None:
        return None
    inside = [each for each in told if _is_inside(broker, each.host)]
    others = [each.said for each in told if each not in inside and each is not found]
    spot = value.spot(found.begin)
    return spot, EntryListener(found.name, "", found in inside and bool(others), tuple(others))


def _is_inside(broker: ConfiguredBroker, host: str) -> bool:
    return host in broker.names or internal_name(host) is not None or is_private(host)


def _called(listener: StrimziListener) -> str:
    """`external, at 3.10.139.221:32100`: by name, and where clients come in, if that is known."""
    hosts = listener.hosts()
    port = number(listener.configuration, "bootstrap", "nodePort") or listener.node_ports.get(None)
    known: list[HostPort] = list(listener.stands) or [(host, port) for host in hosts if port]
    return f"{listener.name}, at {shown(known[0])}" if known else listener.name

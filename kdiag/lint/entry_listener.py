"""The listener in a file at which a walk bootstrapped, and the other listeners for clients."""

from __future__ import annotations

from kdiag.address import internal_name, is_private
from kdiag.config.endpoint import Endpoint
from kdiag.lint.broker import ConfiguredBroker
from kdiag.lint.strimzi import StrimziCluster, StrimziListener
from kdiag.lint.tree import Spot, number
from kdiag.rules.entry_listener import EntryListener


def strimzi_entry(cluster: StrimziCluster) -> tuple[Spot, EntryListener] | None:
    """The listener of a Strimzi cluster at which a walk bootstrapped, None where not known."""
    found = next((each for each in cluster.listeners if each.live), None)
    if found is None:
        return None
    others = [
        _name_and_address(each) for each in cluster.listeners if each.outside and each is not found
    ]
    return found.node.start, EntryListener(found.name, "", not found.outside, tuple(others))


def broker_entry(broker: ConfiguredBroker) -> tuple[Spot, EntryListener] | None:
    """The listener of a broker at which a walk bootstrapped, None where not known."""
    value = broker.settings.get("advertised.listeners")
    listeners = [each for each in broker.advertised if each.name not in broker.controllers]
    found = next((each for each in listeners if broker.is_entry(each)), None)
    if value is None or found is None:
        return None
    inside = [each for each in listeners if _is_inside(broker, each.host)]
    others = [each.text for each in listeners if each not in inside and each is not found]
    spot = value.spot(found.begin)
    return spot, EntryListener(found.name, "", found in inside and bool(others), tuple(others))


def _is_inside(broker: ConfiguredBroker, host: str) -> bool:
    return host in broker.names or internal_name(host) is not None or is_private(host)


def _name_and_address(listener: StrimziListener) -> str:
    """`external, at 3.10.139.221:32100`: the name, and the bootstrap address if known."""
    hosts = listener.hosts()
    port = number(listener.configuration, "bootstrap", "nodePort") or listener.node_ports.get(None)
    known = list(listener.status_addresses) or [Endpoint(host, port) for host in hosts if port]
    return f"{listener.name}, at {known[0]}" if known else listener.name

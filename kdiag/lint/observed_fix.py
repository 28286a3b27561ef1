"""Edits with proven values of a walk: node ids, addresses at which the right broker answered,
ports."""

from __future__ import annotations

from collections.abc import Sequence

from kdiag.lint.edit import Edits, append, insert, item_lines, put, written
from kdiag.lint.observed import ObservedBroker
from kdiag.lint.strimzi import NODE_PORTS, BrokerEntry, StrimziListener
from kdiag.lint.tree import Items, Map, get


def advertised(listener: StrimziListener, each: BrokerEntry) -> Edits:
    """Edits that give an entry the address at which its broker was reached; none without one."""
    observed = listener.observed(each.id)
    address = observed.instead if observed else None
    if observed is None or address is None:
        return ()
    host, port = address
    edits = put(each.node, "advertisedHost", written(host))
    default_port = each.port("advertisedPort") or each.port("nodePort") or observed.advertised.port
    if edits and port != default_port:
        more = put(each.node, "advertisedPort", str(port))
        return (*edits, *more) if more else ()
    return edits


def entries(listener: StrimziListener, nodes: Sequence[int]) -> Edits:
    """Edits that add entries for these brokers; none unless all of them were reached."""
    reached = [each for node in nodes if (each := listener.observed(node)) and each.reached]
    if not reached or len(reached) < len(nodes):
        return ()
    fields = [_fields(each) for each in reached]
    found = get(listener.configuration, "brokers")
    if isinstance(found, Items) and found.items:
        return append(found, fields)
    if found is not None:
        return ()
    lines = "".join(f"\n  {line}" for line in item_lines(fields))
    if listener.configuration:
        return insert(listener.configuration, "brokers", lines)
    nested = lines.replace("\n", "\n  ")
    empty = get(listener.node, "configuration") is None
    return insert(listener.node, "configuration", f"\n  brokers:{nested}") if empty else ()


def bootstrap_port(listener: StrimziListener) -> int | None:
    """The NodePort at which the walk bootstrapped, None for another port or a broker's own."""
    live = listener.live
    own = {each.advertised.port for each in live.brokers} if live else set()
    found = [port for _, port in live.entered if port in NODE_PORTS] if live else []
    return next((port for port in found if port not in own), None)


def pinned(listener: StrimziListener) -> Edits:
    """Edits that write the current NodePort of the bootstrap into the resource."""
    port = bootstrap_port(listener)
    bootstrap = get(listener.configuration, "bootstrap")
    if port is None or listener.configuration is None:
        return ()
    if isinstance(bootstrap, Map):
        return insert(bootstrap, "nodePort", str(port))
    return (
        insert(listener.configuration, "bootstrap", f"\n  nodePort: {port}")
        if bootstrap is None
        else ()
    )


def _fields(broker: ObservedBroker) -> list[tuple[str, str]]:
    assert broker.reached
    host, port = broker.reached
    fields = [("broker", str(broker.node)), ("advertisedHost", written(host))]
    return fields + [("advertisedPort", str(port))] * (port != broker.advertised.port)

"""Finds out what a proxy in front of brokers does: by which names, and by which ports, it leads to
them. All of it only after a failure."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import islice

from kdiag.address import parse
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import AddressResult, EndpointResult, Failure, TlsHandshake
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, suspect
from kdiag.walk.facts.metadata import Broker
from kdiag.walk.handshake import DialTarget, HandshakeResult
from kdiag.walk.hop import Walk

# What a server that routes by name (SNI) does to a name that it has no route for.
_PERHAPS_ROUTED = (Failure.HANDSHAKE, Failure.CLOSED, Failure.RESET)
MAX_NAMES = 3  # other names for one address
MAX_OTHER_PORTS = 16  # hosts that are dialled at the port of the bootstrap server

Dial = Callable[[Broker, Endpoint], Awaitable[EndpointResult]]
Judged = Callable[[EndpointResult, Broker], EndpointResult]


async def under_other_names(
    walk: Walk, target: DialTarget, result: HandshakeResult
) -> HandshakeResult:
    """The result; where the peer ends the TLS handshake, with the handshake that it completes under
    another name."""
    dial = result.dial
    if dial.handshake and not dial.failed:
        walk.wire.names.setdefault(target.endpoint.host)
    if not (dial.failed and dial.failed.layer == "tls" and dial.failed.failure in _PERHAPS_ROUTED):
        return result
    if dial.handshake or not walk.allowance.may_be_renamed():
        return result
    other = await _other_name(walk, target)
    return result._replace(dial=_renamed(dial, other)) if other else result


async def _other_name(walk: Walk, target: DialTarget) -> TlsHandshake | None:
    """The handshake under no name, or under one that another server of this walk has, where the
    peer completes it and then ends one under its own name once more."""
    address, (host, port) = target.address, target.endpoint
    others = [name for name in ("", *walk.wire.names) if name != host]
    for name in others[:MAX_NAMES]:
        if not name and parse(host):
            continue  # an address is never sent as a name
        other = await walk.net.handshake_as(address, port, name)
        if other:
            own = await walk.net.handshake_as(address, port, host)
            return None if own else other
    return None


def _renamed(dial: AddressResult, other: TlsHandshake) -> AddressResult:
    """The dial, with the handshake that the peer completes under another name."""
    *before, tls = dial.attempts
    named = f"for {other.name}" if other.name else "without a name (SNI)"
    detail = f"{tls.detail}; it completes one {named}"
    tls = tls._replace(failure=Failure.HANDSHAKE, detail=detail)
    return dial._replace(attempts=(*before, tls), other_name=other)


async def at_bootstrap_ports(
    known: tuple[Listener, ...], bootstrap: Bootstrap, dial: Dial, judged: Judged
) -> tuple[Listener, ...]:
    """Where no advertised address works: the advertised hosts whose port is closed, at the port of
    the bootstrap server. A proxy may listen on another port than the brokers advertise."""
    if any(listener.contact.usable for listener in known):
        return known
    ports = dict.fromkeys(contact.endpoint.port for contact in bootstrap.usable)
    further: dict[Endpoint, list[Listener]] = defaultdict(list)
    for x in known:
        failed, advertised = x.contact.failed, x.broker.advertised
        closed = failed and failed.layer == "tcp" and failed.failure is Failure.REFUSED
        if closed and not suspect(advertised, bootstrap):
            tried = {advertised, *(candidate.endpoint for candidate in x.candidates)}
            for endpoint in (Endpoint(advertised.host, port) for port in ports):
                if endpoint not in tried:
                    further[endpoint].append(x)
    asking = dict(islice(further.items(), MAX_OTHER_PORTS))
    found = await asyncio.gather(*(dial(of[0].broker, each) for each, of in asking.items()))
    for reached, of in zip(found, asking.values()):
        known = tuple(
            x._replace(candidates=(*x.candidates, judged(reached, x.broker)))
            if x.broker in [each.broker for each in of]
            else x
            for x in known
        )
    return known

"""Hop 5, aws: beside the walk, what EC2 says of the addresses that the client is sent to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kdiag.address import ec2_address, parse
from kdiag.attempt import Contact
from kdiag.hop import Walk, hop
from kdiag.hops.bootstrap import Bootstrap
from kdiag.hops.listeners import Listener, Listeners, identified
from kdiag.hops.metadata import Metadata
from kdiag.settings import Endpoint

if TYPE_CHECKING:
    from kdiag.cloud import Snapshot, Source


@dataclass(frozen=True)
class Aws:
    """The facts of the AWS hop. `addresses` maps every host that the walk was given or told
    (bootstrap and advertised) to the IP addresses that it stands for; `elapsed` is in seconds.
    `proofs` has, for a broker (node id) whose advertised address is private, what was met at the
    public address of the same interface."""

    snapshot: Snapshot
    source: Source
    addresses: Mapping[str, tuple[str, ...]]
    elapsed: float
    proofs: Mapping[int, Contact] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What was learnt, in one line."""
        found = sum(any(self.snapshot.behind(a) for a in ips) for ips in self.addresses.values())
        regions = ", ".join(self.snapshot.regions) or "no region"
        return f"{found} of {len(self.addresses)} addresses found in {regions}"

    @property
    def failed(self) -> tuple[str, ...]:
        """Nothing fails here by itself: what AWS says is for the rules to judge."""
        return ()


@hop("aws")
async def aws(
    walk: Walk, bootstrap: Bootstrap, metadata: Metadata | None, listeners: Listeners | None
) -> Aws | None:
    """Asks AWS about every address, then dials the public ones of private addresses that fail."""
    if walk.cloud is None:
        return None
    loop = asyncio.get_running_loop()
    started = loop.time()
    addresses = _addresses(bootstrap, listeners)
    snapshot, source = await walk.cloud.look(addresses)
    proofs: dict[int, Contact] = {}
    if metadata and listeners:
        proofs = await _proofs(walk, bootstrap, metadata, listeners, snapshot, addresses)
    return Aws(snapshot, source, addresses, loop.time() - started, proofs)


def _addresses(
    bootstrap: Bootstrap, listeners: Listeners | None
) -> dict[str, tuple[str, ...]]:  # fmt: skip
    """Every host that the walk was given or told, and the addresses that it stands for; an EC2 name
    that is unknown here carries its own."""
    contacts = [
        *bootstrap.contacts,
        *(x.contact for x in (listeners.listeners if listeners else ())),
    ]
    found: dict[str, tuple[str, ...]] = {}
    for contact in contacts:
        host = contact.endpoint.host
        told = ec2_address(host) or (host if parse(host) else "")
        dialled = tuple(dial.address for dial in contact.dials)
        found[host] = dialled or ((told,) if told else ())
    return found


async def _proofs(
    walk: Walk,
    bootstrap: Bootstrap,
    metadata: Metadata,
    listeners: Listeners,
    snapshot: Snapshot,
    addresses: Mapping[str, tuple[str, ...]],
) -> dict[int, Contact]:
    """Dials the public address behind every private one that does not work, on the same port, and
    asks who answers there."""
    wanted = [
        (listener, endpoint)
        for listener in listeners.listeners
        if not listener.contact.usable
        for endpoint in list(_public(listener, snapshot, addresses))[:1]
    ]
    gate = asyncio.Semaphore(max(1, walk.net.capacity // 2))

    async def met(listener: Listener, endpoint: Endpoint) -> Contact:
        async with gate:
            reached, conversation = await identified(
                walk, listener.broker, endpoint, bootstrap.apis, metadata
            )
            if conversation:
                conversation.close()
            return reached

    contacts = await asyncio.gather(*(met(listener, endpoint) for listener, endpoint in wanted))
    nodes = (listener.broker.node for listener, _ in wanted)
    return dict(zip(nodes, contacts, strict=True))


def _public(
    listener: Listener, snapshot: Snapshot, addresses: Mapping[str, tuple[str, ...]]
) -> Iterator[Endpoint]:
    """The public addresses of the one interface that has its private one."""
    endpoint = listener.broker.advertised
    for address in addresses.get(endpoint.host, ()):
        there = snapshot.behind(address)
        public = there[0].public.get(address) if len(there) == 1 else None
        if public and 0 < endpoint.port < 65536:
            yield Endpoint(public, endpoint.port)

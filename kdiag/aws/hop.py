"""Hop 5, aws: beside the walk, what EC2 says of the addresses that the client is sent to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from kdiag.address import ec2_address, ec2_public_address, parse
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import EndpointResult
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.hop import Walk, hop
from kdiag.walk.listeners import Listener, Listeners, identified
from kdiag.walk.metadata import Metadata

if TYPE_CHECKING:
    from kdiag.aws.facts import AwsClient, ClientAddress, Snapshot

SPARE = 0.1  # seconds before the deadline


class AwsFacts(NamedTuple):
    """The facts of the AWS hop. `addresses` maps every host that the walk was given or told
    (bootstrap and advertised) to the IP addresses that it stands for; `elapsed` is in seconds.
    `proofs` has, for a broker (node id) whose advertised address is private, what was met at the
    public address of the same interface."""

    snapshot: Snapshot
    source: ClientAddress
    addresses: Mapping[str, tuple[str, ...]]
    elapsed: float
    proofs: Mapping[int, EndpointResult] = MappingProxyType({})

    @property
    def summary(self) -> str:
        """What was learnt, in one line."""
        found = sum(any(self.snapshot.behind(a) for a in ips) for ips in self.addresses.values())
        if not self.snapshot.regions:
            return "AWS told nothing"
        unknown = "" if self.source.network or not found else "; your own is not known"
        where = ", ".join(self.snapshot.regions)
        return f"{found} of {len(self.addresses)} addresses found in {where}{unknown}"

    @property
    def failed(self) -> tuple[str, ...]:
        """Nothing fails here by itself: what AWS says is for the rules to judge."""
        return ()


class AwsAnswer(NamedTuple):
    """What AWS said of these addresses; the loop's seconds when it was first asked, and told."""

    snapshot: Snapshot
    source: ClientAddress
    addresses: Mapping[str, tuple[str, ...]]
    started: float
    ended: float


class AwsCompanion:
    """Asks AWS beside one walk (walk.hop.Companion)."""

    spare = SPARE

    def __init__(self, cloud: AwsClient) -> None:
        self._cloud = cloud
        self._looking: asyncio.Task[AwsAnswer] | None = None

        @hop("aws")
        async def aws(
            walk: Walk, bootstrap: Bootstrap, metadata: Metadata | None, listeners: Listeners | None
        ) -> AwsFacts:
            return await self._collect(walk, bootstrap, metadata, listeners)

        self.hop = aws

    def begin(self, walk: Walk, facts: Mapping[type, Any]) -> None:
        """Starts to ask AWS beside the hops that are still to come: whom to ask about is known as
        soon as brokers are listed, or are known not to be."""
        self._begin(walk, facts[Bootstrap], facts.get(Metadata))

    def end(self) -> None:
        """Stops asking."""
        if self._looking:
            self._looking.cancel()

    def _begin(
        self, walk: Walk, bootstrap: Bootstrap, metadata: Metadata | None
    ) -> asyncio.Task[AwsAnswer]:
        if self._looking is None:
            looking = _ahead(walk, self._cloud, bootstrap, metadata)
            self._looking = asyncio.ensure_future(looking)
        return self._looking

    async def _collect(
        self,
        walk: Walk,
        bootstrap: Bootstrap,
        metadata: Metadata | None,
        listeners: Listeners | None,
    ) -> AwsFacts:
        """What AWS says of every address; dials the public ones of private addresses that fail."""
        looked = await self._begin(walk, bootstrap, metadata)
        addresses = _addresses(bootstrap, listeners) if listeners else looked.addresses
        if any(set(ips) - set(looked.addresses.get(host, ())) for host, ips in addresses.items()):
            # A name resolves to another address than before.
            looked = await _looked(self._cloud, addresses, looked.started)
        ended = looked.ended
        proofs: dict[int, EndpointResult] = {}
        if metadata and listeners:
            proving = _proofs(walk, bootstrap, metadata, listeners, looked.snapshot, addresses)
            with suppress(asyncio.TimeoutError):  # what AWS says counts without any proof
                proofs = await asyncio.wait_for(proving, _left(walk))
        if proofs:
            ended = asyncio.get_running_loop().time()
        return AwsFacts(looked.snapshot, looked.source, addresses, ended - looked.started, proofs)


async def _ahead(
    walk: Walk, cloud: AwsClient, bootstrap: Bootstrap, metadata: Metadata | None
) -> AwsAnswer:
    """Resolves what is advertised, as hop 3 does at the same time, and asks AWS."""
    started = asyncio.get_running_loop().time()
    addresses = _addresses(bootstrap, None)
    brokers = metadata.brokers if metadata else ()
    hosts = sorted({b.advertised.host for b in brokers} - addresses.keys())
    resolved = await asyncio.gather(*(walk.net.resolve(host) for host in hosts))
    for host, (_, found) in zip(hosts, resolved, strict=True):
        addresses[host] = found or _carried(host)
    return await _looked(cloud, addresses, started)


async def _looked(
    cloud: AwsClient, addresses: Mapping[str, tuple[str, ...]], started: float
) -> AwsAnswer:  # fmt: skip
    snapshot, source = await cloud.look(addresses)
    return AwsAnswer(snapshot, source, addresses, started, asyncio.get_running_loop().time())


def _left(walk: Walk) -> float | None:
    """Seconds until shortly before the deadline, so that what is known by then is kept."""
    left = walk.until - asyncio.get_running_loop().time() - SPARE
    return max(0.0, left) if math.isfinite(left) else None


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
        found[host] = tuple(dial.address for dial in contact.dials) or _carried(host)
    return found


def _carried(host: str) -> tuple[str, ...]:
    """The address that a host is by itself, or carries in its name."""
    told = ec2_address(host) or ec2_public_address(host) or (host if parse(host) else "")
    return (told,) if told else ()


async def _proofs(
    walk: Walk,
    bootstrap: Bootstrap,
    metadata: Metadata,
    listeners: Listeners,
    snapshot: Snapshot,
    addresses: Mapping[str, tuple[str, ...]],
) -> dict[int, EndpointResult]:
    """Dials the public address behind every private one that does not work, on the same port, and
    asks who answers there."""
    wanted = [
        (listener, endpoint)
        for listener in listeners.listeners
        if not listener.contact.usable
        for endpoint in list(_public(listener, snapshot, addresses))[:1]
    ]
    contacts = await asyncio.gather(
        *(
            identified(walk, listener.broker, endpoint, bootstrap.apis, metadata)
            for listener, endpoint in wanted
        )
    )
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

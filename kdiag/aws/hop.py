"""Hop 5, aws: calls the AWS API in parallel with the walk, for all addresses of the walk."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from kdiag.address import ec2_address, ec2_public_address, parse
from kdiag.config.record import NamedTuple
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import EndpointResult
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, Listeners
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.hop import Walk, hop
from kdiag.walk.listeners import identified

if TYPE_CHECKING:
    from kdiag.aws.facts import AwsClient, ClientAddress, Snapshot

SPARE = 0.1  # seconds that remain before the deadline


class AwsFacts(NamedTuple):
    """The facts of the AWS hop. `addresses` maps every bootstrap and advertised host to its IP
    addresses; `elapsed` is in seconds. `public_results` maps the node id of a broker with a private
    advertised address to the result of dialling the public address of the same interface."""

    snapshot: Snapshot
    source: ClientAddress
    addresses: Mapping[str, tuple[str, ...]]
    elapsed: float
    public_results: Mapping[int, EndpointResult] = MappingProxyType({})

    @property
    def summary(self) -> str:
        """One line for the report: how many addresses AWS has."""
        found = sum(
            any(self.snapshot.interfaces_with(a) for a in ips) for ips in self.addresses.values()
        )
        if not self.snapshot.regions:
            return "AWS answered nothing"
        unknown = "" if self.source.network or not found else "; your own is not known"
        regions = ", ".join(self.snapshot.regions)
        return f"{found} of {len(self.addresses)} addresses found in {regions}{unknown}"

    @property
    def failed(self) -> tuple[str, ...]:
        """Empty: the facts of AWS are no failure by themselves; the KD5xx rules judge them."""
        return ()


class AddressDescription(NamedTuple):
    """The facts of AWS about some addresses. `started` and `ended` are times of the event loop, in
    seconds, of the first call and of the answer."""

    snapshot: Snapshot
    source: ClientAddress
    addresses: Mapping[str, tuple[str, ...]]
    started: float
    ended: float


class AwsCompanion:
    """Runs the AWS hop in parallel with one walk (an implementation of walk.hop.Companion)."""

    spare = SPARE

    def __init__(self, cloud: AwsClient) -> None:
        self._cloud = cloud
        self._task: asyncio.Task[AddressDescription] | None = None

        @hop("aws")
        async def aws(
            walk: Walk, bootstrap: Bootstrap, metadata: Metadata | None, listeners: Listeners | None
        ) -> AwsFacts:
            return await self._collect(walk, bootstrap, metadata, listeners)

        self.hop = aws

    def begin(self, walk: Walk, facts: Facts) -> None:
        """Starts the calls to AWS in parallel with the later hops. The addresses are known after
        the metadata hop, or when that hop has failed."""
        self._begin(walk, facts[Bootstrap], facts.get(Metadata))

    def end(self) -> None:
        """Cancels the calls to AWS."""
        if self._task:
            self._task.cancel()

    def _begin(
        self, walk: Walk, bootstrap: Bootstrap, metadata: Metadata | None
    ) -> asyncio.Task[AddressDescription]:
        if self._task is None:
            description = _describe_early(walk, self._cloud, bootstrap, metadata)
            self._task = asyncio.ensure_future(description)
        return self._task

    async def _collect(
        self,
        walk: Walk,
        bootstrap: Bootstrap,
        metadata: Metadata | None,
        listeners: Listeners | None,
    ) -> AwsFacts:
        """Waits for the facts of AWS, and dials the public addresses of private ones that fail."""
        described = await self._begin(walk, bootstrap, metadata)
        addresses = _addresses(bootstrap, listeners) if listeners else described.addresses
        if any(
            set(ips) - set(described.addresses.get(host, ())) for host, ips in addresses.items()
        ):
            # A host now resolves to another address.
            described = await _describe(self._cloud, addresses, described.started)
        ended = described.ended
        walk = walk.after(bootstrap)
        public_results: dict[int, EndpointResult] = {}
        if metadata and listeners:
            dialling = _dial_public_addresses(
                walk, bootstrap, metadata, listeners, described.snapshot, addresses
            )
            with suppress(asyncio.TimeoutError):  # the facts of AWS are valid without these results
                public_results = await asyncio.wait_for(dialling, _time_left(walk))
        if public_results:
            ended = asyncio.get_running_loop().time()
        return AwsFacts(
            described.snapshot,
            described.source,
            addresses,
            ended - described.started,
            public_results,
        )


async def _describe_early(
    walk: Walk, cloud: AwsClient, bootstrap: Bootstrap, metadata: Metadata | None
) -> AddressDescription:
    """Resolves the advertised hosts, in parallel with hop 3, and calls AWS."""
    started = asyncio.get_running_loop().time()
    addresses = _addresses(bootstrap, None)
    brokers = metadata.brokers if metadata else ()
    hosts = sorted({b.advertised.host for b in brokers} - addresses.keys())
    resolved = await asyncio.gather(*(walk.net.resolve(host) for host in hosts))
    for host, (_, found) in zip(hosts, resolved, strict=True):
        addresses[host] = found or _address_in_name(host)
    return await _describe(cloud, addresses, started)


async def _describe(
    cloud: AwsClient, addresses: Mapping[str, tuple[str, ...]], started: float
) -> AddressDescription:  # fmt: skip
    """Calls AWS for these addresses."""
    snapshot, source = await cloud.describe(addresses)
    return AddressDescription(
        snapshot, source, addresses, started, asyncio.get_running_loop().time()
    )


def _time_left(walk: Walk) -> float | None:
    """Seconds until SPARE before the deadline, None without a deadline. The spare time is needed to
    return the facts that are known by then."""
    left = walk.until - asyncio.get_running_loop().time() - SPARE
    return max(0.0, left) if math.isfinite(left) else None


def _addresses(
    bootstrap: Bootstrap, listeners: Listeners | None
) -> dict[str, tuple[str, ...]]:  # fmt: skip
    """Maps every bootstrap and advertised host to its IP addresses. An EC2 host name that does not
    resolve contains its address."""
    contacts = [
        *bootstrap.contacts,
        *(x.contact for x in (listeners.listeners if listeners else ())),
    ]
    addresses: dict[str, tuple[str, ...]] = {}
    for contact in contacts:
        host = contact.endpoint.host
        addresses[host] = tuple(dial.address for dial in contact.dials) or _address_in_name(host)
    return addresses


def _address_in_name(host: str) -> tuple[str, ...]:
    """The address that a host is, or that an EC2 host name contains; empty for other names."""
    address = ec2_address(host) or ec2_public_address(host) or (host if parse(host) else "")
    return (address,) if address else ()


async def _dial_public_addresses(
    walk: Walk,
    bootstrap: Bootstrap,
    metadata: Metadata,
    listeners: Listeners,
    snapshot: Snapshot,
    addresses: Mapping[str, tuple[str, ...]],
) -> dict[int, EndpointResult]:
    """Dials the public address of every broker whose private address fails, on the same port, and
    checks which broker answers. The results are by node id."""
    wanted = [
        (listener, endpoint)
        for listener in listeners.listeners
        if not listener.contact.usable
        for endpoint in list(_public_endpoints(listener, snapshot, addresses))[:1]
    ]
    contacts = await asyncio.gather(
        *(
            identified(walk, listener.broker, endpoint, bootstrap.apis, metadata)
            for listener, endpoint in wanted
        )
    )
    nodes = (listener.broker.node for listener, _ in wanted)
    return dict(zip(nodes, contacts, strict=True))


def _public_endpoints(
    listener: Listener, snapshot: Snapshot, addresses: Mapping[str, tuple[str, ...]]
) -> Iterator[Endpoint]:
    """The public address of each private address of a listener, if exactly one interface has it."""
    endpoint = listener.broker.advertised
    for address in addresses.get(endpoint.host, ()):
        interfaces = snapshot.interfaces_with(address)
        public = interfaces[0].public.get(address) if len(interfaces) == 1 else None
        if public and 0 < endpoint.port < 65536:
            yield Endpoint(public, endpoint.port)

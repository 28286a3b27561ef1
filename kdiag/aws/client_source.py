"""Who comes, as an interface in AWS would see it: the addresses that a client may have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from kdiag.address import is_private
from kdiag.aws.facts import ClientAddress, Interface, Snapshot
from kdiag.aws.ranges import Span, internet, span, spans, within


@dataclass(frozen=True)
class ClientSource:
    """A client: the addresses that it may have, which are the whole internet's where `network` is
    "", and its interface where it is one in AWS. `inside`: it is in the VPC it comes to."""

    spans: tuple[Span, ...]
    network: str = ""
    interface: Interface | None = None
    inside: bool = False

    @property
    def known(self) -> bool:
        return bool(self.network)

    @property
    def words(self) -> str:
        return self.network or "the internet"

    @property
    def private(self) -> bool:
        return self.known and is_private(self.network.partition("/")[0])


def client_source(
    snapshot: Snapshot, source: ClientAddress, interface: Interface, address: str
) -> ClientSource:
    """The client at `source` as it comes to an address of an interface.

    Who dials a public address from inside AWS comes by the internet gateway, as the public address
    that it has itself; where it has none, as some NAT gateway's, which is not known.
    """
    version = ip_address(address).version
    stranger = ClientSource(internet(version))
    network = _network(source.network)
    if network is None or network.version != version:
        return stranger
    own = _own(snapshot, interface, network)
    reached_outside = address in interface.public.values()
    if reached_outside and (is_private(str(network.network_address)) or own):
        public = own.public.get(str(network.network_address), "") if own else ""
        return ClientSource((span(public),), public) if public else stranger
    inside = own.vpc == interface.vpc if own else _in_vpc(snapshot, interface, network)
    return ClientSource((span(str(network)),), _short(network), own, inside)


def of_address(address: str) -> ClientSource:
    """The other end, as whom a client's own network sees it."""
    return ClientSource((span(address),), address)


def joined(snapshot: Snapshot, one: str, other: str) -> bool:
    """Whether two VPCs are one, or peered."""
    return one == other or any({one, other} == set(pair) for pair in snapshot.peered)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    return ip_network(text, strict=False) if text else None


def _own(
    snapshot: Snapshot, interface: Interface, network: IPv4Network | IPv6Network
) -> Interface | None:
    """The client's interface, by an address that is its own; of several the one in this VPC."""
    address = str(network.network_address)
    if network.num_addresses > 1:
        return None
    there = [i for i in snapshot.behind(address) if address not in i.public.values()]
    return min(there, key=lambda found: found.vpc != interface.vpc, default=None)


def _in_vpc(
    snapshot: Snapshot, interface: Interface, network: IPv4Network | IPv6Network
) -> bool:  # fmt: skip
    own, like = span(str(network)), str(network.network_address)
    locals_ = (each for local in _locals(snapshot, interface.vpc) for each in spans(local, like))
    return any(within(own, each) for each in locals_)


def _locals(snapshot: Snapshot, vpc: str) -> Iterator[str]:
    """The networks of a VPC: each of its route tables has them as local routes."""
    for table in snapshot.tables:
        if table.vpc == vpc:
            yield from (route.network for route in table.routes if route.target == "local")


def _short(network: IPv4Network | IPv6Network) -> str:
    return str(network) if network.num_addresses > 1 else str(network.network_address)

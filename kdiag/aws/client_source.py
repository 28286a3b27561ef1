"""The source address of a client, as a network interface in AWS sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from kdiag.address import is_private
from kdiag.aws.facts import ClientAddress, NetworkInterface, Snapshot
from kdiag.aws.ranges import Range, address_range, address_ranges, internet_ranges, within


@dataclass(frozen=True)
class ClientSource:
    """The source of a connection. `ranges` are the addresses that the client may have: all public
    addresses if `network` is "". `interface` is the client's network interface if the client runs
    in AWS; `inside` is True if the client is in the VPC of the broker."""

    ranges: tuple[Range, ...]
    network: str = ""
    interface: NetworkInterface | None = None
    inside: bool = False

    @property
    def known(self) -> bool:
        """Whether the source address is known."""
        return bool(self.network)

    @property
    def label(self) -> str:
        """The network, or `the internet`."""
        return self.network or "the internet"

    @property
    def private(self) -> bool:
        """Whether the source address is a private one."""
        return self.known and is_private(self.network.partition("/")[0])


def client_source(
    snapshot: Snapshot, source: ClientAddress, interface: NetworkInterface, address: str
) -> ClientSource:
    """The source of a client at `source` that dials `address` of a network interface.

    A client in AWS that dials a public address goes through the internet gateway: its source is its
    own public address. Without a public address it goes through a NAT gateway, whose address is not
    known.
    """
    version = ip_address(address).version
    unknown = ClientSource(internet_ranges(version))
    network = ip_network(source.network, strict=False) if source.network else None
    if network is None or network.version != version:
        return unknown
    own = _own_interface(snapshot, interface, network)
    through_internet = address in interface.public.values()
    if through_internet and (is_private(str(network.network_address)) or own):
        public = own.public.get(str(network.network_address), "") if own else ""
        return ClientSource((address_range(public),), public) if public else unknown
    inside = own.vpc == interface.vpc if own else _in_vpc(snapshot, interface, network)
    return ClientSource((address_range(str(network)),), _format_network(network), own, inside)


def broker_source(address: str) -> ClientSource:
    """The broker at `address` as the peer of the client's own network interface."""
    return ClientSource((address_range(address),), address)


def same_or_peered(snapshot: Snapshot, vpc: str, other_vpc: str) -> bool:
    """Whether two VPCs are the same VPC, or have a peering connection."""
    return vpc == other_vpc or any({vpc, other_vpc} == set(pair) for pair in snapshot.peered)


def _own_interface(
    snapshot: Snapshot, interface: NetworkInterface, network: IPv4Network | IPv6Network
) -> NetworkInterface | None:
    """The client's network interface. If several interfaces have the address, the one in the VPC of
    the broker."""
    address = str(network.network_address)
    if network.num_addresses > 1:
        return None
    own = [i for i in snapshot.interfaces_with(address) if address not in i.public.values()]
    return min(own, key=lambda found: found.vpc != interface.vpc, default=None)


def _in_vpc(
    snapshot: Snapshot, interface: NetworkInterface, network: IPv4Network | IPv6Network
) -> bool:  # fmt: skip
    """Whether a network is in the VPC of an interface."""
    client, address = address_range(str(network)), str(network.network_address)
    return any(
        within(client, addresses)
        for vpc_network in _vpc_networks(snapshot, interface.vpc)
        for addresses in address_ranges(vpc_network, address)
    )


def _vpc_networks(snapshot: Snapshot, vpc: str) -> Iterator[str]:
    """The networks of a VPC. Every route table of the VPC has them as local routes."""
    for table in snapshot.tables:
        if table.vpc == vpc:
            yield from (route.network for route in table.routes if route.target == "local")


def _format_network(network: IPv4Network | IPv6Network) -> str:
    return str(network) if network.num_addresses > 1 else str(network.network_address)

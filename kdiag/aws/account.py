"""Collects the facts of an AWS account about the addresses of a cluster.

The facts are the network interfaces with the addresses, and their security groups, network ACLs,
route tables, instances, load balancers and MSK clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from kdiag.address import aws_region, is_balancer, is_private, msk_label, parse
from kdiag.aws import responses
from kdiag.aws.ec2 import ApiResponse, AwsApi, items_of
from kdiag.aws.facts import (
    Instance,
    LoadBalancer,
    MskCluster,
    NetworkAcl,
    NetworkInterface,
    RouteTable,
    SecurityGroup,
    Snapshot,
    UnavailableCall,
)
from kdiag.aws.managed import balancers, clusters

# Brokers may advertise these addresses by mistake. No network interface in AWS has them.
_LOCAL_ADDRESSES = ("127.0.0.1", "::1", "0.0.0.0", "::")
_BALANCER_PREFIX = "ELB "  # the start of the description of a load balancer's interface


@dataclass(frozen=True)
class AddressQuery:
    """The IP addresses and host names to look for in AWS. `own` is the private address of the
    client, which may run in AWS; "" for no address."""

    public: frozenset[str]
    private: frozenset[str]
    v6: frozenset[str]
    hosts: frozenset[str]
    own: str = ""

    @classmethod
    def of(cls, addresses: Mapping[str, Iterable[str]], own: str = "") -> AddressQuery:
        """The query for hosts with their IP addresses, and for the client's address."""
        parsed = {str(ip) for ips in addresses.values() for a in ips if (ip := parse(a))}
        known = frozenset(parsed.difference(_LOCAL_ADDRESSES))
        v6 = frozenset(a for a in known if ":" in a)
        private = frozenset(a for a in known - v6 if is_private(a))
        hosts = frozenset(host.rstrip(".").lower() for host in addresses)
        own_private = own if is_private(own) and ":" not in own and own not in known else ""
        return cls(known - v6 - private, private, v6, hosts, own_private)

    @property
    def unique_addresses(self) -> frozenset[str]:
        """The public and IPv6 addresses, which only one VPC can have."""
        return self.public | self.v6

    @property
    def private_addresses(self) -> frozenset[str]:
        """The private addresses, including the client's."""
        return self.private | ({self.own} if self.own else frozenset())


@dataclass
class RegionFacts:
    """The facts of one region. `group_names` maps the id of a security group to its name."""

    name: str
    interfaces: dict[str, NetworkInterface] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    group_names: dict[str, str] = field(default_factory=dict)
    groups: dict[str, SecurityGroup] = field(default_factory=dict)
    acls: list[NetworkAcl] = field(default_factory=list)
    tables: list[RouteTable] = field(default_factory=list)
    prefix_lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    peered: list[tuple[str, str]] = field(default_factory=list)
    balancers: list[LoadBalancer] = field(default_factory=list)
    clusters: list[MskCluster] = field(default_factory=list)

    def has_matches(self, query: AddressQuery) -> bool:
        """Whether the region has an address, load balancer or MSK cluster of the query. The own
        address of the client does not count."""
        addresses = {a for interface in list(self.interfaces.values()) for a in interface.addresses}
        return bool(
            addresses & (query.unique_addresses | query.private) or self.balancers or self.clusters
        )


def snapshot(
    api: AwsApi, addresses: Mapping[str, Iterable[str]], region: str, own: str
) -> Snapshot:
    """Collects the facts about hosts with their IP addresses. `own` is the client's address.

    The calls go to `region`; if it is "", to the regions in the host names; if there are none, to
    the configured region, and then to all regions if that one has no matches.
    Source: the EC2 API reference; a filter takes 200 values.
    """
    query = AddressQuery.of(addresses, own)
    named_regions = sorted({aws_region(host) for host in query.hosts} - {""})
    configured = [api.configured_region] if api.configured_region else []
    names = [region] if region else named_regions or configured
    regions = _search(api, query, names)
    complete = region or named_regions or any(each.has_matches(query) for each in regions)
    if not complete and (query.unique_addresses or query.private) and not api.has_no_answers:
        others = [name for name in api.regions() if name not in names]
        regions += _search(api, query, others)
    with_matches = [each for each in regions if each.has_matches(query)]
    regions = with_matches or [each for each in regions if each.interfaces]
    _drop_other_vpcs(query, regions)
    api.run_parallel(*(partial(_describe_details, api, each) for each in regions))
    return Snapshot(
        regions=tuple(sorted(each.name for each in with_matches) or names),
        interfaces=tuple(i for each in regions for i in each.interfaces.values()),
        instances={k: v for each in regions for k, v in each.instances.items()},
        groups={k: v for each in regions for k, v in each.groups.items()},
        acls=tuple(acl for each in regions for acl in each.acls),
        tables=tuple(table for each in regions for table in each.tables),
        prefix_lists={k: v for each in regions for k, v in each.prefix_lists.items()},
        peered=tuple(sorted({pair for each in regions for pair in each.peered})),
        balancers=tuple(balancer for each in regions for balancer in each.balancers),
        clusters=tuple(cluster for each in regions for cluster in each.clusters),
        unavailable=tuple(_relevant_failures(api, query, with_matches)),
        calls=api.calls,
    )


def _relevant_failures(
    api: AwsApi, query: AddressQuery, with_matches: Sequence[RegionFacts]
) -> list[UnavailableCall]:
    """The failed calls that may hide facts. If all addresses are found, failed calls in other
    regions do not matter: many organisations deny calls to regions that they do not use."""
    names = {region.name for region in with_matches}
    found = {
        a
        for each in with_matches
        for interface in each.interfaces.values()
        for a in interface.addresses
    }
    complete = bool(names) and found >= query.unique_addresses | query.private
    return [call for call in api.unavailable if not complete or call.region in names]


def _search(api: AwsApi, query: AddressQuery, names: Sequence[str]) -> list[RegionFacts]:
    """The facts of these regions, without details. The calls to the regions run in parallel."""
    regions = [RegionFacts(name) for name in names]
    api.run_parallel(*(partial(_find_interfaces, api, query, region) for region in regions))
    return regions


def _find_interfaces(api: AwsApi, query: AddressQuery, region: RegionFacts) -> None:
    """Adds the interfaces with the addresses, their load balancers and their MSK clusters."""
    balancer_hosts = [host for host in query.hosts if is_balancer(host) and _is_in(host, region)]
    msk_hosts = [host for host in query.hosts if msk_label(host) and _is_in(host, region)]
    jobs: list[Callable[[], None]] = [
        partial(_find_by_public_address, api, region, query.public),
        partial(
            _find_by_filter, api, region, "addresses.private-ip-address", query.private_addresses
        ),
        partial(_find_by_filter, api, region, "ipv6-addresses.ipv6-address", query.v6),
    ]
    if msk_hosts:
        jobs.append(lambda: region.clusters.extend(clusters(api, region.name, msk_hosts)))
    if balancer_hosts:
        jobs.append(lambda: region.balancers.extend(balancers(api, region.name, balancer_hosts)))
    api.run_parallel(*jobs)
    descriptions = {
        interface.description.removeprefix(_BALANCER_PREFIX)
        for interface in list(region.interfaces.values())
        if interface.description.startswith(_BALANCER_PREFIX)
    }
    descriptions -= {balancer.arn.partition(":loadbalancer/")[2] for balancer in region.balancers}
    if descriptions:
        region.balancers.extend(balancers(api, region.name, sorted(descriptions)))
    if region.balancers:
        _find_targets(api, region)


def _is_in(host: str, region: RegionFacts) -> bool:
    return aws_region(host) == region.name


def _find_by_public_address(api: AwsApi, region: RegionFacts, addresses: frozenset[str]) -> None:
    """Adds the interfaces with public addresses. Most addresses belong to instances, and one call
    returns instances with their interfaces. Load balancers, MSK and containers have no instance,
    and AWS finds no instance by a second address, so another call looks for the other addresses."""
    pages, _ = api.describe_by_filter("DescribeInstances", region.name, "ip-address", addresses)
    _add_instances(region, pages)
    found = {a for interface in list(region.interfaces.values()) for a in interface.public.values()}
    _find_by_filter(api, region, "association.public-ip", addresses - found)


def _find_by_filter(api: AwsApi, region: RegionFacts, name: str, values: Iterable[str]) -> None:
    """Adds the interfaces that match a filter."""
    pages, _ = api.describe_by_filter("DescribeNetworkInterfaces", region.name, name, values)
    for response in items_of(pages, "NetworkInterfaces"):
        _add_interface(region, response)


def _add_interface(region: RegionFacts, response: ApiResponse, instance: str = "") -> None:
    interface = responses.interface(response, region.name, instance)
    region.interfaces[interface.id] = interface
    region.group_names.update(responses.group_names(response))


def _add_instances(
    region: RegionFacts, pages: Iterable[ApiResponse], *, interfaces: bool = True
) -> None:
    """Adds instances, and their interfaces unless `interfaces` is False."""
    for response in items_of(pages, "Reservations", "Instances"):
        instance = responses.instance(response)
        region.instances[instance.id] = instance
        for interface in (response.get("NetworkInterfaces") or ()) if interfaces else ():
            _add_interface(region, interface, instance.id)


def _find_targets(api: AwsApi, region: RegionFacts) -> None:
    """Adds the interfaces of the targets of load balancers."""
    targets = {t.target for b in region.balancers for x in b.listeners for t in x.targets}
    known = {a for interface in region.interfaces.values() for a in interface.private}
    instances = {name for name in targets if name.startswith("i-")} - region.instances.keys()
    pages, _ = api.describe_by_filter("DescribeInstances", region.name, "instance-id", instances)
    _add_instances(region, pages)
    addresses = {target for target in targets if parse(target)} - known
    _find_by_filter(api, region, "addresses.private-ip-address", addresses)


def _drop_other_vpcs(query: AddressQuery, regions: Sequence[RegionFacts]) -> None:
    """If several VPCs have a private address, keeps the interface in the VPC of the public
    addresses of the cluster."""
    interfaces = [interface for region in regions for interface in region.interfaces.values()]
    vpcs = {
        interface.vpc
        for interface in interfaces
        if query.unique_addresses & set(interface.addresses)
    }
    addresses_in_vpcs = {
        a for interface in interfaces if interface.vpc in vpcs for a in interface.private
    }
    for region in regions:
        for interface in list(region.interfaces.values()):
            matching = query.private_addresses & set(interface.private)
            if interface.vpc not in vpcs and matching and matching <= addresses_in_vpcs:
                del region.interfaces[interface.id]


def _describe_details(api: AwsApi, region: RegionFacts) -> None:
    """Adds the instances, groups, ACLs and route tables of the interfaces; then the prefix lists
    and peerings that these name."""
    interfaces = list(region.interfaces.values())
    api.run_parallel(
        partial(_describe_instances, api, region, {interface.instance for interface in interfaces}),
        partial(_describe_groups, api, region, interfaces),
        partial(_describe_acls, api, region, {interface.subnet for interface in interfaces}),
        partial(_describe_tables, api, region, {interface.vpc for interface in interfaces}),
    )
    names = responses.prefix_list_ids(list(region.groups.values()), list(region.tables))
    list_jobs = [partial(_describe_prefix_list, api, region, name) for name in sorted(names)]
    api.run_parallel(*list_jobs, partial(_describe_peerings, api, region))


def _describe_instances(api: AwsApi, region: RegionFacts, names: set[str]) -> None:
    unknown = names - region.instances.keys() - {""}
    pages, _ = api.describe_by_filter("DescribeInstances", region.name, "instance-id", unknown)
    _add_instances(region, pages, interfaces=False)


def _describe_groups(
    api: AwsApi, region: RegionFacts, interfaces: Sequence[NetworkInterface]
) -> None:
    """Adds security groups with their rules. DescribeSecurityGroupRules returns the ids of rules,
    but no groups: a group without rules in the response is empty, a group of a failed call is
    unknown."""
    vpcs = {name: interface.vpc for interface in interfaces for name in interface.groups}
    pages, known = api.describe_by_filter(
        "DescribeSecurityGroupRules", region.name, "group-id", vpcs
    )
    rules = list(items_of(pages, "SecurityGroupRules"))
    for name in sorted(known):
        group_name = region.group_names.get(name, "")
        region.groups[name] = responses.group(name, group_name, vpcs[name], rules)


def _describe_acls(api: AwsApi, region: RegionFacts, subnets: set[str]) -> None:
    name = "association.subnet-id"
    pages, _ = api.describe_by_filter("DescribeNetworkAcls", region.name, name, subnets - {""})
    by_id = {acl.get("NetworkAclId"): acl for acl in items_of(pages, "NetworkAcls")}
    region.acls = [responses.acl(acl) for acl in by_id.values()]


def _describe_tables(api: AwsApi, region: RegionFacts, vpcs: set[str]) -> None:
    """Adds all route tables of the VPCs, because the main table is for subnets without a table."""
    pages, _ = api.describe_by_filter("DescribeRouteTables", region.name, "vpc-id", vpcs - {""})
    region.tables = [responses.table(table) for table in items_of(pages, "RouteTables")]


def _describe_prefix_list(api: AwsApi, region: RegionFacts, name: str) -> None:
    """Adds the networks of a prefix list. After a failed call, they are unknown."""
    pages = api.call("ec2", "GetManagedPrefixListEntries", region.name, PrefixListId=name)
    if pages is not None:
        region.prefix_lists[name] = tuple(e.get("Cidr", "") for e in items_of(pages, "Entries"))


def _describe_peerings(api: AwsApi, region: RegionFacts) -> None:
    """Adds the peering connections that routes lead to."""
    targets = {route.target for table in list(region.tables) for route in table.routes}
    names = {target for target in targets if target.startswith("pcx-")}
    operation, name = "DescribeVpcPeeringConnections", "vpc-peering-connection-id"
    pages, _ = api.describe_by_filter(operation, region.name, name, names)
    pairs = [responses.peering(peering) for peering in items_of(pages, "VpcPeeringConnections")]
    region.peered = [pair for pair in pairs if all(pair)]

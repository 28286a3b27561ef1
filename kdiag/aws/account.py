"""An AWS account, asked about addresses: the interfaces behind them, and all that stands before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from kdiag.address import aws_region, is_balancer, is_private, msk_label, parse
from kdiag.aws import responses
from kdiag.aws.ec2 import Answer, AwsApi, listed
from kdiag.aws.facts import (
    Instance,
    Interface,
    LoadBalancer,
    MskCluster,
    NetworkAcl,
    RouteTable,
    SecurityGroup,
    Snapshot,
    Unavailable,
)
from kdiag.aws.managed import balancers, clusters

# Advertised by mistake: they are nobody's in AWS.
_NOWHERE = ("127.0.0.1", "::1", "0.0.0.0", "::")
_BALANCER = "ELB "  # how the description of a load balancer's interface begins


@dataclass(frozen=True)
class Wanted:
    """Whom to look for: IP addresses by kind, and names. `own` is the client's own private address,
    which may be that of an interface too, "" if it is not to be looked for."""

    public: frozenset[str]
    private: frozenset[str]
    v6: frozenset[str]
    hosts: frozenset[str]
    own: str = ""

    @classmethod
    def of(cls, addresses: Mapping[str, Iterable[str]], own: str = "") -> Wanted:
        """From hosts and what they stand for."""
        told = {str(ip) for ips in addresses.values() for a in ips if (ip := parse(a))}
        known = frozenset(told.difference(_NOWHERE))
        v6 = frozenset(a for a in known if ":" in a)
        private = frozenset(a for a in known - v6 if is_private(a))
        hosts = frozenset(host.rstrip(".").lower() for host in addresses)
        mine = own if is_private(own) and ":" not in own and own not in known else ""
        return cls(known - v6 - private, private, v6, hosts, mine)

    @property
    def foreign(self) -> frozenset[str]:
        """The addresses that no two VPCs have."""
        return self.public | self.v6

    @property
    def inner(self) -> frozenset[str]:
        """The private addresses, with the client's."""
        return self.private | ({self.own} if self.own else frozenset())


@dataclass
class Region:
    """What one region told. `names` are those of its security groups."""

    name: str
    interfaces: dict[str, Interface] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    groups: dict[str, SecurityGroup] = field(default_factory=dict)
    acls: list[NetworkAcl] = field(default_factory=list)
    tables: list[RouteTable] = field(default_factory=list)
    prefix_lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    peered: list[tuple[str, str]] = field(default_factory=list)
    balancers: list[LoadBalancer] = field(default_factory=list)
    clusters: list[MskCluster] = field(default_factory=list)

    def knows(self, wanted: Wanted) -> bool:
        """Whether anything that was looked for is here, but for the client itself."""
        there = {a for one in list(self.interfaces.values()) for a in one.addresses}
        return bool(there & (wanted.foreign | wanted.private) or self.balancers or self.clusters)


def snapshot(
    api: AwsApi, addresses: Mapping[str, Iterable[str]], region: str, own: str
) -> Snapshot:
    """What AWS says of these hosts. `region` ("" for none) is the only one that is asked; else
    those that names tell of; else the configured one, and where nothing is found there, all.

    Source: the EC2 API reference; filters take 200 values, and give addresses of any interface.
    """
    wanted = Wanted.of(addresses, own)
    named = sorted({aws_region(host) for host in wanted.hosts} - {""})
    asked = [region] if region else named or ([api.configured] if api.configured else [])
    found = _search(api, wanted, asked)
    settled = region or named or any(each.knows(wanted) for each in found)
    if not settled and (wanted.foreign or wanted.private) and not api.stuck:
        others = [name for name in api.regions() if name not in asked]
        found += _search(api, wanted, others)
    here = [each for each in found if each.knows(wanted)]
    found = here or [each for each in found if each.interfaces]
    _keep_near(wanted, found)
    api.together(*(partial(_detail, api, each) for each in found))
    return Snapshot(
        regions=tuple(sorted(each.name for each in here) or asked),
        interfaces=tuple(one for each in found for one in each.interfaces.values()),
        instances={k: v for each in found for k, v in each.instances.items()},
        groups={k: v for each in found for k, v in each.groups.items()},
        acls=tuple(one for each in found for one in each.acls),
        tables=tuple(one for each in found for one in each.tables),
        prefix_lists={k: v for each in found for k, v in each.prefix_lists.items()},
        peered=tuple(sorted({pair for each in found for pair in each.peered})),
        balancers=tuple(one for each in found for one in each.balancers),
        clusters=tuple(one for each in found for one in each.clusters),
        gaps=tuple(_telling(api, wanted, here)),
        calls=api.calls,
    )


def _telling(api: AwsApi, wanted: Wanted, here: Sequence[Region]) -> list[Unavailable]:
    """What was not told, and may matter: where all is found, other regions have nothing to tell,
    and many an organisation denies all regions but its own."""
    names = {region.name for region in here}
    found = {a for each in here for one in each.interfaces.values() for a in one.addresses}
    whole = bool(names) and found >= wanted.foreign | wanted.private
    return [gap for gap in api.gaps if not whole or gap.region in names]


def _search(api: AwsApi, wanted: Wanted, names: Sequence[str]) -> list[Region]:
    """All of these regions at once."""
    regions = [Region(name) for name in names]
    api.together(*(partial(_found, api, wanted, region) for region in regions))
    return regions


def _found(api: AwsApi, wanted: Wanted, region: Region) -> None:
    """The interfaces behind addresses, and the load balancers and clusters that they belong to."""
    elb = [host for host in wanted.hosts if is_balancer(host) and _is_in(host, region)]
    msk = [host for host in wanted.hosts if msk_label(host) and _is_in(host, region)]
    jobs: list[Callable[[], None]] = [
        partial(_by_public, api, region, wanted.public),
        partial(_by_filter, api, region, "addresses.private-ip-address", wanted.inner),
        partial(_by_filter, api, region, "ipv6-addresses.ipv6-address", wanted.v6),
    ]
    if msk:
        jobs.append(lambda: region.clusters.extend(clusters(api, region.name, msk)))
    if elb:
        jobs.append(lambda: region.balancers.extend(balancers(api, region.name, elb)))
    api.together(*jobs)
    described = {
        one.description.removeprefix(_BALANCER)
        for one in list(region.interfaces.values())
        if one.description.startswith(_BALANCER)
    }
    described -= {balancer.arn.partition(":loadbalancer/")[2] for balancer in region.balancers}
    if described:
        region.balancers.extend(balancers(api, region.name, sorted(described)))
    if region.balancers:
        _behind(api, region)


def _is_in(host: str, region: Region) -> bool:
    return aws_region(host) == region.name


def _by_public(api: AwsApi, region: Region, addresses: frozenset[str]) -> None:
    """Most are of instances, and an instance tells of its interfaces and its state in one; load
    balancers, MSK, containers and second addresses have none, or none that it is found by."""
    pages, _ = api.filtered("DescribeInstances", region.name, "ip-address", addresses)
    _instances(region, pages)
    found = {a for one in list(region.interfaces.values()) for a in one.public.values()}
    _by_filter(api, region, "association.public-ip", addresses - found)


def _by_filter(api: AwsApi, region: Region, name: str, values: Iterable[str]) -> None:
    pages, _ = api.filtered("DescribeNetworkInterfaces", region.name, name, values)
    for told in listed(pages, "NetworkInterfaces"):
        _interface(region, told)


def _interface(region: Region, told: Answer, instance: str = "") -> None:
    one = responses.interface(told, region.name, instance)
    region.interfaces[one.id] = one
    region.names.update(responses.group_names(told))


def _instances(region: Region, pages: Iterable[Answer], *, interfaces: bool = True) -> None:
    """Notes instances, with their interfaces or without."""
    for told in listed(pages, "Reservations", "Instances"):
        one = responses.instance(told)
        region.instances[one.id] = one
        for each in (told.get("NetworkInterfaces") or ()) if interfaces else ():
            _interface(region, each, one.id)


def _behind(api: AwsApi, region: Region) -> None:
    """The interfaces of load balancers' targets."""
    targets = {t.target for b in region.balancers for x in b.listeners for t in x.targets}
    known = {a for one in region.interfaces.values() for a in one.private}
    instances = {name for name in targets if name.startswith("i-")} - region.instances.keys()
    pages, _ = api.filtered("DescribeInstances", region.name, "instance-id", instances)
    _instances(region, pages)
    addresses = {target for target in targets if parse(target)} - known
    _by_filter(api, region, "addresses.private-ip-address", addresses)


def _keep_near(wanted: Wanted, found: Sequence[Region]) -> None:
    """Where several VPCs have a private address, the one is meant that public addresses of the same
    cluster lead to."""
    everywhere = [one for each in found for one in each.interfaces.values()]
    home = {one.vpc for one in everywhere if wanted.foreign & set(one.addresses)}
    taken = {a for one in everywhere if one.vpc in home for a in one.private}
    for region in found:
        for one in list(region.interfaces.values()):
            sought = wanted.inner & set(one.private)
            if one.vpc not in home and sought and sought <= taken:
                del region.interfaces[one.id]


def _detail(api: AwsApi, region: Region) -> None:
    """What stands before the interfaces of a region, then what that refers to."""
    interfaces = list(region.interfaces.values())
    api.together(
        partial(_states, api, region, {one.instance for one in interfaces}),
        partial(_groups, api, region, interfaces),
        partial(_acls, api, region, {one.subnet for one in interfaces}),
        partial(_tables, api, region, {one.vpc for one in interfaces}),
    )
    names = responses.lists(list(region.groups.values()), list(region.tables))
    lists = [partial(_list, api, region, name) for name in sorted(names)]
    api.together(*lists, partial(_peerings, api, region))


def _states(api: AwsApi, region: Region, names: set[str]) -> None:
    unknown = names - region.instances.keys() - {""}
    pages, _ = api.filtered("DescribeInstances", region.name, "instance-id", unknown)
    _instances(region, pages, interfaces=False)


def _groups(api: AwsApi, region: Region, interfaces: Sequence[Interface]) -> None:
    """By their rules, for these have ids. A group that was asked about and has none is empty; one
    of which nothing was told is not known."""
    vpcs = {name: one.vpc for one in interfaces for name in one.groups}
    pages, known = api.filtered("DescribeSecurityGroupRules", region.name, "group-id", vpcs)
    rules = list(listed(pages, "SecurityGroupRules"))
    for name in sorted(known):
        shown = region.names.get(name, "")
        region.groups[name] = responses.group(name, shown, vpcs[name], rules)


def _acls(api: AwsApi, region: Region, subnets: set[str]) -> None:
    name = "association.subnet-id"
    pages, _ = api.filtered("DescribeNetworkAcls", region.name, name, subnets - {""})
    told = {each.get("NetworkAclId"): each for each in listed(pages, "NetworkAcls")}
    region.acls = [responses.acl(each) for each in told.values()]


def _tables(api: AwsApi, region: Region, vpcs: set[str]) -> None:
    """All of a VPC: the main one serves every subnet that has none of its own."""
    pages, _ = api.filtered("DescribeRouteTables", region.name, "vpc-id", vpcs - {""})
    region.tables = [responses.table(each) for each in listed(pages, "RouteTables")]


def _list(api: AwsApi, region: Region, name: str) -> None:
    """The networks of a prefix list; a list of which nothing was told is not known."""
    pages = api.ask("ec2", "GetManagedPrefixListEntries", region.name, PrefixListId=name)
    if pages is not None:
        region.prefix_lists[name] = tuple(e.get("Cidr", "") for e in listed(pages, "Entries"))


def _peerings(api: AwsApi, region: Region) -> None:
    """Those that routes lead to."""
    targets = {route.target for table in list(region.tables) for route in table.routes}
    names = {target for target in targets if target.startswith("pcx-")}
    operation, name = "DescribeVpcPeeringConnections", "vpc-peering-connection-id"
    pages, _ = api.filtered(operation, region.name, name, names)
    pairs = [responses.peering(each) for each in listed(pages, "VpcPeeringConnections")]
    region.peered = [pair for pair in pairs if all(pair)]

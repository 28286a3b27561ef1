"""What AWS runs before brokers and for them: load balancers, and MSK clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from kdiag.address import msk_label
from kdiag.aws.ec2 import Answer, AwsApi, listed
from kdiag.aws.facts import LoadBalancer, LoadBalancerListener, MskCluster, TargetHealth

# AWS tells of these one at a time, two calls for each.
MANY_BALANCERS, MANY_GROUPS = 32, 64
MANY_CLUSTERS = 4  # of names alike

_IAM = "elasticloadbalancing"
_SKIPPED = "{} of them, and AWS tells of one at a time: kdiag asks about the first {}"

Pages = list[Answer] | None
Behind = tuple[bool, tuple[TargetHealth, ...]]


def balancers(api: AwsApi, region: str, names: Sequence[str]) -> list[LoadBalancer]:
    """The load balancers of these DNS names or descriptions (`net/kafka/8f1c2d3e4a5b6c7d`).

    AWS tells of listeners for one load balancer at a time, of health for one target group; what is
    beyond MANY_BALANCERS and MANY_GROUPS is a gap.
    Source: the Elastic Load Balancing API reference, version 2015-12-01.
    """
    pages = api.ask("elbv2", "DescribeLoadBalancers", region)
    wanted = set(names)
    meant = [
        told
        for told in listed(pages, "LoadBalancers")
        if told.get("DNSName", "").lower() in wanted
        or told.get("LoadBalancerArn", "").partition(":loadbalancer/")[2] in wanted
    ]
    few = meant[:MANY_BALANCERS]
    if len(meant) > len(few):
        api.skip(f"{_IAM}:DescribeListeners", region, _SKIPPED.format(len(meant), len(few)))
    told = api.together(*(partial(_parts, api, region, t.get("LoadBalancerArn", "")) for t in few))
    listening = [parts[0] if parts else None for parts in told]
    groups = list(
        dict.fromkeys(g for pages in listening for x in listed(pages, "Listeners") for g in _to(x))
    )
    some = groups[:MANY_GROUPS]
    if len(groups) > len(some):
        api.skip(f"{_IAM}:DescribeTargetHealth", region, _SKIPPED.format(len(groups), len(some)))
    behind = api.together(*(partial(_group, api, region, group) for group in some))
    known = {group: found for group, found in zip(some, behind, strict=True) if found}
    made = [_balancer(t, parts, known) for t, parts in zip(few, told, strict=True) if parts]
    return [one for one in made if one]


def clusters(api: AwsApi, region: str, hosts: Sequence[str]) -> list[MskCluster]:
    """The MSK clusters of which these names are brokers.

    Source: the Amazon MSK API reference, ListClustersV2 and ListNodes.
    """
    labels = {_plain(msk_label(host)) for host in hosts}
    pages = api.ask("kafka", "ListClustersV2", region)
    # A broker's name has the first letters of the cluster's, without what names cannot have.
    alike = [
        told
        for told in listed(pages, "ClusterInfoList")
        if any(_plain(told.get("ClusterName", "")).startswith(label) for label in labels)
    ]
    made = api.together(*(partial(_cluster, api, region, t, hosts) for t in alike[:MANY_CLUSTERS]))
    return [one for one in made if one]


def _parts(api: AwsApi, region: str, arn: str) -> tuple[Pages, Pages]:
    """The listeners of a load balancer, and its attributes."""

    def asked(operation: str) -> Pages:
        return api.ask("elbv2", operation, region, LoadBalancerArn=arn)

    pages, attributes = api.together(
        partial(asked, "DescribeListeners"), partial(asked, "DescribeLoadBalancerAttributes")
    )
    return pages, attributes


def _balancer(
    told: Answer, parts: tuple[Pages, Pages], known: Mapping[str, Behind]
) -> LoadBalancer | None:
    """A load balancer, with what is behind its target groups; None where a part of it was not told:
    it would seem to lack a listener, or a target."""
    pages, attributes = parts
    listeners = list(listed(pages, "Listeners"))
    whole = all(group in known for each in listeners for group in _to(each))
    if pages is None or attributes is None or not whole:
        return None
    return LoadBalancer(
        arn=told.get("LoadBalancerArn", ""),
        name=told.get("LoadBalancerName", ""),
        dns_name=told.get("DNSName", ""),
        scheme=told.get("Scheme", ""),
        kind=told.get("Type", ""),
        vpc=told.get("VpcId", ""),
        groups=tuple(told.get("SecurityGroups") or ()),
        cross_zone=_is_on(attributes, "load_balancing.cross_zone.enabled"),
        listeners=tuple(
            LoadBalancerListener(
                each.get("Port", 0), each.get("Protocol", ""), group, *known.get(group, (False, ()))
            )
            for each in listeners
            for group in _to(each) or [""]
        ),
    )


def _to(listener: Answer) -> list[str]:
    """The target groups that a listener passes everything on to."""
    found: dict[str, None] = {}
    for action in listener.get("DefaultActions") or ():
        several = (action.get("ForwardConfig") or {}).get("TargetGroups") or ()
        for group in (action.get("TargetGroupArn"), *(g.get("TargetGroupArn") for g in several)):
            if group:
                found[group] = None
    return list(found)


def _group(api: AwsApi, region: str, arn: str) -> Behind | None:
    """Whether the targets of a group see the client's address, and how they fare; None where that
    was not told."""

    def asked(operation: str) -> Pages:
        return api.ask("elbv2", operation, region, TargetGroupArn=arn)

    health, attributes = api.together(
        partial(asked, "DescribeTargetHealth"), partial(asked, "DescribeTargetGroupAttributes")
    )
    if health is None or attributes is None:
        return None
    targets = tuple(
        TargetHealth(
            (told.get("Target") or {}).get("Id", ""),
            (told.get("Target") or {}).get("Port", 0),
            (told.get("TargetHealth") or {}).get("State", ""),
            (told.get("TargetHealth") or {}).get("Reason", ""),
        )
        for told in listed(health, "TargetHealthDescriptions")
    )
    return _is_on(attributes, "preserve_client_ip.enabled"), targets


def _is_on(pages: Iterable[Answer] | None, key: str) -> bool:
    told = {each.get("Key"): each.get("Value") for each in listed(pages, "Attributes")}
    return told.get(key) == "true"


def _cluster(api: AwsApi, region: str, told: Answer, hosts: Sequence[str]) -> MskCluster | None:
    """A cluster, if its nodes have one of these names; if they are not told, by its own name."""
    arn = told.get("ClusterArn", "")
    nodes = api.ask("kafka", "ListNodes", region, ClusterArn=arn)
    names = [
        str(name)
        for node in listed(nodes, "NodeInfoList")
        for name in (node.get("BrokerNodeInfo") or {}).get("Endpoints") or ()
    ]
    asked = {_inner(host) for host in hosts}
    if nodes is not None and not asked & {name.lower() for name in names}:
        return None
    provisioned = told.get("Provisioned") or {}
    brokers = provisioned.get("BrokerNodeGroupInfo") or {}
    access = (brokers.get("ConnectivityInfo") or {}).get("PublicAccess") or {}
    public = access.get("Type", "")
    return MskCluster(
        arn=arn,
        name=told.get("ClusterName", ""),
        state=told.get("State", ""),
        public=public,
        ports=_ports(provisioned, public not in ("", "DISABLED")),
        groups=tuple(brokers.get("SecurityGroups") or ()),
        subnets=tuple(brokers.get("ClientSubnets") or ()),
        brokers=tuple(names) if nodes is not None else tuple(sorted(asked)),
    )


def _ports(told: Answer, public: bool) -> dict[str, int]:
    """The ports that a cluster's ways to authenticate come with.

    Source: the Amazon MSK developer guide, port information. Without any authentication set,
    everybody is let in.
    """
    login = told.get("ClientAuthentication") or {}
    sasl = login.get("Sasl") or {}
    transit = (told.get("EncryptionInfo") or {}).get("EncryptionInTransit") or {}
    wire = transit.get("ClientBroker", "TLS")

    def on(part: Answer | None) -> bool:
        return bool((part or {}).get("Enabled"))

    certificates, scram, iam = on(login.get("Tls")), on(sasl.get("Scram")), on(sasl.get("Iam"))
    anybody = on(login.get("Unauthenticated")) or not (certificates or scram or iam)
    offered = {
        ("PLAINTEXT", 9092): anybody and "PLAINTEXT" in wire,
        ("TLS", 9094): (anybody or certificates) and wire != "PLAINTEXT",
        ("SASL/SCRAM", 9096): scram,
        ("IAM", 9098): iam,
        ("TLS, public", 9194): public and certificates,
        ("SASL/SCRAM, public", 9196): public and scram,
        ("IAM, public", 9198): public and iam,
    }
    return {name: port for (name, port), there in offered.items() if there}


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _inner(host: str) -> str:
    """A broker's name for clients inside, for the one that it has for those outside."""
    label, _, domain = host.partition(".")
    return f"{label.removesuffix('-public')}.{domain}"

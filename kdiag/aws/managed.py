"""Collects the facts of AWS services: load balancers and MSK clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from kdiag.address import msk_label
from kdiag.aws.ec2 import ApiResponse, AwsApi, items_of
from kdiag.aws.facts import MSK_PORTS, LoadBalancer, LoadBalancerListener, MskCluster, TargetHealth

# Each load balancer and each target group needs two calls.
MAX_BALANCERS, MAX_TARGET_GROUPS = 32, 64
MAX_CLUSTERS = 4  # with similar names

_IAM = "elasticloadbalancing"
_SKIPPED = "{} of them, and AWS describes one at a time: kdiag asks for the first {}"

Pages = list[ApiResponse] | None
GroupHealth = tuple[bool, tuple[TargetHealth, ...]]


def balancers(api: AwsApi, region: str, names: Sequence[str]) -> list[LoadBalancer]:
    """The load balancers with these DNS names or descriptions (`net/kafka/8f1c2d3e4a5b6c7d`).

    A call returns the listeners of one load balancer or the health of one target group. More than
    MAX_BALANCERS or MAX_TARGET_GROUPS become an UnavailableCall.
    Source: the Elastic Load Balancing API reference, version 2015-12-01.
    """
    pages = api.call("elbv2", "DescribeLoadBalancers", region)
    matching = [
        balancer
        for balancer in items_of(pages, "LoadBalancers")
        if balancer.get("DNSName", "").lower() in names
        or balancer.get("LoadBalancerArn", "").partition(":loadbalancer/")[2] in names
    ]
    first = matching[:MAX_BALANCERS]
    if len(matching) > len(first):
        api.skip(f"{_IAM}:DescribeListeners", region, _SKIPPED.format(len(matching), len(first)))
    arns = [balancer.get("LoadBalancerArn", "") for balancer in first]
    details = api.run_parallel(
        *(partial(_listeners_and_attributes, api, region, arn) for arn in arns)
    )
    groups = dict.fromkeys(
        group
        for listeners_and_attributes in details
        if listeners_and_attributes
        for listener in items_of(listeners_and_attributes[0], "Listeners")
        for group in _target_groups(listener)
    )
    health = _health_of_groups(api, region, list(groups))
    results = [
        _balancer(balancer, listeners_and_attributes, health)
        for balancer, listeners_and_attributes in zip(first, details, strict=True)
        if listeners_and_attributes
    ]
    return [balancer for balancer in results if balancer]


def clusters(api: AwsApi, region: str, hosts: Sequence[str]) -> list[MskCluster]:
    """The MSK clusters with these hosts as brokers.

    Source: the Amazon MSK API reference, ListClustersV2 and ListNodes.
    """
    labels = {_alphanumeric(msk_label(host)) for host in hosts}
    pages = api.call("kafka", "ListClustersV2", region)
    # The host name of a broker contains the first letters of the cluster's name, without characters
    # that host names cannot have.
    candidates = [
        cluster
        for cluster in items_of(pages, "ClusterInfoList")
        if any(_alphanumeric(cluster.get("ClusterName", "")).startswith(label) for label in labels)
    ]
    results = api.run_parallel(
        *(partial(_cluster, api, region, cluster, hosts) for cluster in candidates[:MAX_CLUSTERS])
    )
    return [cluster for cluster in results if cluster]


def _listeners_and_attributes(api: AwsApi, region: str, arn: str) -> tuple[Pages, Pages]:
    """The listeners and the attributes of a load balancer; None for a failed call."""

    def call(operation: str) -> Pages:
        return api.call("elbv2", operation, region, LoadBalancerArn=arn)

    pages, attributes = api.run_parallel(
        partial(call, "DescribeListeners"), partial(call, "DescribeLoadBalancerAttributes")
    )
    return pages, attributes


def _health_of_groups(api: AwsApi, region: str, arns: Sequence[str]) -> dict[str, GroupHealth]:
    """The health of the first target groups, by ARN, without failed calls."""
    first = arns[:MAX_TARGET_GROUPS]
    if len(arns) > len(first):
        api.skip(f"{_IAM}:DescribeTargetHealth", region, _SKIPPED.format(len(arns), len(first)))
    results = api.run_parallel(*(partial(_group_health, api, region, arn) for arn in first))
    return {arn: health for arn, health in zip(first, results, strict=True) if health}


def _balancer(
    response: ApiResponse,
    listeners_and_attributes: tuple[Pages, Pages],
    health: Mapping[str, GroupHealth],
) -> LoadBalancer | None:
    """A load balancer with its listeners and targets. None if a call failed: without all listeners
    and targets, rules would report missing ones."""
    pages, attributes = listeners_and_attributes
    listeners = list(items_of(pages, "Listeners"))
    complete = all(group in health for each in listeners for group in _target_groups(each))
    if pages is None or attributes is None or not complete:
        return None
    return LoadBalancer(
        arn=response.get("LoadBalancerArn", ""),
        name=response.get("LoadBalancerName", ""),
        dns_name=response.get("DNSName", ""),
        scheme=response.get("Scheme", ""),
        kind=response.get("Type", ""),
        vpc=response.get("VpcId", ""),
        groups=tuple(response.get("SecurityGroups") or ()),
        cross_zone=_is_on(attributes, "load_balancing.cross_zone.enabled"),
        listeners=tuple(
            LoadBalancerListener(
                each.get("Port", 0),
                each.get("Protocol", ""),
                group,
                *health.get(group, (False, ())),
            )
            for each in listeners
            for group in _target_groups(each) or [""]
        ),
    )


def _target_groups(listener: ApiResponse) -> list[str]:
    """The ARNs of the target groups in the default actions of a listener."""
    found: dict[str, None] = {}
    for action in listener.get("DefaultActions") or ():
        weighted = (action.get("ForwardConfig") or {}).get("TargetGroups") or ()
        for group in (action.get("TargetGroupArn"), *(g.get("TargetGroupArn") for g in weighted)):
            if group:
                found[group] = None
    return list(found)


def _group_health(api: AwsApi, region: str, arn: str) -> GroupHealth | None:
    """Whether the targets of a group see the client's address, and their health; None if a call
    failed."""

    def call(operation: str) -> Pages:
        return api.call("elbv2", operation, region, TargetGroupArn=arn)

    health, attributes = api.run_parallel(
        partial(call, "DescribeTargetHealth"), partial(call, "DescribeTargetGroupAttributes")
    )
    if health is None or attributes is None:
        return None
    targets = tuple(
        TargetHealth(
            (target.get("Target") or {}).get("Id", ""),
            (target.get("Target") or {}).get("Port", 0),
            (target.get("TargetHealth") or {}).get("State", ""),
            (target.get("TargetHealth") or {}).get("Reason", ""),
        )
        for target in items_of(health, "TargetHealthDescriptions")
    )
    return _is_on(attributes, "preserve_client_ip.enabled"), targets


def _is_on(pages: Iterable[ApiResponse] | None, key: str) -> bool:
    values = {each.get("Key"): each.get("Value") for each in items_of(pages, "Attributes")}
    return values.get(key) == "true"


def _cluster(
    api: AwsApi, region: str, response: ApiResponse, hosts: Sequence[str]
) -> MskCluster | None:
    """An MSK cluster, None if none of these hosts is a broker of it. If AWS does not return the
    brokers, the similar name of the cluster is enough."""
    arn = response.get("ClusterArn", "")
    nodes = api.call("kafka", "ListNodes", region, ClusterArn=arn)
    names = [
        str(name)
        for node in items_of(nodes, "NodeInfoList")
        for name in (node.get("BrokerNodeInfo") or {}).get("Endpoints") or ()
    ]
    wanted = {_private_name(host) for host in hosts}
    if nodes is not None and not wanted & {name.lower() for name in names}:
        return None
    provisioned = response.get("Provisioned") or {}
    brokers = provisioned.get("BrokerNodeGroupInfo") or {}
    access = (brokers.get("ConnectivityInfo") or {}).get("PublicAccess") or {}
    public = access.get("Type", "")
    return MskCluster(
        arn=arn,
        name=response.get("ClusterName", ""),
        state=response.get("State", ""),
        public=public,
        ports=_ports(provisioned, public not in ("", "DISABLED")),
        groups=tuple(brokers.get("SecurityGroups") or ()),
        subnets=tuple(brokers.get("ClientSubnets") or ()),
        brokers=tuple(names) if nodes is not None else tuple(sorted(wanted)),
    )


def _ports(response: ApiResponse, public: bool) -> dict[str, int]:
    """Maps the configured authentications of a cluster to their ports.

    A cluster without any configured authentication allows unauthenticated clients.
    """
    authentication = response.get("ClientAuthentication") or {}
    sasl = authentication.get("Sasl") or {}
    transit = (response.get("EncryptionInfo") or {}).get("EncryptionInTransit") or {}
    encryption = transit.get("ClientBroker", "TLS")

    def enabled(part: ApiResponse | None) -> bool:
        return bool((part or {}).get("Enabled"))

    certificates, scram, iam = (
        enabled(authentication.get("Tls")),
        enabled(sasl.get("Scram")),
        enabled(sasl.get("Iam")),
    )
    unauthenticated = enabled(authentication.get("Unauthenticated")) or not (
        certificates or scram or iam
    )
    offered = {
        "plaintext": unauthenticated and "PLAINTEXT" in encryption,
        "TLS": (unauthenticated or certificates) and encryption != "PLAINTEXT",
        "SASL/SCRAM": scram,
        "IAM": iam,
        "TLS, public": public and certificates,
        "SASL/SCRAM, public": public and scram,
        "IAM, public": public and iam,
    }
    return {name: MSK_PORTS[name] for name, is_offered in offered.items() if is_offered}


def _alphanumeric(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _private_name(host: str) -> str:
    """The private host name of a broker, from its private or its public host name."""
    label, _, domain = host.partition(".")
    return f"{label.removesuffix('-public')}.{domain}"

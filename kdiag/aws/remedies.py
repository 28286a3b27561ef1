"""Remedies in AWS for addresses, routes, instances, load balancers, MSK and API access.

The module `permissions` has the remedies that open ports.
"""

from __future__ import annotations

from collections.abc import Sequence

from kdiag.aws.facts import MSK_PORTS
from kdiag.config.links import page
from kdiag.config.snippet import Snippet, fill, unknown
from kdiag.rules.rule import Remedy, remedy


def give_source() -> Remedy:
    """Remedy for an unknown source address: give it to kdiag."""
    return remedy(
        "Tell kdiag where the client comes from, as the broker would see it:",
        "kdiag check <bootstrap> --aws --aws-source <your public address>",
    )


def elastic_ip(region: str, interfaces: Sequence[str]) -> Remedy:
    """Remedy for interfaces without a public address: elastic IPs ."""
    lines = [
        fill(
            "shell",
            "aws ec2 associate-address --region {region} --network-interface-id {interface} \\\n"
            '  --allocation-id "$(aws ec2 allocate-address --region {region} '
            '--query AllocationId --output text)"',
            region=region,
            interface=interface,
        )
        for interface in dict.fromkeys(interfaces)
    ]
    return Remedy(
        "Give each an elastic IP, in a subnet whose default route leads to an internet gateway, "
        "and advertise that:",
        "\n".join(lines),
        "shell",
    )


def balancer_for_each(begins: str = "Put") -> Remedy:
    """Remedy: a Network Load Balancer with a listener for every broker. `begins` is the start of
    the sentence, for a list of options."""
    return Remedy(
        f"{begins} an internet-facing Network Load Balancer in front, with a listener of its own "
        "for every broker (and one for bootstrap), and advertise its name with those ports."
    )


def come_by_vpn(vpc: str) -> Remedy:
    """Remedy for brokers without public addresses: private connections ."""
    return Remedy(
        f"Or leave the brokers private, and bring the clients to {vpc}: a VPN, a peering or a "
        "transit gateway, or a machine of the client's in the VPC."
    )


def start_instances(region: str, instances: Sequence[str]) -> Remedy:
    """Remedy for instances that do not run."""
    return remedy(
        "Start them. A public address that is not an elastic IP changes then: check afterwards "
        "what the broker advertises.",
        "aws ec2 start-instances --region {region} --instance-ids {instances}",
        region=region,
        instances=instances,
    )


def gateway(gateway_id: str) -> Snippet:
    """The command option for a known internet gateway, for `add_route`."""
    return fill("shell", "--gateway-id {gateway}", gateway=gateway_id)


def gateway_of(region: str, vpc: str) -> Snippet:
    """The command option for the internet gateway of a VPC, for `add_route`. The shell looks it up;
    the command fails if the VPC has no internet gateway."""
    return fill(
        "shell",
        '--gateway-id "$(aws ec2 describe-internet-gateways --region {region} \\\n'
        "    --filters Name=attachment.vpc-id,Values={vpc} \\\n"
        "    --query 'InternetGateways[0].InternetGatewayId' --output text)\"",
        region=region,
        vpc=vpc,
    )


def add_route(
    region: str, table: str, source: str, target: Snippet | None, *, version: int
) -> Remedy:
    """Remedy for a missing route to the client. `target` is the option of the command that names
    the route target; None for a client in a private network, whose target kdiag does not know."""
    cidr = source if "/" in source else f"{source}/{32 if version == 4 else 128}"
    option = "--destination-cidr-block" if version == 4 else "--destination-ipv6-cidr-block"
    return remedy(
        "Add a route back to the client. The route below is for this client alone; in a subnet for "
        "public brokers the default route leads to the internet gateway.",
        "aws ec2 create-route --region {region} --route-table-id {table} \\\n"
        "  {option} {cidr!q} \\\n  {target}",
        region=region,
        table=table,
        option=Snippet(option),
        cidr=cidr,
        target=target or unknown("what leads to your network"),
    )


def look_on_hosts(ports: Sequence[int]) -> Remedy:
    """Remedy for a path that AWS allows and that times out: check the firewalls on the hosts."""
    port_filter = " or ".join(f"port {port}" for port in ports)
    return remedy(
        "EC2 allows the connection, so look at the hosts: a firewall there, a NodePort whose "
        "node runs no pod (externalTrafficPolicy: Local), kube-proxy, or a VPN or proxy on the "
        "client's side. This command shows whether the packets arrive:",
        "tcpdump -ni any {filter!q}",
        filter=f"tcp and ({port_filter})",
    )


def log_in() -> Remedy:
    """Remedy for missing or expired credentials, or an unknown region."""
    return remedy(
        "Log in, and check the identity and the region:",
        "aws sso login   # or the command that gives you credentials\naws sts get-caller-identity\n"
        "aws configure get region",
    )


def allow_reading(calls: Sequence[str]) -> Remedy:
    """Remedy for denied API calls: an IAM policy for these calls."""
    actions = ", ".join(fill("json", "{call}", call=call) for call in dict.fromkeys(calls))
    return Remedy(
        f"Allow this identity to read; kdiag changes nothing. The whole policy is in {page('aws')}",
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",\n'
        f'  "Action": [{actions}], "Resource": "*"}}]}}',
        "json",
    )


def whose_account() -> Remedy:
    """Remedy for an address that no interface in the account has."""
    return remedy(
        "Check that these credentials are for the account and the region of the brokers:",
        "aws sts get-caller-identity\naws configure get region",
    )


def describe_targets(region: str, target_group: str) -> Remedy:
    """Remedy for unhealthy targets of a load balancer."""
    return remedy(
        "Find out why the targets are not healthy. For the health check the targets' security "
        "group must allow the load balancer's own addresses:",
        "aws elbv2 describe-target-health --region {region} --target-group-arn {target_group}",
        region=region,
        target_group=target_group,
    )


def look_at_classic(region: str, name: str) -> Remedy:
    """Remedy for a Classic Load Balancer, which kdiag does not analyze."""
    return remedy(
        "Look at its listeners and instances yourself. A Network Load Balancer is the better one "
        "for Kafka: it has a listener for every broker.",
        "aws elb describe-load-balancers --region {region} --load-balancer-names {name!q}\n"
        "aws elb describe-instance-health --region {region} --load-balancer-name {name!q}",
        region=region,
        name=name,
    )


def msk_serverless() -> Remedy:
    """Remedy for a client of MSK Serverless outside of its VPCs, or on a wrong port."""
    return Remedy(
        "Run the client in one of the VPCs that the cluster was made for, or bring it there by VPN "
        f"or peering, and log in with IAM on port {MSK_PORTS['IAM']}."
    )


def add_listener(region: str, balancer: str, port: int) -> Remedy:
    """Remedy for a port without a listener on the load balancer."""
    return remedy(
        "Add the listener, with the target group of that broker, or advertise a port that has one:",
        "aws elbv2 create-listener --region {region} --load-balancer-arn {balancer} \\\n"
        "  --protocol TCP --port {port} "
        "--default-actions Type=forward,TargetGroupArn=<target group>",
        region=region,
        balancer=balancer,
        port=port,
    )


def no_hairpin(region: str, target_group: str) -> Remedy:
    """Remedy for a target that connects to itself through its load balancer."""
    return remedy(
        "Turn off client-IP preservation for the target group (for new connections), or run this "
        "client on a machine that is not a target:",
        "aws elbv2 modify-target-group-attributes --region {region} \\\n"
        "  --target-group-arn {target_group} \\\n"
        "  --attributes Key=preserve_client_ip.enabled,Value=false",
        region=region,
        target_group=target_group,
    )


def msk_public(region: str, arn: str) -> Remedy:
    """Remedy for an MSK cluster without public access."""
    return remedy(
        "Turn on public access (it needs public subnets, TLS, and no unauthenticated access), "
        "then use the public bootstrap string; or connect from inside: multi-VPC connectivity, "
        "peering, VPN.",
        "aws kafka update-connectivity --region {region} --cluster-arn {arn} \\\n"
        "  --current-version <current version> \\\n"
        '  --connectivity-info \'{{"PublicAccess": {{"Type": "SERVICE_PROVIDED_EIPS"}}}}\'',
        region=region,
        arn=arn,
    )


def msk_bootstrap(region: str, arn: str, offered: Sequence[str]) -> Remedy:
    """Remedy for a port that an MSK cluster does not offer: its ports and bootstrap addresses."""
    return remedy(
        f"Use a port that the cluster offers ({', '.join(offered)}), with the addresses from:",
        "aws kafka get-bootstrap-brokers --region {region} --cluster-arn {arn}",
        region=region,
        arn=arn,
    )

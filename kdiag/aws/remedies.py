"""What to do in AWS besides opening a port: addresses, routes, balancers, access to the API."""

from __future__ import annotations

from collections.abc import Sequence

from kdiag.config.settings import Endpoint
from kdiag.config.snippet import Snippet, fill, unknown
from kdiag.rules.rule import Remedy


def give_source() -> Remedy:
    """Nobody knows where the client is."""
    return Remedy(
        "Tell kdiag where the client comes from, as the broker would see it:",
        "kdiag check <bootstrap> --aws --aws-source <your public address>",
        "shell",
    )


def elastic_ip(region: str, interfaces: Sequence[str]) -> Remedy:
    """The first option for instances without a public address."""
    lines = [
        fill(
            "shell",
            "aws ec2 associate-address --region {region} --network-interface-id {interface} \\\n"
            '  --allocation-id "$(aws ec2 allocate-address --region {region} '
            '--query AllocationId --output text)"',
            region=region,
            interface=each,
        )
        for each in dict.fromkeys(interfaces)
    ]
    return Remedy(
        "1. Give each an elastic IP, in a subnet whose default route leads to an internet gateway, "
        "and advertise that:",
        "\n".join(lines),
        "shell",
    )


def advertise_public(addresses: Sequence[tuple[int, Endpoint]]) -> Remedy:
    """The public address of every broker (node id, address), as AWS tells."""
    lines = ["# server.properties; EXTERNAL: your listener for clients out here"]
    for node, endpoint in addresses:
        line = "# broker {node}\nadvertised.listeners=EXTERNAL://{endpoint}"
        lines.append(fill("properties", line, node=node, endpoint=str(endpoint)))
    return Remedy(
        "Advertise the public addresses on the listener for clients out here. They should be "
        "elastic IPs: others change when the instance stops.",
        "\n".join(lines),
        "properties",
    )


def balancer_for_each(begins: str = "Put") -> Remedy:
    """A load balancer that Kafka can use; where it is one of several options, it begins so."""
    return Remedy(
        f"{begins} an internet-facing Network Load Balancer in front, with a listener of its own "
        "for every broker (and one for bootstrap), and advertise its name with those ports."
    )


def come_by_vpn(vpc: str) -> Remedy:
    """The third."""
    return Remedy(
        f"3. Or leave the brokers private, and bring the clients to {vpc}: a VPN, a peering or a "
        "transit gateway, or a machine of the client's in the VPC."
    )


def start_instances(region: str, instances: Sequence[str]) -> Remedy:
    """They are stopped."""
    return Remedy(
        "Start them. A public address that is no elastic IP changes by that: check then what the "
        "broker advertises.",
        fill(
            "shell",
            "aws ec2 start-instances --region {region} --instance-ids {instances}",
            region=region,
            instances=instances,
        ),
        "shell",
    )


def gateway(known: str) -> Snippet:
    """The option for an internet gateway."""
    return fill("shell", "--gateway-id {gateway}", gateway=known)


def gateway_of(region: str, vpc: str) -> Snippet:
    """The option for the internet gateway of a VPC, which the shell looks up. Without one in the
    VPC it is None, and the command fails."""
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
    """A way back to the client; `target` is the option that names where it leads, None where that
    is the client's own network."""
    cidr = source if "/" in source else f"{source}/{32 if version == 4 else 128}"
    option = "--destination-cidr-block" if version == 4 else "--destination-ipv6-cidr-block"
    return Remedy(
        "Give the subnet a way back. For this client alone it is the route below; a subnet for "
        "public brokers has its default route lead to the internet gateway.",
        fill(
            "shell",
            "aws ec2 create-route --region {region} --route-table-id {table} \\\n"
            "  {option} {cidr!q} \\\n  {target}",
            region=region,
            table=table,
            option=Snippet(option),
            cidr=cidr,
            target=target or unknown("what leads to your network"),
        ),
        "shell",
    )


def look_on_hosts(ports: Sequence[int]) -> Remedy:
    """AWS lets it through, and it vanishes all the same."""
    wanted = " or ".join(f"port {port}" for port in ports)
    return Remedy(
        "What EC2 asks lets it through, so look on the hosts: a firewall there, a NodePort whose "
        "node runs no pod (externalTrafficPolicy: Local), kube-proxy, or a VPN or proxy on the "
        "client's side. Whether the packets arrive there, this shows:",
        fill("shell", "tcpdump -ni any {filter!q}", filter=f"tcp and ({wanted})"),
        "shell",
    )


def log_in() -> Remedy:
    """No credentials, or old ones."""
    return Remedy(
        "Log in, and check who you are and where:",
        "aws sso login   # or however your credentials come\naws sts get-caller-identity\n"
        "aws configure get region",
        "shell",
    )


def allow_reading(calls: Sequence[str]) -> Remedy:
    """Describe* calls were denied."""
    actions = ", ".join(fill("json", "{call}", call=call) for call in dict.fromkeys(calls))
    return Remedy(
        "Allow this identity to read; kdiag changes nothing. The whole policy is in "
        "https://kdiag.readthedocs.io/en/latest/aws/",
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",\n'
        f'  "Action": [{actions}], "Resource": "*"}}]}}',
        "json",
    )


def whose_account() -> Remedy:
    """Nothing in this account and region has the address."""
    return Remedy(
        "Check that these credentials are for the account and the region of the brokers:",
        "aws sts get-caller-identity\naws configure get region",
        "shell",
    )


def describe_targets(region: str, target_group: str) -> Remedy:
    """Targets are not healthy."""
    return Remedy(
        "Look at why the targets are not healthy; the health check needs the targets' security "
        "group to let the load balancer's own addresses in:",
        fill(
            "shell",
            "aws elbv2 describe-target-health --region {region} --target-group-arn {target_group}",
            region=region,
            target_group=target_group,
        ),
        "shell",
    )


def look_at_classic(region: str, name: str) -> Remedy:
    """A load balancer of the first generation."""
    return Remedy(
        "Look at its listeners and instances yourself. A Network Load Balancer is the better one "
        "for Kafka: it has a listener for every broker.",
        fill(
            "shell",
            "aws elb describe-load-balancers --region {region} --load-balancer-names {name!q}\n"
            "aws elb describe-instance-health --region {region} --load-balancer-name {name!q}",
            region=region,
            name=name,
        ),
        "shell",
    )


def msk_serverless() -> Remedy:
    """MSK without brokers of one's own."""
    return Remedy(
        "Run the client in one of the VPCs that the cluster was made for, or bring it there by VPN "
        "or peering, and log in with IAM on port 9098."
    )


def add_listener(region: str, balancer: str, port: int) -> Remedy:
    """The load balancer does not listen there."""
    return Remedy(
        "Add the listener, with the target group of that broker, or advertise a port that has one:",
        fill(
            "shell",
            "aws elbv2 create-listener --region {region} --load-balancer-arn {balancer} \\\n"
            "  --protocol TCP --port {port} "
            "--default-actions Type=forward,TargetGroupArn=<target group>",
            region=region,
            balancer=balancer,
            port=port,
        ),
        "shell",
    )


def no_hairpin(region: str, target_group: str) -> Remedy:
    """A target that dials itself."""
    return Remedy(
        "Switch client-IP preservation off for the target group (it ends for new connections), or "
        "run this client elsewhere than on a target:",
        fill(
            "shell",
            "aws elbv2 modify-target-group-attributes --region {region} \\\n"
            "  --target-group-arn {target_group} \\\n"
            "  --attributes Key=preserve_client_ip.enabled,Value=false",
            region=region,
            target_group=target_group,
        ),
        "shell",
    )


def msk_public(region: str, arn: str) -> Remedy:
    """MSK that is private."""
    return Remedy(
        "Switch public access on (it needs public subnets, TLS, and no unauthenticated access), "
        "then use the public bootstrap string; or connect from inside: multi-VPC connectivity, "
        "peering, VPN.",
        fill(
            "shell",
            "aws kafka update-connectivity --region {region} --cluster-arn {arn} \\\n"
            "  --current-version <current version> \\\n"
            '  --connectivity-info \'{{"PublicAccess": {{"Type": "SERVICE_PROVIDED_EIPS"}}}}\'',
            region=region,
            arn=arn,
        ),
        "shell",
    )


def msk_bootstrap(region: str, arn: str, offered: Sequence[str]) -> Remedy:
    """The addresses by authentication."""
    return Remedy(
        f"Use a port that the cluster offers ({', '.join(offered)}), with the addresses from:",
        fill(
            "shell",
            "aws kafka get-bootstrap-brokers --region {region} --cluster-arn {arn}",
            region=region,
            arn=arn,
        ),
        "shell",
    )

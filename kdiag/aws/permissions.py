"""The least that opens a way in EC2: which ports, for whom, in which group or network ACL.

kdiag changes nothing; these are commands to copy. Nothing here is ever for the whole internet:
where the client's address is not known it is asked for by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from kdiag.aws.facts import AclEntry, NetworkAcl, Permission
from kdiag.aws.ranges import TCP, Span, ports_of, runs, shown
from kdiag.aws.reachability import ADVISED
from kdiag.config.snippet import Snippet, fill, unknown
from kdiag.rules.rule import Remedy

YOU = "<your public address>"
LAST_NUMBER = 32766  # of a network ACL's entries

_DESCRIPTION = "Kafka"


@dataclass(frozen=True)
class Proposal:
    """What a security group lacks: TCP ports, for one network ("" where nobody knows whose)."""

    group: str
    region: str
    network: str
    ports: tuple[Span, ...]
    version: int = 4

    @property
    def peer(self) -> str:
        """The network as CIDR text, a placeholder where it is not known."""
        return self.network or f"{YOU}/{32 if self.version == 4 else 128}"

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """The rules that it would add, as AWS would tell of them afterwards."""
        return tuple(
            Permission(f"sgr-new-{low}", self.group, "tcp", low, high, self.peer)
            for low, high in self.ports
        )


def proposal(group: str, region: str, source: str, ports: Sequence[int], version: int) -> Proposal:
    """The least for these ports: contiguous ones as one range. `source` is an address or a network,
    "" if unknown; it is never the whole internet."""
    network = str(ip_network(source, strict=False)) if source else ""
    if network and ip_network(network).prefixlen == 0:
        network = ""
    return Proposal(group, region, network, tuple(runs(set(ports))), version)


def authorize(wanted: Proposal) -> Remedy:
    """The rule as a command."""
    import json  # for such a command alone

    ranges, cidr, _ = _words(wanted)
    rules: list[dict[str, Any]] = [
        {
            "IpProtocol": "tcp",
            "FromPort": low,
            "ToPort": high,
            ranges: [{cidr: wanted.peer, "Description": _DESCRIPTION}],
        }
        for low, high in wanted.ports
    ]
    who = wanted.network or "your public address (give it with --aws-source)"
    return Remedy(
        f"Let {who} in on TCP {', '.join(map(shown, wanted.ports))}, and nobody else:",
        fill(
            "shell",
            "aws ec2 authorize-security-group-ingress --region {region} "
            "--group-id {group} \\\n  --ip-permissions {rules!q}",
            region=wanted.region,
            group=wanted.group,
            rules=json.dumps(rules),
        ),
        "shell",
    )


def terraform(wanted: Proposal) -> Remedy:
    """The same for Terraform."""
    _, _, key = _words(wanted)
    blocks = [
        fill(
            "hcl",
            'resource "aws_vpc_security_group_ingress_rule" "kafka_{low}" {{\n'
            "  security_group_id = {group}\n"
            "  {key} = {peer}\n"
            '  ip_protocol       = "tcp"\n'
            "  from_port         = {low}\n"
            "  to_port           = {high}\n"
            "}}",
            group=wanted.group,
            key=Snippet(f"{key:<17}"),
            peer=wanted.peer,
            low=low,
            high=high,
        )
        for low, high in wanted.ports
    ]
    return Remedy("With Terraform, the same:", "\n".join(blocks), "hcl")


def revoke(region: str, group: str, rules: Sequence[str]) -> Remedy:
    """Takes rules away, once what is needed has a rule of its own."""
    return Remedy(
        "Then take the open rule away; whoever else comes by it needs a rule of their own first:",
        fill(
            "shell",
            "aws ec2 revoke-security-group-ingress --region {region} --group-id {group} \\\n"
            "  --security-group-rule-ids {rules}",
            region=region,
            group=group,
            rules=rules,
        ),
        "shell",
    )


def acl_entries(
    acl: NetworkAcl,
    region: str,
    source: str,
    ports: Sequence[int],
    ways: Sequence[str],
    requests: str = "in",
) -> Remedy:
    """What a network ACL lacks, "in" or "out" or both: `requests` is the way of what goes to these
    ports; the other way go answers, to the ports that clients come from. Numbers are free ones,
    before those that deny."""
    peer = proposal("", "", source, ports, 6 if ":" in source else 4).peer
    lines = []
    for way in ways:
        taken: set[int] = set()
        for low, high in runs(set(ports)) if way == requests else [ADVISED]:
            number = free_number(acl, way == "out", peer, (low, high), taken)
            taken.add(number or 0)
            lines.append(
                fill(
                    "shell",
                    "aws ec2 create-network-acl-entry --region {region} --network-acl-id {acl} "
                    "--{way} \\\n"
                    "  --rule-number {number} "
                    "--protocol 6 --port-range From={low},To={high} \\\n"
                    "  --{family}cidr-block {peer!q} --rule-action allow",
                    region=region,
                    acl=acl.id,
                    way=Snippet("ingress" if way == "in" else "egress"),
                    number=number or unknown("a free number, before those that deny"),
                    low=low,
                    high=high,
                    family=Snippet("ipv6-" if ":" in peer else ""),
                    peer=peer,
                )
            )
    return Remedy(
        "Let it through, before the entry that denies. A network ACL keeps no state: requests and "
        "answers need an entry each.",
        "\n".join(lines),
        "shell",
    )


def free_number(
    acl: NetworkAcl, egress: bool, peer: str, ports: Span, taken: set[int]
) -> int | None:
    """The highest free number before every entry that denies any of it; None if there is none."""
    entries = [entry for entry in acl.entries if entry.egress is egress]
    denying = [e.number for e in entries if not e.allow and _about(e, peer, ports)]
    before = min([*denying, LAST_NUMBER + 1])
    used = {entry.number for entry in entries} | taken
    if before > LAST_NUMBER:  # nothing denies it but the end of the list
        after = max([n for n in used if n <= LAST_NUMBER], default=0) + 10
        if after <= LAST_NUMBER:
            return after
    return next((n for n in range(min(before, LAST_NUMBER + 1) - 1, 0, -1) if n not in used), None)


def _about(entry: AclEntry, peer: str, ports: Span) -> bool:
    low, high = ports_of(entry)
    return entry.protocol in TCP and low <= ports[1] and ports[0] <= high and _meet(entry, peer)


def _meet(entry: AclEntry, peer: str) -> bool:
    if peer.startswith("<"):
        return True
    one, other = ip_network(entry.cidr, strict=False), ip_network(peer)
    return one.version == other.version and one.overlaps(other)


def _words(wanted: Proposal) -> tuple[str, str, str]:
    """The names of the family: of the list, of its field, of Terraform's argument."""
    if wanted.version == 4:
        return "IpRanges", "CidrIp", "cidr_ipv4"
    return "Ipv6Ranges", "CidrIpv6", "cidr_ipv6"

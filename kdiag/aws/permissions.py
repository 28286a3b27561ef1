"""Remedies that open ports in EC2, with security group rules and network ACL entries.

The proposals have the fewest ports and addresses that the client needs.

kdiag does not change AWS; the user copies these commands. No command opens a port for the whole
internet: a command for an unknown client contains a placeholder for the address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from kdiag.aws.facts import AclEntry, NetworkAcl, SecurityGroupRule
from kdiag.aws.ranges import TCP_PROTOCOLS, Range, format_ports, port_ranges, ports_of
from kdiag.aws.reachability import RECOMMENDED_PORTS
from kdiag.config.snippet import Snippet, fill, unknown
from kdiag.rules.rule import Remedy, remedy

UNKNOWN_ADDRESS = "<your public address>"
LAST_NUMBER = 32766  # the highest number of a network ACL entry

_DESCRIPTION = "Kafka"


@dataclass(frozen=True)
class Proposal:
    """A proposed rule of a security group: TCP ports for one network ("" if the network is not
    known). `version` is the IP version."""

    group: str
    region: str
    network: str
    ports: tuple[Range, ...]
    version: int = 4

    @property
    def peer(self) -> str:
        """The network as CIDR text, or a placeholder if the network is not known."""
        return self.network or f"{UNKNOWN_ADDRESS}/{32 if self.version == 4 else 128}"

    @property
    def rules(self) -> tuple[SecurityGroupRule, ...]:
        """The rules that the proposal adds to the group."""
        return tuple(
            SecurityGroupRule(f"sgr-new-{low}", self.group, "tcp", low, high, self.peer)
            for low, high in self.ports
        )


def proposal(group: str, region: str, source: str, ports: Sequence[int], version: int) -> Proposal:
    """The proposal with the fewest ranges for these ports. `source` is an address or a network, ""
    if unknown. A proposal is never for the whole internet."""
    network = str(ip_network(source, strict=False)) if source else ""
    if network and ip_network(network).prefixlen == 0:
        network = ""
    return Proposal(group, region, network, tuple(port_ranges(set(ports))), version)


def authorize(proposed: Proposal) -> Remedy:
    """Remedy: the proposed rule as an AWS command."""
    import json  # 1.9 ms: only this remedy needs json

    ranges, cidr, _ = _family_names(proposed)
    rules: list[dict[str, Any]] = [
        {
            "IpProtocol": "tcp",
            "FromPort": low,
            "ToPort": high,
            ranges: [{cidr: proposed.peer, "Description": _DESCRIPTION}],
        }
        for low, high in proposed.ports
    ]
    who = proposed.network or "your public address (give it with --aws-source)"
    return remedy(
        f"Allow {who} on TCP {', '.join(map(format_ports, proposed.ports))}, and no other address:",
        "aws ec2 authorize-security-group-ingress --region {region} "
        "--group-id {group} \\\n  --ip-permissions {rules!q}",
        region=proposed.region,
        group=proposed.group,
        rules=json.dumps(rules),
    )


def terraform(proposed: Proposal) -> Remedy:
    """Remedy: the proposed rule as Terraform resources."""
    _, _, key = _family_names(proposed)
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
            group=proposed.group,
            key=Snippet(f"{key:<17}"),
            peer=proposed.peer,
            low=low,
            high=high,
        )
        for low, high in proposed.ports
    ]
    return Remedy("With Terraform, the same:", "\n".join(blocks), "hcl")


def revoke(region: str, group: str, rules: Sequence[str]) -> Remedy:
    """Remedy: the removal of rules, after the clients have their own rules."""
    return remedy(
        "Then remove the open rule. Other clients that use it need a rule of their own first:",
        "aws ec2 revoke-security-group-ingress --region {region} --group-id {group} \\\n"
        "  --security-group-rule-ids {rules}",
        region=region,
        group=group,
        rules=rules,
    )


def acl_entries(
    acl: NetworkAcl,
    region: str,
    source: str,
    ports: Sequence[int],
    directions: Sequence[str],
    requests: str = "in",
) -> Remedy:
    """Remedy: the missing entries of a network ACL in these directions ("in", "out"). `requests` is
    the direction of requests to these ports; responses go the other way, to the source ports of
    clients. The entries have free numbers before the entries that deny."""
    peer = proposal("", "", source, ports, 6 if ":" in source else 4).peer
    lines = []
    for direction in directions:
        taken: set[int] = set()
        for low, high in port_ranges(set(ports)) if direction == requests else [RECOMMENDED_PORTS]:
            number = free_number(acl, direction == "out", peer, (low, high), taken)
            taken.add(number or 0)
            lines.append(
                fill(
                    "shell",
                    "aws ec2 create-network-acl-entry --region {region} --network-acl-id {acl} "
                    "--{direction} \\\n"
                    "  --rule-number {number} "
                    "--protocol 6 --port-range From={low},To={high} \\\n"
                    "  --{family}cidr-block {peer!q} --rule-action allow",
                    region=region,
                    acl=acl.id,
                    direction=Snippet("ingress" if direction == "in" else "egress"),
                    number=number or unknown("a free number, before those that deny"),
                    low=low,
                    high=high,
                    family=Snippet("ipv6-" if ":" in peer else ""),
                    peer=peer,
                )
            )
    return Remedy(
        "Allow it, before the entry that denies it. A network ACL keeps no state: requests and "
        "answers need one entry each.",
        "\n".join(lines),
        "shell",
    )


def free_number(
    acl: NetworkAcl, egress: bool, peer: str, ports: Range, taken: set[int]
) -> int | None:
    """The highest free number before every entry that denies the peer and ports, else None."""
    entries = [entry for entry in acl.entries if entry.egress is egress]
    denying = [e.number for e in entries if not e.allow and _overlaps(e, peer, ports)]
    before = min([*denying, LAST_NUMBER + 1])
    used = {entry.number for entry in entries} | taken
    if before > LAST_NUMBER:  # no entry denies the packets
        after = max([n for n in used if n <= LAST_NUMBER], default=0) + 10
        if after <= LAST_NUMBER:
            return after
    return next((n for n in range(min(before, LAST_NUMBER + 1) - 1, 0, -1) if n not in used), None)


def _overlaps(entry: AclEntry, peer: str, ports: Range) -> bool:
    """Whether an entry is for some of these addresses and ports."""
    low, high = ports_of(entry)
    return (
        entry.protocol in TCP_PROTOCOLS
        and low <= ports[1]
        and ports[0] <= high
        and _overlaps_address(entry, peer)
    )


def _overlaps_address(entry: AclEntry, peer: str) -> bool:
    if peer.startswith("<"):  # a placeholder may be any address
        return True
    network, other = ip_network(entry.cidr, strict=False), ip_network(peer)
    return network.version == other.version and network.overlaps(other)


def _family_names(proposed: Proposal) -> tuple[str, str, str]:
    """The names for the IP version: list and field of an AWS rule, argument of Terraform."""
    if proposed.version == 4:
        return "IpRanges", "CidrIp", "cidr_ipv4"
    return "Ipv6Ranges", "CidrIpv6", "cidr_ipv6"

"""KD5xx: what AWS says is a finding, for which walk, and what it says of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kdiag.aws.facts import (
    Interface,
    LoadBalancer,
    LoadBalancerListener,
    MskCluster,
    Snapshot,
    TargetHealth,
    Unavailable,
)
from kdiag.aws.hop import AwsFacts
from kdiag.report.model import Report
from kdiag.rules.rule import Finding
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.listeners import Listener
from tests.clouds import (
    OPEN_ACL,
    PRIVATE,
    PUBLIC,
    SUBNET,
    TO_THE_WORLD,
    acl,
    aws,
    group,
    interface,
    snapshot,
    table,
)
from tests.facts import (
    bootstrap,
    came_in,
    contact,
    dial,
    found_by,
    listener,
    listeners,
    metadata,
    reported,
)

MINE = "sgr-1 tcp 9094 203.0.113.10/32"
NODE_PORTS = tuple(f"{address}:{32001 + n}" for n, address in enumerate(PUBLIC))
THREE = tuple(interface(node) for node in (1, 2, 3))
INNER = tuple(interface(node, public="") for node in (1, 2, 3))


@dataclass(frozen=True)
class Case:
    """A world, a client, and what the walk met: by default one broker that does not answer."""

    world: Snapshot
    met: tuple[Listener, ...] = (listener(1, f"{PUBLIC[0]}:32001", "timeout"),)
    door: Bootstrap = field(default_factory=came_in)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> tuple[Any, ...]:
        known: AwsFacts = aws(self.world, **self.told)
        return (self.door, metadata(*(x.broker for x in self.met)), listeners(*self.met), known)

    def judged(self, code: str) -> list[Finding]:
        return found_by(code, *self.facts)

    @property
    def report(self) -> Report:
        return reported(*self.facts)


def world(*rules: str, there: tuple[Interface, ...] = THREE, **more: Any) -> Snapshot:
    return snapshot(*there, groups=[group(*rules or (MINE,))], **more)


def at(port: int, failed: str = "timeout", node: int = 1, **more: Any) -> tuple[Listener, ...]:
    return (listener(node, f"{PUBLIC[node - 1]}:{port}", failed, **more),)


def inner(*nodes: int, failed: str = "timeout") -> tuple[Listener, ...]:
    return tuple(listener(node, f"{PRIVATE[node - 1]}:9094", failed) for node in nodes or (1, 2, 3))


ONE_WAY = [acl("in 100 allow -1 * 0.0.0.0/0", "out 100 allow tcp 443 0.0.0.0/0")]
BY_NAT = [table("10.0.0.0/16 local", "0.0.0.0/0 nat-1")]
WELL = at(9094, "")
GIVEN = {"source": "198.51.100.0/24", "how": "given"}
HALF = [acl("out 90 deny tcp 40000-50000 0.0.0.0/0", *OPEN_ACL)]

BALANCED = interface(
    9, private="10.0.1.99", public=PUBLIC[0], groups=["sg-9"], instance="", id="eni-9",
    kind="network_load_balancer", description="ELB net/kafka/abc",
)  # fmt: skip


def balancer(*served: LoadBalancerListener, **more: Any) -> LoadBalancer:
    arn = "arn:aws:elasticloadbalancing:eu-west-2:1:loadbalancer/net/kafka/abc"
    made = {"scheme": "internet-facing", "kind": "network", "vpc": "vpc-1", **more}
    return LoadBalancer(arn, "kafka", "kafka.elb.eu-west-2.amazonaws.com", listeners=served, **made)


def serves(port: int, *states: str, keeps: bool = True, target: str = "i-1") -> Any:
    targets = tuple(TargetHealth(target, 9094, state, "") for state in states)
    return LoadBalancerListener(port, "TCP", "arn:tg", keeps, targets)


def behind(*served: LoadBalancerListener, rule: str = MINE, **more: Any) -> Case:
    """Broker 1 behind a load balancer, that listens so, and does not answer."""
    met = more.pop("met", at(32001))
    told = more.pop("told", {})
    there = snapshot(
        BALANCED,
        *INNER,
        groups=[group(rule), group("sgr-9 tcp 32001 0.0.0.0/0", name="sg-9")],
        balancers=(balancer(*served, **more),),
    )
    return Case(there, met, told=told)


MSK_HOST = "b-1.demo.a1.c2.kafka.eu-west-2.amazonaws.com"


def msk(port: int, *, public: str = "DISABLED", state: str = "ACTIVE", **ports: int) -> Case:
    address = PUBLIC[0] if public != "DISABLED" else PRIVATE[0]
    own = interface(1, public=PUBLIC[0] if public != "DISABLED" else "", instance="")
    cluster = MskCluster(
        "arn:aws:kafka:eu-west-2:1:cluster/demo/a1", "demo", state, public,
        ports or {"IAM": 9098}, ("sg-1",), (SUBNET,), (MSK_HOST,),
    )  # fmt: skip
    met = contact(f"{MSK_HOST}:{port}", "timeout", dial(address, "timeout"))
    return Case(
        snapshot(own, clusters=(cluster,)), (), bootstrap(met), {MSK_HOST: [address]}
    )  # fmt: skip


def serverless(port: int, failed: str = "timeout") -> Case:
    """A name without the cluster's in it, of which AWS tells nothing."""
    host = "boot-a1b2c3.c1.kafka-serverless.eu-west-2.amazonaws.com"
    met = contact(f"{host}:{port}", failed)
    return Case(snapshot(), (), bootstrap(met), {host: [] if failed.startswith("dns") else [host]})


OLD = replace(BALANCED, description="ELB old-kafka")
CLASSIC = Case(snapshot(OLD, *INNER, groups=[group("sgr-9 tcp 9094 0.0.0.0/0", name="sg-9")]),
               at(9094, "closed"))  # fmt: skip


FIRES = [
    ("KD501", Case(world())),
    ("KD501", Case(world(), told={"source": ""})),
    ("KD501", Case(world(), at(32001, ""), told=GIVEN)),
    ("KD501", Case(world("sgr-1 tcp 9094 sg-1"), at(9094))),
    ("KD501", Case(world(), (), bootstrap(contact(f"{PUBLIC[0]}:32000", "timeout")))),
    ("KD502", Case(world(acls=ONE_WAY), at(9094))),
    ("KD502", Case(world(acls=[acl()]), at(9094))),
    ("KD502", Case(world(acls=HALF), WELL)),  # it worked by luck: half of the ports are closed
    ("KD503", Case(world(tables=BY_NAT), at(9094))),
    ("KD503", Case(world(tables=[table("10.0.0.0/16 local")]), at(9094))),
    ("KD504", Case(world(there=INNER), inner())),
    ("KD504", Case(world(there=INNER), inner(), told={"source": ""})),
    ("KD505", Case(world("sgr-1 tcp 9094 0.0.0.0/0"), WELL)),
    ("KD505", Case(world("sgr-1 -1 * 0.0.0.0/0"), WELL)),
    ("KD505", Case(world("sgr-1 tcp 0-65535 0.0.0.0/0"), at(9094, "refused"))),
    ("KD505", Case(world("sgr-1 tcp 9094 pl-1", prefix_lists={"pl-1": ("0.0.0.0/0",)}), WELL)),
    ("KD506", Case(world(states={"i-1": "stopped"}), at(9094))),
    ("KD507", Case(world(), inner())),
    ("KD507", Case(world("sgr-1 tcp 22 0.0.0.0/0"), inner(2))),
    (
        "KD508",
        Case(world(gaps=[Unavailable("ec2:DescribeNetworkAcls", "eu-west-2", "denied")]), WELL),
    ),
    ("KD508", Case(Snapshot(gaps=(Unavailable("sts:GetCallerIdentity", "", "expired"),)), WELL)),
    ("KD509", Case(snapshot(interface(2)), at(9094))),
    ("KD509", Case(Snapshot(regions=("eu-west-2",)), WELL)),
    ("KD509", Case(snapshot(interface(1), interface(1, vpc="vpc-2", id="eni-7")), at(9094))),
    ("KD510", behind()),
    ("KD510", behind(serves(9094, "healthy"))),
    ("KD510", behind(serves(32001, "unhealthy"))),
    ("KD510", behind(serves(32001))),
    ("KD510", behind(serves(32001, "healthy", "unhealthy"))),
    ("KD510", behind(serves(32001, "healthy"), rule="sgr-1 tcp 9094 198.51.100.0/24")),
    ("KD510", behind(serves(32001, "healthy", keeps=False))),  # it sees 10.0.1.99
    ("KD510", behind(serves(32001, "healthy"), told={"source": PRIVATE[0]})),
    ("KD510", behind(serves(32001, "healthy"), kind="application")),
    ("KD511", serverless(9098)),
    ("KD511", serverless(9098, "dns:not_found")),
    ("KD511", serverless(9092)),
    ("KD511", msk(9098)),
    ("KD511", msk(9098, public="SERVICE_PROVIDED_EIPS")),
    ("KD511", msk(9196, public="SERVICE_PROVIDED_EIPS", IAM=9198)),
    ("KD511", msk(9096, state="CREATING")),
]  # fmt: skip

SILENT = [
    ("KD501", Case(world("sgr-1 tcp 32001 203.0.113.10/32"))),
    ("KD501", Case(world(), WELL)),
    # Something answered, so no group dropped it: the client is not who it seems to be.
    ("KD501", Case(world(), at(32001, ""))),
    ("KD501", Case(world(), at(32001, "refused"))),
    ("KD501", Case(world(), at(32001, "kafka:silent"))),
    ("KD501", Case(world(), inner())),  # that this is blocked is for other rules to say
    ("KD501", Case(replace(world(), groups={}))),
    ("KD502", Case(world(), at(9094))),
    ("KD502", Case(world(acls=ONE_WAY), at(9094, "refused"))),
    ("KD502", Case(world(acls=[]), at(9094))),
    ("KD503", Case(world(), at(9094))),
    ("KD503", Case(world(tables=BY_NAT), WELL)),
    ("KD503", Case(world(tables=[table("0.0.0.0/0 vpce-1")]), at(9094))),
    ("KD504", Case(world(), inner())),
    ("KD504", Case(world(there=INNER), inner(failed=""))),  # a VPN leads there
    ("KD504", Case(world(there=INNER), inner(), told={"source": "10.0.7.7"})),
    ("KD504", Case(snapshot(replace(INNER[0], instance="")), inner(1))),
    ("KD505", Case(world(), WELL)),
    ("KD505", Case(world("sgr-1 tcp 22 0.0.0.0/0", MINE), WELL)),
    ("KD505", Case(world("sgr-1 udp 9094 0.0.0.0/0"), WELL)),
    ("KD505", Case(world("sgr-1 tcp 9094 ::/0"), WELL)),
    ("KD505", Case(world("sgr-1 tcp 9094 0.0.0.0/0", there=INNER), inner(failed=""))),
    ("KD506", Case(world(), at(9094))),
    ("KD506", Case(world(states={"i-2": "stopped"}), at(9094))),
    ("KD507", Case(world(there=INNER), inner())),
    ("KD507", Case(world(), inner(failed=""))),
    ("KD507", Case(world(), inner(), told={"source": "10.0.7.7"})),
    ("KD508", Case(world(), WELL)),
    ("KD509", Case(world(), WELL)),
    ("KD509", Case(snapshot(interface(2)), WELL, came_in(f"{PUBLIC[1]}:9094"))),
    (
        "KD509",
        Case(Snapshot(gaps=(Unavailable("ec2:DescribeNetworkInterfaces", "", "denied"),)), WELL),
    ),
    (
        "KD509",
        Case(Snapshot(gaps=(Unavailable("sts:GetCallerIdentity", "", "credentials"),)), WELL),
    ),
    ("KD510", Case(world(), at(9094))),
    ("KD510", behind(serves(32001, "healthy"))),
    ("KD510", behind(serves(32001, "unhealthy"), met=at(32001, ""))),
    ("KD510", behind(serves(32001, "healthy"), rule="sgr-1 tcp 9094 sg-9")),
    ("KD510", behind(serves(32001, "healthy", keeps=False), rule="sgr-1 tcp 9094 10.0.1.0/24")),
    ("KD510", behind(serves(32001, "healthy", keeps=False), rule="sgr-1 tcp 9094 sg-9")),
    ("KD511", serverless(9098, "")),
    ("KD511", msk(9198, public="SERVICE_PROVIDED_EIPS", IAM=9198)),
    ("KD511", Case(world(), at(9094))),
]  # fmt: skip

WARNINGS = {"KD505", "KD507", "KD508", "KD509"}


@pytest.mark.parametrize(("code", "case"), FIRES)
def test_fires(code: str, case: Case) -> None:
    (finding,) = case.judged(code)
    assert (finding.code, finding.hop) == (code, "aws")
    assert (finding.severity == "warning") == (code in WARNINGS)
    assert finding.subjects
    assert finding.evidence
    assert finding.remedies or "CREATING" in finding.message


@pytest.mark.parametrize(("code", "case"), SILENT)
def test_is_silent(code: str, case: Case) -> None:
    assert case.judged(code) == []


@pytest.mark.parametrize("code", [f"KD5{number:02}" for number in range(1, 12)])
def test_is_not_asked_where_aws_was_not(code: str) -> None:
    assert found_by(code, came_in(), metadata(*(x.broker for x in WELL)), listeners(*WELL)) == []


def node_ports(failed: str = "timeout") -> tuple[Listener, ...]:
    return tuple(listener(node, NODE_PORTS[node - 1], failed) for node in (1, 2, 3))


def test_a_timeout_on_exactly_the_ports_without_a_rule_convicts_the_group() -> None:
    report = Case(world(), node_ports()).report
    assert (report.failing_hop, report.root_cause, report.exit_code) == ("listeners", "KD501", 30)
    assert {f.code: f.consequence_of for f in report.findings} == {
        "KD501": None, "KD306": "KD501", "KD104": "KD501",
    }  # fmt: skip
    finding = report.findings[0]
    assert finding.message == (
        "Security group sg-1 does not let 203.0.113.10 in on TCP 32001-32003: "
        "brokers 1, 2 and 3 are cut off"
    )
    evidence = "\n".join(finding.evidence)
    assert "connection requests vanish at 3.10.139.221:32001 (broker 1)" in evidence
    assert "3.10.139.221:9094 (bootstrap) answers: sgr-1 of sg-1 lets TCP 9094 in" in evidence
    assert "ruled out: rtb-1 0.0.0.0/0 → igw-1 leads to 203.0.113.10; acl-1 rule 100" in evidence


def test_the_fix_has_these_ports_and_this_client_only() -> None:
    (finding,) = Case(world(), node_ports()).judged("KD501")
    command, terraform = (remedy.snippet for remedy in finding.remedies)
    assert (
        '"FromPort": 32001, "ToPort": 32003, "IpRanges": [{"CidrIp": "203.0.113.10/32"' in command
    )
    assert command.count("FromPort") == 1
    assert terraform.count("aws_vpc_security_group_ingress_rule") == 1


def test_each_group_gets_its_own_ports() -> None:
    there = (THREE[0], interface(2, groups=["sg-2"]))
    case = Case(
        snapshot(*there, groups=[group(MINE), group(name="sg-2")]), node_ports()[:2]
    )  # fmt: skip
    (finding,) = case.judged("KD501")
    commands = [r.snippet for r in finding.remedies if r.kind == "shell"]
    assert [("sg-1" in c, "32001" in c, "32002" in c) for c in commands] == [
        (True, True, False), (False, False, True),
    ]  # fmt: skip


def test_an_unknown_client_is_asked_for_by_name() -> None:
    (finding,) = Case(world(), told={"source": ""}).judged("KD501")
    assert "<your public address>/32" in finding.remedies[0].snippet
    assert any(
        line.startswith("assumed: the client comes from the internet") for line in finding.evidence
    )


def test_what_depends_on_where_the_client_is_is_a_warning() -> None:
    case = Case(world(MINE, "sgr-2 tcp 32001 198.51.100.0/24"), told={"source": ""})
    (finding,) = case.judged("KD501")
    assert finding.severity == "warning"
    assert "depends on where you come from" in finding.message
    assert "--aws-source" in finding.remedies[0].snippet
    assert case.report.root_cause == "KD306"


def test_what_ec2_lets_through_clears_it_and_points_at_the_hosts() -> None:
    report = Case(world("sgr-1 tcp 32001 203.0.113.0/24")).report
    assert report.root_cause == "KD306"
    cause = report.findings[0]
    (line,) = [line for line in cause.evidence if line.startswith("EC2 lets")]
    for decided in ("i-1 is running", "igw-1", "acl-1 rule 100", "sgr-1 of sg-1"):
        assert decided in line
    assert "kube-proxy" in cause.remedies[0].summary
    assert cause.remedies[0].snippet == "tcpdump -ni any 'tcp and (port 32001)'"


def test_a_bootstrap_that_is_cut_off_by_a_group() -> None:
    case = Case(world(), (), bootstrap(contact(f"{PUBLIC[0]}:32000", "timeout")))
    report = reported(case.door, aws(case.world))
    assert (report.failing_hop, report.root_cause, report.exit_code) == ("bootstrap", "KD501", 10)


def test_a_walk_that_passes_fails_at_aws_for_another_client() -> None:
    report = Case(world(), WELL, told=GIVEN).report
    assert (report.failing_hop, report.root_cause, report.exit_code) == ("aws", "KD501", 50)


def test_two_reasons_of_two_brokers_explain_both() -> None:
    subnets = {2: "subnet-2"}
    there = tuple(interface(n, subnet=subnets.get(n, SUBNET)) for n in (1, 2))
    case = Case(
        snapshot(
            *there,
            groups=[group("sgr-1 tcp 9094 203.0.113.10/32", "sgr-2 tcp 32002 203.0.113.10/32")],
            acls=[acl(*OPEN_ACL), acl(name="acl-2", subnets=["subnet-2"])],
        ),
        node_ports()[:2],
    )
    report = case.report
    causes = {f.code: f.subjects for f in report.findings if not f.consequence_of}
    assert causes == {"KD501": ["broker 1"], "KD502": ["broker 2"]}
    assert report.root_cause in causes


def test_a_private_address_stays_the_cause_and_carries_the_public_ones() -> None:
    proofs = {node: contact(f"{PUBLIC[node - 1]}:9094", node=node) for node in (2, 3)}
    report = Case(world(), inner(), told={"proofs": proofs}).report
    assert (report.root_cause, report.exit_code) == ("KD301", 30)
    assert {f.code: f.consequence_of for f in report.findings}["KD507"] == "KD301"
    cause = report.findings[0]
    assert "3.10.139.222:9094 answers as broker 2: advertising it would work" in cause.evidence
    assert any("10.0.1.11, which is 3.10.139.221: eni-1 of i-1" in line for line in cause.evidence)
    assert "not all of them answer from here yet" in cause.remedies[0].summary
    assert [line for line in cause.remedies[0].snippet.splitlines() if "EXTERNAL://" in line] == [
        f"advertised.listeners=EXTERNAL://{address}:9094" for address in PUBLIC
    ]


def test_an_ec2_name_that_is_unknown_here_carries_its_address() -> None:
    name = "ip-10-0-1-11.eu-west-2.compute.internal"
    met = listener(1, f"{name}:9094", "dns:not_found")
    report = Case(world(), (met,), told={name: [PRIVATE[0]]}).report
    assert report.root_cause == "KD304"
    assert f"EXTERNAL://{PUBLIC[0]}:9094" in report.findings[0].remedies[0].snippet


def test_what_is_blocked_at_the_public_address_is_said_beside_the_private_one() -> None:
    report = Case(world("sgr-1 tcp 22 0.0.0.0/0"), inner(1)).report
    causes = {f.code for f in report.findings if not f.consequence_of}
    assert causes == {"KD301", "KD501"}
    assert report.root_cause == "KD301"


def test_who_answers_at_the_public_address_proves_it_or_not() -> None:
    proofs = {1: contact(f"{PUBLIC[0]}:9094", "identity:wrong_node", node=2)}
    (finding,) = Case(world(), inner(1), told={"proofs": proofs}).judged("KD507")
    assert f"{PUBLIC[0]}:9094 answers as broker 2" in finding.evidence


def test_no_public_address_is_why_a_private_one_is_advertised() -> None:
    report = Case(world(there=INNER), inner()).report
    assert (report.root_cause, report.exit_code) == ("KD504", 30)
    assert [remedy.summary[:2] for remedy in report.findings[0].remedies] == ["1.", "2.", "3."]


def test_the_world_is_let_out_after_the_client_was_let_in() -> None:
    (finding,) = Case(world("sgr-1 -1 * 0.0.0.0/0"), WELL).judged("KD505")
    first, second = (remedy.snippet for remedy in finding.remedies)
    assert "authorize-security-group-ingress" in first
    assert "203.0.113.10/32" in first
    assert second.endswith("--security-group-rule-ids sgr-1")


def test_who_has_a_rule_of_its_own_needs_no_other() -> None:
    (finding,) = Case(world("sgr-2 tcp 9094 0.0.0.0/0", MINE), WELL).judged("KD505")
    (only,) = finding.remedies
    assert "revoke-security-group-ingress" in only.snippet


def test_no_command_is_for_the_whole_internet() -> None:
    for code, case in FIRES:
        for finding in case.judged(code):
            for remedy in finding.remedies:
                assert "0.0.0.0/0" not in remedy.snippet
                assert "::/0" not in remedy.snippet


def test_what_is_denied_and_what_is_unknown_by_it() -> None:
    gaps = [Unavailable("ec2:DescribeNetworkAcls", "eu-west-2", "denied", "UnauthorizedOperation")]
    (finding,) = Case(world(gaps=gaps), WELL).judged("KD508")
    assert finding.subjects == ["ec2:DescribeNetworkAcls"]
    assert finding.evidence == [
        "ec2:DescribeNetworkAcls in eu-west-2: this identity lacks the permission "
        "(UnauthorizedOperation); not known: what network ACLs let through"
    ]
    assert '"Action": ["ec2:DescribeNetworkAcls"]' in finding.remedies[0].snippet
    assert Case(world(gaps=gaps), WELL).report.exit_code == 0


def test_the_answers_of_a_network_acl_have_an_entry_of_their_own() -> None:
    (finding,) = Case(world(acls=ONE_WAY), at(9094)).judged("KD502")
    assert "acl-1 drops answers between 203.0.113.10 and TCP 9094" in finding.message
    snippet = finding.remedies[0].snippet
    assert "--egress" in snippet
    assert "--ingress" not in snippet
    assert "From=1024,To=65535" in snippet


def test_the_client_s_own_network_acl_is_opened_the_other_way_round() -> None:
    client = interface(9, private="10.0.9.9", public="", subnet="subnet-9", id="eni-9")
    there = snapshot(
        interface(), client, acls=[acl(*OPEN_ACL), acl(name="acl-9", subnets=["subnet-9"])]
    )
    (finding,) = Case(
        there, inner(1), came_in("10.0.1.11:9092", source="10.0.9.9"), {"source": "10.0.9.9"}
    ).judged("KD502")
    snippet = finding.remedies[0].snippet
    assert "--egress \\\n  --rule-number 10 --protocol 6 --port-range From=9094,To=9094" in snippet
    assert "--ingress \\\n  --rule-number 10 --protocol 6 --port-range From=1024" in snippet
    assert snippet.count("10.0.1.11/32") == 2


def test_a_route_for_this_client_by_the_gateway_that_is_there() -> None:
    own = table("10.0.0.0/16 local", name="rtb-2", subnets=[SUBNET], main=False)
    (finding,) = Case(world(tables=[table(*TO_THE_WORLD), own]), at(9094)).judged("KD503")
    first, second, third = finding.remedies[0].snippet.splitlines()
    assert first.endswith("--route-table-id rtb-2 \\")
    assert second == "  --destination-cidr-block '203.0.113.10/32' \\"
    assert third == "  --gateway-id igw-1"


def test_a_gateway_that_no_route_leads_to_is_looked_up_by_the_command() -> None:
    own = table("10.0.0.0/16 local", name="rtb-2", subnets=[SUBNET], main=False)
    (finding,) = Case(world(tables=[own]), at(9094)).judged("KD503")
    snippet = finding.remedies[0].snippet
    assert '--gateway-id "$(aws ec2 describe-internet-gateways --region eu-west-2' in snippet
    assert "Name=attachment.vpc-id,Values=vpc-1" in snippet


def test_what_refuses_is_cleared() -> None:
    """Groups and network ACLs drop: who refuses is a host, which they let through."""
    (finding,) = Case(world(), at(32001, "refused")).judged("KD305")
    assert any("3.10.139.221:32001 (broker 1) refuses" in line for line in finding.evidence)


def test_a_classic_load_balancer_is_named_and_nothing_is_claimed_of_it() -> None:
    (finding,) = CLASSIC.judged("KD510")
    assert finding.severity == "warning"
    assert finding.subjects == ["broker 1"]
    assert (
        finding.message == "old-kafka is a Classic Load Balancer: what is behind was not asked for"
    )
    assert "--load-balancer-name 'old-kafka'" in finding.remedies[0].snippet


def test_an_application_load_balancer_does_not_speak_kafka() -> None:
    (finding,) = behind(serves(32001, "healthy"), kind="application").judged("KD510")
    assert finding.message == (
        "kafka is an Application Load Balancer: it speaks HTTP, and not Kafka"
    )


@pytest.mark.parametrize(
    ("port", "said"),
    [
        (9092, "MSK Serverless offers TCP 9098 (IAM) alone, and no TCP 9092"),
        (9098, "MSK Serverless is for clients in its own VPCs: "),
    ],
)
def test_msk_serverless(port: int, said: str) -> None:
    (finding,) = serverless(port).judged("KD511")
    assert finding.message.startswith(said)


def test_the_line_of_the_hop() -> None:
    known, unknown, nothing = aws(world()), aws(world(), source=""), aws(Snapshot())
    assert known.summary.endswith("addresses found in eu-west-2")
    assert unknown.summary == f"{known.summary}; your own is not known"
    assert nothing.summary == "AWS told nothing"


def test_the_table_of_the_report() -> None:
    report = Case(world(), node_ports()).report
    assert report.aws
    assert (report.aws.source, report.aws.source_from, report.aws.calls) == (
        "203.0.113.10", "interface", 7,
    )  # fmt: skip
    rows = {row.subject: row for row in report.aws.addresses}
    one, door = rows["broker 1"], rows["bootstrap 3.10.139.221:9094"]
    assert (one.verdict, one.layer, one.decided_by, one.walk) == (
        "blocked", "group", "sg-1", "timeout",
    )  # fmt: skip
    assert (one.instance, one.interface, one.groups) == ("i-1", "eni-1", ["sg-1"])
    assert (door.verdict, door.decided_by, door.walk) == ("allowed", "sgr-1", "ok")
    assert [step.layer for step in one.steps][-1] == "group"


def test_a_verdict_that_the_walk_contradicts_is_none() -> None:
    report = Case(world(), at(32001, "refused")).report
    assert report.aws
    row = report.aws.addresses[-1]
    assert (row.verdict, row.walk) == ("unknown", "refused")
    assert row.reason.startswith("the walk got an answer, so this is not all that counts")
    assert report.root_cause == "KD305"


def test_an_address_of_two_vpcs_is_the_one_that_the_client_came_in_by() -> None:
    twin = interface(2, vpc="vpc-2", id="eni-7", public="3.99.1.1")
    there = snapshot(interface(1), interface(2, public="3.10.139.250"), twin, groups=[group(MINE)])
    (finding,) = Case(there, inner(2)).judged("KD507")
    assert "10.0.1.12 is 3.10.139.250" in finding.message


def test_no_aws_no_table() -> None:
    assert reported(came_in()).aws is None

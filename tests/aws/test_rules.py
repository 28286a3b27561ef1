"""The rules KD5xx: cases with and without a finding, messages, evidence and remedies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kdiag.aws.facts import (
    LoadBalancer,
    LoadBalancerListener,
    MskCluster,
    NetworkInterface,
    Snapshot,
    TargetHealth,
    UnavailableCall,
)
from kdiag.aws.hop import AwsFacts
from kdiag.report.model import Report
from kdiag.rules.rule import Finding
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener
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
    contact,
    dial,
    found_by,
    listener,
    listeners,
    metadata,
    reported,
    working_bootstrap,
)

RULE_FOR_LAPTOP = "sgr-1 tcp 9094 203.0.113.10/32"
NODE_PORTS = tuple(f"{address}:{32001 + n}" for n, address in enumerate(PUBLIC))
BROKERS = tuple(interface(node) for node in (1, 2, 3))
PRIVATE_ONLY = tuple(interface(node, public="") for node in (1, 2, 3))


@dataclass(frozen=True)
class Case:
    """The facts of AWS and of a walk; by default one broker that does not answer."""

    world: Snapshot
    observed: tuple[Listener, ...] = (listener(1, f"{PUBLIC[0]}:32001", "timeout"),)
    bootstrap_facts: Bootstrap = field(default_factory=working_bootstrap)
    client: dict[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> tuple[Any, ...]:
        aws_facts: AwsFacts = aws(self.world, **self.client)
        return (
            self.bootstrap_facts,
            metadata(*(x.broker for x in self.observed)),
            listeners(*self.observed),
            aws_facts,
        )

    def findings(self, code: str) -> list[Finding]:
        return found_by(code, *self.facts)

    @property
    def report(self) -> Report:
        return reported(*self.facts)


def world(*rules: str, interfaces: tuple[NetworkInterface, ...] = BROKERS, **more: Any) -> Snapshot:
    return snapshot(*interfaces, groups=[group(*rules or (RULE_FOR_LAPTOP,))], **more)


def on_port(port: int, failed: str = "timeout", node: int = 1, **more: Any) -> tuple[Listener, ...]:
    return (listener(node, f"{PUBLIC[node - 1]}:{port}", failed, **more),)


def private(*nodes: int, failed: str = "timeout") -> tuple[Listener, ...]:
    return tuple(listener(node, f"{PRIVATE[node - 1]}:9094", failed) for node in nodes or (1, 2, 3))


ONE_WAY_ACL = [acl("in 100 allow -1 * 0.0.0.0/0", "out 100 allow tcp 443 0.0.0.0/0")]
NAT_TABLE = [table("10.0.0.0/16 local", "0.0.0.0/0 nat-1")]
HEALTHY = on_port(9094, "")
OTHER_CLIENT = {"source": "198.51.100.0/24", "known_from": "given"}
PARTLY_CLOSED = [acl("out 90 deny tcp 40000-50000 0.0.0.0/0", *OPEN_ACL)]

BALANCER_INTERFACE = interface(
    9, private="10.0.1.99", public=PUBLIC[0], groups=["sg-9"], instance="", id="eni-9",
    kind="network_load_balancer", description="ELB net/kafka/abc",
)  # fmt: skip


def balancer(*balancer_listeners: LoadBalancerListener, **more: Any) -> LoadBalancer:
    arn = "arn:aws:elasticloadbalancing:eu-west-2:1:loadbalancer/net/kafka/abc"
    fields = {"scheme": "internet-facing", "kind": "network", "vpc": "vpc-1", **more}
    return LoadBalancer(
        arn, "kafka", "kafka.elb.eu-west-2.amazonaws.com", listeners=balancer_listeners, **fields
    )


def served(port: int, *states: str, preserves: bool = True, target: str = "i-1") -> Any:
    targets = tuple(TargetHealth(target, 9094, state, "") for state in states)
    return LoadBalancerListener(port, "TCP", "arn:tg", preserves, targets)


def balanced(
    *balancer_listeners: LoadBalancerListener, rule: str = RULE_FOR_LAPTOP, **more: Any
) -> Case:
    """Broker 1 behind a load balancer with these listeners; by default it does not answer."""
    observed = more.pop("observed", on_port(32001))
    client = more.pop("client", {})
    interfaces = snapshot(
        BALANCER_INTERFACE,
        *PRIVATE_ONLY,
        groups=[group(rule), group("sgr-9 tcp 32001 0.0.0.0/0", name="sg-9")],
        balancers=(balancer(*balancer_listeners, **more),),
    )
    return Case(interfaces, observed, client=client)


MSK_HOST = "b-1.demo.a1.c2.kafka.eu-west-2.amazonaws.com"


def msk(port: int, *, public: str = "DISABLED", state: str = "ACTIVE", **ports: int) -> Case:
    address = PUBLIC[0] if public != "DISABLED" else PRIVATE[0]
    own = interface(1, public=PUBLIC[0] if public != "DISABLED" else "", instance="")
    cluster = MskCluster(
        "arn:aws:kafka:eu-west-2:1:cluster/demo/a1", "demo", state, public,
        ports or {"IAM": 9098}, ("sg-1",), (SUBNET,), (MSK_HOST,),
    )  # fmt: skip
    observed = contact(f"{MSK_HOST}:{port}", "timeout", dial(address, "timeout"))
    return Case(
        snapshot(own, clusters=(cluster,)), (), bootstrap(observed), {MSK_HOST: [address]}
    )  # fmt: skip


def serverless(port: int, failed: str = "timeout") -> Case:
    """A host of MSK Serverless, which is not in the facts of AWS."""
    host = "boot-a1b2c3.c1.kafka-serverless.eu-west-2.amazonaws.com"
    observed = contact(f"{host}:{port}", failed)
    return Case(
        snapshot(), (), bootstrap(observed), {host: [] if failed.startswith("dns") else [host]}
    )


CLASSIC_INTERFACE = replace(BALANCER_INTERFACE, description="ELB old-kafka")
OPEN_GROUP = group("sgr-9 tcp 9094 0.0.0.0/0", name="sg-9")
CLASSIC = Case(
    snapshot(CLASSIC_INTERFACE, *PRIVATE_ONLY, groups=[OPEN_GROUP]), on_port(9094, "closed")
)


def failed_call(call: str, region: str, reason: str) -> dict[str, Any]:
    return {"unavailable": (UnavailableCall(call, region, reason),)}


FIRES = [
    ("KD501", Case(world())),
    ("KD501", Case(world(), client={"source": ""})),
    ("KD501", Case(world(), on_port(32001, ""), client=OTHER_CLIENT)),
    ("KD501", Case(world("sgr-1 tcp 9094 sg-1"), on_port(9094))),
    ("KD501", Case(world(), (), bootstrap(contact(f"{PUBLIC[0]}:32000", "timeout")))),
    ("KD502", Case(world(acls=ONE_WAY_ACL), on_port(9094))),
    ("KD502", Case(world(acls=[acl()]), on_port(9094))),
    ("KD502", Case(world(acls=PARTLY_CLOSED), HEALTHY)),  # some ports are blocked
    ("KD503", Case(world(tables=NAT_TABLE), on_port(9094))),
    ("KD503", Case(world(tables=[table("10.0.0.0/16 local")]), on_port(9094))),
    ("KD504", Case(world(interfaces=PRIVATE_ONLY), private())),
    ("KD504", Case(world(interfaces=PRIVATE_ONLY), private(), client={"source": ""})),
    ("KD505", Case(world("sgr-1 tcp 9094 0.0.0.0/0"), HEALTHY)),
    ("KD505", Case(world("sgr-1 -1 * 0.0.0.0/0"), HEALTHY)),
    ("KD505", Case(world("sgr-1 tcp 0-65535 0.0.0.0/0"), on_port(9094, "refused"))),
    ("KD505", Case(world("sgr-1 tcp 9094 pl-1", prefix_lists={"pl-1": ("0.0.0.0/0",)}), HEALTHY)),
    ("KD506", Case(world(states={"i-1": "stopped"}), on_port(9094))),
    ("KD507", Case(world(), private())),
    ("KD507", Case(world("sgr-1 tcp 22 0.0.0.0/0"), private(2))),
    (
        "KD508",
        Case(world(**failed_call("ec2:DescribeNetworkAcls", "eu-west-2", "denied")), HEALTHY),
    ),
    ("KD508", Case(Snapshot(**failed_call("sts:GetCallerIdentity", "", "expired")), HEALTHY)),
    ("KD509", Case(snapshot(interface(2)), on_port(9094))),
    ("KD509", Case(Snapshot(regions=("eu-west-2",)), HEALTHY)),
    ("KD509", Case(snapshot(interface(1), interface(1, vpc="vpc-2", id="eni-7")), on_port(9094))),
    ("KD510", balanced()),
    ("KD510", balanced(served(9094, "healthy"))),
    ("KD510", balanced(served(32001, "unhealthy"))),
    ("KD510", balanced(served(32001))),
    ("KD510", balanced(served(32001, "healthy", "unhealthy"))),
    ("KD510", balanced(served(32001, "healthy"), rule="sgr-1 tcp 9094 198.51.100.0/24")),
    ("KD510", balanced(served(32001, "healthy", preserves=False))),
    ("KD510", balanced(served(32001, "healthy"), client={"source": PRIVATE[0]})),
    ("KD510", balanced(served(32001, "healthy"), kind="application")),
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
    ("KD501", Case(world(), HEALTHY)),
    # Something answered, so no group dropped it: the client is not who it seems to be.
    ("KD501", Case(world(), on_port(32001, ""))),
    ("KD501", Case(world(), on_port(32001, "refused"))),
    ("KD501", Case(world(), on_port(32001, "kafka:silent"))),
    ("KD501", Case(world(), private())),  # that this is blocked is for other rules to say
    ("KD501", Case(replace(world(), groups={}))),
    ("KD502", Case(world(), on_port(9094))),
    ("KD502", Case(world(acls=ONE_WAY_ACL), on_port(9094, "refused"))),
    ("KD502", Case(world(acls=[]), on_port(9094))),
    ("KD503", Case(world(), on_port(9094))),
    ("KD503", Case(world(tables=NAT_TABLE), HEALTHY)),
    ("KD503", Case(world(tables=[table("0.0.0.0/0 vpce-1")]), on_port(9094))),
    ("KD504", Case(world(), private())),
    ("KD504", Case(world(interfaces=PRIVATE_ONLY), private(failed=""))),  # by VPN
    ("KD504", Case(world(interfaces=PRIVATE_ONLY), private(), client={"source": "10.0.7.7"})),
    ("KD504", Case(snapshot(replace(PRIVATE_ONLY[0], instance="")), private(1))),
    ("KD505", Case(world(), HEALTHY)),
    ("KD505", Case(world("sgr-1 tcp 22 0.0.0.0/0", RULE_FOR_LAPTOP), HEALTHY)),
    ("KD505", Case(world("sgr-1 udp 9094 0.0.0.0/0"), HEALTHY)),
    ("KD505", Case(world("sgr-1 tcp 9094 ::/0"), HEALTHY)),
    ("KD505", Case(world("sgr-1 tcp 9094 0.0.0.0/0", interfaces=PRIVATE_ONLY), private(failed=""))),
    ("KD506", Case(world(), on_port(9094))),
    ("KD506", Case(world(states={"i-2": "stopped"}), on_port(9094))),
    ("KD507", Case(world(interfaces=PRIVATE_ONLY), private())),
    ("KD507", Case(world(), private(failed=""))),
    ("KD507", Case(world(), private(), client={"source": "10.0.7.7"})),
    ("KD508", Case(world(), HEALTHY)),
    ("KD509", Case(world(), HEALTHY)),
    ("KD509", Case(snapshot(interface(2)), HEALTHY, working_bootstrap(f"{PUBLIC[1]}:9094"))),
    (
        "KD509",
        Case(Snapshot(**failed_call("ec2:DescribeNetworkInterfaces", "", "denied")), HEALTHY),
    ),
    (
        "KD509",
        Case(Snapshot(**failed_call("sts:GetCallerIdentity", "", "credentials")), HEALTHY),
    ),
    ("KD510", Case(world(), on_port(9094))),
    ("KD510", balanced(served(32001, "healthy"))),
    ("KD510", balanced(served(32001, "unhealthy"), observed=on_port(32001, ""))),
    ("KD510", balanced(served(32001, "healthy"), rule="sgr-1 tcp 9094 sg-9")),
    ("KD510", balanced(served(32001, "healthy", preserves=False),
                       rule="sgr-1 tcp 9094 10.0.1.0/24")),
    ("KD510", balanced(served(32001, "healthy", preserves=False), rule="sgr-1 tcp 9094 sg-9")),
    ("KD511", serverless(9098, "")),
    ("KD511", msk(9198, public="SERVICE_PROVIDED_EIPS", IAM=9198)),
    ("KD511", Case(world(), on_port(9094))),
]  # fmt: skip

WARNINGS = {"KD505", "KD507", "KD508", "KD509"}


@pytest.mark.parametrize(("code", "case"), FIRES)
def test_fires(code: str, case: Case) -> None:
    (finding,) = case.findings(code)
    assert (finding.code, finding.hop) == (code, "aws")
    assert (finding.severity == "warning") == (code in WARNINGS)
    assert finding.subjects
    assert finding.evidence
    assert finding.remedies or "CREATING" in finding.message


@pytest.mark.parametrize(("code", "case"), SILENT)
def test_is_silent(code: str, case: Case) -> None:
    assert case.findings(code) == []


@pytest.mark.parametrize("code", [f"KD5{number:02}" for number in range(1, 12)])
def test_a_rule_does_not_run_without_facts_of_aws(code: str) -> None:
    assert (
        found_by(
            code, working_bootstrap(), metadata(*(x.broker for x in HEALTHY)), listeners(*HEALTHY)
        )
        == []
    )


def node_ports(failed: str = "timeout") -> tuple[Listener, ...]:
    return tuple(listener(node, NODE_PORTS[node - 1], failed) for node in (1, 2, 3))


def test_timeouts_on_exactly_the_ports_without_a_rule_are_the_fault_of_the_group() -> None:
    report = Case(world(), node_ports()).report
    assert (report.failing_hop, report.root_cause, report.exit_code) == ("listeners", "KD501", 30)
    assert {f.code: f.consequence_of for f in report.findings} == {
        "KD501": None, "KD306": "KD501", "KD104": "KD501",
    }  # fmt: skip
    finding = report.findings[0]
    assert finding.message == (
        "Security group sg-1 does not let 203.0.113.10 in on TCP 32001-32003: "
        "brokers 1, 2 and 3 are not reachable"
    )
    evidence = "\n".join(finding.evidence)
    dropped = "connection requests are dropped on the path to 3.10.139.221:32001 (broker 1)"
    assert dropped in evidence
    assert "3.10.139.221:9094 (bootstrap) answers: sgr-1 of sg-1 lets TCP 9094 in" in evidence
    assert "ruled out: rtb-1 0.0.0.0/0 → igw-1 leads to 203.0.113.10; acl-1 rule 100" in evidence


def test_the_remedy_has_only_the_ports_and_the_client() -> None:
    (finding,) = Case(world(), node_ports()).findings("KD501")
    command, terraform = (remedy.snippet for remedy in finding.remedies)
    assert (
        '"FromPort": 32001, "ToPort": 32003, "IpRanges": [{"CidrIp": "203.0.113.10/32"' in command
    )
    assert command.count("FromPort") == 1
    assert terraform.count("aws_vpc_security_group_ingress_rule") == 1


def test_each_group_gets_its_own_ports() -> None:
    interfaces = (BROKERS[0], interface(2, groups=["sg-2"]))
    case = Case(
        snapshot(*interfaces, groups=[group(RULE_FOR_LAPTOP), group(name="sg-2")]), node_ports()[:2]
    )  # fmt: skip
    (finding,) = case.findings("KD501")
    commands = [r.snippet for r in finding.remedies if r.kind == "shell"]
    assert [("sg-1" in c, "32001" in c, "32002" in c) for c in commands] == [
        (True, True, False), (False, False, True),
    ]  # fmt: skip


def test_the_remedy_for_an_unknown_client_has_a_placeholder() -> None:
    (finding,) = Case(world(), client={"source": ""}).findings("KD501")
    assert "<your public address>/32" in finding.remedies[0].snippet
    assert any(
        line.startswith("assumed: the client comes from the internet") for line in finding.evidence
    )


def test_a_block_of_some_possible_clients_is_a_warning() -> None:
    case = Case(world(RULE_FOR_LAPTOP, "sgr-2 tcp 32001 198.51.100.0/24"), client={"source": ""})
    (finding,) = case.findings("KD501")
    assert finding.severity == "warning"
    assert "depends on where you come from" in finding.message
    assert "--aws-source" in finding.remedies[0].snippet
    assert case.report.root_cause == "KD306"


def test_a_timeout_that_ec2_allows_has_a_remedy_for_the_hosts() -> None:
    report = Case(world("sgr-1 tcp 32001 203.0.113.0/24")).report
    assert report.root_cause == "KD306"
    cause = report.findings[0]
    (line,) = [line for line in cause.evidence if line.startswith("EC2 lets")]
    for decided in ("i-1 is running", "igw-1", "acl-1 rule 100", "sgr-1 of sg-1"):
        assert decided in line
    assert "kube-proxy" in cause.remedies[0].summary
    assert cause.remedies[0].snippet == "tcpdump -ni any 'tcp and (port 32001)'"


def test_a_group_that_blocks_the_bootstrap_server() -> None:
    case = Case(world(), (), bootstrap(contact(f"{PUBLIC[0]}:32000", "timeout")))
    report = reported(case.bootstrap_facts, aws(case.world))
    assert (report.failing_hop, report.root_cause, report.exit_code) == ("bootstrap", "KD501", 10)


def test_a_walk_that_passes_fails_at_aws_for_another_client() -> None:
    report = Case(world(), HEALTHY, client=OTHER_CLIENT).report
    assert (report.failing_hop, report.root_cause, report.exit_code) == ("aws", "KD501", 50)


def test_two_brokers_with_two_causes() -> None:
    subnets = {2: "subnet-2"}
    interfaces = tuple(interface(n, subnet=subnets.get(n, SUBNET)) for n in (1, 2))
    case = Case(
        snapshot(
            *interfaces,
            groups=[group("sgr-1 tcp 9094 203.0.113.10/32", "sgr-2 tcp 32002 203.0.113.10/32")],
            acls=[acl(*OPEN_ACL), acl(name="acl-2", subnets=["subnet-2"])],
        ),
        node_ports()[:2],
    )
    report = case.report
    causes = {f.code: f.subjects for f in report.findings if not f.consequence_of}
    assert causes == {"KD501": ["broker 1"], "KD502": ["broker 2"]}
    assert report.root_cause in causes


def test_a_private_address_is_the_root_cause_and_has_the_public_addresses() -> None:
    public_results = {node: contact(f"{PUBLIC[node - 1]}:9094", node=node) for node in (2, 3)}
    report = Case(world(), private(), client={"public_results": public_results}).report
    assert (report.root_cause, report.exit_code) == ("KD301", 30)
    assert {f.code: f.consequence_of for f in report.findings}["KD507"] == "KD301"
    cause = report.findings[0]
    assert "3.10.139.222:9094 answers as broker 2: advertising it would work" in cause.evidence
    assert any("10.0.1.11, which is 3.10.139.221: eni-1 of i-1" in line for line in cause.evidence)
    assert "not all of them answer from here yet" in cause.remedies[0].summary
    assert [line for line in cause.remedies[0].snippet.splitlines() if "EXTERNAL://" in line] == [
        f"advertised.listeners=<your other entries>,EXTERNAL://{address}:9094" for address in PUBLIC
    ]


def test_an_ec2_name_that_does_not_resolve_has_its_public_address() -> None:
    name = "ip-10-0-1-11.eu-west-2.compute.internal"
    observed = listener(1, f"{name}:9094", "dns:not_found")
    report = Case(world(), (observed,), client={name: [PRIVATE[0]]}).report
    assert report.root_cause == "KD304"
    assert f"EXTERNAL://{PUBLIC[0]}:9094" in report.findings[0].remedies[0].snippet


def test_a_blocked_public_address_is_a_finding_too() -> None:
    report = Case(world("sgr-1 tcp 22 0.0.0.0/0"), private(1)).report
    causes = {f.code for f in report.findings if not f.consequence_of}
    assert causes == {"KD301", "KD501"}
    assert report.root_cause == "KD301"


def test_the_broker_that_answers_at_the_public_address_is_evidence() -> None:
    public_results = {1: contact(f"{PUBLIC[0]}:9094", "identity:wrong_node", node=2)}
    (finding,) = Case(world(), private(1), client={"public_results": public_results}).findings(
        "KD507"
    )
    assert f"{PUBLIC[0]}:9094 answers as broker 2" in finding.evidence


def test_a_missing_public_address_explains_a_private_advertised_address() -> None:
    report = Case(world(interfaces=PRIVATE_ONLY), private()).report
    assert (report.root_cause, report.exit_code) == ("KD504", 30)
    first = [remedy.summary.split()[0] for remedy in report.findings[0].remedies]
    assert first == ["Give", "Or", "Or"]


def test_the_open_rule_is_removed_after_the_rule_for_the_client_is_added() -> None:
    (finding,) = Case(world("sgr-1 -1 * 0.0.0.0/0"), HEALTHY).findings("KD505")
    first, second = (remedy.snippet for remedy in finding.remedies)
    assert "authorize-security-group-ingress" in first
    assert "203.0.113.10/32" in first
    assert second.endswith("--security-group-rule-ids sgr-1")


def test_a_client_with_its_own_rule_needs_no_other_rule() -> None:
    (finding,) = Case(world("sgr-2 tcp 9094 0.0.0.0/0", RULE_FOR_LAPTOP), HEALTHY).findings("KD505")
    (only,) = finding.remedies
    assert "revoke-security-group-ingress" in only.snippet


def test_no_command_is_for_the_whole_internet() -> None:
    for code, case in FIRES:
        for finding in case.findings(code):
            for remedy in finding.remedies:
                assert "0.0.0.0/0" not in remedy.snippet
                assert "::/0" not in remedy.snippet


def test_a_denied_call_and_the_unknown_facts() -> None:
    unavailable = [
        UnavailableCall("ec2:DescribeNetworkAcls", "eu-west-2", "denied", "UnauthorizedOperation")
    ]
    (finding,) = Case(world(unavailable=unavailable), HEALTHY).findings("KD508")
    assert finding.subjects == ["ec2:DescribeNetworkAcls"]
    assert finding.evidence == [
        "ec2:DescribeNetworkAcls in eu-west-2: this identity lacks the permission "
        "(UnauthorizedOperation); not known: what network ACLs let through"
    ]
    assert '"Action": ["ec2:DescribeNetworkAcls"]' in finding.remedies[0].snippet
    assert Case(world(unavailable=unavailable), HEALTHY).report.exit_code == 0


def test_a_blocked_response_needs_an_egress_entry() -> None:
    (finding,) = Case(world(acls=ONE_WAY_ACL), on_port(9094)).findings("KD502")
    assert "acl-1 drops answers between 203.0.113.10 and TCP 9094" in finding.message
    snippet = finding.remedies[0].snippet
    assert "--egress" in snippet
    assert "--ingress" not in snippet
    assert "From=1024,To=65535" in snippet


def test_the_entries_for_the_acl_of_the_client_have_the_opposite_directions() -> None:
    client = interface(9, private="10.0.9.9", public="", subnet="subnet-9", id="eni-9")
    interfaces = snapshot(
        interface(), client, acls=[acl(*OPEN_ACL), acl(name="acl-9", subnets=["subnet-9"])]
    )
    (finding,) = Case(
        interfaces,
        private(1),
        working_bootstrap("10.0.1.11:9092", source="10.0.9.9"),
        {"source": "10.0.9.9"},
    ).findings("KD502")
    snippet = finding.remedies[0].snippet
    assert "--egress \\\n  --rule-number 10 --protocol 6 --port-range From=9094,To=9094" in snippet
    assert "--ingress \\\n  --rule-number 10 --protocol 6 --port-range From=1024" in snippet
    assert snippet.count("10.0.1.11/32") == 2


def test_the_route_uses_a_known_internet_gateway() -> None:
    own = table("10.0.0.0/16 local", name="rtb-2", subnets=[SUBNET], main=False)
    (finding,) = Case(world(tables=[table(*TO_THE_WORLD), own]), on_port(9094)).findings("KD503")
    first, second, third = finding.remedies[0].snippet.splitlines()
    assert first.endswith("--route-table-id rtb-2 \\")
    assert second == "  --destination-cidr-block '203.0.113.10/32' \\"
    assert third == "  --gateway-id igw-1"


def test_the_command_looks_up_an_unknown_internet_gateway() -> None:
    own = table("10.0.0.0/16 local", name="rtb-2", subnets=[SUBNET], main=False)
    (finding,) = Case(world(tables=[own]), on_port(9094)).findings("KD503")
    snippet = finding.remedies[0].snippet
    assert '--gateway-id "$(aws ec2 describe-internet-gateways --region eu-west-2' in snippet
    assert "Name=attachment.vpc-id,Values=vpc-1" in snippet


def test_a_refused_connection_proves_that_groups_allow_it() -> None:
    """Groups and network ACLs drop packets; only a host refuses a connection."""
    (finding,) = Case(world(), on_port(32001, "refused")).findings("KD305")
    assert any("3.10.139.221:32001 (broker 1) refuses" in line for line in finding.evidence)


def test_a_classic_load_balancer_is_only_a_warning() -> None:
    (finding,) = CLASSIC.findings("KD510")
    assert finding.severity == "warning"
    assert finding.subjects == ["broker 1"]
    assert (
        finding.message == "old-kafka is a Classic Load Balancer: what is behind was not asked for"
    )
    assert "--load-balancer-name 'old-kafka'" in finding.remedies[0].snippet


def test_an_application_load_balancer_does_not_speak_kafka() -> None:
    (finding,) = balanced(served(32001, "healthy"), kind="application").findings("KD510")
    assert finding.message == (
        "kafka is an Application Load Balancer: it speaks HTTP, and not Kafka"
    )


@pytest.mark.parametrize(
    ("port", "message"),
    [
        (9092, "MSK Serverless offers TCP 9098 (IAM) alone, and no TCP 9092"),
        (9098, "MSK Serverless is for clients in its own VPCs: "),
    ],
)
def test_msk_serverless(port: int, message: str) -> None:
    (finding,) = serverless(port).findings("KD511")
    assert finding.message.startswith(message)


def test_the_summary_of_the_hop() -> None:
    aws_facts, unknown, nothing = aws(world()), aws(world(), source=""), aws(Snapshot())
    assert aws_facts.summary.endswith("addresses found in eu-west-2")
    assert unknown.summary == f"{aws_facts.summary}; your own is not known"
    assert nothing.summary == "AWS answered nothing"


def test_the_addresses_in_the_report() -> None:
    report = Case(world(), node_ports()).report
    assert report.aws
    assert (report.aws.source, report.aws.source_from, report.aws.calls) == (
        "203.0.113.10", "interface", 7,
    )  # fmt: skip
    rows = {row.subject: row for row in report.aws.addresses}
    row, bootstrap_facts = rows["broker 1"], rows["bootstrap 3.10.139.221:9094"]
    assert (row.verdict, row.layer, row.decided_by, row.walk) == (
        "blocked", "group", "sg-1", "timeout",
    )  # fmt: skip
    assert (row.instance, row.interface, row.groups) == ("i-1", "eni-1", ["sg-1"])
    assert (bootstrap_facts.verdict, bootstrap_facts.decided_by, bootstrap_facts.walk) == (
        "allowed",
        "sgr-1",
        "ok",
    )
    assert [step.layer for step in row.steps][-1] == "group"


def test_a_verdict_that_the_walk_contradicts_is_unknown() -> None:
    report = Case(world(), on_port(32001, "refused")).report
    assert report.aws
    row = report.aws.addresses[-1]
    assert (row.verdict, row.walk) == ("unknown", "refused")
    assert row.reason.startswith("the walk got an answer, so this is not all that counts")
    assert report.root_cause == "KD305"


def test_of_two_vpcs_with_an_address_the_vpc_of_the_bootstrap_server_counts() -> None:
    twin = interface(2, vpc="vpc-2", id="eni-7", public="3.99.1.1")
    interfaces = snapshot(
        interface(1), interface(2, public="3.10.139.250"), twin, groups=[group(RULE_FOR_LAPTOP)]
    )
    (finding,) = Case(interfaces, private(2)).findings("KD507")
    assert "10.0.1.12 is 3.10.139.250" in finding.message


def test_a_report_without_aws_has_no_aws_part() -> None:
    assert reported(working_bootstrap()).aws is None

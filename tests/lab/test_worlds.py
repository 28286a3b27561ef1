"""What kdiag says of AWS is what packets do: worlds in moto and in nftables, asked by the laptop.

Each world is one of worlds.py and what must be said of it. `cut` are the addresses from which
nothing comes back, `by` is what decides that there, by AWS's id. Where `mended`, the commands that
the report proposes are run, by boto3 on moto and from there by packets.py on the gateway; then all
must be well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kdiag.aws.account import snapshot
from kdiag.aws.ec2 import AwsApi
from kdiag.aws.facts import ClientAddress
from kdiag.aws.reachability import analyze
from kdiag.aws.verdict import PathVerdict
from tests.accounts import Account, environment, models_read_once, running_account, serving
from tests.applied import applies
from tests.lab import commands, goldens, packets
from tests.lab.client import HEALTHY, Client, Report, Verdict
from tests.lab.lab import Lab
from tests.lab.listeners import CLOSED_PORT, NODE_PORT, NODES, PORTS
from tests.lab.network import HOMES, LAPTOP, PUBLICS
from tests.lab.worlds import ME, WORLD, World, build

pytestmark = pytest.mark.lab

SOON = ("--timeout", "1.5")  # where something is silent
OFFICE = "198.51.100.0/24"

# Ports that the prediction is asked about beside those of the walk: open ones, closed, NodePorts.
GRID = (22, 9094, 9095, CLOSED_PORT, *range(NODE_PORT, NODE_PORT + 4))


@dataclass(frozen=True)
class Case:
    """A world, the listener that is its bootstrap, and what must be said."""

    world: World
    verdict: Verdict
    cut: tuple[str, ...] = ()
    by: str = ""
    listener: str = "PUBLIC"
    after: Verdict = HEALTHY  # once what is proposed was done
    mended: bool = True
    mentions: Mapping[str, str] = field(default_factory=dict)  # code → in its evidence


def every(port: int) -> tuple[str, ...]:
    return tuple(f"{public}:{port}" for public in PUBLICS)


def node_ports(*nodes: int) -> tuple[str, ...]:
    return tuple(f"{PUBLICS[0]}:{NODE_PORT + node}" for node in nodes)


ALL_NODE_PORTS = f"{NODE_PORT}-{NODE_PORT + 3} {ME}"
HALF, REST = f"{NODE_PORT}-{NODE_PORT + 1}", f"{NODE_PORT + 2}-{NODE_PORT + 3}"

CASES = {
    "open": Case(World(), HEALTHY),
    "one port missing": Case(
        World(lets=[f"{NODE_PORT}-{NODE_PORT + 2} {ME}"]),
        ("listeners", "KD501", 30), node_ports(3), "{group}", "NODEPORT",
    ),
    "NodePort range half open": Case(
        World(lets=[f"{HALF} {ME}"]),
        ("listeners", "KD501", 30), node_ports(2, 3), "{group}", "NODEPORT",
    ),
    "wrong source": Case(
        World(lets=[f"9094 {OFFICE}"]), ("bootstrap", "KD501", 10), every(9094)[:1], "{group}",
    ),
    "wrong source for the NodePorts": Case(
        World(lets=[f"{NODE_PORT} {ME}", f"{NODE_PORT + 1}-{NODE_PORT + 3} {OFFICE}"]),
        ("listeners", "KD501", 30), node_ports(1, 2, 3), "{group}", "NODEPORT",
    ),
    "a group of its own without the rule": Case(
        World(apart={3: [f"22 {ME}"]}),
        ("listeners", "KD501", 30), every(9094)[2:], "{group3}",
    ),
    "NACL denies in": Case(
        World(
            lets=[ALL_NODE_PORTS],
            requests=[f"90 deny {REST} {WORLD}", f"100 allow * {WORLD}"],
        ),
        ("listeners", "KD502", 30), node_ports(2, 3), "{acl} rule 90", "NODEPORT",
    ),
    "NACL denies in, by order": Case(
        World(
            lets=[ALL_NODE_PORTS],
            requests=[
                f"90 allow {NODE_PORT + 2} {WORLD}",
                f"95 deny {REST} {ME}",
                f"100 allow * {WORLD}",
            ],
        ),
        ("listeners", "KD502", 30), node_ports(3), "{acl} rule 95", "NODEPORT",
    ),
    "NACL denies out": Case(
        World(answers=[f"100 allow 443 {WORLD}", f"110 allow 1024-32767 {WORLD}"]),
        ("bootstrap", "KD502", 10), every(9094)[:1], "{acl} rule *",
    ),
    "no route": Case(
        World(routes=[f"{WORLD} nat"]),
        ("bootstrap", "KD503", 10), every(9094)[:1], "{table} 0.0.0.0/0 → {nat}",
    ),
    "no route in the main table": Case(
        World(routes=[f"{OFFICE} igw"], main=True),
        ("bootstrap", "KD503", 10), every(9094)[:1], "{table}",
    ),
    "a longer prefix leads astray": Case(
        World(routes=[f"{WORLD} igw", "203.0.113.0/28 nat"]),
        ("bootstrap", "KD503", 10), every(9094)[:1], "{table} 203.0.113.0/28 → {nat}",
    ),
    "no public address": Case(
        World(lets=[f"9101 {ME}"], elastic=[1, 3]),
        ("listeners", "KD504", 30), (f"{HOMES[1]}:9101",), "{eni2}", "ONEPRIVATE", mended=False,
    ),
    "private address advertised": Case(
        World(lets=[f"9095 {ME}"]),
        ("listeners", "KD301", 30), (), "", "PRIVATE", mended=False,
        mentions={"KD301": f"{PUBLICS[1]}:9095 answers as broker 2: advertising it would work"},
    ),
    "private address advertised, public one closed": Case(
        World(lets=[f"9095 {ME}"], apart={2: [f"9095 {OFFICE}"]}),
        ("listeners", "KD301", 30), (f"{PUBLICS[1]}:9095",), "{group2}", "PRIVATE",
        mentions={"KD301": f"TCP connect to {PUBLICS[1]}:9095: no answer"},
        after=("listeners", "KD301", 30),
    ),
    "all TCP from the world": Case(
        World(lets=[f"* {WORLD}"]), HEALTHY,
        mentions={"KD505": "lets 0.0.0.0/0 in on all TCP ports"},
    ),
    "open port, closed listener": Case(
        World(lets=[f"9094-{CLOSED_PORT} {ME}"]),
        ("listeners", "KD305", 30), (), "", "CLOSED", mended=False,
        mentions={"KD305": "no security group and no network ACL of EC2 blocks it"},
    ),
    "closed port, closed listener": Case(
        World(lets=[f"9098 {ME}"]),
        ("listeners", "KD501", 30), every(CLOSED_PORT), "{group}", "CLOSED",
        after=("listeners", "KD305", 30),
    ),
    "a stopped instance": Case(
        World(stopped=[3]),
        ("listeners", "KD506", 30), every(9094)[2:], "{instance3}",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Cloud:
    """The account, and how kdiag on the laptop gets to it."""

    account: Account
    laptop: Client
    lab: Lab
    variables: Mapping[str, Any]

    def check(self, listener: str, *, fresh: bool = False) -> Report:
        port = NODE_PORT if listener == "NODEPORT" else PORTS[listener]
        bootstrap = f"{PUBLICS[0]}:{port}"
        return replace(self.laptop, fresh=fresh).check(bootstrap, "--aws", *SOON, **self.variables)

    @contextmanager
    def packets(self) -> Iterator[None]:
        """Packets meet what AWS tells of now."""
        with packets.compiled(self.account.client()).at(self.lab.network.gateway):
            yield


@pytest.fixture(scope="module")
def cloud(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with ExitStack() as stack:
        account = stack.enter_context(running_account())
        stack.enter_context(models_read_once())
        port = int(account.url.rpartition(":")[2])
        sock = stack.enter_context(lab.network.laptop.listening(port))
        stack.enter_context(serving(account, sock))
        variables = environment(account, tmp_path_factory.mktemp("aws"))
        yield Cloud(account, lab.client, lab, variables)


@applies(
    "shell aws ec2 associate-address",
    "shell aws ec2 authorize-security-group-ingress",
    "shell aws ec2 create-network-acl-entry",
    "shell aws ec2 create-route",
    "shell aws ec2 revoke-security-group-ingress",
    "shell aws ec2 start-instances",
)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_world(cloud: Cloud, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = build(case.world, cloud.account) | _instances(cloud.account)
    with cloud.packets(), ThreadPoolExecutor() as beside:
        asked = [f"{host}:{port}" for host in PUBLICS for port in GRID]
        hearing = beside.submit(cloud.laptop.tool, "heard", *asked)
        report = cloud.check(case.listener)
        assert set(hearing.result()) == _predicted(cloud, asked, monkeypatch)
    assert report.verdict == case.verdict, report
    _says(report, case, ids)
    if case.mended and _mend(cloud.account, report):
        with cloud.packets(), goldens.aside():
            after = cloud.check(case.listener)
        assert after.verdict == case.after, after
        assert {row["verdict"] for row in after.told["aws"]["addresses"]} == {"allowed"}, after
        assert after.told["findings"] == [] or case.after != HEALTHY, after


def test_rules_allow_and_packets_vanish(cloud: Cloud) -> None:
    """A firewall on a host: EC2 is cleared, step by step, and the report looks there. A fresh
    interpreter loads what it needs of AWS by itself."""
    build(World(), cloud.account)
    dropped = f"ip daddr {HOMES[2]} tcp dport 9094 drop"
    with cloud.packets(), cloud.lab.network.rule(dropped):
        report = cloud.check("PUBLIC", fresh=True)
    assert report.verdict == ("listeners", "KD306", 30), report
    assert report.cause["subjects"] == ["broker 3"]
    (cleared,) = (line for line in report.cause["evidence"] if line.startswith("EC2 lets"))
    assert all(part in cleared for part in ("is running", "igw-", "rule 100", "sgr-")), report
    assert any("tcpdump" in remedy["snippet"] for remedy in report.cause["remedies"]), report


def _says(report: Report, case: Case, ids: Mapping[str, str]) -> None:
    """Of each address that the walk dialled: what AWS decides and by which id, and that the walk
    met the same."""
    rows = report.told["aws"]["addresses"]
    cut = {f"{row['judged']}:{row['port']}" for row in rows if row["verdict"] == "blocked"}
    assert cut == set(case.cut), report
    groups = {ids["group"], *(ids[f"group{node}"] for node in NODES)}
    for row in rows:
        if row["verdict"] == "blocked":
            assert row["decided_by"] == case.by.format(**ids), report
            assert row["walk"] == "timeout", report
        else:
            assert row["verdict"] == "allowed", report
            assert row["decided_by"].startswith("sgr-"), report
            assert groups & set(row["groups"]), report
            assert row["walk"] in ("ok", "refused"), report
    for code, words in case.mentions.items():
        (finding,) = (f for f in report.told["findings"] if f["code"] == code)
        assert any(words in line for line in finding["evidence"]), report


def _instances(account: Account) -> dict[str, str]:
    """The ids of the brokers' instances and interfaces."""
    ids = {}
    for told in account.client().describe_network_interfaces()["NetworkInterfaces"]:
        if told["PrivateIpAddress"] in HOMES:
            node = HOMES.index(told["PrivateIpAddress"]) + 1
            ids[f"eni{node}"] = told["NetworkInterfaceId"]
            ids[f"instance{node}"] = told["Attachment"]["InstanceId"]
    return ids


def _predicted(cloud: Cloud, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The addresses that kdiag takes for open to the laptop, whatever listens there."""
    for name, value in cloud.variables.items():
        monkeypatch.setenv(name, value)
    api = AwsApi("", time.monotonic() + 30)
    api.open()
    found = snapshot(api, {public: (public,) for public in PUBLICS}, "", "")
    assert not found.unavailable
    open_ = set()
    for server in asked:
        host, _, port = server.rpartition(":")
        for interface in found.interfaces_with(host):
            verdict = analyze(found, ClientAddress(LAPTOP, "given"), interface, host, int(port))
            if verdict.verdict is PathVerdict.ALLOWED:
                open_.add(server)
    return open_


def _mend(account: Account, report: Report) -> list[str]:
    """Runs every command for EC2 that a report proposes, in its order."""
    return [
        name
        for finding in report.told["findings"]
        for remedy in finding["remedies"]
        if remedy["kind"] == "shell" and remedy["snippet"].startswith("aws ec2 ")
        for name in commands.run(account.client(), remedy["snippet"])
    ]

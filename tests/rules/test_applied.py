"""Every fix that a report can print is pasted, and the next check is better; or says why not."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from kdiag.config.properties.syntax import parse_properties
from kdiag.demo.certificates import authority, server_context
from kdiag.demo.scenario import SCENARIOS, Start
from kdiag.demo.scenarios.sasl import PASSWORD, USER
from kdiag.demo.scenarios.tls import valid_tls
from kdiag.demo.world import PUBLIC, World
from kdiag.lint.linter import lint
from kdiag.report.model import Report
from kdiag.rules.advertising import advertise
from kdiag.rules.platform import Kind, Platform
from kdiag.rules.rule import Finding, Remedy
from tests import applied, walks
from tests.applied import applies
from tests.control import test_registries  # noqa: F401  it declares what it applies
from tests.facts import contact, listener
from tests.lab import test_consume, test_fixes, test_hold, test_worlds  # noqa: F401  they declare what they apply
from tests.lab.goldens import kept, modules
from tests.rules.test_remedies import every_remedy
from tests.walk import test_canonical  # noqa: F401  as above

ENOUGH = 20  # seconds for a command


def printed() -> dict[str, str]:
    """The forms of all snippets that the scenarios, the reports by hand and the lab lead to; and
    where."""
    found = {form: where for where, fix in every_remedy() for form in applied.of(fix)}
    for module in modules():
        for name, golden in kept(module).items():
            for finding in golden.report["findings"]:
                if finding["hop"] == "config":
                    continue  # files are held to their fixes by tests/lint
                for fix in finding["remedies"]:
                    if fix["snippet"]:
                        these = applied.forms(fix["kind"], fix["snippet"])
                        found |= dict.fromkeys(these, f"lab/{module} {name}")
    return found


def test_every_fix_is_applied_or_says_why_not() -> None:
    found = printed()
    known = applied.APPLIED.keys() | applied.NOT_APPLIED.keys()
    assert {form: where for form, where in found.items() if form not in known} == {}
    assert not applied.APPLIED.keys() & applied.NOT_APPLIED.keys()
    assert set(applied.NOT_APPLIED) - found.keys() == set(), "no report prints these any more"


def cause(name: str) -> Finding:
    """The finding of a scenario that decides."""
    report = walks.scenarios()[name]
    return report.cause or report.findings[0]


def fix(name: str, kind: str) -> Remedy:
    """The first fix of this kind of that finding."""
    return next(each for each in cause(name).remedies if each.kind == kind)


def filled(snippet: str, folder: Path) -> str:
    """A snippet with its placeholders filled in, as the demo's user knows them."""
    issued = authority().issue("client")
    values = {
        "the CA's certificates.pem": (folder / "ca.pem", authority().pem),
        "certificate and key.pem": (folder / "both.pem", issued.key + issued.certificate),
        "certificate.pem": (folder / "certificate.pem", issued.certificate),
        "key.pem": (folder / "key.pem", issued.key),
    }
    for placeholder, (file, text) in values.items():
        file.write_text(text)
        snippet = snippet.replace(f"<{placeholder}>", str(file))
    return snippet.replace("<user>", USER).replace("<password>", PASSWORD)


def again(build: Callable[[World], Awaitable[Start]], given: dict[str, str]) -> Report:
    """Another walk in the world of a scenario, with these properties in the client's file."""
    bootstrap = asyncio.run(_bootstrap(build))
    return walks.walked(build, bootstrap=bootstrap, from_file=given, timeout=1.0)


async def _bootstrap(build: Callable[[World], Awaitable[Start]]) -> str:
    world = World()
    try:
        return (await build(world)).bootstrap
    finally:
        await world.end()


@applies(
    "properties security.protocol",
    "ini security.protocol",
    "properties ssl.truststore.type",
    "ini ssl.ca.location",
    "properties ssl.keystore.type",
    "ini ssl.certificate.location",
)
@pytest.mark.parametrize("kind", ["properties", "ini"])
@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("tls-required", {}),
        ("tls-not-offered", {}),
        ("sasl-required", {}),
        ("sasl-not-offered", {}),
        ("sasl-mechanism", {}),
        ("untrusted-certificate", {"security.protocol": "SSL"}),
        ("client-certificate", {"security.protocol": "SSL", "ssl.ca.location": "ca.pem"}),
    ],
)
def test_client_properties_make_the_next_check_pass(
    name: str, before: dict[str, str], kind: str, tmp_path: Path
) -> None:
    pasted = parse_properties(filled(fix(name, kind).snippet, tmp_path))
    given = {k: str(tmp_path / v) if v.endswith(".pem") else v for k, v in before.items()}
    report = again(SCENARIOS[name], given | pasted)
    assert (report.exit_code, report.root_cause) == (0, None)


@applies("properties connections.max.idle.ms")
def test_a_client_that_closes_idle_connections_earlier_has_nothing_to_fear() -> None:
    pasted = parse_properties(fix("idle-connection-dropped", "properties").snippet)
    build = SCENARIOS["idle-connection-dropped"]
    report = walks.walked(build, hold=1.0, from_file=pasted, timeout=1.0)
    assert report.findings == []
    assert "closes it before that" in " ".join(report.notes)


@applies("ini broker.address.family")
def test_the_family_that_works_is_the_only_one_that_is_dialled() -> None:
    pasted = parse_properties(fix("address-family", "ini").snippet)
    assert again(SCENARIOS["address-family"], pasted).findings == []


@applies("hosts")
def test_a_line_of_the_hosts_file_makes_the_broker_reachable() -> None:
    """The names of the world are those that the client's hosts file has."""
    lines = fix("internal-name", "hosts").snippet.splitlines()
    before = cause("internal-name").subjects

    async def build(world: World) -> Start:
        start = await SCENARIOS["internal-name"](world)
        for line in lines:
            address, name = line.split()
            world.names[name] = [address]
        return start

    report = again(build, {})
    assert report.cause
    assert set(before) - set(report.cause.subjects) == {"broker 1"}
    assert len(lines) == 1


@applies("text")
def test_a_certificate_with_the_names_of_the_fix_is_accepted(tmp_path: Path) -> None:
    entries = [line.partition(":") for line in fix("certificate-name", "text").snippet.splitlines()]
    for kind, _, name in entries:
        assert kind == "IP"
        ipaddress.ip_address(name)
    names = (PUBLIC[0], PUBLIC[2], *(name for _, _, name in entries))

    async def build(world: World) -> Start:
        await world.three(tls=server_context(authority().issue("broker", names)))
        return Start()

    (tmp_path / "ca.pem").write_text(authority().pem)
    given = {"security.protocol": "SSL", "ssl.ca.location": str(tmp_path / "ca.pem")}
    assert again(build, given).exit_code == 0


STRIMZI = """\
apiVersion: kafka.strimzi.io/v1
kind: Kafka
metadata: {name: my-cluster}
spec:
  kafka:
    listeners:
      - name: outside
        port: 9094
        type: TYPE
        tls: true
        networkPolicyPeers:
          - ipBlock: {cidr: 192.0.2.0/24}
"""


@applies("yaml configuration")
@pytest.mark.parametrize(
    ("kind", "ports"), [("loadbalancer", (9094, 9094)), ("nodeport", (32001, 32002))]
)
def test_strimzi_takes_the_entries(kind: str, ports: tuple[int, int]) -> None:
    """Pasted at the listener, as the fix says: its schema is kept, and lint finds nothing new."""
    met = []
    for node, port in enumerate(ports):
        proven = contact(f"{PUBLIC[node]}:{port}", node=node)
        met.append(listener(node, f"10.0.1.1{node}:{port}", "timeout", candidates=(proven,)))
    fix, *_ = advertise(met, Platform(Kind.STRIMZI))
    before = STRIMZI.replace("TYPE", kind)
    text = before + "".join(f"        {line}\n" for line in fix.snippet.splitlines())
    own = {problem.finding.code for problem in lint({"kafka.yaml": before}).problems}
    found = {problem.finding.code for problem in lint({"kafka.yaml": text}).problems}
    assert found <= own | {"KD623"}  # the bootstrap's NodePort is not pinned
    entries = yaml.safe_load(text)["spec"]["kafka"]["listeners"][0]["configuration"]["brokers"]
    told = [(x["broker"], x["advertisedHost"]) for x in entries]
    assert told == [(0, PUBLIC[0]), (1, PUBLIC[1])]


@applies("shell getent", "shell ip", "shell ss", "shell time", "shell openssl")
def test_commands_that_only_look_run_on_linux(tmp_path: Path) -> None:
    """Each with an address of this machine in the place of the peer's."""

    async def tls_port() -> tuple[asyncio.Server, int]:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=valid_tls())
        return server, server.sockets[0].getsockname()[1]

    async def run() -> dict[str, tuple[int, str]]:
        server, port = await tls_port()
        commands = {
            "name-not-found": "localhost",
            "unreachable": "127.0.0.1",
            "port-closed": str(port),
            "slow-answer": "127.0.0.1",
            "untrusted-certificate": f"127.0.0.1:{port}",
        }
        told = {}
        for name, instead in commands.items():
            command = fix(name, "shell").snippet
            peers = r"3\.10\.139\.221:9094|3\.10\.139\.22\d|2001:db8::221|kafak\.example\.com|9094"
            typed = re.sub(peers, instead, command)
            assert typed != command
            process = await asyncio.create_subprocess_exec(
                "bash", "-c", typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            said, _ = await asyncio.wait_for(process.communicate(), ENOUGH)
            told[name] = (process.returncode or 0, said.decode())
        server.close()
        return told

    told = asyncio.run(run())
    assert {name: code for name, (code, _) in told.items() if code} == {}, told
    assert "127.0.0.1" in told["name-not-found"][1] or "::1" in told["name-not-found"][1]
    assert "dev lo" in told["unreachable"][1]
    assert "127.0.0.1:" in told["port-closed"][1]
    assert "BEGIN CERTIFICATE" in told["untrusted-certificate"][1]

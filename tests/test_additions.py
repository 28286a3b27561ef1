"""What one edits by hand to add a rule, a renderer, a mechanism, …: as docs/development.md says.

Each test does it on a copy of the tree, counts the files, and runs the copy.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import dedent

import pytest

from kdiag.report.render import RENDERERS
from tests.additions import Tree
from tests.running import ROOT

PAGE = (ROOT / "docs" / "development.md").read_text("utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def allowed(thing: str) -> int:
    """How many files the table in docs/development.md allows."""
    (row,) = re.findall(rf"^\| {re.escape(thing)} \| (\d+) \|", PAGE, re.MULTILINE)
    return int(row)


def example() -> str:
    """The rule that docs/development.md adds."""
    (found,) = re.findall(r"^ *```python\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
    return dedent(found)


SCENARIO = '''

@scenario
async def ssh_port(world: World) -> Start:
    """Brokers that advertise the port of SSH."""
    await world.three(*((address, 22) for address in PUBLIC))
    for address in PUBLIC:
        world.closed(address, 22)
    return Start()
'''


def test_a_rule(tree: Tree) -> None:
    tree.add("kdiag/rules/listeners.py", f"\n\n{example()}")
    tree.add("kdiag/demo/scenarios/listeners.py", SCENARIO)

    assert "Nobody runs Kafka there" in tree.kdiag("explain", "ssh-port").stdout
    shown = tree.kdiag("demo", "ssh-port", "-v")
    assert shown.returncode == 30, shown.stderr
    assert "KD399 ssh-port" in shown.stdout
    ignored = tree.kdiag("check", "127.0.0.1:1", "--ignore", "KD399")
    assert ignored.returncode == 10, ignored.stderr
    assert len(tree.edited) == allowed("a rule")


RENDERER = '''"""The report in a line."""

from __future__ import annotations

from typing import TextIO

from kdiag.report.model import Report
from kdiag.report.several import Reports


def write(report: Report, stream: TextIO) -> None:
    """Writes the verdict."""
    stream.write(f"{report.verdict} {report.exit_code}\\n")


def write_all(reports: Reports, stream: TextIO) -> None:
    """Writes the verdict of each."""
    for label, report in reports.reports.items():
        stream.write(f"{label} {report.verdict} {report.exit_code}\\n")
'''


def test_a_renderer(tree: Tree, tmp_path: Path) -> None:
    tree.add("kdiag/report/render/short.py", RENDERER)
    tree.edit(
        "kdiag/report/render/__init__.py",
        "RENDERERS = {\n",
        'RENDERERS = {\n    "short": "kdiag.report.render.short",\n',
    )

    assert tree.kdiag("check", "127.0.0.1:1", "-o", "short").stdout == "fail 10\n"
    to_file = tree.kdiag("check", "127.0.0.1:1", "-o", f"short={tmp_path / 'report'}", "-o", "json")
    assert to_file.returncode == 10, to_file.stderr
    assert (tmp_path / "report").read_text() == "fail 10\n"
    assert "short" in tree.kdiag("check", "--help").stdout
    asked = "import kdiag; print(kdiag.check('127.0.0.1:1').render('short'), end='')"
    assert tree.python("-c", asked).stdout == "fail 10\n"
    assert len(tree.edited) == allowed("a renderer")


def engine_that_stays_here(folder: Path, name: str) -> str:
    """A PATH with an engine whose `exec` runs the command on this machine."""
    program = folder / "bin" / name
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nshift 3\nexec "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}:/usr/local/bin:/usr/bin:/bin"


RECORD = """    "REVERSED": Mechanism(
        modules=("ReversedLoginModule",),
        exchange="Reversed",
        takes={"sasl.reversed.realm": "scope"},
        strength=9,
        java=('sasl.jaas.config=ReversedLoginModule required username="<user>";',),
        librdkafka=("sasl.username=<user>",),
        refused="Write the password of {mechanism} backwards.",
        in_clear="Use SASL_SSL: everybody can read backwards.",
    ),
    "GSSAPI": Mechanism("""

EXCHANGE = '''

class Reversed:
    """REVERSED: the user, the password backwards, and the realm."""

    def __init__(self, sasl: Sasl, host: str) -> None:
        self._user, self._password = _credentials(sasl)
        self._realm = sasl.scope

    def first(self) -> bytes:
        return f"{self._user}:{self._password[::-1]}:{self._realm}".encode()

    def next(self, challenge: bytes) -> bytes | None:
        return None
'''

# A listener that takes the made-up mechanism; then checks of it, with a right and a wrong password.
LOGIN = """
import asyncio, json, sys
import kdiag
from kdiag.config.settings import settings
from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
from kdiag.demo.logins import Logins, Refused

class Listener(Logins):
    def steps(self, mechanism):
        steps = self.reversed()
        next(steps)
        return steps
    def reversed(self):
        user, password, realm = (yield b"").decode().split(":")
        self.attempts[user] += 1
        if self.users.get(user) != password[::-1] or realm != "mirror":
            raise Refused
        return b""

async def main():
    logins = Listener({"ada": "lovelace"}, ("SCRAM-SHA-512", "REVERSED"))
    cluster = FakeCluster("c")
    broker = FakeBroker(cluster, 1, sasl=logins)
    port = await broker.start()
    cluster.nodes.append(FakeNode(1, "127.0.0.1", port))
    for password in ("lovelace", "wrong"):
        given = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "REVERSED",
                 "sasl.username": "ada", "sasl.password": password,
                 "sasl.reversed.realm": "mirror"}
        report = await kdiag.check_async(f"127.0.0.1:{port}", properties=given)
        remedies = [each.summary for finding in report.findings for each in finding.remedies]
        print(report.exit_code, logins.attempts["ada"], *remedies, *report.notes)
    open_listener = {"security.protocol": "SASL_PLAINTEXT"}
    report = await kdiag.check_async(f"127.0.0.1:{port}", properties=open_listener)
    print(*(each.snippet for finding in report.findings for each in finding.remedies))

asyncio.run(main())
"""


def test_a_sasl_mechanism(tree: Tree) -> None:
    tree.edit("kdiag/config/mechanisms.py", '    "GSSAPI": Mechanism(', RECORD)
    tree.add("kdiag/kafka/sasl/mechanisms.py", EXCHANGE)

    ran = tree.python("-c", LOGIN)
    assert ran.returncode == 0, ran.stderr
    accepted, refused, *offered = ran.stdout.splitlines()
    assert accepted.startswith("0 "), accepted
    assert "sasl.reversed.realm" not in accepted, "a note calls the property unknown or unused"
    assert refused.startswith("10 "), refused
    assert "Write the password of REVERSED backwards." in refused
    assert "sasl.mechanism=REVERSED" in offered
    needs = ("-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=REVERSED")
    missing = tree.kdiag("check", "127.0.0.1:1", *needs)
    assert "needs sasl.username and sasl.password" in missing.stderr
    mistyped = tree.kdiag("check", "127.0.0.1:1", *needs[:3], "sasl.mechanism=REVERSE")
    assert "AWS_MSK_IAM, REVERSED, GSSAPI" in mistyped.stderr
    assert len(tree.edited) == allowed("a SASL mechanism")


ENGINE = '''"""podman://container: by podman exec."""

from __future__ import annotations

from kdiag.remote.engine import Engine
from kdiag.remote.payload import SHELL
from kdiag.remote.vantage import Vantage


class Podman(Engine):
    """Runs SHELL with podman exec."""

    program = "podman"

    def command(self, vantage: Vantage) -> list[str]:
        return ["podman", "exec", "--interactive", vantage["container"], "sh", "-c", SHELL]


ENGINE = Podman
'''


def test_a_vantage_point(tree: Tree, tmp_path: Path) -> None:
    docker = '    "docker": Scheme(("container",), (_DOCKER,)),\n'
    tree.add("kdiag/remote/podman.py", ENGINE)
    tree.edit("kdiag/remote/vantage.py", docker, docker + docker.replace('"docker"', '"podman"'))

    path = engine_that_stays_here(tmp_path, "podman")
    there = ("--from", "podman://app", "-o", "json")
    shown = tree.kdiag("check", "127.0.0.1:1", *there, PATH=path)
    assert shown.returncode == 10, shown.stderr
    assert "walked from podman://app" in shown.stdout
    assert "podman://container" in tree.kdiag("check", "x:1", "--from", "nowhere://x").stderr
    assert len(tree.edited) == allowed("a vantage point")


HOP_FACTS = '''"""The facts of hop 5, quorum: how many brokers the cluster has."""

from __future__ import annotations

from typing import NamedTuple


class Quorum(NamedTuple):
    """How many brokers there are."""

    brokers: int
    elapsed: float = 0.0

    @property
    def failed(self) -> tuple[str, ...]:
        """The cluster, where it has too few."""
        return ("cluster",) if self.brokers < 3 else ()

    @property
    def summary(self) -> str:
        """What was learnt, in one line."""
        return f"{self.brokers} of 3 brokers"
'''

HOP = '''"""Hop 5, quorum: does the cluster have three brokers?"""

from __future__ import annotations

from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.quorum import Quorum
from kdiag.walk.hop import Walk, hop


@hop("quorum")
async def quorum(walk: Walk, metadata: Metadata) -> Quorum:
    """Counts the brokers."""
    return Quorum(len(metadata.brokers))
'''

HOP_RULES = '''"""KD999, quorum."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.rules.rule import Match, Severity, rule
from kdiag.walk.facts.quorum import Quorum


@rule("KD999", "too-few-brokers", Severity.ERROR, "The cluster has too few brokers")
def too_few_brokers(quorum: Quorum) -> Iterator[Match]:
    """The cluster lists fewer than three brokers.

    Prove it: count them.

    How to fix: start the others.
    """
    if quorum.failed:
        yield Match("quorum", f"{quorum.brokers} of 3 brokers", quorum.failed)
'''

HOP_SCENARIO = '''

@scenario
async def too_few_brokers(world: World) -> Start:
    """A cluster of one broker."""
    await world.three()
    del world.cluster.nodes[1:]
    return Start()
'''


def add_hop(tree: Tree, rules: str) -> None:
    tree.add("kdiag/walk/facts/quorum.py", HOP_FACTS)
    tree.add("kdiag/walk/quorum.py", HOP)
    produce = '    Area("produce", 40, "Produce", 4),\n'
    row = '    Area("quorum", 90, "Quorum", 5),\n'
    tree.edit("kdiag/walk/areas.py", produce, produce + row)
    tree.add("kdiag/rules/quorum.py", rules)
    tree.add("kdiag/demo/scenarios/metadata.py", HOP_SCENARIO)


def test_a_hop(tree: Tree, tmp_path: Path) -> None:
    add_hop(tree, HOP_RULES)

    outputs = [part for form in RENDERERS for part in ("-o", f"{form}={tmp_path / form}")]
    shown = tree.kdiag("demo", "too-few-brokers", "-o", "terminal", *outputs)
    assert shown.returncode == 90, shown.stderr
    assert "(KD999) · exit 90" in shown.stdout
    assert all("KD999" in (tmp_path / form).read_text() for form in RENDERERS)
    assert "10 20 30 40 90" in tree.kdiag("check", "--help").stdout
    assert "FAIL" not in tree.kdiag("demo", "throttled").stdout

    path = engine_that_stays_here(tmp_path, "docker")
    there = tree.kdiag("check", "127.0.0.1:1", "--from", "docker://app", "-o", "json", PATH=path)
    assert there.returncode == 10, there.stderr
    assert [step["hop"] for step in json.loads(there.stdout)["hops"]][-1] == "quorum"
    assert len(tree.edited) == allowed("a hop")


@pytest.mark.parametrize("broken", [False, True], ids=["no rule names it", "it raises"])
def test_a_hop_that_fails_never_passes(tree: Tree, broken: bool) -> None:
    add_hop(tree, '"""No rule."""\n')
    if broken:
        tree.edit("kdiag/walk/quorum.py", "return Quorum(", "return 1 // 0, Quorum(")
    shown = tree.kdiag("demo", "too-few-brokers")
    assert shown.returncode == 1, shown.stdout
    assert "KD001 internal-error" in shown.stdout
    assert (
        "ZeroDivisionError" if broken else "no rule names the failure of cluster"
    ) in shown.stdout


LINE = """
    greeting: Annotated[
        str, Option("A word of greeting.", "WORD", pattern=r"[a-z]+\\Z", write="write a-z")
    ] = ""
    verbose: Annotated[
"""

GREETED = """
import asyncio, kdiag
print(kdiag.check("127.0.0.1:1", greeting="python").notes)
try:
    kdiag.check("127.0.0.1:1", greeting="PYTHON")
except kdiag.UsageError as error:
    print(error)
"""


@pytest.mark.timeout(300)  # it starts ten Pythons
def test_an_option(tree: Tree, tmp_path: Path) -> None:
    table, use = "kdiag/config/options.py", "kdiag/walk/allowance.py"
    tree.edit(table, "\n    verbose: Annotated[\n", LINE)
    tree.edit(table, "\n    verbose: bool\n", "\n    verbose: bool\n    greeting: Optional[str]\n")
    verbose = "self._verbose = settings.options.verbose\n"
    tree.edit(use, verbose, f"{verbose}        self._greeting = settings.options.greeting\n")
    left_out = '"""A sentence for each kind of address that was left out."""\n'
    tree.edit(use, left_out, left_out + '        yield f"greeted by {self._greeting}"\n')
    (tmp_path / "kdiag.toml").write_text(
        '[targets.t]\nbootstrap = "127.0.0.1:1"\ngreeting = "file"\n'
    )
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    path = f"{ssh.parent}:/usr/local/bin:/usr/bin:/bin"

    def notes(*arguments: str, **given: str) -> str:
        done = tree.kdiag("check", *arguments, "-o", "json", **given)
        assert done.returncode == 10, done.stderr
        (note,) = (note for note in json.loads(done.stdout)["notes"] if "greeted" in note)
        return str(note)

    here = ("127.0.0.1:1", "--greeting", "argv")
    assert notes(*here) == "greeted by argv"
    assert notes("127.0.0.1:1", KDIAG_GREETING="variable") == "greeted by variable"
    assert notes("@t") == "greeted by file"
    assert notes("@t", KDIAG_GREETING="variable") == "greeted by variable"
    assert notes(*here, "--from", "ssh://there", PATH=path) == "greeted by argv"
    assert "--greeting WORD" in tree.kdiag("check", "--help").stdout
    refused = tree.kdiag("check", *here[:2], "ARGV")
    assert refused.stderr == "kdiag: --greeting 'ARGV': write a-z\n"
    greeted = tree.python("-c", GREETED).stdout.splitlines()
    assert greeted == ["['greeted by python']", "greeting='PYTHON': write a-z"]
    page = f"import sys; sys.path.append({str(ROOT)!r})\nfrom tests.derived import options\n"
    row = "| `--greeting` | `KDIAG_GREETING` | `greeting` | `greeting` | A word of greeting. |"
    assert row in tree.python("-c", f"{page}print(options())").stdout
    assert len(tree.edited) == allowed("an option")

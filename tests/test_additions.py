"""What one edits by hand to add a rule, a renderer, a vantage point: as docs/development.md says.

Each test does it on a copy of the tree, counts the files, and runs the copy.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

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
    shown = tree.kdiag("demo", "ssh-port")
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


ENGINE = '''"""podman://container: by podman exec."""

from __future__ import annotations

from kdiag.remote.payload import SHELL
from kdiag.remote.vantage import Vantage

PROGRAM = "podman"


def command(where: Vantage) -> list[str]:
    """The command line that runs SHELL there."""
    return [PROGRAM, "exec", "--interactive", where["container"], "sh", "-c", SHELL]
'''


def test_a_vantage_point(tree: Tree, tmp_path: Path) -> None:
    vantage, check = "kdiag/remote/vantage.py", "kdiag/remote/check.py"
    tree.add("kdiag/remote/podman.py", ENGINE)
    tree.edit(vantage, "docker://container, ", "docker://container, podman://container, ")
    tree.edit(vantage, '"docker": (_DOCKER,)', '"docker": (_DOCKER,), "podman": (_DOCKER,)')
    tree.edit(
        check,
        "from kdiag.remote import docker, k8s, ssh",
        "from kdiag.remote import docker, k8s, podman, ssh",
    )
    tree.edit(
        check, '    "k8s": k8s.PROGRAM,', '    "k8s": k8s.PROGRAM,\n    "podman": podman.PROGRAM,'
    )
    engine = "return await ask(docker.command(where), asking, self._longest), ()\n"
    also = engine.replace("docker", "podman")
    tree.edit(
        check, engine, f'{engine}            if where.scheme == "podman":\n                {also}'
    )

    podman = tmp_path / "bin" / "podman"
    podman.parent.mkdir()
    podman.write_text('#!/bin/sh\nshift 3\nexec "$@"\n')
    podman.chmod(0o755)
    path = f"{podman.parent}:/usr/local/bin:/usr/bin:/bin"
    there = ("--from", "podman://app", "-o", "json")
    shown = tree.kdiag("check", "127.0.0.1:1", *there, PATH=path)
    assert shown.returncode == 10, shown.stderr
    assert "walked from podman://app" in shown.stdout
    assert "podman://container" in tree.kdiag("check", "x:1", "--from", "nowhere://x").stderr
    assert len(tree.edited) == allowed("a vantage point")

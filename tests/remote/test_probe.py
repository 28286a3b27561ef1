"""Facts survive the trip: the same walk here and by the probe that travels ends in one report."""

from __future__ import annotations

import ast
import asyncio
import io
import subprocess
import sys
import time
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from kdiag.api import walk
from kdiag.config.settings import Settings, settings
from kdiag.demo.scenarios import SCENARIOS
from kdiag.demo.world import World, endpoint
from kdiag.remote.payload import PARTS, TYPES_ALONE, archive, bare, script_parts
from kdiag.remote.process import run_walk
from kdiag.remote.reply import remote_walk
from kdiag.report.judge import judge
from kdiag.report.model import Report
from kdiag.walk.areas import WALKED_IDS
from kdiag.walk.facts.run import WalkResult
from tests.remote import far
from tests.test_imports import ROOT, STAYS, imports, modules
from tests.walks import scrubbed

LONGEST = 50.0  # seconds, on a busy machine
MAX_ARCHIVE = 127_000  # bytes: 10,000 of them are the questions of --group and --as
AT_ONCE = 4
TRIES = 3  # a peer that closes at once is met as closed or as reset, as it happens


async def by_probe(
    world: World, asked: Settings, folder: Path, python: str, server: Path | None
) -> Report:
    """The report on a walk by the probe."""
    started, asking = time.perf_counter(), remote_walk(asked)
    answer = await run_walk(far.command(world, folder, python, server), asking, LONGEST)
    return judge(
        asked, WalkResult(asking.gathered(answer), secrets=asked.security.secrets), started
    )


async def both(
    name: str, folder: Path, python: str, server: Path | None = None
) -> tuple[Report, Report]:
    """A scenario, walked here and by the probe."""
    world = World()
    try:
        start = await SCENARIOS[name](world)
        asked = settings(start.bootstrap, topic=start.topic, timeout=2.0, answer_timeout=2.0)
        asked = asked._replace(security=start.security)
        here = await walk(asked, world.net, lambda hop, summary: None)
        return here, await by_probe(world, asked, folder, python, server)
    finally:
        await world.end()


def test_every_scenario_ends_in_the_same_report(tmp_path: Path) -> None:
    """The probe is forked here, from a Python that has it and the standard library alone."""

    async def all_of_them(server: Path | None) -> list[tuple[Report, Report]]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> tuple[Report, Report]:
            async with gate:
                for _ in range(TRIES):
                    here, there = await both(name, tmp_path, sys.executable, server)
                    if scrubbed(here) == scrubbed(there):
                        break
                return here, there

        return await asyncio.gather(*(one(name) for name in SCENARIOS))

    with ExitStack() as stack:
        server = None
        if sys.platform == "linux":
            server = stack.enter_context(far.served(far.unpacked(tmp_path / "probe"), tmp_path))
        reports = asyncio.run(all_of_them(server))
    differ = {}
    for name, (here, there) in zip(SCENARIOS, reports, strict=True):
        if scrubbed(here) != scrubbed(there):
            differ[name] = (scrubbed(here), scrubbed(there))
    assert differ == {}


@pytest.mark.parametrize("python", far.pythons())
@pytest.mark.parametrize("name", ["healthy", "private-address", "untrusted-certificate"])
def test_an_older_python_finds_the_same(name: str, python: str, tmp_path: Path) -> None:
    here, there = asyncio.run(both(name, tmp_path, python))
    assert scrubbed(here) == scrubbed(there)


# The archive.


def test_it_is_small_and_always_the_same() -> None:
    packed = archive()
    archive.cache_clear()
    assert len(packed) < MAX_ARCHIVE
    assert archive() == packed


# Modules that import a module for each hop, by its id, from these packages.
BY_ID = {"kdiag.walk.hops": "kdiag.walk", "kdiag.walk.facts.table": "kdiag.walk.facts"}


def test_all_that_the_probe_imports_is_in_it_and_nothing_else() -> None:
    trees = modules()
    ahead, needed = ["kdiag.remote.probe"], set()
    for module in ahead:  # grows as it goes
        needed.add(module)
        found = {name for name in imports(trees[module]) if name in trees} - STAYS
        if module in BY_ID:
            found |= {f"{BY_ID[module]}.{hop}" for hop in WALKED_IDS}
        found |= {name.rpartition(".")[0] for name in [*found, module]} - {""}
        ahead += sorted(found - needed - _left_at_home() - set(ahead))
    names = {f"kdiag.{part}".replace("/", ".").removesuffix(".__init__") for part in PARTS}
    assert names == needed


def test_in_the_script_of_run_command_each_module_has_the_names_that_others_import() -> None:
    """Some modules are replaced there by a few lines."""
    trees = {path.replace("/", "."): ast.parse(text) for path, text in script_parts().items()}
    lacking = {
        f"{importing}: {node.module}.{name.name}"
        for importing, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module in trees
        for name in node.names
        if name.name not in _defined(trees[node.module])
    }
    assert lacking == set()


def _defined(tree: ast.Module) -> set[str]:
    """The names that a module defines or imports, at any depth."""
    nodes = list(ast.walk(tree))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    made = {
        n.name
        for n in nodes
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }
    imported = {n.asname or n.name for n in nodes if isinstance(n, ast.alias)}
    return stored | made | imported


def _left_at_home() -> set[str]:
    """What settings are made of: the far side is told them ready-made."""
    names = ("dialects", "jaas", "jks", "logins", "pem", "registry", "stores")
    return {"kdiag.config.rest", *(f"kdiag.config.properties.{name}" for name in names)}


def test_what_is_left_out_of_a_module_is_no_code() -> None:
    with zipfile.ZipFile(io.BytesIO(archive())) as packed:
        for part in set(PARTS).difference(TYPES_ALONE):
            source = (ROOT / "kdiag" / f"{part}.py").read_text("utf-8")
            there = packed.read(f"kdiag/{part}.py").decode("utf-8")
            assert there == bare(source)
            assert _code(there) == _code(source), part
            assert there.count("\n") == source.count("\n"), part


def _code(source: str) -> str:
    """A module's code, with its lines; docstrings count for nothing."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        value = first.value if isinstance(first, ast.Expr) else None
        if body and isinstance(value, ast.Constant) and isinstance(value.value, str):
            del body[0]
    return ast.dump(tree)


def test_it_runs_as_a_zipapp_and_takes_no_nonsense(tmp_path: Path) -> None:
    packed = tmp_path / "probe.pyz"
    packed.write_bytes(archive())
    for nonsense in (b"", b"x\n", b"2\n{}", b"99999999\n"):
        ran = subprocess.run(
            [sys.executable, "-IS", str(packed)], input=nonsense, capture_output=True, timeout=50
        )
        assert ran.returncode == 87
        assert ran.stderr.startswith(b"kdiag: no request: ")
        assert ran.stdout == b""


def test_it_ends_when_nobody_waits_any_more(tmp_path: Path) -> None:
    asked = settings(endpoint(), timeout=30, answer_timeout=30, deadline=60)
    world = World()  # in which nobody answers
    with subprocess.Popen(
        far.command(world, tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdin and process.stdout
            process.stdin.write(remote_walk(asked).sent)
            process.stdin.close()
            assert process.wait(25) == 0
            assert b'"interrupted":true' in process.stdout.read()
        finally:
            process.kill()


def test_a_login_at_aws_finds_botocore_where_it_is_installed() -> None:
    """Python is started without what is installed for it; for this login the probe looks there."""
    code = f"""
import importlib.util, sys
sys.path.insert(0, {str(ROOT)!r})
from kdiag.remote.probe import find_libraries
print(importlib.util.find_spec("botocore") is not None)
find_libraries()
print(importlib.util.find_spec("botocore") is not None)
"""
    ran = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True)
    assert ran.stdout.split() == ["False", "True"], ran.stderr

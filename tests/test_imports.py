"""Who may import what: the contracts of pyproject.toml, and what import-linter cannot say."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from kdiag.report.render import RENDERERS
from kdiag.walk.facts.table import HOP_FACTS
from kdiag.walk.hops import WALKED

pytestmark = pytest.mark.xdist_group("imports")  # they are parsed once

ROOT = Path(__file__).resolve().parent.parent
Modules = Mapping[str, ast.Module]

# Each outside library, and the only modules that may import it. One that is not here may not be
# imported at all.
COMMAND_LINE = (
    *("check", "completion", "demo", "diff", "explain", "files", "findings", "lint", "mcp"),
    *("group", "options", "serve", "settings", "show", "watching"),
)
IMPORTERS = {
    "click": {"kdiag.cli", *(f"kdiag.cli.{name}" for name in COMMAND_LINE)},
    "rich": {f"kdiag.report.render.{name}" for name in ("live", "terminal_page")},
    "confluent_kafka": {"kdiag.kafka.client"},
    "cryptography": {
        "kdiag.network.certificate",
        "kdiag.demo.certificates",
        "kdiag.config.properties.stores",
    },
    "dns": {"kdiag.network.dns"},
    "boto3": {"kdiag.aws.ec2", "kdiag.remote.ssm_client"},
    "botocore": {"kdiag.aws.ec2", "kdiag.kafka.sasl.iam", "kdiag.remote.ssm_client"},
    "mcp": {"kdiag.mcp.server"},
    "mcp_types": {"kdiag.mcp.server"},
    "msgspec": {
        *("kdiag.report.render.json", "kdiag.report.load", "kdiag.mcp.server", "kdiag.mcp.tools"),
    },
    "prometheus_client": {"kdiag.serve.metrics"},
    "starlette": {"kdiag.serve.app"},
    "uvicorn": {"kdiag.serve.server"},
    "yaml": {"kdiag.lint.reader"},
}

# What gathers facts can be sent to a machine that has only Python. What it must not import there
# joins in when it is asked for, behind a door of its own.
GATHERS = (
    "address",
    "text",
    "remote.probe",
    "remote.serialization",
    "config",
    "kafka",
    "network",
    "walk",
)
CLIENT = {"kdiag.kafka.client"}

# Modules that stay on this machine: the libraries that they import are on no other one.
STAYS = CLIENT | {
    *("kdiag.config.targets", "kdiag.config.expectation", "kdiag.config.environment"),
    *("kdiag.named_targets", "kdiag.network.child_process"),
    *("kdiag.network.certificate", "kdiag.network.dns", "kdiag.config.properties.stores"),
}


def gathers(name: str) -> bool:
    """Whether a module is one of those that gather facts."""
    rooms = tuple(f"kdiag.{room}" for room in GATHERS)
    return name in rooms or name.startswith(tuple(f"{room}." for room in rooms))


EXITS = {"sys.exit", "os._exit", "exit", "quit", "SystemExit"}
MAY_EXIT = {"kdiag.cli"}


@cache
def sources() -> dict[str, str]:
    """Every module of the package, as text."""
    found = {}
    for path in sorted((ROOT / "kdiag").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path.read_text("utf-8")
    return found


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package, parsed once."""
    return {name: ast.parse(text, name) for name, text in sources().items()}


def spoilt(module: str, line: str) -> dict[str, ast.Module]:
    """The modules, one of them with a line more."""
    return {**modules(), module: ast.parse(f"{sources()[module]}\n{line}\n")}


def imports(tree: ast.AST, *, deferred: bool = True) -> Iterator[str]:
    """What a module imports, by full names; without `deferred`, not what its functions import.

    What stands under TYPE_CHECKING is never imported.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif deferred or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(node, deferred=deferred)


def wrong_importers(trees: Modules) -> list[str]:
    """Imports of outside libraries by modules that are not their door."""
    wrong = []
    for module, tree in trees.items():
        tops = {name.partition(".")[0] for name in imports(tree)}
        for top in sorted(tops - sys.stdlib_module_names - {"kdiag"}):
            if module not in IMPORTERS.get(top, set()):
                wrong.append(f"{module} imports {top}")
    return wrong


def not_standard(trees: Modules) -> list[str]:
    """What the gatherers import at once, over any number of steps, beyond the standard library."""
    ahead = [name for name in trees if gathers(name) and name not in STAYS]
    wrong, seen = [], set(ahead) | CLIENT
    for module in ahead:  # grows as it goes
        for name in imports(trees[module], deferred=False):
            top = name.partition(".")[0]
            if top == "kdiag" and name in trees and name not in seen:
                seen.add(name)
                ahead.append(name)
            if name in CLIENT or (top != "kdiag" and top not in sys.stdlib_module_names):
                wrong.append(f"{module} imports {name}")
    return wrong


def dotted(node: ast.AST) -> str:
    """A name, or an attribute of one; "" for all else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def exits_and_prints(trees: Modules) -> list[str]:
    """Places outside the command line that end the process or print."""
    wrong = []
    for module, tree in trees.items():
        for node in ast.walk(tree):
            said = dotted(node)
            printed = isinstance(node, ast.Call) and dotted(node.func) == "print"
            if module not in MAY_EXIT and (said in EXITS or printed):
                wrong.append(f"{module}:{getattr(node, 'lineno', 0)} {said or 'print'}")
    return wrong


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on the tree under `root`, whatever kdiag is installed."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    return subprocess.run(
        [*command, "--no-cache"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_the_contracts_hold() -> None:
    kept = lint_imports(ROOT)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    assert "0 broken" in kept.stdout


BROKEN = {
    "kdiag/rules/text.py": ("import kdiag.walk.hops", "What judges and what prints"),
    "kdiag/report/render/json.py": ("import kdiag.rules.text", "Renderers print"),
    "kdiag/address.py": ("import kdiag.config.settings", "Imports point downwards only"),
}


@pytest.mark.parametrize("stray", [False, True])
def test_a_broken_contract_is_reported(tmp_path: Path, stray: bool) -> None:
    """Each of them; and a module without a place, before anything else is."""
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "kdiag", tmp_path / "kdiag", ignore=without)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for module, (line, _) in {} if stray else BROKEN.items():
        with (tmp_path / module).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    if stray:
        (tmp_path / "kdiag/stray.py").touch()
    broken = lint_imports(tmp_path)
    assert broken.returncode != 0
    said = " ".join((broken.stdout + broken.stderr).split())
    if stray:
        assert "stray" in said
        assert "Imports point downwards only" in said
        return
    kept, _, why = said.partition("Broken contracts")
    for module, (_, contract) in BROKEN.items():
        assert re.search(rf"{contract}[^/]*? BROKEN", kept), kept
        assert module.removesuffix(".py").replace("/", ".") in why


def test_every_outside_library_has_its_importers() -> None:
    assert wrong_importers(modules()) == []


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("kdiag.network.dialer", "import confluent_kafka", "kdiag.network.dialer imports"),
        (
            "kdiag.report.render.json",
            "from rich.text import Text",
            "kdiag.report.render.json imports rich",
        ),
        (
            "kdiag.walk.hop",
            "def late():\n    import boto3.session",
            "kdiag.walk.hop imports boto3",
        ),
        ("kdiag.address", "import requests", "kdiag.address imports requests"),
    ],
)
def test_a_library_in_another_module_is_found(module: str, line: str, said: str) -> None:
    found = wrong_importers(spoilt(module, line))
    assert [each for each in found if each.startswith(said)]


def test_what_gathers_facts_imports_the_standard_library_alone() -> None:
    assert not_standard(modules()) == []


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("kdiag.config.settings", "import msgspec", "kdiag.config.settings imports msgspec"),
        (
            "kdiag.walk.dial",
            "import kdiag.report.render.json",
            "kdiag.report.render.json imports msgspec",
        ),
        ("kdiag.walk.produce", "import kdiag.kafka.client", "kdiag.walk.produce imports"),
    ],
)
def test_a_gatherer_that_needs_a_library_is_found(module: str, line: str, said: str) -> None:
    found = not_standard(spoilt(module, line))
    assert [each for each in found if each.startswith(said)]


def test_what_gathers_facts_runs_where_nothing_is_installed() -> None:
    names = [name for name in modules() if gathers(name) and name not in STAYS]
    assert "kdiag.walk.bootstrap" in names
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + "\n".join(
        f"import {name}" for name in names
    )
    bare = [sys.executable, "-I", "-S", "-c"]
    lonely = subprocess.run([*bare, "import msgspec"], capture_output=True, check=False)
    assert lonely.returncode != 0, "this interpreter is not bare"
    ran = subprocess.run([*bare, code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


# What Python 3.9 stumbles over only once it gets there.
NEWER = re.compile(r"import .*\bUTC\b|datetime\.UTC|except .*(?<!\.)\bTimeoutError\b|\btomllib\b")
A_TYPE = re.compile(r"None$|(int|str|bytes|float|bool)$|(\w+\.)*[A-Z]\w*[a-z]\w*(\[.*\])?$")


def too_new(texts: Mapping[str, str]) -> list[str]:
    """What Python 3.9 cannot run of the modules that travel."""
    wrong = []
    for name, text in texts.items():
        if not gathers(name) or name in STAYS:
            continue
        tree = ast.parse(text)
        try:
            ast.parse(text, feature_version=(3, 9))
        except SyntaxError as error:
            wrong.append(f"{name}:{error.lineno} {error.msg}")
        wrong += [f"{name} {found[0]}" for found in NEWER.finditer(text)]
        wrong += [f"{name}:{node.lineno} {ast.unparse(node)}" for node in _unions(tree)]
        wrong += [f"{name}:{node.lineno} {ast.unparse(node)}" for node in _strict_zips(tree)]
    return wrong


def _strict_zips(tree: ast.AST) -> list[ast.Call]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    zips = [node for node in calls if ast.unparse(node.func) == "zip"]
    return [node for node in zips if any(keyword.arg == "strict" for keyword in node.keywords)]


def _unions(tree: ast.AST) -> Iterator[ast.BinOp]:
    """Every union of types, A | B, that is evaluated as the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.AnnAssign):
            yield from _unions(node.value) if node.value else ()
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            if all(A_TYPE.match(ast.unparse(side)) for side in (node.left, node.right)):
                yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.arg):
            yield from _unions(node)


def test_what_gathers_facts_keeps_to_python_3_9() -> None:
    assert too_new(sources()) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Both = int | None", "int | None"),
        ("Both = tuple[int | None, str]", "int | None"),
        ("def f(x):\n    match x:\n        case 1: pass", "3.10"),
        ("def f(x):\n    return list(zip(x, x, strict=True))", "zip("),
        ("from datetime import UTC", "UTC"),
        ("try:\n    pass\nexcept TimeoutError:\n    pass", "TimeoutError"),
    ],
)
def test_what_is_newer_than_python_3_9_is_found(line: str, said: str) -> None:
    found = too_new({"kdiag.address": f"{sources()['kdiag.address']}\n{line}\n"})
    assert len(found) == 1
    assert "kdiag.address" in found[0]
    assert said in found[0]


def test_a_walk_that_does_not_ask_aws_loads_nothing_for_it() -> None:
    code = "import sys, kdiag.api, kdiag.rules; kdiag.rules.walk_rules(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    loaded = set(ran.stdout.split())
    assert "kdiag.rules.listeners" in loaded
    judges = {"aws.facts", "aws.reachability", "aws.permissions", "aws.rules.blocked"}
    assert not loaded & {"boto3", *(f"kdiag.{name}" for name in judges)}


def test_a_walk_from_here_loads_nothing_for_walks_from_elsewhere() -> None:
    code = "import sys, kdiag.cli, kdiag.api, kdiag.config.settings; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    loaded = set(ran.stdout.split())
    assert "kdiag.walk.runner" in loaded
    away = {
        "kdiag.remote.check",
        "kdiag.remote.serialization",
        "kdiag.remote.probe",
        "kdiag.remote.rules",
        "zipfile",
    }
    assert not [name for name in loaded if name in away or name.startswith("kdiag.remote")]


def test_what_judges_and_prints_opens_no_connection() -> None:
    """The report, every renderer and the rules of every walk, in a fresh interpreter."""
    report = ("model", "judge", "load", "compare", "logins")
    names = [*(f"kdiag.report.{name}" for name in report), *RENDERERS.values()]
    rules = "import kdiag.rules; kdiag.rules.walk_rules(); kdiag.rules.expect_rules()"
    code = f"import sys, {', '.join(names)}; {rules}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    loaded = set(ran.stdout.split())
    assert loaded.issuperset((*names, "kdiag.rules.handshake", "kdiag.walk.facts.produce"))
    assert not loaded & {"asyncio", "socket", "ssl", "selectors", "kdiag.walk.hop"}


def test_a_hop_gives_the_facts_of_its_name() -> None:
    assert {hop.id: hop.gives for hop in WALKED} == HOP_FACTS


def test_only_the_command_line_exits_or_prints() -> None:
    assert exits_and_prints(modules()) == []


@pytest.mark.parametrize(
    "line", ["print('x')", "import sys\nsys.exit(1)", "import os\nos._exit(1)", "raise SystemExit"]
)
def test_an_exit_elsewhere_is_found(line: str) -> None:
    assert len(exits_and_prints(spoilt("kdiag.api", line))) == 1


def test_no_two_classes_have_one_name() -> None:
    """A class, and an alias of a type, is found by its name alone; a private one too."""
    homes: dict[str, list[str]] = {}
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(module)
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name = statement.targets[0].id
                if re.fullmatch(r"_?[A-Z][a-z]\w*", name):
                    homes.setdefault(name, []).append(module)
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def imports_without_a_cost(sources: Mapping[str, str]) -> list[str]:
    """The imports in functions that do not say how many milliseconds they cost: on their line, on a
    neighbour that is an import too, or on the line before these."""
    wrong = []
    for module, text in sources.items():
        lines = text.split("\n")
        for function in ast.walk(ast.parse(text)):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            block: list[ast.stmt] = []
            for node in ast.walk(function):
                for _, body in ast.iter_fields(node):
                    if not isinstance(body, list):
                        continue
                    for statement in [*body, None]:
                        if isinstance(statement, ast.Import | ast.ImportFrom):
                            block.append(statement)
                        elif block:
                            said = lines[block[0].lineno - 2 : block[-1].end_lineno]
                            if not re.search(r"# .*\d ms\b", "\n".join(said)):
                                wrong.append(f"{module}:{block[0].lineno}")
                            block = []
    return sorted(set(wrong))


def test_an_import_in_a_function_says_what_it_costs() -> None:
    assert imports_without_a_cost(sources()) == []
    spoilt = {"kdiag.x": "def x():\n    import json\n    import re\n\ndef y():\n    return 1\n"}
    assert imports_without_a_cost(spoilt) == ["kdiag.x:2"]
    assert not imports_without_a_cost(
        {"kdiag.x": "def x():\n    import json  # 3 ms\n    import re"}
    )


def test_few_modules_lie_on_the_top_floor() -> None:
    above = {file.stem for file in (ROOT / "kdiag").glob("*.py")}
    assert above == {"__init__", "__main__", "api", "address", "named_targets", "text"}, (
        "a module belongs into a room: docs/decisions/rooms.md"
    )

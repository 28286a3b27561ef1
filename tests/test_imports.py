"""Who may import what: the contracts of pyproject.toml, and what import-linter cannot say."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each outside library, and the only modules that may open its door. One that is not here may not
# be imported at all.
COMMAND_LINE = (
    *("check", "completion", "demo", "diff", "explain", "files", "findings", "lint", "options"),
    *("settings", "show", "watching"),
)
DOORS = {
    "click": {"kdiag.cli", *(f"kdiag.cli.{name}" for name in COMMAND_LINE)},
    "rich": {"kdiag.report.render.terminal"},
    "confluent_kafka": {"kdiag.kafka.client"},
    "cryptography": {
        "kdiag.network.certificate",
        "kdiag.demo.certificates",
        "kdiag.config.properties.stores",
    },
    "dns": {"kdiag.network.dns"},
    "boto3": {"kdiag.aws.ec2", "kdiag.remote.ssm_client"},
    "botocore": {"kdiag.aws.ec2", "kdiag.kafka.sasl.iam", "kdiag.remote.ssm_client"},
    "msgspec": {"kdiag.report.render.json", "kdiag.report.load"},
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
BEHIND_DOORS = {"kdiag.kafka.client"}

# Doors to libraries that are on no other machine: what is asked there is asked from here.
STAYS = BEHIND_DOORS | {
    *("kdiag.config.targets", "kdiag.config.expectation", "kdiag.config.environment"),
    *("kdiag.network.certificate", "kdiag.network.dns", "kdiag.config.properties.stores"),
}


def gathers(name: str) -> bool:
    """Whether a module is one of those that gather facts."""
    rooms = tuple(f"kdiag.{room}" for room in GATHERS)
    return name in rooms or name.startswith(tuple(f"{room}." for room in rooms))


EXITS = {"sys.exit", "os._exit", "exit", "quit", "SystemExit"}
MAY_EXIT = {"kdiag.cli"}


def modules(root: Path) -> dict[str, ast.Module]:
    """Every module of the package under `root`, parsed."""
    found = {}
    for path in sorted((root / "kdiag").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text("utf-8"), str(path))
    return found


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


def wrong_doors(root: Path) -> list[str]:
    """Imports of outside libraries by modules that are not their door."""
    wrong = []
    for module, tree in modules(root).items():
        tops = {name.partition(".")[0] for name in imports(tree)}
        for top in sorted(tops - sys.stdlib_module_names - {"kdiag"}):
            if module not in DOORS.get(top, set()):
                wrong.append(f"{module} imports {top}")
    return wrong


def not_standard(root: Path) -> list[str]:
    """What the gatherers import at once, over any number of steps, beyond the standard library."""
    trees = modules(root)
    ahead = [name for name in trees if gathers(name) and name not in STAYS]
    wrong, seen = [], set(ahead) | BEHIND_DOORS
    for module in ahead:  # grows as it goes
        for name in imports(trees[module], deferred=False):
            top = name.partition(".")[0]
            if top == "kdiag" and name in trees and name not in seen:
                seen.add(name)
                ahead.append(name)
            if name in BEHIND_DOORS or (top != "kdiag" and top not in sys.stdlib_module_names):
                wrong.append(f"{module} imports {name}")
    return wrong


def exits_and_prints(root: Path) -> list[str]:
    """Places outside the command line that end the process or print."""
    wrong = []
    for module, tree in modules(root).items():
        for node in ast.walk(tree):
            said = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
            printed = isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
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


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, to be spoilt."""
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "kdiag", tmp_path / "kdiag", ignore=without)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def spoil(root: Path, module: str, line: str) -> None:
    """Adds a line to the end of a module."""
    path = root / module
    path.write_text(f"{path.read_text('utf-8')}\n{line}\n", "utf-8")


def test_the_contracts_hold() -> None:
    kept = lint_imports(ROOT)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    assert "0 broken" in kept.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("kdiag/rules/text.py", "import kdiag.network.dialer", "What judges and what prints"),
        ("kdiag/report/render/json.py", "import kdiag.rules.text", "Renderers print"),
        (
            "kdiag/address.py",
            "import kdiag.config.settings",
            "Imports point downwards only",
        ),
        ("kdiag/stray.py", "", "Imports point downwards only"),
    ],
)
def test_a_broken_contract_is_reported(copy: Path, module: str, line: str, contract: str) -> None:
    (copy / module).touch()
    spoil(copy, module, line)
    broken = lint_imports(copy)
    assert broken.returncode != 0
    said = " ".join((broken.stdout + broken.stderr).split())
    assert contract in said
    assert module.removesuffix(".py").replace("/", ".") in said or "stray" in said


def test_every_outside_library_has_its_door() -> None:
    assert wrong_doors(ROOT) == []


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("kdiag/network/dialer.py", "import confluent_kafka", "kdiag.network.dialer imports"),
        (
            "kdiag/report/render/json.py",
            "from rich.text import Text",
            "kdiag.report.render.json imports rich",
        ),
        (
            "kdiag/walk/hop.py",
            "def late():\n    import boto3.session",
            "kdiag.walk.hop imports boto3",
        ),
        ("kdiag/address.py", "import requests", "kdiag.address imports requests"),
    ],
)
def test_a_library_at_the_wrong_door_is_found(
    copy: Path, module: str, line: str, said: str
) -> None:
    spoil(copy, module, line)
    assert [found for found in wrong_doors(copy) if found.startswith(said)]


def test_what_gathers_facts_imports_the_standard_library_alone() -> None:
    assert not_standard(ROOT) == []


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("kdiag/config/settings.py", "import msgspec", "kdiag.config.settings imports msgspec"),
        (
            "kdiag/walk/dial.py",
            "import kdiag.report.render.json",
            "kdiag.report.render.json imports msgspec",
        ),
        ("kdiag/walk/produce.py", "import kdiag.kafka.client", "kdiag.walk.produce imports"),
    ],
)
def test_a_gatherer_with_baggage_is_found(copy: Path, module: str, line: str, said: str) -> None:
    spoil(copy, module, line)
    assert [found for found in not_standard(copy) if found.startswith(said)]


def test_what_gathers_facts_runs_where_nothing_is_installed() -> None:
    names = [name for name in modules(ROOT) if gathers(name) and name not in STAYS]
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


def too_new(root: Path) -> list[str]:
    """What Python 3.9 cannot run of the modules that travel."""
    wrong = []
    for name, tree in modules(root).items():
        if not gathers(name) or name in STAYS:
            continue
        path = Path(root, *name.split("."))
        text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
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
    assert too_new(ROOT) == []


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
def test_what_is_newer_than_python_3_9_is_found(copy: Path, line: str, said: str) -> None:
    spoil(copy, "kdiag/address.py", line)
    found = too_new(copy)
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


def test_only_the_command_line_exits_or_prints() -> None:
    assert exits_and_prints(ROOT) == []


@pytest.mark.parametrize(
    "line", ["print('x')", "import sys\nsys.exit(1)", "import os\nos._exit(1)", "raise SystemExit"]
)
def test_an_exit_elsewhere_is_found(copy: Path, line: str) -> None:
    spoil(copy, "kdiag/api.py", line)
    assert len(exits_and_prints(copy)) == 1

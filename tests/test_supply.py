"""What kdiag is delivered with: locked, named by what cannot change, built the same each time."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import cyclonedx.schema
import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from referencing import Registry
from referencing.jsonschema import DRAFT7

from tests import sbom
from tests.sbom import Locked, locked

ROOT = Path(__file__).resolve().parent.parent
WHOLE, RUN, BUILD = ROOT / "requirements.lock", sbom.LOCK, ROOT / "docs/deploy/build.lock"
IMAGE = ROOT / "docs/deploy/image.lock"
ACTION = ROOT / ".github/actions/check/action.yml"
DOCKERFILE = ROOT / "docs/deploy/Dockerfile"


def of(file: Path) -> dict[str, Locked]:
    return {one.name: one for one in locked(file)}


@pytest.mark.parametrize("file", [RUN, IMAGE, BUILD], ids=lambda path: path.name)
def test_a_part_says_what_the_whole_lock_says(file: Path) -> None:
    whole, part = of(WHOLE), of(file)
    assert part
    for name, one in part.items():
        assert one.hashes and one.version == whole[name].version
        assert one.hashes == whole[name].hashes, name


@pytest.mark.parametrize(
    ("file", "begin"), [(RUN, ["kdiag"]), (BUILD, ["hatchling", "shiv"])], ids=["run", "build"]
)
def test_a_part_has_all_that_is_needed_and_nothing_else(file: Path, begin: list[str]) -> None:
    """pip is told to look for nothing that is not in it."""
    part, needed, open_ = of(file), set[str](), [*begin]
    while open_:
        for name in sbom._needs(open_.pop()):
            if name not in needed and name in part:
                needed.add(name)
                open_.append(name)
    asked = {
        canonicalize_name(Requirement(text).name) for name in begin for text in _requires(name)
    }
    assert asked <= needed
    # What other platforms or versions of Python need is locked for them.
    assert {name for name in part if name not in needed and not part[name].marker} <= {*begin}


def _requires(name: str) -> list[str]:
    from importlib import metadata

    found = []
    for text in metadata.requires(name) or ():
        marker = Requirement(text).marker
        if marker is None or marker.evaluate({"extra": ""}):
            found.append(text)
    return found


USES = re.compile(r"uses:\s*(\S+)(.*)")
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40}\Z")


def test_actions_are_named_by_commit() -> None:
    for path in (ACTION, *(ROOT / ".github/workflows").glob("*.yml")):
        found = USES.findall(path.read_text("utf-8"))
        for name, said in found:
            assert PINNED.match(name), (path, name)
            assert re.match(r" # v\d+\.\d+\.\d+$", said), (path, said)


def test_examples_name_a_commit_too() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    found = [name for page in pages for name, _ in USES.findall(page.read_text("utf-8"))]
    assert found
    assert all(PINNED.match(name) or name.endswith("@COMMIT") for name in found)
    assert not [page for page in pages if "@main" in page.read_text("utf-8")]


def test_what_is_installed_is_what_is_locked() -> None:
    """Each pip of the action and of the image takes hashes, or no index at all."""
    step = next(
        one["run"]
        for one in yaml.safe_load(ACTION.read_text("utf-8"))["runs"]["steps"]
        if one.get("name") == "Install kdiag"
    )
    for text in (step, DOCKERFILE.read_text("utf-8")):
        text = re.sub(r"\\\n\s*", "", text)
        calls = [each for each in re.split(r"\n|&&", text) if re.search(r"bin/pip|locked \"", each)]
        calls = [each for each in calls if "locked()" not in each and not each.startswith("#")]
        assert len(calls) == 4, calls
        assert all("--require-hashes" in call or "--no-index" in call for call in calls), calls
        assert all("docs/deploy/" in call for call in calls if "--require-hashes" in call)
    assert 'install --quiet --disable-pip-version-check --no-deps "${@:2}"' in step


def test_the_base_image_has_one_place_and_no_made_up_digest() -> None:
    text = DOCKERFILE.read_text("utf-8")
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert re.findall(r"^ARG BASE=(\S+)", text, re.MULTILINE) == ["python:3.13-slim-bookworm"]


def built(source: Path, out: Path, mask: int) -> list[Path]:
    """The wheel and the sdist of a tree, by the build backend that is locked."""
    code = (
        f"import os; os.umask({mask}); from hatchling.build import build_sdist, build_wheel; "
        f"build_wheel({str(out)!r}); build_sdist({str(out)!r})"
    )
    environment = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return sorted(out.iterdir())


def test_two_builds_are_the_same(tmp_path: Path) -> None:
    """From two copies of the tree, made at other times, under another umask and another order."""
    leave = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "goldens", "corpus")
    made = []
    for number, mask in enumerate((0o022, 0o077)):
        source, out = tmp_path / f"{number}" / "tree", tmp_path / f"{number}" / "out"
        source.mkdir(parents=True)
        out.mkdir()
        for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.lock"):
            shutil.copy(ROOT / name, source)
        for name in ("kdiag", "docs", "tests"):
            shutil.copytree(ROOT / name, source / name, ignore=leave)
        for path in source.rglob("*"):
            os.utime(path, (10**9 + number * 10**6,) * 2)
        made.append(built(source, out, mask))
    assert [path.name for path in made[0]] == [path.name for path in made[1]]
    assert len(made[0]) == 2
    for one, other in zip(*made, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    wheel = next(path for path in made[0] if path.suffix == ".whl")
    (name,) = [each for each in zipfile.ZipFile(wheel).namelist() if "/sboms/" in each]
    assert zipfile.ZipFile(wheel).read(name) == sbom.SBOM.read_bytes()
    with tarfile.open(next(path for path in made[0] if path.suffix == ".gz")) as archive:
        assert {(one.uid, one.gid, one.uname) for one in archive} == {(0, 0, "")}


def test_the_bill_of_materials_is_valid_and_whole() -> None:
    told = json.loads(sbom.SBOM.read_text("utf-8"))
    folder = Path(cyclonedx.schema.__file__).parent / "_res"
    schemas = {
        name: json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text("utf-8"))
        for name in ("bom-1.6", "spdx", "jsf-0.82")
    }
    registry: Registry[Any] = Registry()
    for found in schemas.values():
        registry = registry.with_resource(found["$id"], DRAFT7.create_resource(found))
    checker = jsonschema.Draft7Validator(schemas["bom-1.6"], registry=registry)
    checker.validate(told)
    assert not checker.is_valid({**told, "components": [{"name": "x"}]})
    assert {(c["name"], c["version"]) for c in told["components"]} == {
        (one.name, one.version) for one in locked()
    }
    needs = {each["ref"]: each.get("dependsOn", []) for each in told["dependencies"]}
    assert {name.partition("@")[0] for name in needs["kdiag"]} >= {"boto3", "click", "pyyaml"}


def test_a_licence_that_is_not_known_to_be_fine_is_found() -> None:
    assert sbom.main() == 0
    assert sbom.allowed("Apache-2.0 OR BSD-3-Clause")
    assert not sbom.allowed("GPL-3.0-only")
    assert not sbom.allowed("MIT AND AGPL-3.0")
    assert not sbom.allowed("")


def test_nothing_else_lies_beside_the_package() -> None:
    """A file that some tool has left there would be in everybody's checkout."""
    tops = {each.name for each in ROOT.iterdir() if not each.name.startswith(".")}
    built = {name for name in tops if name in ("dist", "site") or name.endswith(".egg-info")}
    files = {"pyproject.toml", "README.md", "LICENSE", "requirements.lock"}
    assert tops - built == files | {"kdiag", "tests", "docs"}

"""What kdiag is delivered as: each made by the one command, and run as far as this machine can."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdiag import __version__
from kdiag.config import links
from tests.running import ROOT, environment
from tests.sbom import locked

BUILD = ROOT / "docs/deploy/build.py"
LONG = 120.0  # seconds, for a machine that is busy

pytestmark = [
    pytest.mark.xdist_group("deploy"),
    pytest.mark.timeout(2 * LONG),
    pytest.mark.skipif(sys.platform != "linux", reason="packages of Linux"),
]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is locked, copied from where it is installed: no index takes part."""
    folder = tmp_path_factory.mktemp("libraries")
    for each in locked():
        for file in metadata.files(each.name) or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                source, target = Path(str(file.locate())), folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
                if file.parts[0] == "confluent_kafka.libs":
                    os.truncate(target, 1000)
    # AWS's 300 services are most of botocore's bulk, and packed like any other file; so are the 500
    # languages that Pygments colours, and the libraries of the real client, which no demo loads.
    data, colours = folder / "botocore/data", folder / "pygments/lexers"
    for service in data.iterdir():
        if service.is_dir() and service.name not in ("ec2", "sts", "ssm"):
            shutil.rmtree(service)
    for language in colours.glob("[a-z]*.py"):
        language.unlink()
    return folder


def build(target: str, out: Path, *more: str) -> Path:
    command = [sys.executable, str(BUILD), target, "--out", str(out), *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=out, timeout=LONG)
    assert done.returncode == 0, done.stderr
    made = Path(done.stdout.strip())
    assert made.parent == out
    return made


def refused(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BUILD), *arguments], capture_output=True, text=True, timeout=LONG
    )
    assert done.returncode
    return done.stderr


def runs(*command: str, **variables: str) -> None:
    """It plays the demo, with what is in it alone: this Python's own libraries are out of sight."""
    given = {**environment(COLUMNS="80", **variables)}
    given.pop("PYTHONPATH")
    command = (sys.executable, "-I", "-S", *command)
    done = subprocess.run(
        [*command, "demo", "private-address"],
        capture_output=True, text=True, cwd="/", env=given, timeout=LONG,
    )  # fmt: skip
    assert done.returncode == 30, done.stderr
    assert "KD301 private-address" in done.stdout
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, env=given)
    assert said.stdout == f"kdiag {__version__}\n"


def test_one_file(libraries: Path, tmp_path: Path) -> None:
    made = build("pyz", tmp_path, "--libraries", str(libraries))
    assert made.name == "kdiag.pyz"
    assert made.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    runs(str(made), SHIV_ROOT=str(tmp_path / "unpacked"))
    assert list((tmp_path / "unpacked").glob("*/site-packages/kdiag/__main__.py"))


def test_a_plugin_of_kubectl(tmp_path: Path) -> None:
    """The archive that krew installs has the one file by the name that kubectl looks for; here
    without libraries, as that file is tried above. The manifest has a platform for each archive;
    krew's own validator reads it in tests/deploy/manifests.py."""
    other = tmp_path / f"kubectl-kdiag_{__version__}_darwin_arm64.tar.gz"
    other.write_bytes(b"from another system")
    (empty := tmp_path / "libraries").mkdir()
    manifest = yaml.safe_load(build("krew", tmp_path, "--libraries", str(empty)).read_text())
    assert manifest["spec"]["version"] == f"v{__version__}"
    first, second = manifest["spec"]["platforms"]
    assert first["selector"]["matchLabels"] == {"os": "darwin", "arch": "arm64"}
    assert first["sha256"] == hashlib.sha256(other.read_bytes()).hexdigest()
    archive = tmp_path / second["uri"].rpartition("/")[2]
    assert second["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "plugin", filter="data")
    plugin = tmp_path / "plugin" / second["bin"]
    assert os.access(plugin, os.X_OK)
    assert (tmp_path / "plugin/LICENSE").exists()
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert plugin.read_bytes().startswith(f"#!/usr/bin/env python{minor}\n".encode())
    with zipfile.ZipFile(plugin) as packed:
        assert "site-packages/kdiag/__main__.py" in packed.namelist()


def test_a_package_for_debian(libraries: Path, tmp_path: Path) -> None:
    """Installed by dpkg below a folder, verified, run and removed."""
    if not shutil.which("dpkg-deb") or os.geteuid():
        pytest.skip("takes dpkg, and root")
    made = build("deb", tmp_path, "--libraries", str(libraries))
    root = tmp_path / "system"
    for name in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "var/lib/dpkg/triggers"):
        (root / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    dpkg = ("dpkg", f"--root={root}", "--force-depends")
    subprocess.run([*dpkg, "--install", str(made)], check=True, capture_output=True)
    verified = subprocess.run([*dpkg, "--verify", "kdiag"], capture_output=True, text=True)
    assert (verified.returncode, verified.stdout) == (0, "")
    fields = subprocess.check_output(["dpkg-deb", "--field", str(made)], text=True)
    assert f"Version: {__version__}\n" in fields
    before, after = sys.version_info[1], sys.version_info[1] + 1
    assert f"Depends: python3 (>= 3.{before}), python3 (<< 3.{after}), ca-certificates" in fields
    for path in (root / "usr").rglob("*"):
        assert path.stat().st_uid == 0 and path.stat().st_mode & 0o444 == 0o444, path
    runs(str(root / "usr/bin/kdiag"))
    subprocess.run([*dpkg, "--purge", "kdiag"], check=True, capture_output=True)
    assert not (root / "usr/lib/kdiag").exists()


def described(content: bytes, kind: str, layout: Path) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(content)
    kind = f"application/vnd.oci.image.{kind}"
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """An image with one layer, of which only its description matters here."""
    return made_base(tmp_path / "base", platform.python_version())


def made_base(layout: Path, version: str) -> Path:
    (layout / "blobs/sha256").mkdir(parents=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("etc"))
    config = {
        "architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin", f"PYTHON_VERSION={version}"]},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}"],
        },
    }  # fmt: skip
    layer = gzip.compress(packed.getvalue())
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described(json.dumps(config).encode(), "config.v1+json", layout),
        "layers": [described(layer, "layer.v1.tar+gzip", layout)],
    }  # fmt: skip
    entry = described(json.dumps(manifest).encode(), "manifest.v1+json", layout)
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return layout


def fetched(layout: Path, entry: dict[str, Any]) -> bytes:
    """A blob, of which size and digest are what its descriptor says."""
    content: bytes = (layout / "blobs" / entry["digest"].replace(":", "/")).read_bytes()
    assert len(content) == entry["size"]
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == entry["digest"]
    return content


def test_an_image_without_a_container_engine(libraries: Path, base: Path, tmp_path: Path) -> None:
    made = build("oci", tmp_path, "--base", str(base), "--libraries", str(libraries))
    assert json.loads((made / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((made / "index.json").read_text())["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": __version__}
    manifest = json.loads(fetched(made, entry))
    config = json.loads(fetched(made, manifest["config"]))
    plain = [gzip.decompress(fetched(made, each)) for each in manifest["layers"]]
    digests = [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in plain]
    assert len(digests) == 2
    assert config["rootfs"]["diff_ids"] == digests
    assert config["config"]["User"] == "65532:65532"
    assert "PATH=/usr/local/bin:/usr/bin" in config["config"]["Env"]
    root = tmp_path / "root"
    with tarfile.open(fileobj=io.BytesIO(plain[1])) as archive:
        assert {(one.uid, one.gid, one.mtime) for one in archive} == {(0, 0, 1577836800)}
        archive.extractall(root, filter="data")
    python, program = config["config"]["Entrypoint"]
    assert python == "python3"
    runs(f"{root}{program}")


def test_an_image_of_another_python_is_refused(tmp_path: Path) -> None:
    base = made_base(tmp_path / "base", "3.9.1")
    said = refused("oci", "--out", str(tmp_path), "--base", str(base))
    assert "the base has Python 3.9.1: build with that" in said
    assert "oci needs --base" in refused("oci", "--out", str(tmp_path))


def parsed(language: str, text: str) -> str:
    """The tree of a text, by tree-sitter's grammar. Other environments need not have it."""
    sitter = importlib.import_module("tree_sitter")
    grammar = importlib.import_module(f"tree_sitter_{language}")
    tree = sitter.Parser(sitter.Language(grammar.language())).parse(text.encode())
    assert not tree.root_node.has_error, str(tree.root_node)
    return str(tree.root_node)


def test_the_formula_of_homebrew(tmp_path: Path) -> None:
    text = build("homebrew", tmp_path).read_text("utf-8")
    source = tmp_path / f"kdiag-{__version__}.tar.gz"
    assert f'sha256 "{hashlib.sha256(source.read_bytes()).hexdigest()}"' in text
    assert f"github.com/{links.REPOSITORY}/releases/download/v{__version__}/{source.name}" in text
    assert "@REPOSITORY@" not in text and "@VERSION@" not in text
    assert "class" in parsed("ruby", text)
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"docs/deploy/build.lock", "docs/deploy/requirements.lock", "pyproject.toml"} <= names
    with pytest.raises(AssertionError):
        parsed("ruby", text.replace("  end\n", "", 1))


def dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {text.partition(">")[0].lower() for text in project["dependencies"]}


def test_the_flake_of_nix() -> None:
    text = (ROOT / "docs/deploy/flake.nix").read_text("utf-8")
    parsed("nix", text)
    listed = text.partition("dependencies = with")[2].partition("[")[2].partition("]")[0].split()
    assert set(listed) == dependencies()
    with pytest.raises(AssertionError):
        parsed("nix", text.replace("];", "]", 1))


def test_the_entry_of_mise() -> None:
    told = tomllib.loads((ROOT / "docs/deploy/mise.toml").read_text("utf-8"))
    assert told == {"tools": {"pipx:kdiag": __version__}}


def test_alpine_gets_all_but_the_real_client() -> None:
    """The same versions and hashes; confluent-kafka has no wheel for musl."""
    whole = {each.name: each for each in locked()}
    musl = {each.name: each for each in locked(ROOT / "docs/deploy/alpine.lock")}
    assert set(whole) - set(musl) == {"confluent-kafka"}
    assert all(whole[name] == each for name, each in musl.items())

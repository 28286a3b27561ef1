"""Makes what kdiag is delivered as, each by one command, into dist/.

build.py wheel             kdiag-VERSION-py3-none-any.whl and the sdist, for pipx and uvx
build.py pyz               kdiag.pyz, one file, for this Python and this system
build.py deb               kdiag_VERSION_ARCH.deb, for the Debian of this Python
build.py oci --base DIR    kdiag.oci, an OCI layout, on the layout of a Python image
build.py homebrew          kdiag.rb, the formula of this version
build.py krew              kubectl-kdiag_VERSION_OS_ARCH.tar.gz, for this Python and this system,
                           and kdiag.yaml, krew's manifest of every such file that is there

Only what the lock files say is installed, hash by hash. Each file is the same each time.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "docs/deploy"
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "1577836800"))
VERSION = re.findall(r'__version__ = "(.+)"', (ROOT / "kdiag/__init__.py").read_text("utf-8"))[0]
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Debian and OCI name them
LOCKED = ("install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")

LAUNCHER = """\
#!/usr/bin/python3
import sys
from pathlib import Path

if sys.version_info[:2] != {version}:
    sys.exit("kdiag was packaged for Python {minor}; this is " + sys.version.split()[0])
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib/kdiag"))
from kdiag.__main__ import main

sys.exit(main())
"""
PREAMBLE = """\
import sys

if sys.version_info[:2] != {version}:
    sys.exit("this kdiag.pyz is for Python {minor}; this is " + sys.version.split()[0])
"""
CONTROL = """\
Package: kdiag
Version: {version}
Architecture: {machine}
Maintainer: kdiag <https://pypi.org/project/kdiag/>
Depends: python3 (>= {minor}), python3 (<< {after}), ca-certificates
Section: net
Priority: optional
Description: Says why a Kafka client cannot connect
 It walks the four hops of every client, and names the hop that breaks, the
 one root cause, the evidence and the fix.
"""


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--base", type=Path, help="the OCI layout of an image with Python")
    parser.add_argument("--libraries", type=Path, help="where they are installed already")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    os.environ["SOURCE_DATE_EPOCH"] = str(EPOCH)
    with tempfile.TemporaryDirectory() as scratch:
        print(TARGETS[asked.target](asked, Path(scratch)))


def wheel(asked: argparse.Namespace, scratch: Path) -> Path:
    """The wheel, and the sdist beside it."""
    out = str(asked.out.resolve())
    code = f"build_sdist({out!r}); print(build_wheel({out!r}))"
    code = f"from hatchling.build import build_sdist, build_wheel; {code}"
    made = run(python(scratch), "-c", code, cwd=ROOT)
    return asked.out / made.split()[-1]


def pyz(
    asked: argparse.Namespace, scratch: Path, interpreter: str = "/usr/bin/env python3"
) -> Path:
    """One file, which unpacks itself into ~/.shiv when it is first run."""
    preamble = scratch / "preamble.py"
    preamble.write_text(filled(PREAMBLE))
    packages = site_packages(asked, scratch, scratch / "packages")
    made = asked.out / "kdiag.pyz"
    shiv = ("-m", "shiv", "--reproducible", "--compressed", "-c", "kdiag", "-o", str(made))
    how = ("-p", interpreter, "--preamble", str(preamble))
    run(python(scratch), *shiv, *how, "--site-packages", str(packages))
    return made


def deb(asked: argparse.Namespace, scratch: Path) -> Path:
    """A package with the libraries in it, as Debian's own are older. It runs no script."""
    tree(asked, scratch, scratch / "root")
    machine = MACHINES[platform.machine()]
    after = f"{sys.version_info[0]}.{sys.version_info[1] + 1}"
    (scratch / "root/DEBIAN").mkdir()
    control = CONTROL.format(version=VERSION, machine=machine, minor=MINOR, after=after)
    (scratch / "root/DEBIAN/control").write_text(control)
    made = asked.out / f"kdiag_{VERSION}_{machine}.deb"
    how = ("--root-owner-group", "-Zgzip", "-z6", "--build")
    run("dpkg-deb", *how, str(scratch / "root"), str(made))
    return made


def oci(asked: argparse.Namespace, scratch: Path) -> Path:
    """The image of --base with one more layer: no container engine, and no registry, takes part."""
    made = asked.out / "kdiag.oci"
    if asked.base is None:
        sys.exit("oci needs --base: skopeo copy docker://python:3.13-slim-bookworm oci:base")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(asked.base, made)
    index = json.loads((made / "index.json").read_text("utf-8"))
    manifest = blob(made, index["manifests"][0]["digest"])
    config = blob(made, manifest["config"]["digest"])
    given = dict(each.partition("=")[::2] for each in config["config"].get("Env", ()))
    if not given.get("PYTHON_VERSION", MINOR).startswith(MINOR):
        sys.exit(f"the base has Python {given['PYTHON_VERSION']}: build with that, not {MINOR}")
    plain = layer(tree(asked, scratch, scratch / "root"))
    config["rootfs"]["diff_ids"].append(f"sha256:{hashlib.sha256(plain).hexdigest()}")
    config.setdefault("history", []).append({"created_by": "docs/deploy/build.py oci"})
    config["config"] |= {
        "Entrypoint": ["python3", "/usr/bin/kdiag"], "Cmd": ["--help"],
        "User": "65532:65532", "WorkingDir": "/work",
    }  # fmt: skip
    kind = "application/vnd.oci.image."
    packed = gzip.compress(plain, 6, mtime=0)
    manifest["layers"].append(add(made, packed, f"{kind}layer.v1.tar+gzip"))
    manifest["config"] = add(made, compact(config), f"{kind}config.v1+json")
    entry = add(made, compact(manifest), f"{kind}manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": VERSION}
    (made / "index.json").write_bytes(compact({**index, "manifests": [entry]}))
    return made


def homebrew(asked: argparse.Namespace, scratch: Path) -> Path:
    """The formula: it installs the sdist of a release with the libraries that are locked."""
    wheel(asked, scratch)
    source = asked.out / f"kdiag-{VERSION}.tar.gz"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    made: Path = asked.out / "kdiag.rb"
    made.write_text(released((HERE / "kdiag.rb.in").read_text("utf-8"), SHA256=digest), "utf-8")
    return made


def krew(asked: argparse.Namespace, scratch: Path) -> Path:
    """One file for `kubectl kdiag`, packed, and the manifest: each system adds its own file."""
    system, machine = platform.system().lower(), platform.machine()
    name = f"kubectl-kdiag_{VERSION}_{system}_{MACHINES.get(machine, machine)}.tar.gz"
    plugin = pyz(asked, scratch, f"/usr/bin/env python{MINOR}")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, inside in ((plugin, "kubectl-kdiag"), (ROOT / "LICENSE", "LICENSE")):
            member = tarfile.TarInfo(inside)
            member.size, member.mtime = path.stat().st_size, EPOCH
            member.mode = 0o644 if inside == "LICENSE" else 0o755
            with path.open("rb") as content:
                archive.addfile(member, content)
    plugin.unlink()
    (asked.out / name).write_bytes(gzip.compress(packed.getvalue(), 6, mtime=0))
    made: Path = asked.out / "kdiag.yaml"
    made.write_text(krew_manifest(sorted(asked.out.glob(f"kubectl-kdiag_{VERSION}_*.tar.gz"))))
    return made


def krew_manifest(archives: Sequence[Path]) -> str:
    """The manifest of krew, with a platform for each of the archives."""
    text = released((HERE / "krew.yaml.in").read_text("utf-8"), MINOR=MINOR)
    address = released("https://github.com/@REPOSITORY@/releases/download/v@VERSION@")
    for archive in archives:
        system, machine = archive.name.removesuffix(".tar.gz").split("_")[-2:]
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        text += f"""\
    - selector:
        matchLabels:
          os: {system}
          arch: {machine}
      uri: {address}/{archive.name}
      sha256: {digest}
      bin: kubectl-kdiag
"""
    return text


def released(text: str, **more: str) -> str:
    """A text with the repository and the version of this release in it, and `more`."""
    sys.path.insert(0, str(ROOT))
    from kdiag.config.links import REPOSITORY

    for name, value in {"REPOSITORY": REPOSITORY, "VERSION": VERSION, **more}.items():
        text = text.replace(f"@{name}@", value)
    return text


def python(scratch: Path) -> str:
    """A Python with what builds: this one, or one made of build.lock."""
    if importlib.util.find_spec("hatchling") and importlib.util.find_spec("shiv"):
        return sys.executable
    made = scratch / "build/bin/python"
    if not made.exists():
        run(sys.executable, "-m", "venv", str(scratch / "build"))
        run(str(made), "-m", "pip", *LOCKED, "-r", str(HERE / "build.lock"))
    return str(made)


def site_packages(asked: argparse.Namespace, scratch: Path, target: Path) -> Path:
    """A folder with kdiag and its libraries, without what only pip needs."""
    if asked.libraries:
        shutil.copytree(asked.libraries, target)
    else:
        where = ("--no-compile", "--target", str(target), "-r", str(HERE / "requirements.lock"))
        run(python(scratch), "-m", "pip", *LOCKED, *where)
    shutil.rmtree(target / "bin", ignore_errors=True)
    shutil.unpack_archive(wheel(asked, scratch), target, "zip")
    return target


def tree(asked: argparse.Namespace, scratch: Path, root: Path) -> Path:
    """usr/bin/kdiag, usr/lib/kdiag and the man page below a folder, of one time and readable by
    everybody."""
    packages = site_packages(asked, scratch, root / "usr/lib/kdiag")
    data = packages / f"kdiag-{VERSION}.data"
    shutil.move(data / "data/share", root / "usr/share")
    shutil.rmtree(data)
    (root / "usr/bin").mkdir()
    (root / "usr/bin/kdiag").write_text(filled(LAUNCHER))
    # Bytecode is part of it: whoever runs it may write none, and what root wrote would be left.
    how = ("-q", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/")
    run(sys.executable, "-m", "compileall", *how, str(root / "usr/lib/kdiag"))
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        os.utime(path, (EPOCH, EPOCH))
    return root


def filled(text: str) -> str:
    return text.format(version=tuple(sys.version_info[:2]), minor=MINOR)


def layer(root: Path) -> bytes:
    """A tar of what is below a folder: owned by root, in one order."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = EPOCH
        return member

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(root.rglob("*")):
            archive.add(path, str(path.relative_to(root)), recursive=False, filter=plain)
    return packed.getvalue()


def blob(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs" / digest.replace(":", "/")).read_bytes())


def add(layout: Path, content: bytes, kind: str) -> dict[str, Any]:
    """Writes a blob; its descriptor."""
    digest = hashlib.sha256(content).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(content)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}


def compact(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


TARGETS: dict[str, Callable[[argparse.Namespace, Path], Path]] = {
    "wheel": wheel, "pyz": pyz, "deb": deb, "oci": oci, "homebrew": homebrew, "krew": krew,
}  # fmt: skip

if __name__ == "__main__":
    main()

"""Every check, in one command that needs Python 3.11 and pip, and brings the rest itself.

python3 tests [ARGUMENTS]   checks everything; what it does not know goes to pytest
python3 tests --checks      all but pytest
python3 tests --rewrite     writes everything derived anew: docs, schema, goldens
python3 tests --lock        writes requirements.lock anew
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / "python"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "installed-from"

# Hashes and no URLs, for every platform at once. What is locked stays so, but for --upgrade.
COMPILE = (
    *("uv", "pip", "compile", "--quiet"),
    *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate"),
    *("--no-emit-index-url", "--custom-compile-command", "python3 tests --lock"),
)
# Each file and what goes into it: all, what an installation needs, the same where confluent-kafka
# has no wheel, and what builds one. The first decides on the versions of the others.
PARTS = ("-c", "requirements.lock")
LOCKS = {
    "requirements.lock": ("pyproject.toml", "--all-extras", "--group", "dev"),
    "docs/deploy/requirements.lock": ("pyproject.toml", *PARTS),
    "docs/deploy/image.lock": ("pyproject.toml", "--extra", "serve", *PARTS),
    "docs/deploy/alpine.lock": ("pyproject.toml", "--no-emit-package", "confluent-kafka", *PARTS),
    "docs/deploy/build.lock": ("--group", "build", *PARTS),
}

# Twice as many as CI has processors: two have a real Kafka each for much of their lives, and all
# wait more than they work.
PYTEST = ("pytest", "-n", "4", "--dist", "loadgroup")

CHECKS = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy",),
    ("lint-imports", "--no-logo"),
    ("zizmor", "--offline", "--quiet", "--no-progress", ".github"),
    ("python", "-m", "tests.sbom"),
)
GO_TOOLS = {
    "actionlint": "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0",
    "validate-krew-manifest": "sigs.k8s.io/krew/cmd/validate-krew-manifest@v0.4.3",
}
AUDIT = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")
NOT_RUN = -1  # in the place of an exit code


def main(arguments: list[str]) -> int:
    """Runs all steps, whatever became of those before; 0 when each of them passed."""
    if not sys.version_info >= (3, 11):
        return _newer_python(arguments)
    os.chdir(ROOT)
    # A tool of this project is the one in .venv, also where a test starts it by name.
    os.environ["PATH"] = os.pathsep.join(
        [str(PYTHON.parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    )
    # Images of containers forbid bytecode. Then each of a thousand processes compiles all that it
    # imports: for `kdiag check` 0.8 s, four times what the rest of it takes.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # What is built in Go runs for seconds: to optimise it takes longer.
    os.environ.setdefault("GOFLAGS", "'-gcflags=all=-N -l' '-ldflags=-s -w'")
    if not _install():
        return 1
    if arguments[:1] == ["--lock"]:
        return _lock(arguments[1:])
    if arguments[:1] == ["--rewrite"]:
        return _rewrite(arguments[1:])
    if arguments[:1] == ["--checks"]:
        return _summary({"pip-audit": _audit(), **_with_go()} | _timed(*CHECKS))
    with tempfile.TemporaryFile("w+", encoding="utf-8") as page:
        checks = [sys.executable, __file__, "--checks"]
        beside = subprocess.Popen(checks, stdout=page, stderr=subprocess.STDOUT)
        outcome = {"what real servers need": 1 if _missing() and os.environ.get("CI") else 0}
        _compile(arguments)
        outcome |= _timed((*PYTEST, *arguments))
        outcome["checks"] = beside.wait()
        page.seek(0)
        print(page.read(), end="")
    return _summary(outcome)


def _compile(arguments: list[str]) -> None:
    """Collects the tests once where nothing is compiled: else each worker compiles all by itself,
    and what it imports too."""
    if not any(Path("tests").glob("__pycache__/test_*.pyc")):
        collect = [str(PYTHON.parent / "pytest"), "--collect-only", "-qq", *arguments]
        subprocess.run(collect, stdout=subprocess.DEVNULL, check=False)


def _timed(*steps: tuple[str, ...]) -> dict[str, int]:
    """Runs all steps, whatever became of those before: each with its seconds → its exit code."""
    found = {}
    for step in steps:
        started = time.monotonic()
        code = _run(*step)
        found[f"{' '.join(step[:3])} ({time.monotonic() - started:.0f} s)"] = code
    return found


def _summary(outcome: dict[str, int]) -> int:
    """Prints what became of each step; 0 when none failed."""
    print()
    for name, code in outcome.items():
        print(f"{'not run' if code == NOT_RUN else 'FAILED' if code else 'ok':7}  {name}")
    return 1 if any(code not in (0, NOT_RUN) for code in outcome.values()) else 0


def _lock(arguments: list[str]) -> int:
    """Writes every lock file anew, the whole one first."""
    code = _run("pip", "install", "--quiet", "uv")
    for file, parts in LOCKS.items():
        code = code or _run(*COMPILE, *parts, "--output-file", file, *arguments)
    return code


def _audit() -> int:
    """Asks for known vulnerabilities of every library that is locked. Where nobody answers, nothing
    is known, and pip-audit calls that fine."""
    code = 0
    for file in LOCKS:
        _say(f"pip-audit -r {file}")
        command = [str(PYTHON.parent / "pip-audit"), *AUDIT, "-r", file]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            told = json.loads(done.stdout)["dependencies"]
        except (ValueError, KeyError):
            told = []
        if not told or all("skip_reason" in each for each in told):
            print("nobody here tells of vulnerabilities: run it where PyPI is reached")
            return code or NOT_RUN
        for each in told:
            for found in each.get("vulns", ()):
                print(f"{each['name']} {each['version']}: {found['id']}")
                code = 1
    return code


def _with_go() -> dict[str, int]:
    """Reads the workflows, the manifests for Kubernetes and the plugin's, where there is Go to
    build the tools with, and kubectl."""
    there = {name: _built(name) for name in GO_TOOLS}
    workflows = map(str, Path(".github/workflows").glob("*.yml"))
    found = {"actionlint": _run("actionlint", *workflows) if there.pop("actionlint") else NOT_RUN}
    able = all(there.values()) and shutil.which("kubectl")
    judged = _run("python", "-m", "tests.deploy.manifests") if able else NOT_RUN
    return {**found, "kubeconform, validate-krew-manifest": judged}


def _built(name: str) -> bool:
    """Whether a tool in Go is in .venv, or could be built there."""
    if (PYTHON.parent / name).exists():
        return True
    if not shutil.which("go"):
        return False
    _say(f"go install {GO_TOOLS[name]}")
    told = {**os.environ, "GOBIN": str(PYTHON.parent.resolve())}
    return not subprocess.run(["go", "install", GO_TOOLS[name]], env=told, check=False).returncode


def _install() -> bool:
    """Brings .venv to what requirements.lock and pyproject.toml say, if it is not there yet.

    A link in its place is somebody else's environment, and used as it is.
    """
    if VENV.is_symlink():
        return True
    if not PYTHON.exists():
        _say(f"making .venv with Python {sys.version.split()[0]}")
        if not _make_venv():
            return False
    wanted = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return True
    for what in (("--require-hashes", "-r", str(LOCK)), ("--no-build-isolation", "-e", ".")):
        # Most of what is installed is never imported, and compiled when it is.
        quickly = ("--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check")
        if _run("pip", "install", *quickly, *what):
            return False
    STAMP.write_text(wanted)
    return True


def _make_venv() -> bool:
    """A virtual environment with pip in it, also where the system's Python came without ensurepip,
    as Debian's does."""
    if subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False).returncode == 0:
        return True
    bare = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)]
    pip = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "pip"]
    return all(subprocess.run(command, check=False).returncode == 0 for command in (bare, pip))


def _missing() -> list[str]:
    """What the tests on real servers still lack, after installing what can be installed."""
    absent = _absent()
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if absent and root and shutil.which("apt-get"):
        # In runlevel 1 Debian starts no service that it installs.
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        packages = list(dict.fromkeys(absent.values()))
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            _say(f"apt-get {' '.join(command)}")
            subprocess.run(["apt-get", "-qq", *command], env=environment, check=False)
        absent = _absent()
    lacking = [f"{need} (Debian: {package})" for need, package in absent.items()]
    if not root:
        lacking.append("root, for network namespaces")
    if lacking:
        _say(f"the tests on real servers lack {', '.join(lacking)}")
    return lacking


def _absent() -> dict[str, str]:
    """What of it this machine has not → the Debian package."""
    code = "import json; from tests.lab import needs; "
    code += "print(json.dumps({need: needs.DEBIAN[need] for need in needs.absent(*needs.DEBIAN)}))"
    found: dict[str, str] = json.loads(subprocess.check_output([PYTHON, "-c", code]))
    return found


def _rewrite(arguments: list[str]) -> int:
    """Everything derived, from the code as it is now. What changed is to be read in the diff."""
    pages = _run("python", "-m", "tests.derived")
    rewrite = ("pytest", "--quiet", "--snapshot-update")
    goldens = _run(*rewrite, *arguments) if arguments else 0
    return (
        pages or goldens or _run(*rewrite, "tests/report/render")
    )  # the lab's through every output


def _newer_python(arguments: list[str]) -> int:
    """Starts again with a newer Python, where one is on the PATH."""
    for name in ("python3.14", "python3.13", "python3.12", "python3.11"):
        if shutil.which(name):
            return subprocess.run([name, __file__, *arguments], check=False).returncode
    _say(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    return 1


def _run(tool: str, *arguments: str) -> int:
    """One tool of .venv, its output as it comes; the exit code."""
    _say(" ".join((tool, *arguments)))
    return subprocess.run([PYTHON.parent / tool, *arguments], check=False).returncode


def _say(line: str) -> None:
    print(f"\n== {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Every command that the README, two pages and --help show runs as it stands, once installed.

The virtual environment is new, and made by the README's own lines. Names of example.com stand for
brokers of the test on loopback, whose address takes their place; files have the names that the
pages give them. A line whose comment says that it needs something is parsed, and not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kdiag.cli.exits import EXAMPLES
from kdiag.walk.areas import EXIT_CODES
from tests.derived import ROOT
from tests.lab.needs import require
from tests.running import Brokers, environment
from tests.test_docs import parsed

PAGES = ("README.md", "docs/quickstart.md", "docs/usage.md")
INSTALL = "python3 -m venv"  # begins the block that installs kdiag
ITSELF = "python3 tests"  # what runs this test
LONG = 120.0  # seconds, for a machine that is busy
FILES = {
    "client.properties": "bootstrap.servers=broker.example.com:9094\nclient.id=orders\n",
    "kdiag.toml": '[targets.prod]\nbootstrap = "broker.example.com:9094"\n',
    "client.log": "[Producer clientId=p] Connection to node 1 (/10.0.1.11:9094) could not be "
    "established. Node may not be available. (org.apache.kafka.clients.NetworkClient)\n",
    "server.properties": "node.id=1\nprocess.roles=broker\n"
    "listeners=PLAINTEXT://:9092\nadvertised.listeners=PLAINTEXT://0.0.0.0:9092\n",
    "docker-compose.yml": "services:\n  kafka:\n    image: apache/kafka:4.1.0\n"
    "    ports: ['9092:9092']\n",
    "kafka.yaml": (
        "apiVersion: kafka.strimzi.io/v1\nkind: Kafka\nmetadata:\n  name: my-cluster\n"
        "spec:\n  kafka:\n    listeners:\n      - name: external\n        port: 9094\n"
        "        type: nodeport\n        tls: false\n"
    ),
}

_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DERIVED = re.compile(r"<!-- derived: .*?<!-- end -->", re.DOTALL)
_HOST = re.compile(r"broker(?:-[0-9])?\.example\.com(:9094)?")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a POSIX shell, and Linux's demo")


def shown(page: str) -> tuple[list[list[str]], list[str]]:
    """The commands of each block of a page, and its programs in Python; what is derived was run
    when it was written."""
    found = _BLOCK.findall(_DERIVED.sub("", (ROOT / page).read_text("utf-8")))
    blocks = [
        re.findall(r"^\$ (.+)$", text, re.MULTILINE) for kind, text in found if kind == "console"
    ]
    return blocks, [text for kind, text in found if kind == "python"]


def lines() -> list[str]:
    """Every command line once: the pages' and the examples' of --help."""
    pages = [line for page in PAGES for block in shown(page)[0] for line in block]
    examples = [line for each in EXAMPLES.values() for line in each]
    installing = [line for page in PAGES for line in installation(page)]
    every = [x if needs(x) else re.sub(r"\s+# .*", "", x) for x in (*pages, *examples)]
    return [x for x in dict.fromkeys(every) if x not in (*installing, ITSELF)]


def installation(page: str) -> list[str]:
    """The lines of a page that install kdiag."""
    return next((block for block in shown(page)[0] if block[0].startswith(INSTALL)), [])


def needs(line: str) -> bool:
    """Whether a line says that it needs what is not everywhere."""
    stays = line.startswith("kdiag serve")  # until a signal ends it: tests/serve
    no_jq = "| jq" in line and not shutil.which("jq")
    return stays or no_jq or bool(re.search(r" # .*\bneeds\b", line))


@pytest.fixture(scope="module")
def brokers() -> Iterator[Brokers]:
    made = Brokers()
    made.start()
    try:
        made.three().cluster.topics["orders"] = [1, 2, 3]
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, str]]:
    """The folder in which the README's lines installed kdiag, and the variables of a shell there.

    Libraries come from where the tests run: pip asks no index.
    """
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    leave = shutil.ignore_patterns("__pycache__")
    for name in ("kdiag", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    libraries = os.pathsep.join(each for each in sys.path if "site-packages" in each)
    given = environment(
        PATH=path, PYTHONPATH=libraries, HOME=str(folder), PIP_NO_INDEX="1",
        PIP_NO_BUILD_ISOLATION="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONDONTWRITEBYTECODE="1",
    )  # fmt: skip
    script = "\n".join(["set -e", *installation("README.md"), "command -v kdiag"])
    done = bash(script, folder, given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(folder / ".venv/bin/kdiag")
    assert "KD301 private-address" in done.stdout
    path = os.pathsep.join([str(folder / ".venv/bin"), path])
    return folder, {**given, "PATH": path}


def bash(
    script: str, folder: Path, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=variables, capture_output=True, text=True,
        timeout=LONG, check=False,
    )  # fmt: skip


def local(text: str, brokers: Brokers) -> str:
    """A text with the address of the test's broker in the place of those of example.com."""
    host = brokers.bootstrap.partition(":")[0]
    return _HOST.sub(lambda match: brokers.bootstrap if match[1] else host, text)


@pytest.mark.timeout(2 * LONG)
def test_every_command_runs_as_it_stands(
    installed: tuple[Path, Mapping[str, str]], brokers: Brokers, tmp_path: Path
) -> None:
    """Each ends with an exit code of a report; one that checks a cluster that works, with 0."""
    _, variables = installed
    for name, text in FILES.items():
        (tmp_path / name).write_text(local(text, brokers))
    saved = f"kdiag check {brokers.bootstrap} -o json={{}}.json"
    made = " && ".join(saved.format(name) for name in ("report", "pod", "laptop"))
    made += " && mkdir reports && cp pod.json laptop.json reports"
    assert bash(made, tmp_path, variables).returncode == 0
    for line in filter(needs, lines()):
        parsed(line.partition("#")[0].partition("|")[0])
    run = [line for line in lines() if not needs(line)]
    assert len(run) > 30

    def ran(line: str) -> subprocess.CompletedProcess[str]:
        return bash(f"set -o pipefail; {local(line, brokers)}", tmp_path, variables)

    with ThreadPoolExecutor(3) as pool:  # much of the time they wait
        ended = list(pool.map(ran, run))
    for line, done in zip(run, ended, strict=True):
        assert done.returncode in (0, *EXIT_CODES.values()), (line, done.stderr, done.stdout)
        if line.startswith("kdiag check") and "--config" not in line:
            assert done.returncode == 0, (line, done.stdout)
    assert {"kdiag.html", "kdiag.prom"} <= {path.name for path in tmp_path.iterdir()}


def test_kubectl_finds_the_plugin(installed: tuple[Path, Mapping[str, str]]) -> None:
    """kubectl runs what is called kubectl-kdiag on the PATH, and hands all arguments over."""
    require("kubectl")
    folder, variables = installed
    listed = bash("kubectl plugin list", folder, variables)
    assert f"{folder}/.venv/bin/kubectl-kdiag\n" in listed.stdout
    shown = bash("kubectl kdiag check --help", folder, variables)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("Usage: kubectl kdiag check [OPTIONS]")
    refused = bash("kubectl kdiag check 127.0.0.1:1 -q", folder, variables)
    assert (refused.returncode, "KD103" in refused.stdout) == (10, True)


def test_programs_run_as_they_stand(
    installed: tuple[Path, Mapping[str, str]], brokers: Brokers, tmp_path: Path
) -> None:
    _, variables = installed
    programs = [text for page in PAGES for text in shown(page)[1]]
    assert len(programs) == 3
    for text in programs:
        program = local(text, brokers).replace("topic=None", "topic='orders'")
        done = bash(f"python - <<'END'\n{program}\nEND", tmp_path, variables)
        assert done.returncode == 0, done.stderr


def test_the_man_page_is_installed(installed: tuple[Path, Mapping[str, str]]) -> None:
    """`man kdiag` finds it where the command is on the PATH; groff has nothing to say of it."""
    folder, variables = installed
    page = folder / ".venv/share/man/man1/kdiag.1"
    assert page.read_bytes() == (ROOT / "docs/kdiag.1").read_bytes()
    require("groff")
    done = bash(f"groff -man -Tutf8 -ww -rLL=80n {page}", folder, variables)
    assert (done.returncode, done.stderr) == (0, "")
    text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
    for words in (
        "kdiag check [OPTIONS]",
        "--bootstrap-server",
        "EXIT STATUS",
        "certificate-days>=30",
    ):
        assert words in text
    for example in EXAMPLES["explain"]:
        assert example in text


def test_a_page_installs_as_the_readme_does() -> None:
    assert installation("docs/quickstart.md") == installation("README.md") != []


def test_a_line_that_would_fail_is_found() -> None:
    assert needs("kdiag check b:1 --from ssh://bastion  # needs ssh")
    assert not needs("kdiag explain KD301  # what it means")
    assert "kdiag check @prod --wait 2m --expect brokers=3" in lines()
    assert not [line for line in lines() if line.startswith(("pip", "python3"))]

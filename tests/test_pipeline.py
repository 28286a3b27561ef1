"""A pipeline in miniature: the recipes of docs/ci.md, run as a runner runs them."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import junitparser
import pytest
import yaml

from kdiag.demo.broker import SILENCE
from tests import peers
from tests.running import ENOUGH, ROOT, Brokers, environment

PAGE = ROOT / "docs/ci.md"
ACTION = ROOT / ".github/actions/check/action.yml"
TRIED = re.compile(r"<!-- tried: (\w+) -->\n```\w+\n(.*?)```", re.DOTALL)
RECIPES = dict(TRIED.findall(PAGE.read_text("utf-8")))
TOOLS = Path(sys.executable).parent

# A Python whose resolver is broken, for a failure of kdiag's own.
BROKEN = """
import socket

def getaddrinfo(*_, **__):
    raise ZeroDivisionError

socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a job runs; kdiag is a command in it."""
    script = tmp_path / "bin" / "kdiag"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m kdiag "$@"\n')
    script.chmod(0o755)
    (tmp_path / "job").mkdir()
    return tmp_path / "job"


def given(folder: Path, **more: str) -> Mapping[str, str]:
    path = f"{folder.parent / 'bin'}:{os.environ['PATH']}"
    return environment(PATH=path, TERM="dumb", CI="true", **more)


def ran(
    script: str, folder: Path, shell: Sequence[str] = ("sh",), **more: str
) -> subprocess.CompletedProcess[str]:
    """A script as a runner runs it: from a file, without a terminal, in its folder."""
    file = folder.parent / "script"
    file.write_text(script)
    return subprocess.run(
        [*shell, str(file)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        env=given(folder, **more),
        timeout=ENOUGH,
    )


def kept(folder: Path) -> dict[str, Any]:
    """The reports of a job: both are whole, and tell the same."""
    assert sorted(path.name for path in (folder / "reports").iterdir()) == [
        "kdiag.json",
        "kdiag.xml",
    ]
    told: dict[str, Any] = json.loads((folder / "reports/kdiag.json").read_bytes())
    suites = junitparser.JUnitXml.fromstring((folder / "reports/kdiag.xml").read_bytes())
    assert (suites.failures + suites.errors > 0) is (told["exit_code"] != 0)
    return told


JOB = RECIPES["job"].replace(" --wait 60", "")


@pytest.mark.parametrize("shell", [("sh",), ("bash", "-eo", "pipefail")], ids=["sh", "bash"])
def test_a_job_passes(brokers: Brokers, folder: Path, shell: Sequence[str]) -> None:
    done = ran(RECIPES["job"], folder, shell, KAFKA=brokers.three().bootstrap)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nready: deploying\n")
    assert kept(folder)["verdict"] == "pass"


def test_a_job_with_warnings_goes_on(brokers: Brokers, folder: Path) -> None:
    dead = f"127.0.0.1:{brokers.serve(peers.hangs_up_when_asked)}"
    target = f"{brokers.three().bootstrap},{dead}"
    done = ran(JOB, folder, KAFKA=target)
    assert done.returncode == 0
    assert "ready" in done.stdout
    assert kept(folder)["verdict"] == "warn"
    strict = ran(JOB, folder, KAFKA=target, KDIAG_FAIL_ON="warning")
    assert strict.returncode == 10
    assert "ready" not in strict.stdout


FAILING = {
    "a hop": ({}, 10, "KD103"),
    "an expectation": ({"KDIAG_EXPECT": "brokers=4"}, 70, "KD701"),
}


@pytest.mark.parametrize(("more", "code", "cause"), FAILING.values(), ids=FAILING)
def test_a_job_that_fails_stops(
    brokers: Brokers, folder: Path, more: dict[str, str], code: int, cause: str
) -> None:
    target = brokers.three().bootstrap if more else "127.0.0.1:1"
    done = ran(JOB, folder, KAFKA=target, **more)
    assert done.returncode == code
    assert "ready" not in done.stdout
    told = kept(folder)
    assert (told["exit_code"], told["root_cause"]) == (code, cause)


def test_a_failure_of_the_tool_itself(folder: Path) -> None:
    (folder.parent / "broken").mkdir()
    (folder.parent / "broken" / "sitecustomize.py").write_text(BROKEN)
    path = f"{folder.parent / 'broken'}:{ROOT}"
    done = ran(JOB, folder, KAFKA="localhost:9092", PYTHONPATH=path)
    assert done.returncode == 1
    assert "ready" not in done.stdout
    assert kept(folder)["root_cause"] == "KD001"


def test_a_mistake_dials_nothing_and_leaves_no_report(brokers: Brokers, folder: Path) -> None:
    done = ran(JOB, folder, KAFKA=brokers.three().bootstrap, KDIAG_EXPECT="broker=3")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert list((folder / "reports").iterdir()) == []
    assert brokers.brokers[1].connections == 0


def test_a_deadline(brokers: Brokers, folder: Path) -> None:
    silent = f"127.0.0.1:{brokers.serve(peers.silent)}"
    done = ran(JOB, folder, KAFKA=silent, KDIAG_DEADLINE="0.5", KDIAG_TIMEOUT="60")
    assert done.returncode == 10
    told = kept(folder)
    assert (told["root_cause"], told["failing_hop"]) == ("KD002", "bootstrap")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_a_full_disk(brokers: Brokers, folder: Path) -> None:
    """Also on standard output: what was not said must not pass for a pass."""
    target = brokers.three().bootstrap
    file = ran(JOB.replace("reports/kdiag.xml", "/dev/full"), folder, KAFKA=target)
    assert (file.returncode, "ready" in file.stdout) == (2, False)
    assert file.stderr == "kdiag: cannot write /dev/full: No space left on device\n"
    assert json.loads((folder / "reports/kdiag.json").read_bytes())["verdict"] == "pass"
    out = ran('set -eu\nkdiag check "$KAFKA" > /dev/full\necho ready', folder, KAFKA=target)
    assert (out.returncode, "ready" in out.stdout) == (2, False)
    assert out.stderr == "kdiag: cannot write standard output: No space left on device\n"


def test_a_missing_folder(brokers: Brokers, folder: Path) -> None:
    script = JOB.replace("mkdir -p reports\n", "")
    done = ran(script, folder, KAFKA=brokers.three().bootstrap)
    assert done.returncode == 2
    assert done.stderr == "kdiag: cannot write reports/kdiag.xml: No such file or directory\n"
    assert list(folder.iterdir()) == []
    assert brokers.brokers[1].connections == 0


def test_a_reader_that_goes_away(brokers: Brokers, folder: Path) -> None:
    """The exit code stays that of the check, and the files are whole."""
    script = "set -o pipefail\n" + JOB.replace("kdiag.json\n", "kdiag.json | true\n")
    for target, code in ((brokers.three().bootstrap, 0), ("127.0.0.1:1", 10)):
        done = ran(script, folder, ("bash", "-e"), KAFKA=target)
        assert (done.returncode, done.stderr) == (code, "")
        assert kept(folder)["exit_code"] == code


def test_a_job_whose_time_is_up(brokers: Brokers, folder: Path) -> None:
    """`timeout` passes SIGTERM on: what is known is written, and nobody has to be killed."""
    brokers.three()
    came = threading.Event()

    def silent(_: object) -> object:
        came.set()
        return SILENCE

    brokers.brokers[3].control = silent
    (line,) = (line for line in JOB.splitlines() if line.startswith("kdiag"))
    (folder / "reports").mkdir()
    process = subprocess.Popen(
        ["timeout", "--preserve-status", "--kill-after", "300", "600", "sh", "-c", f"exec {line}"],
        cwd=folder,
        env=given(folder, KAFKA=brokers.bootstrap, KDIAG_TIMEOUT="600", KDIAG_DEADLINE="600"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert came.wait(ENOUGH)
        process.terminate()
        out, err = process.communicate(timeout=ENOUGH)
    finally:
        process.kill()
        process.wait(ENOUGH)
    assert (process.returncode, err) == (130, "")
    assert "√ bootstrap" in out
    told = kept(folder)
    assert (told["exit_code"], told["interrupted"]) == (130, True)


def test_a_container_that_is_stopped_while_it_waits(brokers: Brokers, folder: Path) -> None:
    """As process 1 of an initContainer: SIGTERM, and no shell between."""
    arguments = container("kubernetes", "Deployment")["args"]
    process = subprocess.Popen(
        ["kdiag", *in_place_of(arguments, "127.0.0.1:1")],
        executable=folder.parent / "bin" / "kdiag",
        cwd=folder,
        env=given(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert process.stderr
        assert process.stderr.readline() == "kdiag: waiting: bootstrap: KD103 refused\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=ENOUGH)
    finally:
        process.kill()
        process.wait(ENOUGH)
    assert (process.returncode, err) == (130, "")
    assert "× bootstrap" in out


# The recipes.


def container(recipe: str, kind: str) -> dict[str, Any]:
    """kdiag's container in a manifest."""
    for manifest in yaml.safe_load_all(RECIPES[recipe]):
        if manifest["kind"] == kind:
            pod = manifest["spec"]["template"]["spec"]
            found: dict[str, Any] = pod.get("initContainers", pod["containers"])[0]
            return found
    raise AssertionError(kind)


def in_place_of(arguments: Sequence[str], target: str) -> list[str]:
    """The arguments with this target where the recipe has its own."""
    told = [target if argument.endswith(":9092") else argument for argument in arguments]
    assert target in told
    return told


def judged(*command: str) -> None:
    """A judge of recipes is content."""
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", cwd=ROOT, env=environment(), timeout=ENOUGH
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("recipe", "schema"),
    [("github", "github-workflows"), ("gitlab", "gitlab-ci"), ("compose", "compose-spec")],
)
def test_a_recipe_is_valid(recipe: str, schema: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPES[recipe])
    judged(str(TOOLS / "check-jsonschema"), "--builtin-schema", f"vendor.{schema}", str(file))


def test_the_action_is_valid() -> None:
    judged(
        str(TOOLS / "check-jsonschema"), "--builtin-schema", "vendor.github-actions", str(ACTION)
    )


def test_the_manifests_are_valid(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPES["kubernetes"])
    judged(str(TOOLS / "kubernetes-validate"), "--strict", str(file))


def test_the_dockerfile_is_well_made() -> None:
    file = ROOT / "docs/deploy/Dockerfile"
    judged(str(TOOLS / "hadolint"), str(file))
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", file.read_text("utf-8"), re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert names
    assert all((ROOT / name).exists() for name in names)


def test_the_judges_can_say_no(tmp_path: Path) -> None:
    manifest = tmp_path / "bad.yaml"
    manifest.write_text(RECIPES["kubernetes"].replace("backoffLimit", "backofLimit"))
    workflow = tmp_path / "workflow.yaml"
    workflow.write_text(RECIPES["github"].replace("runs-on", "run-on"))
    for command in (
        (str(TOOLS / "kubernetes-validate"), "--strict", str(manifest)),
        (
            *(str(TOOLS / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows"),
            str(workflow),
        ),
    ):
        with pytest.raises(AssertionError):
            judged(*command)


def test_gitlabs_script(brokers: Brokers, folder: Path) -> None:
    job = yaml.safe_load(RECIPES["gitlab"])["kafka"]
    script = "\n".join(job["script"])
    for target, code in ((brokers.three().bootstrap, 0), ("127.0.0.1:1", 10)):
        more = {} if code == 0 else {"KDIAG_WAIT": "0"}
        text = script if code == 0 else script.replace("--wait 60 ", "")
        assert ran(text, folder, ("bash", "-eo", "pipefail"), KAFKA=target, **more).returncode == (
            code
        )
        for name in (*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]):
            assert (folder / name).stat().st_size > 100


def test_jenkins_shell(brokers: Brokers, folder: Path) -> None:
    script = re.findall(r"sh '(.+)'", RECIPES["jenkins"])
    assert len(script) == 1
    done = ran(script[0], folder, ("sh", "-xe"), KAFKA=brokers.three().bootstrap)
    assert done.returncode == 0
    names = re.findall(r"(?:junit|artifacts:) '([\w.]+)'", RECIPES["jenkins"])
    assert names == ["kdiag.xml", "kdiag.json"]
    assert all((folder / name).stat().st_size > 100 for name in names)


@pytest.mark.parametrize("kind", ["Job", "Deployment"])
def test_kubernetes_containers(brokers: Brokers, folder: Path, kind: str) -> None:
    arguments = in_place_of(container("kubernetes", kind)["args"], brokers.three().bootstrap)
    assert ran(f"kdiag {shlex.join(arguments)}", folder).returncode == 0


def test_composes_healthcheck(brokers: Brokers, folder: Path) -> None:
    test = yaml.safe_load(RECIPES["compose"])["services"]["kafka-ready"]["healthcheck"]["test"]
    assert test[0] == "CMD"
    for target, healthy in ((brokers.three().bootstrap, True), ("127.0.0.1:1", False)):
        done = ran(shlex.join(in_place_of(test[1:], target)), folder)
        assert (done.returncode == 0) is healthy


def test_the_pytest_example(brokers: Brokers, folder: Path) -> None:
    (folder / "test_kafka.py").write_text(RECIPES["pytest"])
    for target, outcome in ((brokers.three().bootstrap, "1 passed"), ("127.0.0.1:1", "1 failed")):
        done = ran(
            f"{sys.executable} -m pytest -q -p no:cacheprovider test_kafka.py", folder, KAFKA=target
        )
        assert outcome in done.stdout
    assert "AssertionError: fail at bootstrap: KD103 127.0.0.1:1 refuses" in done.stdout


# The action for GitHub.


def steps() -> dict[str, dict[str, Any]]:
    """The action's own steps, by name."""
    action = yaml.safe_load(ACTION.read_text("utf-8"))
    return {step["name"]: step for step in action["runs"]["steps"] if "run" in step}


def stepped(folder: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """The action's check, as GitHub's runner runs it; what it printed, and its outputs."""
    action = yaml.safe_load(ACTION.read_text("utf-8"))
    defaults = {name: str(one.get("default", "")) for name, one in action["inputs"].items()}
    assert inputs.keys() <= defaults.keys()
    told = {**defaults, **inputs}
    variables = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: told[m.group(1)], text)
        for name, text in steps()["Check"]["env"].items()
    }
    installed = folder / "temp" / "kdiag" / "bin" / "kdiag"
    installed.parent.mkdir(parents=True, exist_ok=True)
    installed.unlink(missing_ok=True)
    installed.symlink_to(folder.parent / "bin" / "kdiag")
    output = folder / "output"
    output.write_text("")
    done = ran(
        steps()["Check"]["run"],
        folder,
        ("bash", "--noprofile", "--norc", "-eo", "pipefail"),
        RUNNER_TEMP=str(folder / "temp"),
        GITHUB_OUTPUT=str(output),
        GITHUB_STEP_SUMMARY=str(folder / "summary.md"),
        **variables,
    )
    return done, dict(line.split("=", 1) for line in output.read_text().splitlines())


def test_the_action_passes(brokers: Brokers, folder: Path) -> None:
    done, outputs = stepped(folder, bootstrap=brokers.three().bootstrap, expect="brokers=3")
    assert (done.returncode, done.stderr) == (0, "")
    assert outputs["exit-code"] == "0"
    assert json.loads((Path(outputs["report"]) / "kdiag.json").read_bytes())["verdict"] == "pass"
    assert "kdiag: pass" in (folder / "summary.md").read_text("utf-8")


def test_the_action_fails_and_its_reports_are_kept(folder: Path) -> None:
    done, outputs = stepped(folder, bootstrap="127.0.0.1:1")
    assert done.returncode == 10
    assert done.stdout.startswith("::error title=KD103 refused::")
    assert outputs["exit-code"] == "10"
    assert "KD103" in (folder / "summary.md").read_text("utf-8")
    assert {path.suffix for path in Path(outputs["report"]).iterdir()} == {".html", ".json", ".xml"}


def test_an_input_is_never_a_command(folder: Path) -> None:
    done, outputs = stepped(folder, bootstrap='"; touch pwned; echo $(touch pwned) `touch pwned`')
    assert (done.returncode, outputs["exit-code"]) == (2, "2")
    assert not (folder / "pwned").exists()
    assert all("${{" not in step["run"] for step in steps().values())


def test_each_input_and_output_of_the_action_is_used() -> None:
    text = ACTION.read_text("utf-8")
    action = yaml.safe_load(text)
    assert all(re.search(rf"inputs\.{name}\b", text) for name in action["inputs"])
    printed = set(re.findall(r'echo "([\w-]+)=', steps()["Check"]["run"]))
    assert printed == set(action["outputs"])
    recipe = yaml.safe_load(RECIPES["github"])["jobs"]["gate"]["steps"][0]
    assert recipe["with"].keys() <= action["inputs"].keys()


def test_what_the_action_installs_is_this_project() -> None:
    source = steps()["Install kdiag"]["env"]["SOURCE"]
    path = Path(source.replace("${{ github.action_path }}", str(ACTION.parent)))
    assert (path / "pyproject.toml").resolve() == ROOT / "pyproject.toml"


def test_every_recipe_is_tried() -> None:
    tried = {"job", "github", "gitlab", "jenkins", "kubernetes", "compose", "pytest"}
    assert RECIPES.keys() == tried

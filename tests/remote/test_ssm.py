"""Run Command: a stand-in runs what it is sent, as AWS's agents do; and moto takes the calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kdiag.api import run_from
from kdiag.config.security import Sasl, Security, Tls
from kdiag.config.settings import Settings, settings
from kdiag.config.usage import UsageError
from kdiag.remote.probe import NARROW
from kdiag.remote.reply import RemoteWalk, remote_walk
from kdiag.remote.serialization import SerializationError
from kdiag.remote.ssm_client import MAX_SCRIPT
from kdiag.remote.ssm_client import RunCommand as Door
from kdiag.remote.vantage import parse_all, refuse_unsupported
from kdiag.report.model import Report
from tests.accounts import environment
from tests.accounts import running_account as moto
from tests.remote.runcommand import FLEET, RunCommand, served
from tests.walks import scrubbed

FLEET_OF_APPS = "ssm://tag:Role=app"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RunCommand]:
    with served() as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        monkeypatch.setenv("AWS_REGION", "eu-west-2")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        yield made


def walked(bootstrap: str, *places: str, **asked: object) -> dict[str, Report]:
    wanted = {"timeout": 2.0, "deadline": 20.0, **asked}
    return run_from(settings(bootstrap, **wanted), parse_all(places))  # type: ignore[arg-type]


def test_an_instance_ends_in_the_same_report(aws: RunCommand, healthy: str) -> None:
    reports = walked(healthy, "local", f"ssm://{FLEET[0]}")
    assert reports["local"].ok
    there = reports[f"ssm://{FLEET[0]}"]
    assert there.notes == [f"walked from ssm://{FLEET[0]}"]
    assert scrubbed(replace(there, notes=[])) == scrubbed(reports["local"])


def test_a_fleet_is_one_command_and_a_report_each(aws: RunCommand, healthy: str) -> None:
    reports = walked(healthy, FLEET_OF_APPS)
    assert list(reports) == [f"ssm://{one}" for one in FLEET]
    assert all(report.ok for report in reports.values())
    ((_, sent),) = [(call, told) for call, told in aws.asked if call == "SendCommand"]
    assert sent["Targets"] == [{"Key": "tag:Role", "Values": ["app"]}]
    assert (sent["MaxConcurrency"], sent["MaxErrors"]) == ("50", "100%")
    assert {call for call, _ in aws.asked} == {
        *("SendCommand", "ListCommandInvocations", "GetCommandInvocation"),
    }


def test_an_instance_that_fails_does_not_stop_the_others(
    aws: RunCommand, healthy: str, tmp_path: Path
) -> None:
    aws.environment[FLEET[1]] = {"PATH": str(tmp_path)}  # no Python there
    reports = walked(healthy, FLEET_OF_APPS)
    lost = reports[f"ssm://{FLEET[1]}"]
    assert lost.cause
    assert "there is no Python 3.9 or newer at the vantage point" in lost.cause.message
    assert [report.exit_code for report in reports.values()] == [0, 80, 0]


def test_an_instance_that_takes_no_command_is_said_and_the_command_cancelled(
    aws: RunCommand, healthy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdiag.remote.engine.SETTING_UP", 5.0)
    aws.never.add(FLEET[0])
    lost = walked(healthy, f"ssm://{FLEET[0]}", deadline=1.0)[f"ssm://{FLEET[0]}"]
    assert lost.cause
    assert "no answer within 6 s: it is Pending" in lost.cause.message
    assert aws.asked[-1][0] == "CancelCommand"


def test_what_aws_denies_is_said(aws: RunCommand, healthy: str) -> None:
    aws.denied = True
    reports = walked(healthy, FLEET_OF_APPS, "local")
    lost = reports[FLEET_OF_APPS]
    assert (lost.exit_code, lost.root_cause) == (80, "KD801")
    assert lost.cause
    assert "AWS does not run a command there" in lost.cause.message
    assert any("not allowed: SendCommand" in line for line in lost.cause.evidence)
    assert reports["local"].ok


def test_without_credentials_it_is_a_finding(
    healthy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    lost = walked(healthy, f"ssm://{FLEET[0]}")[f"ssm://{FLEET[0]}"]
    assert lost.cause
    assert any("credentials" in line for line in lost.cause.evidence)


def test_moto_takes_the_calls(
    healthy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As far as it knows them; it runs nothing."""
    script = remote_walk(settings(healthy)).script
    with moto() as account:
        for name, value in environment(account, tmp_path).items():
            monkeypatch.setenv(name, value)
        door = Door()
        command = door.send(script, 30, instance=FLEET[0])
        assert door.output(command, FLEET[0])[2] == ""
        assert door.send(script, 30, tag="Role", value="app") != command


# What fits.


def test_the_script_is_small_enough_for_a_document(healthy: str) -> None:
    servers = ",".join(f"broker-{n}.kafka.example.com:9094" for n in range(20))
    assert len(remote_walk(settings(servers, topic="orders")).script) < MAX_SCRIPT


def test_what_is_too_much_to_send_is_said(aws: RunCommand, healthy: str) -> None:
    asked = settings(healthy)
    large = asked._replace(security=Security(tls=Tls(ca="x" * 10_000)))
    (lost,) = run_from(large, parse_all([f"ssm://{FLEET[0]}"])).values()
    assert lost.cause
    assert "what has to be sent takes" in lost.cause.message
    assert aws.asked == []


def test_a_secret_is_not_sent() -> None:
    asked = Settings(settings("h:1").bootstrap, security=Security(sasl=Sasl("PLAIN", "u", "pass")))
    with pytest.raises(UsageError, match="no secret may be sent by ssm"):
        refuse_unsupported(asked, parse_all([FLEET_OF_APPS]))
    refuse_unsupported(asked, parse_all(["ssh://h"]))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("", "there is none in it"),
        ("mark", "there is none in it"),
        ("mark takes 31337\n", "it takes 31337 characters"),
        ("mark takes \x1b[2J\n", "it takes "),
        ("mark eJy\n", "it is incomplete or damaged"),
        ("mark !\n", "it is incomplete or damaged"),
        ("mark " + "A" * NARROW, "it is incomplete or damaged"),
    ],
)
def test_what_is_no_answer_is_refused(said: str, words: str) -> None:
    with pytest.raises(SerializationError, match=words):
        answer = RemoteWalk(settings("h:1"), "mark").narrow(said)
        RemoteWalk(settings("h:1"), "mark").gathered(answer)
        raise SerializationError("it is incomplete or damaged")


@pytest.mark.parametrize("text", [f"ssm://{FLEET[0]}", "ssm://mi-0123456789abcdef0", FLEET_OF_APPS])
def test_every_form_is_understood(text: str) -> None:
    assert parse_all([text])[0].scheme == "ssm"


@pytest.mark.parametrize(
    "text",
    ["ssm://", "ssm://i-xyz", "ssm://app", "ssm://tag:Role", "ssm://tag:=app", "ssm://tag:a="],
)
def test_what_is_no_instance_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_all([text])

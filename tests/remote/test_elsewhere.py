"""Walks from elsewhere, by stand-ins for the commands that lead there: they take the same command
lines as the real ones, and run what they are given on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from kdiag.api import run_from
from kdiag.config.settings import settings
from kdiag.demo.broker import SILENCE
from kdiag.demo.logins import Logins
from kdiag.kafka.login_notes import CUT_OFF, LOST
from kdiag.kafka.messages import SASL_AUTHENTICATE, Request
from kdiag.remote import k8s
from kdiag.remote.check import AT_ONCE, UNWRITTEN
from kdiag.remote.reply import remote_walk
from kdiag.remote.unreached import NotReached
from kdiag.remote.vantage import parse_all
from kdiag.report.model import Report
from tests.lab import needs
from tests.lab.processes import command_lines
from tests.remote.conftest import Ways
from tests.running import ENOUGH, Brokers, started
from tests.walks import scrubbed

ROOT = Path(__file__).parents[2]


def walked(bootstrap: str, *places: str, **asked: object) -> dict[str, Report]:
    """The reports by their labels."""
    wanted = {"timeout": 2.0, "deadline": 20.0, **asked}
    return run_from(settings(bootstrap, **wanted), parse_all(places))  # type: ignore[arg-type]


def test_every_engine_ends_in_the_same_report(ways: Ways, healthy: str) -> None:
    ways.pod("web-0", "web-1")
    reports = walked(
        healthy,
        "local",
        "ssh://bob@host:2222",
        "docker://app",
        "k8s://shop/web-0",
        "k8s://shop/a=b",
    )
    assert list(reports) == [
        *("local", "ssh://bob@host:2222", "docker://app", "k8s://shop/web-0", "k8s://shop/web-1"),
    ]
    here = scrubbed(reports["local"])
    assert here.ok
    assert len(here.hops) == 4
    for label, report in reports.items():
        noted = [] if label == "local" else [f"walked from {label}"]
        assert report.notes == noted
        assert scrubbed(replace(report, notes=[])) == here, label


def test_there_is_one_connection_for_each_place(ways: Ways, healthy: str) -> None:
    ways.pod("web-0")
    walked(healthy, "ssh://one", "ssh://two", "docker://app", "k8s://shop/web-0")
    assert sorted(line.split()[0] for line in ways.called) == ["docker", "kubectl", "ssh", "ssh"]


def test_what_a_login_prints_is_in_nobodys_way(ways: Ways, healthy: str) -> None:
    assert walked(healthy, "ssh://chatty")["ssh://chatty"].ok


def test_no_secret_is_on_a_command_line(ways: Ways, healthy: str) -> None:
    properties = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "alice",
        "sasl.password": "alice-secret",
    }
    ways.pod("web-0")
    places = ("ssh://host", "docker://app", "k8s://shop/web-0")
    reports = walked(healthy, *places, properties=properties)
    assert {report.root_cause for report in reports.values()} == {"KD118"}
    assert "alice" not in "".join(ways.called)


def test_with_a_topic_it_says_that_no_record_is_written(ways: Ways, healthy: str) -> None:
    reports = walked(healthy, "ssh://host", topic="orders")
    assert UNWRITTEN in reports["ssh://host"].notes
    _, text = said(healthy, "--from", "ssh://host", "--topic", "orders")
    assert f"kdiag: note: ssh://host: {UNWRITTEN}" in text


def login(password: str) -> dict[str, str]:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "alice",
        "sasl.password": password,
    }


def unanswered_logins(
    brokers: Brokers, meanwhile: Callable[[], None] = lambda: None
) -> list[Request]:
    """Has no broker answer a login. The list gets each request, and `meanwhile` is called then."""
    asked: list[Request] = []

    def silent(request: Request) -> object:
        if request.api is not SASL_AUTHENTICATE:
            return None
        asked.append(request)
        meanwhile()
        return SILENCE

    for broker in brokers.brokers.values():
        broker.control = silent
    return asked


def test_a_wrong_password_is_tried_from_one_place_alone(ways: Ways, brokers: Brokers) -> None:
    logins = Logins({"alice": "alice-secret"})
    target = brokers.three(sasl=logins).bootstrap
    places = ("ssh://down", *(f"ssh://host{n}" for n in range(6)))
    reports = walked(target, *places, properties=login("wrong-password"))
    # Two went at once, since none had come that far.
    assert logins.attempts["alice"] <= 2
    assert list(reports) == list(places)
    lost, *others = reports.values()
    assert lost.root_cause == "KD801"
    assert LOST not in lost.notes, "no login was sent there"
    assert {(report.root_cause, report.exit_code) for report in others} == {("KD120", 10)}
    assert others[-1].cause
    assert "not tried from here, after ssh://host" in others[-1].cause.evidence[0]
    assert [hop.status for hop in others[-1].hops][1:4] == ["skipped"] * 3


def test_no_answer_to_a_login_is_not_asked_for_from_everywhere(
    ways: Ways, brokers: Brokers
) -> None:
    target = brokers.three(sasl=Logins({"alice": "alice-secret"})).bootstrap
    asked = unanswered_logins(brokers)
    places = [f"ssh://host{n}" for n in range(4)]
    asking = {"timeout": 1.0, "answer_timeout": 1.0}
    reports = walked(target, *places, properties=login("alice-secret"), **asking)
    assert len(asked) == 1
    assert {report.root_cause for report in reports.values()} == {"KD107"}


@pytest.mark.parametrize("first", ["local", "ssh://host0"])
def test_a_login_that_the_deadline_cut_off_is_not_tried_from_everywhere(
    ways: Ways, brokers: Brokers, first: str
) -> None:
    """The walk that it was part of leaves no facts of hop 1. Each word of the note on it may be a
    password: it is known by it all the same."""
    properties = login("counted")
    target = brokers.three(sasl=Logins({"alice": "counted"})).bootstrap
    asked = unanswered_logins(brokers)
    places = [first, *(f"ssh://host{n}" for n in range(1, 4))]
    asking = {"timeout": 1.0, "answer_timeout": 600.0, "deadline": 4.0}
    cut, *others = walked(target, *places, properties=properties, **asking).values()
    assert len(asked) == 1
    assert (cut.root_cause, cut.bootstrap) == ("KD002", [])
    assert CUT_OFF in cut.notes
    for report in others:
        assert report.cause
        assert f"not tried from here, after {first}" in report.cause.evidence[0]


def _far_pythons(ways: Ways) -> Iterator[int]:
    """The processes that walk for the vantage points of this test, by what their stand-in has."""
    mine = f"STANDIN_LOG={ways.folder}/log".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            walks = b"-IS" in (process / "cmdline").read_bytes().split(b"\0")
            if walks and mine in (process / "environ").read_bytes().split(b"\0"):
                yield int(process.name)


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
def test_a_vantage_point_that_is_lost_during_a_login_may_have_had_it_counted(
    ways: Ways, brokers: Brokers
) -> None:
    """The far side is killed as soon as a broker has the login: nobody tries it again."""

    def kill() -> None:
        for far in _far_pythons(ways):
            os.kill(far, signal.SIGKILL)

    target = brokers.three(sasl=Logins({"alice": "alice-secret"})).bootstrap
    asked = unanswered_logins(brokers, kill)
    places = [f"ssh://host{n}" for n in range(4)]
    lost, *others = walked(target, *places, properties=login("alice-secret")).values()
    assert len(asked) == 1
    assert lost.root_cause == "KD801"
    assert LOST in lost.notes
    for report in others:
        assert report.cause
        assert "not tried from here, after ssh://host0" in report.cause.evidence[0]


def test_a_far_machine_without_an_aws_region_dials_nothing(
    ways: Ways, brokers: Brokers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    target = brokers.three(sasl=Logins({"alice": "alice-secret"})).bootstrap
    properties = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "AWS_MSK_IAM"}
    report = walked(target, "ssh://host", properties=properties)["ssh://host"]
    assert report.root_cause == "KD801"
    assert report.cause
    assert "no AWS region" in report.cause.message, report.cause.evidence
    assert "refused" not in report.cause.message
    assert "AWS_REGION" in report.cause.remedies[0].summary
    assert sum(broker.connections for broker in brokers.brokers.values()) == 0


def test_a_right_password_opens_the_way_for_all(ways: Ways, brokers: Brokers) -> None:
    target = brokers.three(sasl=Logins({"alice": "alice-secret"})).bootstrap
    places = [f"ssh://host{n}" for n in range(4)]
    reports = walked(target, *places, properties=login("alice-secret"))
    assert list(reports) == places
    assert all(report.ok for report in reports.values())


# Places that cannot be reached.


@pytest.mark.parametrize(
    ("place", "message", "evidence"),
    [
        ("ssh://down", "ssh ended with 255 and without an answer", "Connection refused"),
        ("ssh://unknown", "ssh ended with 255", "Host key verification failed."),
        ("ssh://bare", "there is no Python 3.9 or newer at the vantage point", None),
        ("docker://gone", "docker ended with 1", "No such container: gone"),
        ("docker://bare", "there is no Python 3.9 or newer at the vantage point", None),
        ("docker://empty", "docker ended with 127", "executable file not found"),
        ("k8s://shop/gone", "kubectl ended with 1", "not found"),
        ("k8s://shop/app=odd", "kubectl lists what is no name of a pod", None),
        ("k8s://shop/app=none", "no pod in shop runs that has app=none", None),
        ("k8s://shop/app=denied", "kubectl cannot list its pods", "Forbidden"),
        ("ssh://babbles", "the reply is not an answer", None),
        ("ssh://lies", "ssh ended with 0 and without an answer", None),
    ],
)
def test_a_place_that_cannot_be_reached_is_a_finding_of_its_own(
    ways: Ways, healthy: str, place: str, message: str, evidence: str | None
) -> None:
    reports = walked(healthy, place, "local")
    lost = reports[place]
    assert (lost.exit_code, lost.failing_hop, lost.root_cause) == (80, "vantage", "KD801")
    assert lost.cause
    assert message in lost.cause.message
    assert lost.cause.subjects == [f"vantage {place}"]
    assert not evidence or any(evidence in line for line in lost.cause.evidence)
    assert {hop.status for hop in lost.hops if hop.hop != "vantage"} == {"skipped"}
    assert reports["local"].ok


def test_a_command_that_is_not_here_is_said(
    healthy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    lost = walked(healthy, "docker://app")["docker://app"]
    assert lost.cause
    assert "there is no docker on this machine" in lost.cause.message


def test_a_place_that_hangs_is_given_up(
    ways: Ways, healthy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdiag.remote.engine.SETTING_UP", 1.0)
    lost = walked(healthy, "ssh://hangs", deadline=1.0)["ssh://hangs"]
    assert lost.cause
    assert "no answer within 2 s" in lost.cause.message
    _until(lambda: _running("sleep 300") == [])  # another test may have one of its own for a while


# Pods without Python.


def test_a_pod_without_python_is_stood_in_for(ways: Ways, healthy: str) -> None:
    ways.pod("bare-0")
    report = walked(healthy, "k8s://shop/bare-0")["k8s://shop/bare-0"]
    assert report.ok
    assert any("k8s://shop/bare-0 has no Python" in note for note in report.notes)
    verbs = [line.split()[1] for line in ways.called]
    assert verbs == ["exec", "run", "wait", "exec", "delete"]
    assert ways.pods == ["bare-0"]
    run = next(line for line in ways.called if line.startswith("kubectl run"))
    assert '"activeDeadlineSeconds": ' in run


@pytest.mark.parametrize("variable", ["NO_PODS", "NEVER_READY"])
def test_a_pod_that_nothing_can_stand_in_for_is_said(
    ways: Ways, healthy: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    ways.pod("bare-0")
    lost = walked(healthy, "k8s://shop/bare-0")["k8s://shop/bare-0"]
    assert lost.cause
    assert "no pod of python:3.13-alpine can replace it" in lost.cause.message
    assert ways.pods == ["bare-0"]


@pytest.mark.parametrize("place", ["k8s://shop/web-0/app", "k8s://shop/app=web"])
def test_the_real_kubectl_takes_these_command_lines(
    healthy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    """As far as it gets without a cluster."""
    needs.require("kubectl")
    config = tmp_path / "config"
    config.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(config))
    (lost,) = walked(healthy, place).values()
    assert lost.cause
    said = " ".join(lost.cause.evidence)
    assert "127.0.0.1:1" in said
    assert "refused" in said
    assert "unknown" not in said


def test_the_real_kubectl_takes_those_for_a_pod_of_our_own(
    healthy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needs.require("kubectl")
    config = tmp_path / "config"
    config.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(config))
    asking = remote_walk(settings(healthy))
    with pytest.raises(NotReached) as refused:
        asyncio.run(k8s.in_new_pod("shop", asking, 5.0))
    said = " ".join(refused.value.evidence)
    assert "127.0.0.1:1" in said
    assert "unknown" not in said


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
"""


# Many at once.


def test_many_places_are_walked_from_at_once(
    ways: Ways, healthy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each waits until all have begun: one behind the other, none would get further."""
    many = 16
    met = tmp_path / "met"
    met.mkdir()
    monkeypatch.setenv("STANDIN_MET", str(met))
    monkeypatch.setenv("STANDIN_ALL", str(many))
    monkeypatch.setattr("kdiag.remote.engine.SETTING_UP", 45.0)
    reports = walked(healthy, *(f"ssh://meets{n}" for n in range(many)))
    assert {report.exit_code for report in reports.values()} == {0}
    assert AT_ONCE >= 50


# Interrupted.


def _running(words: str) -> list[str]:
    return [line for line in command_lines() if line.endswith(words)]


def _until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 40
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_every_way_and_tells_what_is_known(
    ways: Ways, healthy: str, number: signal.Signals
) -> None:
    ways.pod("bare-0")
    command = [sys.executable, "-m", "kdiag", "check", healthy, "-o", "json"]
    places = ["--from", "local", "--from", "ssh://hangs7", "--from", "k8s://shop/bare-0"]
    with subprocess.Popen(
        [*command, *places], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            _until(lambda: any("ssh" in line for line in ways.called))
            _until(lambda: any("delete" in line for line in ways.called))
            process.send_signal(number)
            assert process.stdout
            said = json.loads(process.stdout.read())
            assert process.wait(30) == 130
        finally:
            process.kill()
    reports = said["reports"]
    assert reports["local"]["exit_code"] == 0
    assert reports["ssh://hangs7"]["interrupted"]
    assert ways.pods == ["bare-0"]


def test_a_pod_of_our_own_is_deleted_also_when_interrupted(
    ways: Ways, healthy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("READY_AFTER", "30")
    ways.pod("bare-0")
    command = [sys.executable, "-m", "kdiag", "check", healthy, "--from", "k8s://shop/bare-0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            _until(lambda: any("wait" in line.split()[1:2] for line in ways.called))
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
    assert ways.pods == ["bare-0"]


# The command line.


def said(*arguments: str) -> tuple[int, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "kdiag", "check", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "nowhere"), "--from …: write local, ssh://"),
        (("h:1", "--from", "local"), "--from checks one target"),
        (("--from", "local", "--wait", "1"), "--from checks one target"),
        (("--from", "local", "--aws"), "--aws asks about the path from this machine"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_dialled(
    ways: Ways, arguments: tuple[str, ...], words: str
) -> None:
    code, words_said = said("127.0.0.1:1", *arguments)
    assert code == 2
    assert words in words_said
    assert ways.called == []


def test_one_place_is_one_report_and_several_are_one_answer(ways: Ways, healthy: str) -> None:
    code, text = said(healthy, "--from", "ssh://host")
    assert code == 0
    assert text.count("PASS") == 1
    code, text = said(healthy, "--from", "ssh://host", "--from", "ssh://down")
    assert code == 80
    assert "It works from ssh://host; ssh://down could not be reached." in text
    assert "KD801" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_large_answer_is_being_read(ways: Ways, number: signal.Signals) -> None:
    """The first one ends it, and what is known is printed."""
    with started("check", "127.0.0.1:1", "--from", "ssh://drips", "--deadline", "600") as process:
        for _ in range(1000):
            if "drips" in ways.called:
                break
            threading.Event().wait(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=ENOUGH)
    assert "drips" in ways.called
    assert (process.returncode, err) == (130, "")
    assert "interrupted" in out

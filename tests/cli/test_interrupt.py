"""Ctrl-C at various moments, and readers that go away: real processes, real signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdiag.cli import watching
from kdiag.demo.broker import SILENCE, FakeNode
from kdiag.kafka.messages import METADATA, PRODUCE, Request
from tests import peers
from tests.running import ENOUGH, ROOT, Brokers, command, environment, kdiag, started

PATIENT = ("--timeout", "600", "--deadline", "600")


class Met:
    """Says when the process under test has come to a certain request."""

    def __init__(self, when: Callable[[Request], bool]) -> None:
        self._when, self._event = when, threading.Event()

    def __call__(self, request: Request) -> object:
        if self._when(request):
            self._event.set()
            return SILENCE
        return None

    def wait(self) -> None:
        assert self._event.wait(ENOUGH), "the process never came that far"


def interrupted(process: subprocess.Popen[str]) -> str:
    """Sends what Ctrl-C sends; gives what the process printed before it ended, in time."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=ENOUGH)
    assert process.returncode == 130, (out, err)
    assert err.strip() == "", "no traceback, no complaint about threads or tasks"
    return out


def test_while_the_bootstrap_server_is_silent(brokers: Brokers) -> None:
    met = Met(lambda request: True)
    brokers.three().brokers[1].control = met
    with started("check", brokers.bootstrap, *PATIENT) as process:
        met.wait()
        out = interrupted(process)
    assert "interrupted; the hops above are what is known · exit 130" in out
    assert "bootstrap" in out


def test_while_hop_3_waits(brokers: Brokers) -> None:
    brokers.three()
    met = Met(lambda request: True)
    brokers.brokers[3].control = met
    with started("check", brokers.bootstrap, *PATIENT) as process:
        met.wait()
        out = interrupted(process)
    assert "√ bootstrap" in out
    assert "3 brokers, cluster loopbackCluster0000001" in out
    assert "interrupted" in out


def test_while_hops_3_and_4_wait(brokers: Brokers) -> None:
    """Their requests share a flight, so either may be the one that is under way."""
    brokers.three()
    met = Met(lambda request: request.api is PRODUCE)
    brokers.brokers[2].control = met
    with started("check", brokers.bootstrap, *PATIENT) as process:
        met.wait()
        out = interrupted(process)
    assert "√ metadata" in out
    assert "3 brokers" in out
    assert "skipped: interrupted" in out


def test_while_the_real_client_waits_in_its_threads(brokers: Brokers) -> None:
    brokers.three().cluster.topics["orders"] = [1, 2, 3]
    met = Met(lambda r: r.api is PRODUCE and r.body["topics"][0]["name"] == "orders")
    brokers.brokers[2].control = met
    with started("check", brokers.bootstrap, "--topic", "orders", *PATIENT) as process:
        met.wait()
        out = interrupted(process)
    assert "√ listeners" in out


def test_while_the_metadata_is_waited_for(brokers: Brokers) -> None:
    met = Met(lambda request: request.api is METADATA)
    brokers.three().brokers[1].control = met
    with started("check", brokers.bootstrap, *PATIENT) as process:
        met.wait()
        assert "interrupted" in interrupted(process)


def test_while_kubectl_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl, called = tmp_path / "kubectl", tmp_path / "called"
    kubectl.write_text(f"#!/bin/sh\ntouch {called}\nsleep {2 * ENOUGH:.0f}\n")
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with started("check", "127.0.0.1:1", "--strimzi", "shop/kafka") as process:
        while process.poll() is None and not called.exists():
            time.sleep(0.01)
        interrupted(process)


def test_what_is_known_is_json_too_and_a_file_is_whole(brokers: Brokers, tmp_path: Path) -> None:
    brokers.three()
    met = Met(lambda request: True)
    brokers.brokers[3].control = met
    file = tmp_path / "report.json"
    asked = ("check", brokers.bootstrap, *PATIENT, "-o", "json", "-o", f"json={file}")
    with started(*asked) as process:
        met.wait()
        out = interrupted(process)
    for text in (out, file.read_text("utf-8")):
        report = json.loads(text)
        assert (report["exit_code"], report["interrupted"]) == (130, True)
        assert len(report["cluster"]["brokers"]) == 3
        assert report["hops"][0]["status"] == "pass"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_second_ctrl_c_changes_nothing_for_the_worse(brokers: Brokers) -> None:
    met = Met(lambda request: True)
    brokers.three().brokers[1].control = met
    with started("check", brokers.bootstrap, *PATIENT) as process:
        met.wait()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=ENOUGH)
    assert process.returncode == 130
    assert err.strip() == ""


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_at_any_moment_there_is_no_traceback_of_ours(brokers: Brokers, delay: float) -> None:
    """While Python itself is being loaded, its own traceback cannot be helped. While kdiag is, the
    signal ends it at once, which shells call 130 as well."""
    port = brokers.serve(peers.silent)
    with started("check", f"127.0.0.1:{port}", *PATIENT) as process:
        threading.Event().wait(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=ENOUGH)
    assert process.returncode in (130, -signal.SIGINT, 1)
    assert "failed itself" not in err
    assert "kdiag/cli/" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_that_ends_is_what_ctrl_c_is(
    brokers: Brokers, tmp_path: Path, number: signal.Signals
) -> None:
    """A job whose time is up gets SIGTERM, and SIGHUP comes when a terminal goes away: what is
    known is written."""
    brokers.three()
    met = Met(lambda request: True)
    brokers.brokers[3].control = met
    file = tmp_path / "report.json"
    before = signal.signal(number, signal.SIG_DFL)  # a shell has some ignored in the background
    with started("check", brokers.bootstrap, *PATIENT, "-o", f"json={file}") as process:
        signal.signal(number, before)
        met.wait()
        process.send_signal(number)
        out, err = process.communicate(timeout=ENOUGH)
    assert (process.returncode, err) == (130, "")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert "√ bootstrap" in out
    report = json.loads(file.read_text("utf-8"))
    assert (report["exit_code"], report["interrupted"]) == (130, True)


def test_nohup_keeps_a_check_alive(brokers: Brokers) -> None:
    """SIGHUP is ignored there, and stays so."""
    brokers.three()
    met = Met(lambda request: request.api is PRODUCE)
    brokers.brokers[2].control = met
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh",
         *command("check", brokers.bootstrap, "--timeout", "2", "-o", "json")],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8",
    )  # fmt: skip
    try:
        met.wait()
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=ENOUGH)
    finally:
        process.kill()
        process.wait(ENOUGH)
    assert json.loads(out)["interrupted"] is False


def test_sigterm_ends_what_ignores_ctrl_c(brokers: Brokers) -> None:
    """As a shell starts what it is to run in the background."""
    brokers.three()
    met = Met(lambda request: True)
    brokers.brokers[3].control = met
    ignore = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    process = subprocess.Popen(
        [*ignore, *command("check", brokers.bootstrap, *PATIENT)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        met.wait()
        process.send_signal(signal.SIGINT)
        process.terminate()
        out, err = process.communicate(timeout=ENOUGH)
    finally:
        process.kill()
        process.wait(ENOUGH)
    assert (process.returncode, err) == (130, "")
    assert "√ bootstrap" in out


def test_several_are_interrupted_together(brokers: Brokers) -> None:
    """What is known of each is printed, also of those whose turn had not come."""
    brokers.three()
    brokers.brokers[2].control = Met(lambda request: True)
    arrived = threading.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await peers.silent(reader, writer)

    servers = [f"127.0.0.1:{brokers.serve(silent)}" for _ in range(5)]
    with started("check", *servers, brokers.bootstrap, *PATIENT, "-o", "json") as process:
        assert arrived.wait(ENOUGH)
        out = interrupted(process)
    told = json.loads(out)
    assert (told["exit_code"], len(told["reports"])) == (130, 6)
    assert all(report["interrupted"] for report in told["reports"].values())


def test_while_it_waits(brokers: Brokers) -> None:
    """The last full report is printed, and says that it was interrupted."""
    with started("check", "127.0.0.1:1", "--wait", "600") as process:
        assert process.stderr
        assert process.stderr.readline() == "kdiag: waiting: bootstrap: KD103 refused\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=ENOUGH)
    assert (process.returncode, err) == (130, "")
    assert "× bootstrap" in out
    assert "interrupted; the hops above are what is known · exit 130" in out


def test_a_demo_is_interrupted_as_a_whole() -> None:
    """The tour does not go on with its next scenario."""
    with started("demo", "--timeout", "600") as process:
        assert process.stdout
        line = ""
        while "private-address" not in line:
            line = process.stdout.readline()
            assert line, "the tour ended"
        # The second scenario is announced once the first is over, and waits for ten minutes.
        threading.Event().wait(1.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=ENOUGH)
    assert process.returncode == 130
    assert "More to see" not in out
    assert "Traceback" not in err


def test_a_background_process_that_ignores_ctrl_c_goes_on(brokers: Brokers) -> None:
    """Started by a shell in the background: SIGINT is ignored there, and stays so."""
    brokers.three()
    met = Met(lambda request: request.api is PRODUCE)
    brokers.brokers[2].control = met
    ignore = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    asked = ("check", brokers.bootstrap, "--timeout", "2", "-o", "json")
    process = subprocess.Popen(
        [*ignore, *command(*asked)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        met.wait()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=ENOUGH)
    finally:
        process.kill()
        process.wait(ENOUGH)
    assert process.returncode == 0  # KD401 is a warning without a topic
    report = json.loads(out)
    assert report["interrupted"] is False
    assert "KD401" in [finding["code"] for finding in report["findings"]]


def test_nothing_is_loaded_before_ctrl_c_is_taken_care_of() -> None:
    """An import that is interrupted prints a traceback: the first statement of kdiag's that takes
    any time comes after it."""
    code = "import sys; before = set(sys.modules); import kdiag.__main__; "
    code += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["__future__", "gc", "kdiag", "kdiag.__main__"]


# A reader that goes away.

LONG = [
    ["demo", "healthy"],
    ["demo", "private-address", "--timeout", "2"],
    ["demo", "healthy", "-o", "json"],
    ["demo", "--list"],
    ["explain", "KD301"],
    ["--help"],
    ["check", "--help"],
]


@pytest.mark.parametrize("arguments", LONG, ids=" ".join)
def test_a_pipe_that_nobody_reads(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with started(*arguments, stdout=writing) as process:
            _, err = process.communicate(timeout=ENOUGH)
    finally:
        os.close(writing)
    assert err == ""
    assert process.returncode == kdiag(*arguments).returncode, "the same as for one who reads"


def test_a_reader_that_has_seen_enough(brokers: Brokers) -> None:
    """`kdiag check … | head -1` on a report that is longer than a pipe holds."""
    brokers.three()
    for node in range(4, 1500):
        brokers.cluster.nodes.append(FakeNode(node, "0.0.0.0", 0))
    with started("check", brokers.bootstrap, "-o", "json") as process:
        assert process.stdout
        assert process.stdout.read(1) == "{"
        process.stdout.close()
        assert process.stderr
        err = process.stderr.read()
        process.wait(ENOUGH)
    assert err == ""
    assert process.returncode == 30


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_streams_that_were_closed_from_the_start(closed: str) -> None:
    line = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", line, "sh", *command("demo", "refused")],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=ENOUGH,
    )
    assert done.returncode == 10
    assert done.stderr == ""


def test_sigterm_twice_at_once_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `timeout` sends it; a second Ctrl-C would take what is known along."""
    came: list[int] = []
    times = iter([100.0, 100.1, 101.0])
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: next(times)))
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        handle = watching.Terminated()
        for _ in range(3):
            handle(signal.SIGTERM, None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert came == [signal.SIGINT] * 2

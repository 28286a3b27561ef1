"""How a check starts: hop 1 is on the wire before what judges and prints is loaded."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kdiag.__main__ import HARMLESS, PlainCheck
from kdiag.__main__ import _begin as begin_at_once
from kdiag.cli.ahead import begin
from kdiag.cli.group import cli
from kdiag.cli.plain import check
from kdiag.config.settings import Settings, settings
from kdiag.demo.broker import SILENCE
from kdiag.kafka.messages import Request
from tests import peers
from tests.report.render.cases import private
from tests.running import ENOUGH, ROOT, Brokers, environment, kdiag, on_terminal

PATIENT = ("--timeout", "600", "--answer-timeout", "600", "--deadline", "600")

# Prints, to standard error, what was loaded when the first connection was begun.
AT_FIRST = """
import sys
def watch(event, arguments):
    if event == "socket.connect" and not told:
        told.append(event)
        print(*sys.modules, file=sys.stderr)
told = []
sys.addaudithook(watch)
sys.argv = ["kdiag", *sys.argv[1:]]
from kdiag.__main__ import main
main()
"""

# What a check of one IPv4 address needs before it connects, of kdiag's own.
ALONE = {"", ".__main__", ".kafka", ".kafka.first_flight", ".network", ".network.head_start"}

# What any other check needs that nothing can refuse any more.
BEFORE = {
    *ALONE,
    *(".named_targets", ".config.record", ".text"),
    *(
        f".cli{name}"
        for name in ("", ".ahead", ".check", ".completion", ".exits", ".files", ".group")
    ),
    *(f".cli.{name}" for name in ("options", "outputs", "plain", "settings", "watching")),
    *(f".config{name}" for name in ("", ".access", ".environment", ".security", ".settings")),
    *(
        ".config.endpoint",
        ".config.options",
        ".config.proxy",
        ".config.usage",
        ".config.properties",
        ".config.properties.layers",
    ),
    *(".config.properties.names", ".config.properties.producer"),
    *(".report", ".report.render", ".walk", ".walk.areas"),
}


def at_first(*arguments: str) -> set[str]:
    """The modules that were loaded when the first connection was begun."""
    done = subprocess.run(
        [sys.executable, "-c", AT_FIRST, *arguments],
        capture_output=True, encoding="utf-8", cwd=ROOT, env=environment(), timeout=ENOUGH,
    )  # fmt: skip
    return set(done.stderr.splitlines()[0].split())


linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it begins with asyncio")


@linux
@pytest.mark.parametrize("command", [["{}"], *(["check", "{}", *more] for more in HARMLESS)])
def test_the_first_packet_leaves_before_all_else_is_loaded(
    brokers: Brokers, command: list[str]
) -> None:
    bootstrap = brokers.three().bootstrap
    loaded = at_first(*(text.format(bootstrap) for text in command))
    mine = {name.removeprefix("kdiag") for name in loaded if name.startswith("kdiag")}
    assert mine <= ALONE, "what hop 1 does not need is loaded while it waits"
    assert not loaded & {"click", "typing", "inspect", "enum", "asyncio", "threading"}


@linux
@pytest.mark.parametrize("more", [["-v", "-o", "json"], ["--timeout", "1"]])
def test_with_options_it_leaves_when_they_are_read(brokers: Brokers, more: list[str]) -> None:
    loaded = at_first("check", brokers.three().bootstrap, *more)
    mine = {name.removeprefix("kdiag") for name in loaded if name.startswith("kdiag")}
    assert mine <= BEFORE, "what hop 1 does not need is loaded while it waits"
    assert not loaded & {"asyncio", "ssl", "socket", "rich", "ipaddress", "logging", "subprocess"}
    assert not loaded & {
        "dataclasses",
        "copy",
        "signal",
        "traceback",
        "string",
        "selectors",
        "array",
    }


def test_a_report_without_failures_loads_nothing_for_them(brokers: Brokers) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "kdiag", "check", brokers.three().bootstrap],
        capture_output=True, encoding="utf-8", cwd=ROOT, env=environment(), timeout=ENOUGH,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    loaded = {line.split()[-1] for line in done.stderr.splitlines()}
    assert loaded >= {"rich.console", "kdiag.rules.remedies"}
    assert not loaded & {"rich.table", "decimal", "msgspec", "cryptography", "boto3", "dns"}
    assert not loaded & {"click", "gettext", "uuid"}, "click has nothing to read here"
    assert not loaded & {"confluent_kafka", "kdiag.kafka.tls_dialer", "kdiag.network.tls"}


@pytest.mark.parametrize("options", HARMLESS, ids=" ".join)
@pytest.mark.parametrize("ci", [{}, {"CI": "1"}], ids=str)
def test_without_click_a_command_line_means_the_same(
    options: tuple[str, ...], ci: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings, the outputs and the detail are those that click and kdiag.cli.check make."""
    monkeypatch.delenv("CI", raising=False)
    for name, value in ci.items():
        monkeypatch.setenv(name, value)
    report = private(1)
    meant: list[object] = []

    def walked(checks: Mapping[str, Settings], forms: Sequence[str], *_: object, **__: object):  # type: ignore[no-untyped-def]
        meant.append((dict(checks), list(forms)))
        return dict.fromkeys(checks, report)

    def render(form: str, of: object, stream: object, detail: str) -> None:
        meant.append((form, of, stream, detail))

    monkeypatch.setattr("kdiag.cli.check.begin", lambda *_: ())
    for module in ("check", "plain"):
        monkeypatch.setattr(f"kdiag.cli.{module}.walked", walked)
        monkeypatch.setattr(f"kdiag.cli.{module}.render", render)
        monkeypatch.setattr(f"kdiag.cli.{module}.ready", lambda: None)
    arguments = ["check", "127.0.0.1:9092", *options]
    clicked = cli.main(arguments, prog_name="kdiag", standalone_mode=False)
    by_click = meant[:]
    meant.clear()
    assert check(PlainCheck("127.0.0.1:9092", options, ())) == clicked == report.exit_code
    assert meant == by_click
    assert len(meant) == 2


def test_to_a_name_it_leaves_before_what_judges_is_loaded(brokers: Brokers) -> None:
    _, _, port = brokers.three().bootstrap.partition(":")
    loaded = at_first("check", f"localhost:{port}")
    assert "kdiag.walk.bootstrap" in loaded
    assert "kdiag.api" in loaded


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("so_far", ["kdiag.rules.rule", "rich.segment", "msgspec"])
def test_the_rest_is_loaded_while_hop_1_waits_and_ctrl_c_loses_nothing(
    brokers: Brokers, number: signal.Signals, so_far: str
) -> None:
    """The broker never answers: what is loaded is loaded meanwhile. A signal then, as soon as that
    module is there, ends the walk, and not what is being loaded."""
    asked = threading.Event()

    def control(request: Request) -> object:
        asked.set()
        return SILENCE

    brokers.three().brokers[1].control = control
    form = "json" if so_far == "msgspec" else "terminal"
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "kdiag", "check", brokers.bootstrap, *PATIENT,
         "-o", form],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", cwd=ROOT,
        env=environment(),
    )  # fmt: skip
    try:
        assert process.stderr
        for line in process.stderr:
            if line.split()[-1] == so_far:
                break
        assert asked.wait(ENOUGH)
        process.send_signal(number)
        out, err = process.communicate(timeout=ENOUGH)
    finally:
        process.kill()
        process.wait(ENOUGH)
    assert process.returncode == 130
    assert "interrupted" in out
    assert all(line.startswith("import time:") for line in err.splitlines()), err


def test_a_terminal_shows_hop_1_as_soon_as_it_can(brokers: Brokers) -> None:
    """The live view is loaded after hop 1 has begun, and shows it all the same."""
    silent = f"127.0.0.1:{brokers.serve(peers.silent)}"
    out, err = on_terminal("check", silent, "--answer-timeout", "1", "--timeout", "1")
    assert "hop 1 of 4, bootstrap" in err
    assert "hop 1 of 4, bootstrap" not in out


def test_nobody_is_dialled_where_the_report_has_no_place(brokers: Brokers, tmp_path: Path) -> None:
    met: list[Request] = []
    brokers.three().brokers[1].control = lambda request: met.append(request)
    missing = f"json={tmp_path}/missing/report.json"
    for places in (["-o", missing], ["-o", "nonsense"], ["-o", "json", "-o", "terminal"]):
        done = kdiag("check", brokers.bootstrap, *places)
        assert done.returncode == 2, done.stderr
    assert met == []


@linux
@pytest.mark.parametrize(
    ("asked", "outputs"),
    [
        ({}, ["json=report.json"]),
        ({}, ["nonsense"]),
        ({}, ["json", "terminal"]),
        ({"aws": True}, []),
        ({"config": {"server.properties": "a=b"}}, []),
        ({"properties": {"sasl.mechanism": "GSSAPI"}}, []),
        ({"bootstrap": "localhost:9"}, []),
    ],
    ids=str,
)
def test_nothing_is_begun_where_the_check_may_be_refused_yet(
    brokers: Brokers, asked: dict[str, object], outputs: list[str]
) -> None:
    given = {"bootstrap": brokers.three().bootstrap, **asked}
    one = settings(**given)  # type: ignore[arg-type]
    assert begin({"one": one}, outputs) == ()
    plain = settings(brokers.bootstrap)
    (begun,) = begin({"one": plain}, ["json"])
    begun.sock.close()
    assert begin({"one": plain, "other": plain}, []) == ()


@linux
@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["{}", "-v", "-q"], {}),
        (["-v", "{}"], {}),
        (["{}", "-o", "nonsense"], {}),
        (["{}", "--topic"], {}),
        (["{}", "{}"], {}),
        (["lint", "{}"], {}),
        (["check"], {}),
        ([], {}),
        (["check", "{}"], {"KDIAG_TOPIC": "orders"}),
        (["localhost:9"], {}),
        (["127.0.0.1"], {}),
        (["127.0.0.1:0"], {}),
        (["127.0.0.1:65536"], {}),
        (["127.0.0.1:9,"], {}),
        (["127.0.0.01:9"], {}),
        (["[::1]:9"], {}),
    ],
    ids=str,
)
def test_only_a_check_of_one_ipv4_address_begins_before_the_options_are_read(
    brokers: Brokers,
    arguments: list[str],
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bootstrap = brokers.three().bootstrap
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert begin_at_once([text.format(bootstrap) for text in arguments]) is None
    for name in variables:
        monkeypatch.delenv(name)
    plain = begin_at_once(["check", bootstrap])
    assert plain
    plain.begun[0].sock.close()

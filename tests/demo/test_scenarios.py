"""Every scenario ends as its name says, keeps to loopback, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdiag.api import play, walk
from kdiag.config.settings import settings
from kdiag.demo import world as worlds
from kdiag.demo.scenarios import SCENARIOS
from kdiag.demo.world import World, WorldDialer, endpoint
from kdiag.report.model import Report
from kdiag.rules.catalog import every_rule
from kdiag.walk.areas import EXIT_CODES
from tests import walks

RULES = every_rule()


# Scenarios that are not named after their finding.
ENDS = {
    "healthy": None,
    "healthy-group": None,
    "healthy-companions": None,
    "managed-service": "refused",
    "proxy-port": "advertised-port-closed",
    "coordinator-unreachable": "private-address",  # which explains it
    "replica-unreachable": "private-address",
    "port-closed": "advertised-port-closed",
    "public-address-found": "private-address",  # which carries it in its fix
}

NAMES = {rule.name: rule for rule in RULES.values()}
each = pytest.mark.parametrize("name", SCENARIOS)
PROCESS = Path("/proc/self/fd")
LINUX = PROCESS.is_dir() and hasattr(socket, "SO_BINDTODEVICE")


def expected(name: str) -> str | None:
    """The name of the finding that a scenario is named after."""
    return ENDS.get(name, name)


def played(name: str) -> Report:
    return asyncio.run(play(name, timeout=1.0))


@each
def test_it_ends_as_it_is_named_on_loopback_and_leaves_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not LINUX:  # elsewhere nothing shows what a process has open
        ends_as_named(played(name), expected(name))
        return
    gc.freeze()  # what other tests have left is not looked through, and not closed either
    before = descriptors()
    with warnings.catch_warnings(), watched(monkeypatch) as wires:
        warnings.simplefilter("error", ResourceWarning)
        report = played(name)
        left = {one for one in descriptors() - before if one.startswith("socket")}
        assert not left, "before any garbage collection"
        gc.collect()
    ends_as_named(report, expected(name))
    keeps_to_loopback(wires, names_only=name in ("name-not-found", "resolver-failed"))


def ends_as_named(report: Report, wanted: str | None) -> None:
    """With that finding as the cause, or without any."""
    if wanted is None:
        assert (report.exit_code, report.findings) == (0, [])
        return
    rule = NAMES[wanted]
    cause = next(f for f in report.findings if f.code == rule.code and not f.consequence_of)
    if cause.severity == "error":
        assert report.root_cause == rule.code
        assert report.failing_hop == (cause.hop if cause.hop != "aws" else report.failing_hop)
        assert report.exit_code == EXIT_CODES[str(report.failing_hop)]
    else:
        assert (report.exit_code, report.verdict) == (0, "warn")
        assert {finding.code for finding in report.findings} == {rule.code}


def test_what_the_issue_asks_for_is_there() -> None:
    asked = """healthy private-address loopback-address internal-name wrong-broker port-closed
    path-mtu not-kafka controller-port"""
    assert set(asked.split()) <= set(SCENARIOS)


def test_each_says_in_a_line_what_it_shows() -> None:
    for name, build in SCENARIOS.items():
        doc = (build.__doc__ or "").strip()
        assert doc.endswith("."), name
        assert "\n" not in doc, name
        assert len(doc) < 80, name


# Nothing leaves this machine.


class Wires:
    """Every socket that a process connects, and what it was bound to; every name it looks up."""

    def __init__(self) -> None:
        self.connected: list[tuple[str, bool]] = []
        self.looked_up: list[str] = []


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wires]:
    wires = Wires()

    def noting(connect: Callable[..., Any]) -> Callable[..., Any]:
        def noted(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                device = self.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
                wires.connected.append((str(address[0]), device.rstrip(b"\0") == b"lo"))
            return connect(self, address)

        return noted

    usual = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **named: Any) -> Any:
        wires.looked_up.append(str(host))
        return usual(host, *rest, **named)

    with monkeypatch.context() as patched:
        for name in ("connect", "connect_ex"):
            patched.setattr(socket.socket, name, noting(getattr(socket.socket, name)))
        patched.setattr(socket, "getaddrinfo", getaddrinfo)
        yield wires


def keeps_to_loopback(wires: Wires, *, names_only: bool) -> None:
    """Every socket is bound to the loopback device."""
    assert bool(wires.connected) is not names_only, "or this test sees nothing"
    assert all(bound for _, bound in wires.connected)
    # Listening on a literal goes through getaddrinfo as well; a name never does.
    assert set(wires.looked_up) <= {"127.0.0.1", "::1"}


@pytest.mark.skipif(not LINUX, reason="Linux only")
def test_a_socket_that_is_not_bound_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above rests on."""
    with watched(monkeypatch) as wires, socket.socket() as one, socket.socket() as other:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        assert [end.connect_ex(("127.0.0.1", 1)) != 0 for end in (one, other)] == [True, True]
        socket.getaddrinfo("localhost", 1)
    assert wires.connected == [("127.0.0.1", True), ("127.0.0.1", False)]
    assert wires.looked_up == ["localhost"]


async def test_the_worlds_network_keeps_to_its_device_and_its_names(world: World) -> None:
    asked = settings(endpoint(), timeout=0.2, answer_timeout=0.2)
    net = world.net(asked)
    assert isinstance(net, WorldDialer)
    assert net.outside is False, "no other client may be sent to these addresses"
    dns, addresses = await net.resolve("localhost")
    assert (dns.failure and dns.failure.value, addresses) == ("not_found", ())


def test_the_real_client_is_never_sent_to_a_made_up_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would dial these addresses for real: it is not even imported."""

    for module in [
        m for m in sys.modules if m.startswith(("confluent_kafka", "kdiag.kafka.client"))
    ]:
        monkeypatch.delitem(sys.modules, module)
    for name in ("under-replicated", "unknown-topic", "no-leader"):
        played(name)
    assert "confluent_kafka" not in sys.modules


# Nothing is left behind.


def descriptors() -> set[str]:
    """What is open in this process, by what it leads to."""
    found = set()
    for entry in PROCESS.iterdir():
        with suppress(OSError):  # the one that lists them
            found.add(str(entry.readlink()))
    return found


@each
async def test_its_servers_are_stopped_and_its_tasks_end(name: str) -> None:
    before = asyncio.all_tasks()
    world = World()
    start = await SCENARIOS[name](world)
    asked = settings(start.bootstrap, topic=start.topic, timeout=1.0, answer_timeout=1.0)
    await walk(asked, world.net, lambda hop, said: None)
    await world.end()
    for port in set(world.nat.values()):
        with socket.socket() as sock:
            assert sock.connect_ex(("127.0.0.1", port)) != 0, "somebody still listens"
    for _ in range(40):
        left = asyncio.all_tasks() - before
        if not left:
            break
        await asyncio.sleep(0.05)
    assert not left


async def test_it_is_taken_down_when_it_is_cancelled_too() -> None:
    before = asyncio.all_tasks()
    playing = asyncio.create_task(play("private-address", timeout=30.0))
    await asyncio.sleep(0.3)
    playing.cancel()
    report = await playing
    assert report.interrupted
    await asyncio.sleep(0.2)
    assert not asyncio.all_tasks() - before


@pytest.mark.parametrize("name", ["path-mtu", "private-address", "unreachable"])
async def test_it_comes_to_the_same_where_no_socket_can_be_bound_to_loopback(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS and Windows: nothing is sent to an address that does not answer."""
    monkeypatch.setattr(worlds, "bindable", lambda: False)
    monkeypatch.setattr(worlds, "sys", SimpleNamespace(platform="win32"))
    report = await play(name, timeout=1.0)
    expected = walks.scenarios()[name]
    assert (report.exit_code, report.root_cause) == (expected.exit_code, expected.root_cause)

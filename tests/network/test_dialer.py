"""Names and sockets: what a resolver and an operating system may answer, each as one value."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdiag.api import walk
from kdiag.config.settings import settings
from kdiag.kafka.dialer import KafkaDialer
from kdiag.network import dialer
from kdiag.network.attempt import Failure, LayerResult
from kdiag.network.dialer import in_thread
from kdiag.network.errors import lookup_failure, os_failure
from kdiag.network.sockets import Counted
from kdiag.walk.runner import nobody
from tests.together import together
from tests.walks import on_loopback

GENEROUS = 20.0  # seconds: against hanging, on a machine that is busy

EAI = {
    name: code
    for name, code in vars(socket).items()
    if name.startswith("EAI_") and isinstance(code, int)
}
ABSENT = {"EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY"}


def found(*addresses: str) -> list[Any]:
    return [(0, 0, 0, "", (address, 0)) for address in addresses]


def raising(error: Exception) -> Any:
    def lookup(*_: object) -> list[Any]:
        raise error

    return lookup


async def resolved(lookup: Any, host: str = "name") -> tuple[LayerResult, tuple[str, ...]]:
    return await KafkaDialer(GENEROUS, lookup=lookup).resolve(host)


# Names.


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1", "::1", "2001:db8::1", "fe80::1%eth0"])
async def test_a_literal_is_not_looked_up(host: str) -> None:
    dns, addresses = await resolved(raising(AssertionError("looked up")), host)
    assert (dns.failure, addresses) == (None, (host,))


async def test_addresses_come_in_the_resolvers_order_and_once_each() -> None:
    _, addresses = await resolved(lambda *_: found("::1", "10.0.0.2", "10.0.0.1", "::1"))
    assert addresses == ("::1", "10.0.0.2", "10.0.0.1")


async def test_of_very_many_addresses_some_are_taken() -> None:
    _, addresses = await resolved(lambda *_: found(*(f"10.0.0.{n}" for n in range(250))))
    assert 8 <= len(addresses) <= 32


@pytest.mark.parametrize(
    ("family", "asked"),
    [("any", socket.AF_UNSPEC), ("v4", socket.AF_INET), ("v6", socket.AF_INET6)],
)
async def test_the_family_that_was_asked_for(family: str, asked: int) -> None:
    seen: list[Any] = []

    def lookup(*arguments: object) -> list[Any]:
        seen.extend(arguments)
        return found("10.0.0.1")

    await KafkaDialer(GENEROUS, family=family, lookup=lookup).resolve("name")
    assert seen[:1] == ["name"]
    assert asked in seen


async def test_only_addresses_that_a_client_on_this_machine_is_told_of() -> None:
    """A name with addresses of both families, on a machine that has none of IPv6."""

    def lookup(host: str, port: None, family: int, kind: int, proto: int, flags: int) -> list[Any]:
        own_only = flags & socket.AI_ADDRCONFIG
        return found("10.0.0.1") if own_only else found("::1", "10.0.0.1")

    _, addresses = await resolved(lookup)
    assert addresses == ("10.0.0.1",)


async def test_a_name_without_an_address_for_this_machine_is_not_unknown() -> None:
    def lookup(*asked: Any) -> list[Any]:
        if socket.AI_ADDRCONFIG in asked[4:]:
            raise socket.gaierror(socket.EAI_ADDRFAMILY, "Address family not supported")
        return found("2001:db8::1")

    dns, addresses = await resolved(lookup)
    assert (dns.failure, addresses) == (None, ("2001:db8::1",))


@pytest.mark.parametrize("name", sorted(EAI))
async def test_every_code_of_a_resolver_is_one_of_two_failures(name: str) -> None:
    dns, addresses = await resolved(raising(socket.gaierror(EAI[name], "the resolver's words")))
    assert addresses == ()
    assert dns.failure is (Failure.NOT_FOUND if name in ABSENT else Failure.RESOLVER_FAILED)
    assert dns.detail == "the resolver's words"


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (socket.gaierror(-12345, "x"), Failure.RESOLVER_FAILED),
        (socket.gaierror(), Failure.RESOLVER_FAILED),
        (OSError(errno.EIO, "x"), Failure.RESOLVER_FAILED),
        (TimeoutError(), Failure.RESOLVER_FAILED),
        (UnicodeError("label empty or too long"), Failure.NOT_FOUND),
        (UnicodeEncodeError("idna", "x", 0, 1, "bad"), Failure.NOT_FOUND),
    ],
)
async def test_whatever_a_lookup_raises_is_a_value(error: Exception, failure: Failure) -> None:
    assert isinstance(error, OSError | UnicodeError)
    assert lookup_failure(error) is failure
    dns, _ = await resolved(raising(error))
    assert dns.failure is failure
    assert dns.detail


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", ".", "b." + "y" * 64])
async def test_names_that_cannot_exist(host: str) -> None:
    """The real getaddrinfo: it refuses them itself, before anybody is asked."""
    dns, addresses = await KafkaDialer(GENEROUS).resolve(host)
    assert (dns.failure, addresses) == (Failure.NOT_FOUND, ())
    assert dns.detail


async def test_localhost_by_the_real_resolver() -> None:
    dns, addresses = await KafkaDialer(GENEROUS).resolve("localhost")
    assert dns.failure is None
    assert set(addresses) <= {"127.0.0.1", "::1"}
    assert addresses


async def test_the_resolvers_words_are_cleaned() -> None:
    error = socket.gaierror(socket.EAI_FAIL, "\x1b[31mbad\n" + "x" * 5000)
    dns, _ = await resolved(raising(error))
    assert dns.detail.isprintable()
    assert len(dns.detail) < 2000


async def test_a_resolver_that_hangs_is_given_up_on() -> None:
    release = threading.Event()

    def hang(*_: object) -> list[Any]:
        release.wait(GENEROUS)
        return []

    try:
        dns, addresses = await KafkaDialer(0.2, lookup=hang).resolve("name")
    finally:
        release.set()
    assert (dns.failure, addresses) == (Failure.RESOLVER_FAILED, ())
    assert "no answer from the resolver within 0.2 s" in dns.detail
    assert 0.1 < dns.elapsed < GENEROUS / 2


async def test_a_resolver_that_is_slow_is_waited_for_as_an_answer_is() -> None:
    """Clients wait while the machine's resolver goes on to its second server."""
    release = threading.Event()

    def slow(*_: object) -> list[Any]:
        release.wait(GENEROUS)
        return [(0, 0, 0, "", ("192.0.2.1", 0))]

    resolving = KafkaDialer(0.05, patience=GENEROUS, lookup=slow).resolve("name")
    task = asyncio.ensure_future(resolving)
    await asyncio.sleep(0.2)
    assert not task.done()
    release.set()
    dns, addresses = await task
    assert (dns.failure, addresses) == (None, ("192.0.2.1",))


async def test_a_lookup_that_fails_too_late_is_not_logged() -> None:
    """asyncio reports a failure that nobody has looked at; a server would log it for months."""
    release, reported = threading.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def late(*_: object) -> list[object]:
        release.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    net = KafkaDialer(0.05, lookup=late)
    dns, _ = await net.resolve("name")
    assert dns.failure is Failure.RESOLVER_FAILED
    release.set()
    while net._threads._value < net._most_lookups:
        await asyncio.sleep(0.01)
    gc.collect()
    assert reported == []


async def test_many_names_are_looked_up_at_once() -> None:
    """Thirty names that hang cost one timeout: every one is asked before the first is given up."""
    together = threading.Barrier(30)

    def meet(*_: object) -> list[Any]:
        together.wait(GENEROUS)
        return found("10.0.0.1")

    net = KafkaDialer(GENEROUS, lookup=meet)
    ends = await asyncio.gather(*(net.resolve(f"b{n}.example") for n in range(30)))
    assert [dns.failure for dns, _ in ends] == [None] * 30


HANGING = """
import socket, sys, time
from kdiag.kafka.dialer import KafkaDialer
from kdiag.config.settings import settings
from kdiag.api import run

def hang(*_):
    print("looking up", flush=True)
    time.sleep(600)

asked = settings("kafka.example.com:9092", timeout=0.3)
report = run(asked, lambda s: KafkaDialer(s.options.timeout, lookup=hang, device="lo"))
print(report.exit_code, report.root_cause, flush=True)
"""


def test_a_resolver_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=50
    )
    assert done.stdout.split() == ["looking", "up", "10", "KD102"], done.stderr
    assert done.returncode == 0
    assert done.stderr == ""


# Blocking calls beside the loop.


async def test_a_thread_hands_back_what_it_found() -> None:
    assert await in_thread(lambda a, b: a + b, 1, 2) == 3


async def test_a_thread_hands_back_what_it_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    release = threading.Event()
    late = in_thread(release.wait, GENEROUS)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(late, 0.05)
    release.set()
    await asyncio.sleep(0.05)
    assert late.cancelled()


def test_an_answer_after_the_loop_is_closed_is_dropped(
    capfd: pytest.CaptureFixture[str],
) -> None:
    release, threads = threading.Event(), set(threading.enumerate())

    async def walk_away() -> None:
        in_thread(release.wait, GENEROUS)

    asyncio.run(walk_away())
    (thread,) = set(threading.enumerate()) - threads
    assert thread.daemon, "it must not hold up the interpreter"
    release.set()
    thread.join(GENEROUS)
    assert not thread.is_alive()
    assert capfd.readouterr().err == ""


# Sockets.

OUR_OWN = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
KNOWN = {
    errno.ECONNREFUSED: Failure.REFUSED,
    errno.ETIMEDOUT: Failure.TIMEOUT,
    errno.ECONNRESET: Failure.RESET,
    errno.ECONNABORTED: Failure.RESET,
    errno.EPIPE: Failure.CLOSED,
    errno.ESHUTDOWN: Failure.CLOSED,
    errno.ENETUNREACH: Failure.UNREACHABLE,
    errno.EHOSTUNREACH: Failure.UNREACHABLE,
    errno.EACCES: Failure.UNREACHABLE,
    errno.EPERM: Failure.UNREACHABLE,
    errno.EADDRNOTAVAIL: Failure.UNREACHABLE,
    errno.EAFNOSUPPORT: Failure.UNREACHABLE,
}


@together("number", sorted(errno.errorcode))
def test_every_error_of_the_system_is_a_failure(number: int) -> None:
    error = OSError(number, os.strerror(number))
    if number in OUR_OWN:
        with pytest.raises(OSError, match=os.strerror(number)):
            os_failure(error)
    elif isinstance(error, TimeoutError):
        assert os_failure(error) is Failure.TIMEOUT
    else:
        assert os_failure(error) is KNOWN.get(number, Failure.UNREACHABLE)


@pytest.mark.parametrize("error", [OSError(), OSError("no number"), socket.gaierror(-2, "x")])
def test_an_error_without_a_number_is_a_failure_too(error: OSError) -> None:
    assert os_failure(error) is Failure.UNREACHABLE


@pytest.mark.parametrize("error", [TimeoutError(), TimeoutError(), TimeoutError()])
def test_a_timeout_is_a_timeout(error: OSError) -> None:
    assert os_failure(error) is Failure.TIMEOUT


def closed_port(host: str = "127.0.0.1") -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


async def layers(bootstrap: str, timeout: float = 5.0) -> tuple[str | None, str]:
    """How tcp ended for one address, dialled for real on the loopback device; and the evidence."""
    asked = settings(bootstrap, timeout=timeout, properties={"security.protocol": "PLAINTEXT"})
    report = await walk(asked, on_loopback, nobody)
    return report.root_cause, "\n".join(line for f in report.findings for line in f.evidence)


async def test_a_closed_port() -> None:
    code, said = await layers(f"127.0.0.1:{closed_port()}")
    assert code == "KD103"
    assert "connection refused" in said.lower()


async def test_a_socket_without_an_address_after_a_failed_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(_: socket.socket) -> None:  # as on macOS and Windows
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(Counted, "getsockname", none, raising=False)
    connection = await dialer.TcpDialer(5.0).connect("127.0.0.1", closed_port())
    assert (connection.tcp.failure, connection.source) == (Failure.REFUSED, "")


@pytest.mark.parametrize(
    ("platform", "failure"), [("win32", Failure.REFUSED), ("linux", Failure.TIMEOUT)]
)
async def test_windows_repeats_a_refused_request_before_it_says_so(
    platform: str, failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused_late(*_: object) -> None:
        await asyncio.sleep(0.1)
        raise ConnectionRefusedError

    monkeypatch.setattr(dialer, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", refused_late)
    connection = await dialer.TcpDialer(0.01).connect("127.0.0.1", 9)
    assert connection.tcp.failure is failure


async def test_a_packet_that_vanishes() -> None:
    code, said = await layers("10.0.1.11:9092", timeout=0.2)
    assert code == "KD104"
    assert "no answer within 0.2 s" in said


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="IPv6 is switched off")
async def test_no_route() -> None:
    code, _ = await layers("[2001:db8::221]:9092", timeout=1.0)
    assert code in ("KD105", "KD104")


async def test_a_link_local_address_with_a_zone_that_is_not_there() -> None:
    code, said = await layers("[fe80::1%nowhere0]:9092", timeout=1.0)
    assert code == "KD105"
    assert "unknown error" not in said.lower()


async def test_a_dial_takes_no_longer_than_its_timeout() -> None:
    started = time.perf_counter()
    await layers("10.0.1.11:9092", timeout=0.1)
    assert time.perf_counter() - started < GENEROUS / 2

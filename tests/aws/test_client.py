"""The door to AWS: where the client is taken to come from, and what nobody waits for."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kdiag.aws.client import Ec2Client, echo_address, own_address
from kdiag.aws.facts import ClientAddress, Snapshot
from kdiag.config.access import AwsAccess
from tests.accounts import LAPTOP, PRIVATE, REGION, Account
from tests.running import Brokers, kdiag


def look(*addresses: str, deadline: float = 30, **access: str) -> tuple[Snapshot, ClientAddress]:
    async def looked() -> tuple[Snapshot, ClientAddress]:
        door = Ec2Client(AwsAccess(**access), deadline)
        return await door.look({address: (address,) for address in addresses})

    return asyncio.run(looked())


@contextmanager
def echo(answer: bytes, status: int = 200) -> Iterator[str]:
    """A service on loopback that tells everybody this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_what_is_given_wins(account: Account) -> None:
    account.three()
    with echo(b"198.51.100.7") as url:
        found, source = look(*PRIVATE, source="203.0.113.0/24", echo=url)
    assert source == ClientAddress("203.0.113.0/24", "given")
    assert len(found.interfaces) == 3


def test_the_echo_service_tells(account: Account) -> None:
    with echo(f" {LAPTOP}\n".encode()) as url:
        _, source = look("127.0.0.2", echo=url)
    assert source == ClientAddress(LAPTOP, "echo")


def test_without_it_nothing_is_guessed(account: Account) -> None:
    _, source = look("127.0.0.2")
    assert source == ClientAddress()


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"", 200), (b"<html>203.0.113.10</html>", 200), (b"\xff\xfe", 200), (b"203.0.113.10", 500)],
)
def test_an_echo_that_says_something_else_tells_nothing(answer: bytes, status: int) -> None:
    with echo(answer, status) as url:
        assert echo_address(url) == ""


def test_an_echo_that_is_not_there() -> None:
    with echo(b"") as url:
        gone = url
    assert echo_address(gone) == ""


def test_an_echo_is_not_asked_by_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with echo(LAPTOP.encode()) as url:
        assert echo_address(url) == LAPTOP


def test_an_address_of_this_machine_s_own() -> None:
    assert own_address(["127.0.0.1", "::1", "not an address"]) == ""
    assert own_address([]) == ""


def test_nobody_waits_longer_than_the_deadline(account: Account) -> None:
    account.three()
    account.instead = {"*": lambda environ, start: [time.sleep(6) or b""]}  # type: ignore[func-returns-value]
    begun = time.monotonic()
    found, source = look(*PRIVATE, deadline=2.0, source=LAPTOP)
    assert time.monotonic() - begun < 5
    assert source == ClientAddress(LAPTOP, "given")
    assert found.interfaces == ()
    assert {gap.reason for gap in found.gaps} == {"unreachable"}


def test_a_check_with_aws(account: Account) -> None:
    """The whole command: nobody listens at that address, and the group knows the laptop alone."""
    public, port = account.three()[0], 9094
    done = kdiag("check", f"{public}:{port}", "--aws", "--aws-source", "198.51.100.7", "-o", "json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["failing_hop"]) == (10, "bootstrap")
    told = report["aws"]
    assert (told["regions"], told["source"], told["source_from"]) == (
        [REGION], "198.51.100.7", "given",
    )  # fmt: skip
    (address,) = told["addresses"]
    assert (address["verdict"], address["layer"]) == ("blocked", "group")
    assert address["decided_by"] == account.group
    assert "KD501" in {finding["code"] for finding in report["findings"]}
    assert told["calls"] == 4


def test_a_check_of_what_aws_does_not_know(account: Account, brokers: Brokers) -> None:
    """Every option in the environment; the walk passes, and a warning says what AWS lacks."""
    account.three()
    done = kdiag(
        "check", brokers.three().bootstrap, "-o", "json",
        KDIAG_AWS="1", KDIAG_AWS_SOURCE=LAPTOP, KDIAG_AWS_REGION=REGION, KDIAG_AWS_ECHO="off",
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert [hop["hop"] for hop in report["hops"]][-1] == "aws"
    assert report["aws"]["source"] == LAPTOP


def test_an_account_that_says_nothing_leaves_the_walk_its_verdict(
    account: Account, brokers: Brokers
) -> None:
    done = kdiag(
        "check", brokers.three().bootstrap, "--aws", "--aws-echo", "off",
        "--aws-profile", "gone", "-o", "json",
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert [f["code"] for f in report["findings"] if f["hop"] == "aws"].count("KD508") == 1
    assert [gap["reason"] for gap in report["aws"]["gaps"]] == ["credentials"]


def test_an_odd_source_is_refused(brokers: Brokers) -> None:
    done = kdiag("check", brokers.three().bootstrap, "--aws", "--aws-source", "my laptop")
    assert (done.returncode, done.stdout) == (2, "")
    assert "203.0.113.10" in done.stderr

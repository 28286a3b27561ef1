"""The client of the AWS API: the source address of the client, deadlines, the whole command."""

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


def describe(
    *addresses: str, deadline: float = 30, **access: str
) -> tuple[Snapshot, ClientAddress]:
    async def description() -> tuple[Snapshot, ClientAddress]:
        client = Ec2Client(AwsAccess(**access), deadline)
        return await client.describe({address: (address,) for address in addresses})

    return asyncio.run(description())


@contextmanager
def echo(answer: bytes, status: int = 200) -> Iterator[str]:
    """Runs an echo service on loopback with this response."""

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


def test_a_given_source_has_priority(account: Account) -> None:
    account.three()
    with echo(b"198.51.100.7") as url:
        snapshot, source = describe(*PRIVATE, source="203.0.113.0/24", echo=url)
    assert source == ClientAddress("203.0.113.0/24", "given")
    assert len(snapshot.interfaces) == 3


def test_the_echo_service_returns_the_source(account: Account) -> None:
    with echo(f" {LAPTOP}\n".encode()) as url:
        _, source = describe("127.0.0.2", echo=url)
    assert source == ClientAddress(LAPTOP, "echo")


def test_the_source_is_unknown_without_an_echo_service(account: Account) -> None:
    _, source = describe("127.0.0.2")
    assert source == ClientAddress()


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"", 200), (b"<html>203.0.113.10</html>", 200), (b"\xff\xfe", 200), (b"203.0.113.10", 500)],
)
def test_an_echo_response_without_an_address_is_ignored(answer: bytes, status: int) -> None:
    with echo(answer, status) as url:
        assert echo_address(url) == ""


def test_an_echo_service_that_does_not_run() -> None:
    with echo(b"") as url:
        gone = url
    assert echo_address(gone) == ""


def test_the_echo_request_uses_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with echo(LAPTOP.encode()) as url:
        assert echo_address(url) == LAPTOP


def test_no_source_address_for_loopback() -> None:
    assert own_address(["127.0.0.1", "::1", "not an address"]) == ""
    assert own_address([]) == ""


def test_the_client_returns_at_the_deadline(account: Account) -> None:
    account.three()
    account.overrides = {"*": lambda environ, start: [time.sleep(6) or b""]}  # type: ignore[func-returns-value]
    begun = time.monotonic()
    snapshot, source = describe(*PRIVATE, deadline=2.0, source=LAPTOP)
    assert time.monotonic() - begun < 5
    assert source == ClientAddress(LAPTOP, "given")
    assert snapshot.interfaces == ()
    assert {gap.reason for gap in snapshot.unavailable} == {"unreachable"}


def test_a_check_with_aws(account: Account) -> None:
    """The whole command: the address does not answer, and the group allows only LAPTOP."""
    public, port = account.three()[0], 9094
    done = kdiag("check", f"{public}:{port}", "--aws", "--aws-source", "198.51.100.7", "-o", "json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["failing_hop"]) == (10, "bootstrap")
    aws_report = report["aws"]
    assert (aws_report["regions"], aws_report["source"], aws_report["source_from"]) == (
        [REGION], "198.51.100.7", "given",
    )  # fmt: skip
    (address,) = aws_report["addresses"]
    assert (address["verdict"], address["layer"]) == ("blocked", "group")
    assert address["decided_by"] == account.group
    assert "KD501" in {finding["code"] for finding in report["findings"]}
    assert aws_report["calls"] == 4


def test_a_check_of_addresses_outside_of_the_account(account: Account, brokers: Brokers) -> None:
    """All options are in the environment; the walk passes with a warning."""
    account.three()
    done = kdiag(
        "check", brokers.three().bootstrap, "-o", "json",
        KDIAG_AWS="1", KDIAG_AWS_SOURCE=LAPTOP, KDIAG_AWS_REGION=REGION, KDIAG_AWS_ECHO="off",
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert [hop["hop"] for hop in report["hops"]][-1] == "aws"
    assert report["aws"]["source"] == LAPTOP


def test_missing_credentials_do_not_change_the_verdict_of_the_walk(
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


def test_an_invalid_source_is_refused(brokers: Brokers) -> None:
    done = kdiag("check", brokers.three().bootstrap, "--aws", "--aws-source", "my laptop")
    assert (done.returncode, done.stdout) == (2, "")
    assert "203.0.113.10" in done.stderr

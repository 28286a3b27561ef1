"""A whole walk through a proxy: what it proves, what it says, and what never passes the proxy."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import pytest

from kdiag.api import walk
from kdiag.config.settings import settings
from kdiag.demo.proxy import FakeProxy
from kdiag.demo.world import CLIENT, PORT, PRIVATE, PUBLIC, World, endpoint
from kdiag.report.model import Report
from kdiag.walk.allowance import Allowance
from kdiag.walk.runner import nobody

PROXY, PROXY_PORT = "203.0.113.80", 1080
NAMES = ("b1.example", "b2.example", "b3.example")
PASSWORD = "wonder-land-secret"
FAILED = b"HTTP/1.1 503 Service Unavailable\r\n\r\n"


def walked(
    refusals: dict[str, Any] | None = None,
    *advertised: tuple[str, int],
    scheme: str = "socks5h",
    login: str = "",
    wanted: str = "",
    **asked: Any,
) -> tuple[Report, FakeProxy]:
    """The report of a walk through a proxy that alone resolves the names, and the proxy."""

    async def run() -> tuple[Report, FakeProxy]:
        world = World()
        await world.three(*(advertised or tuple((name, PORT) for name in NAMES)))
        world.names.update({name: [at] for name, at in zip(NAMES, PUBLIC, strict=True)})
        proxy = FakeProxy(world, refusals or {}, wanted or login)
        serve = proxy.http if scheme == "http" else proxy.socks5
        await world.server(PROXY, PROXY_PORT, serve)
        url = f"{scheme}://{login}{'@' if login else ''}{PROXY}:{PROXY_PORT}"
        made = settings(endpoint(NAMES[0]), proxy=url, timeout=2.0, **asked)
        names, world.names = world.names, {}  # this machine knows none of them

        def lookup(*_: object) -> None:
            raise AssertionError("a name was looked up here")

        proxy.world = World(world.cluster, world.nat, names)
        dialer = world.net(made)
        dialer._lookup = lookup  # type: ignore[assignment]
        try:
            return await walk(made, lambda _: dialer, nobody), proxy
        finally:
            await world.end()

    return asyncio.run(run())


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_a_healthy_cluster_passes_and_its_names_are_resolved_at_the_proxy(scheme: str) -> None:
    report, proxy = walked(scheme=scheme, topic="orders" if scheme == "http" else None)
    assert report.ok or report.root_cause == "KD204", report.findings
    assert set(proxy.asked) == set(NAMES)
    assert report.cluster
    layers = [*(s.layers for s in report.bootstrap), *(b.layers for b in report.cluster.brokers)]
    assert {each["proxy"] for each in layers} == {"ok"}
    assert report.source_addresses == [], "the brokers see the proxy's address"
    assert CLIENT not in str(asdict(report))
    (note,) = (note for note in report.notes if "went through the proxy" in note)
    assert f"{scheme}://{PROXY}:{PROXY_PORT}: the verdict is for clients that do so" in note


def test_without_a_proxy_it_is_no_layer() -> None:
    async def run() -> Report:
        world = World()
        await world.three()
        try:
            return await walk(settings(endpoint()), world.net, nobody)
        finally:
            await world.end()

    report = asyncio.run(run())
    assert report.cluster and "proxy" not in report.cluster.brokers[0].layers
    assert not any("proxy" in note for note in report.notes)


def test_the_note_names_a_client_that_goes_through_no_proxy() -> None:
    report, _ = walked(properties={"acks": "1", "linger.ms": "5", "queue.buffering.max.ms": "5"})
    assert any("those of librdkafka, which dials the servers itself" in n for n in report.notes)


@pytest.mark.parametrize(
    ("refusal", "code", "layer", "failure"),
    [
        (1, "KD130", "proxy", "proxy_failed"),
        (2, "KD129", "proxy", "proxy_denied"),
        (5, "KD305", "tcp", "refused"),
    ],
)
def test_what_the_proxy_says_of_one_broker(
    refusal: int, code: str, layer: str, failure: str
) -> None:
    report, _ = walked({NAMES[1]: refusal})
    assert (report.exit_code, report.root_cause) == (30, code)
    assert report.cluster
    of_broker = {broker.node: broker.layers for broker in report.cluster.brokers}
    assert of_broker[2][layer] == failure
    assert of_broker[2]["kafka"] is None
    assert of_broker[1]["proxy"] == of_broker[3]["proxy"] == "ok"
    if layer == "proxy":
        assert of_broker[2]["dns"] is None, "the proxy may not have looked"
    else:
        assert any("the proxy says" in line for f in report.findings for line in f.evidence)


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_a_private_address_that_the_proxy_does_not_reach_is_not_called_the_cause(
    scheme: str,
) -> None:
    refusals = dict.fromkeys(PRIVATE, 1 if scheme == "socks5h" else FAILED)
    report, _ = walked(refusals, *((address, PORT) for address in PRIVATE), scheme=scheme)
    assert report.root_cause == "KD130"
    assert "KD301" not in [finding.code for finding in report.findings]


def test_a_name_that_the_proxy_does_not_know() -> None:
    body = "HTTP/1.1 503 x\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\n\r\nThe domain name does not exist."
    report, _ = walked({NAMES[0]: body.encode()}, scheme="http")
    assert (report.exit_code, report.root_cause) == (10, "KD101")
    (finding,) = report.findings
    assert "no such name for the proxy, as the proxy says" in finding.message
    assert report.bootstrap[0].layers["dns"] == "not_found"


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_a_login_is_tried_once_and_never_shown(scheme: str) -> None:
    report, proxy = walked(scheme=scheme, login=f"bob:{PASSWORD}", wanted="bob:another")
    assert (report.root_cause, proxy.tried) == ("KD129", 1)
    assert PASSWORD not in str(asdict(report))
    report, proxy = walked(scheme=scheme, login=f"bob:{PASSWORD}")
    assert report.ok
    assert PASSWORD not in str(asdict(report))


def test_a_proxy_that_repeats_the_password_does_not_put_it_into_the_report() -> None:
    said = f"HTTP/1.1 502 no {PASSWORD} here\r\n\r\n".encode()
    report, _ = walked({NAMES[0]: said}, scheme="http", login=f"bob:{PASSWORD}")
    text = str(asdict(report))
    assert "502 no *** here" in text
    assert PASSWORD not in text


def test_a_name_behind_a_proxy_is_asked_in_no_other_language_unless_it_was_named() -> None:
    allowance = Allowance(settings("kafka.example:9092"))
    assert not allowance.may_be_asked("metadata.google.internal", 80)
    allowance.addresses("kafka.example", ("kafka.example",))
    assert allowance.may_be_asked("kafka.example", 9092)

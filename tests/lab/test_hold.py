"""--hold on a real Kafka: a gateway that forgets silent connections after four seconds, without a
message or with a reset, and brokers that close them after ten. librdkafka, silent for as long, says
the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.applied import applies
from tests.lab import goldens
from tests.lab.client import HEALTHY, Report
from tests.lab.kafka import IDLE_MS
from tests.lab.lab import Lab
from tests.lab.network import PUBLICS

REMEMBERED = 4  # seconds
ALIVE, DEAD = "3", "6"  # seconds
_CONNTRACK = "/proc/sys/net/netfilter/nf_conntrack_tcp_"
_KEEPALIVE = "/proc/sys/net/ipv4/tcp_keepalive_"


@contextmanager
def forgetting(lab: Lab) -> Iterator[None]:
    """The gateway forgets a connection that is silent for REMEMBERED seconds, and takes the packets
    of a forgotten one for those of no connection."""
    gateway = lab.network.gateway
    names = {"timeout_established": str(REMEMBERED), "loose": "0"}
    before = {name: gateway.run("cat", f"{_CONNTRACK}{name}").strip() for name in names}
    route = f"{PUBLICS[0].rpartition('.')[0]}.0/24 dev vpc"  # else it rejects them by itself
    write = 'for each in "$@"; do echo "${each#*=}" > "${each%%=*}"; done'
    try:
        gateway.ip(f"route add {route}")
        gateway.run("sh", "-c", write, "sh", *(f"{_CONNTRACK}{n}={v}" for n, v in names.items()))
        yield
    finally:
        gateway.run("sh", "-c", write, "sh", *(f"{_CONNTRACK}{n}={v}" for n, v in before.items()))
        gateway.ip(f"route del {route}")


def outcomes(report: Report) -> set[tuple[float, str]]:
    """Of each gap, how the connections ended."""
    brokers = report.told["hold"]["brokers"]
    assert all(broker["watched"] for broker in brokers), report
    return {(c["gap_s"], c["outcome"]) for broker in brokers for c in broker["connections"]}


@applies("shell sysctl", "properties socket.keepalive.enable")
@pytest.mark.lab
def test_a_gateway_that_forgets_without_a_message(lab: Lab) -> None:
    server, laptop = lab.at("PUBLIC"), lab.network.laptop
    for name in ("time", "intvl"):  # as the fix says; only who asks for keepalives sends them
        laptop.run("sh", "-c", f"echo 1 > {_KEEPALIVE}{name}")
    try:
        with forgetting(lab), ThreadPoolExecutor() as pool:
            alive = pool.submit(lab.client.tool, "idle", server, ALIVE)
            dead = pool.submit(lab.client.tool, "idle", server, DEAD)
            kept = pool.submit(
                lab.client.tool, "idle", server, DEAD, "socket.keepalive.enable=true"
            )
            report = lab.client.check(server, "--hold", f"{DEAD}s", "--answer-timeout", "3s")
            assert [each.result() for each in (alive, dead, kept)] == [True, False, True]
    finally:
        for name, value in (("time", 7200), ("intvl", 75)):
            laptop.run("sh", "-c", f"echo {value} > {_KEEPALIVE}{name}")
    assert outcomes(report) == {(1.5, "answered"), (3.0, "answered"), (6.0, "unanswered")}
    assert report.verdict == HEALTHY
    (finding,) = report.told["findings"]
    assert finding["code"] == "KD410"
    assert "never acknowledged" in "".join(finding["evidence"])


@pytest.mark.lab
def test_a_firewall_that_resets_what_it_has_forgotten(lab: Lab) -> None:
    with forgetting(lab), lab.network.rule("ct state invalid reject with tcp reset"):
        report = lab.client.check(lab.at("PUBLIC"), "--hold", f"{DEAD}s", "--answer-timeout", "3s")
    assert outcomes(report) == {(1.5, "answered"), (3.0, "answered"), (6.0, "reset_when_asked")}
    assert report.verdict == HEALTHY
    assert [finding["code"] for finding in report.told["findings"]] == ["KD410"]


@pytest.mark.kafka
def test_the_brokers_own_limit(kafka: Lab) -> None:
    limit = IDLE_MS / 1000
    with goldens.aside():  # it measures
        report = kafka.client.check(kafka.at("PUBLIC"), "--hold", f"{limit + 4:g}s")
    assert report.verdict == HEALTHY
    assert report.told["findings"] == []
    ended = dict(outcomes(report))
    assert ended[limit - 1] == "answered"
    assert ended[limit + 3] == "closed"
    notes = " ".join(report.told["notes"])
    assert f"as its own connections.max.idle.ms={IDLE_MS} has it" in notes

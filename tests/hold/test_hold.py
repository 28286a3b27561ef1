"""--hold: connections that are silent, and how each of them ends; on loopback."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest

from kdiag.api import walk
from kdiag.config.security import Sasl, Security
from kdiag.config.settings import IDLE, settings
from kdiag.demo.broker import HANG_UP, RESET, SILENCE, FakeBroker, FakeNode, reset
from kdiag.demo.logins import Logins
from kdiag.demo.scenarios.hold import FORGOTTEN, forgets
from kdiag.demo.scenarios.tls import tls_client, valid_tls
from kdiag.demo.world import PORT, PUBLIC, World, endpoint
from kdiag.hold.hold import gaps
from kdiag.kafka.messages import API_VERSIONS, Request
from kdiag.report.model import Report
from tests.running import ENOUGH, Brokers, kdiag, started

Prepare = Callable[[FakeBroker], None]


@pytest.mark.parametrize(
    ("duration", "limit", "expected"),
    [
        (4, None, (1, 2, 4)),
        (60, None, (15, 30, 60)),
        (360, None, (60, 230, 250, 340, 360)),
        (300, None, (60, 230, 250, 300)),
        (900, 600, (60, 230, 250, 340, 360, 588, 612, 900)),
        (13, 10, (3.25, 6.5, 9, 13)),
        (14, 10, (3.5, 7, 9, 13, 14)),
        (2, 0.5, (0.5, 1, 2)),
    ],
)
def test_the_gaps_fit_the_duration(
    duration: float, limit: float | None, expected: tuple[float, ...]
) -> None:
    assert gaps(duration, limit) == expected


async def held(
    prepare: Prepare, *, hold: float = 1.0, observe: Any = lambda hop, summary: None, **given: Any
) -> Report:
    """A walk to one broker, and a hold."""
    world = World()
    try:
        login = given.pop("logins", None)
        world.cluster.nodes.append(FakeNode(1, PUBLIC[0], PORT))
        world.cluster.configs |= given.pop("configs", {})
        broker = FakeBroker(world.cluster, 1, sasl=login)
        await world.broker(PUBLIC[0], PORT, broker, given.pop("tls", None))
        prepare(broker)
        security = given.pop("security", Security())
        made = settings(endpoint(), hold=hold, timeout=5.0, answer_timeout=0.5, **given)
        return await walk(made._replace(security=security), world.net, observe)
    finally:
        await world.end()


def ends_silent_ones(end: Callable[[asyncio.StreamWriter], None]) -> Prepare:
    """A broker that ends connections while they are silent."""

    def prepare(broker: FakeBroker) -> None:
        last: dict[object, int] = {}

        def control(_: Request) -> None:
            count = len(broker.requests)
            last[asyncio.current_task()] = count
            for writer, serving in broker._serving.items():
                if count - last.get(serving, count) > FORGOTTEN:
                    end(writer)
                    writer.close()

        broker.control = control

    return prepare


def outcomes(report: Report) -> list[str]:
    assert report.hold
    return [each.outcome for each in report.hold.brokers[0].connections]


def found(report: Report) -> tuple[str, str]:
    """Message and evidence of the only finding, which fails nothing."""
    (finding,) = report.findings
    assert (finding.code, report.exit_code, report.verdict) == ("KD410", 0, "warn")
    return finding.message, "\n".join(finding.evidence)


@pytest.mark.parametrize(
    ("answer", "outcome", "message", "evidence"),
    [
        (HANG_UP, "closed_when_asked", "ends the connection (FIN)", "what a proxy sends"),
        (RESET, "reset_when_asked", "answered with a TCP reset", "has forgotten the connection"),
        (SILENCE, "unanswered", "gets no answer", "acknowledged and not answered"),
    ],
)
async def test_a_request_after_the_silence(
    answer: object, outcome: str, message: str, evidence: str
) -> None:
    report = await held(lambda broker: forgets(broker, answer))
    assert outcomes(report) == ["answered", "answered", outcome]
    said, rests_on = found(report)
    assert said.startswith("After 1 s of silence")
    assert message in said
    assert said.endswith("; after 0.5 s one still answered")
    assert evidence in rests_on
    assert "connections.max.idle.ms is 600000: it is not what ends them" in rests_on
    produce = next(hop for hop in report.hops if hop.hop == "produce")
    assert produce.summary.endswith("2 of 3 silent connections answered, after 0.25 s and 0.5 s")


async def test_fin_and_reset_in_the_silence() -> None:
    closed, cut = await asyncio.gather(
        held(ends_silent_ones(lambda writer: None)), held(ends_silent_ones(reset))
    )
    assert outcomes(closed) == ["answered", "answered", "closed"]
    assert "is closed (FIN)" in found(closed)[0]
    assert outcomes(cut) == ["answered", "answered", "reset"]
    assert "is reset (RST)" in found(cut)[0]
    assert "net.ipv4.tcp_keepalive_time" in str(cut.findings[0].remedies)
    assert "keepalive" not in str(closed.findings[0].remedies), "a proxy does not count these"


async def test_the_brokers_own_limit_and_the_clients_are_no_finding() -> None:
    own, client, beyond = await asyncio.gather(
        held(ends_silent_ones(lambda writer: None), configs={IDLE: "750"}),
        *(
            held(
                lambda broker: forgets(broker, RESET),
                properties={"connections.max.idle.ms": limit},
            )
            for limit in ("500", "9" * 5000)
        ),
    )
    assert own.findings == []
    assert "closed" in outcomes(own)
    assert "as its own connections.max.idle.ms=750 has it" in " ".join(own.notes)
    assert client.findings == []
    assert "connections.max.idle.ms=500 closes it before that" in " ".join(client.notes)
    assert "not used" not in " ".join(client.notes)
    assert [finding.code for finding in beyond.findings] == ["KD410"], "what no long holds"


async def test_a_broker_that_goes_away_proves_nothing_about_silence() -> None:
    def prepare(broker: FakeBroker) -> None:
        def control(_: Request) -> Any:
            if len(broker.requests) > FORGOTTEN:
                for writer in broker._serving:
                    writer.close()
            return None

        broker.control = control

    report = await held(prepare)
    assert report.findings == []
    assert report.hold
    assert not report.hold.brokers[0].watched
    assert "whether silence ends connections is not proven" in " ".join(report.notes)


async def test_a_walk_that_fails_holds_nothing() -> None:
    def prepare(broker: FakeBroker) -> None:
        broker.control = lambda request: None if request.api is API_VERSIONS else HANG_UP

    report = await held(prepare)
    assert report.exit_code
    assert report.hold
    assert report.hold.brokers == []
    assert any(note.startswith("--hold: no connection was held: hop") for note in report.notes)


async def test_over_tls_and_within_the_session_of_a_login() -> None:
    login = Logins({"alice": "wonderland"}, lifetime_ms=1000)
    report = await held(
        lambda broker: None,
        logins=login,
        tls=valid_tls(),
        security=Security("SASL_SSL", tls_client().tls, sasl=Sasl("PLAIN", "alice", "wonderland")),
    )
    assert report.findings == []
    assert outcomes(report) == ["answered", "answered", "session_ends"]
    assert "its sessions end 1 s after the login" in " ".join(report.notes)


async def test_ctrl_c_reports_what_is_known() -> None:
    asked = asyncio.Event()

    def observe(hop: str, summary: str | None) -> None:
        if summary and "the last" not in summary and "asked after" in summary:
            asked.set()  # the second gap is over

    walking = asyncio.create_task(held(lambda broker: None, hold=2.0, observe=observe))
    await asyncio.wait_for(asked.wait(), ENOUGH)
    walking.cancel()
    report = await walking
    assert (report.exit_code, report.interrupted) == (130, True)
    assert outcomes(report)[0] == "answered"
    assert outcomes(report)[-1] == "not_asked"


def test_the_command_says_what_it_waits_for_and_ends_by_ctrl_c(brokers: Brokers) -> None:
    brokers.three()
    with started("check", brokers.bootstrap, "--hold", "10m") as process:
        assert process.stderr
        line = process.stderr.readline()
        assert line.startswith("kdiag: holding: silent connections are asked after 60 s, the last")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=ENOUGH)
    assert process.returncode == 130, (out, err)
    assert err == ""
    assert "3 of 3 brokers answered" in out


def test_elsewhere_it_is_refused() -> None:
    done = kdiag("check", "127.0.0.1:1", "--hold", "1m", "--from", "ssh://app")
    assert done.returncode == 2
    assert "--hold keeps connections from this machine" in done.stderr
    assert kdiag("check", "127.0.0.1:1", "--hold", "0").returncode == 2

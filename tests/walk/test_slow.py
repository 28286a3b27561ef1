"""Slow, throttled, limited: what a real client waits for is no failure; silence is, and costs one
answer's time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kdiag.demo.broker import HANG_UP, SILENCE
from kdiag.demo.logins import Logins, Refused, Steps
from kdiag.demo.world import PORT, PUBLIC, World
from kdiag.kafka.connection import MAX_THROTTLE
from kdiag.kafka.messages import (
    API_VERSIONS,
    DESCRIBE_CONFIGS,
    METADATA,
    PRODUCE,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
    Api,
    Request,
)
from kdiag.network.attempt import Failure
from kdiag.walk import handshake
from tests import peers
from tests.collected import PLAINTEXT, collect_facts

PATIENT = 1.2  # seconds for one answer, and more than a busy machine adds to a DELAY
DELAY = 0.5  # of an answer: three in a row take longer than PATIENT
PLAIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "bob",
    "sasl.password": "bob-secret",
}


def takes(seconds: float, *apis: Api) -> Callable[[Request], float]:
    return lambda request: seconds if not apis or request.api in apis else 0.0


async def test_each_answer_has_its_own_time(world: World) -> None:
    """A broker serves a connection one request at a time: four that were sent at once are answered
    one after the other, the last one long after its time-out, were it counted from the start."""
    await world.three()
    world.brokers[2].delay = takes(DELAY)
    found = await collect_facts(world, timeout=PATIENT)
    assert len(found.listeners.reached) == 3
    assert found.produced(2).answered
    dial = found.listener(2).contact.dials[0]
    assert all(DELAY <= attempt.elapsed < PATIENT for attempt in dial.attempts[1:])
    assert DELAY <= found.produced(2).large.elapsed < PATIENT


async def test_a_slow_login_is_a_login(world: World) -> None:
    """A login may take longer than another answer; and nobody asks such a peer in another language
    meanwhile: it has answered as Kafka does."""
    await world.three(sasl=Logins({"bob": "bob-secret"}))
    for one in world.brokers.values():
        one.delay = takes(1.4 * PATIENT, SASL_HANDSHAKE, SASL_AUTHENTICATE)
    found = await collect_facts(world, timeout=PATIENT, properties=PLAIN)
    assert len(found.listeners.reached) == 3
    sasl = found.listener(2).contact.dials[0].attempts[2]
    assert sasl.layer == "sasl"
    assert sasl.elapsed >= 2 * 1.4 * PATIENT
    assert [world.brokers[node].connections for node in (1, 2, 3)] == [1, 1, 1]


@pytest.mark.parametrize("api", [API_VERSIONS, METADATA])
async def test_silent_brokers_cost_one_answer_however_many(world: World, api: Api) -> None:
    await world.three()
    for one in world.brokers.values():
        one.control = lambda request: SILENCE if request.api in (METADATA, api) else None
    clock = asyncio.get_running_loop()
    started = clock.time()
    found = await collect_facts(world, timeout=PATIENT, properties={})
    assert PATIENT <= clock.time() - started < 2 * PATIENT
    failure = (
        found.bootstrap.contacts[0].dials[0].failed
        if api is API_VERSIONS
        else found.metadata.answers[0]
    )
    assert failure
    assert failure.failure is Failure.SILENT
    assert failure.detail == f"no answer within {PATIENT:g} s"


MUTED = 800  # milliseconds: as long as the rest of an answer's time is short


async def test_a_quota_mutes_the_connection_and_that_is_waited_for(world: World) -> None:
    await world.three()
    world.brokers[2].quota = lambda request: MUTED if request.api in (METADATA, PRODUCE) else 0
    world.brokers[2].delay = takes(DELAY, DESCRIBE_CONFIGS, PRODUCE)
    found = await collect_facts(world, timeout=PATIENT)
    assert MUTED / 1000 + DELAY > PATIENT
    assert found.listener(2).contact.usable
    assert found.produced(2).answered
    assert found.produced(2).small.throttle_ms == MUTED
    assert found.produced(2).large.elapsed < PATIENT


async def test_a_quota_that_mutes_for_too_long_is_not_waited_for(world: World) -> None:
    await world.three()
    long = int(MAX_THROTTLE * 1000) + 1
    world.brokers[2].quota = lambda request: long if request.api is PRODUCE else 0
    found = await collect_facts(world, timeout=PATIENT)
    small, large = found.produced(2).small, found.produced(2).large
    assert (small.failure, small.throttle_ms) == (None, long)
    assert large.failure is Failure.THROTTLED
    assert large.detail == "not waited for: a quota mutes the connection for 15.001 s"


async def test_a_proxy_that_hangs_up_on_a_side_question_is_asked_without_it(world: World) -> None:
    await world.three()
    for one in world.brokers.values():
        one.control = lambda request: HANG_UP if request.api is DESCRIBE_CONFIGS else None
    found = await collect_facts(world)
    assert len(found.listeners.reached) == 3
    dial = found.listener(1).contact.dials[0]
    assert (dial.answered_as, dial.cluster_id) == (None, world.cluster.id)
    assert all(produced.answered for produced in found.produce.produced)
    asked = [r.api for r in world.brokers[2].requests]
    assert asked.count(DESCRIBE_CONFIGS) == 1


class Limited(Logins):
    """A cluster that takes a login only so often, in Amazon MSK's words."""

    refusals = 1

    def steps(self, mechanism: str) -> Steps:
        if self.refusals <= 0:
            return super().steps(mechanism)
        self.refusals -= 1
        refusing = self._limit()
        next(refusing)
        return refusing

    def _limit(self) -> Steps:
        yield b""
        raise Refused("[8e2b7b1e-a9d4]: Too many connects")


async def test_a_login_that_a_connection_limit_refuses_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "_BACKOFF", 0.01)
    await world.three(sasl=Limited({"bob": "bob-secret"}))
    found = await collect_facts(world, properties=PLAIN)
    assert len(found.listeners.reached) == 3
    assert all(produced.answered for produced in found.produce.produced)


async def test_a_connection_limit_that_stays_is_no_wrong_password(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "_BACKOFF", 0.01)
    logins = Limited({"bob": "bob-secret"})
    logins.refusals = 99
    await world.three(sasl=logins)
    found = await collect_facts(world, properties=PLAIN)
    failed = found.bootstrap.contacts[0].failed
    assert failed
    assert failed.layer == "sasl"
    assert failed.detail.endswith("Too many connects")
    assert logins.refusals == 99 - handshake._TRIES
    assert not logins.attempts, "no password was judged"


async def test_a_broker_at_its_most_connections_closes_a_new_one(world: World) -> None:
    await world.three()
    world.brokers[2].most = 0
    found = await collect_facts(world, properties=PLAINTEXT)
    failed = found.listener(2).contact.failed
    assert failed
    assert failed.failure in (Failure.CLOSED, Failure.RESET)
    assert [x.contact.usable for x in found.listeners.listeners] == [True, False, True]


async def test_a_stranger_that_waits_for_its_own_language_is_named_before_that_time_is_over(
    world: World,
) -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1) == b"G":
            writer.write(peers.HTTP)
        await peers.silent(reader, writer)

    await world.server(PUBLIC[0], PORT, web)
    clock = asyncio.get_running_loop()
    started = clock.time()
    long = 8.0
    found = await collect_facts(world, timeout=long, properties={})
    assert clock.time() - started < long, "half of it, and what the answer takes"
    failed = found.bootstrap.contacts[0].failed
    assert failed
    assert failed.failure is Failure.NOT_KAFKA

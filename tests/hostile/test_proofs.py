"""Brokers that ask for much work: SCRAM iterations are the broker's choice, and done beside it."""

from __future__ import annotations

import asyncio
import base64
import secrets
from dataclasses import dataclass

from kdiag.api import walk
from kdiag.config.settings import settings
from kdiag.demo.broker import FakeBroker, FakeNode
from kdiag.demo.logins import Logins, Refused, Steps
from kdiag.demo.world import PORT, PUBLIC, World, endpoint
from kdiag.kafka.sasl.mechanisms import MAX_ITERATIONS
from tests.hostile.walking import holds

USERS = {"bob": "bob-secret"}
LOGIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "SCRAM-SHA-256",
    "sasl.username": "bob",
    "sasl.password": "bob-secret",
}
GREEDY = 30


@dataclass
class Greedy(Logins):
    """Asks for as much work as it may, with a salt of its own each time, and refuses the proof."""

    asked: int = 0
    proofs: int = 0
    ticks: int = 0
    since: int = 0  # turns of the loop before the first challenge

    def _scram(self, digest: str) -> Steps:
        first = (yield b"").decode()
        nonce = first.removeprefix("n,,").split(",")[1] + secrets.token_urlsafe(18)
        salt = base64.b64encode(secrets.token_bytes(16)).decode()
        self.asked += 1
        self.since = self.since or self.ticks
        yield f"{nonce},s={salt},i={MAX_ITERATIONS}".encode()
        self.proofs += 1
        raise Refused


async def _among(greedy: Greedy, deadline: float) -> None:
    world = World()
    asked = settings(endpoint(), properties=LOGIN, timeout=5.0, deadline=deadline)

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.001)
            greedy.ticks += 1

    ticking = asyncio.ensure_future(tick())
    try:
        for node in range(1, GREEDY + 1):
            world.cluster.nodes.append(FakeNode(node, PUBLIC[0], PORT + node - 1))
            logins = Logins(USERS) if node == 1 else greedy
            broker = FakeBroker(world.cluster, node, sasl=logins)
            await world.broker(PUBLIC[0], PORT + node - 1, broker)
        holds(await walk(asked, world.net, lambda hop, summary: None))
    finally:
        ticking.cancel()
        await world.end()


async def test_the_loop_and_the_deadline_do_not_wait_for_proofs() -> None:
    greedy = Greedy()
    await _among(greedy, 2.0)
    assert greedy.asked == GREEDY - 1
    assert greedy.ticks - greedy.since > 200, "the loop stood still"
    assert greedy.proofs < GREEDY / 2, "the work of all of them takes several seconds"

"""Runs the hops in a small world on loopback, and hands out the facts that each gathered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdiag.config.settings import settings
from kdiag.demo.world import World, endpoint
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.hop import Walk
from kdiag.walk.hops import HOPS
from kdiag.walk.listeners import Listener, Listeners
from kdiag.walk.metadata import Metadata
from kdiag.walk.produce import BrokerProduce, Produce

PLAINTEXT = {"security.protocol": "PLAINTEXT"}  # as asked for: nothing else is tried


@dataclass(frozen=True)
class Gathered:
    """The facts of the hops that ran, by their type; asking for one that did not run fails."""

    facts: Mapping[type, Any] = field(default_factory=dict)

    @property
    def bootstrap(self) -> Bootstrap:
        found: Bootstrap = self.facts[Bootstrap]
        return found

    @property
    def metadata(self) -> Metadata:
        found: Metadata = self.facts[Metadata]
        return found

    @property
    def listeners(self) -> Listeners:
        found: Listeners = self.facts[Listeners]
        return found

    @property
    def produce(self) -> Produce:
        found: Produce = self.facts[Produce]
        return found

    def listener(self, node: int) -> Listener:
        """One broker's facts of hop 3."""
        return next(x for x in self.listeners.listeners if x.broker.node == node)

    def produced(self, node: int) -> BrokerProduce:
        """One broker's facts of hop 4."""
        return next(p for p in self.produce.produced if p.node == node)


async def gather(
    world: World,
    bootstrap: str = endpoint(),
    *,
    until: str = "produce",
    topic: str | None = None,
    timeout: float = 5.0,
    mapped: Sequence[str] = (),
    properties: Mapping[str, str] = PLAINTEXT,
    capacity: int | None = None,
) -> Gathered:
    """Runs the hops up to `until`, each as long as what it needs is known, without any judging."""
    asked = settings(
        bootstrap,
        topic=topic,
        timeout=timeout,
        answer_timeout=timeout,
        mapped=mapped,
        properties=properties,
    )
    net = world.net(asked)
    net.capacity = capacity or net.capacity
    walk = Walk(asked, net)
    facts: dict[type, Any] = {}
    try:
        for hop in HOPS:
            if all(need in facts for need in hop.needs):
                found = await hop.gather(walk, *(facts[need] for need in hop.needs))
                if found is not None:
                    facts[hop.gives] = found
            if hop.id == until:
                break
    finally:
        await net.close()
    return Gathered(facts)

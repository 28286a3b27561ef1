"""Runs the hops in a small world on loopback, and returns the facts of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdiag.config.settings import settings
from kdiag.demo.world import World, endpoint
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, Listeners
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import BrokerProduce, Produce
from kdiag.walk.hop import walk_context
from kdiag.walk.hops import HOPS

PLAINTEXT = {"security.protocol": "PLAINTEXT"}  # as asked for: nothing else is tried


@dataclass(frozen=True)
class CollectedFacts:
    """The facts of the hops that ran, by their type; asking for one that did not run fails."""

    facts: Facts

    @property
    def bootstrap(self) -> Bootstrap:
        return self.facts[Bootstrap]

    @property
    def metadata(self) -> Metadata:
        return self.facts[Metadata]

    @property
    def listeners(self) -> Listeners:
        return self.facts[Listeners]

    @property
    def produce(self) -> Produce:
        return self.facts[Produce]

    def listener(self, node: int) -> Listener:
        """One broker's facts of hop 3."""
        return next(x for x in self.listeners.listeners if x.broker.node == node)

    def produced(self, node: int) -> BrokerProduce:
        """One broker's facts of hop 4."""
        return next(p for p in self.produce.produced if p.node == node)


async def collect_facts(
    world: World,
    bootstrap: str = endpoint(),
    *,
    until: str = "produce",
    topic: str | None = None,
    timeout: float = 5.0,
    mapped: Sequence[str] = (),
    properties: Mapping[str, str] = PLAINTEXT,
    capacity: int | None = None,
) -> CollectedFacts:
    """Runs the hops up to `until` whose needed facts are known; applies no rule."""
    checked = settings(
        bootstrap,
        topic=topic,
        timeout=timeout,
        answer_timeout=timeout,
        mapped=mapped,
        properties=properties,
    )
    net = world.net(checked)
    net.capacity = capacity or net.capacity
    walk, facts = walk_context(checked, net), Facts()
    try:
        for hop in HOPS:
            if hop.ready(facts) and (found := await hop.run(walk, facts)) is not None:
                facts = facts.adding(found)
            if hop.id == until:
                break
    finally:
        await net.close()
    return CollectedFacts(facts)

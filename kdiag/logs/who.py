"""Whom a line is about: every client names connections in a way of its own."""

from __future__ import annotations

import re
from functools import lru_cache

from kdiag.logs.facts import Who

_AT = r"(?P<at>(?:\[[0-9a-fA-F:.%]+\]|[\w.-]+):\d{1,5})"
_COORDINATOR = 2_147_483_647  # Java's node id of a group's coordinator, less the broker's own
_MOST_NODES = 1_000_000

# The first that fits. `node` may say that it is a bootstrap server: bootstrap, seed_0, -1.
_NAMED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_AT}/(?P<node>bootstrap|\d+)\b",  # librdkafka
        rf"GroupCoordinator(?:/\d+)?: {_AT}(?P<node>)",
        rf"node_id=(?P<node>bootstrap|\d+)(?:-\d+)? host=\[?{_AT}",  # kafka-python
        rf"(?:node_id|to) (?P<node>bootstrap|\d+)(?:-\d+)? at {_AT}",
        r"(?:node_id=|[Bb]ootstrap (?:connection to |attempt to )?)(?P<node>bootstrap|\d+)",
        r"node (?P<node>-?\d+) \((?P<name>[\w.-]*)/(?P<ip>[\w.:%-]*):(?P<port>\d+)\)",  # Java
        r"[Nn]ode (?P<name>[\w.:-]+):(?P<port>\d+) \(id: (?P<node>-?\d+)",
        r"[Bb]roker (?P<name>[\w.:-]+):(?P<port>\d+) \(id: (?P<node>-?\d+)",
        rf"addr: {_AT}, broker: (?P<node>seed|\d+)",  # franz-go
        r"broker: (?P<node>seed|\d+)",
        rf"broker #(?P<node>\d+) at {_AT}",  # sarama
        rf"to broker at {_AT} \((?:registered as #)?(?P<node>\d+|unregistered)\)",
        rf"(?:to|[Ff]rom|with|of) (?:broker )?{_AT}(?P<node>)(?=[:\s]|$)",
        r"from broker (?P<node>-?\d+) while",
        r"producer/broker/(?P<node>\d+)",
        rf'"broker":"{_AT}"(?P<node>)',  # kafkajs
        r"\[(?P<node>BrokerPool)\]",
        r"node with id (?P<node>\d+)",  # aiokafka
        rf'(?P<node>Unable connect to|request metadata from) "{_AT}"',
        r"channelId=(?P<node>-?\d+)\)",  # Java again
        r"[Nn]ode (?P<node>-?\d+)\b",
        r"node_id (?P<node>\d+)",
    )
)
_FIRST = {"bootstrap", "seed", "unregistered", "BrokerPool", "Unable connect to"}
_FIRST |= {"request metadata from"}


@lru_cache(maxsize=4096)
def who(text: str) -> Who:
    """The connection that a line is about, as far as it tells."""
    for named in _NAMED:
        found = named.search(text)
        if found is None:
            continue
        said = found.groupdict()
        at = said.get("at") or ""
        if not at and said.get("port"):
            host = said.get("name") or said.get("ip") or ""
            at = f"[{host}]:{said['port']}" if ":" in host else f"{host}:{said['port']}"
        return _placed(said["node"] or "", at.strip())
    return Who()


def _placed(node: str, at: str) -> Who:
    if node in _FIRST:
        return Who("bootstrap", None, at)
    if not node:
        return Who("", None, at)
    number = int(node)
    if number < 0:
        return Who("bootstrap", None, at)
    if number > _COORDINATOR - _MOST_NODES:
        number = _COORDINATOR - number
    return Who("listeners", number, at)

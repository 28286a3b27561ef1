"""Whom a line is about: every client names connections in a way of its own."""

from __future__ import annotations

import re
from functools import lru_cache

from kdiag.logs.facts import LogConnection

# It begins where a word does, and has an end: a line may be all digits.
_AT = r"(?<![\w.-])(?P<at>(?:\[[0-9a-fA-F:.%]{2,60}\]|[\w.-]{1,255}):\d{1,5})"
_N = r"\d{1,10}"
_COORDINATOR = 2_147_483_647  # Java's node id of a group's coordinator, less the broker's own
_MOST_NODES = 1_000_000

# The first that fits. `node` may say that it is a bootstrap server: bootstrap, seed_0, -1.
_NAMED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_AT}/(?P<node>bootstrap|{_N})\b",  # librdkafka
        rf"GroupCoordinator(?:/{_N})?: {_AT}(?P<node>)",
        rf"node_id=(?P<node>bootstrap|{_N})(?:-{_N})? host=\[?{_AT}",  # kafka-python
        rf"(?:node_id|to) (?P<node>bootstrap|{_N})(?:-{_N})? at {_AT}",
        rf"(?:node_id=|[Bb]ootstrap (?:connection to |attempt to )?)(?P<node>bootstrap|{_N})",
        rf"node (?P<node>-?{_N}) \((?P<name>[\w.-]{{0,255}})/"  # Java
        rf"(?P<ip>[\w.:%-]{{0,255}}):(?P<port>{_N})\)",
        rf"[Nn]ode (?P<name>[\w.:-]{{1,255}}):(?P<port>{_N}) \(id: (?P<node>-?{_N})",
        rf"[Bb]roker (?P<name>[\w.:-]{{1,255}}):(?P<port>{_N}) \(id: (?P<node>-?{_N})",
        rf"addr: {_AT}, broker: (?P<node>seed|{_N})",  # franz-go
        rf"broker: (?P<node>seed|{_N})",
        rf"broker #(?P<node>{_N}) at {_AT}",  # sarama
        rf"to broker at {_AT} \((?:registered as #)?(?P<node>{_N}|unregistered)\)",
        rf"(?:to|[Ff]rom|with|of) (?:broker )?{_AT}(?P<node>)(?=[:\s]|$)",
        rf"from broker (?P<node>-?{_N}) while",
        rf"producer/broker/(?P<node>{_N})",
        rf'"broker":"{_AT}"(?P<node>)',  # kafkajs
        r"\[(?P<node>BrokerPool)\]",
        rf"node with id (?P<node>{_N})",  # aiokafka
        rf'(?P<node>Unable connect to|request metadata from) "{_AT}"',
        rf"channelId=(?P<node>-?{_N})\)",  # Java again
        rf"[Nn]ode (?P<node>-?{_N})\b",
        rf"node_id (?P<node>{_N})",
    )
)
_FIRST = {"bootstrap", "seed", "unregistered", "BrokerPool", "Unable connect to"}
_FIRST |= {"request metadata from"}


@lru_cache(maxsize=4096)
def connection_of(text: str) -> LogConnection:
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
    return LogConnection()


def _placed(node: str, at: str) -> LogConnection:
    if node in _FIRST:
        return LogConnection("bootstrap", None, at)
    if not node:
        return LogConnection("", None, at)
    number = int(node)
    if number < 0:
        return LogConnection("bootstrap", None, at)
    if number > _COORDINATOR - _MOST_NODES:
        number = _COORDINATOR - number
    return LogConnection("listeners", number, at)

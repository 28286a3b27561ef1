"""Finds the connection that a log line is about.

Every client formats node ids and addresses differently.
"""

from __future__ import annotations

import re
from functools import lru_cache

from kdiag.logs.facts import LogConnection

# The repeats have limits: a line may contain megabytes of digits.
_ADDRESS = r"(?<![\w.-])(?P<address>(?:\[[0-9a-fA-F:.%]{2,60}\]|[\w.-]{1,255}):\d{1,5})"
_N = r"\d{1,10}"
# Java gives the group coordinator of broker N the node id 2147483647 - N.
_COORDINATOR = 2_147_483_647
_MAX_NODE = 1_000_000

# The first match counts. `node` is a node id, or marks a bootstrap server: bootstrap, seed, -1.
_FORMATS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_ADDRESS}/(?P<node>bootstrap|{_N})\b",  # librdkafka
        rf"GroupCoordinator(?:/{_N})?: {_ADDRESS}(?P<node>)",
        rf"node_id=(?P<node>bootstrap|{_N})(?:-{_N})? host=\[?{_ADDRESS}",  # kafka-python
        rf"(?:node_id|to) (?P<node>bootstrap|{_N})(?:-{_N})? at {_ADDRESS}",
        rf"(?:node_id=|[Bb]ootstrap (?:connection to |attempt to )?)(?P<node>bootstrap|{_N})",
        rf"node (?P<node>-?{_N}) \((?P<name>[\w.-]{{0,255}})/"  # Java
        rf"(?P<ip>[\w.:%-]{{0,255}}):(?P<port>{_N})\)",
        rf"[Nn]ode (?P<name>[\w.:-]{{1,255}}):(?P<port>{_N}) \(id: (?P<node>-?{_N})",
        rf"[Bb]roker (?P<name>[\w.:-]{{1,255}}):(?P<port>{_N}) \(id: (?P<node>-?{_N})",
        rf"addr: {_ADDRESS}, broker: (?P<node>seed|{_N})",  # franz-go
        rf"broker: (?P<node>seed|{_N})",
        rf"broker #(?P<node>{_N}) at {_ADDRESS}",  # sarama
        rf"to broker at {_ADDRESS} \((?:registered as #)?(?P<node>{_N}|unregistered)\)",
        rf"(?:to|[Ff]rom|with|of) (?:broker )?{_ADDRESS}(?P<node>)(?=[:\s]|$)",
        rf"from broker (?P<node>-?{_N}) while",
        rf"producer/broker/(?P<node>{_N})",
        rf'"broker":"{_ADDRESS}"(?P<node>)',  # kafkajs
        r"\[(?P<node>BrokerPool)\]",
        rf"node with id (?P<node>{_N})",  # aiokafka
        rf'(?P<node>Unable connect to|request metadata from) "{_ADDRESS}"',
        rf"channelId=(?P<node>-?{_N})\)",  # Java
        rf"[Nn]ode (?P<node>-?{_N})\b",
        rf"node_id (?P<node>{_N})",
    )
)
_BOOTSTRAP_NODES = {"bootstrap", "seed", "unregistered", "BrokerPool", "Unable connect to"}
_BOOTSTRAP_NODES |= {"request metadata from"}


@lru_cache(maxsize=4096)
def connection_of(text: str) -> LogConnection:
    """The connection that a line is about; fields that the line does not contain stay empty."""
    for connection_format in _FORMATS:
        match = connection_format.search(text)
        if match is None:
            continue
        groups = match.groupdict()
        address = groups.get("address") or ""
        if not address and groups.get("port"):
            host = groups.get("name") or groups.get("ip") or ""
            address = f"[{host}]:{groups['port']}" if ":" in host else f"{host}:{groups['port']}"
        return _connection(groups["node"] or "", address.strip())
    return LogConnection()


def _connection(node: str, address: str) -> LogConnection:
    """The connection with the node id and the address of a line."""
    if node in _BOOTSTRAP_NODES:
        return LogConnection("bootstrap", None, address)
    if not node:
        return LogConnection("", None, address)
    number = int(node)
    if number < 0:
        return LogConnection("bootstrap", None, address)
    if number > _COORDINATOR - _MAX_NODE:
        number = _COORDINATOR - number
    return LogConnection("listeners", number, address)

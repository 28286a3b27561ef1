"""Finds the connection that a log line is about: the hop, the broker, the address.

Every client formats node ids and addresses differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from kdiag.logs.facts import BETWEEN_BROKERS, LogConnection

# The repeats have limits: a line may contain megabytes of digits.
_HOST = r"(?:\[[0-9a-fA-F:.%]{2,60}\]|[\w.-]{1,255})"
_ADDRESS = rf"(?<![\w.-])(?P<address>{_HOST}:\d{{1,5}})"
_N = r"\d{1,10}"
_ID = rf"(?P<node>-?{_N})"
# Java gives the group coordinator of broker N the node id 2147483647 - N.
_COORDINATOR = 2_147_483_647
_MAX_NODE = 1_000_000

# The first match counts. `node` is a node id, or marks a bootstrap server: bootstrap, seed, -1.
_FORMATS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_ADDRESS}/(?P<node>bootstrap|{_N})\b",  # librdkafka
        rf"GroupCoordinator(?:/{_N})?: {_ADDRESS}(?P<node>)",
        # kafka-python
        rf"node_id=(?P<node>bootstrap|coordinator|{_N})(?:-{_N})? host=\[?{_ADDRESS}",
        rf"node_id=(?P<node>bootstrap|coordinator|{_N})(?:-{_N})? "
        rf"host=(?P<name>[\w.-]{{1,255}})(?:/(?P<ip>[\w.:]{{0,60}}))? port=(?P<port>{_N})",
        rf"<BrokerConnection(?P<node>) host=(?P<name>[\w.-]{{1,255}})/(?P<ip>\S{{0,60}}) "
        rf"port=(?P<port>{_N})",
        rf"(?:node_id|to|[Nn]ode) (?P<node>bootstrap|-?{_N})(?:-{_N})? at {_ADDRESS}",
        rf"(?P<node>bootstrap) via node at {_ADDRESS}",
        rf"(?:node_id=|[Bb]ootstrap (?:connection to |attempt to )?)(?P<node>bootstrap|{_N})",
        rf"[Nn]ode {_ID} \((?P<name>[\w.-]{{0,255}})/"  # Java
        rf"(?P<ip>[\w.:%-]{{0,255}}):(?P<port>{_N})\)",
        rf"(?:[Nn]ode|[Bb]roker|[Cc]oordinator) (?P<name>[\w.:-]{{1,255}}):(?P<port>{_N}) "
        rf"\(id: {_ID}",
        rf"(?P<node>Bootstrap broker) {_ADDRESS}",
        rf"(?<![\w.-])(?P<name>[\w.-]{{1,255}}):(?P<port>{_N}) \(id: {_ID} rack",
        rf"addr: {_ADDRESS}, broker: (?P<node>seed|-?{_N})",  # franz-go
        rf'\baddr"?[=:] ?"?{_ADDRESS}"?.{{0,40}}?\bbroker"?[=:] ?"?(?P<node>seed|-?{_N})',
        rf'\bbroker(?:_id)?"?[=:] ?"?(?P<node>seed|-?{_N}).{{0,40}}?\baddr"?[=:] ?"?{_ADDRESS}',
        rf"\bbroker: (?P<node>seed|-?{_N})(?![\d.:])",
        rf"\bbroker=(?P<node>seed|-?{_N})(?![\d.:])",
        rf'"broker(?:_id)?": ?"?(?P<node>seed|-?{_N})["_,}}]',
        rf"broker #(?P<node>{_N}) at {_ADDRESS}",  # sarama
        rf"from broker {_ID} while",
        rf"to broker at {_ADDRESS} \((?:registered as #)?(?P<node>{_N}|unregistered)\)",
        rf"(?P<node>seed) broker {_ADDRESS}",
        rf"(?:from|to|with) (?P<node>kafka(?:\+ssl)?://){_ADDRESS}",  # ruby-kafka's seed brokers
        rf"^\s*-? ?(?P<node>kafka(?:\+ssl)?://){_ADDRESS}",
        rf"(?:to|[Ff]rom|with|of) (?:broker )?{_ADDRESS}(?P<node>)(?=[:,\s]|$)",
        rf"(?:producer|consumer)/broker/(?P<node>{_N})",
        rf"""['"]?broker['"]?: ?['"]{_ADDRESS}['"](?P<node>)""",  # kafkajs
        rf"node with id (?P<node>{_N})",  # aiokafka
        rf'(?P<node>Unable connect to|request metadata from) "{_ADDRESS}"',
        rf'\{{(?:<<)?"(?P<name>[\w.-]{{1,255}})"(?:>>)?, ?(?P<port>{_N})\}}(?P<node>)',  # brod
        rf"channelId=(?P<node>-?{_N})\)",  # Java
        rf"[Nn]ode (?P<node>-?{_N})\b(?!\.\d|:)",
        rf"node_id (?P<node>{_N})",
    )
)
_BOOTSTRAP_NODES = {
    "bootstrap",
    "seed",
    "unregistered",
    "Unable connect to",
    "kafka://",
    "kafka+ssl://",
}
_BOOTSTRAP_NODES |= {"request metadata from", "Bootstrap broker"}

# The name of a thread of librdkafka, which keeps the address by which the broker was first known.
_THREAD = re.compile(r"\[thrd:(?:[^][]|\[[^][]{0,60}\]){0,300}\](?=: \S)")

# Text that only a connection to a broker of the metadata has.
_OF_A_BROKER = re.compile(
    r"[Ff]ailed to deliver \d+ messages"
    r"|kafka\.\(\*Client\)\.(?:Produce|Fetch|OffsetCommit|OffsetFetch|JoinGroup|SyncGroup|Heartbeat)\b"
    r"|[Ff]ailed to produce message to topic|[Ff]ailed to send messages? to (?:topic|partition)"
    r"|[Jj]oin group session|partition leader|to the leader|leader broker"
    r"|(?:[Gg]roup|[Tt]ransaction) ?[Cc]oordinator|coordinator-\d|consumer/broker/\d"
    r"|producer/(?:leader|broker)/|error while consuming \S+/\d|Failed to send data to Kafka"
    r"|connect to (?:leader for|broker \S+ \(node_id)"
    r"|state change to \[(?:retrying|closing)|Failed to connect to broker, reconnecting"
)
_OF_A_BOOTSTRAP_SERVER = re.compile(
    r"seed brokers?\b|client has run out of available brokers to talk to"
)

# Connections of brokers and controllers to each other.
_OF_BROKERS = re.compile(
    r"RaftManager|KafkaRaftClient|raft-client|\[(?:Broker|Node)ToController|ToControllerChannelManager"
    r"|\[ReplicaFetcher|ReplicaFetcherThread|ReplicaFetcherManager|\[Controller (?:id=|\d)"
    r"|RequestSendThread|ControllerChannelManager|targetBrokerId|TransactionMarkerChannelManager"
    r"|InterBrokerSendThread|\[ReplicaManager|broker-\d+-to-controller|quorum-controller"
    r"|\[BrokerLifecycleManager|KafkaRaftManager|controller\.quorum"
)

# What metadata says of brokers, in the lines that show it: node id and address.
_ADVERTISED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"node_id=(?P<node>{_N}), ?host=u?'(?P<name>[\w.-]{{1,255}})', ?port=(?P<port>{_N})",
        # ruby-kafka
        rf"(?<![\w.-])(?P<name>[\w.-]{{1,255}}):(?P<port>{_N}) \(node_id=(?P<node>{_N})\)",
        rf"Broker #{_N}/{_N}: (?P<name>\S{{1,255}}):(?P<port>{_N}) NodeId (?P<node>{_N})",
        rf"\bbroker (?P<node>{_N}) at (?P<name>[\w.-]{{1,255}}):(?P<port>{_N})",  # kcat -L
        rf"registered new broker #(?P<node>{_N}) at (?P<name>[\w.-]{{1,255}}):(?P<port>{_N})",
        rf'"nodeId":(?P<node>{_N}),"host":"(?P<name>[\w.-]{{1,255}})","port":(?P<port>{_N})',
    )
)


@lru_cache(maxsize=4096)
def connection_of(text: str) -> LogConnection:
    """The connection that a line is about; fields that the line does not contain stay empty."""
    found = _named(_THREAD.sub("", text))
    if not found.address and "[thrd:" in text:
        thread = _named(text)
        found = thread if not found.hop else found
    if _OF_BROKERS.search(text):
        return LogConnection(BETWEEN_BROKERS, found.node, found.address)
    of_bootstrap = bool(_OF_A_BOOTSTRAP_SERVER.search(text))
    if not found.hop and of_bootstrap != of_a_broker(text):
        hop = "bootstrap" if of_bootstrap else "listeners"
        return LogConnection(hop, found.node, found.address)
    return found


def of_a_broker(text: str) -> bool:
    """Whether a line has text that only a connection to a broker of the metadata has."""
    return bool(_OF_A_BROKER.search(text))


def _named(text: str) -> LogConnection:
    for connection_format in _FORMATS:
        match = connection_format.search(text)
        if match is None:
            continue
        groups = match.groupdict()
        address = groups.get("address") or ""
        if not address and groups.get("port"):
            address = _joined(groups.get("name") or groups.get("ip") or "", groups["port"] or "")
        return _connection(groups["node"] or "", address.strip())
    return LogConnection()


def advertised(text: str) -> Iterator[tuple[int, str]]:
    """Node ids and addresses of brokers in a line that shows metadata."""
    for pattern in _ADVERTISED:
        for match in pattern.finditer(text):
            yield int(match["node"]), _joined(match["name"], match["port"])


def _joined(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _connection(node: str, address: str) -> LogConnection:
    """The connection with the node id and the address of a line."""
    if node in _BOOTSTRAP_NODES:
        return LogConnection("bootstrap", None, address)
    if node == "coordinator":
        return LogConnection("listeners", None, address)
    if not node:
        return LogConnection("", None, address)
    number = int(node)
    if number < 0:
        return LogConnection("bootstrap", None, address)
    if number > _COORDINATOR - _MAX_NODE:
        number = _COORDINATOR - number
    return LogConnection("listeners", number, address)

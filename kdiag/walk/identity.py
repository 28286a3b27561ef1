"""Finds out which broker of which cluster answers at an advertised address.

DescribeConfigs names the broker that answers, and needs a right that few clients have. Where it
proves nothing, or names another broker, two more requests show what clients get there: ApiVersions
5 (KIP-1242), which needs no right, and ListOffsets of a partition that the broker leads by the
metadata.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from kdiag.config.record import NamedTuple
from kdiag.kafka.codec import Body, WireError
from kdiag.kafka.connection import KafkaConnection, Reply
from kdiag.kafka.errors import error_name
from kdiag.kafka.messages import (
    API_VERSIONS,
    CLIENT_ID,
    DESCRIBE_CONFIGS,
    LIST_OFFSETS,
    MAX_FRAME,
    METADATA,
    Api,
    Question,
    decode_response,
    mentions,
)
from kdiag.network.attempt import AddressResult, Failure, LayerResult
from kdiag.text import whole_number
from kdiag.walk.facts.metadata import Broker, Metadata
from kdiag.walk.hop import Walk
from kdiag.walk.internal_topics import KRAFT, ZOOKEEPER
from kdiag.walk.questions import (
    ALL_TOPICS,
    broker_configs,
    by_partition,
    configs,
    metadata_question,
    offsets_body,
    who_answered,
)

MAX_PARTITIONS, MAX_SHARING = 3, 8  # of each broker, and brokers of one address: in one request

_NODE_CONFIGS = ("node.id", "broker.id")
_NOT_ALLOWED = ("CLUSTER_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED")
_NAMES_A_NODE = 5  # the version of ApiVersions from which on it does
_NOT_LEADER = "NOT_LEADER_OR_FOLLOWER"
_DIGITS = 10  # of an int, which node ids and counts of replicas are

# Node id → partitions that it leads: (topic, number), a few of each.
Leads = Mapping[int, Sequence[tuple[str, int]]]


class IdentityAnswer(NamedTuple):
    """What a peer says of itself: its cluster id, and its node id or the error instead of it
    (`denied`). `elapsed` is in seconds; `failure` is why there is no Metadata response.
    `settings` are further settings of the broker, as far as they may be asked."""

    elapsed: float
    cluster_id: str | None = None
    node: int | None = None
    denied: str = ""
    failure: Failure | None = None
    detail: str = ""
    settings: Mapping[str, str] = MappingProxyType({})


class IdentityProof(NamedTuple):
    """What clients get at an address: the fields of AddressResult with the same names."""

    serves: tuple[int, ...] = ()
    refuses: tuple[int, ...] = ()
    recognised: bool | None = None


def identity_questions(
    broker: Broker, listed: Mapping[int, tuple[int, int]], settings: Sequence[str] = ()
) -> list[Question]:
    """The requests for the cluster id and, if the broker has DescribeConfigs, for the node id and
    for these settings."""
    questions = [metadata_question(raw=True)]
    if DESCRIBE_CONFIGS.key in listed:
        questions.append(broker_configs(broker.node, (*_NODE_CONFIGS, *settings), raw=True))
    return questions


async def identity_of(
    broker: Broker, metadata: Metadata, replies: Sequence[asyncio.Future[Reply]]
) -> IdentityAnswer:
    """The identity that the replies to `identity_questions` give."""
    found = await asyncio.gather(*replies)
    elapsed = max(reply.elapsed for reply in found)
    if found[0].failure:
        return IdentityAnswer(
            elapsed, failure=found[0].failure, detail=f"Metadata: {found[0].detail}"
        )
    cluster_id = _cluster(found[0], metadata.cluster_id)
    try:
        results = _decoded(DESCRIBE_CONFIGS, found[1]).get("results", []) if found[1:] else []
    except WireError:
        results = []
    node, denied = _node(results)
    return IdentityAnswer(elapsed, cluster_id, node, denied, settings=_values(results))


def with_identity(
    broker: Broker,
    metadata: Metadata,
    dial: AddressResult,
    identity: IdentityAnswer,
    proof: IdentityProof,
) -> AddressResult:
    """The dial with its layer "identity": ok, wrong node, wrong cluster or denied; without that
    layer where nothing is proven. What clients get counts for more than what the peer says."""
    node = identity.node
    if node is None and (proof.recognised or broker.node in proof.serves):
        node = broker.node

    def ended(failure: Failure | None, detail: str = "") -> AddressResult:
        attempt = LayerResult("identity", identity.elapsed, failure, detail)
        return dial._replace(
            attempts=(*dial.attempts, attempt),
            answered_as=node,
            cluster_id=identity.cluster_id,
            **proof._asdict(),
        )

    if identity.failure:
        return ended(identity.failure, identity.detail)
    if other_cluster(metadata, identity):
        return ended(Failure.WRONG_CLUSTER, f"it is of cluster {identity.cluster_id}")
    if broker.node in proof.serves:
        return ended(None)
    if node is not None and node != broker.node:
        return ended(Failure.WRONG_NODE, f"broker {node} answers")
    if proof.recognised is False:
        return ended(Failure.WRONG_NODE, "another broker answers")
    if broker.node in proof.refuses:
        return ended(Failure.WRONG_NODE, f"it does not lead broker {broker.node}'s partitions")
    if node is not None:
        return ended(None)
    if identity.denied:
        return ended(Failure.DENIED, identity.denied)
    return dial._replace(cluster_id=identity.cluster_id, **proof._asdict())


def other_cluster(metadata: Metadata, identity: IdentityAnswer) -> bool:
    """Whether the peer belongs to another cluster than the metadata describes."""
    return bool(
        identity.cluster_id and metadata.cluster_id and identity.cluster_id != metadata.cluster_id
    )


async def prove_identity(
    walk: Walk, metadata: Metadata, connection: KafkaConnection, node: int, sharing: Sequence[int]
) -> IdentityProof:
    """Finds out what clients get at the address of a node: ApiVersions 5 for the clients of Kafka
    4.4, ListOffsets for older ones. ListOffsets asks about all brokers that share the address
    (`sharing`): a load balancer may lead to the expected broker by chance."""
    listed = connection.apis or {}
    recognised = None
    if metadata.cluster_id and listed.get(API_VERSIONS.key, (0, 0))[1] >= _NAMES_A_NODE:
        recognised = await _recognised(connection, metadata.cluster_id, node)
    if LIST_OFFSETS.key not in listed or (recognised and len(sharing) == 1):
        return IdentityProof(recognised=recognised)
    leads = await _leads(walk, metadata, connection)
    nodes = [node, *(other for other in sharing if other != node)][:MAX_SHARING]
    serves, refuses = await _served(connection, {n: leads[n] for n in nodes if n in leads})
    return IdentityProof(serves, refuses, recognised)


async def _recognised(connection: KafkaConnection, cluster_id: str, node: int) -> bool | None:
    """Whether the peer says that it is that node of that cluster; None where it does not say. Only
    a broker that lists ApiVersions 5 gets the request: one that is not logged in confirms
    anything."""
    body = {
        "client_software_name": CLIENT_ID,
        "client_software_version": "1",
        "cluster_id": cluster_id,
        "node_id": node,
    }
    reply = await connection.request(API_VERSIONS, _NAMES_A_NODE, body)
    if reply.failure:
        return None
    error = error_name(reply.body["error_code"])
    return {"NONE": True, "REBOOTSTRAP_REQUIRED": False}.get(error)


async def _leads(walk: Walk, metadata: Metadata, connection: KafkaConnection) -> Leads:
    """Partitions by their leaders: of the topic that was named or, once for a walk, of all topics,
    as far as an answer of bounded size tells them."""
    if metadata.topic and metadata.topic.partitions:
        name = metadata.topic.name
        return _few([(name, False, p.number, p.leader) for p in metadata.topic.partitions])
    if walk.wire.led is None:
        connection.max_frame = MAX_FRAME
        walk.wire.led = asyncio.ensure_future(_listed(connection))
    return await asyncio.shield(walk.wire.led)


async def _listed(connection: KafkaConnection) -> Leads:
    reply = await connection.send(ALL_TOPICS)
    if reply.failure:
        return {}
    return _few(
        [
            (topic["name"], topic["is_internal"], p["partition_index"], p["leader_id"])
            for topic in reply.body["topics"]
            for p in topic["partitions"]
        ]
    )


def _few(partitions: Sequence[tuple[str, bool, int, int]]) -> Leads:
    """A few partitions of each leader, those of internal topics last."""
    found: dict[int, list[tuple[str, int]]] = {}
    for name, _, number, leader in sorted(partitions, key=lambda each: each[1]):
        of_leader = found.setdefault(leader, [])
        if leader >= 0 and len(of_leader) < MAX_PARTITIONS:
            of_leader.append((name, number))
    return found


async def _served(
    connection: KafkaConnection, leads: Leads
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of these leaders, those whose partitions are served there, and those of whose partitions none
    is, though the peer itself names them as the leaders: else there was an election meanwhile."""
    asked: dict[str, list[int]] = {}
    for topic, number in (each for partitions in leads.values() for each in partitions):
        asked.setdefault(topic, []).append(number)
    if not asked:
        return (), ()
    offsets, now = await asyncio.gather(
        connection.send(Question(LIST_OFFSETS, offsets_body(asked))),
        connection.send(metadata_question(sorted(asked))),
    )
    errors = {key: error_name(p["error_code"]) for key, p in by_partition(offsets)}
    leaders = {key: p["leader_id"] for key, p in by_partition(now)}
    serves, refuses = [], []
    for node, partitions in leads.items():
        results = [errors.get(each, "") for each in partitions]
        if "NONE" in results:
            serves.append(node)
        elif set(results) == {_NOT_LEADER} and all(
            leaders.get(each) == node for each in partitions
        ):
            refuses.append(node)
    return tuple(serves), tuple(refuses)


def _cluster(reply: Reply, expected: str | None) -> str | None:
    """The cluster id in a Metadata answer.

    Every broker lists all brokers, so reading n of these in full is quadratic: where the expected
    id stands in the bytes, it is not read again.
    """
    if expected and mentions(reply.frame, expected):
        return expected
    try:
        found = _decoded(METADATA, reply).get("cluster_id")
    except WireError:
        return None
    return str(found) if found else None


def _decoded(api: Api, reply: Reply) -> Body:
    """A raw answer's body, empty where there is none. Raises WireError."""
    if reply.failure or not reply.frame:
        return {}
    return decode_response(api, reply.version, None, reply.frame)


def _node(results: Sequence[Body]) -> tuple[int | None, str]:
    """Which node answered DescribeConfigs, and the error name if it may not say. A node that is
    asked for another's configuration names itself in the error. A server that answers with
    settings and with no node id among them proves nothing."""
    for result in results:
        error = error_name(result["error_code"])
        if error == "NONE":
            values = [value for name, value in configs((result,)) if name in _NODE_CONFIGS]
            own = {node for v in values if (node := whole_number(v, _DIGITS)) is not None}
            return (own.pop() if len(own) == 1 else None), ""
        answering = who_answered(result["error_message"])
        if answering is not None:
            return answering, ""
        if error in _NOT_ALLOWED:
            return None, error
    return None, ""


def _values(results: Sequence[Body]) -> dict[str, str]:
    """The other settings; of those that count replicas, only the values that are numbers."""
    return {
        name: value
        for name, value in configs(results)
        if name in (ZOOKEEPER, KRAFT) or whole_number(value, _DIGITS) is not None
    }

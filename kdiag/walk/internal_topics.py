"""Topics that Kafka creates by itself: can they be created, where they are not there yet?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kdiag.config.record import NamedTuple
from kdiag.config.settings import Settings
from kdiag.kafka.connection import KafkaConnection, Reply
from kdiag.kafka.errors import error_name
from kdiag.kafka.messages import DESCRIBE_CLUSTER, LIST_OFFSETS, Question
from kdiag.walk.facts.listeners import InternalTopic
from kdiag.walk.questions import by_partition, offsets_body

# Settings of a broker, by which Apache Kafka is known: whether it has a ZooKeeper, or is KRaft.
ZOOKEEPER, KRAFT = "zookeeper.connect", "process.roles"
# Topic → the settings of its replication factor and of its min.insync.replicas.
_SETTINGS = {
    "__consumer_offsets": ("offsets.topic.replication.factor", ""),
    "__transaction_state": (
        "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr",
    ),
    "__share_group_state": (
        "share.coordinator.state.topic.replication.factor",
        "share.coordinator.state.topic.min.isr",
    ),
}
_DENIED, _UNKNOWN = "TOPIC_AUTHORIZATION_FAILED", "UNKNOWN_TOPIC_OR_PARTITION"


class Checked(NamedTuple):
    """Whether internal topics exist (None: not known), by name; and how many replicas a new topic
    can have, None where that is not known."""

    exists: Mapping[str, bool | None]
    room: int | None


def settings_to_ask(settings: Settings) -> tuple[str, ...]:
    """The settings of a broker that tell of the internal topics which the role needs."""
    needed = ["__consumer_offsets"]
    role = settings.options.role
    if role == "transactional":
        needed.append("__transaction_state")
    if role == "share":
        needed.append("__share_group_state")
    return (ZOOKEEPER, KRAFT, *(name for topic in needed for name in _SETTINGS[topic] if name))


def doubtful(brokers: Iterable[Mapping[str, str]], count: int) -> list[InternalTopic]:
    """The internal topics that `count` brokers do not suffice for, by the smallest values in the
    settings of all brokers that tell them."""
    known = [each for each in brokers if each.get(ZOOKEEPER) or each.get(KRAFT)]
    found = []
    for topic, (factor, min_isr) in _SETTINGS.items():
        factors = [int(each[factor]) for each in known if factor in each]
        least = [int(each[min_isr]) for each in known if min_isr in each]
        if factors:
            made = InternalTopic(topic, min(factors), min(least, default=1))
            if made.factor > count or made.min_isr > made.factor:
                found.append(made)
    return found


async def check(
    topics: Iterable[InternalTopic],
    settings: Mapping[str, str],
    connection: KafkaConnection,
    count: int,
) -> Checked:
    """Asks a broker whether the topics exist, and how many brokers are registered. A request for
    the offsets of a topic creates none; with a ZooKeeper only brokers that are up (`count`) get
    replicas."""
    body = offsets_body({topic.name: (0,) for topic in topics})
    offsets = connection.send(Question(LIST_OFFSETS, body))
    room: int | None = count
    if not settings.get(ZOOKEEPER):
        every = {
            "include_cluster_authorized_operations": False,
            "endpoint_type": 1,
            "include_fenced_brokers": True,
        }
        room = _registered(await connection.send(Question(DESCRIBE_CLUSTER, every)))
    return Checked(_existing(await offsets), room)


def _registered(reply: Reply) -> int | None:
    brokers = reply.body.get("brokers", ())
    return len(brokers) if brokers and not reply.body["error_code"] else None


def _existing(reply: Reply) -> dict[str, bool | None]:
    """Whether the topics exist: a broker looks first whether the client may see a topic."""
    errors = {name: error_name(p["error_code"]) for (name, _), p in by_partition(reply)}
    return {n: None if error == _DENIED else error != _UNKNOWN for n, error in errors.items()}

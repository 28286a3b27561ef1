"""The facts of hop 2, metadata: the brokers of the cluster, and the topic of `--topic`."""

from __future__ import annotations

from typing import NamedTuple

from kdiag.config.settings import Endpoint
from kdiag.network.attempt import Failure


class Broker(NamedTuple):
    """A broker of the metadata: node id and advertised address."""

    node: int
    advertised: Endpoint


class Partition(NamedTuple):
    """A partition: node ids of its leader (-1 for none), replicas, in-sync replicas; error name."""

    number: int
    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    error: str = "NONE"


class Topic(NamedTuple):
    """The topic that was asked for, with the broker's error name for it ("NONE" when it exists).
    `left_out` tells that the answer has no word of it, which is no broker's way to say unknown."""

    name: str
    error: str
    partitions: tuple[Partition, ...] = ()
    left_out: bool = False


class MetadataAnswer(NamedTuple):
    """The answer of one bootstrap connection to the metadata request: seconds, or why there is
    none."""

    endpoint: Endpoint
    elapsed: float
    failure: Failure | None = None
    detail: str = ""
    cluster_id: str | None = None
    throttle_ms: int = 0


class Metadata(NamedTuple):
    """The cluster, by the first bootstrap connection that listed brokers; `answers` has all.

    `alike` are the topics whose names are much like that of a `topic` which does not exist, the
    most alike first; None where nobody told. `controller` is None where clients cannot know it:
    the brokers of a KRaft cluster name any live node. `creates` is what the broker says of
    auto.create.topics.enable then, "true" or "false", or the name of its error. `transaction` names
    its error for the end of a transaction that there is not, where the client has a
    transactional.id.
    """

    answers: tuple[MetadataAnswer, ...]
    brokers: tuple[Broker, ...] = ()
    cluster_id: str | None = None
    controller: int | None = None
    topic: Topic | None = None
    alike: tuple[str, ...] | None = None
    twice: tuple[Broker, ...] = ()  # listed under the id of a broker before them: nobody dials them
    creates: str | None = None
    transaction: str | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """The servers, where none of them listed a broker."""
        return () if self.brokers else tuple(f"bootstrap {a.endpoint}" for a in self.answers)

    @property
    def elapsed(self) -> float:
        """Seconds that the slowest answer took."""
        return max((answer.elapsed for answer in self.answers), default=0.0)

    @property
    def summary(self) -> str:
        """What was learnt, in one line."""
        if all(answer.failure for answer in self.answers):
            return "no answer to the metadata request"
        count = len(self.brokers)
        parts = [f"{count} broker{'' if count == 1 else 's'}"]
        if self.cluster_id:
            parts.append(f"cluster {self.cluster_id}")
        if self.controller is not None:
            parts.append(f"controller {self.controller}")
        if self.topic:
            count = len(self.topic.partitions)
            told = f"{count} partition{'' if count == 1 else 's'}"
            said = told if self.topic.error == "NONE" else self.topic.error
            said = "left out" if self.topic.left_out else said
            parts.append(f"topic {self.topic.name}: {said}")
        return ", ".join(parts)

"""The facts of hop 2, metadata: the brokers of the cluster, and the topic of `--topic`."""

from __future__ import annotations

from kdiag.config.record import NamedTuple
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import Failure
from kdiag.text import plural


class Broker(NamedTuple):
    """A broker of the metadata: node id, advertised address, and rack where it has one."""

    node: int
    advertised: Endpoint
    rack: str | None = None


class Partition(NamedTuple):
    """A partition: node ids of its leader (-1 for none), replicas, in-sync replicas; error name."""

    number: int
    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    error: str = "NONE"


class Topic(NamedTuple):
    """The topic of `--topic`, with the broker's error name for it ("NONE" where it exists).
    `left_out`: the answer does not mention the topic; a broker would answer with an error."""

    name: str
    error: str
    partitions: tuple[Partition, ...] = ()
    left_out: bool = False


class MetadataAnswer(NamedTuple):
    """The answer on one bootstrap connection to the Metadata request. `elapsed` is in seconds;
    `failure` says why there is no answer."""

    endpoint: Endpoint
    elapsed: float
    failure: Failure | None = None
    detail: str = ""
    cluster_id: str | None = None
    throttle_ms: int = 0


class Metadata(NamedTuple):
    """The cluster, by the first bootstrap connection that listed brokers; all are in `answers`.

    Where `topic` does not exist, `alike` are the topics with the most similar names, best first
    (None: not known), and `creates` is the broker's auto.create.topics.enable, "true" or "false",
    or its error name. `controller` is None where clients cannot know it: the brokers of a KRaft
    cluster name any live node. `transaction` is the broker's error name for EndTxn of a transaction
    that does not exist; it is sent where the client has a transactional.id.
    """

    answers: tuple[MetadataAnswer, ...]
    brokers: tuple[Broker, ...] = ()
    cluster_id: str | None = None
    controller: int | None = None
    topic: Topic | None = None
    alike: tuple[str, ...] | None = None
    twice: tuple[Broker, ...] = ()  # their node id is that of a broker before them: not dialled
    creates: str | None = None
    transaction: str | None = None

    @property
    def servers(self) -> str:
        """The bootstrap servers that answered, as bootstrap.servers has them."""
        answered = (answer.endpoint for answer in self.answers if not answer.failure)
        return ",".join(map(str, dict.fromkeys(answered)))

    @property
    def failed(self) -> tuple[str, ...]:
        """The bootstrap servers, if none of them listed a broker, as subjects of findings."""
        return () if self.brokers else tuple(f"bootstrap {a.endpoint}" for a in self.answers)

    @property
    def elapsed(self) -> float:
        """Seconds until the slowest answer."""
        return max((answer.elapsed for answer in self.answers), default=0.0)

    @property
    def summary(self) -> str:
        """The result of hop 2, in one line."""
        if all(answer.failure for answer in self.answers):
            return "no answer to the metadata request"
        parts = [plural(len(self.brokers), "broker")]
        if self.cluster_id:
            parts.append(f"cluster {self.cluster_id}")
        if self.controller is not None:
            parts.append(f"controller {self.controller}")
        if self.topic:
            partitions = plural(len(self.topic.partitions), "partition")
            state = partitions if self.topic.error == "NONE" else self.topic.error
            state = "left out" if self.topic.left_out else state
            parts.append(f"topic {self.topic.name}: {state}")
        return ", ".join(parts)

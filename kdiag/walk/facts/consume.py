"""The facts of the section consume: what brokers answer about a group, its partitions and a
producer's rights."""

from __future__ import annotations

from kdiag.config.record import NamedTuple
from kdiag.network.attempt import ClientRun
from kdiag.text import plural

# Heartbeat of a member that does not exist, by the group's coordinator. While it loads the group it
# answers NONE, whoever the member is.
COORDINATES = (
    *("UNKNOWN_MEMBER_ID", "ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS", "FENCED_INSTANCE_ID"),
    *("NONE", "COORDINATOR_LOAD_IN_PROGRESS"),
)
LOADING = "COORDINATOR_LOAD_IN_PROGRESS"
ELSEWHERE, UNAVAILABLE = "NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE"
GROUP_DENIED, TOPIC_DENIED = "GROUP_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED"
TRANSACTION_DENIED = "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
CLUSTER_DENIED = "CLUSTER_AUTHORIZATION_FAILED"
REBALANCES = ("PreparingRebalance", "CompletingRebalance")  # in which no member consumes


class BrokerAnswers(NamedTuple):
    """One broker's error names: `group` for Heartbeat, `transaction` for EndTxn, `read` for Fetch
    of the topic's partitions that it leads; None where it was not asked or did not answer.
    `failure` says why an answer is missing."""

    node: int
    group: str | None = None
    transaction: str | None = None
    read: str | None = None
    failure: str = ""


class Group(NamedTuple):
    """A group by its coordinator. `kind` is "classic", "consumer" or "share"; `state` is Kafka's
    own, "" where the `error` is not NONE; `members` are client ids with their hosts."""

    kind: str = ""
    state: str = ""
    members: tuple[str, ...] = ()
    error: str = "NONE"


class OpenTransaction(NamedTuple):
    """A producer with an open transaction, its first offset, and its last record's time (Unix)."""

    producer_id: int
    epoch: int
    start: int
    last: int


class PartitionOffsets(NamedTuple):
    """The offsets of a partition that its leader `node` tells; `committed` is the group's, -1 for
    none. `later` is the last stable offset of a second look, None where there was no reason for
    one. `preferred` is the node id of the replica that the leader prefers for the client's rack, -1
    for the leader itself, None where it was not asked."""

    topic: str
    number: int
    node: int
    committed: int
    start: int
    end: int
    stable: int
    later: int | None = None
    open: tuple[OpenTransaction, ...] = ()
    preferred: int | None = None

    @property
    def name(self) -> str:
        """Topic and number, as Kafka's logs write them."""
        return f"{self.topic}-{self.number}"

    @property
    def lag(self) -> int:
        """How many records the group has not committed, of those that are there."""
        return self.end - min(max(self.committed, self.start), self.end)

    @property
    def lost(self) -> bool:
        """Whether the committed offset is not, or no longer, in the partition."""
        return self.committed >= 0 and not self.start <= self.committed <= self.end


class AnswerTry(NamedTuple):
    """A large answer that did not arrive within `elapsed` seconds, though its request did and the
    connection stayed open. `gap`: the end of it arrived, and what precedes it did not; None where
    the system does not tell."""

    elapsed: float
    gap: bool | None


class LargeAnswer(NamedTuple):
    """A broker whose large answer did not arrive, though small ones do; the second try was on a new
    connection, and is missing where the answer arrived there."""

    node: int
    tries: tuple[AnswerTry, ...]

    @property
    def vanished(self) -> bool:
        """Whether it did not arrive on both connections."""
        return len(self.tries) > 1

    @property
    def proven(self) -> bool:
        """Whether on both connections its end arrived without its beginning."""
        return self.vanished and all(each.gap for each in self.tries)


class Consume(NamedTuple):
    """The facts of the section. `groups` has the group, and again after a second look where that
    was needed. `owner` is the leader of the group's partition in __consumer_offsets, -1 where there
    is none, None where the client does not see that topic. `producer` is the error name for
    InitProducerId and `write` for a produce request that writes nothing, None where it was not sent
    or not answered. `again` is the error name for a second Heartbeat; `at` is the second look's
    time (Unix), 0 where there was none. `client` has what the real client read. `large` has the
    brokers whose large answer did not arrive."""

    role: str
    brokers: tuple[BrokerAnswers, ...]
    unreached: tuple[int, ...] = ()
    group: str | None = None
    topic: str | None = None
    transactional_id: str | None = None
    groups: tuple[Group, ...] = ()
    again: str | None = None
    owner: int | None = None
    partitions: tuple[PartitionOffsets, ...] = ()
    producer: str | None = None
    write: str | None = None
    at: int = 0
    client: ClientRun | None = None
    large: tuple[LargeAnswer, ...] = ()
    elapsed: float = 0.0

    @property
    def asks_group(self) -> bool:
        """Whether the role has a group."""
        return self.role in ("consumer", "share")

    @property
    def coordinator(self) -> int | None:
        """The node id of the broker that answers as the group's coordinator."""
        return next((b.node for b in self.brokers if b.group in COORDINATES), None)

    @property
    def absent(self) -> bool:
        """Whether every broker was asked, and none is the coordinator."""
        answers = {broker.group for broker in self.brokers}
        return answers == {ELSEWHERE} and not self.unreached

    @property
    def unavailable(self) -> tuple[int, ...]:
        """The brokers that have no coordinator to offer, on a second look too."""
        found = tuple(b.node for b in self.brokers if b.group == UNAVAILABLE)
        return found if self.coordinator is None and self.again in (None, UNAVAILABLE) else ()

    @property
    def described(self) -> Group | None:
        """The group at the last look, where its coordinator describes it."""
        return self.groups[-1] if self.groups and self.groups[-1].error == "NONE" else None

    @property
    def lag(self) -> int | None:
        """The lag over all partitions with a committed offset; None where there is none."""
        of = [partition.lag for partition in self.partitions if partition.committed >= 0]
        return sum(of) if of else None

    @property
    def failed(self) -> tuple[str, ...]:
        """What this client was denied, as subjects of findings."""
        found = []
        if any(broker.group == GROUP_DENIED for broker in self.brokers):
            found.append(f"group {self.group}")
        if any(broker.read == TOPIC_DENIED for broker in self.brokers):
            found.append(f"topic {self.topic}")
        if any(b.transaction == TRANSACTION_DENIED for b in self.brokers):
            found.append(f"transactional.id {self.transactional_id}")
        if self.producer == CLUSTER_DENIED:
            found.append("cluster")
        return tuple(found)

    @property
    def summary(self) -> str:
        """What was learnt, in one line."""
        parts = [] if self.asks_group else [f"role {self.role}"]
        if self.asks_group:
            parts.append(f"group {self.group}")
            if self.coordinator is not None:
                parts.append(f"coordinator {self.coordinator}")
            if self.described:
                members = plural(len(self.described.members), "member")
                parts.append(f"{self.described.state}, {members}")
            if self.lag is not None:
                parts.append(f"lag {self.lag}")
        replicas = {p.preferred for p in self.partitions if p.preferred not in (None, -1)}
        if replicas:
            parts.append(f"its rack is served by {', '.join(sorted(map(str, replicas)))}")
        if self.client:
            read = sum(each.error is None for each in self.client.deliveries)
            parts.append(f"the real client reads {read} of {len(self.client.deliveries)}")
        if self.failed:
            parts.append(f"denied: {', '.join(self.failed)}")
        return ", ".join(parts)

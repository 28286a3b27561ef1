"""The facts of hop 4, produce: the results of the produce requests, and of the real client."""

from __future__ import annotations

from kdiag.config.record import NamedTuple
from kdiag.network.attempt import GONE, ClientRun, Delivery, Failure, Sent
from kdiag.text import plural

# Bytes of one record: one that fits a packet, and one that fits none, not even a jumbo frame of
# 9000 bytes. With all else that is in flight the second one fits TCP's first window, ten packets.
SMALL, LARGE = 1, 9 * 1024

NOT_JUDGED = (None, Failure.THROTTLED, Failure.NO_COMMON_VERSION)

_NO_CONNECTION = (Failure.REFUSED, Failure.TIMEOUT, Failure.UNREACHABLE)


class ProduceResult(NamedTuple):
    """The result of one produce request: the broker's error name, or the failure why there is no
    answer. `elapsed` is in seconds. `sent` says whether the bytes arrived, where there is no answer
    and the operating system knows."""

    elapsed: float
    error: str | None = None
    throttle_ms: int = 0
    failure: Failure | None = None
    detail: str = ""
    sent: Sent | None = None

    @property
    def unanswered(self) -> bool:
        """Whether the broker should have answered, and did not."""
        return self.failure not in NOT_JUDGED


class BrokerProduce(NamedTuple):
    """The results of a small and of a large produce request to a broker; neither writes. Where one
    of the two got no answer, both were sent again on a second connection, and `first` has the
    results of the first one. `own`: the second time they named the topic of `--topic`."""

    node: int
    small: ProduceResult
    large: ProduceResult
    first: tuple[ProduceResult, ...] = ()
    own: bool = False

    @property
    def answered(self) -> bool:
        """Whether the broker answered both requests, with success or an error."""
        return not self.small.unanswered and not self.large.unanswered

    @property
    def lost(self) -> bool:
        """Whether an answer is missing, and the size of the request is not the reason."""
        return not self.answered and not self.vanished

    @property
    def vanished(self) -> bool:
        """Whether, on both connections, the small request was answered and the large one was not,
        and nothing proves that its bytes arrived."""
        tries = (self.first, (self.small, self.large))
        return all(
            pair
            and not pair[0].failure
            and pair[1].failure is Failure.SILENT
            and (pair[1].sent is None or pair[1].sent.lost)
            for pair in tries
        )

    @property
    def ends_large(self) -> bool:
        """Whether the small request was answered, and the peer closed on the large one."""
        return not self.small.failure and self.large.failure in GONE

    @property
    def unreachable(self) -> bool:
        """Whether no second connection could be made."""
        return self.small.failure in _NO_CONNECTION


class Produce(NamedTuple):
    """The facts of hop 4. `unreached` are the node ids of brokers that hop 3 did not reach;
    `produced` is empty where only the real client can log in. `elapsed` is in seconds. `idle` are
    those of `unreached` that lead no partition of the topic, where every leader acknowledged a
    record."""

    produced: tuple[BrokerProduce, ...]
    unreached: tuple[int, ...]
    client: ClientRun | None
    elapsed: float
    idle: tuple[int, ...] = ()

    def acknowledged(self, node: int) -> bool:
        """Whether that broker acknowledged a record of the real client."""
        return any(each.error is None for each in self._deliveries(node))

    def client_tried(self, node: int) -> bool:
        """Whether the real client tried to write to that broker, and was not cut off."""
        cut_off = self.client.cut_off if self.client else ()
        return any(each not in cut_off for each in self._deliveries(node))

    def client_answered(self, node: int) -> bool:
        """Whether that broker answered the real client, perhaps with an error: the
        client's own errors begin with an underscore."""
        return any(
            each.error is None or not each.error.startswith("_") for each in self._deliveries(node)
        )

    def _deliveries(self, node: int) -> list[Delivery]:
        deliveries = self.client.deliveries if self.client else ()
        return [each for each in deliveries if each.node == node]

    @property
    def failed(self) -> tuple[str, ...]:
        """The brokers that did not answer, or refused the real client's record, as subjects."""
        refused = self.client.deliveries if self.client else ()
        cut_off = self.client.cut_off if self.client else ()
        nodes = [
            p.node for p in self.produced if not p.answered and not self.client_answered(p.node)
        ]
        nodes += [d.node for d in refused if d.error and d not in cut_off]
        return tuple(dict.fromkeys(f"broker {node}" for node in nodes))

    @property
    def skipped_because(self) -> str | None:
        """Why these facts do not cover every broker; None where they do."""
        if set(self.unreached) - set(self.idle):
            return "not every broker was reached"
        if not self.produced and self.client is None:
            return "only the real client can log in, and it writes to what --topic names"
        return None

    @property
    def summary(self) -> str:
        """The result of hop 4, in one line."""
        parts = []
        if self.produced:
            answered = sum(produced.answered for produced in self.produced)
            parts.append(f"{answered} of {plural(len(self.produced), 'broker')} answered")
            if self.unreached:
                parts[0] += f", {len(self.unreached)} not asked"
        if self.client:
            written = sum(delivery.error is None for delivery in self.client.deliveries)
            parts.append(f"{written} of {len(self.client.deliveries)} records acknowledged")
        return "; ".join(parts)

"""The real client, librdkafka: the only module that imports confluent-kafka."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    ThrottleEvent,
    TopicPartition,
    libversion,
)

from kdiag.config.redaction import redacted
from kdiag.config.security import Security
from kdiag.config.usage import like
from kdiag.kafka.configuration import NEVER, configuration, signed
from kdiag.kafka.connection import Reply
from kdiag.kafka.messages import no_such_topic
from kdiag.network.attempt import ClientRun, Delivery, Failure, clean

LOGIN_FAILED = "_AUTHENTICATION"
MAX_LINES = 40  # lines of the client's log that are kept
KEY, VALUE = b"kdiag", b"kdiag connectivity check"
_REPORTING = 2.0  # seconds: the client looks once a second whose time is over
_COMPRESSIBLE = 40  # times the value; less is sent as it is, whatever compression is asked for

_PUSHES_METRICS = 0x02_05_00_00  # the first librdkafka that does, and has a property against it

# What the client puts before a line: what kind it is, and which client's which thread wrote it.
_WRITER = re.compile(r"\A[A-Z0-9_]+ \[[^\]]*\] \[thrd:.*?\]: ")
# Parts that differ in each repetition of a line.
_TIMES = re.compile(r"after \d+ms (?=in state)|, \d+ identical error\(s\) suppressed")
# Never true here: kdiag names servers, but at that moment the client may count none of them.
_NO_SERVERS = "No `bootstrap.servers` configured: "
_REFUSAL = re.compile(r" \[(\d{1,10})\]: MessageSet with .* encountered error: (.*) \(actions ")

# A broker's refusal of a topic, and how the client fails what it has not sent by then.
_REFUSED_TOPIC = "TOPIC_AUTHORIZATION_FAILED"
_DROPPED = ("_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC", "_DESTROY")


class _ClientLog(logging.Handler):
    """Keeps the lines that the client logs, clean and without secrets: only the log has the cause
    of a failed connection.

    `login` is the first login that failed, `throttle_ms` the longest delay that a broker imposed.
    `refusals` maps a partition to the errors of brokers about it, the last at the end: where the
    client retries after an error, its delivery report only says that the time is over.
    """

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.login: KafkaError | None = None
        self.throttle_ms = 0
        self.refusals: dict[int, list[str]] = {}
        self._secrets = secrets

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno > logging.DEBUG:
            return self.say(_WRITER.sub("", line))
        refused = _REFUSAL.search(line)
        if refused:
            self.refusals.setdefault(int(refused.group(1)), []).append(refused.group(2))
        return None

    def fail(self, error: KafkaError) -> None:
        """Takes an error of the client as a whole."""
        if error.name() != "_ALL_BROKERS_DOWN":  # it says no more than the others
            self.say(error.str())
        if error.name() == LOGIN_FAILED and self.login is None:
            self.login = error

    def slow(self, event: ThrottleEvent) -> None:
        """Takes the event that a broker delays this client."""
        self.throttle_ms = max(self.throttle_ms, int(event.throttle_time * 1000))

    def say(self, line: str) -> None:
        shown = self.shown(line)
        if shown.startswith(_NO_SERVERS):
            return
        if shown not in self.lines and len(self.lines) < MAX_LINES:
            self.lines.append(shown)

    def shown(self, text: str) -> str:
        """The text clean, and without secrets."""
        return clean(redacted(_TIMES.sub("", text), self._secrets))


def deliver(
    servers: str,
    topic: str,
    leaders: Mapping[int, int],
    timeout: float,
    given: Mapping[str, str],
    security: Security,
) -> ClientRun:
    """Writes one small record to one partition of every leader, with the user's client properties.

    `leaders` maps node id → partition; `given` are client properties beside those of `security`,
    whose token, if it needs one, must be there. Blocks for about `timeout` seconds at most, and
    _REPORTING more when it is over, and ends with the first login that fails: the client would try
    again and again. Every failure is in the result.
    """
    logging_in = signed(security)
    log = _ClientLog((*security.secrets, *logging_in.secrets))
    compressed = given.get("compression.type", "none") != "none"
    value = VALUE * _COMPRESSIBLE if compressed else VALUE
    deliveries = _Deliveries(topic, value, leaders, log)
    refused: tuple[str, ...] = ()

    def opened(properties: Mapping[str, str]) -> Producer:
        return _opened(_configured(servers, timeout, properties, logging_in), log)

    try:
        try:
            producer = opened(given)
        except KafkaException:  # a value that this client does not take; Java's client may
            taken, refused = _tried(given)
            if not refused:
                raise
            producer = opened(taken)
    except KafkaException as error:  # properties that do not go together
        deliveries.lose(error.args[0])
        return ClientRun(topic, deliveries.all, refused=refused)
    try:
        deliveries.send(producer, max(timeout, 1.0) + _REPORTING)
    except KafkaException as error:  # a fatal error of the client, which poll raises
        deliveries.lose(error.args[0])
    deliveries.lose(log.login or KafkaError(KafkaError._TIMED_OUT))
    return ClientRun(topic, deliveries.all, tuple(log.lines), log.throttle_ms, refused)


def read_back(
    servers: str,
    topic: str,
    offsets: Mapping[int, tuple[int, int]],
    timeout: float,
    given: Mapping[str, str],
    group: str,
    security: Security,
) -> ClientRun:
    """Reads one record of each partition, or its end, with the user's client properties.

    `offsets` maps partition → its leader's node id and the offset to begin at. The partitions are
    assigned: the client joins no group, and commits nothing. It looks for the group's coordinator,
    so the topic of offsets must be there. Blocks for about `timeout` seconds at most.
    """
    logging_in = signed(security)
    log = _ClientLog((*security.secrets, *logging_in.secrets))
    found: dict[int, Delivery] = {}
    started = time.perf_counter()

    def settle(number: int, offset: int | None, error: KafkaError | None = None) -> None:
        name, detail = (error.name(), log.shown(error.str())) if error else (None, "")
        elapsed, node = time.perf_counter() - started, offsets[number][0]
        found.setdefault(number, Delivery(node, number, elapsed, offset, name, detail))

    try:
        configured = _configured(servers, timeout, given, logging_in)
        common = {name: value for name, value in configured.items() if name not in _PRODUCERS}
        reader = Consumer({**common, **_READS, "group.id": group, "error_cb": log.fail})
        try:
            reader.assign([TopicPartition(topic, n, at) for n, (_, at) in offsets.items()])
            for polled in _polled(reader, offsets, started + timeout, log):
                settle(*polled)
                if len(found) == len(offsets):
                    break
        finally:
            reader.close()
    except KafkaException as error:  # properties that do not go together
        log.fail(error.args[0])
        for number in offsets:
            settle(number, None, error.args[0])
    for number in offsets.keys() - found.keys():
        settle(number, None, log.login or KafkaError(KafkaError._TIMED_OUT))
    return ClientRun(topic, tuple(found[number] for number in offsets), tuple(log.lines))


def _polled(
    reader: Consumer, partitions: Collection[int], until: float, log: _ClientLog
) -> Iterator[tuple[int, int | None, KafkaError | None]]:
    """What a reader gets of these partitions: each one's number, with the offset of a record or of
    the end, or with an error. It ends at `until`, by time.perf_counter(), or with a failed login.
    """
    while time.perf_counter() < until:
        message = reader.poll(0.1)
        if log.login:
            return
        error, number = (message.error(), message.partition()) if message else (None, None)
        if message and number is not None and number in partitions:
            ended = error is not None and error.code() == KafkaError._PARTITION_EOF
            yield number, message.offset(), None if ended else error
        elif error:  # about no partition of its own: the topic, or the group
            yield from ((each, None, error) for each in partitions)


# Properties of kdiag's own for a producer; and those of its reader.
_PRODUCERS = (
    *("acks", "retries", "message.timeout.ms", "request.timeout.ms", "linger.ms", "debug"),
    *("compression.type", "compression.level", "enable.idempotence", "batch.size", "partitioner"),
    *("max.in.flight.requests.per.connection", "batch.num.messages"),
)
_READS = {"enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error"}


class _Deliveries:
    """A record for each leader, and the result of its delivery."""

    def __init__(
        self, topic: str, value: bytes, leaders: Mapping[int, int], log: _ClientLog
    ) -> None:
        self._topic, self._value = topic, value
        self._leaders, self._log = leaders, log
        self._settled: dict[int, Delivery] = {}
        self._started = time.perf_counter()

    @property
    def all(self) -> tuple[Delivery, ...]:
        """The deliveries in the order of the leaders. Each must have a result."""
        explained = [_explained(self._settled[node], self._log.refusals) for node in self._leaders]
        return given_up(explained)

    def send(self, producer: Producer, seconds: float) -> None:
        """Sends the records and waits, that long at most, until all are settled or the login has
        failed. Raises KafkaException where the client cannot go on."""
        give_up = self._started + seconds
        for node in self._leaders:
            self._produce(producer, node, give_up)
        while not self._done and self._log.login is None and time.perf_counter() < give_up:
            producer.poll(0.05)
        if self._log.login is None:
            producer.purge()
            producer.flush(0.2)

    def lose(self, error: KafkaError) -> None:
        """Records this error for each delivery without a result."""
        for node in self._leaders.keys() - self._settled.keys():
            self._settle(node, error)

    @property
    def _done(self) -> bool:
        return len(self._settled) == len(self._leaders)

    def _produce(self, producer: Producer, node: int, give_up: float) -> None:
        def report(error: KafkaError | None, message: Message) -> None:
            self._settle(node, error, None if error else message.offset())

        while True:
            try:
                producer.produce(
                    self._topic,
                    self._value,
                    KEY,
                    partition=self._leaders[node],
                    on_delivery=report,
                )
            except BufferError:  # its queue may be as small as the user wants it
                if time.perf_counter() < give_up:
                    producer.poll(0.05)
                    continue
                self._settle(node, KafkaError(KafkaError._QUEUE_FULL))
            except KafkaException as error:
                self._settle(node, error.args[0])
            return

    def _settle(self, node: int, error: KafkaError | None, offset: int | None = None) -> None:
        name, detail = (error.name(), self._log.shown(error.str())) if error else (None, "")
        elapsed = time.perf_counter() - self._started
        self._settled[node] = Delivery(node, self._leaders[node], elapsed, offset, name, detail)


def _tried(given: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The properties that this client takes by themselves, and a text for each other: its name and
    value, and the client's error."""
    taken, refused = dict(given), []
    for name, value in given.items():
        if name in NEVER:
            continue
        try:
            _opened({name: value}, _ClientLog(()))
        except KafkaException as error:
            del taken[name]
            number = value.isdigit() and len(value) < 10
            shown = value if number else like(value, ("true", "false"))
            message = error.args[0].str().strip()
            if shown != value:  # it may be a secret in the wrong place
                message = message.replace(value, shown)
            refused.append(f"{name}={shown}: {clean(message)}")
    return taken, tuple(refused)


def has_gssapi() -> bool:
    """Whether this build of librdkafka has Kerberos (GSSAPI); the usual wheels do not."""
    try:
        _opened({"builtin.features": "sasl_gssapi"}, _ClientLog(()))
    except KafkaException:
        return False
    return True


def login_by_client(
    server: str, topic: str | None, timeout: float, given: Mapping[str, str], security: Security
) -> Reply:
    """The real client logs in to one server, once, and reads the metadata of the cluster and topic.

    The Reply has the shape of a Metadata response. Blocks for about `timeout` seconds at most.
    """
    log, connected = _ClientLog(security.secrets), False
    started = time.perf_counter()
    # Without a name the client requests all topics.
    named = topic or no_such_topic()

    def ended(failure: Failure, detail: str) -> Reply:
        return Reply(time.perf_counter() - started, {}, failure, detail)

    try:
        configured = _configured(server, timeout, given, security)
        # Once it knows the brokers, the client reconnects before it sends more requests.
        client = _opened({**configured, "reconnect.backoff.ms": 100}, log)
    except KafkaException as error:
        return ended(Failure.CREDENTIALS, log.shown(error.args[0].str()))
    while (left := started + timeout - time.perf_counter()) > 0:
        client.poll(min(left, 0.05))
        if log.login:
            return ended(Failure.CREDENTIALS, log.shown(log.login.str()))
        try:
            # This says nothing of a login that failed, so there is no waiting in it until one has
            # succeeded.
            metadata = client.list_topics(named, timeout=left if connected else 0.0)
        except KafkaException as error:
            connected = error.args[0].name() == "_TIMED_OUT"
        else:
            return Reply(time.perf_counter() - started, _as_on_the_wire(metadata, topic))
    return ended(Failure.SILENT, log.lines[-1] if log.lines else f"silent for {timeout:g} s")


def _as_on_the_wire(metadata: Any, topic: str | None) -> dict[str, Any]:
    """The client's metadata of the cluster and that topic, as the body of a Metadata response."""
    return {
        "brokers": [
            {"node_id": b.id, "host": clean(b.host), "port": b.port, "rack": None}
            for b in metadata.brokers.values()
        ],
        "cluster_id": clean(metadata.cluster_id) if metadata.cluster_id else None,
        "controller_id": metadata.controller_id,
        "topics": [
            {
                "name": topic,
                "error_code": found.error.code() if found.error else 0,
                "partitions": [
                    {
                        "partition_index": p.id,
                        "leader_id": p.leader,
                        "replica_nodes": p.replicas,
                        "isr_nodes": p.isrs,
                        "error_code": p.error.code() if p.error else 0,
                    }
                    for p in found.partitions.values()
                ],
            }
            for name, found in metadata.topics.items()
            if name == topic
        ],
    }


def _opened(configuration: Mapping[str, object], log: _ClientLog) -> Producer:
    """A client whose log lines and errors go to `log`. Raises KafkaException."""
    logger = logging.Logger("kdiag.client", logging.DEBUG)
    logger.addHandler(log)
    return Producer({**configuration, "error_cb": log.fail, "throttle_cb": log.slow}, logger=logger)


def _configured(
    servers: str, timeout: float, given: Mapping[str, str], security: Security
) -> dict[str, object]:
    """The configuration for this version of librdkafka."""
    quiet = {"enable.metrics.push": False} if libversion()[1] >= _PUSHES_METRICS else {}
    return {**configuration(servers, timeout, given, security), **quiet}


def given_up(deliveries: Sequence[Delivery]) -> tuple[Delivery, ...]:
    """The deliveries, with the refusal of the topic where one broker refused it: the client then
    drops the records that it has not sent, and their own errors do not name the cause."""
    refused = next((each for each in deliveries if each.error == _REFUSED_TOPIC), None)
    return tuple(
        each._replace(error=refused.error, detail=refused.detail)
        if refused and each.error in _DROPPED
        else each
        for each in deliveries
    )


def _explained(delivery: Delivery, refusals: Mapping[int, Sequence[str]]) -> Delivery:
    """The delivery; where the client retried until its time was over, with the broker's error."""
    errors = refusals.get(delivery.partition, ())
    if not errors or delivery.error not in ("_MSG_TIMED_OUT", "_TIMED_OUT"):
        return delivery
    codes = [code for code in vars(KafkaError).values() if isinstance(code, int)]
    names = {KafkaError(code).str(): KafkaError(code).name() for code in codes}
    last, count = errors[-1], len(errors)
    often = f", {count} times in {delivery.elapsed:.1f} s" if count > 1 else ""
    return delivery._replace(error=names.get(last, delivery.error), detail=clean(last) + often)

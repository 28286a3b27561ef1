"""The real client: the only door to confluent-kafka."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import replace

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kdiag.attempt import ClientRun, Delivery, clean
from kdiag.security import Sasl

MAX_WORDS = 40  # lines of the client's log that are kept
KEY, VALUE = b"kdiag", b"kdiag connectivity check"

# In milliseconds. The client must give up when the probe would, say why a connection failed as soon
# as it knows, and neither hammer a broker nor create anything.
_CONNECT_MS, _RECONNECT_MS = 1000, 1000
_LONGEST_MS = 300_000  # that the client takes for socket.timeout.ms

# The client does not read a token's expiry, and asks anew in time; this one is used once.
_TOKEN_SECONDS = 3600

_REFUSAL = re.compile(r" \[(\d{1,10})\]: MessageSet with .* encountered error: (.*) \(actions ")


class _Words(logging.Handler):
    """Keeps what the client says: the cause of a failed connection is nowhere else.

    `refusals` maps a partition to the broker's last words about it. Of errors that the client
    deems passing its delivery report says no more than that time ran out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.refusals: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno > logging.DEBUG:
            return self.say(line)
        refused = _REFUSAL.search(line)
        if refused:
            self.refusals[int(refused.group(1))] = refused.group(2)
        return None

    def say(self, line: str) -> None:
        if line not in self.lines and len(self.lines) < MAX_WORDS:
            self.lines.append(clean(line))


def deliver(
    servers: str,
    topic: str,
    leaders: Mapping[int, int],
    timeout: float,
    given: Mapping[str, str],
    sasl: Sasl | None = None,
) -> ClientRun:
    """Writes one small record to one partition of every leader, acknowledged by all its replicas.

    `leaders` maps node id → partition; `given` are client properties, of which a ready token is
    none: it is taken from `sasl`. Blocks for about `timeout` seconds at most, twice that when
    connections fail. Every failure is in the result.
    """
    words, throttled = _Words(), [0]
    logger = logging.Logger("kdiag.client", logging.DEBUG)
    logger.addHandler(words)
    settled: dict[int, Delivery] = {}
    started = time.perf_counter()

    def report(node: int, error: KafkaError | None, message: Message) -> None:
        elapsed = time.perf_counter() - started
        partition = leaders[node]
        if error is None:
            settled[node] = Delivery(node, partition, elapsed, offset=message.offset())
        else:
            settled[node] = _failed(node, partition, elapsed, error)

    def send(producer: Producer, node: int, partition: int) -> None:
        try:
            producer.produce(
                topic,
                VALUE,
                KEY,
                partition=partition,
                on_delivery=lambda error, message: report(node, error, message),
            )
        except KafkaException as error:
            settled[node] = _failed(node, partition, 0.0, error.args[0])

    try:
        producer = Producer(
            {
                **_configuration(servers, timeout, given),
                "error_cb": lambda error: words.say(f"{error.name()}: {error.str()}"),
                "throttle_cb": lambda event: throttled.append(int(event.throttle_time * 1000)),
                **_bearer(sasl),
            },
            logger=logger,
        )
    except KafkaException as error:  # a property whose value this client does not take
        refused = (_failed(node, leaders[node], 0.0, error.args[0]) for node in leaders)
        return ClientRun(topic, tuple(refused))
    for node, partition in leaders.items():
        send(producer, node, partition)
    give_up = started + 2 * max(timeout, 1.0)
    while len(settled) < len(leaders) and time.perf_counter() < give_up:
        producer.poll(0.05)
    producer.purge()
    producer.flush(0.2)
    deliveries = (
        settled.get(node) or Delivery(node, partition, timeout, error="_TIMED_OUT")
        for node, partition in leaders.items()
    )
    told = tuple(_explained(delivery, words.refusals) for delivery in deliveries)
    return ClientRun(topic, told, tuple(words.lines), max(throttled))


def _configuration(servers: str, timeout: float, given: Mapping[str, str]) -> dict[str, object]:
    wait = min(int(max(timeout, 1.0) * 1000), _LONGEST_MS)
    return {
        **given,
        "bootstrap.servers": servers,
        "acks": "all",
        "retries": 0,
        "message.timeout.ms": wait,
        "socket.timeout.ms": wait,
        "request.timeout.ms": wait,
        "socket.connection.setup.timeout.ms": max(_CONNECT_MS, min(wait, 3 * _CONNECT_MS)),
        "topic.metadata.propagation.max.ms": 1000,
        "reconnect.backoff.ms": _RECONNECT_MS,
        "reconnect.backoff.max.ms": _RECONNECT_MS,
        "allow.auto.create.topics": False,
        "enable.metrics.push": False,
        "linger.ms": 0,
        "log.connection.close": True,
        "debug": "msg",
    }


def _bearer(sasl: Sasl | None) -> dict[str, object]:
    """The callback that hands the client a token, where there is one."""
    if sasl is None or not sasl.token:
        return {}
    expires = time.time() + _TOKEN_SECONDS
    return {"oauth_cb": lambda _: (sasl.token, expires, sasl.username, dict(sasl.extensions))}


def _failed(node: int, partition: int, elapsed: float, error: KafkaError) -> Delivery:
    return Delivery(node, partition, elapsed, error=error.name(), detail=clean(error.str()))


def _explained(delivery: Delivery, refusals: Mapping[int, str]) -> Delivery:
    """The delivery; where time ran out over a broker's refusal, with that refusal as its error."""
    said = refusals.get(delivery.partition)
    if said is None or delivery.error not in ("_MSG_TIMED_OUT", "_TIMED_OUT"):
        return delivery
    codes = [code for code in vars(KafkaError).values() if isinstance(code, int)]
    names = {KafkaError(code).str(): KafkaError(code).name() for code in codes}
    return replace(delivery, error=names.get(said, delivery.error), detail=clean(said))

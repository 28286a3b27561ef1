"""The real client: the only door to confluent-kafka."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import (
    KafkaError,
    KafkaException,
    Message,
    Producer,
    ThrottleEvent,
    libversion,
)

from kdiag.attempt import ClientRun, Delivery, Failure, clean
from kdiag.clients.conversation import Reply
from kdiag.clients.wire import no_such_topic
from kdiag.redaction import redacted
from kdiag.security import Sasl, Security, librdkafka

LOGIN_FAILED = "_AUTHENTICATION"
MAX_WORDS = 40  # lines of the client's log that are kept
KEY, VALUE = b"kdiag", b"kdiag connectivity check"

# In milliseconds. The client must give up when the probe would, say why a connection failed as soon
# as it knows, and neither hammer a broker nor create anything. After a connection has failed it
# tries again when half of _RECONNECT_MS is over, and until then must have been stopped.
_CONNECT_MS, _RECONNECT_MS = 1000, 2000
_LONGEST_MS = 300_000  # that the client takes for socket.timeout.ms

_PUSHES_METRICS = 0x02_05_00_00  # the first librdkafka that does, and has a property against it

# The client does not read a token's expiry, and asks anew in time; this one is used once.
_TOKEN_SECONDS = 3600

# The client looks once a second whether it has its token, and tells nobody of a failed login until
# then: one that it gets late leaves it no time for a second login.
_TOKEN_DELAY = 0.6  # seconds

# What the client puts before a line: what kind it is, and which client's which thread wrote it.
_WRITER = re.compile(r"\A[A-Z0-9_]+ \[[^\]]*\] \[thrd:.*?\]: ")
# What makes the same words differ each time that they are said.
_TIMES = re.compile(r"after \d+ms (?=in state)|, \d+ identical error\(s\) suppressed")
_REFUSAL = re.compile(r" \[(\d{1,10})\]: MessageSet with .* encountered error: (.*) \(actions ")

# A broker's refusal of a topic, and how the client fails what it has not sent by then.
_REFUSED_TOPIC = "TOPIC_AUTHORIZATION_FAILED"
_DROPPED = ("_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC", "_DESTROY")


class _Words(logging.Handler):
    """Keeps what the client says, clean and without secrets: the cause of a failed connection is
    nowhere else.

    `login` is the first login that failed, `throttle_ms` the longest delay that a broker imposed.
    `refusals` maps a partition to the broker's last words about it. Of errors that the client deems
    passing its delivery report says no more than that time ran out.
    """

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.login: KafkaError | None = None
        self.throttle_ms = 0
        self.refusals: dict[int, str] = {}
        self._secrets = secrets

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno > logging.DEBUG:
            return self.say(_WRITER.sub("", line))
        refused = _REFUSAL.search(line)
        if refused:
            self.refusals[int(refused.group(1))] = refused.group(2)
        return None

    def fail(self, error: KafkaError) -> None:
        """Takes an error of the client as a whole."""
        if error.name() != "_ALL_BROKERS_DOWN":  # it says no more than the others
            self.say(error.str())
        if error.name() == LOGIN_FAILED and self.login is None:
            self.login = error

    def slow(self, event: ThrottleEvent) -> None:
        """Takes a broker's word that it delays this client."""
        self.throttle_ms = max(self.throttle_ms, int(event.throttle_time * 1000))

    def say(self, line: str) -> None:
        told = self.told(line)
        if told not in self.lines and len(self.lines) < MAX_WORDS:
            self.lines.append(told)

    def told(self, text: str) -> str:
        """What may be shown of a text."""
        return clean(redacted(_TIMES.sub("", text), self._secrets))


def deliver(
    servers: str,
    topic: str,
    leaders: Mapping[int, int],
    timeout: float,
    given: Mapping[str, str],
    security: Security,
) -> ClientRun:
    """Writes one small record to one partition of every leader, acknowledged by all its replicas.

    `leaders` maps node id → partition; `given` are client properties beside those of `security`,
    whose token, if it needs one, must be there. Blocks for about `timeout` seconds at most, twice
    that when connections fail, and ends with the first login that fails: the client would try
    again and again. Every failure is in the result.
    """
    signed = _signed(security)
    words = _Words((*security.secrets, *signed.secrets))
    settled: dict[int, Delivery] = {}
    started = time.perf_counter()

    def settle(node: int, error: KafkaError | None, offset: int | None = None) -> None:
        name, detail = (error.name(), words.told(error.str())) if error else (None, "")
        elapsed = time.perf_counter() - started
        settled[node] = Delivery(node, leaders[node], elapsed, offset, name, detail)

    def send(producer: Producer, node: int) -> None:
        def report(error: KafkaError | None, message: Message) -> None:
            settle(node, error, None if error else message.offset())

        try:
            producer.produce(topic, VALUE, KEY, partition=leaders[node], on_delivery=report)
        except KafkaException as error:
            settle(node, error.args[0])

    try:
        producer = _opened(_configuration(servers, timeout, given, signed), words)
    except KafkaException as error:  # a property whose value this client does not take
        for node in leaders:
            settle(node, error.args[0])
        return ClientRun(topic, tuple(settled.values()))
    for node in leaders:
        send(producer, node)
    give_up = started + 2 * max(timeout, 1.0)
    while len(settled) < len(leaders) and words.login is None and time.perf_counter() < give_up:
        producer.poll(0.05)
    if words.login is None:
        producer.purge()
        producer.flush(0.2)
    lost = words.login or KafkaError(KafkaError._TIMED_OUT)
    for node in leaders.keys() - settled.keys():
        settle(node, lost)
    told = [_explained(settled[node], words.refusals) for node in leaders]
    return ClientRun(topic, given_up(told), tuple(words.lines), words.throttle_ms)


def has_gssapi() -> bool:
    """Whether this build of the client can log in with Kerberos; the usual wheels cannot."""
    try:
        _opened({"builtin.features": "sasl_gssapi"}, _Words(()))
    except KafkaException:
        return False
    return True


def enter(
    server: str, topic: str | None, timeout: float, given: Mapping[str, str], security: Security
) -> Reply:
    """Logs in to one server, once, and asks it for the metadata of the cluster and the topic.

    The answer is as one to Metadata on the wire. Blocks for about `timeout` seconds at most.
    """
    words, connected = _Words(security.secrets), False
    started = time.perf_counter()
    # Without a name the client asks for all topics there are.
    named = topic or no_such_topic()

    def ended(failure: Failure, detail: str) -> Reply:
        return Reply(time.perf_counter() - started, {}, failure, detail)

    try:
        configuration = _configuration(server, timeout, given, security)
        # Having heard who the brokers are it connects anew before it asks more.
        client = _opened({**configuration, "reconnect.backoff.ms": 100}, words)
    except KafkaException as error:
        return ended(Failure.CREDENTIALS, words.told(error.args[0].str()))
    while (left := started + timeout - time.perf_counter()) > 0:
        client.poll(min(left, 0.05))
        if words.login:
            return ended(Failure.CREDENTIALS, words.told(words.login.str()))
        try:
            # This says nothing of a login that failed, so there is no waiting in it until one has
            # succeeded.
            told = client.list_topics(named, timeout=left if connected else 0.0)
        except KafkaException as error:
            connected = error.args[0].name() == "_TIMED_OUT"
        else:
            return Reply(time.perf_counter() - started, _as_on_the_wire(told, topic))
    return ended(Failure.SILENT, words.lines[-1] if words.lines else f"silent for {timeout:g} s")


def _as_on_the_wire(told: Any, topic: str | None) -> dict[str, Any]:
    """What the client knows of the cluster, and of that topic alone."""
    return {
        "brokers": [
            {"node_id": b.id, "host": clean(b.host), "port": b.port, "rack": None}
            for b in told.brokers.values()
        ],
        "cluster_id": clean(told.cluster_id) if told.cluster_id else None,
        "controller_id": told.controller_id,
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
            for name, found in told.topics.items()
            if name == topic
        ],
    }


def _opened(configuration: Mapping[str, object], words: _Words) -> Producer:
    """A client that tells `words` all it has to say. Raises KafkaException."""
    logger = logging.Logger("kdiag.client", logging.DEBUG)
    logger.addHandler(words)
    return Producer(
        {**configuration, "error_cb": words.fail, "throttle_cb": words.slow}, logger=logger
    )


def _configuration(
    servers: str, timeout: float, given: Mapping[str, str], security: Security
) -> dict[str, object]:
    wait = min(int(max(timeout, 1.0) * 1000), _LONGEST_MS)
    return {
        **given,
        **_secured(security, "sasl.kerberos.keytab" in given),
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
        **({"enable.metrics.push": False} if libversion()[1] >= _PUSHES_METRICS else {}),
        "linger.ms": 0,
        "log.connection.close": True,
        "debug": "msg",
    }


def _signed(security: Security) -> Security:
    """The same, with a token in place of AWS's keys: the client has no AWS_MSK_IAM."""
    sasl = security.sasl
    if sasl is None or sasl.mechanism != "AWS_MSK_IAM":
        return security
    from kdiag.clients.iam import bearer  # what few logins need

    token = bearer(sasl.region, sasl.username, sasl.password, sasl.token, time.time())
    return security._replace(sasl=Sasl("OAUTHBEARER", token=token))


def _secured(security: Security, keytab: bool) -> dict[str, object]:
    """The properties for this security, and the callback that hands over a token."""
    given: dict[str, object] = dict(librdkafka(security))
    sasl = security.sasl
    if sasl and sasl.token and given.get("sasl.mechanism") == "OAUTHBEARER":
        login = sasl.token, time.time() + _TOKEN_SECONDS, sasl.username, dict(sasl.extensions)

        def hand_over(_: str) -> tuple[str, float, str, dict[str, str]]:
            time.sleep(_TOKEN_DELAY)
            return login

        given["oauth_cb"] = hand_over
    if given.get("sasl.mechanism") == "GSSAPI" and not keytab:
        given["sasl.kerberos.min.time.before.relogin"] = 0  # this machine's tickets, as they are
    return given


def given_up(told: Sequence[Delivery]) -> tuple[Delivery, ...]:
    """The deliveries. Once one broker has refused the topic the client sends nothing more to it: a
    record that was still to go fails for what became of its queue, and not for what it is."""
    refused = next((each for each in told if each.error == _REFUSED_TOPIC), None)
    return tuple(
        each._replace(error=refused.error, detail=refused.detail)
        if refused and each.error in _DROPPED
        else each
        for each in told
    )


def _explained(delivery: Delivery, refusals: Mapping[int, str]) -> Delivery:
    """The delivery; where time ran out over a broker's refusal, with that refusal as its error."""
    said = refusals.get(delivery.partition)
    if said is None or delivery.error not in ("_MSG_TIMED_OUT", "_TIMED_OUT"):
        return delivery
    codes = [code for code in vars(KafkaError).values() if isinstance(code, int)]
    names = {KafkaError(code).str(): KafkaError(code).name() for code in codes}
    return delivery._replace(error=names.get(said, delivery.error), detail=clean(said))

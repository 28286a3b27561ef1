"""Which client properties reach the real client: held against the one that is installed."""

from __future__ import annotations

import logging

import pytest
from confluent_kafka import KafkaException, Producer

from kdiag.config.properties.names import KNOWN, USED
from kdiag.config.properties.producer import ACTED_ON, ALIASES, GIVEN, handed_over, used_by_client
from kdiag.config.settings import settings
from kdiag.kafka.configuration import NEVER

QUIET = logging.Logger("quiet", logging.CRITICAL + 1)

# A value of each that is no number, or out of the ordinary.
VALUES = {
    "api.version.request": "true",
    "broker.version.fallback": "0.10.0",
    "client.dns.lookup": "resolve_canonical_bootstrap_servers_only",
    "client.rack": "eu-west-2a",
    "compression.level": "9",
    "compression.type": "zstd",
    "enable.gapless.guarantee": "false",
    "enable.idempotence": "true",
    "enable.random.seed": "false",
    "metadata.recovery.strategy": "none",
    "partitioner": "murmur2_random",
    "queuing.strategy": "fifo",
    "socket.keepalive.enable": "true",
    "socket.nagle.disable": "false",
    "ssl.crl.location": "crl.pem",
    "ssl.curves.list": "P-256",
    "ssl.sigalgs.list": "RSA+SHA256",
    "topic.blacklist": "^hidden",
    "topic.metadata.refresh.sparse": "true",
}

# What librdkafka knows and the real client is not given.
LEFT_OUT = """
auto.commit.interval.ms auto.offset.reset check.crcs consume.callback.max.messages
coordinator.query.interval.ms enable.auto.commit enable.auto.offset.store enable.partition.eof
fetch.error.backoff.ms fetch.max.bytes fetch.message.max.bytes fetch.min.bytes
fetch.queue.backoff.ms fetch.wait.max.ms group.instance.id group.protocol
group.protocol.type group.remote.assignor heartbeat.interval.ms isolation.level
max.partition.fetch.bytes max.poll.interval.ms max.poll.records offset.store.method
offset_commit_cb partition.assignment.strategy queued.max.messages.kbytes queued.min.messages
rebalance_cb session.timeout.ms

background_event_cb closesocket_cb connect_cb dr_cb dr_msg_cb enabled_events error_cb log_cb
oauthbearer_token_refresh_cb opaque open_cb resolve_cb stats_cb throttle_cb
delivery.report.only.error

builtin.features client.software.name client.software.version debug enable.metrics.push
internal.termination.signal log.connection.close log.queue log.thread.name log_level
produce.offset.report statistics.interval.ms

plugin.library.paths sasl.kerberos.kinit.cmd ssl.engine.id ssl.engine.location ssl.providers

metadata.recovery.rebootstrap.trigger.ms metadata.request.timeout.ms reconnect.backoff.jitter.ms
reconnect.backoff.max.ms reconnect.backoff.ms retry.backoff.max.ms retry.backoff.ms
topic.metadata.propagation.max.ms topic.metadata.refresh.fast.cnt
topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.interval.ms

sasl.kerberos.min.time.before.relogin sasl.oauthbearer.assertion.algorithm
sasl.oauthbearer.assertion.claim.aud sasl.oauthbearer.assertion.claim.exp.seconds
sasl.oauthbearer.assertion.claim.iss sasl.oauthbearer.assertion.claim.jti.include
sasl.oauthbearer.assertion.claim.nbf.seconds sasl.oauthbearer.assertion.claim.sub
sasl.oauthbearer.assertion.file sasl.oauthbearer.assertion.jwt.template.file
sasl.oauthbearer.assertion.private.key.file sasl.oauthbearer.assertion.private.key.passphrase
sasl.oauthbearer.assertion.private.key.pem sasl.oauthbearer.metadata.authentication.type
sasl.oauthbearer.sub.claim.name ssl.ca.certificate.stores

transaction.timeout.ms
""".split()


def is_known(name: str) -> bool:
    """Whether the installed client has a property of that name."""
    try:
        Producer({name: ""}, logger=QUIET)
    except (KafkaException, ValueError, TypeError) as error:
        return "No such configuration property" not in str(error)
    return True


def is_taken(name: str, value: str) -> bool:
    try:
        Producer({name: value}, logger=QUIET)
    except KafkaException:
        return False
    return True


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_the_installed_client_takes_each(name: str) -> None:
    assert is_taken(name, VALUES.get(name, "1000"))


@pytest.mark.parametrize(("alias", "name"), sorted(ALIASES.items()))
def test_an_alias_says_what_the_name_in_here_says(alias: str, name: str) -> None:
    layered = settings("a:1", topic="t", from_file={alias: "7"}, properties={name: "9"})
    assert layered.client == {name: "9"}
    layered = settings("a:1", topic="t", from_file={name: "7"}, properties={alias: "9"})
    assert layered.client == {name: "9"}
    assert settings("a:1", topic="t", from_file={name: "7", alias: "9"}).client == {name: "9"}
    assert settings("a:1", topic="t", from_file={name: "7"}, properties={alias: ""}).client == {}


def test_every_property_of_the_installed_client_is_given_or_left_out_for_a_reason() -> None:
    theirs = {name for name in KNOWN - USED if is_known(name)}
    assert theirs - {name for name in theirs if used_by_client(name)} == set(LEFT_OUT)
    assert theirs | USED >= GIVEN
    assert not GIVEN & set(LEFT_OUT)


def test_what_would_fence_a_producer_or_create_a_topic_is_never_given() -> None:
    assert set(NEVER) == ACTED_ON
    assert not GIVEN & ACTED_ON


def test_javas_names_are_translated() -> None:
    given = {
        "key.serializer": "org.apache.kafka.common.serialization.StringSerializer",
        "acks": "1",
        "buffer.memory": "33554432",
        "compression.type": "gzip",
        "compression.gzip.level": "9",
        "compression.zstd.level": "3",
        "delivery.timeout.ms": "120000",
        "max.in.flight.requests.per.connection": "5",
        "max.request.size": "2000000",
        "receive.buffer.bytes": "65536",
        "request.timeout.ms": "5000",
        "send.buffer.bytes": "-1",
        "socket.connection.setup.timeout.ms": "2000",
    }
    asked = settings("a:1", topic="t", from_file=given)
    assert asked.client == {
        "acks": "1",
        "compression.level": "9",
        "compression.type": "gzip",
        "max.in.flight.requests.per.connection": "5",
        "message.max.bytes": "2000000",
        "message.timeout.ms": "120000",
        "request.timeout.ms": "5000",
        "socket.receive.buffer.bytes": "65536",
        "socket.timeout.ms": "5000",
    }
    assert asked.notes == ("not used by kdiag: buffer.memory, key.serializer",)


def test_librdkafkas_times_are_taken_as_librdkafka_means_them() -> None:
    given = {"request.timeout.ms": "5000", "socket.connection.setup.timeout.ms": "2000"}
    assert handed_over(given, given) == given


def test_a_transactional_id_is_kept_for_rules_and_said() -> None:
    asked = settings("a:1", topic="t", properties={"transactional.id": "orders-1"})
    assert asked.client == {"transactional.id": "orders-1"}
    (note,) = asked.notes
    assert note.startswith("transactional.id is not given to the real client")


def test_without_a_topic_nothing_of_it_is_used() -> None:
    asked = settings("a:1", properties={"acks": "1", "debug": "all", "transactional.id": "x"})
    assert asked.client == {}
    assert asked.notes == (
        "used with --topic alone: acks, transactional.id",
        "not used by kdiag: debug",
    )

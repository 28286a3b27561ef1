"""Names of client properties, Java's and librdkafka's, to tell a typo from one not used here.

Sources: the producer, consumer and admin configuration pages of Apache Kafka 4.x, and librdkafka's
CONFIGURATION.md.
"""

from __future__ import annotations

from kdiag.config.properties.producer import ACTED_ON, ALIASES, GIVEN

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")

# The properties that kdiag uses; kdiag.* are its own.
USED = frozenset(
    """
bootstrap.servers broker.address.family client.dns.lookup client.id
enable.sasl.oauthbearer.unsecure.jwt enable.ssl.certificate.verification group.id https.ca.location
https.ca.pem kdiag.oauthbearer.allow.http kdiag.oauthbearer.token metadata.broker.list proxy_url
request.timeout.ms sasl.client.callback.handler.class sasl.jaas.config sasl.kerberos.keytab
sasl.kerberos.principal sasl.kerberos.service.name sasl.login.callback.handler.class sasl.mechanism
sasl.mechanisms sasl.oauthbearer.client.credentials.client.id
sasl.oauthbearer.client.credentials.client.secret sasl.oauthbearer.client.id
sasl.oauthbearer.client.secret sasl.oauthbearer.config sasl.oauthbearer.extensions
sasl.oauthbearer.grant.type sasl.oauthbearer.method sasl.oauthbearer.scope
sasl.oauthbearer.token.endpoint.url sasl.password sasl.username security.protocol
socket.connection.setup.timeout.ms socket.timeout.ms socks5_proxy ssl.ca.location ssl.ca.pem
ssl.certificate.location ssl.certificate.pem ssl.cipher.suites ssl.enabled.protocols
ssl.endpoint.identification.algorithm ssl.key.location ssl.key.password ssl.key.pem
ssl.keystore.certificate.chain ssl.keystore.key ssl.keystore.location ssl.keystore.password
ssl.keystore.type ssl.truststore.certificates ssl.truststore.location ssl.truststore.password
ssl.truststore.type
""".split()
)

# Of Confluent's serializers, for their Schema Registry; schema.registry.ssl.* are as Kafka's ssl.*.
_OF_REGISTRY = frozenset(
    """
basic.auth.credentials.source basic.auth.user.info bearer.auth.credentials.source bearer.auth.token
schema.registry.basic.auth.user.info schema.registry.url
""".split()
)

KNOWN = USED.union(
    GIVEN,
    ACTED_ON,
    ALIASES,
    """
auto.commit.interval.ms auto.offset.reset background_event_cb buffer.memory builtin.features
check.crcs client.software.name client.software.version closesocket_cb compression.gzip.level
compression.lz4.level compression.zstd.level config.providers connect_cb
consume.callback.max.messages coordinator.query.interval.ms debug default.api.timeout.ms
delivery.report.only.error dr_cb dr_msg_cb enable.auto.commit enable.auto.offset.store
enable.metrics.push enable.partition.eof enabled_events error_cb exclude.internal.topics
fetch.error.backoff.ms fetch.max.bytes fetch.max.wait.ms fetch.message.max.bytes fetch.min.bytes
fetch.queue.backoff.ms fetch.wait.max.ms group.instance.id group.protocol group.protocol.type
group.remote.assignor heartbeat.interval.ms interceptor.classes internal.termination.signal
isolation.level key.deserializer key.serializer log.connection.close log.queue log.thread.name
log_cb log_level max.block.ms max.partition.fetch.bytes max.poll.interval.ms max.poll.records
metadata.max.idle.ms metadata.recovery.rebootstrap.trigger.ms metadata.request.timeout.ms
metric.reporters metrics.num.samples metrics.recording.level metrics.sample.window.ms
oauthbearer_token_refresh_cb offset.store.method offset_commit_cb opaque open_cb
partition.assignment.strategy partitioner.adaptive.partitioning.enable
partitioner.availability.timeout.ms partitioner.class partitioner.ignore.keys plugin.library.paths
produce.offset.report queued.max.messages.kbytes queued.min.messages rebalance_cb
reconnect.backoff.jitter.ms reconnect.backoff.max.ms reconnect.backoff.ms resolve_cb
retry.backoff.max.ms retry.backoff.ms sasl.kerberos.kinit.cmd sasl.kerberos.min.time.before.relogin
sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor sasl.login.class
sasl.login.connect.timeout.ms sasl.login.read.timeout.ms sasl.login.refresh.buffer.seconds
sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor
sasl.login.refresh.window.jitter sasl.login.retry.backoff.max.ms sasl.login.retry.backoff.ms
sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud
sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss
sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds
sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file
sasl.oauthbearer.assertion.jwt.template.file sasl.oauthbearer.assertion.private.key.file
sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.private.key.pem
sasl.oauthbearer.assertion.template.file sasl.oauthbearer.clock.skew.seconds
sasl.oauthbearer.expected.audience sasl.oauthbearer.expected.issuer
sasl.oauthbearer.header.urlencode sasl.oauthbearer.jwks.endpoint.refresh.ms
sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms sasl.oauthbearer.jwks.endpoint.retry.backoff.ms
sasl.oauthbearer.jwks.endpoint.url sasl.oauthbearer.jwt.retriever.class
sasl.oauthbearer.jwt.validator.class sasl.oauthbearer.metadata.authentication.type
sasl.oauthbearer.scope.claim.name sasl.oauthbearer.sub.claim.name security.providers
session.timeout.ms socket.cb socket.connection.setup.timeout.max.ms ssl.ca.certificate.stores
ssl.engine.factory.class ssl.engine.id ssl.engine.location ssl.keymanager.algorithm ssl.protocol
ssl.provider ssl.providers ssl.secure.random.implementation ssl.trustmanager.algorithm
statistics.interval.ms stats_cb throttle_cb topic.metadata.propagation.max.ms
topic.metadata.refresh.fast.cnt topic.metadata.refresh.fast.interval.ms
topic.metadata.refresh.interval.ms transaction.timeout.ms value.deserializer value.serializer
""".split(),
)


def is_used(name: str) -> bool:
    """Whether kdiag uses a property; those of every SASL mechanism are included."""
    return name in USED or of_registry(name) or _of_mechanism(name)


def is_known(name: str) -> bool:
    """Whether a client or kdiag has a property of this name."""
    return name in KNOWN or of_registry(name) or _of_mechanism(name)


def of_registry(name: str) -> bool:
    """Whether a property is for the client's Schema Registry."""
    in_ssl = name.startswith("schema.registry.ssl.") and name[len("schema.registry.") :] in KNOWN
    return in_ssl or name in _OF_REGISTRY


def _of_mechanism(name: str) -> bool:
    from kdiag.config.mechanisms import PROPERTIES  # 1 ms, before the first packet

    return name in PROPERTIES

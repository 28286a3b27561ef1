"""Which properties of a producer kdiag passes to the real client of `--topic`.

Sources: CONFIGURATION.md of librdkafka 2.16.0, the properties marked P or *; and
org.apache.kafka.clients.producer.ProducerConfig of Apache Kafka 4.3. A test constructs the client
that is installed with each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

# Names that say one thing: Java's, or another of librdkafka's → the one used in here. Where one
# place gives both, the last counts, as in librdkafka.
ALIASES = {
    "compression.codec": "compression.type",
    "delivery.timeout.ms": "message.timeout.ms",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "max.request.size": "message.max.bytes",
    "message.send.max.retries": "retries",
    "queue.buffering.max.ms": "linger.ms",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "request.required.acks": "acks",
    "send.buffer.bytes": "socket.send.buffer.bytes",
}

# What the real client is given. Not here is what concerns TLS and logins, which `security` hands
# over; and what would load code, run a command, write a file, call back, log or count; and what
# sets the pace of retries, which is kdiag's own.
GIVEN = frozenset(
    """
acks api.version.fallback.ms api.version.request api.version.request.timeout.ms batch.num.messages
batch.size broker.address.ttl broker.version.fallback client.dns.lookup client.rack
compression.level compression.type connections.max.idle.ms enable.gapless.guarantee
enable.idempotence enable.random.seed linger.ms max.in.flight.requests.per.connection
message.copy.max.bytes message.max.bytes message.timeout.ms metadata.max.age.ms
metadata.recovery.strategy partitioner queue.buffering.backpressure.threshold
queue.buffering.max.kbytes queue.buffering.max.messages queuing.strategy receive.message.max.bytes
request.timeout.ms retries socket.blocking.max.ms socket.connection.setup.timeout.ms
socket.keepalive.enable socket.max.fails socket.nagle.disable socket.receive.buffer.bytes
socket.send.buffer.bytes socket.timeout.ms ssl.crl.location ssl.curves.list ssl.sigalgs.list
sticky.partitioning.linger.ms topic.blacklist topic.metadata.refresh.sparse
""".split()
)

# What kdiag acts on where there is a topic, and never hands over: a transactional.id would fence
# the producer that uses it, and kdiag creates no topic.
ACTED_ON = frozenset({"allow.auto.create.topics", "transactional.id"})

# Java's level of each compression, which is one property in librdkafka.
_LEVELS = {f"compression.{kind}.level": kind for kind in ("gzip", "lz4", "zstd")}

# What only Java's client has, and its configuration mostly has some of.
_JAVA = frozenset(
    """
buffer.memory key.serializer max.block.ms max.request.size
sasl.client.callback.handler.class sasl.jaas.config sasl.login.callback.handler.class
ssl.enabled.protocols ssl.keystore.type ssl.truststore.certificates ssl.truststore.location
ssl.truststore.type value.serializer
""".split()
)
# What only librdkafka's clients have. How kdiag itself is given a user, a password or a family is
# not among it: whoever checks for a client of Java's writes these as well.
_LIBRDKAFKA = frozenset(
    """
debug enable.ssl.certificate.verification log_level message.timeout.ms metadata.broker.list
queue.buffering.max.kbytes queue.buffering.max.messages queue.buffering.max.ms sasl.mechanisms
socket.keepalive.enable socket.timeout.ms ssl.ca.location ssl.ca.pem ssl.certificate.location
ssl.certificate.pem ssl.key.location ssl.key.pem statistics.interval.ms
topic.metadata.refresh.interval.ms
""".split()
)
_UNLIMITED = {"socket.receive.buffer.bytes", "socket.send.buffer.bytes"}  # with Java's value of -1


def handed_over(given: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """The properties for the real client, by librdkafka's names, with those that kdiag uses itself.

    `names` are those that the user wrote: they show whether the client is Java's, whose
    `request.timeout.ms` is the time for an answer, and whose time to connect is without TLS and
    login.
    """
    found = {name: given[name] for name in given if name in GIVEN | ACTED_ON}
    found = {n: value for n, value in found.items() if (n in _UNLIMITED, value) != (True, "-1")}
    for name, kind in _LEVELS.items():
        if name in given and given.get("compression.type") == kind:
            found.setdefault("compression.level", given[name])
    if _JAVA.intersection(names):
        found.pop("socket.connection.setup.timeout.ms", None)
        if "request.timeout.ms" in found:
            found.setdefault("socket.timeout.ms", found["request.timeout.ms"])
    return found


def dialect(given: Mapping[str, str], names: Collection[str]) -> str:
    """The client that has these properties: "java", "librdkafka", or "" where both may."""
    java = bool(_JAVA.intersection(names)) or given.get("client.dns.lookup") == "default"
    other = bool(_LIBRDKAFKA.intersection(names))
    if java == other:
        return ""
    return "java" if java else "librdkafka"


def used_by_client(name: str) -> bool:
    """Whether the real client gets this property, or kdiag uses it instead."""
    canonical = ALIASES.get(name, name)
    return canonical in GIVEN or canonical in ACTED_ON or name in _LEVELS

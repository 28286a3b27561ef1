"""Recognises which service answers on a port that is not Kafka's, by the peer's first bytes.

What servers really say to Kafka's first requests, and to the follow-ups here, was read off nginx,
OpenSSH, Redis, PostgreSQL, MariaDB, RabbitMQ, ZooKeeper and the Prometheus JMX exporter.
"""

from __future__ import annotations

import re

from kdiag.config.record import NamedTuple
from kdiag.network.attempt import clean, clean_bytes

READ_LIMIT = 4096  # bytes of an answer that matter; a web page's head and the start of its body

# Both ask for nothing but a name. A Redis takes the first for its own GET and says so; a ZooKeeper
# hangs up on it, and answers the second or says that it is not allowed to: srvr is the one command
# that it allows by default.
HTTP_PROBE = b"GET / HTTP/1.0\r\n\r\n"
ZOOKEEPER_PROBE = b"srvr"

_BANNER_LIMIT = 160
_BROKER_PORT = "use the port of a broker's listener, usually 9092 to 9094"


class ServiceFingerprint(NamedTuple):
    """A service that is no broker. `name` continues "this is …"; `banner` is its own text, clean;
    `hint` is one sentence on what to use instead."""

    name: str
    banner: str
    hint: str


class _Kind(NamedTuple):
    """A kind of server, and the pattern that its first bytes match from the start; the pattern's
    group `banner`, where it has one, is what to show of them. Patterns are compiled when a peer is
    no broker, which seldom happens."""

    name: str
    pattern: bytes
    hint: str


def recognise(first: bytes) -> ServiceFingerprint | None:
    """The service that sends these bytes; None if it is not known, or speaks TLS.

    `first` is what the peer sent first, unasked or as the answer to Kafka's requests or to one of
    the follow-ups.
    """
    head = first[:READ_LIMIT]
    for kind in _KINDS:
        found = re.match(kind.pattern, head)
        if found:
            banner = found.groupdict().get("banner") or head.partition(b"\n")[0]
            return ServiceFingerprint(kind.name, _banner(head, banner), kind.hint)
    return None


def follow_ups(first: bytes) -> tuple[bytes, ...]:
    """What to send, each on a connection of its own, to learn more about a peer that is no broker.

    Nothing for a peer whose first bytes name it; a web server is asked for its front page, which
    tells a Schema Registry from a metrics exporter; a silent peer is asked for that and for
    ZooKeeper's name. What `recognise` makes of a later answer is worth more.
    """
    if first.startswith(b"HTTP/"):
        return (HTTP_PROBE,)
    return () if first else (HTTP_PROBE, ZOOKEEPER_PROBE)


def decode_size(size: int) -> str | None:
    """What a client took for the length of a message (its first four bytes); None if plausible.

    Clients print it: "Invalid receive (size = 1213486160)" was an HTTP server's answer.
    """
    if not 0 < size < 1 << 32:
        return None
    head = size.to_bytes(4, "big")
    if head[1] == 3 and head[0] in (0x15, 0x16):
        return "a TLS " + ("alert" if head[0] == 0x15 else "handshake")
    if head in _STARTS:
        return _STARTS[head]
    return f"the text {head.decode()!r}" if head.isalnum() else None


def _banner(head: bytes, banner: bytes) -> str:
    server = re.search(rb"(?i)\r?\nserver:[ \t]*([^\r\n]+)", head.partition(b"\r\n\r\n")[0])
    text = clean_bytes(banner, _BANNER_LIMIT)
    if head.startswith(b"HTTP/") and server:
        text += f" ({clean_bytes(server[1], _BANNER_LIMIT)})"
    return clean(text, _BANNER_LIMIT * 2)


def _http(body: bytes) -> bytes:
    """An HTTP answer that holds this."""
    return rb"HTTP/1\.[01] (?s:.)*?(?i:" + body + rb")"


def _bytes(pattern: bytes) -> bytes:
    return rb"(?s:" + pattern + rb")"


# In order: the first that matches names it.
_KINDS = (
    _Kind(
        "an HTTPS server",
        _http(
            rb"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS server|"
            rb"plain HTTP to an SSL-enabled|host and port requires TLS"
        ),
        f"Kafka clients do not speak HTTP: {_BROKER_PORT}.",
    ),
    _Kind(
        "a Schema Registry",
        _http(rb"application/vnd\.schemaregistry"),
        f"This address belongs in schema.registry.url; for bootstrap.servers {_BROKER_PORT}.",
    ),
    _Kind(
        "Strimzi's Kafka Bridge (HTTP)",
        _http(rb'"bridge_version"'),
        f"The bridge takes HTTP only; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "a Kafka REST proxy",
        _http(rb"application/vnd\.kafka"),
        f"The REST proxy takes HTTP only; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "Kafka Connect (its REST interface)",
        _http(rb'"kafka_cluster_id"'),
        f"This is where connectors are managed; for bootstrap.servers {_BROKER_PORT}.",
    ),
    _Kind(
        "a Prometheus JMX exporter (metrics)",
        _http(rb"Prometheus Java Client|# HELP (jmx|jvm|java_lang|kafka)_"),
        f"This port is for Prometheus to scrape; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "a Prometheus metrics exporter",
        _http(rb"# HELP [a-z]|<title>[^<]{0,80}exporter"),
        f"This port is for Prometheus to scrape; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "an HTTP server",
        _bytes(rb"HTTP/\d"),
        f"Kafka clients do not speak HTTP: {_BROKER_PORT}, and no HTTP proxy or application load "
        "balancer in front of it.",
    ),
    _Kind(
        "an HTTP/2 or gRPC server",
        _bytes(rb"\0.{2}\x04\0\0\0\0\0(\0[\x01-\x09].{4}|\Z)"),
        f"Kafka clients do not speak HTTP/2: {_BROKER_PORT}.",
    ),
    _Kind(
        "an SSH server",
        _bytes(rb"(?P<banner>SSH-[12]\.[^\r\n]*)"),
        f"This is the SSH port of the machine; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "an SMTP server",
        _bytes(rb"220[ -][^\r\n]*E?SMTP"),
        f"This is a mail server; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "an FTP or mail server",
        _bytes(rb"220[ -]"),
        f"This is a file or mail server; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "Redis",
        _bytes(rb"-ERR |-NOAUTH |-DENIED Redis|-LOADING |-MISCONF |\+PONG\r\n"),
        f"This is the port of a Redis; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "PostgreSQL",
        _bytes(rb"E(\0\0.{2}S\w+\0([^M\0][^\0]*\0)*M(?P<banner>[^\0]*)\0|FATAL: )"),
        f"This is the port of a PostgreSQL; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "MySQL or MariaDB",
        _bytes(
            rb".{2}\0[\0\x01](\n(5\.5\.5-)?(?P<banner>[3-9][ -~]{2,80}|1\d\.[ -~]{2,80})\0"
            rb"|\xff.{2}(?=[^\r\n]{0,200}(MySQL|MariaDB)))"
        ),
        f"This is the port of a MySQL; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "an AMQP broker (RabbitMQ)",
        _bytes(rb"AMQP[\0-\x03].{3}"),
        f"RabbitMQ speaks AMQP, not Kafka's protocol; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "ActiveMQ (OpenWire)",
        _bytes(rb"\0\0.{2}\x01ActiveMQ"),
        f"ActiveMQ does not speak Kafka's protocol; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "a NATS server",
        _bytes(rb'INFO \{"server_'),
        f"NATS does not speak Kafka's protocol; Kafka clients {_BROKER_PORT}.",
    ),
    _Kind(
        "ZooKeeper",
        _bytes(
            rb"Zookeeper version: |imok\Z|\w{4} is not executed because it is not in the white"
            rb"|This ZooKeeper instance"
        ),
        f"Clients ask the brokers, not ZooKeeper: {_BROKER_PORT}.",
    ),
)

_STARTS = {
    b"HTTP": "the answer of an HTTP server",
    b"SSH-": "the greeting of an SSH server",
    b"AMQP": "the answer of an AMQP broker",
    b"-ERR": "an error of Redis",
    b"220 ": "the greeting of an SMTP or FTP server",
    b"GET ": "an HTTP request",
    b"POST": "an HTTP request",
    b"HEAD": "an HTTP request",
    b"PUT ": "an HTTP request",
}

"""Patterns for logs of brokers and controllers: clients that use the wrong listener or login."""

from __future__ import annotations

from kdiag.logs.pattern import Pattern

_SELECTOR = (
    "INFO [SocketServer listenerType=ZK_BROKER, nodeId=1] Failed authentication with /10.0.0.7 "
)

PATTERNS = (
    Pattern(
        "during SASL handshake",
        "KD117",
        "sasl",
        f"{_SELECTOR}(Unexpected Kafka request of type METADATA during SASL handshake.) "
        "(org.apache.kafka.common.network.Selector)",
        hop="bootstrap",
        regex=r"Unexpected Kafka request of type",
    ),
    Pattern(
        "which is not enabled",
        "KD109",
        "kafka",
        "org.apache.kafka.common.errors.InvalidRequestException: Received request api key METADATA "
        "which is not enabled",
        hop="bootstrap",
        regex=r"Received request api key \w+ (?:with version \d+ )?which is not enabled",
    ),
    Pattern(
        "Failed authentication with",
        "KD119",
        "sasl",
        f"{_SELECTOR}(Unsupported SASL mechanism GSSAPI)",
        hop="bootstrap",
        regex=r"Unsupported SASL mechanism (?P<mechanism>[\w-]+)",
    ),
    Pattern(
        "Empty client certificate chain",
        "KD115",
        "tls",
        "Caused by: javax.net.ssl.SSLHandshakeException: Empty client certificate chain",
        hop="bootstrap",
    ),
    Pattern(
        "is not authorized for the requested operation",
        "KD403",
        "",
        "INFO Principal = User:bob is not authorized for the requested operation Write on resource",
        sure=False,
    ),
    Pattern(
        "is Denied operation",
        "KD403",
        "",
        "INFO Principal = User:bob is Denied operation = WRITE from host = 10.0.0.7 on resource = "
        "Topic:LITERAL:orders for request = Produce",
        hop="produce",
        regex=r"is Denied operation = WRITE.*Topic:",
    ),
)

"""Patterns for Go clients: sarama, franz-go (also rpk), and the errors of Go's net package."""

from __future__ import annotations

from kdiag.logs.pattern import BOOTSTRAP, LISTENERS, Pattern

_FRANZ = "[WARN] unable to open connection to broker; addr: kafka:9092, broker: seed_0, err: "
_SARAMA = "[sarama] 2026/11/24 12:32:47 "

PATTERNS = (
    Pattern(
        ": no such host",
        "KD101",
        "dns",
        f"{_FRANZ}dial tcp: lookup kafka on 10.0.0.2:53: no such host",
        regex=r"lookup (?P<name>[\w.-]+)",
    ),
    Pattern(
        "lookup ",
        "KD102",
        "dns",
        f"{_FRANZ}dial tcp: lookup kafka on 127.0.0.53:53: server misbehaving",
        regex=r"lookup (?P<name>[\w.-]+)(?: on \S+)?: .*(?:server misbehaving|i/o timeout|"
        r"connection refused|try again)",
    ),
    Pattern(
        "connect: connection refused",
        "KD103",
        "tcp",
        f"{_FRANZ}dial tcp 127.0.0.1:9092: connect: connection refused",
        regex=r"dial tcp (?P<ip>\S+): connect",
    ),
    Pattern(
        ": i/o timeout",
        "KD104",
        "tcp",
        f"{_FRANZ}dial tcp 10.0.1.11:9092: i/o timeout",
        regex=r"dial tcp (?P<ip>\S+): i/o timeout",
    ),
    Pattern(
        "connect: connection timed out",
        "KD104",
        "tcp",
        f"{_FRANZ}dial tcp 10.0.1.11:9092: connect: connection timed out",
        regex=r"dial tcp (?P<ip>\S+): connect",
    ),
    Pattern(
        "connect: n",  # network is unreachable, no route to host
        "KD105",
        "tcp",
        f"{_FRANZ}dial tcp [2001:db8::221]:9094: connect: network is unreachable",
        regex=r"dial tcp (?P<ip>\S+): connect: (?:network is unreachable|no route to host)",
    ),
    Pattern(
        ": i/o timeout",
        "KD107",
        "kafka",
        f"{_SARAMA}Failed to read ApiVersionsResponse V3 header from kafka:9092: read tcp "
        "203.0.113.10:41816->3.10.139.221:8023: i/o timeout",
        regex=r"ApiVersions.*read tcp \S+: i/o timeout",
    ),
    Pattern(
        ": i/o timeout",
        "KD401",
        "",
        f"{_SARAMA}producer/broker/3 state change to [closing] because read tcp "
        "203.0.113.10:41816->3.10.139.223:9094: i/o timeout",
        sure=False,
        hop="produce",
        regex=r"(?:producer/broker/(?P<node>\d+)|Retrying batch).*read tcp \S+: i/o timeout",
    ),
    Pattern(
        "invalid large response size",
        "KD108",
        "kafka",
        "[ERROR] unable to request api versions; broker: seed_0, err: invalid large response size "
        "1213486160 > limit 104857600; the four size bytes are 'HTTP' in ascii, the beginning of "
        "an HTTP response; is your broker port correct?",
        regex=r"response size (?P<size>\d+)",
    ),
    Pattern(
        "failed to verify certificate",
        "KD113",
        "tls",
        f"{_FRANZ}tls: failed to verify certificate: x509: cannot validate certificate for "
        "3.10.139.222 because it doesn't contain any IP SANs",
        regex=r"certificate (?:for (?P<wanted>[\w.:-]+) because|is valid for .*, not )",
    ),
    Pattern(
        "x509: certificate",
        "KD114",
        "tls",
        f"{_FRANZ}tls: failed to verify certificate: x509: certificate has expired or is not yet "
        "valid: current time 2026-11-24T12:37:52Z is after 2026-10-25T12:33:32Z",
        regex=r"has expired or is not yet valid",
    ),
    Pattern(
        "x509: certificate",
        "KD112",
        "tls",
        f"{_FRANZ}tls: failed to verify certificate: x509: certificate signed by unknown authority",
        regex=r"signed by unknown authority|not trusted",
    ),
    Pattern(
        "remote error: tls: ",
        "KD115",
        "tls",
        f"{_FRANZ}remote error: tls: bad certificate",
        regex=r"tls: (?:bad certificate|certificate required|unknown certificate)",
    ),
    Pattern(
        "first record does not look like a TLS handshake",
        "KD111",
        "tls",
        f"{_FRANZ}tls: first record does not look like a TLS handshake",
    ),
    Pattern(
        "client is using TLS when the broker is not expecting it",
        "KD111",
        "tls",
        "[WARN] unable to open connection to broker due to an immediate EOF, which often means the "
        "client is using TLS when the broker is not expecting it (is TLS misconfigured?); addr: "
        "kafka:9092, broker: seed_0, err: EOF",
        sure=False,
    ),
    Pattern(
        "when the broker requires TLS",
        "KD110",
        "kafka",
        "[WARN] read from broker received EOF during api versions discovery, which often happens "
        "when the broker requires TLS and the client is not using it (is TLS misconfigured?); "
        "addr: kafka:9092, broker: seed_0, err: EOF",
        sure=False,
    ),
    Pattern(
        "is SASL missing?",
        "KD117",
        "sasl",
        "[WARN] read from broker errored, killing connection after 0 successful responses (is SASL "
        "missing?); req: Metadata, addr: kafka:9092, broker: seed_0, err: EOF",
        sure=False,
    ),
    Pattern(
        "does not support the requested SASL mechanism",
        "KD119",
        "sasl",
        f"{_SARAMA}Closed connection to broker kafka:9092 due to SASL v1 auth error: kafka server: "
        "The broker does not support the requested SASL mechanism",
    ),
    Pattern(
        "not valid given the current SASL state",
        "KD118",
        "sasl",
        f"{_SARAMA}Closed connection to broker kafka:9092 due to SASL v1 auth error: kafka server: "
        "Request is not valid given the current SASL state",
    ),
    Pattern(
        "SASL Authentication failed",
        "KD120",
        "sasl",
        f"{_SARAMA}Closed connection to broker kafka:9092 due to SASL v1 auth error: kafka server: "
        "SASL Authentication failed: Authentication failed: Invalid username or password",
    ),
    Pattern(
        "The version of API is not supported",
        "KD109",
        "kafka",
        f"{_SARAMA}client/metadata got error from broker -1 while fetching metadata: kafka server: "
        "The version of API is not supported",
        sure=False,
    ),
    Pattern(
        "Failed to send ApiVersionsRequest",
        "KD111",
        "tls",
        f"{_SARAMA}Failed to send ApiVersionsRequest V3 to kafka:9092: EOF",
        sure=False,  # only a TLS client has a handshake
        regex=r": EOF",
    ),
    Pattern(
        "Failed to read ApiVersionsResponse",
        "KD108",
        "kafka",
        f"{_SARAMA}Failed to read ApiVersionsResponse V3 payload from kafka:8080: unexpected EOF",
        sure=False,  # the client read other bytes as a size
        regex=r"payload from \S+: unexpected EOF",
    ),
    Pattern(
        "Failed to read ApiVersionsResponse",
        "KD110",
        "kafka",
        f"{_SARAMA}Failed to read ApiVersionsResponse V3 header from kafka:9093: unexpected EOF",
        sure=False,  # a TLS alert is one byte shorter than a response header
        regex=r"header from \S+: unexpected EOF",
    ),
    Pattern(
        "Failed to read ApiVersionsResponse",
        "KD121",
        "kafka",
        f"{_SARAMA}Failed to read ApiVersionsResponse V3 header from kafka:9092: EOF",
        sure=False,
        regex=r"header from \S+: EOF",
    ),
    Pattern(
        "while fetching metadata: EOF",
        "KD117",
        "sasl",
        f"{_SARAMA}client/metadata got error from broker -1 while fetching metadata: EOF",
        sure=False,
        proves="after",
    ),
    Pattern(
        "Connected to broker at",
        "",
        "",
        f"{_SARAMA}Connected to broker at 3.10.139.221:9095 (unregistered)",
        proves="reached",
    ),
    Pattern(
        "registered new broker",
        "",
        "",
        f"{_SARAMA}client/brokers registered new broker #1 at 10.0.1.11:9095",
        hop=LISTENERS,
        proves="metadata",
    ),
    Pattern(
        "fetching metadata for all topics from broker",
        "",
        "",
        f"{_SARAMA}client/metadata fetching metadata for all topics from broker kafka:9092",
        regex=r"from broker (?P<address>\S+)",
        proves="first",
    ),
    Pattern(
        "client has run out of available brokers",
        "",
        "",
        "kafka: client has run out of available brokers to talk to (Is your cluster reachable?)",
        hop=BOOTSTRAP,
    ),
    Pattern(
        "done waiting on metadata for new topic",
        "",
        "",
        "[INFO] done waiting on metadata for new topic; topic: orders",
        proves="metadata",
    ),
    Pattern(
        "timed out before they were able to be produced",
        "",
        "",
        "records have timed out before they were able to be produced",
    ),
)

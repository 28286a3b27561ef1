"""Patterns for the Java client: producer, consumer, Streams, Connect, Spring, Kafka's tools."""

from __future__ import annotations

from kdiag.logs.pattern import BOOTSTRAP, LISTENERS, METADATA, PRODUCE, Pattern

_CLIENT = "org.apache.kafka.clients.NetworkClient - [Producer clientId=producer-1] "

PATTERNS = (
    Pattern(
        "as DNS resolution failed for",
        "KD101",
        "dns",
        "WARN org.apache.kafka.clients.ClientUtils - Couldn't resolve server kafka.example.org:9092"
        " from bootstrap.servers as DNS resolution failed for kafka.example.org",
        sure=False,  # the client logs the same text if the resolver does not answer
        hop=BOOTSTRAP,
        regex=r"resolve server (?P<address>\S+) from",
    ),
    Pattern(
        "Error connecting to node",
        "",
        "",
        f"WARN {_CLIENT}Error connecting to node kafka-0.kafka:9092 (id: 1 rack: null)",
    ),
    Pattern(
        "UnknownHostException",
        "KD101",
        "dns",
        "java.net.UnknownHostException: kafka-0.kafka-headless.kafka.svc.cluster.local: Name or "
        "service not known",
        regex=r"UnknownHostException: (?P<name>[\w.-]+)(?!.*Temporary failure)",
    ),
    Pattern(
        "UnknownHostException",
        "KD102",
        "dns",
        "java.net.UnknownHostException: kafka.example.com: Temporary failure in name resolution",
        regex=r"UnknownHostException: (?P<name>[\w.-]+).*Temporary failure",
    ),
    Pattern(
        "No resolvable bootstrap urls",
        "KD101",
        "dns",
        "Caused by: org.apache.kafka.common.config.ConfigException: No resolvable bootstrap urls "
        "given in bootstrap.servers",
        sure=False,
        hop=BOOTSTRAP,
    ),
    Pattern(
        "could not be established",
        "KD103",
        "tcp",
        f"WARN {_CLIENT}Connection to node -1 (localhost/127.0.0.1:9092) could not be established. "
        "Node may not be available.",
        sure=False,  # mostly refused; before Kafka 2.7 also a connection timeout
        regex=r"Connection to node .*(?:Broker|Node) may not be available",
    ),
    Pattern(
        "due to socket connection setup timeout",
        "KD104",
        "tcp",
        f"INFO {_CLIENT}Disconnecting from node 2 due to socket connection setup timeout. The "
        "timeout value is 9728 ms.",
    ),
    Pattern(
        "NoRouteToHostException",
        "KD105",
        "tcp",
        "java.net.NoRouteToHostException: No route to host",
    ),
    Pattern(
        "due to request timeout",
        "KD107",
        "kafka",
        f"INFO {_CLIENT}Disconnecting from node -1 due to request timeout.",
        sure=False,
        regex=r"node -\d+ due to request timeout",
    ),
    Pattern(
        "due to request timeout",
        "KD401",
        "",
        f"INFO {_CLIENT}Disconnecting from node 3 due to request timeout.",
        sure=False,
        hop=PRODUCE,
    ),
    Pattern(
        "OutOfMemoryError",
        "KD110",
        "kafka",
        "java.lang.OutOfMemoryError: Java heap space",
        sure=False,  # the client reads a TLS alert or an HTTP response as a size
    ),
    Pattern(
        "Invalid receive (size",
        "KD108",
        "kafka",
        "org.apache.kafka.common.network.InvalidReceiveException: Invalid receive (size = "
        "1195725856 larger than 104857600)",
        regex=r"size = (?P<size>-?\d+)",
    ),
    Pattern(
        "The node does not support ",
        "KD109",
        "kafka",
        "org.apache.kafka.common.errors.UnsupportedVersionException: The node does not support "
        "METADATA",
        regex=r"not support (?:METADATA|INIT_PRODUCER_ID)",
    ),
    Pattern(
        "The node does not support ",
        "KD109",
        "kafka",
        "org.apache.kafka.common.errors.UnsupportedVersionException: The node does not support "
        "PRODUCE",
        hop=LISTENERS,
        regex=r"not support PRODUCE",
    ),
    Pattern(
        "terminated during authentication",
        "KD111",
        "tls",
        f"WARN {_CLIENT}Connection to node -1 (/3.10.139.221:9094) terminated during "
        "authentication. This may happen due to any of the following reasons: (1) Firewall "
        "blocking Kafka TLS traffic (eg it may only allow HTTPS traffic), (2) Transient network "
        "issue.",
        sure=False,
    ),
    Pattern(
        "unable to find valid certification path",
        "KD112",
        "tls",
        "Caused by: javax.net.ssl.SSLHandshakeException: PKIX path building failed: "
        "sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid "
        "certification path to requested target",
    ),
    Pattern(
        "No subject alternative ",
        "KD113",
        "tls",
        "Caused by: java.security.cert.CertificateException: No subject alternative names matching "
        "IP address 10.132.131.34 found",
        regex=r"No subject alternative (?:DNS )?names? (?:present|matching (?:IP address )?"
        r"(?P<wanted>[\w.:-]+)?)",
    ),
    Pattern(
        "No name matching ",
        "KD113",
        "tls",
        "Caused by: java.security.cert.CertificateException: No name matching localhost found",
    ),
    Pattern(
        "validity check failed",
        "KD114",
        "tls",
        "Caused by: javax.net.ssl.SSLHandshakeException: PKIX path validation failed: "
        "java.security.cert.CertPathValidatorException: validity check failed",
    ),
    Pattern(
        "Certificate",
        "KD114",
        "tls",
        "Caused by: java.security.cert.CertificateExpiredException: NotAfter: Sun Oct 25 12:33:32 "
        "UTC 2026",
        regex=r"Certificate(?:Expired|NotYetValid)Exception",
        index_words=("CertificateExpiredException", "CertificateNotYetValidException"),
    ),
    Pattern(
        "Received fatal alert: ",
        "KD115",
        "tls",
        "Caused by: javax.net.ssl.SSLHandshakeException: Received fatal alert: bad_certificate",
        regex=r"bad_certificate|certificate_required|certificate_unknown|handshake_failure",
    ),
    Pattern(
        "Failed to process post-handshake messages",
        "KD115",
        "tls",
        f"ERROR {_CLIENT}Connection to node -1 (/3.10.139.221:9111) failed authentication due to: "
        "Failed to process post-handshake messages",
        sure=False,
    ),
    Pattern(
        "SSL handshake failed",
        "KD116",
        "tls",
        f"ERROR {_CLIENT}Connection to node -1 (/3.10.139.221:9110) failed authentication due to: "
        "SSL handshake failed",
        sure=False,  # a later line has the cause
    ),
    Pattern(
        "Unsupported or unrecognized SSL message",
        "KD111",
        "tls",
        "Caused by: javax.net.ssl.SSLException: Unsupported or unrecognized SSL message",
    ),
    Pattern(
        "enabled mechanisms are []",
        "KD118",
        "sasl",
        f"ERROR {_CLIENT}Connection to node -1 (/3.10.139.221:9094) failed authentication due to: "
        "Unexpected handshake request with client mechanism SCRAM-SHA-512, enabled mechanisms are "
        "[]",
    ),
    Pattern(
        "Client SASL mechanism '",
        "KD119",
        "sasl",
        f"ERROR {_CLIENT}Connection to node -1 (/3.10.139.221:9122) failed authentication due to: "
        "Client SASL mechanism 'PLAIN' not enabled in the server, enabled mechanisms are "
        "[SCRAM-SHA-512]",
        regex=r"mechanism '(?P<mechanism>[\w-]+)' not enabled.*\[(?P<offered>[\w, -]+)\]",
    ),
    Pattern(
        "failed authentication due to:",
        "KD126",
        "sasl",
        f"ERROR {_CLIENT}Connection to node -1 (b-1.orders.kafka.eu-west-2.amazonaws.com/"
        "3.10.139.221:9198) failed authentication due to: [d3b0b5c0-0c34-4d5b-8a5a-0f8d3b8e4b1a]: "
        "Too many connects",
        regex=r"Too many connects",
    ),
    Pattern(
        "Authentication failed",
        "KD120",
        "sasl",
        f"ERROR {_CLIENT}Connection to node -1 (/3.10.139.221:9120) failed authentication due to: "
        "Authentication failed: Invalid username or password",
        regex=r"invalid credentials|Invalid username or password|Invalid password|"
        r"SaslAuthenticationException",
    ),
    Pattern(
        "SaslAuthenticationException",
        "KD120",
        "sasl",
        "org.apache.kafka.common.errors.SaslAuthenticationException: Access denied",
    ),
    Pattern(
        "in-flight PRODUCE request",
        "KD401",
        "",
        f"INFO {_CLIENT}Cancelled in-flight PRODUCE request with correlation id 7 due to node 1 "
        "being disconnected (elapsed time since creation: 30018ms, elapsed time since send: "
        "30018ms, throttle time: 0ms, request timeout: 30000ms)",
        sure=False,
        hop=PRODUCE,
        regex=r"since send: \d{4,}ms",
    ),
    Pattern(
        "in-flight METADATA request",
        "KD117",
        "sasl",
        f"INFO {_CLIENT}Cancelled in-flight METADATA request with correlation id 1 due to node -1 "
        "being disconnected (elapsed time since creation: 3ms, elapsed time since send: 3ms, "
        "throttle time: 0ms, request timeout: 4000ms)",
        sure=False,
        regex=r"node -\d+ being disconnected \(elapsed time since creation: \d{1,3}ms",
    ),
    Pattern(
        "in-flight API_VERSIONS request",
        "KD121",
        "kafka",
        f"INFO {_CLIENT}Cancelled in-flight API_VERSIONS request with correlation id 0 due to node "
        "-1 being disconnected (elapsed time since creation: 51ms, elapsed time since send: 51ms, "
        "throttle time: 0ms, request timeout: 4000ms)",
        sure=False,
        regex=r"being disconnected \(elapsed time since creation: \d{1,3}ms",
    ),
    Pattern(
        "without a matching listener",
        "KD207",
        "",
        f"WARN {_CLIENT}2 partitions have leader brokers without a matching listener, including "
        "[orders-0, orders-1]",
        hop=METADATA,
    ),
    Pattern(
        "Unexpected broker id, expected",
        "KD307",
        "identity",
        "org.apache.kafka.common.errors.InvalidRequestException: Unexpected broker id, expected 2 "
        "or empty string, but received 1",
        hop=LISTENERS,
    ),
    Pattern(
        "Cluster ID: ",
        "",
        "",
        "INFO org.apache.kafka.clients.Metadata - [Producer clientId=producer-1] Cluster ID: "
        "9pMmTn3SQAOOp9ZLHXYVZA",
        proves="metadata",
    ),
    Pattern(
        "bootstrap.servers = [",
        "",
        "",
        "\tbootstrap.servers = [kafka-1.example.com:9092, kafka-2.example.com:9092]",
        hop=BOOTSTRAP,
        regex=r"bootstrap\.servers = \[(?P<servers>[^\]]*)\]",
    ),
    Pattern(
        "not present in metadata after",
        "",
        "",
        "org.apache.kafka.common.errors.TimeoutException: Topic orders not present in metadata "
        "after 60000 ms.",
    ),
    Pattern(
        "Timed out waiting for a node assignment",
        "",
        "",
        "org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. "
        "Call: listTopics",
    ),
    Pattern(
        "Timed out waiting to send the call",
        "",
        "",
        "org.apache.kafka.common.errors.TimeoutException: Timed out waiting to send the call. "
        "Call: listTopics",
    ),
    Pattern(
        "has passed since batch creation",
        "",
        "",
        "org.apache.kafka.common.errors.TimeoutException: Expiring 1 record(s) for test-1:1511 ms "
        "has passed since batch creation plus linger time",
        proves="lost",
    ),
    Pattern(
        "Failed to update metadata after",
        "",
        "",
        "org.apache.kafka.common.errors.TimeoutException: Failed to update metadata after 6000 ms.",
    ),
    Pattern(
        "Request METADATA failed on brokers",
        "",
        "",
        "kafka.common.KafkaException: Request METADATA failed on brokers List(10.0.0.5:32447 (id: "
        "-1 rack: null))",
    ),
    Pattern(
        "Bootstrap broker ",
        "KD121",
        "kafka",
        f"WARN {_CLIENT}Bootstrap broker 10.100.10.3:9094 (id: -1 rack: null) disconnected",
        sure=False,
        hop=BOOTSTRAP,
        regex=r"disconnected",
    ),
)

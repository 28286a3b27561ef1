"""Patterns for kafka-python 2 and 3, and for aiokafka."""

from __future__ import annotations

from kdiag.logs.pattern import BOOTSTRAP, LISTENERS, METADATA, Pattern

_CONN = "<BrokerConnection client_id=orders, node_id=1 host=kafka:9092 "
_AIO = 'ERROR:aiokafka:Unable connect to "kafka:9092": '

PATTERNS = (
    Pattern(
        "DNS lookup failed for",
        "KD101",
        "dns",
        "WARNING kafka.conn DNS lookup failed for kafka:9092, exception was [Errno -2] Name or "
        "service not known. Is your advertised.listeners (called advertised.host.name before Kafka "
        "9) correct and resolvable?",
        regex=r"DNS lookup failed for (?P<address>[^\s,]+)(?!.*Temporary failure)",
    ),
    Pattern(
        "DNS lookup failed for",
        "KD102",
        "dns",
        "WARNING kafka.conn DNS lookup failed for kafka:9092, exception was [Errno -3] Temporary "
        "failure in name resolution.",
        regex=r"DNS lookup failed for (?P<address>[^\s,]+).*Temporary failure",
    ),
    Pattern(
        "Temporary failure in name resolution",
        "KD102",
        "dns",
        f"{_AIO}[Errno -3] Temporary failure in name resolution",
    ),
    Pattern(
        "Name or service not known",
        "KD101",
        "dns",
        f"{_AIO}[Errno -2] Name or service not known",
    ),
    Pattern(
        "nodename nor servname provided",
        "KD101",
        "dns",
        "socket.gaierror: [Errno 8] nodename nor servname provided, or not known",
    ),
    Pattern(
        "ECONNREFUSED",
        "KD103",
        "tcp",
        f"ERROR kafka.conn {_CONN}<connecting> [IPv4 ('10.0.1.11', 9092)]>: Closing connection. "
        "KafkaConnectionError: 111 ECONNREFUSED",
        regex=r"\d+ ECONNREFUSED",
    ),
    Pattern(
        "Connect attempt returned error",
        "KD103",
        "tcp",
        f"ERROR kafka.conn {_CONN}<connecting> [IPv4 ('10.0.1.11', 9092)]>: Connect attempt "
        "returned error 111. Disconnecting.",
        regex=r"returned error (?:111|61|10061)\b",
    ),
    Pattern(
        "Connect call failed",
        "KD103",
        "tcp",
        f"{_AIO}[Errno 111] Connect call failed ('127.0.0.1', 9092)",
        regex=r"\[Errno (?:111|61|10061)\] Connect call failed \('(?P<host>[^']+)', (?P<port>\d+)",
    ),
    Pattern(
        "Connect attempt returned error",
        "KD104",
        "tcp",
        f"ERROR kafka.conn {_CONN}<connecting> [IPv4 ('10.0.1.11', 9092)]>: Connect attempt "
        "returned error 110. Disconnecting.",
        regex=r"returned error (?:110|60|10060)\b",
    ),
    Pattern(
        "ETIMEDOUT",
        "KD104",
        "tcp",
        "ERROR kafka.net.manager Connection failed: KafkaConnectionError: 110 ETIMEDOUT",
        regex=r"\d+ ETIMEDOUT",
    ),
    Pattern(
        "Connection attempt timed out",
        "KD104",
        "tcp",
        f"ERROR kafka.conn {_CONN}<connecting> [IPv4 ('10.0.1.11', 9092)]>: Connection attempt "
        "timed out",
    ),
    Pattern(
        "ENETUNREACH",
        "KD105",
        "tcp",
        "ERROR kafka.net.manager Connection failed: KafkaConnectionError: 101 ENETUNREACH",
    ),
    Pattern(
        "Connect attempt returned error",
        "KD105",
        "tcp",
        f"ERROR kafka.conn {_CONN}<connecting> [IPv4 ('10.0.1.11', 9092)]>: Connect attempt "
        "returned error 113. Disconnecting.",
        regex=r"returned error (?:101|113|51|65|10051|10065)\b",
    ),
    Pattern(
        "unreachable",
        "KD105",
        "tcp",
        f"{_AIO}[Errno 101] Network is unreachable",
        regex=r"\[Errno \d+\] (?:Network is unreachable|Connect call failed)",
    ),
    Pattern(
        "CERTIFICATE_VERIFY_FAILED",
        "KD113",
        "tls",
        f"{_AIO}[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: IP address mismatch, "
        "certificate is not valid for '3.10.139.222'. (_ssl.c:1006)",
        regex=r"mismatch, certificate is not valid for '(?P<wanted>[^']+)'",
    ),
    Pattern(
        "CERTIFICATE_VERIFY_FAILED",
        "KD114",
        "tls",
        f"{_AIO}[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has "
        "expired (_ssl.c:1006)",
        regex=r"has expired|not yet valid",
    ),
    Pattern(
        "CERTIFICATE_VERIFY_FAILED",
        "KD112",
        "tls",
        f"{_AIO}[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local "
        "issuer certificate (_ssl.c:1006)",
    ),
    Pattern(
        "ALERT_BAD_CERTIFICATE",
        "KD115",
        "tls",
        f"{_AIO}[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate (_ssl.c:1006)",
    ),
    Pattern(
        "ALERT_CERTIFICATE_REQUIRED",
        "KD115",
        "tls",
        f"{_AIO}[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required "
        "(_ssl.c:2580)",
    ),
    Pattern(
        "SSL connection closed by server during handshake",
        "KD111",
        "tls",
        f"ERROR kafka.conn {_CONN}<handshake> [IPv4 ('10.0.1.11', 9092)]>: Closing connection. "
        "KafkaConnectionError: SSL connection closed by server during handshake",
        sure=False,
    ),
    Pattern(
        "UNEXPECTED_EOF_WHILE_READING",
        "KD111",
        "tls",
        "ERROR kafka.net.manager Connection failed: KafkaConnectionError: Handshake failed: [SSL: "
        "UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)",
        sure=False,
    ),
    Pattern(
        "WRONG_VERSION_NUMBER",
        "KD111",
        "tls",
        f"{_AIO}[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)",
    ),
    Pattern(
        "Error during TLS Handshake",
        "KD116",
        "tls",
        "ERROR kafka.net.transport Error during TLS Handshake: [SSL] internal error",
        sure=False,
    ),
    Pattern(
        "Invalid frame length",
        "KD108",
        "kafka",
        "ERROR kafka.net.transport <KafkaTCPTransport [kafka:9093<-51158]>: Abort "
        "(InvalidReceiveError: Invalid frame length: 352518912)",
        regex=r"frame length: (?P<size>\d+)",
    ),
    Pattern(
        "IncompatibleBrokerVersion",
        "KD109",
        "kafka",
        "kafka.errors.IncompatibleBrokerVersion: IncompatibleBrokerVersion: Kafka broker does not "
        "support the 'MetadataRequest_v0' Kafka protocol.",
        regex=r"MetadataRequest",
    ),
    Pattern(
        "Did you attempt to connect to a kafka controller",
        "KD109",
        "kafka",
        "ERROR kafka.cluster Did you attempt to connect to a kafka controller (no metadata "
        "support)?",
    ),
    Pattern(
        "SaslHandshake failed",
        "KD119",
        "sasl",
        "ERROR kafka.net.connection <KafkaConnection node_id=bootstrap-0>: SaslHandshake failed: "
        "UnsupportedSaslMechanismError",
        regex=r"UnsupportedSaslMechanismError",
    ),
    Pattern(
        "SaslHandshake failed",
        "KD118",
        "sasl",
        "ERROR kafka.net.connection <KafkaConnection node_id=bootstrap-0>: SaslHandshake failed: "
        "IllegalSaslStateError",
        regex=r"IllegalSaslStateError",
    ),
    Pattern(
        "UnsupportedSaslMechanismError",
        "KD119",
        "sasl",
        f"{_AIO}[Error 33] UnsupportedSaslMechanismError: <AIOKafkaConnection host=k port=9092>",
    ),
    Pattern(
        "IllegalSaslStateError",
        "KD118",
        "sasl",
        f"{_AIO}[Error 34] IllegalSaslStateError: <AIOKafkaConnection host=kafka port=9092>",
    ),
    Pattern(
        "SaslAuthenticationFailed",
        "KD120",
        "sasl",
        f"{_AIO}[Error 58] SaslAuthenticationFailed: Authentication failed: Invalid username or "
        "password",
    ),
    Pattern(
        "socket disconnected",
        "KD117",
        "sasl",
        "ERROR kafka.conn <BrokerConnection client_id=orders, node_id=bootstrap-0 host=kafka:9092 "
        "<connected> [IPv4 ('10.0.1.11', 9092)]>: socket disconnected",
        sure=False,  # the broker answered ApiVersions, but not the next request
        regex=r"node_id=bootstrap-\d+ .*<connected>|bootstrap-\d+ broker_version=\(\d",
    ),
    Pattern(
        "<authenticating>",
        "KD120",
        "sasl",
        f"ERROR kafka.conn {_CONN}<authenticating> [IPv4 ('10.0.1.11', 9092)]>: Closing "
        "connection. KafkaConnectionError: socket disconnected",
        sure=False,
        regex=r"<authenticating>.*socket disconnected",
    ),
    Pattern(
        "timed out after",
        "KD107",
        "kafka",
        f"WARNING kafka.client {_CONN}<checking_api_versions_recv> [IPv4 ('10.0.1.11', 9092)]> "
        "timed out after 4000.0 ms. Closing connection.",
        regex=r"<checking_api_versions_recv>",
    ),
    Pattern(
        "RequestTimedOutError",
        "KD401",
        "",
        "WARNING:aiokafka.producer.sender:Got error produce response: [Error 7] "
        "RequestTimedOutError",
        sure=False,
        hop="produce",
        regex=r"produce response.*RequestTimedOutError",
    ),
    Pattern(
        "Request timed out after",
        "KD401",
        "",
        f"ERROR kafka.conn {_CONN}<connected> [IPv4 ('10.0.1.11', 9092)]>: Closing connection. "
        "[Error 7] RequestTimedOutError: Request timed out after 4000.0 ms",
        sure=False,
        hop="produce",
        regex=r"<connected>",
    ),
    Pattern(
        "socket disconnected",
        "KD121",
        "kafka",
        f"ERROR kafka.conn {_CONN}<connected> [IPv4 ('10.0.1.11', 9092)]>: socket disconnected",
        sure=False,
    ),
    Pattern(
        "Unable connect to",
        "KD121",
        "kafka",
        f"{_AIO}KafkaConnectionError: Connection at kafka:9092 closed",
        sure=False,
        regex=r"connect to (?:\"(?P<address>[^\"]+)\"|node with id \d+).*Connection at .* closed",
    ),
    Pattern(
        "Unable to request metadata from",
        "KD117",
        "sasl",
        'WARNING:aiokafka:Unable to request metadata from "kafka:9092": KafkaConnectionError: '
        "Connection at kafka:9092 closed",
        sure=False,
        regex=r'"(?P<address>[^"]+)": KafkaConnectionError: Connection at .* closed',
    ),
    Pattern(
        "Unable connect to",
        "KD104",
        "tcp",
        "ERROR:aiokafka:Unable connect to node with id 3: ",
        sure=False,  # a timeout in any layer: aiokafka logs no reason
        regex=r"Unable connect to (?:\"(?P<address>[^\"]+)\"|node with id \d+): *$",
    ),
    Pattern(
        "Bootstrap metadata response has no brokers",
        "KD203",
        "",
        "ERROR kafka.cluster Bootstrap metadata response has no brokers.",
        hop=METADATA,
    ),
    Pattern(
        "Broker version identified as",
        "",
        "",
        f"INFO kafka.conn {_CONN}<checking_api_versions_recv>>: Broker version identified as 2.6",
        proves="reached",
    ),
    Pattern(
        "Connection complete.",
        "",
        "",
        f"INFO kafka.conn {_CONN}<connected> [IPv4 ('10.0.1.11', 9092)]>: Connection complete.",
        proves="reached",
    ),
    Pattern(
        "in the clear",
        "",
        "",
        "WARNING kafka.net.sasl.plain Sending username and password in the clear",
        regex=r"username and password|credentials",
        proves="login",
    ),
    Pattern(
        ": connected to <socket",
        "",
        "",
        "INFO kafka.net.transport <KafkaTCPTransport [3.10.139.221:9095<-40084]>: connected to "
        "<socket.socket fd=6, family=2, type=1, proto=6, laddr=('203.0.113.10', 40084)>",
        regex=r"Transport \[(?P<address>[^<\]]+)<-",
        proves="connected",
    ),
    Pattern(
        ">: connecting to",
        "",
        "",
        f"INFO kafka.conn {_CONN}<connecting> [IPv4 ('10.0.1.11', 9092)]>: connecting to "
        "10.0.1.11:9092 [('10.0.1.11', 9092) IPv4]",
        proves="dialled",
    ),
    Pattern(
        "Initializing connection for node_id",
        "",
        "",
        "INFO kafka.net.manager Initializing connection for node_id 2 at 10.0.1.12:9095 "
        "(rack=None)",
        proves="dialled",
    ),
    Pattern(
        "Updated metadata: ",
        "",
        "",
        "INFO kafka.cluster Updated metadata: ClusterMetadata(brokers: 3, topics: 0, "
        "coordinators: 0)",
        proves="metadata",
    ),
    Pattern(
        "connection failed -- refreshing metadata",
        "",
        "",
        "WARNING kafka.client Node 1 connection failed -- refreshing metadata",
        hop=LISTENERS,
        regex=r"Node \d+ connection failed",
        proves="metadata",
    ),
    Pattern("NoBrokersAvailable", "", "", "kafka.errors.NoBrokersAvailable: NoBrokersAvailable"),
    Pattern(
        "Unable to bootstrap from",
        "",
        "",
        "aiokafka.errors.KafkaConnectionError: KafkaConnectionError: Unable to bootstrap from "
        "[('kafka', 9092, <AddressFamily.AF_UNSPEC: 0>)]",
        hop=BOOTSTRAP,
    ),
    Pattern(
        "Failed to update metadata after",
        "",
        "",
        "kafka.errors.KafkaTimeoutError: KafkaTimeoutError: Failed to update metadata after 60.0 "
        "secs.",
    ),
    Pattern(
        "record(s)",
        "",
        "",
        "KafkaTimeoutError: Batch for TopicPartition(topic='Topic1', partition=0) containing 1 "
        "record(s) expired: 10 seconds have passed since batch creation",
        regex=r"Expiring|expired",
        proves="lost",
    ),
)

"""Patterns for librdkafka: confluent-kafka for Python, Go and .NET, rust-rdkafka, kcat and more."""

from __future__ import annotations

from kdiag.logs.pattern import LISTENERS, PRODUCE, Pattern

_SIZE = r"size (?P<size>\d+)"

PATTERNS = (
    Pattern(
        "Failed to resolve '",
        "KD101",
        "dns",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:kafka:9092/1]: kafka:9092/1: Failed to "
        "resolve 'kafka:9092': Name or service not known (after 1ms in state CONNECT)",
        regex=r"Failed to resolve '(?P<address>[^']+)'(?!.*(?:[Tt]emporary failure|try again))",
    ),
    Pattern(
        "Failed to resolve '",
        "KD102",
        "dns",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:kafka:9092/bootstrap]: "
        "kafka:9092/bootstrap: Failed to resolve 'kafka:9092': Temporary failure in name "
        "resolution (after 5007ms in state CONNECT)",
        regex=r"Failed to resolve '(?P<address>[^']+)'.*(?:[Tt]emporary failure|try again)",
    ),
    Pattern(
        "Connection refused",
        "KD103",
        "tcp",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:localhost:9092/bootstrap]: "
        "localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused "
        "(after 0ms in state CONNECT)",
        regex=r"Connect to ipv[46]#(?P<ip>\S+) failed: Connection refused",
    ),
    Pattern(
        "actively refused",
        "KD103",
        "tcp",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:localhost:9092/bootstrap]: "
        "localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: No connection could be "
        "made because the target machine actively refused it (after 2038ms in state CONNECT)",
    ),
    Pattern(
        "Connection timed out",
        "KD104",
        "tcp",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:10.10.0.3:31313/1002]: "
        "10.10.0.3:31313/1002: Connect to ipv4#10.10.0.3:31313 failed: Connection timed out "
        "(after 131226ms in state CONNECT)",
        regex=r"Connect to ipv[46]#(?P<ip>\S+) failed: Connection timed out",
    ),
    Pattern(
        "failed: Unknown error",
        "KD104",
        "tcp",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:b-2.example.com:9096/2]: "
        "b-2.example.com:9096/2: Connect to ipv4#10.2.0.4:9096 failed: Unknown error "
        "(after 21036ms in state CONNECT)",
        sure=False,  # Windows gives up a connection after 21 s
        regex=r"Connect to ipv[46]#(?P<ip>\S+) failed: Unknown error \(after 2\d{4}ms",
    ),
    Pattern(
        "Connection setup timed out in state CONNECT",
        "KD104",
        "tcp",
        "%4|1700000000.123|FAIL|rdkafka#producer-1| [thrd:10.0.1.11:9094/1]: 10.0.1.11:9094/1: "
        "Connection setup timed out in state CONNECT (after 30029ms in state CONNECT)",
    ),
    Pattern(
        "is unreachable",
        "KD105",
        "tcp",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:[2001:db8::1]:9092/bootstrap]: "
        "[2001:db8::1]:9092/bootstrap: Connect to ipv6#[2001:db8::1]:9092 failed: Network is "
        "unreachable (after 0ms in state CONNECT)",
        regex=r"(?:Network|Host) is unreachable|No route to host",
    ),
    Pattern(
        "Connection setup timed out in state SSL_HANDSHAKE",
        "KD107",
        "tls",
        "%4|1700000000.123|FAIL|rdkafka#producer-1| [thrd:ssl://10.0.1.11:9094/bootstrap]: "
        "ssl://10.0.1.11:9094/bootstrap: Connection setup timed out in state SSL_HANDSHAKE "
        "(after 30003ms in state SSL_HANDSHAKE)",
    ),
    Pattern(
        "Connection setup timed out in state A",  # APIVERSION_QUERY, AUTH_HANDSHAKE, AUTH_REQ
        "KD107",
        "kafka",
        "%4|1700000000.123|FAIL|rdkafka#producer-1| [thrd:10.0.1.11:8023/bootstrap]: "
        "10.0.1.11:8023/bootstrap: Connection setup timed out in state APIVERSION_QUERY (after "
        "30003ms in state APIVERSION_QUERY)",
    ),
    Pattern(
        "Invalid response size",
        "KD108",
        "kafka",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:web:8080/bootstrap]: "
        "web:8080/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): "
        "increase receive.message.max.bytes (after 1ms in state APIVERSION_QUERY)",
        regex=_SIZE,
    ),
    Pattern(
        "No viable ProduceRequest ApiVersions",
        "KD109",
        "kafka",
        "%3|1700000000.123|PRODUCE|rdkafka#producer-1| [thrd:10.0.1.11:9090/1]: 10.0.1.11:9090/1: "
        "orders [0]: No viable ProduceRequest ApiVersions (v0..10) supported by broker: unable to "
        "produce",
    ),
    Pattern(
        "Metadata request failed",
        "KD109",
        "kafka",
        "%4|1700000000.123|METADATA|rdkafka#producer-1| [thrd:main]: 10.0.1.11:9090/bootstrap: "
        "Metadata request failed: connected: Local: Required feature not supported by broker "
        "(0ms): Permanent",
        regex=r"Metadata request failed.*Required feature not supported by broker",
    ),
    Pattern(
        "connecting to a SSL listener?",
        "KD110",
        "kafka",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:kafka:9093/bootstrap]: "
        "kafka:9093/bootstrap: Disconnected while requesting ApiVersion: might be caused by "
        "incorrect security.protocol configuration (connecting to a SSL listener?) or broker "
        "version is < 0.10 (see api.version.request) (after 1ms in state APIVERSION_QUERY)",
        sure=False,
    ),
    Pattern(
        "in state APIVERSION_QUERY",
        "KD115",
        "tls",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:ssl://kafka:9093/bootstrap]: "
        "ssl://kafka:9093/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert "
        "bad certificate: SSL alert number 42 (after 5ms in state APIVERSION_QUERY)",
        regex=r"alert (?:bad certificate|certificate required|number (?:42|116))",
    ),
    Pattern(
        "in state APIVERSION_QUERY",
        "KD110",
        "kafka",
        "%6|1700000000.123|FAIL|rdkafka#producer-1| [thrd:kafka:9093/bootstrap]: "
        "kafka:9093/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN "
        "(after 3ms in state APIVERSION_QUERY)",
        sure=False,
        regex=r"(?<!://)(?<![\w.:-])[\w.:\[\]-]+/(?:bootstrap|\d+): Disconnected",
    ),
    Pattern(
        "in state APIVERSION_QUERY",
        "KD121",
        "kafka",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:ssl://kafka:9093/bootstrap]: "
        "ssl://kafka:9093/bootstrap: Disconnected while requesting ApiVersion: might be caused by "
        "broker version < 0.10 (see api.version.request) (after 1ms in state APIVERSION_QUERY)",
        sure=False,
        regex=r"Disconnected",
    ),
    Pattern(
        "connecting to a PLAINTEXT broker listener?",
        "KD111",
        "tls",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:ssl://kafka:9092/bootstrap]: "
        "ssl://kafka:9092/bootstrap: SSL handshake failed: Disconnected: connecting to a "
        "PLAINTEXT broker listener? (after 7ms in state SSL_HANDSHAKE)",
        sure=False,  # a proxy that closes the connection causes the same line
    ),
    Pattern(
        "broker certificate could not be verified",
        "KD112",
        "tls",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:ssl://kafka:9093/bootstrap]: "
        "ssl://kafka:9093/bootstrap: SSL handshake failed: error:0A000086:SSL "
        "routines::certificate verify failed: broker certificate could not be verified, verify "
        "that ssl.ca.location is correctly configured or root CA certificates are installed "
        "(install ca-certificates package) (after 5ms in state SSL_HANDSHAKE)",
        sure=False,  # the same text for a wrong name and for an expired certificate
    ),
    Pattern(
        "Failed to verify broker certificate",
        "KD112",
        "tls",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:ssl://kafka:9093/bootstrap]: "
        "ssl://kafka:9093/bootstrap: Failed to verify broker certificate: self-signed certificate",
    ),
    Pattern(
        "alert bad certificate",
        "KD115",
        "tls",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:ssl://kafka:9093/bootstrap]: "
        "ssl://kafka:9093/bootstrap: SSL handshake failed: error:0A000412:SSL routines::ssl/tls "
        "alert bad certificate: SSL alert number 42 (after 5ms in state SSL_HANDSHAKE)",
    ),
    Pattern(
        "client SSL authentication might be required",
        "KD115",
        "tls",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:ssl://kafka:9093/bootstrap]: "
        "ssl://kafka:9093/bootstrap: SSL handshake failed: error:14094412: client SSL "
        "authentication might be required (see ssl.key.location and ssl.certificate.location "
        "and consult the broker logs for more information) (after 5ms in state SSL_HANDSHAKE)",
    ),
    Pattern(
        "Broker did not provide a certificate",
        "KD116",
        "tls",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:ssl://kafka:9093/bootstrap]: "
        "ssl://kafka:9093/bootstrap: Broker did not provide a certificate",
    ),
    Pattern(
        "SSL handshake failed:",
        "KD116",
        "tls",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:ssl://kafka:9093/bootstrap]: "
        "ssl://kafka:9093/bootstrap: SSL handshake failed: error:0A00042E:SSL routines::tlsv1 "
        "alert protocol version: SSL alert number 70 (after 5ms in state SSL_HANDSHAKE)",
        sure=False,
    ),
    Pattern(
        "broker might require SASL authentication",
        "KD117",
        "sasl",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:kafka:9094/bootstrap]: "
        "kafka:9094/bootstrap: Disconnected: verify that security.protocol is correctly "
        "configured, broker might require SASL authentication (after 302ms in state UP)",
        sure=False,
    ),
    Pattern(
        "ms in state UP",
        "KD117",
        "sasl",
        "%6|1700000000.123|FAIL|rdkafka#producer-1| [thrd:kafka:9094/bootstrap]: "
        "kafka:9094/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN "
        "(after 2ms in state UP)",
        sure=False,
        regex=r"(?<!://)(?<![\w.:-])[\w.:\[\]-]+/bootstrap: Disconnected.*after \d{1,3}ms in",
    ),
    Pattern(
        "broker's supported mechanisms:",
        "KD118",
        "sasl",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:sasl_plaintext://kafka:9092/bootstrap]: "
        "sasl_plaintext://kafka:9092/bootstrap: SASL PLAIN mechanism handshake failed: Broker: "
        "Request not valid in current SASL state: broker's supported mechanisms:  (after 1ms in "
        "state AUTH_HANDSHAKE)",
        regex=r"not valid in current SASL state",
    ),
    Pattern(
        "broker's supported mechanisms:",
        "KD119",
        "sasl",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:sasl_plaintext://kafka:9092/bootstrap]: "
        "sasl_plaintext://kafka:9092/bootstrap: SASL PLAIN mechanism handshake failed: Broker: "
        "Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512 (after 1ms in "
        "state AUTH_HANDSHAKE)",
        regex=r"SASL (?P<mechanism>\S+) mechanism.*supported mechanisms: (?P<offered>[\w,-]+)",
    ),
    Pattern(
        "SASL authentication ",
        "KD120",
        "sasl",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:sasl_ssl://kafka:9094/bootstrap]: "
        "sasl_ssl://kafka:9094/bootstrap: SASL authentication error: Authentication failed: "
        "Invalid username or password (after 5103ms in state AUTH_REQ)",
        regex=r"SASL authentication (?:error|failure)",
    ),
    Pattern(
        "in state AUTH",
        "KD120",
        "sasl",
        "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:sasl_ssl://kafka:9094/bootstrap]: "
        "sasl_ssl://kafka:9094/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Local: "
        "Broker transport failure: check client alice credentials and broker logs (after 3ms in "
        "state AUTH_REQ)",
        sure=False,
    ),
    Pattern(
        "request(s) timed out: disconnect",
        "KD401",
        "",
        "%4|1700000000.123|REQTMOUT|rdkafka#producer-1| [thrd:10.0.1.13:9094/3]: "
        "10.0.1.13:9094/3: Timed out 1 in-flight, 0 retry-queued, 0 out-queue, 0 "
        "partially-sent requests; 1 request(s) timed out: disconnect (average rtt 6.031ms)",
        hop=PRODUCE,
        regex=r"/\d+: ",
    ),
    Pattern(
        "Timed out ProduceRequest",
        "KD401",
        "",
        "%5|1700000000.123|REQTMOUT|rdkafka#producer-1| [thrd:10.0.1.13:9094/3]: "
        "10.0.1.13:9094/3: Timed out ProduceRequest in flight (after 4003ms, timeout #0)",
        hop=PRODUCE,
    ),
    Pattern(
        "request(s) timed out: disconnect",
        "KD201",
        "",
        "%4|1700000000.123|REQTMOUT|rdkafka#producer-1| [thrd:kafka:9092/bootstrap]: "
        "kafka:9092/bootstrap: Timed out 1 in-flight, 0 retry-queued, 0 out-queue, 0 "
        "partially-sent requests; 1 request(s) timed out: disconnect (average rtt 6.031ms)",
    ),
    Pattern(
        "GroupCoordinator",
        "",
        "",
        "%3|1700000000.123|FAIL|rdkafka#consumer-1| [thrd:GroupCoordinator]: GroupCoordinator: "
        "kafka:9092: Disconnected (after 600003ms in state UP)",
        hop=LISTENERS,
    ),
    Pattern(
        "brokers are down",
        "",
        "",
        "%3|1700000000.123|ERROR|rdkafka#producer-1| [thrd:app]: rdkafka#producer-1: 3/3 brokers "
        "are down",
    ),
    Pattern(
        "All broker connections are down",
        "",
        "",
        'KafkaError{code=_ALL_BROKERS_DOWN,val=-187,str="Local: All broker connections are down"}',
    ),
    Pattern(
        "Local: Message timed out",
        "",
        "",
        'KafkaError{code=_MSG_TIMED_OUT,val=-192,str="Local: Message timed out"}',
    ),
    Pattern(
        "Local: Broker transport failure",
        "",
        "",
        'KafkaException: KafkaError{code=_TRANSPORT,val=-195,str="Failed to get metadata: Local: '
        'Broker transport failure"}',
    ),
    Pattern(
        "_TRANSPORT",
        "",
        "",
        'cimpl.KafkaException: KafkaError{code=_TRANSPORT,val=-195,str="Failed to get metadata"}',
    ),
)

"""Patterns for kafkajs, and for the errors of Node.js below kafkajs."""

from __future__ import annotations

from kdiag.logs.pattern import BOOTSTRAP, Pattern

_LINE = '{"level":"ERROR","logger":"kafkajs","message":"[Connection] '
_END = '","broker":"kafka:9092","clientId":"orders"}'

PATTERNS = (
    Pattern(
        "getaddrinfo ENOTFOUND",
        "KD101",
        "dns",
        f"{_LINE}Connection error: getaddrinfo ENOTFOUND kafka{_END}",
        regex=r"ENOTFOUND (?P<name>[\w.-]+)",
    ),
    Pattern(
        "getaddrinfo EAI_AGAIN",
        "KD102",
        "dns",
        f"{_LINE}Connection error: getaddrinfo EAI_AGAIN kafka{_END}",
        regex=r"EAI_AGAIN (?P<name>[\w.-]+)",
    ),
    Pattern(
        "connect ECONNREFUSED",
        "KD103",
        "tcp",
        f"{_LINE}Connection error: connect ECONNREFUSED 127.0.0.1:9092{_END}",
        regex=r"ECONNREFUSED (?P<ip>[\w.:]+:\d+)",
    ),
    Pattern(
        "connect ETIMEDOUT",
        "KD104",
        "tcp",
        "Error: connect ETIMEDOUT 172.21.1.13:9092",
        regex=r"ETIMEDOUT (?P<ip>[\w.:]+:\d+)",
    ),
    Pattern(
        "Connection timeout",
        "KD104",
        "tcp",
        f"{_LINE}Connection timeout{_END}",
        sure=False,  # this timeout covers TCP and TLS
    ),
    Pattern(
        "EHOSTUNREACH",
        "KD105",
        "tcp",
        f"{_LINE}Connection error: connect EHOSTUNREACH 10.0.1.11:9092{_END}",
        regex=r"EHOSTUNREACH (?P<ip>[\w.:]+:\d+)",
    ),
    Pattern(
        "connect ENETUNREACH",
        "KD105",
        "tcp",
        f"{_LINE}Connection error: connect ENETUNREACH 10.0.1.11:9092{_END}",
        regex=r"ENETUNREACH (?P<ip>[\w.:]+:\d+)",
    ),
    Pattern(
        "does not match certificate's altnames",
        "KD113",
        "tls",
        f"{_LINE}Connection error: Hostname/IP does not match certificate's altnames: IP: "
        f"3.10.139.222 is not in the cert's list: {_END}",
        regex=r"altnames: (?:IP|Host): (?P<wanted>[\w.:-]+)",
    ),
    Pattern(
        "certificate has expired",
        "KD114",
        "tls",
        f"{_LINE}Connection error: certificate has expired{_END}",
    ),
    Pattern(
        "certificate",
        "KD112",
        "tls",
        f"{_LINE}Connection error: unable to verify the first certificate{_END}",
        regex=r"unable to verify the first certificate|self[- ]signed certificate|"
        r"unable to get (?:local )?issuer certificate",
    ),
    Pattern(
        "alert bad certificate",
        "KD115",
        "tls",
        f"{_LINE}Connection error: 80DC04B8BC7F0000:error:0A000412:SSL routines:ssl3_read_bytes:"
        f"sslv3 alert bad certificate:record/rec_layer_s3.c:1601:SSL alert number 42{_END}",
    ),
    Pattern(
        "alert certificate required",
        "KD115",
        "tls",
        f"{_LINE}Connection error: 80DC04B8BC7F0000:error:0A00045C:SSL routines:ssl3_read_bytes:"
        f"tlsv13 alert certificate required:record/rec_layer_s3.c:1601:SSL alert number 116{_END}",
    ),
    Pattern(
        "disconnected before secure TLS connection",
        "KD111",
        "tls",
        f"{_LINE}Connection error: Client network socket disconnected before secure TLS connection "
        f"was established{_END}",
        sure=False,
    ),
    Pattern(
        "wrong version number",
        "KD111",
        "tls",
        f"{_LINE}Connection error: error:0A00010B:SSL routines:ssl3_get_record:wrong version "
        f"number:record.c:354:{_END}",
    ),
    Pattern(
        "does not support the requested API version",
        "KD109",
        "kafka",
        "KafkaJSNonRetriableError: The Kafka server does not support the requested API version",
    ),
    Pattern(
        "Response SaslHandshake",
        "KD119",
        "sasl",
        '{"level":"ERROR","logger":"kafkajs","message":"[Connection] Response SaslHandshake(key: '
        '17, version: 1)","broker":"kafka:9092","clientId":"orders","error":"The broker does not '
        'support the requested SASL mechanism","correlationId":1,"size":25}',
        regex=r"does not support the requested SASL mechanism",
    ),
    Pattern(
        "Response SaslHandshake",
        "KD118",
        "sasl",
        '{"level":"ERROR","logger":"kafkajs","message":"[Connection] Response SaslHandshake(key: '
        '17, version: 1)","broker":"kafka:9092","clientId":"orders","error":"Request is not valid '
        'given the current SASL state","correlationId":1,"size":10}',
        regex=r"not valid given the current SASL state",
    ),
    Pattern(
        "SASL ",
        "KD120",
        "sasl",
        '{"level":"ERROR","logger":"kafkajs","message":"[BrokerPool] SASL PLAIN authentication '
        'failed: Authentication failed: Invalid username or password"}',
        regex=r"SASL [\w-]+ (?:[\w-]+ )?authentication failed",
    ),
    Pattern(
        "[BrokerPool] Request ",
        "KD107",
        "kafka",
        '{"level":"ERROR","logger":"kafkajs","message":"[BrokerPool] Request ApiVersions(key: 18, '
        'version: 2) timed out","retryCount":0,"retryTime":165}',
        regex=r"timed out",
    ),
    Pattern(
        "Request Produce(",
        "KD401",
        "",
        '{"level":"ERROR","logger":"kafkajs","message":"[Producer] Request Produce(key: 0, '
        'version: 7) timed out","retryCount":0,"retryTime":165}',
        hop="produce",
        regex=r"timed out",
    ),
    Pattern(
        "Closed connection",
        "KD121",
        "kafka",
        '{"level":"ERROR","logger":"kafkajs","message":"[BrokerPool] Closed '
        'connection","retryCount":0,"retryTime":240}',
        sure=False,
    ),
    Pattern(
        "Failed to connect to seed broker",
        "",
        "",
        '{"level":"ERROR","logger":"kafkajs","message":"[BrokerPool] Failed to connect to seed '
        'broker, trying another broker from the list: Connection timeout"}',
        hop=BOOTSTRAP,
    ),
    Pattern(
        "[Producer] Failed to send messages",
        "",
        "",
        '{"level":"ERROR","logger":"kafkajs","message":"[Producer] Failed to send messages: '
        'Connection timeout","retryCount":0,"retryTime":202}',
        proves="metadata",
    ),
    Pattern(
        "KafkaJSNumberOfRetriesExceeded",
        "",
        "",
        "KafkaJSNumberOfRetriesExceeded: Connection timeout",
    ),
)

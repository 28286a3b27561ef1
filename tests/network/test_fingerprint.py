"""Strangers by their first bytes: what real servers said to Kafka's requests, and to follow-ups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdiag.kafka.messages import API_VERSIONS, METADATA, encode_request, encode_response
from kdiag.network.fingerprint import (
    HTTP_PROBE,
    READ_LIMIT,
    ZOOKEEPER_PROBE,
    decode_size,
    follow_ups,
    recognise,
)

# Recorded, unless it says otherwise: the answers to ApiVersions 0 and Metadata 7 in one flight.
NGINX = (
    b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nDate: Tue, 24 Nov 2026 08:17:25 GMT\r\n"
    b"Content-Type: text/html\r\nContent-Length: 157\r\nConnection: close\r\n\r\n<html>\r\n<head>"
    b"<title>400 Bad Request</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>"
    b"\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
)
SSH = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\nInvalid SSH identification string.\r\n"
POSTGRESQL = (
    b"E\x00\x00\x00\x84SFATAL\x00VFATAL\x00C0A000\x00Munsupported frontend protocol 18.0: server "
    b"supports 3.0 to 3.0\x00Fpostmaster.c\x00L2222\x00RProcessStartupPacket\x00\x00"
)
MARIADB = (
    b"d\x00\x00\x00\n5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x05\x00\x00\x00`;D&-P*#\x00\xfe\xf7\x08"
    b"\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00lz?k|NP&kjQ6\x00"
    b"mysql_native_password\x00!\x00\x00\x01\xff\x84\x04#08S01Got packets out of order"
)
RABBITMQ = b"AMQP\x00\x00\t\x01"

# Recorded: the answers to the follow-ups, of servers that said nothing before.
NGINX_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nDate: Tue, 24 Nov 2026 08:17:29 GMT\r\n"
    b"Content-Type: text/html\r\nContent-Length: 255\r\nConnection: close\r\n\r\n<html>\r\n<head>"
    b"<title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n<body>\r\n</html>"
)
REDIS = b"-ERR wrong number of arguments for 'get' command\r\n"
JMX_EXPORTER = (
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nDate: Tue, 24 Nov 2026 08:19:15 GMT\r\n"
    b"Content-type: text/html; charset=utf-8\r\nContent-length: 2103\r\n\r\n<html>\n<head><title>"
    b"Prometheus Java Client</title></head>\n<body>\n<h1>Prometheus Java Client</h1>\n"
)
METRICS = (
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-type: text/plain; version=0.0.4; "
    b"charset=utf-8\r\nContent-length: 74257\r\n\r\n# HELP java_lang_ClassLoading_LoadedClassCount "
    b"java.lang:name=null,type=ClassLoading,attribute=LoadedClassCount\n"
)
ZOOKEEPER = (
    b"Zookeeper version: 3.9.3-c26634f34490bb0ea7a09cc51e05ede3b4e320ee, built on 2024-10-17 23:21 "
    b"UTC\nLatency min/avg/max: 0/0.0/0\nReceived: 3\nSent: 1\nConnections: 1\n"
)

# By their documentation.
SCHEMA_REGISTRY = (
    b"HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 08:19:15 GMT\r\n"
    b"Content-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: 2\r\n\r\n{}"
)
REST_PROXY = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.kafka.v2+json\r\n\r\n{}"
CONNECT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: Jetty(12.0.22)\r\n\r\n"
    b'{"version":"4.3.1","commit":"a0a5b1d2c3e4f5a6","kafka_cluster_id":"9Yt0Yb1aRkKd3Gd2vw1jXw"}'
)
BRIDGE = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"bridge_version":"0.33.1"}'
HTTP2 = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00"


@pytest.mark.parametrize(
    ("first", "name", "banner"),
    [
        (NGINX, "an HTTP server", "HTTP/1.1 400 Bad Request (nginx/1.22.1)"),
        (NGINX_TLS, "an HTTPS server", "HTTP/1.1 400 Bad Request (nginx/1.22.1)"),
        (
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
            "an HTTPS server",
            "HTTP/1.0 400 Bad Request",
        ),
        (SSH, "an SSH server", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10"),
        (
            POSTGRESQL,
            "PostgreSQL",
            "unsupported frontend protocol 18.0: server supports 3.0 to 3.0",
        ),
        (b"EFATAL:  unsupported frontend protocol 18.0\n\x00", "PostgreSQL", None),
        (MARIADB, "MySQL or MariaDB", "10.11.19-MariaDB-0+deb12u1"),
        (b"J\x00\x00\x00\n8.0.36\x00\x08\x00\x00\x00", "MySQL or MariaDB", "8.0.36"),
        (
            b"E\x00\x00\x00\xffj\x04Host '10.0.1.9' is not allowed to connect to this MySQL server",
            "MySQL or MariaDB",
            None,
        ),
        (RABBITMQ, "an AMQP broker (RabbitMQ)", "AMQP\\x00\\x00\\t\\x01"),
        (REDIS, "Redis", "-ERR wrong number of arguments for 'get' command"),
        (b"-NOAUTH Authentication required.\r\n", "Redis", "-NOAUTH Authentication required."),
        (b"-DENIED Redis is running in protected mode", "Redis", None),
        (JMX_EXPORTER, "a Prometheus JMX exporter (metrics)", "HTTP/1.1 200 OK"),
        (METRICS, "a Prometheus JMX exporter (metrics)", "HTTP/1.1 200 OK"),
        (
            b"HTTP/1.0 200 OK\r\n\r\n<html><head><title>Kafka Exporter v1.7</title></head>",
            "a Prometheus metrics exporter",
            "HTTP/1.0 200 OK",
        ),
        (SCHEMA_REGISTRY, "a Schema Registry", "HTTP/1.1 200 OK"),
        (REST_PROXY, "a Kafka REST proxy", "HTTP/1.1 200 OK"),
        (CONNECT, "Kafka Connect (its REST interface)", "HTTP/1.1 200 OK (Jetty(12.0.22))"),
        (BRIDGE, "Strimzi's Kafka Bridge (HTTP)", "HTTP/1.1 200 OK"),
        (ZOOKEEPER, "ZooKeeper", None),
        (b"imok", "ZooKeeper", "imok"),
        (b"srvr is not executed because it is not in the whitelist.\n", "ZooKeeper", None),
        (b"This ZooKeeper instance is not currently serving requests\n", "ZooKeeper", None),
        (HTTP2, "an HTTP/2 or gRPC server", None),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "an HTTP/2 or gRPC server", None),
        (b"220 mail.example.com ESMTP Postfix\r\n", "an SMTP server", None),
        (b"220 (vsFTPd 3.0.3)\r\n", "an FTP or mail server", "220 (vsFTPd 3.0.3)"),
        (b"\x00\x00\x01<\x01ActiveMQ\x00\x00\x00\x0c", "ActiveMQ (OpenWire)", None),
        (b'INFO {"server_id":"NBEJ","version":"2.9.10"} \r\n', "a NATS server", None),
    ],
)
def test_a_stranger_is_named(first: bytes, name: str, banner: str | None) -> None:
    stranger = recognise(first)

    assert stranger is not None
    assert stranger.name == name
    if banner is not None:
        assert stranger.banner == banner
    assert stranger.hint.endswith(".")
    assert "9092" in stranger.hint


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"H",
        b"\x15\x03\x03\x00\x02\x02\x50",
        b"\x16\x03\x01\x02\x00\x01\x00",
        encode_response(API_VERSIONS, 0, 1, {"error_code": 0, "api_keys": []}),
        encode_request(METADATA, 7, 2, {"topics": None, "allow_auto_topic_creation": False}),
        b"welcome to the machine\r\n",
        b"imokay",
    ],
)
def test_nobody_is_named_without_a_sign(first: bytes) -> None:
    assert recognise(first) is None


def test_a_broker_is_no_stranger_however_many_requests_it_lists() -> None:
    for count in range(300):
        keys = [{"api_key": 0, "min_version": 0, "max_version": 0}] * count
        answer = encode_response(API_VERSIONS, 0, 1, {"error_code": 0, "api_keys": keys})
        assert recognise(answer) is None


def test_what_a_peer_says_cannot_reach_the_terminal_raw() -> None:
    said = recognise(b"HTTP/1.1 200 \x1b[31mOK\r\nServer: \x1b]0;owned\x07\xff\r\n\r\n")

    assert said is not None
    assert said.banner.isprintable()
    assert "\\x1b[31mOK" in said.banner
    assert "\\x1b]0;owned\\x07\\xff" in said.banner


@pytest.mark.timeout(20)
def test_an_answer_made_to_take_long_takes_no_time() -> None:
    """Each takes microseconds; in a pattern that starts over at every M it was a minute for all."""
    for _ in range(1000):
        assert recognise(b"E\0\0\x10\0SFATAL\0" + b"M" * READ_LIMIT) is None


def test_a_banner_is_bounded() -> None:
    said = recognise(b"SSH-2.0-" + b"x" * 100_000)

    assert said is not None
    assert len(said.banner) <= 640


@given(st.binary(max_size=READ_LIMIT + 10))
def test_any_bytes_are_judged(first: bytes) -> None:
    stranger = recognise(first)

    assert stranger is None or stranger.banner.isprintable()


@given(st.sampled_from([NGINX, SSH, POSTGRESQL, MARIADB, ZOOKEEPER, CONNECT]), st.integers(0, 300))
def test_a_part_of_an_answer_never_names_another_kind(answer: bytes, length: int) -> None:
    part, whole = recognise(answer[:length]), recognise(answer)

    assert whole is not None
    kinds = {whole.name} | ({"an HTTP server"} if answer.startswith(b"HTTP") else set())
    assert part is None or part.name in kinds


def test_silence_is_asked_again_and_a_name_is_not() -> None:
    assert follow_ups(b"") == (HTTP_PROBE, ZOOKEEPER_PROBE)
    assert follow_ups(NGINX) == (HTTP_PROBE,)
    assert follow_ups(SSH) == ()


@pytest.mark.parametrize(
    ("size", "meaning"),
    [
        (1213486160, "the answer of an HTTP server"),
        (1397966893, "the greeting of an SSH server"),
        (1195725856, "an HTTP request"),
        (1347375956, "an HTTP request"),
        (1095586128, "the answer of an AMQP broker"),
        (352518912, "a TLS alert"),
        (352518400, "a TLS alert"),
        (369295616, "a TLS handshake"),
        (369295617, "a TLS handshake"),
        (369296129, "a TLS handshake"),
        (0x52555354, "the text 'RUST'"),
        (15, None),
        (1048576, None),
        (104857601, None),
        (0, None),
        (-1, None),
        (1 << 40, None),
    ],
)
def test_a_size_tells_whose_bytes_it_was(size: int, meaning: str | None) -> None:
    assert decode_size(size) == meaning

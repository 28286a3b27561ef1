"""Every mechanism against the fake broker on real TCP, which does as Kafka 4.3.1 was seen to do."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import trustme

from kdiag.config.security import Sasl
from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
from kdiag.demo.logins import Logins, unsecured_token
from kdiag.kafka.connection import KafkaConnection, Reply
from kdiag.kafka.dialer import KafkaDialer
from kdiag.kafka.messages import (
    API_VERSIONS,
    METADATA,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
    decode_response,
    encode_request,
)
from kdiag.kafka.sasl import iam, sigv4
from kdiag.kafka.sasl.mechanisms import exchange
from kdiag.network.attempt import Failure

VERSIONS = {"client_software_name": "kdiag", "client_software_version": "1"}
NO_TOPICS: dict[str, Any] = {"topics": [], "allow_auto_topic_creation": False}
USERS = {"bob": "bob-secret", "a=b,c": "pass,word=", "AKIDEXAMPLE": "aws-secret"}
TOKEN = "an-aws-session-token/+="

GOOD = [
    Sasl("PLAIN", "bob", "bob-secret"),
    Sasl("PLAIN", "a=b,c", "pass,word="),
    Sasl("SCRAM-SHA-256", "bob", "bob-secret"),
    Sasl("SCRAM-SHA-512", "bob", "bob-secret"),
    Sasl("SCRAM-SHA-512", "a=b,c", "pass,word="),
    Sasl("OAUTHBEARER", token=unsecured_token("bob")),
    Sasl("OAUTHBEARER", token=unsecured_token("bob"), extensions={"pool": "one two"}),
    Sasl("AWS_MSK_IAM", "AKIDEXAMPLE", "aws-secret", region="eu-west-2"),
    Sasl("AWS_MSK_IAM", "AKIDEXAMPLE", "aws-secret", token=TOKEN, region="eu-west-2"),
]

SCRAM_REFUSES = (
    "Authentication failed during authentication due to invalid credentials with SASL mechanism "
)
BAD = [
    (Sasl("PLAIN", "bob", "wrong"), "Authentication failed: Invalid username or password"),
    (Sasl("PLAIN", "nobody", "x"), "Authentication failed: Invalid username or password"),
    (Sasl("SCRAM-SHA-256", "bob", "wrong"), f"{SCRAM_REFUSES}SCRAM-SHA-256"),
    (Sasl("SCRAM-SHA-512", "nobody", "x"), f"{SCRAM_REFUSES}SCRAM-SHA-512"),
    (Sasl("OAUTHBEARER", token=unsecured_token("bob", -1)), '{"status":"invalid_token"}'),
    (Sasl("OAUTHBEARER", token="no-jwt"), '{"status":"invalid_token"}'),
    (Sasl("AWS_MSK_IAM", "AKIDEXAMPLE", "wrong", region="eu-west-2"), "Access denied"),
]


class Client:
    """A conversation with one broker, as few words as a test needs."""

    def __init__(self, conversation: KafkaConnection) -> None:
        self.conversation = conversation

    async def versions(self) -> Reply:
        return await self.conversation.request(API_VERSIONS, 3, VERSIONS)

    async def metadata(self) -> Reply:
        return await self.conversation.request(METADATA, 7, NO_TOPICS)

    async def handshake(self, mechanism: str) -> Reply:
        return await self.conversation.request(SASL_HANDSHAKE, 1, {"mechanism": mechanism})

    async def authenticate(self, data: bytes) -> Reply:
        return await self.conversation.request(SASL_AUTHENTICATE, 1, {"auth_bytes": data})

    async def login(self, sasl: Sasl) -> Reply:
        """From SaslHandshake to the last answer."""
        reply = await self.handshake(sasl.mechanism)
        steps = exchange(sasl, "b-1.example")
        said: bytes | None = steps.first()
        while said is not None and not reply.failure and not reply.body["error_code"]:
            reply = await self.authenticate(said)
            if reply.failure or reply.body["error_code"]:
                break
            said = steps.next(reply.body["auth_bytes"])
        return reply


class Place:
    """A broker with logins, and as many clients as wanted."""

    def __init__(self) -> None:
        self.logins = Logins(USERS)
        self.broker = FakeBroker(
            FakeCluster("c", [FakeNode(1, "127.0.0.1", 9092)]), 1, sasl=self.logins
        )
        self.net = KafkaDialer(5.0)
        self.port = 0

    async def client(self) -> Client:
        met = await self.net.open(await self.net.connect("127.0.0.1", self.port))
        assert met.connection
        return Client(met.connection)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    place.port = await place.broker.start()
    yield place
    await place.net.close()
    await place.broker.stop()


@pytest.mark.parametrize("sasl", GOOD, ids=lambda sasl: f"{sasl.mechanism}-{sasl.username}")
async def test_a_login(place: Place, sasl: Sasl) -> None:
    client = await place.client()
    await client.versions()
    reply = await client.login(sasl)
    assert (reply.failure, reply.body["error_code"]) == (None, 0)
    brokers = (await client.metadata()).body["brokers"]
    assert [broker["node_id"] for broker in brokers] == [1]
    assert place.logins.attempts == {sasl.username or "bob": 1}


@pytest.mark.parametrize(
    ("sasl", "words"), BAD, ids=[f"{s.mechanism}-{s.username}" for s, _ in BAD]
)
async def test_a_refusal_in_kafka_s_words(place: Place, sasl: Sasl, words: str) -> None:
    client = await place.client()
    reply = await client.login(sasl)
    assert reply.body["error_code"] == 58
    assert words in reply.body["error_message"]
    assert (await client.metadata()).failure is Failure.CLOSED
    assert sum(place.logins.attempts.values()) == 1


async def test_the_way_in_is_one_flight(place: Place) -> None:
    """Kafka reads requests one after the other: all of a PLAIN login can be sent at once."""
    client = await place.client()
    flight = [
        client.conversation.request(API_VERSIONS, 3, VERSIONS),
        client.conversation.request(SASL_HANDSHAKE, 1, {"mechanism": "PLAIN"}),
        client.conversation.request(SASL_AUTHENTICATE, 1, {"auth_bytes": b"\0bob\0bob-secret"}),
        client.conversation.request(METADATA, 7, NO_TOPICS),
    ]
    assert [(await reply).failure for reply in flight] == [None] * 4


async def test_a_mechanism_that_is_not_enabled(place: Place) -> None:
    place.logins.mechanisms = ("PLAIN", "SCRAM-SHA-512")
    client = await place.client()
    reply = await client.handshake("SCRAM-SHA-256")
    assert reply.body == {"error_code": 33, "mechanisms": ["PLAIN", "SCRAM-SHA-512"]}
    assert (await client.metadata()).failure is Failure.CLOSED


async def test_before_login_little_is_answered(place: Place) -> None:
    for begin in ("metadata", "authenticate", "versions twice"):
        client = await place.client()
        if begin == "metadata":
            reply = await client.metadata()
        elif begin == "authenticate":
            reply = await client.authenticate(b"\0bob\0bob-secret")
        else:
            assert (await client.versions()).failure is None
            reply = await client.versions()
        assert reply.failure is Failure.CLOSED, begin
    assert not place.logins.attempts


async def test_between_handshake_and_login_there_is_nothing_else(place: Place) -> None:
    client = await place.client()
    await client.handshake("PLAIN")
    assert (await client.versions()).body["error_code"] == 34
    assert (await client.metadata()).failure is Failure.CLOSED


async def test_without_sasl_there_is_no_login(place: Place) -> None:
    place.broker.sasl = None
    client = await place.client()
    assert (await client.handshake("PLAIN")).body == {"error_code": 34, "mechanisms": []}
    reply = await client.authenticate(b"x")
    assert reply.body["error_message"] == (
        "SaslAuthenticate request received after successful authentication"
    )
    assert (await client.metadata()).failure is None


async def test_a_session_s_lifetime_is_told(place: Place) -> None:
    place.logins.lifetime_ms = 3_600_000
    reply = await (await place.client()).login(Sasl("PLAIN", "bob", "bob-secret"))
    assert reply.body["session_lifetime_ms"] == 3_600_000


async def test_msk_s_token_by_oauthbearer(place: Place) -> None:
    """The token is a presigned URL, which the broker reads and whose signature it checks."""

    def signer(token: str) -> str | None:
        url = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
        query = dict(parse_qsl(url.query))
        assert query.pop("User-Agent") == "kdiag"
        signature = query.pop("X-Amz-Signature")
        user = query["X-Amz-Credential"].split("/")[0]
        good = sigv4.signature(url.netloc, query, USERS[user]) == signature
        return user if good else None

    place.logins.subject = signer
    now = time.time()
    token = iam.bearer("eu-west-2", "AKIDEXAMPLE", "aws-secret", TOKEN, now)
    reply = await (await place.client()).login(Sasl("OAUTHBEARER", token=token))
    assert reply.body["error_code"] == 0
    forged = iam.bearer("eu-west-2", "AKIDEXAMPLE", "another", TOKEN, now)
    reply = await (await place.client()).login(Sasl("OAUTHBEARER", token=forged))
    assert reply.body["error_code"] == 58


async def test_the_fake_broker_serves_tls() -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    broker = FakeBroker(FakeCluster("c"), 1)
    port = await broker.start(tls=server)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
    writer.write(encode_request(API_VERSIONS, 3, 7, VERSIONS))
    size = int.from_bytes(await reader.readexactly(4), "big")
    frame = await reader.readexactly(size)
    assert decode_response(API_VERSIONS, 3, 7, frame)["error_code"] == 0
    await broker.stop()
    assert await reader.read() == b""
    writer.close()

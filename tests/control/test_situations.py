"""Situations from public threads, each on loopback: librdkafka and kdiag come to one verdict."""

from __future__ import annotations

import asyncio
import ssl
import struct
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import kdiag
from kdiag.config.options import TIMEOUT, CheckOptions
from kdiag.demo.certificates import Issued
from kdiag.network.tls import as_file
from kdiag.rules.rule import Finding
from tests.certificates import KEY, name
from tests.control import librdkafka
from tests.control.clients import Java
from tests.control.partial import PRODUCE, TOPIC, Asked, Connection, Edited, Partial, Served
from tests.lab import needs

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("control")]

ONE = Partial(nodes=(1,))
WORKING, FAILING = 40.0, 4.0  # seconds for a client; what works takes one or two

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Do = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(scope="module")
def do(loop: asyncio.AbstractEventLoop) -> Do:
    """Runs a coroutine in the loop of the servers."""
    return lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(30)


@dataclass(frozen=True)
class Situation:
    """A server, the client's properties, the number of the topic's partitions, and what is found.

    `works` says whether the client can produce, `code` and `says` what must be found, and `bare`
    is kdiag's exit code without a topic, where that proves less.
    """

    server: Callable[[], Served]
    works: bool
    code: str | None = None
    says: str = ""
    bare: int | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    bootstrap: str = "{}"


class Advertising(Served):
    """A server whose metadata has other addresses of its brokers: by node id and client id."""

    def __init__(self, what: Partial, advertises: Callable[[int, str], Mapping[str, Any]]) -> None:
        super().__init__(what)
        self._advertises, self._client = advertises, ""

    async def _handle(
        self, frame: bytes, connection: Connection, writer: asyncio.StreamWriter
    ) -> bool:
        (size,) = struct.unpack(">h", frame[8:10])
        self._client = frame[10 : 10 + size].decode()
        return await super()._handle(frame, connection, writer)

    def _metadata(self, asked: Asked) -> dict[str, Any]:
        fields = super()._metadata(asked)
        brokers = [{**b, **self._advertises(b["node_id"], self._client)} for b in fields["brokers"]]
        return {**fields, "brokers": brokers}


class Encrypted(Served):
    """A server that speaks TLS, after so many seconds of each connection."""

    def __init__(self, what: Partial, context: ssl.SSLContext, away: float = 0.0) -> None:
        super().__init__(what)
        self._context, self._away = context, away

    def _accept(self, node: int) -> Callable[..., None]:
        accept = super()._accept(node)

        def paused(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            accept(reader, writer)

        return paused

    async def _serve(
        self, node: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await asyncio.sleep(self._away)
        try:
            await writer.start_tls(self._context)
        except OSError:
            return
        await super()._serve(node, reader, writer)


class Flaky(Served):
    """A balancer with a dead target: it closes the first connection of each client."""

    _closes = True

    def begin(self) -> None:
        self._closes = True

    def _accept(self, node: int) -> Callable[..., None]:
        accept = super()._accept(node)

        def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            closes, self._closes = self._closes, False
            if closes:
                writer.close()
            else:
                accept(reader, writer)

        return first


class FlakyEncrypted(Flaky, Encrypted):
    """The same in front of TLS."""


class OneAtATime(Served):
    """A server that closes where a second request comes before the first one is answered."""

    async def _serve(
        self, node: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connection = Connection(node, entered=True)
        while len(data := await reader.read(1 << 20)) > 4:
            (size,) = struct.unpack(">i", data[:4])
            data += await reader.readexactly(max(0, 4 + size - len(data)))
            if len(data) > 4 + size or not await self._handle(data[4:], connection, writer):
                break
        writer.close()


class LedByFirst(Served):
    """A server whose first broker alone leads partitions of the topic."""

    def _topic(self, name: str) -> dict[str, Any]:
        topic = super()._topic(name)
        return {**topic, "partitions": topic["partitions"][:1]}


def advertising(**address: object) -> Callable[[], Served]:
    """One broker, whose metadata has this in its address."""
    return lambda: Advertising(ONE, lambda node, client: address)


def warpstream(node: int, client: str) -> Mapping[str, Any]:
    """An agent of WarpStream advertises what the client id asks for, else its address inside."""
    return {} if "ws_host_override=localhost" in client else {"port": 1}


def validates(asked: Asked) -> Any:
    """A broker that checks schemas: it takes the client's records, and not kdiag's."""
    topics = asked.body.topic_data if asked.api == PRODUCE else ()
    if not any(b"kdiag" in (p.records or b"") for t in topics for p in t.partition_data):
        return None

    def refused(topic: dict[str, Any]) -> dict[str, Any]:
        failed = {"error_code": 87, "base_offset": -1} if topic["name"] == TOPIC else {}
        return {
            **topic,
            "partition_responses": [{**p, **failed} for p in topic["partition_responses"]],
        }

    return Edited(lambda fields: {**fields, "responses": [refused(t) for t in fields["responses"]]})


def tls(
    issued: Issued,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    kind: type[Encrypted] = Encrypted,
    **more: Any,
) -> Callable[[], Served]:
    """One broker with this certificate, and no newer version of TLS."""

    def server() -> Served:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old versions are what this is about
            context.minimum_version = min(context.minimum_version, newest)
            context.maximum_version = newest
        with as_file(issued.certificate, issued.key) as path:
            context.load_cert_chain(path)
        return kind(ONE, context, **more)

    return server


def trusting(certificates: str) -> dict[str, str]:
    """The properties of a client that trusts this certificate (PEM)."""
    return {"security.protocol": "SSL", "ssl.ca.pem": certificates}


def certificate(
    subject: str,
    key: PrivateKey = KEY,
    *,
    ca: bool = False,
    entry: x509.GeneralName | None = None,
) -> Issued:
    """A certificate of the authority, by KEY, and its key; an authority's own with `ca`, the
    authority's without that constraint where it names itself."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(cn=subject))
        .issuer_name(name(cn="authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=200))
        .not_valid_after(now + timedelta(days=200))
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    if entry:
        builder = builder.add_extension(x509.SubjectAlternativeName([entry]), critical=False)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    signed = builder.sign(KEY, SHA256()).public_bytes(Encoding.PEM).decode()
    return Issued(signed, pem)


AUTHORITY = certificate("authority", ca=True).certificate
LOOPBACK = x509.IPAddress(ip_address("127.0.0.1"))

SITUATIONS: dict[str, Situation] = {
    # idolpx/meatloaf#52 has the like for names; here a balancer is slow to open TLS
    "a TLS handshake that takes longer than a connection may": Situation(
        tls(certificate("broker", entry=LOOPBACK), away=TIMEOUT + 0.2),
        True,
        properties=trusting(AUTHORITY),
    ),
    # strimzi#873: DNS:127.0.0.1 is no IP:127.0.0.1
    "an IP address among the DNS names of a certificate": Situation(
        tls(certificate("broker", entry=x509.DNSName("127.0.0.1"))),
        False,
        "KD113",
        "it has 127.0.0.1 as a DNS name",
        properties=trusting(AUTHORITY),
    ),
    "an authority without the basic constraint of one": Situation(
        tls(certificate("broker", entry=LOOPBACK)),
        False,
        "KD112",
        "CA:TRUE",
        properties=trusting(certificate("authority").certificate),
    ),
    "a listener that takes old versions of TLS only": Situation(
        tls(certificate("broker", entry=LOOPBACK), ssl.TLSVersion.TLSv1_1),
        False,
        "KD116",
        "takes TLSv1.1 at most",
        properties=trusting(AUTHORITY),
    ),
    "a key that is too small": Situation(
        tls(certificate("broker", rsa.generate_private_key(65537, 1024), entry=LOOPBACK)),
        False,
        "KD112",
        "key too weak",
        properties=trusting(AUTHORITY),
    ),
    # redpanda#12395, apache/kafka#1816: it works on the broker's own machine, and nowhere else
    "all interfaces are advertised, to a client on the broker's machine": Situation(
        advertising(host="0.0.0.0"), True, "KD303", "it works on this one"
    ),
    "an empty host is advertised": Situation(advertising(host=""), False, "KD303"),
    # confluentinc/confluent-kafka-python#51, librdkafka#3090: one of three brokers is down
    "a broker that leads none of the topic is down": Situation(
        lambda: LedByFirst(Partial(closed=(3,))), True, "KD305", "its clients work", bare=30
    ),
    # confluentinc/vscode#2506: WarpStream by kubectl port-forward
    "a client id that asks for other addresses": Situation(
        lambda: Advertising(ONE, warpstream),
        True,
        properties={"client.id": "app,ws_host_override=localhost"},
    ),
    "the same without it": Situation(lambda: Advertising(ONE, warpstream), False, "KD305"),
    # librdkafka's broker lists have it, and so have those of Java
    "a security protocol in front of the server": Situation(
        lambda: Served(ONE), True, bootstrap="PLAINTEXT://{}"
    ),
    # confluent-kafka-dotnet#1402: now and then a connection ends without a word
    "a balancer that closes the first connection": Situation(
        lambda: Flaky(ONE), True, "KD121", "answered on the next"
    ),
    "such a balancer in front of TLS": Situation(
        tls(certificate("broker", entry=LOOPBACK), kind=FlakyEncrypted),
        True,
        "KD121",
        "answered on the next",
        properties=trusting(AUTHORITY),
    ),
    "a server that takes one request at a time": Situation(
        lambda: OneAtATime(ONE), True, "KD121", "answered on the next"
    ),
    "a broker that checks schemas": Situation(
        lambda: Served(Partial(nodes=(1,), rule=validates)), True, "KD406", "nothing is proven"
    ),
}


@pytest.fixture
def served(situation: Situation, do: Do) -> Iterator[Served]:
    """The situation's server."""
    server = situation.server()
    do(server.start())
    yield server
    do(server.stop())


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_one_verdict(situation: Situation, served: Served) -> None:
    if sys.platform == "win32" and situation.says == "it works on this one":
        pytest.skip("Windows does not dial 0.0.0.0")
    bootstrap, given = situation.bootstrap.format(served.bootstrap), dict(situation.properties)
    patience = WORKING if situation.works else FAILING
    client = librdkafka.produce({**given, "bootstrap.servers": bootstrap}, TOPIC, 1, patience)
    assert (client is None) is situation.works, client
    options: CheckOptions = {"properties": given}
    with_topic: CheckOptions = {**options, "topic": TOPIC}
    begin = getattr(served, "begin", lambda: None)
    begin()
    named = kdiag.check(bootstrap, **with_topic)
    assert (named.exit_code == 0) is situation.works, named.findings
    if situation.code:
        _found(named.findings, situation)
    begin()
    bare = kdiag.check(bootstrap, **options)
    expected = named.exit_code if situation.bare is None else situation.bare
    assert bare.exit_code == expected, bare.findings


@pytest.mark.kafka
@pytest.mark.timeout(240)  # the first run compiles the client
def test_javas_client_takes_a_smaller_key(java: Java | None, do: Do, tmp_path: Path) -> None:
    needs.require(*needs.KAFKA)
    assert java
    store = tmp_path / "authority.pem"
    store.write_text(AUTHORITY)
    given = {
        "security.protocol": "SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(store),
    }
    small = certificate("broker", rsa.generate_private_key(65537, 1024), entry=LOOPBACK)
    server = tls(small)()
    do(server.start())
    try:
        assert java.produce(server.bootstrap, TOPIC, 1, WORKING, given).error is None
        report = kdiag.check(server.bootstrap, topic=TOPIC, properties=given)
    finally:
        do(server.stop())
    assert report.exit_code == 0, report.findings
    assert any(note.startswith("only Java's client trusts") for note in report.notes)


def _found(findings: list[Finding], situation: Situation) -> None:
    found = next(f for f in findings if f.code == situation.code)
    fixes = [fix.summary for fix in found.remedies]
    assert situation.says in " ".join([found.message, *found.evidence, *fixes])
    assert found.severity == ("warning" if situation.works else "error")

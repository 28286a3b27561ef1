"""KD128: a proxy that opens TLS, as far as it is proven; and no word of plaintext to a client that
spoke TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from kdiag.api import check_async
from kdiag.config.security import Security, Tls
from kdiag.config.settings import settings
from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
from kdiag.demo.certificates import Authority, authority, server_context
from kdiag.demo.world import Serve
from kdiag.network.attempt import EndpointResult, TlsHandshake
from kdiag.rules.rule import Finding
from tests import peers
from tests.certificates import END, made, name
from tests.facts import bootstrap, contact, dial, found, found_by

NOW = END.timestamp() - 1e8
UNKNOWN = 20
ZSCALER = name(cn="Zscaler Intermediate Root CA", o="Zscaler Inc.")
COMPANY, AMAZON = name(cn="Example Corp Root"), name(cn="Amazon RSA 2048 M01", o="Amazon")
CLOUD = "pkc-x.eu-west-2.aws.confluent.cloud"
MSK = "b-1.demo.abc123.c2.kafka.eu-west-2.amazonaws.com"


def shown(host: str, issuer: object, failed: str = "tls:untrusted") -> EndpointResult:
    """A server with a certificate by that issuer."""
    leaf = made(name(cn=host), issuer, [host])  # type: ignore[arg-type]
    code = UNKNOWN if failed else 0
    handshake = TlsHandshake(host, "TLSv1.3", "x", (leaf,), NOW, False, (), code)
    met = dial("203.0.113.7", failed)._replace(handshake=handshake)
    return contact(f"{host}:9092", "", met)


def findings(code: str, *contacts: EndpointResult) -> list[Finding]:
    asked = settings("a:1")._replace(security=Security("SSL", Tls()))
    return found_by(code, bootstrap(*contacts), asked)


@pytest.mark.parametrize(
    ("host", "issuer", "failed", "severity", "message"),
    [
        ("kafka.example.com", ZSCALER, "tls:untrusted", "error", "by Zscaler, not the broker's"),
        ("kafka.example.com", ZSCALER, "", "warning", "by Zscaler: a proxy on the path opens TLS"),
        (CLOUD, COMPANY, "tls:untrusted", "warning", "CN=Example Corp Root, which is not known"),
        (MSK, COMPANY, "tls:untrusted", "warning", "likely a proxy on the path opens TLS"),
        # What proves nothing.
        (MSK, AMAZON, "tls:untrusted", None, ""),
        (CLOUD, COMPANY, "", None, ""),
        ("kafka.example.com", COMPANY, "tls:untrusted", None, ""),
        ("kafka.example.com", ZSCALER, "tls:expired", None, ""),
    ],
)
def test_what_a_certificate_proves(
    host: str, issuer: object, failed: str, severity: str | None, message: str
) -> None:
    matches = findings("KD128", shown(host, issuer, failed))
    assert [finding.severity for finding in matches] == ([severity] if severity else [])
    for finding in matches:
        assert message in finding.message
        assert f"exempt {host}:9092" in finding.remedies[0].summary
        assert "certificate of the proxy's authority" in finding.remedies[1].summary


@pytest.mark.parametrize("failure", ["closed", "reset", "silent"])
@pytest.mark.parametrize(
    ("host", "address", "evidence"),
    [
        (CLOUD, "100.64.0.5", "an access proxy (such as Zscaler Private Access), a VPN or"),
        (CLOUD, "10.0.1.11", "a VPN or a private link"),
        (CLOUD, "203.0.113.7", ""),
        ("100.64.0.5", "100.64.0.5", ""),
        ("kafka.internal", "10.0.1.11", ""),
    ],
)
def test_a_handshake_that_ends_says_where_the_name_leads(
    failure: str, host: str, address: str, evidence: str
) -> None:
    met = contact(f"{host}:9092", "", dial(address, f"tls:{failure}"))
    (finding,) = findings("KD107" if failure == "silent" else "KD121", met)
    lines = "\n".join(finding.evidence)
    assert (evidence or "no address of the internet") in lines or not evidence
    assert ("no address of the internet" in lines) is bool(evidence)
    assert findings("KD128", met) == []


def test_a_private_address_of_a_public_name_is_nothing_by_itself() -> None:
    for address in ("100.64.0.5", "10.0.1.11"):
        works = contact(f"{CLOUD}:9092", "", dial(address))
        assert [x for x in found(bootstrap(works)) if x.code.startswith("KD1")] == []


async def served(serve: Serve) -> tuple[asyncio.Server, int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    "serve", [peers.hangs_up, peers.hangs_up_when_asked, peers.resets, peers.silent]
)
async def test_a_client_that_spoke_tls_is_told_nothing_of_plaintext(serve: Serve) -> None:
    server, port = await served(serve)
    async with server:
        report = await check_async(
            f"127.0.0.1:{port}",
            properties={"security.protocol": "SSL"},
            timeout=1.0,
            answer_timeout=1.0,
        )
    (finding,) = report.findings
    assert finding.code in ("KD107", "KD121")
    assert "plaintext" not in f"{finding.message} {finding.evidence} {finding.remedies}".lower()
    assert report.protocol == "SSL"


async def test_a_plaintext_answer_is_the_one_proof_of_plaintext() -> None:
    broker = FakeBroker(FakeCluster("kdiagDemoCluster000001", [FakeNode(1, "127.0.0.1", 9092)]), 1)
    port = await broker.start()
    report = await check_async(
        f"127.0.0.1:{port}", properties={"security.protocol": "SSL"}, timeout=2.0
    )
    await broker.stop()
    assert report.root_cause == "KD111"


async def test_librdkafka_fails_at_a_proxy_that_opens_tls() -> None:
    proxy = Authority("Zscaler Root CA")
    cluster = FakeCluster("kdiagDemoCluster000001")
    broker = FakeBroker(cluster, 1)
    port = await broker.start(tls=server_context(proxy.issue("broker", ["127.0.0.1"])))
    cluster.nodes.append(FakeNode(1, "127.0.0.1", port))
    given = {"security.protocol": "SSL", "ssl.ca.pem": authority().pem}
    logged: Sequence[str] = await asyncio.to_thread(failed, f"127.0.0.1:{port}", given)
    report = await check_async(f"127.0.0.1:{port}", properties=given, timeout=2.0)
    await broker.stop()
    assert any("certificate verify failed" in line for line in logged), logged
    assert (report.root_cause, report.exit_code) == ("KD128", 10)
    follows = {finding.code: finding.consequence_of for finding in report.findings}
    assert follows == {"KD128": None, "KD112": "KD128"}


def failed(server: str, given: dict[str, str]) -> list[str]:
    """What librdkafka says of a server that it cannot use."""
    lines: list[str] = []
    callback: Any = {"error_cb": lambda error: lines.append(str(error))}
    client = AdminClient({**given, **callback, "bootstrap.servers": server})
    with pytest.raises(KafkaException):
        client.list_topics(timeout=1)
    client.poll(0.2)
    return lines

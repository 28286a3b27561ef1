"""client.dns.lookup: the names of bootstrap servers by reverse DNS, as real clients take them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

import kdiag
from kdiag.config.settings import CANONICAL, settings
from kdiag.demo.certificates import authority, server_context
from kdiag.kafka.dialer import KafkaDialer
from kdiag.network.attempt import EndpointResult
from kdiag.walk.canonical import canonical_names
from tests.applied import applies
from tests.facts import at, bootstrap, contact, dial, found_by
from tests.running import ENOUGH, Brokers

LOOPBACK = "127.0.0.1"
LOOKUP = {"client.dns.lookup": CANONICAL}
NAME = "kafka.example.com"


class Resolver(KafkaDialer):
    """A dialer whose resolver and reverse DNS know these names, and these alone."""

    def __init__(self, names: Mapping[str, Sequence[str]], canonical: Mapping[str, str]) -> None:
        def lookup(host: str, *_: object) -> list[Any]:
            if host not in names:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [(0, 0, 0, "", (address, 0)) for address in names[host]]

        def reverse(address: tuple[str, int], _: int) -> tuple[str, str]:
            if address[0] not in canonical:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return canonical[address[0]], "0"

        super().__init__(1.0, lookup=lookup)
        self.reverse = reverse


def canonical(
    names: Mapping[str, Sequence[str]], of: Mapping[str, str], *, confirmed: bool = False
) -> tuple[str, ...]:
    return asyncio.run(canonical_names(Resolver(names, of), NAME, confirmed))


@pytest.mark.parametrize(
    ("names", "of", "librdkafka", "java"),
    [
        ({}, {}, (), ()),
        ({NAME: ["10.0.0.1"]}, {}, ("10.0.0.1",), ("10.0.0.1",)),
        ({NAME: ["10.0.0.1"]}, {"10.0.0.1": "b1"}, ("b1",), ("10.0.0.1",)),
        ({NAME: ["10.0.0.1"], "b1": ["10.0.0.9"]}, {"10.0.0.1": "b1"}, ("b1",), ("10.0.0.1",)),
        ({NAME: ["10.0.0.1"], "b1": ["10.0.0.1"]}, {"10.0.0.1": "b1"}, ("b1",), ("b1",)),
        (
            {NAME: ["10.0.0.1", "10.0.0.2"], "b1": ["10.0.0.1", "10.0.0.2"]},
            {"10.0.0.1": "b1", "10.0.0.2": "b1"},
            ("b1",),
            ("b1",),
        ),
    ],
    ids=["unknown", "no name", "a name that does not resolve", "elsewhere", "back", "one name"],
)
def test_the_names_that_a_client_takes(
    names: Mapping[str, Sequence[str]],
    of: Mapping[str, str],
    librdkafka: tuple[str, ...],
    java: tuple[str, ...],
) -> None:
    assert canonical(names, of) == librdkafka
    assert canonical(names, of, confirmed=True) == java


@pytest.mark.parametrize(
    ("properties", "whose"),
    [
        ({}, ""),
        ({"client.dns.lookup": "use_all_dns_ips"}, ""),
        (LOOKUP, "librdkafka"),
        ({**LOOKUP, "max.block.ms": "1"}, "java"),
        (LOOKUP, None),
    ],
    ids=str,
)
def test_whose_rules_count(properties: dict[str, str], whose: str | None) -> None:
    if whose is None:
        asked = settings("h:1", properties=LOOKUP, proxy="socks5://10.0.0.1:1080")
        assert asked.canonical == ""
        assert any("the proxy resolves names" in note for note in asked.notes)
        return
    assert settings("h:1", properties=properties).canonical == whose


def librdkafka(server: str, properties: Mapping[str, str]) -> bool:
    """Whether the real client gets the metadata."""
    given = {"bootstrap.servers": server, "log_level": "0", "socket.timeout.ms": "2000"}
    try:
        return bool(AdminClient({**given, **properties}).list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def own_name() -> str:
    """The name of 127.0.0.1 on this machine, localhost nearly everywhere."""
    return socket.getnameinfo((LOOPBACK, 0), 0)[0]


@pytest.mark.parametrize(
    ("names", "properties", "works", "finding"),
    [
        ([LOOPBACK], {}, True, None),
        ([LOOPBACK], {"client.dns.lookup": "use_all_dns_ips"}, True, None),
        ([LOOPBACK], LOOKUP, False, "error"),
        ([LOOPBACK, "own"], LOOKUP, True, "warning"),
        ([], LOOKUP, True, None),
    ],
    ids=["default", "all addresses", "the name is missing", "the name is there", "no TLS"],
)
def test_the_real_client_fares_as_kdiag_says(
    brokers: Brokers,
    names: list[str],
    properties: dict[str, str],
    works: bool,
    finding: str | None,
) -> None:
    """The server is written as 127.0.0.1, which the hosts file names localhost."""
    assert own_name() != LOOPBACK
    given = dict(properties)
    if names:
        names = [own_name() if name == "own" else name for name in names]
        brokers.many(1, tls=server_context(authority().issue("broker", names)))
        given |= {"security.protocol": "SSL", "ssl.ca.pem": authority().pem}
    else:
        brokers.many(1)
    assert librdkafka(brokers.bootstrap, given) is works
    report = kdiag.check(brokers.bootstrap, properties=given, timeout=ENOUGH)
    assert report.ok is works
    found = {each.code: each for each in report.findings}
    assert (found["KD127"].severity.value if "KD127" in found else None) == finding
    (server,) = report.bootstrap
    if properties == LOOKUP:
        assert server.server.startswith(f"{own_name()}:")
        assert server.given == brokers.bootstrap
    else:
        assert server.given is None
    if not works:
        assert report.root_cause == "KD127"
        assert found["KD113"].consequence_of == "KD127"


@applies("properties client.dns.lookup")
def test_the_fix_makes_both_connect(brokers: Brokers) -> None:
    brokers.many(1, tls=server_context(authority().issue("broker", [LOOPBACK])))
    given = {"security.protocol": "SSL", "ssl.ca.pem": authority().pem}
    broken = kdiag.check(brokers.bootstrap, properties={**given, **LOOKUP}, timeout=ENOUGH)
    assert broken.cause
    name, _, value = broken.cause.remedies[0].snippet.partition("=")
    assert librdkafka(brokers.bootstrap, {**given, name: value})
    assert kdiag.check(brokers.bootstrap, properties={**given, name: value}, timeout=ENOUGH).ok


def taken(name: str, failed: str = "") -> EndpointResult:
    """A server that the client dials by another name than the user wrote."""
    return contact(f"{name}:9092", failed, dial(LOOPBACK))._replace(given=at(f"{NAME}:9092"))


def test_a_name_that_does_not_resolve_is_the_cause_unless_another_server_works() -> None:
    asked = settings(f"{NAME}:9092", properties=LOOKUP)
    lost = taken("b1.internal", "dns:not_found")
    (found,) = found_by("KD127", bootstrap(lost), asked)
    assert (found.severity.value, found.subjects) == ("error", ["bootstrap b1.internal:9092"])
    assert "does not resolve" in found.message
    (found,) = found_by("KD127", bootstrap(lost, taken("b2.internal")), asked)
    assert found.severity.value == "warning"


def test_with_kerberos_and_without_tls_it_is_no_finding() -> None:
    asked = settings(f"{NAME}:9092", properties=LOOKUP)
    assert found_by("KD127", bootstrap(taken("b1.internal")), asked) == []
    kerberos = settings(f"{NAME}:9092", properties={**LOOKUP, "sasl.mechanism": "GSSAPI"})
    lost = taken("b1.internal", "dns:not_found")
    assert found_by("KD127", bootstrap(lost), kerberos) == []

"""Managed services: recognised by name and port, with what is different there, and no finding."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from kdiag.api import walk
from kdiag.config.settings import settings
from kdiag.demo.world import PUBLIC, World
from kdiag.rules.catalog import every_rule
from kdiag.rules.managed import SERVICES, hinted, service_of
from kdiag.rules.rule import Finding
from tests.facts import bootstrap, contact, found, known
from tests.running import ROOT

# A broker of each service, and a name beside it that is none.
BROKERS: Mapping[str, tuple[str, str]] = {
    "Azure Event Hubs": ("ns.servicebus.windows.net", "servicebus.windows.net.example.com"),
    "Confluent Cloud": ("pkc-419q3.us-east-2.aws.confluent.cloud", "notconfluent.cloud"),
    "Amazon MSK Serverless": (
        "boot-ab12.c2.kafka-serverless.eu-west-2.amazonaws.com",
        "boot.kafka-serverless.example.com",
    ),
    "Amazon MSK": ("b-1.demo.a1b2c3.c2.kafka.eu-west-2.amazonaws.com", "kafka.amazonaws.com"),
    "Aiven": ("kafka-1-me.a.aivencloud.com", "aivencloud.com.example.com"),
    "WarpStream": ("api-f01.discoveryv2.prod-z.us-east-1.warpstream.com", "warpstream.example.com"),
    "Redpanda Cloud": ("seed-1.abc.any.us-east-1.mpx.prd.cloud.redpanda.com", "redpanda.com"),
    "OCI Streaming": ("cell-1.streaming.us-phoenix-1.oci.oraclecloud.com", "oraclecloud.com"),
}
EACH = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


def port(name: str) -> int:
    (found,) = [each for each in SERVICES if each.name == name]
    return next(iter(found.ports), 12345)


@EACH
def test_it_is_known_by_its_name_alone(service: Any) -> None:
    broker, other = BROKERS[service.name]
    assert service_of(broker) == service
    assert service_of(f"{broker.upper()}.") == service
    assert service_of(other) is None
    assert re.match(r"https://[a-z.]+\.(com|io)/", service.source)
    assert {code for codes in service.hints for code in codes} <= every_rule().keys()


@EACH
async def test_a_healthy_one_has_no_finding_and_no_note(service: Any) -> None:
    """None may cause an error by itself: a walk of brokers with such names, which work."""
    broker, _ = BROKERS[service.name]
    world = World()
    try:
        names = [f"{node}-{broker}" for node in (1, 2, 3)]
        await world.three(*((name, port(service.name)) for name in names))
        for name, address in zip(names, PUBLIC, strict=True):
            world.names[name] = [address]
            world.nat[address, port(service.name)] = world.nat[address, 9094]
        asked = settings(
            f"{names[0]}:{port(service.name)}", properties={"client.id": "ws_az=a"}, timeout=2.0
        )
        report = await walk(asked, world.net, lambda hop, said: None)
    finally:
        await world.end()
    assert (report.exit_code, report.findings, report.notes) == (0, [], [])


def test_the_page_names_each() -> None:
    page = (ROOT / "docs" / "usage.md").read_text("utf-8")
    assert all(service.name in page for service in SERVICES)


def of(host: str, failed: str) -> list[Finding]:
    """What is found where a bootstrap server of this name fails like this."""
    facts = bootstrap(contact(host, failed))
    return hinted(known(facts), found(facts))


@pytest.mark.parametrize(
    ("host", "failed", "text"),
    [
        ("ns.servicebus.windows.net:9093", "refused", "not in its Basic tier"),
        ("ns.servicebus.windows.net:9093", "sasl:credentials", "$ConnectionString"),
        ("b-1.demo.a1b2c3.c2.kafka.eu-west-2.amazonaws.com:9196", "timeout", "public access"),
        ("kafka-1-me.a.aivencloud.com:12345", "tls:untrusted", "download ca.pem"),
        ("pkc-1.us-east-2.aws.confluent.cloud:9092", "sasl:credentials", "this very cluster"),
        (
            "e-0013.use1-az1.43860.us-east-1.aws.confluent.cloud:9092",
            "dns:not_found",
            "zone (here use1-az1)",
        ),
        ("e-0013-az1-43860.us-east-1.aws.glb.confluent.cloud:9092", "timeout", "zone (here az1)"),
    ],
)
def test_what_is_different_there_is_the_first_fix(host: str, failed: str, text: str) -> None:
    findings = of(host, failed)
    (first,) = findings
    assert text in first.remedies[0].summary
    elsewhere = of(f"kafka.example.com:{host.rpartition(':')[2]}", failed)
    assert [(f.code, f.severity) for f in findings] == [(f.code, f.severity) for f in elsewhere]
    assert text not in str(elsewhere)


async def notes(host: str, **given: str) -> str:
    """The notes of a check of a host that does not exist."""
    world = World()
    named = {name.replace("_", "."): value for name, value in given.items()}
    asked = settings(host, properties=named, timeout=1.0, answer_timeout=1.0)
    report = await walk(asked, world.net, lambda hop, said: None)
    return " ".join(report.notes)


async def test_another_port_and_another_user_are_noted() -> None:
    hub = "ns.servicebus.windows.net"
    assert "which has other ports: 9093" in await notes(f"{hub}:9092")
    plain = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_password": "secret1"}
    assert "is $ConnectionString" in await notes(f"{hub}:9093", sasl_username="root", **plain)
    assert await notes(f"{hub}:9093", sasl_username="$ConnectionString", **plain) == ""
    msk = "b-1.demo.a1b2c3.c2.kafka.eu-west-2.amazonaws.com"
    assert "9196 (SASL/SCRAM, public)" in await notes(f"{msk}:9093")
    assert await notes(f"{msk}:14001") == ""


async def test_the_zone_of_a_client_of_warpstream() -> None:
    agents = "api-f01.discoveryv2.prod-z.us-east-1.warpstream.com:9092"
    assert "ws_az=ZONE" in await notes(agents)
    assert await notes(agents, client_id="app,ws_az=us-east-1a") == ""

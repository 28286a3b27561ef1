"""Confluent's own client of the Schema Registry as the judge: it fails where kdiag says so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx2
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError

from kdiag.api import walk
from kdiag.companions.scenarios import ADDRESS
from kdiag.config.properties.syntax import parse_properties
from kdiag.config.settings import settings
from kdiag.demo.scenarios import SCENARIOS
from kdiag.demo.world import World
from kdiag.report.model import Report
from tests.applied import applies


async def judged(scenario: str, pasted: Mapping[str, str] | None = None) -> tuple[Report, str]:
    """The report of a scenario's client with further properties, and how Confluent's client fails
    with the same properties; "" where it lists subjects."""
    world = World()
    try:
        start = await SCENARIOS[scenario](world)
        properties = {**start.properties, **(pasted or {})}
        asked = settings(start.bootstrap, properties=properties, timeout=2.0, answer_timeout=2.0)
        report = await walk(asked, world.net, lambda hop, said: None)
        url = urlsplit(properties["schema.registry.url"])
        there = f"{url.scheme}://127.0.0.1:{world.nat[ADDRESS, url.port or 0]}"
        login = {k: v for k, v in properties.items() if k.startswith("basic.auth.user")}
        return report, await asyncio.to_thread(failure, {"url": there, **login})
    finally:
        await world.end()


def failure(conf: Mapping[str, str]) -> str:
    client = SchemaRegistryClient({**conf, "max.retries": 0, "timeout": 5})
    try:
        client.get_subjects()
    except SchemaRegistryError as error:
        return f"{error.http_status_code} {error.error_code}"
    except httpx2.TransportError as error:
        return type(error).__name__
    return ""


@pytest.mark.parametrize(
    ("scenario", "code", "client"),
    [
        ("companion-unreachable", "KD1001", "ConnectError"),
        ("companion-tls", "KD1002", "ConnectError"),
        ("companion-login", "KD1003", "401 401"),
        ("companion-unhealthy", "KD1004", "500 50001"),
        ("companion-answer", "KD1005", "404 404"),
        ("healthy-companions", None, ""),
    ],
)
async def test_confluents_client_fails_where_kdiag_says_so(
    scenario: str, code: str | None, client: str
) -> None:
    report, failed = await judged(scenario)
    assert (report.root_cause, failed) == (code, client)


@applies("properties basic.auth.credentials.source")
async def test_the_login_of_the_registry_makes_both_pass() -> None:
    report, _ = await judged("companion-login")
    (fix,) = (fix for finding in report.findings for fix in finding.remedies if fix.snippet)
    pasted = fix.snippet.replace("<user>", "a").replace("<password>", "b")
    report, failed = await judged("companion-login", parse_properties(pasted))
    assert (report.exit_code, failed) == (0, "")

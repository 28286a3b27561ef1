"""What REST servers are taken for, and what is found: each on real TCP, in this process."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import trustme

from kdiag.api import walk
from kdiag.companions.scenarios import ADDRESS, HOST, serve
from kdiag.config.settings import settings
from kdiag.config.usage import UsageError
from kdiag.demo.world import CLUSTER_ID, Serve, World, endpoint
from kdiag.remote.vantage import parse_all, refuse_unsupported
from kdiag.report.model import Report
from kdiag.report.render import RENDERERS
from tests import peers

PORT = 8081
URL = f"http://{HOST}:{PORT}"
SECRET = "Tr0ub4dor&3xyz"
NOBODY = {"error_code": 404, "message": "HTTP 404 Not Found"}
ROOT = {"version": "4.3.1", "commit": "26b251a451ce941d", "kafka_cluster_id": CLUSTER_ID}
UNHEALTHY = {"status": "unhealthy", "message": "The worker is ensuring membership in the cluster"}
METADATA_ID = {"scope": {"path": [], "clusters": {"kafka-cluster": CLUSTER_ID}}}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.three()
    made.names[HOST] = [ADDRESS]
    yield made
    await made.end()


async def checked(
    world: World, given: Mapping[str, str] | None = None, *urls: str, seconds: float = 2.0
) -> Report:
    asked = settings(
        endpoint(), properties=given or {}, http=urls, timeout=seconds, answer_timeout=seconds
    )
    return await walk(asked, world.net, lambda hop, said: None)


async def of_registry(world: World, **more: str) -> Report:
    named = {name.replace("_", "."): value for name, value in more.items()}
    return await checked(world, {"schema.registry.url": URL, **named})


def ends(report: Report) -> tuple[int, list[tuple[str, str]]]:
    """The exit code, and codes with severities."""
    return report.exit_code, [(f.code, f.severity.value) for f in report.findings]


async def raw(world: World, serve_: Serve) -> None:
    await world.server(ADDRESS, PORT, serve_)


# What each is taken for.


async def test_a_worker_of_connect(world: World) -> None:
    await serve(world, PORT, {"/": (200, ROOT), "/health": (200, {"status": "healthy"})})
    report = await checked(world, None, URL)
    (row,) = report.companions
    assert ends(report) == (0, [])
    assert (row.service, row.version) == ("Kafka Connect", "4.3.1")
    assert (row.cluster_id, row.same_cluster, row.unhealthy) == (CLUSTER_ID, True, None)
    assert row.layers == {"dns": "ok", "tcp": "ok", "tls": None, "http": "ok"}


async def test_a_worker_that_says_it_is_unhealthy(world: World) -> None:
    await serve(world, PORT, {"/": (200, ROOT), "/health": (500, UNHEALTHY)})
    report = await checked(world, None, URL)
    assert ends(report) == (100, [("KD1004", "error")])
    assert report.failing_hop == "companions"
    assert f"unhealthy: {UNHEALTHY['message']}" in report.findings[0].evidence
    assert "this walk reached" in report.findings[0].evidence[-1]


async def test_a_worker_that_is_starting(world: World) -> None:
    starting = {"status": "starting", "message": "Worker is still starting up."}
    await serve(world, PORT, {"/": (200, ROOT), "/health": (503, starting)})
    assert ends(await checked(world, None, URL)) == (0, [("KD1004", "warning")])


async def test_an_old_worker_that_answers_at_its_root_alone(world: World) -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.read(65536)).split(b" ")[1]
        if path == b"/connectors":
            await reader.read()
        body = json.dumps(ROOT if path == b"/" else NOBODY).encode()
        status = b"200" if path == b"/" else b"404"
        writer.write(b"HTTP/1.1 " + status + b" x\r\nConnection: close\r\n\r\n" + body)
        writer.close()

    await raw(world, old)
    report = await checked(world, None, URL, seconds=0.3)
    assert ends(report) == (0, [("KD1004", "warning")])
    assert "gives no answer at /connectors" in report.findings[0].message


async def test_a_schema_registry(world: World) -> None:
    pages = {"/subjects": (200, ["a"]), "/v1/metadata/id": (200, METADATA_ID)}
    await serve(world, PORT, pages)
    for report in (await of_registry(world), await checked(world, None, URL)):
        (row,) = report.companions
        assert ends(report) == (0, [])
        assert (row.service, row.same_cluster) == ("Schema Registry", True)


async def test_a_registry_of_another_cluster_is_no_finding(world: World) -> None:
    other = {"scope": {"clusters": {"kafka-cluster": "aNother"}}}
    await serve(world, PORT, {"/subjects": (200, []), "/v1/metadata/id": (200, other)})
    report = await of_registry(world)
    assert ends(report) == (0, [])
    assert "keeps its schemas in another cluster, which it may" in report.notes[-1]


@pytest.mark.parametrize(("status", "code"), [(200, None), (503, "KD1004")])
async def test_karapace(world: World, status: int, code: str | None) -> None:
    health = {"karapace_version": "5.0.1", "status": {"schema_registry_ready": True}}
    pages = {"/subjects": (200, []), "/_health": (status, health)}
    await serve(world, PORT, pages)
    report = await of_registry(world)
    (row,) = report.companions
    assert row.service == "Karapace"
    assert (row.cluster_id, row.same_cluster) == (None, None), "it tells no id: not proven"
    assert [finding.code for finding in report.findings] == ([code] if code else [])


async def test_a_registry_that_tells_nothing_of_its_cluster(world: World) -> None:
    await serve(world, PORT, {"/subjects": (200, [])})
    report = await of_registry(world)
    assert ends(report) == (0, [])
    assert "cluster not named" in report.hops[-1].summary


@pytest.mark.parametrize("code", [50001, 50002, 50003, 50004])
async def test_a_registry_that_cannot_read_its_topic(world: World, code: int) -> None:
    await serve(world, PORT, {"/subjects": (500, {"error_code": code, "message": "store"})})
    assert ends(await of_registry(world)) == (100, [("KD1004", "error")])


async def test_a_rest_proxy(world: World) -> None:
    clusters = {"kind": "KafkaClusterList", "data": [{"cluster_id": CLUSTER_ID}]}
    await serve(world, PORT, {"/": (200, {}), "/v3/clusters": (200, clusters)})
    report = await checked(world, None, URL)
    assert ends(report) == (0, [])
    assert (report.companions[0].service, report.companions[0].same_cluster) == (
        "Kafka REST proxy",
        True,
    )


# What is wrong.


async def test_a_login(world: World) -> None:
    pages = {"/subjects": (200, []), "/v1/metadata/id": (200, METADATA_ID)}
    await serve(world, PORT, pages, needs_login=True)
    assert ends(await of_registry(world)) == (100, [("KD1003", "error")])
    given = {"basic_auth_credentials_source": "USER_INFO", "basic_auth_user_info": f"a:{SECRET}"}
    report = await of_registry(world, **given)
    assert ends(report) == (0, [])
    for form in RENDERERS:
        assert SECRET not in report.render(form)


@pytest.mark.parametrize("path", ["/subjects", "/v1/metadata/id"])
async def test_a_right_that_is_missing_is_a_warning(world: World, path: str) -> None:
    await serve(world, PORT, {"/subjects": (200, []), path: (403, {"error_code": 40301})})
    assert ends(await of_registry(world)) == (0, [("KD1003", "warning")])


async def test_a_server_that_repeats_the_login_is_not_quoted(world: World) -> None:
    told = {"error_code": 50001, "message": f"no {SECRET} for you\x1b[31m"}
    await serve(world, PORT, {"*": (500, told)})
    given = {"basic_auth_credentials_source": "USER_INFO", "basic_auth_user_info": f"a:{SECRET}"}
    report = await of_registry(world, **given)
    assert ends(report)[0] == 100
    assert SECRET not in report.to_json()
    assert "\x1b" not in report.findings[0].evidence[-1]


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/x\r\n\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", 0),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", 100),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", 100),
        (b"SSH-2.0-OpenSSH_9.6\r\n", 100),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz", 0),
    ],
)
async def test_another_answer(world: World, answer: bytes, exit_code: int) -> None:
    """An error where the client's GET of /subjects cannot work; what is not proven is a warning."""
    await raw(world, peers.says_and_hangs_up(answer))
    report = await of_registry(world)
    assert report.exit_code == exit_code
    assert [finding.code for finding in report.findings] == ["KD1005"]


async def test_an_answer_without_end_is_cut(world: World) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.read(65536)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while sent < 64 << 20:
                writer.write(b" " * (1 << 16))
                await writer.drain()
                sent += 1 << 16
        except OSError:
            return

    await raw(world, endless)
    report = await checked(world, None, URL, seconds=5.0)
    assert ends(report) == (0, [("KD1005", "warning")])
    assert sent < 32 << 20


async def test_silence_is_a_warning(world: World) -> None:
    await raw(world, peers.silent)
    report = await checked(world, {"schema.registry.url": URL}, seconds=0.3)
    assert ends(report) == (0, [("KD1005", "warning")])


async def test_another_registry_makes_up_for_one(world: World) -> None:
    pages = {"/subjects": (200, []), "/v1/metadata/id": (200, METADATA_ID)}
    await serve(world, PORT, pages)
    world.closed(ADDRESS, 8082)
    both = {"schema.registry.url": f"http://{HOST}:8082,{URL}"}
    assert ends(await checked(world, both)) == (0, [("KD1001", "warning")])
    alone = {"schema.registry.url": f"http://{HOST}:8082"}
    assert ends(await checked(world, alone)) == (100, [("KD1001", "error")])


async def test_a_name_that_does_not_resolve(world: World) -> None:
    report = await checked(world, {"schema.registry.url": "http://nowhere.example.com:8081"})
    assert ends(report) == (100, [("KD1001", "error")])
    assert report.companions[0].layers["dns"] == "not_found"


async def test_plaintext_to_a_port_of_tls(world: World) -> None:
    for answer in (
        peers.TLS_ALERT,
        b"HTTP/1.1 400 Bad\r\n\r\nClient sent an HTTP request to HTTPS",
    ):
        await raw(world, peers.says_and_hangs_up(answer))
        report = await of_registry(world)
        assert ends(report) == (100, [("KD1002", "error")])
        assert "it speaks HTTPS" in report.findings[0].message


async def test_tls(world: World, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def registry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(registry, "127.0.0.1", 0, ssl=context)
    world.nat[ADDRESS, PORT] = server.sockets[0].getsockname()[1]
    https = {"schema.registry.url": URL.replace("http", "https")}
    trust = {
        "schema.registry.ssl.truststore.location": str(tmp_path / "ca.pem"),
        "schema.registry.ssl.truststore.type": "PEM",
    }
    assert ends(await checked(world, https)) == (100, [("KD1002", "error")])
    report = await checked(world, {**https, **trust})
    assert ends(report) == (0, [])
    assert report.companions[0].layers["tls"] == "ok"
    world.names["other.example.com"] = [ADDRESS]
    other = {"schema.registry.url": f"https://other.example.com:{PORT}", **trust}
    assert ends(await checked(world, other)) == (0, []), "Java compares no name here"
    named = {**other, "schema.registry.ssl.endpoint.identification.algorithm": "https"}
    assert ends(await checked(world, named)) == (100, [("KD1002", "error")])
    server.close()


async def test_no_proxy_of_the_environment_is_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    await serve(world, PORT, {"/": (200, ROOT), "/health": (200, {})})
    assert ends(await checked(world, None, URL)) == (0, [])


async def test_the_deadline_ends_it(world: World) -> None:
    await raw(world, peers.silent)
    asked = settings(endpoint(), http=[URL], timeout=2.0, answer_timeout=9.0, deadline=0.6)
    report = await walk(asked, world.net, lambda hop, said: None)
    step = report.hops[-1]
    assert (step.hop, step.status, step.skipped_because) == (
        "companions",
        "skipped",
        "the deadline passed",
    )


async def test_an_error_of_the_walk_comes_first(world: World) -> None:
    world.closed(ADDRESS, PORT)
    asked = settings(f"{HOST}:{PORT}", http=[URL], timeout=1.0, answer_timeout=1.0)
    report = await walk(asked, world.net, lambda hop, said: None)
    assert (report.exit_code, report.failing_hop) == (10, "bootstrap")
    assert "KD1001" in [finding.code for finding in report.findings]


def test_from_another_place_nothing_is_asked() -> None:
    asked = settings(endpoint(), http=[URL])
    with pytest.raises(UsageError, match="--http is asked from this machine alone"):
        refuse_unsupported(asked, parse_all(["ssh://host"]))
    refuse_unsupported(asked, parse_all(["local"]))

"""Real proxies, and kafka-python as the client that can use one: each address has one verdict."""

from __future__ import annotations

import os
import socket
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from kafka import KafkaConsumer
from kafka.errors import KafkaError

from kdiag.api import check
from kdiag.demo.broker import FakeNode
from kdiag.report.model import Report
from tests.lab import needs
from tests.lab.processes import end, spawn
from tests.running import Brokers

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("proxies")]

PATIENCE = 20.0  # seconds until a proxy listens
GIVE_UP = 1500  # milliseconds that kafka-python has: on loopback it takes a few

DANTE = """
logoutput: {folder}/log
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
socksmethod: none
timeout.connect: 2
client pass {{ from: 127.0.0.1/32 to: 0.0.0.0/0 }}
socks block {{ from: 0.0.0.0/0 to: 0.0.0.0/0 port = {barred} }}
socks pass {{ from: 0.0.0.0/0 to: 127.0.0.0/8 }}
"""
SQUID = """
http_port 127.0.0.1:{port}
pid_filename none
access_log none
cache_log /dev/null
cache deny all
acl barred port {barred}
acl here dst 127.0.0.0/8
http_access deny barred
http_access allow here
http_access deny all
"""


class Cluster(NamedTuple):
    """Where brokers 1 and 2 listen, broker 3, to which the proxies do not connect, and 4, which
    advertises a closed port."""

    bootstrap: str
    barred: int
    brokers: Brokers


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    brokers = Brokers()
    brokers.start()
    brokers.three()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nodes = brokers.cluster.nodes
        nodes.append(FakeNode(4, "127.0.0.1", closed.getsockname()[1]))
        yield Cluster(brokers.bootstrap, nodes[2].port, brokers)
    brokers.stop()


@contextmanager
def running(command: Callable[[int], Sequence[str]]) -> Iterator[int]:
    """A proxy as a process of its own, until it listens; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = spawn(command(port))
    try:
        until = time.monotonic() + PATIENCE
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                break
            assert process.poll() is None and time.monotonic() < until, "the proxy does not start"
            time.sleep(0.05)
        yield port
    finally:
        end(process)


@contextmanager
def microsocks(cluster: Cluster, folder: Path) -> Iterator[str]:
    """It has no rules, and wants a login."""
    needs.require("microsocks")
    login = ("-u", "bob", "-P", "secret@proxy")
    with running(lambda port: ("microsocks", "-i", "127.0.0.1", "-p", str(port), *login)) as port:
        yield f"socks5h://bob:secret@proxy@127.0.0.1:{port}"


@contextmanager
def dante(cluster: Cluster, folder: Path) -> Iterator[str]:
    needs.require("danted")

    def command(port: int) -> Sequence[str]:
        text = DANTE.format(folder=folder, port=port, barred=cluster.barred)
        (folder / "conf").write_text(text, "utf-8")
        return "danted", "-f", str(folder / "conf"), "-p", str(folder / "pid"), "-N", "1"

    with running(command) as port:
        yield f"socks5h://127.0.0.1:{port}"


@contextmanager
def squid(cluster: Cluster, folder: Path) -> Iterator[str]:
    needs.require("squid")
    service = f"kdiag{os.getpid()}"  # of its shared memory, which it leaves behind when killed

    def command(port: int) -> Sequence[str]:
        text = SQUID.format(port=port, barred=cluster.barred)
        (folder / "conf").write_text(text, "utf-8")
        return "squid", "-n", service, "-N", "-f", str(folder / "conf")

    try:
        with running(command) as port:
            yield f"http://127.0.0.1:{port}"
    finally:
        for left in Path("/dev/shm").glob(f"{service}-*"):
            left.unlink()


def connects(server: str, url: str) -> bool:
    """Whether kafka-python connects to this address through the proxy."""
    try:
        client = KafkaConsumer(
            bootstrap_servers=server,
            proxy_url=url,
            bootstrap_timeout_ms=GIVE_UP,
            reconnect_backoff_ms=50,
        )
    except KafkaError:
        return False
    client.close()
    return True


def verdicts(report: Report, url: str) -> dict[str, tuple[bool, bool]]:
    """By advertised address, whether kdiag and kafka-python connect there."""
    assert report.cluster
    brokers = {broker.advertised: broker for broker in report.cluster.brokers}
    with ThreadPoolExecutor() as pool:
        by_client = pool.map(lambda server: connects(server, url), brokers)
        works = (broker.layers["kafka"] == "ok" for broker in brokers.values())
        return dict(zip(brokers, zip(works, by_client, strict=True), strict=True))


@pytest.mark.parametrize(
    ("proxy", "barred", "codes"),
    [
        (microsocks, "ok", ["KD305"]),
        (dante, "proxy_denied", ["KD129", "KD305"]),
        (squid, "proxy_denied", ["KD129", "KD305"]),
    ],
)
def test_kafka_python_fails_where_kdiag_says_so(
    proxy: Callable[[Cluster, Path], AbstractContextManager[str]],
    barred: str,
    codes: list[str],
    cluster: Cluster,
    tmp_path: Path,
) -> None:
    with proxy(cluster, tmp_path) as url:
        report = check(cluster.bootstrap, proxy=url, timeout=5.0)
        found = verdicts(report, url)
    assert [works for works, _ in found.values()] == [works for _, works in found.values()], found
    assert report.cluster
    layers = [broker.layers for broker in report.cluster.brokers]
    assert [each["proxy"] for each in layers] == ["ok", "ok", barred, "ok"]
    assert layers[3]["tcp"] == "refused"
    assert (
        sorted(finding.code for finding in report.findings if not finding.consequence_of) == codes
    )


def test_nor_where_the_proxy_does_not_say_why(cluster: Cluster) -> None:
    """KD130: a SOCKS5 proxy answers "general failure"."""

    async def fails(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"\5\0")
        await reader.read(4096)
        writer.write(b"\5\1\0\1\0\0\0\0\0\0")
        writer.close()

    url = f"socks5h://127.0.0.1:{cluster.brokers.serve(fails)}"
    assert check(cluster.bootstrap, proxy=url, timeout=5.0).root_cause == "KD130"
    assert not connects(cluster.bootstrap, url)

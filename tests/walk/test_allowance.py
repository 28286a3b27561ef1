"""How much one walk asks of the network, counted where it arrives; and whose words it repeats."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest

from kdiag.address import is_local, is_metadata_service
from kdiag.api import walk
from kdiag.config.settings import Settings, settings
from kdiag.demo.broker import FakeBroker, FakeNode
from kdiag.demo.world import PORT, PUBLIC, World, WorldDialer, endpoint
from kdiag.network.dialer import TcpConnection
from kdiag.network.fingerprint import HTTP_PROBE, ZOOKEEPER_PROBE
from kdiag.report.model import Report
from kdiag.walk.allowance import MAX_ADDRESSES, MAX_FOLLOW_UPS
from kdiag.walk.listeners import MOST_CANDIDATES
from tests import walks

BANNER = b"HTTP/1.1 401 Unauthorized\r\nServer: inner-secret-name\r\n\r\ninner-secret-page"
FOLLOW_UPS = (HTTP_PROBE[:4], ZOOKEEPER_PROBE)


@dataclass
class Asked:
    """Peers that are no brokers: how often each was dialled, and what it was asked first."""

    dialled: Counter[str] = field(default_factory=Counter)
    first: Counter[bytes] = field(default_factory=Counter)
    answer: bytes = BANNER

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.read(4)
        self.first[said] += 1
        if said in FOLLOW_UPS:
            writer.write(self.answer)
        else:
            await reader.read()
        writer.close()

    @property
    def in_other_languages(self) -> int:
        return sum(self.first[start] for start in FOLLOW_UPS)


class Counting(WorldDialer):
    """Counts what is dialled; every address leads to one server, the bootstrap server aside."""

    asked: Asked
    port: int

    async def connect(self, address: str, port: int, *, again: bool = False) -> TcpConnection:
        self.asked.dialled[address] += 1
        if (address, port) not in self._nat:
            self._nat[address, port] = self.port
        return await super().connect(address, port, again=again)


async def _walked(
    advertised: list[tuple[str, int]],
    names: dict[str, list[str]] | None = None,
    *,
    bootstrap: str = endpoint(),
    verbose: bool = False,
    closed: tuple[tuple[str, int], ...] = (),
) -> tuple[Report, Asked]:
    """A walk to a broker that advertises this, where whoever is dialled is no broker."""
    world, asked = World(), Asked()
    world.names.update(names or {})
    host, _, port = bootstrap.rpartition(":")
    server = await asyncio.start_server(asked.serve, "127.0.0.1", 0)
    for node, there in enumerate(advertised, start=1):
        world.cluster.nodes.append(FakeNode(node, *there))
    for there in closed:
        world.closed(*there)
    for address in (names or {}).get(host, [host]):
        await world.broker(address, int(port), FakeBroker(world.cluster, 1))

    def net(given: Settings) -> Counting:
        made = Counting(world, given)
        made.asked, made.port = asked, server.sockets[0].getsockname()[1]
        return made

    given = settings(bootstrap, timeout=1.0, answer_timeout=1.0, deadline=60.0, verbose=verbose)
    try:
        return await walk(given, net, lambda hop, summary: None), asked
    finally:
        server.close()
        await world.end()


async def test_a_walk_dials_a_number_of_addresses_and_then_one_of_each_broker() -> None:
    brokers, each = 60, 16
    names = {f"b{n}.example.com": [f"203.0.{n}.{m}" for m in range(each)] for n in range(brokers)}
    report, asked = await _walked([(name, PORT) for name in names], names)
    dialled = sum(len(server.addresses) for server in report.bootstrap)
    assert report.cluster
    dialled += sum(len(broker.addresses) for broker in report.cluster.brokers)
    assert all(broker.addresses for broker in report.cluster.brokers)
    assert dialled == MAX_ADDRESSES + brokers - (MAX_ADDRESSES - 1) // each - 1
    # A connection for each, one in TLS where it is silent, and the few that ask who that is.
    assert asked.dialled.total() <= 2 * dialled + 2 * MAX_FOLLOW_UPS
    (note,) = report.notes
    assert f"{1 + brokers * each - dialled} more were not tried" in note


async def test_many_candidates_are_dialled_in_total_and_not_for_each_broker() -> None:
    many = 300
    report, asked = await _walked([("10.0.0.1", 1000 + n) for n in range(many)])
    assert asked.dialled[PUBLIC[0]] <= 2 * MAX_ADDRESSES + 20
    assert [note for note in report.notes if f"{many - MOST_CANDIDATES} such addresses" in note]


async def test_few_strangers_are_asked_in_other_languages() -> None:
    _, asked = await _walked([(f"203.0.113.{n}", PORT) for n in range(1, 41)])
    assert 0 < asked.in_other_languages <= 2 * MAX_FOLLOW_UPS


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "fe80::a9fe:a9fe", "fe80::1%eth0", "fd00:ec2::254"),
        *("100.100.100.200", "168.63.129.16", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
        *("2002:a9fe:a9fe::1", "::a9fe:a9fe", "fd20:ce::254", "192.0.0.192"),
    ],
)
def test_where_a_cloud_tells_its_secrets(address: str) -> None:
    assert is_metadata_service(address)


@pytest.mark.parametrize("address", ["10.0.1.11", "100.100.100.201", "fd00:ec3::254", "::1", "::"])
def test_where_none_does(address: str) -> None:
    assert not is_metadata_service(address)


@pytest.mark.parametrize("address", ["127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"])
def test_this_machine_itself(address: str) -> None:
    assert is_local(address)
    assert not is_local("10.0.1.11")


INNER = {
    "metadata": ("169.254.169.254", {}),
    "metadata by name": ("m.example.com", {"m.example.com": ["169.254.169.254"]}),
    # A resolver reads these as inet_aton does.
    "metadata as a number": ("2852039166", {"2852039166": ["169.254.169.254"]}),
    "metadata in hex": ("0xa9fea9fe", {"0xa9fea9fe": ["169.254.169.254"]}),
    "metadata in IPv6": ("::ffff:169.254.169.254", {}),
    "loopback": ("127.0.0.1", {}),
    "loopback by name": ("l.example.com", {"l.example.com": ["127.0.0.1"]}),
    "loopback as zero": ("z.example.com", {"z.example.com": ["0.0.0.0"]}),
    "loopback short": ("127.1", {"127.1": ["127.0.0.1"]}),
}


@pytest.mark.parametrize("where", INNER)
async def test_what_is_not_asked_in_other_languages(where: str) -> None:
    host, names = INNER[where]
    # Where it could be meant to be instead, at the bootstrap server's own host, nobody answers.
    report, asked = await _walked([(host, 80)], names, closed=((PUBLIC[0], 80),))
    assert set(asked.dialled) > {PUBLIC[0]}, "it is dialled, as a client would"
    assert asked.in_other_languages == 0
    assert "inner-secret" not in walks.shown(report, "json")


async def test_loopback_is_asked_where_the_bootstrap_server_is_there_too() -> None:
    report, asked = await _walked([("127.0.0.1", 6379)], bootstrap="127.0.0.1:9092")
    assert asked.in_other_languages == 2
    assert "inner-secret-name" in walks.shown(report, "json"), "the user named this host"


@pytest.mark.parametrize("verbose", [False, True])
async def test_words_of_a_host_that_the_user_did_not_name(verbose: bool) -> None:
    report, asked = await _walked([("203.0.113.80", 80)], verbose=verbose)
    assert asked.in_other_languages > 0
    assert report.root_cause == "KD108"
    told = walks.shown(report, "json")
    assert "this is an HTTP server" in told
    assert ("inner-secret-name" in told) is verbose
    assert ("--verbose" in told) is not verbose


async def test_words_of_hosts_that_the_user_did_name() -> None:
    for advertised in (PUBLIC[0], "boot.example.com"):
        report, _ = await _walked(
            [(advertised, 80)],
            {"boot.example.com": [PUBLIC[0]]},
            bootstrap=f"boot.example.com:{PORT}",
        )
        assert "inner-secret-name" in walks.shown(report, "json")

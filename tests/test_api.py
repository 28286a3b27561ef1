"""The walk as a whole: what it costs, how it ends early, and what its callers get."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import socket
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import kdiag
from kdiag.api import walk
from kdiag.config.options import CheckOptions, Options
from kdiag.config.settings import Settings, settings
from kdiag.demo.broker import SILENCE, FakeBroker, FakeNode
from kdiag.demo.world import PORT, PRIVATE, PUBLIC, World, WorldDialer, endpoint
from kdiag.kafka.messages import PRODUCE, Request, encode_request
from kdiag.network.dialer import TcpConnection
from kdiag.report.model import Report
from kdiag.walk.areas import AREA_IDS, AreaId, Progress
from tests import peers
from tests.running import ENOUGH, Brokers

SEGMENT = 1448  # bytes of a packet, where the MTU is 1500
HOP_IDS = ["bootstrap", "metadata", "listeners", "produce"]


async def walked(world: World, bootstrap: str = endpoint(), **asked: Any) -> Report:
    return await walk(settings(bootstrap, **asked), world.net, lambda hop, said: None)


def statuses(report: Report) -> list[str]:
    return [step.status for step in report.hops]


async def many(world: World, count: int) -> list[FakeBroker]:
    """That many brokers, each at an address of its own, and all of them healthy."""
    for node in range(1, count + 1):
        address = f"3.13.{node // 250}.{node % 250 + 1}"
        world.cluster.nodes.append(FakeNode(node, address, PORT))
        world.brokers[node] = await world.broker(address, PORT, FakeBroker(world.cluster, node))
    return list(world.brokers.values())


# What it costs.


def enforce(brokers: list[FakeBroker], asking: int, identifying: int) -> None:
    """Brokers that read whole flights: so many requests before the first of them is answered.

    Whoever waits for an answer in between never gets one. The connection to the first broker is the
    bootstrap's, where ApiVersions is answered already; all others are to advertised addresses.
    """
    for broker in brokers:
        broker.flights = lambda connection: (identifying,)
    brokers[0].flights = lambda connection: (asking, identifying - 1)


@pytest.mark.parametrize("count", [1, 3, 300])
async def test_a_healthy_plaintext_walk_takes_four_round_trips(world: World, count: int) -> None:
    """Connect, ask; connect, and all else in one flight: and everything of one kind at once."""
    brokers = await many(world, count)
    enforce(brokers, asking=2, identifying=5)
    report = await walked(world, endpoint(world.cluster.nodes[0].host), timeout=20.0)
    assert report.exit_code == 0, report
    # On a busy machine 300 brokers in one thread may answer late.
    assert {finding.code for finding in report.findings} <= {"KD124"}
    assert [broker.connections for broker in brokers] == [1] * count
    assert [len(broker.requests) for broker in brokers] == [6] + [5] * (count - 1)


async def test_requests_have_the_client_id_but_what_a_quota_of_bytes_counts(world: World) -> None:
    await world.three()
    await walked(world, properties={"client.id": "orders-app"})
    for broker in world.brokers.values():
        probes = [request.api is PRODUCE for request in broker.requests]
        assert any(probes)
        ids = [request.client_id == "kdiag" for request in broker.requests]
        assert ids == probes, broker.requests


async def test_the_last_flight_fits_the_first_window_of_tcp(world: World) -> None:
    """Ten packets: what is small shares one, and the large request, which no packet holds, not even
    a jumbo frame of 9000 bytes, takes the others."""
    await many(world, 3)
    report = await walked(world, endpoint(world.cluster.nodes[0].host))
    assert report.exit_code == 0
    for broker in world.brokers.values():
        asked = broker.requests[-5:]
        sizes = [len(encode_request(r.api, r.version, 1, r.body)) for r in asked]
        assert max(sizes) > 9000
        assert sum(sizes) - max(sizes) < 1000
        assert 1 + math.ceil(max(sizes) / SEGMENT) <= 10


@pytest.mark.parametrize(
    ("flights", "exit_code"), [((3, 5), 10), ((2, 6), 30)], ids=["asking", "the rest"]
)
async def test_one_more_round_trip_would_be_noticed(
    world: World, flights: tuple[int, int], exit_code: int
) -> None:
    """What the test above rests on: a flight that is shorter than the broker's gets no answer."""
    enforce(await many(world, 3), *flights)
    bootstrap = endpoint(world.cluster.nodes[0].host)
    report = await walked(world, bootstrap, timeout=1.0, answer_timeout=1.0)
    assert report.exit_code == exit_code


class Counting(WorldDialer):
    """A network that counts the dials to each private address, and how many were under way at once.

    None of them comes to an end before `together` are under way: a walk that waits for some before
    it dials the others runs into its deadline.
    """

    together = 1

    def __init__(self, world: World, asked: Settings) -> None:
        super().__init__(world, asked)
        self.capacity = 960  # what a limit of 1024 descriptors gives
        self.dials: dict[str, int] = {}
        self.under_way = self.most = 0
        self._all = asyncio.Event()

    async def _connect(self, sock: socket.socket, address: str, port: int) -> TcpConnection:
        if not address.startswith("10.0."):
            return await super()._connect(sock, address, port)
        self.dials[address] = self.dials.get(address, 0) + 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way == self.together:
            self._all.set()
        try:
            await self._all.wait()
            return await super()._connect(sock, address, port)
        finally:
            self.under_way -= 1


async def counted(
    world: World, bootstrap: str, together: int, capacity: int = 960
) -> tuple[Report, Counting]:
    nets: list[Counting] = []

    def net(asked: Settings) -> Counting:
        nets.append(Counting(world, asked))
        nets[0].together, nets[0].capacity = together, capacity
        return nets[0]

    asked = settings(bootstrap, timeout=1.0, answer_timeout=1.0, deadline=ENOUGH / 2)
    return await walk(asked, net, lambda hop, said: None), nets[0]


async def silent(world: World, count: int) -> None:
    """A cluster of so many brokers, none of which can be reached."""
    for node in range(1, count + 1):
        address = f"10.0.{node // 250}.{node % 250 + 1}"
        world.cluster.nodes.append(FakeNode(node, address, PORT))
    # Nobody can be found in its stead either: hop 1 is answered by one that is not of the list.
    await world.broker(PUBLIC[0], PORT, FakeBroker(world.cluster, 999))


@pytest.mark.parametrize("count", [3, 300])
async def test_silent_brokers_cost_one_timeout_however_many(world: World, count: int) -> None:
    """Every one is dialled once, and all of them before the first is given up."""
    await silent(world, count)
    report, net = await counted(world, endpoint(), together=count)
    assert (report.exit_code, report.root_cause) == (30, "KD301")
    assert len(net.dials) == count
    assert set(net.dials.values()) == {1}
    assert net.most == count


async def test_a_limit_on_descriptors_makes_it_several_timeouts(world: World) -> None:
    """What the test above rests on: it does notice when some are dialled after others."""
    await silent(world, 30)
    report, net = await counted(world, endpoint(), together=10, capacity=20)
    assert report.root_cause == "KD301"
    assert len(net.dials) == 30
    assert net.most <= 20


async def test_a_hundred_bootstrap_servers_that_are_silent_cost_one_timeout(world: World) -> None:
    servers = ",".join(f"10.0.1.{n + 1}:9092" for n in range(100))
    report, net = await counted(world, servers, together=100)
    assert (report.exit_code, report.root_cause) == (10, "KD104")
    assert net.most == 100


# The deadline.


def hang(request: Request) -> object:
    return SILENCE if request.api is PRODUCE else None


async def test_the_deadline_ends_hop_1(world: World) -> None:
    await world.server(PUBLIC[0], PORT, peers.silent)
    report = await walked(world, timeout=30.0, deadline=0.3)
    assert (report.exit_code, report.root_cause) == (10, "KD002")
    assert report.failing_hop == "bootstrap"
    assert statuses(report) == ["fail", "skipped", "skipped", "skipped"]
    assert [s.skipped_because for s in report.hops][1:] == ["bootstrap did not end"] * 3
    assert report.elapsed_ms < 15_000


async def test_the_deadline_ends_hop_3(world: World) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    report = await walked(world, timeout=30.0, deadline=1.0)
    assert (report.exit_code, report.root_cause) == (30, "KD002")
    assert statuses(report) == ["pass", "pass", "fail", "skipped"]
    assert report.cluster
    assert len(report.cluster.brokers) == 3, "what is known is told"


async def test_the_deadline_ends_hop_4(world: World) -> None:
    await world.three()
    world.brokers[2].control = hang
    report = await walked(world, timeout=30.0, deadline=1.0)
    assert (report.exit_code, report.root_cause) == (40, "KD002")
    assert statuses(report) == ["pass", "pass", "pass", "fail"]


async def test_a_deadline_that_is_met_is_no_finding(world: World) -> None:
    await world.three()
    report = await walked(world, timeout=30.0, deadline=30.0)
    assert report.exit_code == 0
    assert report.findings == []


# A bug of kdiag's own.


class Broken(WorldDialer):
    """A network that raises what it never should, for one address."""

    at = ""

    async def connect(self, address: str, port: int, *, again: bool = False) -> TcpConnection:
        if address == self.at:
            raise RuntimeError("what nobody expected \x1b[31m")
        return await super().connect(address, port, again=again)


async def broken(world: World, at: str, bootstrap: str = endpoint()) -> Report:
    def net(asked: Settings) -> Broken:
        made = Broken(world, asked)
        made.at = at
        return made

    return await walk(settings(bootstrap, timeout=5.0), net, lambda hop, said: None)


async def test_an_exception_in_hop_3_is_our_own_and_the_walk_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.three()
    with caplog.at_level(logging.WARNING):
        report = await broken(world, at=PUBLIC[1])
    assert (report.exit_code, report.root_cause) == (1, "KD001")
    assert report.verdict == "fail"
    assert statuses(report) == ["pass", "pass", "fail", "skipped"]
    assert report.cluster
    assert report.cause
    assert report.cause.subjects == ["hop listeners"]
    (line,) = report.cause.evidence
    assert line.startswith("RuntimeError at test_api.py:")
    assert line.endswith("what nobody expected \\x1b[31m")
    assert not caplog.records, "what asyncio logs of exceptions that nobody fetched"


async def test_an_exception_in_hop_1_leaves_nothing_to_walk(world: World) -> None:
    await world.three()
    report = await broken(world, at=PUBLIC[0])
    assert (report.exit_code, report.root_cause) == (1, "KD001")
    assert statuses(report) == ["fail", "skipped", "skipped", "skipped"]
    assert report.cluster is None


async def test_a_real_finding_of_an_earlier_hop_does_not_hide_our_own_bug(world: World) -> None:
    """Exit 1 is for KD001 alone, and a walk that failed before it says so."""
    await world.three()
    world.closed(PUBLIC[2], PORT)
    report = await broken(world, PUBLIC[1], f"{endpoint()},{endpoint(PUBLIC[2])}")
    assert report.exit_code == 1
    assert "KD103" in {finding.code for finding in report.findings}


# Being interrupted, in the same process.


async def test_a_walk_that_is_cancelled_tells_what_it_knows(world: World) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    begun = asyncio.Event()

    def observe(hop: str, said: str | None) -> None:
        if hop == "listeners" and said is None:
            begun.set()

    asked = settings(endpoint(), timeout=30.0, answer_timeout=30.0)
    walking = asyncio.create_task(walk(asked, world.net, observe))
    await asyncio.wait_for(begun.wait(), ENOUGH)
    walking.cancel()
    report = await walking
    assert (report.exit_code, report.interrupted) == (130, True)
    assert statuses(report) == ["pass", "pass", "skipped", "skipped"]
    assert {s.skipped_because for s in report.hops[2:]} == {"interrupted"}
    assert report.cluster
    assert str(report) == "interrupted"


async def test_the_observer_hears_every_hop_begin_and_end(world: World) -> None:
    await world.three()
    heard: list[tuple[str, str | None]] = []
    await walk(settings(endpoint()), world.net, lambda hop, text: heard.append((hop, text)))
    ends = [(hop, text is None) for hop, text in heard if not isinstance(text, Progress)]
    assert ends == [(hop, begins) for hop in HOP_IDS for begins in (True, False)]
    for hop in ("listeners", "produce"):
        counted = [text for name, text in heard if name == hop and isinstance(text, Progress)]
        assert counted == [f"{n} of 3 brokers answered" for n in (1, 2, 3)]


async def test_nothing_is_left_open(world: World) -> None:
    """Neither connections nor tasks: whoever walks from a long-lived process gets all back."""
    await world.three((PUBLIC[0], PORT), (PUBLIC[1], PORT), (PRIVATE[2], PORT))
    world.brokers[2].control = hang
    before = asyncio.all_tasks()
    await walked(world, timeout=1.0, answer_timeout=1.0)
    for _ in range(20):
        left = {task for task in asyncio.all_tasks() - before if "_serve" not in repr(task)}
        if not left:
            break
        await asyncio.sleep(0.05)
    assert not left


# From Python.


def test_check_gives_a_report(brokers: Brokers) -> None:
    report = kdiag.check(brokers.three().bootstrap, timeout=20.0)
    assert isinstance(report, kdiag.Report)
    assert report.ok
    assert report.target == [brokers.bootstrap]
    assert str(report) == "pass: the path works"
    assert [step.hop for step in report.hops] == HOP_IDS


def test_check_takes_what_the_command_line_takes(brokers: Brokers) -> None:
    brokers.three().cluster.topics["orders"] = [1, 2, 3]
    report = kdiag.check(
        brokers.bootstrap,
        topic="orders",
        timeout=20.0,
        deadline=40.0,
        properties={"client.id": "test-suite", "broker.address.family": "v4"},
        mapped=["10.0.1.11=127.0.0.1"],
        fail_on="warning",
    )
    assert report.ok, report.findings
    assert len(brokers.cluster.records) == 3


def test_a_failing_check_is_a_report_and_no_exception(brokers: Brokers) -> None:
    port = brokers.serve(peers.says(peers.HTTP))
    report = kdiag.check(f"127.0.0.1:{port}", timeout=20.0)
    assert not report.ok
    assert (report.exit_code, report.root_cause) == (10, "KD108")
    assert report.cause
    assert report.cause.severity is kdiag.Severity.ERROR
    assert isinstance(report.cause, kdiag.Finding)
    assert str(report).startswith("fail at bootstrap: KD108 ")


@pytest.mark.parametrize(
    "given",
    [
        {"bootstrap": ""},
        {"bootstrap": "kafka://b:9092"},
        {"bootstrap": "b:0"},
        {"bootstrap": "b", "timeout": 0.0},
        {"bootstrap": "b", "deadline": -1.0},
        {"bootstrap": "b", "topic": "a b"},
        {"bootstrap": "b", "properties": {"bootstrap.server": "b"}},
        {"bootstrap": "b", "mapped": ["b"]},
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(given: Mapping[str, Any]) -> None:
    with pytest.raises(kdiag.UsageError) as caught:
        kdiag.check(**given)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) > 10


class Interrupting(tuple[Any, ...]):
    """Settings in which Ctrl-C comes when they are judged: it cancels the task of the walk."""

    def __bool__(self) -> bool:
        task = asyncio.current_task()
        assert task
        task.cancel()
        return False


async def test_ctrl_c_while_the_walk_is_judged_loses_nothing(world: World) -> None:
    await many(world, 3)
    asked = settings(endpoint(world.cluster.nodes[0].host))
    asked = asked._replace(options=asked.options._replace(expect=Interrupting()))
    report = await asyncio.create_task(walk(asked, world.net, lambda hop, said: None))
    assert statuses(report) == ["pass"] * 4


def test_the_public_names_are_there_and_typed() -> None:
    assert dir(kdiag) == sorted(kdiag.__all__)
    for name in kdiag.__all__:
        assert getattr(kdiag, name) is not None
    assert typing.get_type_hints(kdiag.check)["return"] is kdiag.Report
    options = typing.get_type_hints(CheckOptions)
    assert set(options) > {"topic", "timeout", "deadline", "properties", "mapped"}
    assert set(options) <= {*Options._fields, "properties"}
    assert (Path(kdiag.__file__).parent / "py.typed").exists()
    assert typing.get_args(AreaId) == AREA_IDS


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_this"):
        kdiag.nothing_like_this  # type: ignore[attr-defined]  # noqa: B018


async def test_it_can_be_awaited_where_a_loop_runs() -> None:
    report = await kdiag.check_async("127.0.0.1:1", timeout=1.0)
    assert (report.exit_code, report.root_cause) == (10, "KD103")
    assert [type(step) for step in report.hops] == [kdiag.HopResult] * 4


def test_a_report_gives_itself_in_any_format() -> None:
    report = kdiag.check("127.0.0.1:1", timeout=1.0)
    assert json.loads(report.to_json())["root_cause"] == "KD103"
    assert "KD103" in report.render("html")
    with pytest.raises(KeyError):
        report.render("pdf")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"timeout": 0.0}, "timeout=0: write seconds between"),
        ({"topic": "a b"}, "topic='a b': a topic name has"),
        ({"properties": {"acks.": "1"}}, "properties=acks.: no Kafka client has"),
        ({"mapped": ["b"]}, "mapped 'b': write ADVERTISED=CANDIDATE"),
        ({"aws": True, "aws_region": "x"}, "aws_region='x': write one region"),
        ({"aws_source": "0.0.0.0/0"}, "aws_source '0.0.0.0/0': that is every address"),
        ({"strimzi": "x"}, "strimzi='x': write NAMESPACE/NAME"),
        ({"expect": ["broker=3"]}, "expect broker: no such expectation"),
        ({"ignore": ["KD9999"]}, "ignore "),
    ],
    ids=str,
)
def test_an_error_names_the_argument_and_no_flag(given: Mapping[str, Any], text: str) -> None:
    with pytest.raises(kdiag.UsageError) as caught:
        kdiag.check("b:9092", **given)
    assert str(caught.value).startswith(text)
    assert "--" not in str(caught.value)


def test_what_python_hands_over_is_checked_as_what_is_typed() -> None:
    with pytest.raises(kdiag.UsageError, match=r'fail_on=.never.: write "error" or "warning"'):
        kdiag.check("127.0.0.1:1", fail_on="never")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'timeot'"):
        kdiag.check("127.0.0.1:1", timeot=1.0)  # type: ignore[call-arg]

"""Hop 3: every advertised address, who answers there, and where else the broker may be found."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from typing import Any

import pytest

from kdiag.config.settings import Endpoint
from kdiag.demo.broker import (
    BROKER_APIS,
    HANG_UP,
    SILENCE,
    Control,
    FakeBroker,
    FakeCluster,
    FakeNode,
)
from kdiag.demo.world import PORT, PRIVATE, PUBLIC, World, endpoint
from kdiag.kafka.messages import DESCRIBE_CONFIGS, METADATA
from kdiag.network.attempt import Failure
from kdiag.walk.facts.metadata import Broker as Listed
from kdiag.walk.facts.metadata import Metadata, Partition, Topic
from kdiag.walk.listeners import MAX_BROKERS, _chosen, usual_port
from tests import peers
from tests.collected import collect_facts

LISTENERS = "listeners"


def configs(**changed: Any) -> dict[str, Any]:
    result = {
        "error_code": 0,
        "error_message": None,
        "resource_type": 4,
        "resource_name": "2",
        "configs": [],
        **changed,
    }
    return {"throttle_time_ms": 0, "results": [result]}


def value(text: str | None) -> dict[str, Any]:
    entry = {"name": "node.id", "value": text, "read_only": True, "config_source": 4}
    return {**entry, "is_sensitive": False, "synonyms": []}


def tells(body: object) -> Control:
    return lambda request: body if request.api is DESCRIBE_CONFIGS else None


async def test_every_broker_is_who_the_metadata_says(world: World) -> None:
    await world.three()
    found = await collect_facts(world, until=LISTENERS)
    for node in (1, 2, 3):
        contact = found.listener(node).contact
        assert contact.usable
        assert contact.layers == {
            "dns": "ok", "tcp": "ok", "tls": None, "kafka": "ok", "sasl": None, "identity": "ok"
        }  # fmt: skip
        assert contact.best
        assert contact.best.answered_as == node
        assert contact.best.cluster_id == world.cluster.id
    assert found.listeners.summary == "3 of 3 advertised addresses reached, identity proven"
    assert 0 < found.listeners.elapsed < 5


async def test_each_broker_costs_one_connection(world: World) -> None:
    await world.three()
    await collect_facts(world, until=LISTENERS)
    assert [world.brokers[node].connections for node in (1, 2, 3)] == [1, 1, 1]


async def test_all_questions_of_a_broker_are_in_one_flight(world: World) -> None:
    await world.three()
    world.brokers[2].flights = lambda _: (5,)
    found = await collect_facts(world, until=LISTENERS)
    assert found.listener(2).contact.layers["identity"] == "ok"


async def test_swapped_addresses(world: World) -> None:
    await world.three(*((PUBLIC[index], PORT) for index in (0, 2, 1)))
    found = await collect_facts(world, until=LISTENERS)
    for node, other in ((2, 3), (3, 2)):
        failed = found.listener(node).contact.failed
        assert failed
        assert (failed.layer, failed.failure) == ("identity", Failure.WRONG_NODE)
        best = found.listener(node).contact.best
        assert best
        assert best.answered_as == other
    assert [x.broker.node for x in found.listeners.reached] == [1]


async def test_another_cluster(world: World) -> None:
    await world.three()
    other = FakeCluster("other", world.cluster.nodes)
    await world.broker(PUBLIC[2], PORT, FakeBroker(other, 3))
    found = await collect_facts(world, until=LISTENERS)
    contact = found.listener(3).contact
    assert contact.layers["identity"] == "wrong_cluster"
    assert contact.best
    assert contact.best.cluster_id == "other"


async def test_the_wrong_node_of_another_cluster_is_another_cluster(world: World) -> None:
    await world.three()
    await world.broker(PUBLIC[2], PORT, FakeBroker(FakeCluster("other", world.cluster.nodes), 7))
    contact = (await collect_facts(world, until=LISTENERS)).listener(3).contact
    assert contact.layers["identity"] == "wrong_cluster"


async def test_another_cluster_with_our_id_in_some_name_of_its_own(world: World) -> None:
    """A frame that mentions the id elsewhere counts as ours; it must at least be a whole string."""
    await world.three()
    other = FakeCluster("x" + world.cluster.id, world.cluster.nodes)
    await world.broker(PUBLIC[2], PORT, FakeBroker(other, 3))
    contact = (await collect_facts(world, until=LISTENERS)).listener(3).contact
    assert contact.layers["identity"] == "wrong_cluster"


DENIED = {
    "cluster": configs(error_code=31, error_message="Cluster authorization failed."),
    "topic": configs(error_code=29),
    "with other words": configs(error_code=31, error_message="Unexpected broker id, expected"),
}


@pytest.mark.parametrize("body", DENIED.values(), ids=DENIED.keys())
async def test_being_denied_the_proof_breaks_nothing(world: World, body: dict[str, Any]) -> None:
    await world.three()
    world.brokers[2].control = tells(body)
    found = await collect_facts(world)
    contact = found.listener(2).contact
    assert contact.layers["identity"] == "denied"
    assert contact.usable
    assert contact.best
    assert contact.best.answered_as is None
    reached = "3 of 3 advertised addresses reached, identity of 2 proven"
    assert found.listeners.summary.startswith(f"{reached} (")
    assert "AUTHORIZATION_FAILED" in found.listeners.summary
    assert found.produced(2).answered


UNPROVEN = {
    "empty": configs(),
    "no value": configs(configs=[value(None)]),
    "another error": configs(error_code=-1, error_message="Boom"),
    "no result": {"throttle_time_ms": 0, "results": []},
    "unreadable": b"\0\0\0\x06\0\0\0\x03\xff\xff",
    "silence": SILENCE,
}


async def test_a_peer_that_cannot_be_asked_for_its_identity(world: World) -> None:
    await world.three()
    apis = {key: versions for key, versions in BROKER_APIS.items() if key != DESCRIBE_CONFIGS.key}
    for broker in world.brokers.values():
        broker.apis = apis
    found = await collect_facts(world)
    assert [x.contact.layers["identity"] for x in found.listeners.listeners] == [None] * 3
    assert len(found.listeners.reached) == 3
    asked = [r.api for broker in world.brokers.values() for r in broker.requests]
    assert DESCRIBE_CONFIGS not in asked, "what a broker does not know is not asked"


@pytest.mark.parametrize("body", UNPROVEN.values(), ids=UNPROVEN.keys())
async def test_an_answer_that_proves_nothing_breaks_nothing(world: World, body: object) -> None:
    await world.three()
    world.brokers[2].control = tells(body)
    timeout = 0.5 if body is SILENCE else 5.0
    found = await collect_facts(world, until=LISTENERS, timeout=timeout)
    contact = found.listener(2).contact
    assert contact.usable
    assert contact.layers["identity"] in (None, "ok")
    assert contact.layers["kafka"] == "ok"


@pytest.mark.parametrize("text", ["-1", "2147483648", "99999999999", "true", "٣", ""])
async def test_a_value_that_is_no_node_id_is_not_taken_for_one(world: World, text: str) -> None:
    await world.three()
    world.brokers[2].control = tells(configs(configs=[value(text)]))
    contact = (await collect_facts(world, until=LISTENERS)).listener(2).contact
    assert contact.best
    assert contact.best.answered_as in (None, 2, 2147483648)


async def test_a_broker_that_answers_with_its_own_id_as_a_value(world: World) -> None:
    """What a proxy does that sends the question on to another broker."""
    await world.three()
    world.brokers[2].control = tells(configs(configs=[value("3")]))
    contact = (await collect_facts(world, until=LISTENERS)).listener(2).contact
    assert contact.layers["identity"] == "wrong_node"
    assert contact.best
    assert contact.best.answered_as == 3


@pytest.mark.parametrize(
    ("control", "failures"),
    [
        (lambda r: HANG_UP if r.api is METADATA else None, {"closed", "reset"}),
        (lambda r: SILENCE if r.api is METADATA else None, {"not_kafka", "silent"}),
        (
            lambda r: b"\0\0\0\x05\0\0\0\x63x" if r.api is METADATA else None,
            {"not_kafka"},
        ),
    ],
    ids=["hangs up", "skips it", "another request's"],
)
async def test_a_listener_that_does_not_answer_the_metadata_request(
    world: World, control: Control, failures: set[str]
) -> None:
    await world.three()
    world.brokers[2].control = control
    found = await collect_facts(world, until=LISTENERS, timeout=1.0)
    contact = found.listener(2).contact
    assert contact.layers["identity"] in failures
    assert not contact.usable


async def test_a_broker_that_knows_no_brokers_is_reached_all_the_same(world: World) -> None:
    """Started a second ago: it has a cluster id and has not heard of the others."""
    await world.three()
    alone = FakeCluster(world.cluster.id)
    await world.broker(PUBLIC[2], PORT, FakeBroker(alone, 3))
    contact = (await collect_facts(world, until=LISTENERS)).listener(3).contact
    assert contact.layers["identity"] == "ok"


@pytest.mark.parametrize(
    ("host", "port"),
    [("", PORT), ("b", 0), ("b", -1), ("b", 70000)],
)
async def test_what_nobody_can_dial_is_not_dialled(world: World, host: str, port: int) -> None:
    await world.three((PUBLIC[0], PORT), (PUBLIC[1], PORT), (host, port))
    world.names["b"] = [PUBLIC[2]]
    listener = (await collect_facts(world, until=LISTENERS)).listener(3)
    assert listener.contact.dns is None
    assert listener.contact.dials == ()
    assert not listener.contact.usable


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_what_means_this_machine_is_dialled(world: World, host: str) -> None:
    await world.three((PUBLIC[0], PORT), (PUBLIC[1], PORT), (host, PORT))
    found = await collect_facts(world, until=LISTENERS)
    assert found.listener(3).contact.layers["tcp"] == "refused"
    await world.broker(host, PORT, FakeBroker(world.cluster, 3))
    assert (await collect_facts(world, until=LISTENERS)).listener(3).contact.usable


async def test_a_name_with_several_addresses_works_by_one_of_them(world: World) -> None:
    await world.three((PUBLIC[0], PORT), (PUBLIC[1], PORT), ("b3.example.com", PORT))
    world.closed("3.10.139.250", PORT)
    world.names["b3.example.com"] = ["3.10.139.250", PUBLIC[1], PUBLIC[2]]
    found = await collect_facts(world)
    contact = found.listener(3).contact
    assert [dial.failed and dial.failed.failure for dial in contact.dials] == [
        Failure.REFUSED,
        Failure.WRONG_NODE,
        None,
    ]
    assert contact.usable
    assert found.produced(3).answered
    produced = [len([r for r in world.brokers[n].requests if r.api.key == 0]) for n in (2, 3)]
    assert produced == [4, 2], "they share the flight, to whomever an address leads"


# Candidates: where else a broker may answer.


async def test_no_candidates_while_nothing_looks_wrong(world: World) -> None:
    await world.three()
    found = await collect_facts(world, until=LISTENERS)
    assert [x.candidates for x in found.listeners.listeners] == [()] * 3


async def test_the_bootstrap_host_is_tried_where_the_address_is_suspect(world: World) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    found = await collect_facts(world, until=LISTENERS, timeout=1.0)
    for node in (1, 2, 3):
        listener = found.listener(node)
        assert listener.contact.layers["tcp"] == "timeout"
        assert [c.endpoint for c in listener.candidates] == [Endpoint(PUBLIC[0], PORT)]
    assert [bool(found.listener(node).proven) for node in (1, 2, 3)] == [True, False, False]
    second = found.listener(2).candidates[0]
    assert second.best
    assert second.best.answered_as == 1
    assert second.layers["identity"] == "wrong_node"


@pytest.mark.parametrize(
    "mapping",
    [
        f"{PRIVATE[1]}={PUBLIC[1]}",
        f"{PRIVATE[1]}:{PORT}={PUBLIC[1]}",
        f"{PRIVATE[1]}:{PORT}={PUBLIC[1]}:{PORT}",
        f"{PRIVATE[1]}={PUBLIC[1]}:{PORT}",
    ],
)
async def test_a_mapping_says_where_else_to_look(world: World, mapping: str) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    found = await collect_facts(world, until=LISTENERS, timeout=1.0, mapped=[mapping])
    assert found.listener(2).candidates[0].endpoint == Endpoint(PUBLIC[1], PORT)
    proven = found.listener(2).proven
    assert proven
    assert proven.endpoint == Endpoint(PUBLIC[1], PORT)
    assert [c.endpoint.host for c in found.listener(1).candidates] == [PUBLIC[0]]


async def test_a_mapping_to_other_ports(world: World) -> None:
    await world.three(*((address, 9092) for address in PRIVATE))
    for node in (1, 2, 3):
        await world.broker(PUBLIC[0], 32000 + node, FakeBroker(world.cluster, node))
    mapped = [
        f"{address}={PUBLIC[0]}:{32000 + node}" for node, address in enumerate(PRIVATE, start=1)
    ]
    found = await collect_facts(world, until=LISTENERS, timeout=1.0, mapped=mapped)
    proven = [found.listener(node).proven for node in (1, 2, 3)]
    assert [p and p.endpoint.port for p in proven] == [32001, 32002, 32003]


async def test_a_mapping_is_tried_even_where_the_address_works(world: World) -> None:
    await world.three()
    found = await collect_facts(world, until=LISTENERS, mapped=[f"{PUBLIC[1]}={PUBLIC[2]}"])
    listener = found.listener(2)
    assert listener.contact.usable
    assert [c.endpoint.host for c in listener.candidates] == [PUBLIC[2]]
    assert listener.proven is None


async def test_a_mapping_to_a_name_is_resolved(world: World) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    world.names["two.example.com"] = [PUBLIC[1]]
    mapped = [f"{PRIVATE[1]}=two.example.com", f"{PRIVATE[2]}=nowhere.example.com"]
    found = await collect_facts(world, until=LISTENERS, timeout=1.0, mapped=mapped)
    assert found.listener(2).proven
    lost = found.listener(3).candidates[0]
    assert lost.layers["dns"] == "not_found"


async def test_a_candidate_of_many_brokers_is_dialled_once_and_judged_for_each(
    world: World,
) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    servers = ",".join(endpoint(address) for address in PUBLIC)
    found = await collect_facts(world, servers, until=LISTENERS, timeout=1.0)
    assert [world.brokers[node].connections for node in (1, 2, 3)] == [2, 2, 2]  # hop 1 and this
    for node in (1, 2, 3):
        listener = found.listener(node)
        assert [c.endpoint.host for c in listener.candidates] == list(PUBLIC)
        assert [c.best.answered_as for c in listener.candidates if c.best] == [1, 2, 3]
        assert [c.usable for c in listener.candidates] == [node == n for n in (1, 2, 3)]
        assert listener.proven is listener.candidates[node - 1]
    wrong = found.listener(1).candidates[1].failed
    assert wrong
    assert (wrong.failure, wrong.detail) == (Failure.WRONG_NODE, "broker 2 answers")


async def test_candidates_are_few_however_many_mappings_there_are(world: World) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    for last in range(30):
        world.closed(f"3.12.0.{last + 1}", PORT)
    mapped = [f"{PRIVATE[1]}=3.12.0.{last + 1}" for last in range(30)]
    found = await collect_facts(world, until=LISTENERS, timeout=1.0, mapped=mapped)
    assert 1 < len(found.listener(2).candidates) <= 8


async def test_candidates_do_not_make_an_address_usable(world: World) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    found = await collect_facts(world, timeout=1.0)
    assert found.listener(1).proven
    assert not found.listener(1).contact.usable
    assert found.listeners.reached == ()


# Many brokers.


async def test_three_hundred_brokers(world: World) -> None:
    for node in range(1, 301):
        address = f"3.13.{node // 250}.{node % 250 + 1}"
        world.cluster.nodes.append(FakeNode(node, address, PORT))
        await world.broker(address, PORT, FakeBroker(world.cluster, node))
    bootstrap = endpoint(world.cluster.nodes[0].host)
    found = await collect_facts(world, bootstrap, timeout=30.0)
    assert [x.contact.best and x.contact.best.answered_as for x in found.listeners.listeners] == [
        *range(1, 301)
    ]
    assert all(produced.answered for produced in found.produce.produced)
    assert len(found.produce.produced) == 300


class Crowd:
    """Brokers that are counted: how many connections are open at once, over all of them."""

    def __init__(self) -> None:
        self.open, self.most = 0, 0

    def broker(self, cluster: FakeCluster, node: int) -> FakeBroker:
        crowd = self

        class Counted(FakeBroker):
            async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
                crowd.open += 1
                crowd.most = max(crowd.most, crowd.open)
                try:
                    await asyncio.sleep(0.005)
                    await super()._serve(reader, writer)
                finally:
                    crowd.open -= 1

        return Counted(cluster, node)


async def crowded(world: World, brokers: int) -> Crowd:
    crowd = Crowd()
    for node in range(1, brokers + 1):
        address = f"3.13.0.{node}"
        world.cluster.nodes.append(FakeNode(node, address, PORT))
        await world.broker(address, PORT, crowd.broker(world.cluster, node))
    return crowd


@pytest.mark.parametrize("capacity", [8, 16, 40])
async def test_no_more_connections_at_once_than_there_are_descriptors(
    world: World, capacity: int
) -> None:
    crowd = await crowded(world, 60)
    found = await collect_facts(world, endpoint("3.13.0.1"), timeout=30.0, capacity=capacity)
    assert len(found.listeners.reached) == 60
    assert sum(produced.answered for produced in found.produce.produced) == 60
    assert crowd.most <= capacity


@pytest.mark.parametrize("properties", [{}, {"security.protocol": "SSL"}], ids=["found", "tls"])
async def test_peers_that_need_a_second_look_wait_for_descriptors_in_turn(
    world: World, properties: dict[str, str]
) -> None:
    """All of them hold one connection and want another; none waits for one that waits for it."""
    names = [f"3.13.1.{n}" for n in range(1, 21)]
    for name in names:
        await world.server(name, PORT, peers.silent)
    servers = ",".join(map(endpoint, names))
    found = await collect_facts(
        world, servers, until="bootstrap", timeout=0.2, capacity=8, properties=properties
    )
    failures = {c.failed.failure for c in found.bootstrap.contacts if c.failed}
    assert failures == {Failure.SILENT}


async def test_with_descriptors_to_spare_all_are_dialled_at_once(world: World) -> None:
    """What the test above rests on, and why a dead cluster of any size costs one timeout."""
    crowd = await crowded(world, 60)
    await collect_facts(world, endpoint("3.13.0.1"), timeout=30.0, capacity=200)
    assert crowd.most >= 60


async def test_a_flood_after_a_valid_answer_is_not_kafka(world: World) -> None:
    await world.server("3.10.139.244", PORT, peers.floods(peers.versions(), b"\0" * 65536))
    found = await collect_facts(world, endpoint("3.10.139.244"), until="metadata", timeout=1.0)
    assert found.bootstrap.contacts[0].layers["kafka"] == "ok"
    assert found.metadata.answers[0].failure is Failure.NOT_KAFKA


def test_of_very_many_brokers_some_are_dialled_and_those_that_lead_the_topic_are() -> None:
    brokers = tuple(Listed(node, Endpoint("10.0.0.1", PORT)) for node in range(MAX_BROKERS + 5))
    topic = Topic("orders", "NONE", (Partition(0, MAX_BROKERS + 3, (), ()),))
    chosen = [broker.node for broker in _chosen(Metadata((), brokers, topic=topic))]
    assert chosen == [*range(MAX_BROKERS - 1), MAX_BROKERS + 3]
    few = brokers[:3]
    assert _chosen(Metadata((), few, topic=topic)) == few


@pytest.mark.parametrize(
    ("ports", "usual"),
    [
        ((9094, 9904, 9094), 9094),
        ((9094, 9094, 9094), None),
        ((9094, 9095, 9096), None),
        ((9094, 9904), None),
        ((9094, 9904, 9094, 9904), None),
        ((0, 9094, 0), None),
    ],
)
def test_the_port_that_all_but_one_have(ports: tuple[int, ...], usual: int | None) -> None:
    brokers = [Listed(node, Endpoint("b", port)) for node, port in enumerate(ports)]
    assert usual_port(brokers) == usual

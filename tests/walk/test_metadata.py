"""Hop 2: what the cluster tells of itself and of the topic, and what is made of half an answer."""

from __future__ import annotations

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
from kdiag.demo.world import CLUSTER_ID, PORT, PUBLIC, World, endpoint
from kdiag.kafka.messages import DESCRIBE_CONFIGS, END_TXN, METADATA, Request, encode_response
from kdiag.network.attempt import Failure
from kdiag.walk.facts.metadata import Partition, Topic
from tests.collected import collect_facts

TWO = f"{endpoint()},{endpoint(PUBLIC[1])}"


def listed(node: int, host: str = "b", port: int = PORT) -> dict[str, Any]:
    return {"node_id": node, "host": host, "port": port, "rack": None}


def answer(**changed: Any) -> dict[str, Any]:
    """A Metadata answer of one broker, changed."""
    return {
        "throttle_time_ms": 0,
        "brokers": [listed(1, PUBLIC[0])],
        "cluster_id": CLUSTER_ID,
        "controller_id": 1,
        "topics": [],
        **changed,
    }


def partition(index: int, **changed: Any) -> dict[str, Any]:
    return {
        "error_code": 0,
        "partition_index": index,
        "leader_id": 1,
        "leader_epoch": 0,
        "replica_nodes": [1, 2],
        "isr_nodes": [1],
        "offline_replicas": [],
        **changed,
    }


def tells(body: object) -> Control:
    return lambda request: body if request.api is METADATA else None


def cut(length: int) -> Control:
    """A Metadata answer of which only the first `length` bytes come, in a frame that says so."""

    def control(request: Request) -> bytes | None:
        if request.api is not METADATA:
            return None
        whole = encode_response(METADATA, request.version, request.correlation, answer())[4:]
        return length.to_bytes(4, "big") + whole[:length]

    return control


async def one(world: World, control: Control) -> None:
    await world.broker(PUBLIC[0], PORT, FakeBroker(world.cluster, 1, control))


async def test_the_cluster(world: World) -> None:
    await world.three()
    found = (await collect_facts(world)).metadata
    assert [(b.node, b.advertised) for b in found.brokers] == [
        (node, Endpoint(address, PORT)) for node, address in enumerate(PUBLIC, start=1)
    ]
    assert found.cluster_id == CLUSTER_ID
    assert found.controller is None
    assert found.topic is None
    assert [(a.endpoint, a.failure) for a in found.answers] == [(Endpoint(PUBLIC[0], PORT), None)]
    assert found.summary == f"3 brokers, cluster {CLUSTER_ID}"


async def test_the_controller_of_brokers_that_use_zookeeper(world: World) -> None:
    await world.three()
    world.brokers[1].apis = {**BROKER_APIS, 6: (0, 5)}  # UpdateMetadata
    found = (await collect_facts(world)).metadata
    assert found.controller == 3
    assert found.summary == f"3 brokers, cluster {CLUSTER_ID}, controller 3"


async def test_brokers_in_order(world: World) -> None:
    brokers = [listed(7), listed(-5), listed(2, "x", 0), listed(3, "")]
    await one(world, tells(answer(brokers=brokers)))
    found = (await collect_facts(world, until="metadata")).metadata
    assert [b.node for b in found.brokers] == [-5, 2, 3, 7]
    assert [b.advertised for b in found.brokers][1:3] == [Endpoint("x", 0), Endpoint("", PORT)]


async def test_a_node_that_is_listed_twice_counts_once(world: World) -> None:
    brokers = [listed(1, "first"), listed(2, "other"), listed(1, "second")]
    await one(world, tells(answer(brokers=brokers)))
    found = (await collect_facts(world, until="metadata")).metadata
    assert [(b.node, b.advertised.host) for b in found.brokers] == [(1, "first"), (2, "other")]
    assert [(b.node, b.advertised.host) for b in found.twice] == [(1, "second")]


async def test_no_cluster_id_and_no_controller(world: World) -> None:
    await one(world, tells(answer(cluster_id=None, controller_id=-1)))
    found = (await collect_facts(world, until="metadata")).metadata
    assert (found.cluster_id, found.controller) == (None, None)
    assert found.summary == "1 broker"


async def test_no_brokers(world: World) -> None:
    await one(world, tells(answer(brokers=[])))
    found = await collect_facts(world)
    assert found.metadata.brokers == ()
    assert found.metadata.answers[0].failure is None
    assert found.metadata.summary.startswith("0 brokers")
    assert len(found.facts.values) == 2, "there is nobody to dial"


async def test_three_hundred_brokers(world: World) -> None:
    brokers = [listed(node, f"broker-{node}.example.com") for node in range(300)]
    await one(world, tells(answer(brokers=brokers)))
    found = (await collect_facts(world, until="metadata")).metadata
    assert [b.node for b in found.brokers] == list(range(300))


async def test_a_topic_with_its_partitions(world: World) -> None:
    partitions = [
        partition(0),
        partition(1, leader_id=-1, isr_nodes=[], error_code=5),
        partition(2, leader_id=-1, error_code=72),
        partition(3, error_code=9999),
    ]
    topic = {"error_code": 0, "name": "orders", "is_internal": False, "partitions": partitions}
    await one(world, tells(answer(topics=[topic])))
    found = (await collect_facts(world, until="metadata", topic="orders")).metadata
    assert found.topic
    assert found.topic.partitions == (
        Partition(0, 1, (1, 2), (1,), "NONE"),
        Partition(1, -1, (1, 2), (), "LEADER_NOT_AVAILABLE"),
        Partition(2, -1, (1, 2), (1,), "LISTENER_NOT_FOUND"),
        Partition(3, 1, (1, 2), (1,), "error 9999"),
    )
    assert found.summary.endswith("topic orders: 4 partitions")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (3, "UNKNOWN_TOPIC_OR_PARTITION"),
        (29, "TOPIC_AUTHORIZATION_FAILED"),
        (17, "INVALID_TOPIC_EXCEPTION"),
        (-1, "UNKNOWN_SERVER_ERROR"),
    ],
)
async def test_a_topic_that_is_an_error(world: World, code: int, name: str) -> None:
    topic = {"error_code": code, "name": "orders", "is_internal": False, "partitions": []}
    await one(world, tells(answer(topics=[topic])))
    found = (await collect_facts(world, until="metadata", topic="orders")).metadata
    assert found.topic
    assert (found.topic.name, found.topic.error) == ("orders", name)
    assert found.summary.endswith(f"topic orders: {name}")


UNANSWERED = {
    "silence": (tells(SILENCE), Failure.SILENT, "no answer within"),
    "empty": (tells(b"\0\0\0\x04\0\0\0\x02"), Failure.NOT_KAFKA, "Metadata answer: "),
    "another request's": (
        tells(encode_response(METADATA, 7, 77, answer())),
        Failure.NOT_KAFKA,
        "answers request 77",
    ),
    "a negative length": (tells(b"\xff\xff\xff\xff"), Failure.NOT_KAFKA, "\\xff\\xff"),
    "2 GiB": (tells(b"\x7f\xff\xff\xffGET "), Failure.NOT_KAFKA, "GET"),
    "a million brokers": (
        tells(b"\0\0\0\x0c\0\0\0\x02\0\0\0\0\0\x0f\x42\x40"),
        Failure.NOT_KAFKA,
        "1000000 items announced",
    ),
    "TLS in the middle": (tells(b"\x15\x03\x03\0\x02\x02\x50"), Failure.TLS_REQUIRED, ""),
}


@pytest.mark.parametrize(("control", "failure", "said"), UNANSWERED.values(), ids=UNANSWERED.keys())
async def test_no_answer_that_can_be_read(
    world: World, control: Control, failure: Failure, said: str
) -> None:
    await one(world, control)
    timeout = 0.3 if failure is Failure.SILENT else 5.0
    found = await collect_facts(world, timeout=timeout)
    assert found.metadata.answers[0].failure is failure
    assert said in found.metadata.answers[0].detail
    assert found.metadata.brokers == ()
    assert found.metadata.summary == "no answer to the metadata request"
    assert len(found.facts.values) == 2


async def test_an_answer_that_is_cut_short_anywhere(world: World) -> None:
    whole = len(encode_response(METADATA, 7, 2, answer())) - 4
    broker = await world.broker(PUBLIC[0], PORT, FakeBroker(world.cluster, 1))
    for length in range(4, whole, 3):
        broker.control = cut(length)
        found = (await collect_facts(world, until="metadata")).metadata
        assert found.answers[0].failure is Failure.NOT_KAFKA, length
        assert "Metadata answer" in found.answers[0].detail
    broker.control = cut(whole)
    assert (await collect_facts(world, until="metadata")).metadata.answers[0].failure is None


async def test_hanging_up_on_the_metadata_request(world: World) -> None:
    await one(world, tells(HANG_UP))
    found = await collect_facts(world)
    assert found.metadata.answers[0].failure in (Failure.CLOSED, Failure.RESET)


async def test_one_server_that_answers_is_enough(world: World) -> None:
    await world.three()
    world.brokers[1].control = tells(b"\0\0\0\x04\0\0\0\x02")
    found = (await collect_facts(world, TWO)).metadata
    assert [answer.failure for answer in found.answers] == [Failure.NOT_KAFKA, None]
    assert len(found.brokers) == 3


async def test_a_server_that_lists_brokers_counts_more_than_one_that_lists_none(
    world: World,
) -> None:
    await world.three()
    world.brokers[1].control = tells(answer(brokers=[], cluster_id=None))
    found = (await collect_facts(world, TWO)).metadata
    assert len(found.brokers) == 3
    assert [answer.cluster_id for answer in found.answers] == [None, CLUSTER_ID]


async def test_servers_of_two_clusters(world: World) -> None:
    await world.three()
    other = FakeCluster("other", [FakeNode(1, "3.10.139.230", PORT)])
    await world.broker("3.10.139.230", PORT, FakeBroker(other, 1))
    found = (await collect_facts(world, f"{endpoint()},{endpoint('3.10.139.230')}")).metadata
    assert [answer.cluster_id for answer in found.answers] == [CLUSTER_ID, "other"]
    assert found.cluster_id == CLUSTER_ID, "the first one's"


async def test_what_a_peer_writes_is_cleaned(world: World) -> None:
    nasty = "\x1b[31mred\x07\u202e\n"
    brokers = [listed(1, nasty)]
    await one(world, tells(answer(brokers=brokers, cluster_id=nasty)))
    found = (await collect_facts(world, until="metadata")).metadata
    texts = [found.cluster_id, found.brokers[0].advertised.host]
    assert all(text and text.isprintable() and "red" in text for text in texts)


def topic(name: str) -> dict[str, Any]:
    return {"error_code": 0, "name": name, "is_internal": False, "partitions": [partition(0)]}


async def test_a_topic_that_nobody_asked_for_is_no_topic(world: World) -> None:
    """The real client writes to the topic of the metadata: a peer must not be able to name it."""
    broker = FakeBroker(world.cluster, 1, tells(answer(topics=[topic("theirs")])))
    await world.broker(PUBLIC[0], PORT, broker)
    met = await collect_facts(world, until="metadata")
    assert met.metadata.topic is None
    assert met.metadata.failed == ()


async def test_the_topic_that_was_asked_for_is_found_among_others(world: World) -> None:
    told = [topic("theirs"), topic("orders")]
    await world.broker(PUBLIC[0], PORT, FakeBroker(world.cluster, 1, tells(answer(topics=told))))
    met = await collect_facts(world, until="metadata", topic="orders")
    assert met.metadata.topic
    assert met.metadata.topic.name == "orders"


@pytest.mark.parametrize("told", [[], [topic("theirs")]], ids=["no topic", "another"])
async def test_a_topic_that_the_answer_leaves_out_is_unknown_to_the_server(
    world: World, told: list[dict[str, Any]]
) -> None:
    await world.broker(PUBLIC[0], PORT, FakeBroker(world.cluster, 1, tells(answer(topics=told))))
    met = await collect_facts(world, until="metadata", topic="orders")
    assert met.metadata.topic == Topic("orders", "UNKNOWN_TOPIC_OR_PARTITION", (), left_out=True)
    assert met.metadata.failed == ()
    assert met.metadata.summary.endswith("topic orders: left out")


async def test_a_server_that_names_the_topic_counts_more_than_one_that_leaves_it_out(
    world: World,
) -> None:
    for address, topics in ((PUBLIC[0], []), (PUBLIC[1], [topic("orders")])):
        broker = FakeBroker(world.cluster, 1, tells(answer(topics=topics)))
        await world.broker(address, PORT, broker)
    met = await collect_facts(world, until="metadata", topic="orders", bootstrap=TWO)
    assert met.metadata.topic
    assert met.metadata.topic.error == "NONE"


def others(*names: str, internal: bool = False) -> Control:
    """Says that the topic asked for does not exist, and lists these."""

    def control(request: Request) -> object:
        if request.api is not METADATA:
            return None
        asked = request.body["topics"]
        told = names if asked is None else [topic["name"] for topic in asked]
        error = 3 if asked is not None else 0
        return answer(
            topics=[
                {"error_code": error, "name": name, "is_internal": internal, "partitions": []}
                for name in told
            ]
        )

    return control


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        (("orders", "payments"), ("orders",)),
        (("ORDERS", "Order"), ("ORDERS", "Order")),
        (("payments", "a", ""), ()),
        ((), ()),
        (("ordres; reboot", "ord\x1b[31mres", "ordres\n", "o" * 300), ()),
        (tuple(f"ordres-{n}" for n in range(9)), ("ordres-8", "ordres-7", "ordres-6")),
    ],
    ids=["a typo", "in another case", "nothing like it", "no topic", "no names", "many"],
)
async def test_topics_with_a_name_like_the_one_that_does_not_exist(
    world: World, names: tuple[str, ...], alike: tuple[str, ...]
) -> None:
    await world.three()
    world.brokers[1].control = others(*names)
    told = (await collect_facts(world, until="metadata", topic="ordres")).metadata
    assert told.topic and told.topic.error == "UNKNOWN_TOPIC_OR_PARTITION"
    assert told.alike == alike


async def test_kafka_s_own_topics_are_none_of_them(world: World) -> None:
    await world.three()
    world.brokers[1].control = others("__consumer_offsets", internal=True)
    told = (await collect_facts(world, until="metadata", topic="__consumer_offset")).metadata
    assert told.alike == ()


async def test_who_does_not_list_its_topics_has_answered_all_the_same(world: World) -> None:
    def unlisted(request: Request) -> object:
        hidden = request.api is METADATA and request.body["topics"] is None
        return SILENCE if hidden else None

    await world.three()
    world.brokers[1].control = unlisted
    told = (await collect_facts(world, until="metadata", topic="ordres", timeout=1.0)).metadata
    assert told.brokers
    assert told.alike is None


async def test_all_topics_are_listed_for_nothing_else(world: World) -> None:
    await world.three()
    world.cluster.topics["orders"] = [1, 2, 3]
    for topic, count in (("orders", 1), ("ordres", 2)):
        world.brokers[1].requests.clear()
        await collect_facts(world, until="metadata", topic=topic)
        asked = [r for r in world.brokers[1].requests if r.api is METADATA]
        assert len(asked) == count
        assert not any(request.body["allow_auto_topic_creation"] for request in asked)


@pytest.mark.parametrize("creates", [True, False])
async def test_whether_the_topic_would_be_created(world: World, creates: bool) -> None:
    await world.three()
    world.cluster.creates = creates
    told = (await collect_facts(world, until="metadata", topic="orders")).metadata
    assert told.creates == str(creates).lower()
    (asked,) = [r for r in world.brokers[1].requests if r.api is DESCRIBE_CONFIGS]
    assert asked.body["resources"][0]["configuration_keys"] == ["auto.create.topics.enable"]
    assert world.brokers[1].connections == 1


async def test_a_broker_that_is_asked_for_another_one_names_itself(world: World) -> None:
    """By the address that was dialled nobody can tell which of the brokers it is."""
    await world.three()
    third = FakeBroker(world.cluster, 3)
    await world.broker("3.10.139.230", PORT, third)
    world.cluster.creates = True
    server = endpoint("3.10.139.230")
    told = (await collect_facts(world, server, until="metadata", topic="orders")).metadata
    assert told.creates == "true"
    asked = [r for r in third.requests if r.api is DESCRIBE_CONFIGS]
    assert [r.body["resources"][0]["resource_name"] for r in asked] == ["1", "3"]


def configs(error: int, message: str | None = None, values: tuple[str, ...] = ()) -> Control:
    def control(request: Request) -> Any:
        if request.api is not DESCRIBE_CONFIGS:
            return None
        entry = {"read_only": True, "config_source": 5, "is_sensitive": False, "synonyms": []}
        result = {
            "error_code": error,
            "error_message": message,
            "resource_type": 4,
            "resource_name": "1",
            "configs": [{"name": "dummy", "value": value, **entry} for value in values],
        }
        return {"throttle_time_ms": 0, "results": [result]}

    return control


@pytest.mark.parametrize(
    ("control", "creates"),
    [
        (configs(31, "not allowed"), "CLUSTER_AUTHORIZATION_FAILED"),
        (configs(0, values=("true",)), None),  # of another name
        (configs(0), None),
        (configs(42, "Unexpected broker id, expected 9 or empty string"), None),  # and again
        (lambda r: HANG_UP if r.api is DESCRIBE_CONFIGS else None, None),
        (lambda r: SILENCE if r.api is DESCRIBE_CONFIGS else None, None),
    ],
)
async def test_a_broker_that_does_not_tell_whether_it_creates_topics(
    world: World, control: Control, creates: str | None
) -> None:
    await world.three()
    world.brokers[1].control = control
    told = (await collect_facts(world, until="metadata", topic="orders", timeout=1.0)).metadata
    assert (told.creates, told.alike) == (creates, ())


TRANSACTIONAL = {"security.protocol": "PLAINTEXT", "transactional.id": "orders-1"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (16, "NOT_COORDINATOR"),
        (49, "INVALID_PRODUCER_ID_MAPPING"),
        (53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
    ],
)
async def test_the_right_to_a_transactional_id_is_asked_for_without_using_it(
    world: World, code: int, said: str
) -> None:
    await world.three()
    world.cluster.topics["orders"] = [1, 2, 3]
    world.brokers[1].control = lambda r: (
        {"throttle_time_ms": 0, "error_code": code} if r.api is END_TXN else None
    )
    found = await collect_facts(world, until="metadata", topic="orders", properties=TRANSACTIONAL)
    assert found.metadata.transaction == said
    (asked,) = [r for r in world.brokers[1].requests if r.api is END_TXN]
    assert asked.body["transactional_id"] == "orders-1"
    assert asked.body["producer_id"] > 1 << 56
    assert not asked.body["committed"]
    assert world.brokers[1].connections == 1


@pytest.mark.parametrize("topic", [None, "orders"])
async def test_a_transaction_is_no_question_without_a_topic_or_an_id(
    world: World, topic: str | None
) -> None:
    await world.three()
    world.cluster.topics["orders"] = [1, 2, 3]
    given = TRANSACTIONAL if topic is None else {"security.protocol": "PLAINTEXT"}
    found = await collect_facts(world, until="metadata", topic=topic, properties=given)
    assert found.metadata.transaction is None
    assert not [r for r in world.brokers[1].requests if r.api is END_TXN]

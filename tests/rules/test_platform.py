"""Which fix comes first: the one for what runs the brokers; a weak sign claims nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kdiag.rules.platform import Kind, Platform, platform
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners
from tests.facts import DOOR, contact, found_by, listener

MY_CLUSTER = Platform(Kind.STRIMZI, True, "my-cluster", "kafka")
PLAIN, UNSURE = Platform(), Platform(Kind.STRIMZI)
POD = "my-cluster-broker-{}.my-cluster-kafka-brokers.kafka.svc"
MSK = "b-{}.demo.a1b2c3.c2.kafka.eu-west-2.amazonaws.com"


def facts(advertised: Sequence[str], bootstrap: str = f"{DOOR}:9094") -> Facts:
    failing = [listener(n, each, "timeout") for n, each in enumerate(advertised)]
    return Facts((Bootstrap((contact(bootstrap),)), Listeners(tuple(failing), 0.1)))


@pytest.mark.parametrize(
    ("bootstrap", "advertised", "shown"),
    [
        (f"{DOOR}:9094", ["10.0.1.11:9094", "10.0.1.12:9094"], PLAIN),
        (f"{DOOR}:9094", ["kafka-1.example.com:9094", "kafka-2.example.com:9094"], PLAIN),
        # Strimzi, by its Services.
        (f"{DOOR}:9094", [f"{POD.format(0)}:9092"], MY_CLUSTER),
        (
            "my-cluster-kafka-external-bootstrap.kafka.svc:9094",
            ["10.0.1.11:9094"],
            MY_CLUSTER,
        ),
        ("prod-kafka-0.example.com:9094", ["prod-kafka-brokers.example.com:9094"], PLAIN),
        (f"{DOOR}:9094", ["kafka-0.kafka-headless.default.svc:9092"], PLAIN),
        # NodePorts are others' too; all brokers need one.
        (f"{DOOR}:30900", ["10.0.1.11:32001", "10.0.1.12:32002"], UNSURE),
        (f"{DOOR}:30900", ["10.0.1.11:32001", "10.0.1.12:9094"], PLAIN),
        # Docker.
        (f"{DOOR}:9092", ["8f2c1a3b4d5e:9092"], Platform(Kind.COMPOSE, True)),
        (f"{DOOR}:9092", ["host.docker.internal:9092"], Platform(Kind.COMPOSE, True)),
        (f"{DOOR}:9092", ["kafka:9092"], Platform(Kind.COMPOSE)),
        ("127.0.0.1:9092", ["172.18.0.2:9092"], Platform(Kind.COMPOSE)),
        (f"{DOOR}:9092", ["172.18.0.2:9092"], PLAIN),
        ("127.0.0.1:9092", ["172.32.0.2:9092"], PLAIN),
        # Services, which set their addresses themselves.
        (f"{MSK.format(1)}:9096", ["10.0.1.11:9096"], Platform(Kind.MSK, True)),
        ("boot-a.c2.kafka-serverless.eu-west-2.amazonaws.com:9098", [], Platform(Kind.MSK, True)),
        ("pkc-1a2b3.eu-west-2.aws.confluent.cloud:9092", [], Platform(Kind.CONFLUENT, True)),
    ],
)  # fmt: skip
def test_what_runs_the_brokers(bootstrap: str, advertised: Sequence[str], shown: Platform) -> None:
    assert platform(facts(advertised, bootstrap)) == shown


def test_a_given_file_decides_and_names_still_name_the_cluster() -> None:
    node_ports = facts(["10.0.1.11:32001"])
    assert platform(node_ports.adding(Platform(Kind.PLAIN, True))) == Platform(Kind.PLAIN, True)
    pods = facts([f"{POD.format(0)}:9092"]).adding(Platform(Kind.STRIMZI, True))
    assert platform(pods).cluster == "my-cluster"


def first(advertised: str, code: str = "KD301", bootstrap: str = f"{DOOR}:9094") -> tuple[str, str]:
    """The kind and the summary of the first fix of a broker with this address."""
    met = listener(1, advertised, "dns:not_found" if code == "KD304" else "timeout")
    (finding,) = found_by(code, Bootstrap((contact(bootstrap),)), Listeners((met,), 0.1))
    fix = finding.remedies[0]
    return fix.kind, fix.summary


def test_the_first_fix_fits_and_says_on_what_condition() -> None:
    assert first("10.0.1.11:9094")[1].startswith("In server.properties, ")
    kind, summary = first("10.0.1.11:32001")
    assert (kind, summary.partition(" (")[0]) == ("yaml", "If Strimzi runs the brokers")
    assert first("kafka:9092", "KD304")[1].startswith("If the brokers run in Docker: ")
    assert first("8f2c1a3b4d5e:9092", "KD304")[1].startswith("In Docker: ")
    assert first("10.0.1.11:9096", bootstrap=f"{MSK.format(1)}:9096") == (
        "text",
        "Amazon MSK sets its advertised addresses itself: connect from inside its VPC (peering, "
        "VPN, multi-VPC connectivity), or switch public access on and use the public bootstrap "
        "string.",
    )


def test_a_listener_for_clients_outside_is_added_beside_those_that_a_container_has() -> None:
    met = listener(1, "kafka:9092", "dns:not_found", candidates=(contact(f"{DOOR}:9092", node=1),))
    (finding,) = found_by("KD304", Bootstrap((contact(f"{DOOR}:9092"),)), Listeners((met,), 0.1))
    assert finding.remedies[0].snippet.splitlines() == [
        "KAFKA_LISTENERS: <your other entries>,EXTERNAL://:20092",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: <your other entries>,EXTERNAL:PLAINTEXT",
        '# broker 1, with "9092:20092" for 9092 in its ports',
        f"KAFKA_ADVERTISED_LISTENERS: <your other entries>,EXTERNAL://{DOOR}:9092",
    ]

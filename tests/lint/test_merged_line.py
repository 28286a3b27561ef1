"""The fix of a walk for server.properties, in the words of the files that configure the brokers."""

from __future__ import annotations

import pytest

from kdiag.config.endpoint import Endpoint
from kdiag.lint.linter import lint
from kdiag.lint.merged_line import merged
from kdiag.lint.observed import ObservedBroker, ObservedCluster
from kdiag.rules.advertising import line as broker_line
from kdiag.rules.rule import Remedy

LISTENERS = "INSIDE://b1:29092, OUTSIDE://10.0.1.11:9094 ,SSL://b1:9093"
PROPERTIES = f"node.id=1\nlisteners=INSIDE://:29092,OUTSIDE://:9094,SSL://:9093\nadvertised.listeners={LISTENERS}\n"
COMPOSE = f"""services:
  b1:
    image: confluentinc/cp-kafka:7.5.0
    ports: ["9094:9094"]
    environment:
      KAFKA_BROKER_ID: 1
      KAFKA_ZOOKEEPER_CONNECT: z:2181
      KAFKA_ADVERTISED_LISTENERS: {LISTENERS}
"""
LIVE = ObservedCluster(
    (Endpoint("3.10.139.221", 9094),),
    (ObservedBroker(1, Endpoint("10.0.1.11", 9094), False, None),),
)
FIX = Remedy(
    "Advertise it.", f"# server.properties\n{broker_line(1, '<address of it>:9094')}", "properties"
)


def test_the_fix_of_a_walk_keeps_the_other_listeners() -> None:
    """Pasted without them, the line stops Kafka from starting."""
    assert "advertised.listeners=<your other entries>,EXTERNAL://" in FIX.snippet


@pytest.mark.parametrize(
    ("name", "text", "line", "kind"),
    [
        ("server.properties", PROPERTIES, "advertised.listeners=", "properties"),
        ("compose.yaml", COMPOSE, "KAFKA_ADVERTISED_LISTENERS: ", "yaml"),
    ],
)
def test_with_the_file_it_is_the_whole_line(name: str, text: str, line: str, kind: str) -> None:
    report = lint({name: text}, skip_unknown=True, live=LIVE)
    made = merged(FIX, report.lines)
    said = LISTENERS.replace("10.0.1.11:9094", "<address of it>:9094")
    assert made.snippet == f"# broker 1, in {name}\n{line}{said}"
    assert made.kind == kind


def test_without_a_line_for_each_broker_it_stays_as_it_is() -> None:
    report = lint({"server.properties": PROPERTIES}, live=LIVE)
    two = Remedy("", f"{FIX.snippet}\n{broker_line(2, 'b:1')}", "properties")
    assert merged(two, report.lines) == two
    elsewhere = ObservedCluster(LIVE.entered, (ObservedBroker(7, Endpoint("b7", 9), False, None),))
    assert lint({"server.properties": PROPERTIES}, live=elsewhere).lines == {}


def test_a_password_in_a_listener_is_not_repeated() -> None:
    text = PROPERTIES.replace("INSIDE://b1", "INSIDE://u:hunter2@b1")
    assert "hunter2" not in merged(FIX, lint({"a.properties": text}, live=LIVE).lines).snippet

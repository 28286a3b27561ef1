"""The table of images: what is a broker, and that the documentation has them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdiag.lint.images import IMAGES, Image, image_of, is_old, is_other
from kdiag.lint.properties import kind_of

DOCS = Path(__file__).resolve().parents[2] / "docs" / "lint.md"


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("apache/kafka", "apache/kafka"),
        ("docker.io/apache/kafka-native:4.0.0", "apache/kafka"),
        ("registry.example.com:5000/confluentinc/cp-kafka:7.5.0", "confluentinc/cp-kafka"),
        ("${REPOSITORY}/cp-server:${TAG:-latest}", "confluentinc/cp-kafka"),
        ("confluentinc/cp-enterprise-kafka@sha256:abc", "confluentinc/cp-kafka"),
        ("bitnamilegacy/kafka:3.9", "bitnami/kafka"),
        ("quay.io/debezium/kafka:3.0", "debezium/kafka"),
        ("docker.redpanda.com/redpandadata/redpanda:v24.1", "redpandadata/redpanda"),
        ("landoop/fast-data-dev:latest", "lensesio/fast-data-dev"),
        ("spotify/kafka", "spotify/kafka"),
        ("wurstmeister/kafka:2.13-2.8.1", "wurstmeister/kafka"),
    ],
)
def test_an_image_is_known_by_its_name(reference: str, name: str) -> None:
    found = image_of(reference)
    assert found and found.name.startswith(name)
    assert not is_other(reference)


@pytest.mark.parametrize(
    "reference",
    [
        *("confluentinc/cp-zookeeper:7.5.0", "confluentinc/cp-schema-registry", "akhq:0.25"),
        *("provectuslabs/kafka-ui", "quay.io/debezium/connect", "confluentinc/cp-kafka-rest:7.5"),
        *(
            "confluentinc/cp-kafka-connect-base",
            "obsidiandynamics/kafdrop",
            "bitnami/kafka-exporter",
        ),
    ],
)
def test_what_belongs_to_kafka_is_no_broker(reference: str) -> None:
    assert image_of(reference) is None
    assert is_other(reference)


@pytest.mark.parametrize("reference", ["", "example.com/team/streams:1", "nginx", "kafka"])
def test_another_image_is_not_known(reference: str) -> None:
    assert image_of(reference) is None
    assert not is_other(reference)


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_the_documentation_has_it_with_its_source(image: Image) -> None:
    text = DOCS.read_text("utf-8")
    rows = [row for row in text.splitlines() if row.startswith(f"| {image.name} |")]
    assert any(f"({image.source})" in row for row in rows)


@pytest.mark.parametrize(
    ("reference", "old"),
    [
        ("example/kafka:0.10.1.0", True),
        ("example/kafka:2.8.1", True),
        ("example/kafka:3.0.0", False),
        ("wurstmeister/kafka:2.13-2.8.1", True),
        ("confluentinc/cp-kafka:6.2.1@sha256:0123", True),
        ("registry:5000/confluentinc/cp-kafka:7.0.0", False),
        ("example/kafka:latest", False),
        ("example/kafka", False),
        ("example/other:1.0", False),
    ],
)
def test_a_tag_tells_of_a_kafka_before_its_third_version(reference: str, old: bool) -> None:
    assert is_old(reference) is old


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("application.conf", 'kafka {\n  bootstrap.servers = "a:9092"\n}\n', ""),
        ("kafka.conf", "bootstrap.servers = a:9092\n", "client"),
        ("client.properties", "bootstrap.servers=a:9092\nnote = {\n", "client"),
    ],
)
def test_a_file_with_blocks_in_braces_is_no_file_of_properties(
    name: str, text: str, kind: str
) -> None:
    assert kind_of(name, text) == kind

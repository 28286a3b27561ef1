"""The real cluster, once for a test run: on loopback, and in the made-up AWS."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import needs
from tests.lab.client import Client
from tests.lab.kafka import Kafka
from tests.lab.lab import Lab
from tests.lab.network import HOMES, PUBLICS, Network


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With xdist's --dist loadgroup one worker runs all of this, so one cluster at a time is up."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("lab"))
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The cluster on loopback, at three addresses that no other run has."""
    needs.require(*needs.KAFKA)
    if sys.platform != "linux":
        needs.lacking("only Linux has all of 127.0.0.0/8 on loopback")
    subnet = f"127.{random.randint(16, 250)}.{random.randint(0, 255)}"
    addresses = (f"{subnet}.1", f"{subnet}.2", f"{subnet}.3")
    cluster = Kafka(tmp_path_factory.mktemp("kafka"), addresses, addresses)
    with Lab(cluster, Client(), Client()).running() as lab:
        yield lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The cluster in the made-up AWS, and a client on the laptop."""
    needs.require(*needs.LAB, root=True)
    folder = tmp_path_factory.mktemp("lab")
    network = Network(folder)
    try:
        network.start()
        inside = tuple(instance.inside for instance in network.instances)
        cluster = Kafka(folder, HOMES, PUBLICS, inside)
        laptop, instance = Client(network.laptop.inside), Client(inside[0])
        with Lab(cluster, laptop, instance, network).running() as lab:
            yield lab
    finally:
        network.stop()

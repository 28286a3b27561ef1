"""Who answers, on three brokers of Kafka 4.4 (KIP-1242): what kdiag asks where configurations are
denied. Each broker is asked as itself, and as each of the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from kdiag.api import check
from kdiag.kafka.connection import KafkaConnection
from kdiag.kafka.dialer import KafkaDialer
from kdiag.kafka.messages import (
    API_VERSIONS,
    LIST_OFFSETS,
    METADATA,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
)
from kdiag.walk import identity
from kdiag.walk.questions import metadata_question
from tests.lab import needs
from tests.lab.kafka import CLUSTER_ID, NEWEST
from tests.lab.lab import Lab, on_loopback
from tests.lab.listeners import NODES, USERS

pytestmark = pytest.mark.kafka

TOPIC = "orders"
LISTENERS = ("PUBLIC", "LOGIN")
USER = "outsider"  # may not describe the cluster, nor read the configuration of a broker


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    needs.require(*needs.KAFKA)
    needs.require_loopback()
    with on_loopback(tmp_path_factory.mktemp("newest"), NEWEST) as lab:
        yield lab


async def opened(lab: Lab, listener: str, node: int) -> KafkaConnection:
    """A connection to a broker's listener on which nothing was sent."""
    host, _, port = lab.at(listener, node).rpartition(":")
    line = await KafkaDialer(30.0).connect(host, int(port))
    assert line.sock
    return await KafkaConnection.over(line.sock, 30.0)


@asynccontextmanager
async def connected(lab: Lab, listener: str, node: int) -> AsyncIterator[KafkaConnection]:
    """A connection to a broker's listener, logged in where it wants that."""
    connection = await opened(lab, listener, node)
    try:
        assert not (await connection.request(API_VERSIONS, 0, {})).failure
        assert connection.apis
        assert connection.apis[API_VERSIONS.key][1] >= 5
        if listener == "LOGIN":
            named = await connection.request(SASL_HANDSHAKE, 1, {"mechanism": "PLAIN"})
            assert named.body["error_code"] == 0
            word = f"\0{USER}\0{USERS[USER]}".encode()
            answer = await connection.request(SASL_AUTHENTICATE, 0, {"auth_bytes": word})
            assert answer.body["error_code"] == 0
        yield connection
    finally:
        connection.close()


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("node", NODES)
async def test_a_broker_knows_itself_by_api_versions_5(
    newest: Lab, listener: str, node: int
) -> None:
    async with connected(newest, listener, node) as connection:
        for other in NODES:
            recognised = await identity._recognised(connection, CLUSTER_ID, other)
            assert recognised is (other == node), other
        stranger = await identity._recognised(connection, "kdiagOtherCluster00001", node)
        assert stranger is False
        # It leaves the connection usable, whatever was answered.
        reply = await connection.send(metadata_question([TOPIC]))
        assert (reply.failure, len(reply.body["brokers"])) == (None, 3)


async def test_before_the_login_it_says_yes_to_anything(newest: Lab) -> None:
    """So it is asked after the login only: kdiag would believe a broker that is another one."""
    connection = await opened(newest, "LOGIN", 1)
    try:
        assert await identity._recognised(connection, CLUSTER_ID, 3)
        again = await connection.request(API_VERSIONS, 0, {})
        assert again.failure, "a second ApiVersions closes the connection"
    finally:
        connection.close()


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("node", NODES)
async def test_a_broker_serves_the_partitions_that_it_leads_alone(
    newest: Lab, listener: str, node: int
) -> None:
    """Every broker has a replica of each partition here: only its leader answers ListOffsets."""
    leads = {leader: [(TOPIC, leader - 1)] for leader in NODES}
    async with connected(newest, listener, node) as connection:
        assert connection.apis
        assert {LIST_OFFSETS.key, METADATA.key} <= connection.apis.keys()
        serves, refuses = await identity._served(connection, leads)
    assert serves == (node,)
    assert refuses == tuple(other for other in NODES if other != node)


def test_a_client_without_rights_is_told_who_is_who(newest: Lab) -> None:
    """The whole walk, as a client that may not read a broker's configuration."""
    given = newest.properties("LOGIN") | newest.login(USER)
    report = check(newest.at("LOGIN"), properties=given)
    assert report.exit_code == 0, str(report)
    assert report.cluster
    assert [broker.layers["identity"] for broker in report.cluster.brokers] == ["ok"] * 3

"""kdiag comes to the verdict of a real client, on servers that are not all of Kafka."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.control.clients import Java
from tests.control.outcome import CLIENTS, Outcome, agree, hold
from tests.control.servers import SERVERS, Fake
from tests.lab import needs

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("control")]

EACH = pytest.mark.parametrize(
    "server",
    SERVERS,
    ids=lambda server: server.name,
)


@EACH
@pytest.mark.parametrize("client", [CLIENTS[0], pytest.param(CLIENTS[1], marks=pytest.mark.kafka)])
def test_one_verdict(
    server: Fake, client: str, outcomes: Callable[[Fake], Outcome], java: Java | None
) -> None:
    if client == "java":
        needs.require(*needs.KAFKA)
    outcome = outcomes(server)
    agree(outcome, client, server.works, bare=server.works or not server.nameless)


@EACH
def test_what_was_proven_is_kept(
    server: Fake, outcomes: Callable[[Fake], Outcome], request: pytest.FixtureRequest
) -> None:
    outcome = outcomes(server)
    for client in outcome.runs:
        agree(outcome, client, server.works, bare=server.works or not server.nameless)
    rewrite = bool(request.config.getoption("update_snapshots"))
    hold("stand-ins", server.name, server.what, outcome, rewrite)


def test_each_server_is_there_once() -> None:
    names = [server.name for server in SERVERS]
    assert sorted(set(names)) == sorted(names)

"""How one endpoint answers, at the bootstrap address and at an advertised one: the same layers."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import pytest

from kdiag.demo.broker import CONTROLLER_APIS, HANG_UP, SILENCE, Control, FakeBroker
from kdiag.demo.world import PORT, PUBLIC, Serve, World, endpoint
from kdiag.kafka.messages import API_VERSIONS, METADATA, SASL_HANDSHAKE, Request
from kdiag.network.attempt import EndpointResult
from tests import peers
from tests.collected import collect_facts

Setup = Callable[[World], Awaitable[None]]

HOST = "3.10.139.240"  # the odd peer's
FAST = 0.3  # seconds, where every wait is for a peer that never answers


def server(serve: Serve) -> Setup:
    async def build(world: World) -> None:
        await world.server(HOST, PORT, serve)

    return build


def broker(control: Control) -> Setup:
    async def build(world: World) -> None:
        await world.broker(HOST, PORT, FakeBroker(world.cluster, 3, control))

    return build


async def controller(world: World) -> None:
    await world.broker(HOST, PORT, FakeBroker(world.cluster, 3, apis=CONTROLLER_APIS))


async def closed(world: World) -> None:
    world.closed(HOST, PORT)


async def nobody(_: World) -> None:
    """Where nobody is, packets vanish."""


def always(answer: object) -> Control:
    """A broker that meets every request like this."""
    return lambda _: answer


def other_correlation(request: Request) -> bytes | None:
    return peers.versions(request.correlation + 1) if request.api is API_VERSIONS else None


CASES: dict[str, tuple[Setup, str, str, str]] = {
    "closed port": (closed, "tcp", "refused", "refused"),
    "packets vanish": (nobody, "tcp", "timeout", "no answer within"),
    "accepts, stays silent": (server(peers.silent), "kafka", "silent", "no answer within"),
    "a broker that hangs": (broker(always(SILENCE)), "kafka", "silent", "no answer within"),
    "half an answer": (server(peers.says(peers.versions()[:9])), "kafka", "silent", "no answer"),
    "closes at once": (server(peers.hangs_up), "kafka", "closed|reset", ""),
    "closes when asked": (server(peers.hangs_up_when_asked), "kafka", "closed", ""),
    "a broker that hangs up": (broker(always(HANG_UP)), "kafka", "closed", ""),
    "closes in the middle": (
        server(peers.says_and_hangs_up(peers.versions()[:9])),
        "kafka",
        "closed",
        "in the middle of an answer",
    ),
    "resets": (server(peers.resets), "kafka", "reset", "reset"),
    "resets in the middle": (server(peers.resets_in_the_middle), "kafka", "reset", "reset"),
    "a web server": (server(peers.says(peers.HTTP)), "kafka", "not_kafka", "HTTP/1.1 400 Bad"),
    "a login": (server(peers.greets(peers.SSH)), "kafka", "not_kafka", "SSH-2.0-OpenSSH_9.6"),
    "two bytes": (server(peers.says_and_hangs_up(b"ok")), "kafka", "not_kafka", "ok"),
    "another request's answer": (
        broker(other_correlation),
        "kafka",
        "not_kafka",
        "answers request 2, request 1 was asked",
    ),
    "not one request listed": (
        server(peers.says(peers.versions(keys=False, error_code=35))),
        "kafka",
        "not_kafka",
        "UNSUPPORTED_VERSION",
    ),
    "a KRaft controller": (controller, "kafka", "controller", "controllers' requests"),
}
cases = pytest.mark.parametrize(
    ("setup", "layer", "failure", "said"), CASES.values(), ids=CASES.keys()
)


def timeout_for(failure: str) -> float:
    return FAST if failure in ("silent", "timeout") else 5.0


def check(contact: EndpointResult, layer: str, failure: str, said: str) -> None:
    found = contact.failed
    assert found
    assert found.failure
    assert not contact.usable
    assert found.layer == layer
    assert found.failure.value in failure.split("|")
    assert said.lower() in found.detail.lower()
    # What was reached before it is "ok", and nothing is claimed about what comes after.
    order = ("dns", "tcp", "tls", "kafka", "sasl", "identity")
    before, after = order[: order.index(layer)], order[order.index(layer) + 1 :]
    assert {contact.layers[one] for one in before} <= {"ok", None}
    assert [contact.layers[one] for one in after] == [None] * len(after)


@cases
async def test_the_bootstrap_address(
    world: World, setup: Setup, layer: str, failure: str, said: str
) -> None:
    await setup(world)
    found = await collect_facts(world, endpoint(HOST), timeout=timeout_for(failure))
    check(found.bootstrap.contacts[0], layer, failure, said)
    assert not found.bootstrap.usable
    assert len(found.facts.values) == 1, "nothing else is known"


@cases
async def test_an_advertised_address(
    world: World, setup: Setup, layer: str, failure: str, said: str
) -> None:
    await world.three((PUBLIC[0], PORT), (PUBLIC[1], PORT), (HOST, PORT))
    await setup(world)
    timeout = 1.0 if timeout_for(failure) == FAST else 5.0
    found = await collect_facts(world, until="listeners", timeout=timeout)
    check(found.listener(3).contact, layer, failure, said)
    assert [x.broker.node for x in found.listeners.reached] == [1, 2]


async def test_a_tls_alert_is_told_from_rubbish(world: World) -> None:
    await world.server(HOST, PORT, peers.says(peers.TLS_ALERT))
    found = await collect_facts(world, endpoint(HOST))
    assert "tls_required" in found.bootstrap.contacts[0].layers.values()


async def test_a_tls_server_that_resets_after_its_alert_is_told_all_the_same(world: World) -> None:
    await world.server(HOST, PORT, peers.says_and_hangs_up(peers.TLS_ALERT))
    found = await collect_facts(world, endpoint(HOST))
    assert "tls_required" in found.bootstrap.contacts[0].layers.values()


NAME = "kafka.example.com"


async def test_every_address_of_a_name_is_dialled_in_the_resolvers_order(world: World) -> None:
    await world.three()
    world.closed(HOST, PORT)
    await world.server("3.10.139.241", PORT, peers.says(peers.HTTP))
    world.names[NAME] = [HOST, "3.10.139.241", PUBLIC[1], PUBLIC[0]]
    found = await collect_facts(world, endpoint(NAME))
    contact = found.bootstrap.contacts[0]
    assert [dial.address for dial in contact.dials] == world.names[NAME]
    failures = [dial.failed and dial.failed.failure for dial in contact.dials]
    assert [f and f.value for f in failures] == ["refused", "not_kafka", None, None]
    assert contact.usable
    assert contact.layers["dns"] == contact.layers["tcp"] == contact.layers["kafka"] == "ok"


async def test_addresses_are_dialled_at_once_so_silent_ones_cost_one_timeout(world: World) -> None:
    await world.three()
    world.names[NAME] = [*(f"10.0.1.{last}" for last in range(1, 8)), PUBLIC[0]]
    found = await collect_facts(world, endpoint(NAME), until="bootstrap", timeout=1.0)
    assert found.bootstrap.contacts[0].usable
    assert found.bootstrap.elapsed < 7.0, "seven silent addresses, one after the other"


async def test_both_families_of_a_name(world: World) -> None:
    await world.three()
    world.closed("::1", PORT)
    world.names[NAME] = ["::1", PUBLIC[0]]
    contact = (await collect_facts(world, endpoint(NAME))).bootstrap.contacts[0]
    ends = {dial.address: dial.failed and dial.failed.failure for dial in contact.dials}
    assert {address: f and f.value for address, f in ends.items()} == {
        "::1": "refused",
        PUBLIC[0]: None,
    }
    assert contact.usable


async def test_an_address_listed_twice_is_dialled_once(world: World) -> None:
    await world.three()
    world.names[NAME] = [PUBLIC[0], PUBLIC[0], PUBLIC[0]]
    found = await collect_facts(world, endpoint(NAME), until="bootstrap")
    assert [dial.address for dial in found.bootstrap.contacts[0].dials] == [PUBLIC[0]]
    assert world.brokers[1].connections == 1


async def test_a_name_of_a_thousand_addresses_is_not_dialled_a_thousand_times(world: World) -> None:
    addresses = [f"3.11.{n // 250}.{n % 250 + 1}" for n in range(1000)]
    for address in addresses:
        world.closed(address, PORT)
    world.names[NAME] = list(addresses)
    found = await collect_facts(world, endpoint(NAME), until="bootstrap")
    dialled = [dial.address for dial in found.bootstrap.contacts[0].dials]
    assert 1 < len(dialled) <= 16
    assert dialled == addresses[: len(dialled)]


@pytest.mark.parametrize(
    ("code", "failure"), [("EAI_NONAME", "not_found"), ("EAI_AGAIN", "resolver_failed")]
)
async def test_a_name_that_does_not_resolve_is_not_dialled(
    world: World, code: str, failure: str
) -> None:
    world.names[NAME] = getattr(socket, code)
    contact = (await collect_facts(world, endpoint(NAME))).bootstrap.contacts[0]
    assert contact.layers == {
        "dns": failure,
        "tcp": None,
        "tls": None,
        "kafka": None,
        "sasl": None,
        "identity": None,
    }
    assert contact.dials == ()


async def test_a_listener_that_wants_a_login_lists_its_mechanisms(world: World) -> None:
    def login_first(request: Request) -> object:
        if request.api is SASL_HANDSHAKE:
            return {"error_code": 33, "mechanisms": ["SCRAM-SHA-512", "PLAIN"]}
        return HANG_UP if request.api is METADATA else None

    await world.three()
    world.brokers[1].control = login_first
    contact = (await collect_facts(world)).bootstrap.contacts[0]
    assert contact.layers["kafka"] == "ok"
    assert contact.layers["sasl"] == "sasl_required"
    assert contact.failed
    assert "SCRAM-SHA-512" in contact.failed.detail
    assert "PLAIN" in contact.failed.detail
    handshakes = [r for r in world.brokers[1].requests if r.api is SASL_HANDSHAKE]
    assert not [r for r in handshakes if r.body["mechanism"] in ("PLAIN", "SCRAM-SHA-512")], (
        "a real mechanism was asked for, though nobody wants to log in"
    )

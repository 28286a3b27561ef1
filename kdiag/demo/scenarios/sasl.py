"""Scenarios of SASL: logins that fail, a login over plaintext, and a slow one."""

from __future__ import annotations

from kdiag.config.security import Sasl, Security
from kdiag.demo.logins import Logins
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.scenarios.tls import tls_client, valid_tls
from kdiag.demo.world import World
from kdiag.kafka.messages import SASL_AUTHENTICATE

USER, PASSWORD = "alice", "wonderland"


def login(mechanism: str, password: str = PASSWORD) -> Security:
    """The settings of a client that logs in over plaintext."""
    return Security("SASL_PLAINTEXT", sasl=Sasl(mechanism, username=USER, password=password))


@scenario
async def sasl_required(world: World) -> Start:
    """The listener requires a login, the client has none."""
    await world.three(sasl=Logins({USER: PASSWORD}, mechanisms=("SCRAM-SHA-512", "PLAIN")))
    return Start()


@scenario
async def sasl_not_offered(world: World) -> Start:
    """The client logs in, the listener has no SASL."""
    await world.three()
    return Start(security=login("SCRAM-SHA-512"))


@scenario
async def sasl_mechanism(world: World) -> Start:
    """The client logs in with PLAIN, the listener takes SCRAM only."""
    await world.three(sasl=Logins({USER: PASSWORD}, mechanisms=("SCRAM-SHA-512",)))
    return Start(security=login("PLAIN"))


@scenario
async def sasl_credentials(world: World) -> Start:
    """The password is wrong, at a listener with TLS."""
    await world.three(tls=valid_tls(), sasl=Logins({USER: PASSWORD}))
    tls = tls_client().tls
    return Start(security=Security("SASL_SSL", tls, login("SCRAM-SHA-512", "looking-glass").sasl))


@scenario
async def credentials_in_clear(world: World) -> Start:
    """The password goes over plaintext to whatever address is advertised."""
    await world.three(sasl=Logins({USER: PASSWORD}))
    return Start(security=login("PLAIN"))


@scenario
async def slow_answer(world: World) -> Start:
    """A broker takes long for each login, as without reverse DNS of its own."""
    await world.three(sasl=Logins({USER: PASSWORD}))
    world.brokers[1].delay = lambda request: _LOOKUP if request.api is SASL_AUTHENTICATE else 0.0
    return Start(security=login("SCRAM-SHA-512"), answer_timeout=2 * _LOOKUP)


_LOOKUP = 1.4  # seconds; SCRAM has two messages

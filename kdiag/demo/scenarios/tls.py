"""Scenarios of TLS: protocol mismatches, handshakes that fail, and wrong certificates."""

from __future__ import annotations

import ssl

from kdiag.config.security import Security, Tls
from kdiag.config.settings import CANONICAL
from kdiag.demo.broker import FakeBroker
from kdiag.demo.certificates import Authority, authority, server_context
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import PORT, PUBLIC, World, endpoint

SOON = 20  # days
NAME = "kafka.example.com"
CANONICAL_NAME = "ec2-3-10-139-221.eu-west-2.compute.amazonaws.com"


def tls_client(ca: str | None = None) -> Security:
    """The settings of a client that speaks TLS and trusts `ca`, by default the demo's authority."""
    return Security("SSL", Tls(ca=ca or authority().pem, ca_from="demo-ca.pem"))


def valid_tls() -> ssl.SSLContext:
    """The TLS context of a broker whose certificate is valid."""
    return server_context(authority().issue("broker", PUBLIC))


@scenario
async def tls_required(world: World) -> Start:
    """The listener speaks TLS, the client is set to plaintext."""
    await world.three(tls=valid_tls())
    return Start(security=Security("PLAINTEXT"))


@scenario
async def tls_not_offered(world: World) -> Start:
    """The client is set to TLS, the listener speaks plaintext."""
    await world.three()
    return Start(security=tls_client())


@scenario
async def untrusted_certificate(world: World) -> Start:
    """The client does not know the authority that issued the brokers' certificates."""
    await world.three(tls=valid_tls())
    return Start(security=tls_client(Authority("another-ca").pem))


@scenario
async def tls_interception(world: World) -> Start:
    """A company's proxy opens TLS, and shows its own certificate for each name."""
    proxy = Authority("Zscaler Root CA")
    await world.three(tls=server_context(proxy.issue("broker", PUBLIC)))
    return Start(security=tls_client())


@scenario
async def certificate_name(world: World) -> Start:
    """The certificates name brokers 1 and 3, and not broker 2."""
    await world.three(tls=server_context(authority().issue("broker", (PUBLIC[0], PUBLIC[2]))))
    return Start(security=tls_client())


@scenario
async def canonical_name(world: World) -> Start:
    """The certificate is for the name that is written; reverse DNS has another one."""
    await world.three(tls=server_context(authority().issue("broker", (NAME, *PUBLIC))))
    world.names = {NAME: [PUBLIC[0]], CANONICAL_NAME: [PUBLIC[0]]}
    world.canonical = {PUBLIC[0]: CANONICAL_NAME}
    return Start(endpoint(NAME), security=tls_client(), properties={"client.dns.lookup": CANONICAL})


@scenario
async def certificate_expired(world: World) -> Start:
    """The certificates expired a week ago."""
    await world.three(tls=server_context(authority().issue("broker", PUBLIC, days=-7)))
    return Start(security=tls_client())


@scenario
async def certificate_expires_soon(world: World) -> Start:
    """The certificates are good for another 20 days."""
    await world.three(tls=server_context(authority().issue("broker", PUBLIC, days=SOON)))
    return Start(security=tls_client())


@scenario
async def client_certificate(world: World) -> Start:
    """The listener requires a client certificate (mutual TLS), the client has none."""
    await world.three(tls=server_context(authority().issue("broker", PUBLIC), authority()))
    return Start(security=tls_client())


@scenario
async def tls_handshake(world: World) -> Start:
    """The client insists on TLS 1.3, the listener knows TLS 1.2."""
    old = valid_tls()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    await world.three(tls=old)
    client = tls_client()
    return Start(security=client._replace(tls=client.tls._replace(versions=("TLSv1.3",))))


@scenario
async def verification_off(world: World) -> Start:
    """The client does not check the name in the certificate, and would not like it."""
    await world.three(tls=server_context(authority().issue("broker", ("kafka.example.com",))))
    client = tls_client()
    return Start(security=client._replace(tls=client.tls._replace(verify_name=False)))


@scenario
async def protocol_differs(world: World) -> Start:
    """Broker 3 advertises its plaintext port to clients that speak TLS."""
    await world.three(tls=valid_tls())
    await world.broker(PUBLIC[2], PORT, FakeBroker(world.cluster, 3))
    return Start(security=tls_client())

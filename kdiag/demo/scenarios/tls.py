"""Listeners that speak TLS, or do not; certificates, good and bad."""

from __future__ import annotations

import ssl
from dataclasses import replace

from kdiag.config.security import Security, Tls
from kdiag.demo.broker import FakeBroker
from kdiag.demo.certificates import Authority, authority, serving
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import PORT, PUBLIC, World

SOON = 20  # days


def trusting(ca: str | None = None) -> Security:
    """A client that speaks TLS and trusts the demo's authority."""
    return Security("SSL", Tls(ca=ca or authority().pem, ca_from="demo-ca.pem"))


def good() -> ssl.SSLContext:
    """How a broker serves that has nothing wrong with its certificate."""
    return serving(authority().issue("broker", PUBLIC))


@scenario
async def tls_required(world: World) -> Start:
    """The listener speaks TLS, the client is set to plaintext."""
    await world.three(tls=good())
    return Start(security=Security("PLAINTEXT"))


@scenario
async def tls_not_offered(world: World) -> Start:
    """The client is set to TLS, the listener speaks plaintext."""
    await world.three()
    return Start(security=trusting())


@scenario
async def untrusted_certificate(world: World) -> Start:
    """The client does not know the authority that issued the brokers' certificates."""
    await world.three(tls=good())
    return Start(security=trusting(Authority("another-ca").pem))


@scenario
async def certificate_name(world: World) -> Start:
    """The certificates name brokers 1 and 3, and not broker 2."""
    await world.three(tls=serving(authority().issue("broker", (PUBLIC[0], PUBLIC[2]))))
    return Start(security=trusting())


@scenario
async def certificate_expired(world: World) -> Start:
    """The certificates expired a week ago."""
    await world.three(tls=serving(authority().issue("broker", PUBLIC, days=-7)))
    return Start(security=trusting())


@scenario
async def certificate_expires_soon(world: World) -> Start:
    """The certificates are good for another 20 days."""
    await world.three(tls=serving(authority().issue("broker", PUBLIC, days=SOON)))
    return Start(security=trusting())


@scenario
async def client_certificate(world: World) -> Start:
    """The listener wants a client certificate (mutual TLS), the client has none."""
    await world.three(tls=serving(authority().issue("broker", PUBLIC), authority()))
    return Start(security=trusting())


@scenario
async def tls_handshake(world: World) -> Start:
    """The client insists on TLS 1.3, the listener knows TLS 1.2."""
    old = good()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    await world.three(tls=old)
    asked = trusting()
    return Start(security=asked._replace(tls=replace(asked.tls, versions=("TLSv1.3",))))


@scenario
async def verification_off(world: World) -> Start:
    """The client does not check the name in the certificate, and would not like it."""
    await world.three(tls=serving(authority().issue("broker", ("kafka.example.com",))))
    asked = trusting()
    return Start(security=asked._replace(tls=replace(asked.tls, verify_name=False)))


@scenario
async def protocol_differs(world: World) -> Start:
    """Broker 3 advertises its plaintext port to clients that speak TLS."""
    await world.three(tls=good())
    await world.broker(PUBLIC[2], PORT, FakeBroker(world.cluster, 3))
    return Start(security=trusting())

"""TLS and logins as the hops meet them: what is found out, what fails, and who gets credentials."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from kdiag.config.security import Sasl, Security, Tls
from kdiag.config.settings import settings
from kdiag.demo.broker import HANG_UP, SILENCE, Control, FakeBroker
from kdiag.demo.logins import Logins, unsecured_token
from kdiag.demo.world import PORT, PUBLIC, World, endpoint
from kdiag.kafka.messages import API_VERSIONS, SASL_AUTHENTICATE, SASL_HANDSHAKE, Request
from kdiag.network.attempt import AddressResult, Failure
from kdiag.walk.bootstrap import bootstrap
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners
from kdiag.walk.hop import walk_context
from kdiag.walk.listeners import listeners
from kdiag.walk.metadata import metadata

CA, OTHER = trustme.CA(), trustme.CA()
TRUSTED = CA.cert_pem.bytes().decode()
USER, PASSWORD = "bob", "bobs-password"
TLS = Tls(ca=TRUSTED)
PLAIN = Sasl("PLAIN", USER, PASSWORD)
SCRAM = Sasl("SCRAM-SHA-512", USER, PASSWORD)

Serve = Callable[[], ssl.SSLContext | None]


def serving(
    *names: str,
    clients: trustme.CA | None = None,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> Serve:
    """How a broker serves TLS, for these names or for every broker's address."""

    def make() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        CA.issue_cert(*(names or PUBLIC)).configure_cert(context)
        context.maximum_version = newest
        if clients:
            clients.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    return make


def with_certificate(authority: trustme.CA) -> Tls:
    own = authority.issue_cert("client")
    chain = b"".join(blob.bytes() for blob in own.cert_chain_pems).decode()
    return TLS._replace(certificate=chain, key=own.private_key_pem.bytes().decode())


def plaintext() -> None:
    return None


V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
OLD_ONLY = TLS._replace(versions=("TLSv1.2",))
NEW_ONLY = TLS._replace(versions=("TLSv1.3",))

# What the client is set to, what the listener is, how it ends (layer:failure), what it speaks.
CASES: dict[str, tuple[Security, Serve, Logins | None, str, str]] = {
    "found: TLS": (Security(None, TLS), serving(), None, "", "SSL"),
    "found: plaintext": (Security(None, TLS), plaintext, None, "", "PLAINTEXT"),
    "asked: TLS": (Security("SSL", TLS), serving(), None, "", "SSL"),
    "nobody trusted": (Security("SSL"), serving(), None, "tls:untrusted", "SSL"),
    "found, not trusted": (Security(None), serving(), None, "tls:untrusted", "SSL"),
    "anybody trusted": (Security("SSL", Tls(verify=False)), serving(), None, "", "SSL"),
    "another name": (Security("SSL", TLS), serving("a.example"), None, "tls:name_mismatch", "SSL"),
    "any name": (
        Security("SSL", TLS._replace(verify_name=False)), serving("a.example"), None, "", "SSL"
    ),
    **{
        f"{words}, {version.name}": (
            Security("SSL", tls), serving(clients=CA, newest=version), None, end, "SSL"
        )
        for version in (V12, V13)
        for words, tls, end in (
            ("no client certificate", TLS, "tls:client_certificate"),
            ("a good client certificate", with_certificate(CA), ""),
            ("a stranger's client certificate", with_certificate(OTHER), "tls:client_certificate"),
        )
    },
    "no common version": (
        Security("SSL", NEW_ONLY), serving(newest=V12), None, "tls:handshake", "SSL"
    ),
    "an old version asked for": (Security("SSL", OLD_ONLY), serving(), None, "", "SSL"),
    "TLS to plaintext": (
        Security("SSL", TLS), plaintext, None, "tls:tls_not_offered", "PLAINTEXT"
    ),
    "plaintext to TLS": (Security("PLAINTEXT"), serving(), None, "tls:tls_required", "SSL"),
    "plaintext to TLS with logins": (
        Security("PLAINTEXT"), serving(), Logins({}), "tls:tls_required", "SASL_SSL"
    ),
    "a login": (Security("SASL_PLAINTEXT", sasl=PLAIN), plaintext, Logins({USER: PASSWORD}),
                "", "SASL_PLAINTEXT"),
    "a login over TLS": (Security("SASL_SSL", TLS, SCRAM), serving(), Logins({USER: PASSWORD}),
                         "", "SASL_SSL"),
    "found: a login over TLS": (Security(None, TLS, SCRAM), serving(), Logins({USER: PASSWORD}),
                                "", "SASL_SSL"),
    "found: no login wanted": (Security(None, TLS, SCRAM), serving(), None, "", "SSL"),
    "a wrong password": (Security("SASL_PLAINTEXT", sasl=PLAIN), plaintext, Logins({USER: "x"}),
                         "sasl:credentials", "SASL_PLAINTEXT"),
    "a wrong password, SCRAM": (Security("SASL_SSL", TLS, SCRAM), serving(), Logins({USER: "x"}),
                                "sasl:credentials", "SASL_SSL"),
    "another mechanism": (
        Security("SASL_PLAINTEXT", sasl=PLAIN), plaintext,
        Logins({USER: PASSWORD}, mechanisms=("SCRAM-SHA-512",)),
        "sasl:mechanism", "SASL_PLAINTEXT",
    ),
    "no SASL there": (Security("SASL_PLAINTEXT", sasl=PLAIN), plaintext, None,
                      "sasl:sasl_not_offered", "PLAINTEXT"),
    "no login configured": (Security("PLAINTEXT"), plaintext, Logins({}),
                            "sasl:sasl_required", "SASL_PLAINTEXT"),
    "SASL asked for, no login configured": (
        Security("SASL_PLAINTEXT"), plaintext, Logins({}), "sasl:sasl_required", "SASL_PLAINTEXT"
    ),
    "SASL asked for and nowhere": (
        Security("SASL_PLAINTEXT"), plaintext, None, "sasl:sasl_not_offered", "PLAINTEXT"
    ),
    "found: a login is wanted": (Security(None, TLS), serving(), Logins({}),
                                 "sasl:sasl_required", "SASL_SSL"),
    "not trusted, a login is wanted": (Security("SASL_SSL", Tls(), PLAIN), serving(),
                                       Logins({USER: PASSWORD}), "tls:untrusted", "SASL_SSL"),
}  # fmt: skip


async def reached(
    world: World, security: Security, servers: str = endpoint(), timeout: float = 5.0
) -> Bootstrap:
    """Hop 1's facts, for a client that is set up like this."""
    asked = settings(servers, timeout=timeout, answer_timeout=timeout)._replace(security=security)
    net = world.net(asked)
    try:
        found = await bootstrap.collect(walk_context(asked, net))
        assert isinstance(found, Bootstrap)
        return found
    finally:
        await net.close()


async def listened(world: World, security: Security, timeout: float = 5.0) -> Listeners:
    """Hop 3's facts, for a client that is set up like this."""
    asked = settings(endpoint(), timeout=timeout, answer_timeout=timeout)._replace(
        security=security
    )
    net = world.net(asked)
    walk = walk_context(asked, net)
    try:
        first = await bootstrap.collect(walk)
        told = await metadata.collect(walk, first)
        found = await listeners.collect(walk, first, told)
        assert isinstance(found, Listeners)
        return found
    finally:
        await net.close()


def best(found: Bootstrap) -> AddressResult:
    met = found.contacts[0].best
    assert met is not None
    return met


def end_of(dial: AddressResult) -> str:
    failed = dial.failed
    return f"{failed.layer}:{failed.failure.value}" if failed and failed.failure else ""


@pytest.mark.parametrize("case", CASES)
async def test_a_listener(world: World, case: str) -> None:
    security, serve, logins, end, speaks = CASES[case]
    await world.three(tls=serve(), sasl=logins)
    met = best(await reached(world, security))
    assert (end_of(met), met.protocol) == (end, speaks)


async def test_the_evidence_of_a_handshake(world: World) -> None:
    """Whether it is trusted or not, the same is seen of it."""
    await world.three(tls=serving(clients=CA, newest=V12)())
    trusting = best(await reached(world, Security("SSL", with_certificate(CA)))).handshake
    assert trusting
    assert (trusting.version, trusting.verify_code, trusting.wants_certificate) == (
        "TLSv1.2",
        0,
        True,
    )
    await world.end()
    await world.three(tls=serving()())
    wary = best(await reached(world, Security("SSL"))).handshake
    assert wary
    assert (wary.version, wary.verify_code, wary.wants_certificate) == ("TLSv1.3", 20, False)
    assert wary.chain
    assert wary.chain[0] != trusting.chain[0]


async def test_credentials_are_tried_once_whatever_the_number_of_addresses(world: World) -> None:
    logins = Logins({USER: "another"})
    await world.three(sasl=logins)
    world.names["kafka.example.com"] = list(PUBLIC)
    servers = ",".join((endpoint("kafka.example.com"), *map(endpoint, PUBLIC)))
    found = await reached(world, Security("SASL_PLAINTEXT", sasl=SCRAM), servers)
    assert not found.usable
    assert logins.attempts[USER] == 1
    failures = {d.failed.failure for c in found.contacts for d in c.dials if d.failed}
    assert failures == {Failure.CREDENTIALS}


async def test_credentials_that_one_broker_refuses_are_not_taken_to_the_next(world: World) -> None:
    """They were good at the bootstrap server. Refused at one broker, no other sees them later."""
    good, bad = Logins({USER: PASSWORD}), Logins({USER: "changed"})
    await world.three(sasl=good)
    for node in (2, 3):
        broker = FakeBroker(world.cluster, node, sasl=bad)
        await world.broker(PUBLIC[node - 1], PORT, broker)
    found = await listened(world, Security("SASL_PLAINTEXT", sasl=SCRAM))
    assert [x.broker.node for x in found.reached] == [1]
    assert bad.attempts[USER] <= 2  # both were under way at once; neither was tried again


def no_answer(request: Request) -> Any:
    return SILENCE if request.api is SASL_AUTHENTICATE else None


def nonsense(request: Request) -> Any:
    return b"\0\0\0\4nope" if request.api is SASL_AUTHENTICATE else None


def shown_to(world: World) -> list[int]:
    """The brokers that were shown credentials, once for each time."""
    return [
        node
        for node, broker in world.brokers.items()
        for request in broker.requests
        if request.api is SASL_AUTHENTICATE
    ]


@pytest.mark.parametrize("answer", [no_answer, nonsense])
@pytest.mark.parametrize("sasl", [PLAIN, SCRAM], ids=["PLAIN", "SCRAM"])
async def test_no_answer_to_credentials_is_a_try_too(
    world: World, answer: Control, sasl: Sasl
) -> None:
    """Who is silent may have counted them, so nobody else gets them."""
    await world.three(sasl=Logins({USER: PASSWORD}))
    for broker in world.brokers.values():
        broker.control = answer
    servers = ",".join(map(endpoint, PUBLIC))
    found = await reached(world, Security("SASL_PLAINTEXT", sasl=sasl), servers, timeout=1.0)
    assert not found.usable
    assert len(shown_to(world)) == 1
    failed = [d.failed for c in found.contacts for d in c.dials if d.failed]
    assert len({(attempt.layer, attempt.failure) for attempt in failed}) == 1
    assert sum("not tried, after another" in attempt.detail for attempt in failed) == 2


async def test_silence_of_one_broker_does_not_end_the_logins_that_are_known_to_be_good(
    world: World,
) -> None:
    await world.three(sasl=Logins({USER: PASSWORD}))
    world.brokers[2].control = no_answer
    found = await listened(world, Security("SASL_PLAINTEXT", sasl=SCRAM), timeout=1.0)
    assert [x.broker.node for x in found.reached] == [1, 3]


async def test_kerberos_is_left_to_the_real_client_which_is_heard(world: World) -> None:
    """Its build here has none, and says so; the probe has shown that the listener would take it."""

    def takes_kerberos(request: Request) -> Any:
        if request.api is SASL_HANDSHAKE:
            return {"error_code": 0, "mechanisms": ["GSSAPI"]}
        return None

    await world.three(sasl=Logins({}))
    for broker in world.brokers.values():
        broker.control = takes_kerberos
    met = best(await reached(world, Security("SASL_PLAINTEXT", sasl=Sasl("GSSAPI"))))
    assert end_of(met) == "sasl:credentials"
    assert met.failed
    assert "No provider for SASL mechanism GSSAPI" in met.failed.detail
    assert (met.protocol, met.mechanisms) == ("SASL_PLAINTEXT", ("GSSAPI",))


@pytest.mark.parametrize(
    ("security", "serve"),
    [
        (Security("SASL_SSL", Tls(), PLAIN), serving()),
        (Security("SASL_SSL", TLS, PLAIN), serving("another.example")),
        (Security("SASL_SSL", TLS, PLAIN), plaintext),
        (Security("SASL_PLAINTEXT", TLS, PLAIN), serving()),
    ],
    ids=["not trusted", "another name", "plaintext where TLS was asked", "the reverse"],
)
async def test_credentials_never_go_to_whom_they_are_not_for(
    world: World, security: Security, serve: Serve
) -> None:
    logins = Logins({USER: PASSWORD})
    await world.three(tls=serve(), sasl=logins)
    assert not (await reached(world, security)).usable
    assert not logins.attempts
    asked = [r for broker in world.brokers.values() for r in broker.requests]
    assert not [r for r in asked if r.api.name == "SaslAuthenticate"]


# Logins that whoever reads them can repeat, as brokers here take them.
READABLE = (
    PLAIN,
    Sasl("OAUTHBEARER", token=unsecured_token(USER)),
    Sasl("AWS_MSK_IAM", profile=USER, region="eu-west-2"),
)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AWS's keys of a user by that name."""
    own = f"[{USER}]\naws_access_key_id = {USER}\naws_secret_access_key = {PASSWORD}\n"
    (tmp_path / "credentials").write_text(own)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("sasl", READABLE, ids=lambda sasl: sasl.mechanism)
async def test_what_can_be_read_on_the_way_is_sent_in_plaintext_only_where_that_was_said(
    world: World, sasl: Sasl
) -> None:
    logins = Logins({USER: PASSWORD})
    await world.three(sasl=logins)
    met = best(await reached(world, Security(None, sasl=sasl)))
    assert (end_of(met), met.protocol) == ("sasl:sasl_required", "SASL_PLAINTEXT")
    assert sasl.mechanism in met.mechanisms
    assert not shown_to(world)
    assert not logins.attempts
    met = best(await reached(world, Security("SASL_PLAINTEXT", sasl=sasl)))
    assert (end_of(met), met.protocol) == ("", "SASL_PLAINTEXT")
    assert logins.attempts[USER] == 1


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("sasl", READABLE, ids=lambda sasl: sasl.mechanism)
async def test_over_tls_it_is_sent_while_the_protocol_is_found_out(
    world: World, sasl: Sasl
) -> None:
    logins = Logins({USER: PASSWORD})
    await world.three(tls=serving()(), sasl=logins)
    met = best(await reached(world, Security(None, TLS, sasl)))
    assert (end_of(met), met.protocol) == ("", "SASL_SSL")
    assert logins.attempts[USER] == 1


async def test_scram_shows_nobody_the_password_and_goes_in_plaintext_too(world: World) -> None:
    await world.three(sasl=Logins({USER: PASSWORD}))
    met = best(await reached(world, Security(None, sasl=SCRAM)))
    assert (end_of(met), met.protocol) == ("", "SASL_PLAINTEXT")
    sent = [
        request.body["auth_bytes"]
        for broker in world.brokers.values()
        for request in broker.requests
        if request.api is SASL_AUTHENTICATE
    ]
    assert sent
    assert PASSWORD.encode() not in b"".join(sent)


async def test_none_of_several_servers_gets_it_in_plaintext(world: World) -> None:
    """One that is good over TLS does not open the way to those that are not."""
    logins = Logins({USER: PASSWORD})
    await world.three(sasl=logins)
    await world.broker(
        PUBLIC[0], PORT + 1, FakeBroker(world.cluster, 1, sasl=logins), tls=serving()()
    )
    servers = ",".join((endpoint(PUBLIC[0], PORT + 1), *map(endpoint, PUBLIC)))
    found = await reached(world, Security(None, TLS, PLAIN), servers)
    assert [str(contact.endpoint) for contact in found.usable] == [endpoint(PUBLIC[0], PORT + 1)]
    assert logins.attempts[USER] == 1


async def test_a_stranger_gets_no_credentials(world: World) -> None:
    """It hangs up on ApiVersions: whatever it is, it has not shown that it is a broker."""

    def hangs_up(request: Request) -> Any:
        return HANG_UP if request.api is API_VERSIONS else None

    await world.three(sasl=Logins({USER: PASSWORD}))
    for broker in world.brokers.values():
        broker.control = hangs_up
    await reached(world, Security("SASL_PLAINTEXT", sasl=PLAIN))
    asked = [r.api.name for broker in world.brokers.values() for r in broker.requests]
    assert "SaslAuthenticate" not in asked

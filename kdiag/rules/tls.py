"""KD110, KD111, KD115, KD116 and KD123, TLS: why a handshake fails, and verification turned off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdiag.config.settings import Settings
from kdiag.network.attempt import Failure
from kdiag.network.certificate import CertificateKind, authority, covers
from kdiag.rules import remedies
from kdiag.rules.handshake import handshake_at, leaf_at, names_of, origin_at, own_certificate, shown
from kdiag.rules.location import Location, as_it_speaks, failing, judge, locations, match
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import listed, once
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners


@rule(
    "KD110", "tls-required", Severity.ERROR, "The listener requires TLS, the client does not use it"
)
def tls_required(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The peer answers plaintext with a TLS alert, or hangs up and completes a TLS handshake.

    Clients print "Disconnected while requesting ApiVersion" or run out of memory on a message of
    352,518,912 bytes, which is the alert read as a length.

    Prove it: `openssl s_client -connect HOST:PORT`.

    How to fix: set `security.protocol=SSL` (`SASL_SSL` with a login) and the trust store in the
    client's properties, or use a plaintext listener.
    """
    yield from judge(
        {Failure.TLS_REQUIRED},
        bootstrap,
        listeners,
        "{who} require{s} TLS, and this client speaks plaintext",
        lambda matching: as_it_speaks(matching, settings.security.sasl),
    )


@rule("KD111", "tls-not-offered", Severity.ERROR, "The client uses TLS, the listener does not")
def tls_not_offered(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The peer does not answer a TLS handshake, and answers Kafka's requests in plaintext.

    Clients print "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?".

    Prove it: `openssl s_client -connect HOST:PORT` ends without a certificate.

    How to fix: set `security.protocol=PLAINTEXT` (`SASL_PLAINTEXT` with a login), or use the port
    of the listener that has TLS.
    """
    yield from judge(
        {Failure.TLS_NOT_OFFERED},
        bootstrap,
        listeners,
        "{who} speak{s} plaintext, and this client speaks TLS",
        lambda matching: (
            *as_it_speaks(matching, settings.security.sasl),
            remedies.say(
                "Or use the port of a listener with TLS; or, if this one was meant to have it, map "
                "it to SSL or SASL_SSL in listener.security.protocol.map. Without TLS anyone on "
                "the path can read the data."
            ),
        ),
    )


@rule("KD115", "client-certificate", Severity.ERROR, "The listener requires a client certificate")
def client_certificate(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The listener asks for a client certificate (mutual TLS), and refuses what it was shown.

    Without one, or with one that the broker's trust store does not lead to, the handshake ends;
    with TLS 1.3 after it seemed to succeed, which many clients report as a reset connection.

    Prove it: `openssl s_client -connect HOST:PORT -cert C -key K` stays connected.

    How to fix: give the client a key and a certificate that the broker's trust store accepts:
    `ssl.keystore.location` in Java, `ssl.certificate.location` and `ssl.key.location` in
    librdkafka. Or use a listener that requires none.
    """
    own = own_certificate(settings.security.tls)
    fixes = remedies.client_certificate(own is not None)
    for hop, matching, severity in failing({Failure.CLIENT_CERTIFICATE}, bootstrap, listeners):
        if own is None:
            message = "{who} require{s} a client certificate, and this client has none"
        else:
            message = "{who} refuse{s} the client certificate that it was shown"
        wanted = once(name for place in matching for name in _authorities(place))
        more = [f"the listener accepts certificates by {listed(wanted)}"] if wanted else []
        if own:
            more.append(f"this client showed {own.subject}, issued by {own.issuer}")
        yield match(
            hop,
            matching,
            message,
            lambda matching: (*_mesh_fix(matching), *fixes),
            severity,
            (*more, *shown(matching)),
        )


@rule("KD116", "tls-handshake", Severity.ERROR, "The TLS handshake fails")
def tls_handshake(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """Both sides speak TLS and do not agree: no common version or cipher, an unknown name.

    The evidence has OpenSSL's reason and, where the server accepts a handshake with lower demands,
    what it supports.

    Prove it: `openssl s_client -connect HOST:PORT -tls1_2`, then `-tls1_3`.

    How to fix: allow a common TLS version and cipher suite: `ssl.enabled.protocols` and
    `ssl.cipher.suites` on the client or on the broker. Where the name is unknown (SNI), dial the
    name that the server has.
    """
    versions = settings.security.tls.versions
    only = f" (this client takes {listed(versions)} only)" if versions else ""
    yield from judge(
        {Failure.HANDSHAKE},
        bootstrap,
        listeners,
        "{who} speak{s} TLS, but the handshake fails",
        lambda matching: (
            *_of_router(matching),
            *_of_an_old_listener(matching),
            remedies.say(
                f"Let client and listener have a TLS version{only} and a cipher in common: compare "
                "ssl.enabled.protocols and ssl.cipher.suites on both sides. A proxy that routes by "
                "name (SNI) also ends handshakes for names it does not know."
            ),
        ),
    )


def _of_an_old_listener(matching: Sequence[Location]) -> Iterator[Remedy]:
    """The fix for listeners that agree on nothing newer with a client that takes every version."""
    best = once(h.version for place in matching if (h := handshake_at(place)))
    if best and set(best) <= {"TLSv1", "TLSv1.1"}:
        yield remedies.say(
            f"The listener takes {listed(best)} at most, which clients of today do not begin with: "
            "on the broker, or the proxy that ends TLS for it, set "
            "ssl.enabled.protocols=TLSv1.2,TLSv1.3."
        )


@rule("KD123", "verification-off", Severity.WARNING, "The client does not verify the server")
def verification_off(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The client's properties turn off the check of the certificate, or of the name in it.

    `ssl.endpoint.identification.algorithm=` (empty) and `enable.ssl.certificate.verification=false`
    are honoured: any server that answers counts as the broker, and gets the login too.

    Prove it: the evidence has the names whose check would fail.

    How to fix: remove the property that turns the check off, and give the client the authority
    (`ssl.truststore.location`, `ssl.ca.location`); then repair what the check finds (KD112, KD113).
    """
    tls = settings.security.tls
    over_tls = [p for p in locations(bootstrap, listeners) if handshake_at(p)]
    if not over_tls or (tls.verify and tls.verify_name):
        return
    wrong = [
        f"{p.where} shows a certificate for {names_of(leaf)}, not for {p.endpoint.host}"
        for p in over_tls
        if (leaf := leaf_at(p)) and not covers(leaf, p.endpoint.host)
    ]
    what = "names in certificates" if tls.verify else "certificates"
    yield Match(
        over_tls[0].hop,
        f"This client does not check {what}, as its properties ask",
        tuple(place.subject for place in over_tls if place.hop == over_tls[0].hop),
        tuple(wrong) or ("every name here would pass the check",),
        (remedies.say("Leave the check on, and have certificates that carry the names dialled."),),
    )


def _of_router(matching: Sequence[Location]) -> tuple[Remedy, ...]:
    """The fix where the server completes handshakes under another name; else empty."""
    for place in matching:
        for dial in place.dials:
            if dial.other_name:
                return (remedies.route_by_name([place.endpoint.host]),)
    return ()


def _mesh_fix(matching: Sequence[Location]) -> tuple[Remedy, ...]:
    """The fix where a service mesh wants a certificate of its own authority, which no client
    outside the mesh can have; else empty."""
    origin = origin_at(matching[0])
    if origin is None or origin.kind is not CertificateKind.MESH:
        return ()
    return (Remedy(f"{origin.meaning} {origin.remedy}"),)


def _authorities(place: Location) -> list[str]:
    handshake = handshake_at(place)
    return [authority(name) for name in handshake.authorities] if handshake else []

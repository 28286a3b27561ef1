"""KD110 to KD116 and KD123, TLS: what became of a handshake, and who the peer says it is."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from kdiag.address import parse
from kdiag.attempt import Dial, Failure, Handshake
from kdiag.certificate import Certificate, Kind, Origin, authority, covers, read, recognise
from kdiag.hops.bootstrap import Bootstrap
from kdiag.hops.listeners import Listeners
from kdiag.remedies import kafka as remedies
from kdiag.rule import Match, Remedy, Severity, rule
from kdiag.rules.place import HOPS, Fix, Place, as_it_speaks, failing, judge, match, places
from kdiag.rules.words import escaped, listed
from kdiag.security import Tls
from kdiag.settings import Settings

SOON = 30  # days before a certificate expires

_SELF_SIGNED, _SELF_SIGNED_ROOT, _WRONG_SIGNATURE = 18, 19, 7
_NO_ISSUER = (2, 20, 21)
_TOO_WEAK = (66, 67, 68)


@rule("KD110", "tls-required", Severity.ERROR, "The listener speaks TLS, the client does not")
def tls_required(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The peer answers plaintext with a TLS alert, or hangs up and completes a TLS handshake.

    Clients print "Disconnected while requesting ApiVersion" or run out of memory on a message of
    352,518,912 bytes, which is the alert read as a length.

    Prove it: `openssl s_client -connect HOST:PORT`.
    """
    yield from judge(
        {Failure.TLS_REQUIRED},
        bootstrap,
        listeners,
        "{who} want{s} TLS, and this client speaks plaintext",
        lambda hit: as_it_speaks(hit, settings.security.sasl),
    )


@rule("KD111", "tls-not-offered", Severity.ERROR, "The client speaks TLS, the listener does not")
def tls_not_offered(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The peer does not answer a TLS handshake, and answers Kafka's requests in plaintext.

    Clients print "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?".

    Prove it: `openssl s_client -connect HOST:PORT` ends without a certificate.
    """
    yield from judge(
        {Failure.TLS_NOT_OFFERED},
        bootstrap,
        listeners,
        "{who} speak{s} plaintext, and this client speaks TLS",
        lambda hit: (
            *as_it_speaks(hit, settings.security.sasl),
            remedies.say(
                "Or use the port of a listener with TLS; or, if this one was meant to have it, map "
                "it to SSL or SASL_SSL in listener.security.protocol.map. Without TLS everybody on "
                "the way reads along."
            ),
        ),
    )


@rule("KD112", "untrusted-certificate", Severity.ERROR, "The certificate is by nobody we trust")
def untrusted_certificate(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The certificate cannot be traced to an authority that this client trusts.

    It is self-signed, or by an authority that is missing from the client's trust store, or the
    broker does not send the certificate between its own and that authority. Clients print
    "certificate verify failed" or "unable to find valid certification path". A certificate of an
    ingress, a service mesh or a company's proxy means that you did not reach the broker itself.

    Prove it: `openssl s_client -connect HOST:PORT -showcerts`.
    """
    for hop, hit, severity in failing({Failure.UNTRUSTED}, bootstrap, listeners):
        for why in dict.fromkeys(_distrust(place, settings.security.tls) for place in hit):
            these = [p for p in hit if _distrust(p, settings.security.tls) == why]
            yield match(
                hop,
                these,
                f"{{who}} show{{s}} a certificate that this client does not trust: {escaped(why)}",
                lambda hit: _trust(hit, settings.security.tls),
                severity,
                _shown(these),
            )


@rule("KD113", "certificate-name", Severity.ERROR, "The certificate is for another name")
def certificate_name(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The certificate is good, but not for the name or address that was dialled.

    A client compares what it dials, an advertised host included, with the certificate's subject
    alternative names. IP addresses need entries of their own; Strimzi's NodePort listeners have
    none for the nodes unless `alternativeNames` or `advertisedHost` give them.

    Prove it: the names in the evidence; `openssl s_client -connect HOST:PORT | openssl x509 -text`.
    """
    for hop, hit, severity in failing({Failure.NAME_MISMATCH}, bootstrap, listeners):
        hosts = listed(list(dict.fromkeys(place.endpoint.host for place in hit)))
        yield match(
            hop,
            hit,
            f"{{who}} show{{s}} a certificate that is not for {escaped(hosts)}",
            _rename,
            severity,
            (*_shown(hit), *_coverage(bootstrap, listeners)),
        )


@rule("KD114", "certificate-expired", Severity.ERROR, "The certificate is out of its time")
def certificate_expired(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
    """The broker's certificate has expired, is not valid yet, or (a warning) expires in 30 days.

    When a certificate that others accept is not valid yet, look at this machine's clock.

    Prove it: `openssl s_client -connect HOST:PORT | openssl x509 -noout -dates`, and `date`.
    """
    renew = (
        "Renew the broker's certificate{by}, and have the broker read the new one; where "
        "cert-manager, Strimzi or MSK renew by themselves, see why they did not."
    )
    for hop, hit, severity in failing({Failure.EXPIRED}, bootstrap, listeners):
        early = all(_not_yet(place) for place in hit)
        said = "is not valid yet" if early else _since(hit) or "has expired"
        fix = remedies.say(
            "Set this machine's clock right if it is behind. Else the certificate was made for "
            "later: have the broker use one that is valid now."
            if early
            else renew.format(by="") + " If this machine's clock is ahead, set that right."
        )
        message = f"{{who}} show{{s}} a certificate that {said}"
        yield match(hop, hit, message, _always(fix), severity, (*_shown(hit), *_clock(hit)))
    told: set[str] = set()
    for hop in HOPS:
        here = [p for p in places(bootstrap, listeners) if p.hop == hop and p.contact.usable]
        left = {p: days for p in here if (days := _days_left(p)) is not None and days < SOON}
        soon = [p for p in left if (leaf := _leaf(p)) and leaf.fingerprint not in told]
        told |= {leaf.fingerprint for p in soon if (leaf := _leaf(p))}
        if soon:
            days = min(left[place] for place in soon)
            message = f"The certificate of {{who}} expires in {_days(days)}"
            fix = remedies.say(renew.format(by=" before that"))
            yield match(hop, soon, message, _always(fix), Severity.WARNING, _shown(soon))


@rule("KD115", "client-certificate", Severity.ERROR, "The listener wants a client certificate")
def client_certificate(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The listener asks for a client certificate (mutual TLS), and refuses what it was shown.

    Without one, or with one that the broker's trust store does not lead to, the handshake ends;
    with TLS 1.3 after it seemed to succeed, which many clients report as a reset connection.

    Prove it: `openssl s_client -connect HOST:PORT -cert C -key K` stays connected.
    """
    own = own_certificate(settings.security.tls)
    fix = remedies.client_certificate(own is not None)
    for hop, hit, severity in failing({Failure.CLIENT_CERTIFICATE}, bootstrap, listeners):
        if own is None:
            message = "{who} want{s} a client certificate, and this client has none"
        else:
            message = "{who} refuse{s} the client certificate that it was shown"
        wanted = list(dict.fromkeys(name for place in hit for name in _authorities(place)))
        more = [f"accepted are certificates by {listed(wanted)}"] if wanted else []
        if own:
            more.append(f"this client showed {own.subject}, issued by {own.issuer}")
        yield match(
            hop, hit, message, lambda hit: (*_mesh(hit), fix), severity, (*more, *_shown(hit))
        )


@rule("KD116", "tls-handshake", Severity.ERROR, "The TLS handshake fails")
def tls_handshake(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """Both sides speak TLS and do not come to terms: no common version or cipher, an unknown name.

    The evidence has the reason in OpenSSL's words and, where the server takes a handshake of more
    modest demands, what it would speak.

    Prove it: `openssl s_client -connect HOST:PORT -tls1_2`, then `-tls1_3`.
    """
    mine = settings.security.tls.versions
    only = f" (this client takes {listed(mine)} only)" if mine else ""
    yield from judge(
        {Failure.HANDSHAKE},
        bootstrap,
        listeners,
        "{who} speak{s} TLS, but the handshake fails",
        lambda _: (
            remedies.say(
                f"Let client and listener have a TLS version{only} and a cipher in common: compare "
                "ssl.enabled.protocols and ssl.cipher.suites on both sides. A proxy that routes by "
                "name (SNI) also ends handshakes for names it does not know."
            ),
        ),
    )


@rule("KD123", "verification-off", Severity.WARNING, "The client does not check who answers")
def verification_off(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The client's properties turn off the check of the certificate, or of the name in it.

    `ssl.endpoint.identification.algorithm=` (empty) and `enable.ssl.certificate.verification=false`
    are honoured: whoever answers is taken for the broker, and gets the login too.

    Prove it: the evidence has the names whose check would fail.
    """
    tls = settings.security.tls
    met = [p for p in places(bootstrap, listeners) if _handshake(p)]
    if not met or (tls.verify and tls.verify_name):
        return
    wrong = [
        f"{p.where} shows a certificate for {_names(leaf)}, not for {p.endpoint.host}"
        for p in met
        if (leaf := _leaf(p)) and not covers(leaf, p.endpoint.host)
    ]
    what = "names in certificates" if tls.verify else "certificates"
    yield Match(
        met[0].hop,
        f"This client does not check {what}, as its properties ask",
        tuple(place.subject for place in met if place.hop == met[0].hop),
        tuple(wrong) or ("every name here would pass the check",),
        (remedies.say("Leave the check on, and have certificates that carry the names dialled."),),
    )


def _handshake(place: Place) -> Handshake | None:
    return next((dial.handshake for dial in _best_first(place) if dial.handshake), None)


def _best_first(place: Place) -> list[Dial]:
    best = place.contact.best
    return sorted(place.dials, key=lambda dial: dial is not best)


def _chain(place: Place) -> list[Certificate]:
    handshake = _handshake(place)
    return [read(der) for der in handshake.chain] if handshake else []


def _leaf(place: Place) -> Certificate | None:
    return next(iter(_chain(place)), None)


def _names(leaf: Certificate) -> str:
    return listed(leaf.names) if leaf.names else leaf.common_name or "no name at all"


def _shown(hit: Sequence[Place]) -> list[str]:
    """Who the peers say they are: the same words for the same certificate once."""
    lines: dict[str, list[str]] = {}
    for place in hit:
        handshake = _handshake(place)
        for line in _described(handshake, _chain(place)) if handshake else ():
            lines.setdefault(line, []).append(place.subject)
    wanted = {p.subject: b.mechanisms for p in hit if (b := p.contact.best) and b.mechanisms}
    return [
        *(f"{listed(subjects)}: {line}" for line, subjects in lines.items()),
        *(f"{who}: it wants a login too, with {listed(these)}" for who, these in wanted.items()),
    ]


def _described(handshake: Handshake, chain: Sequence[Certificate]) -> Iterator[str]:
    name = f"asked for {handshake.name} (SNI)" if parse(handshake.name) is None else ""
    asked = "a client certificate is asked for" if handshake.wants_certificate else ""
    yield ", ".join(p for p in (handshake.version, handshake.cipher, name, asked) if p)
    for place, certificate in enumerate(chain):
        if certificate.flaw:
            yield f"certificate {certificate.fingerprint[:16]}…: {certificate.flaw}"
        elif place == 0:
            yield (
                f"certificate of {certificate.subject or 'nobody'} by {certificate.issuer}, for "
                f"{_names(certificate)}, valid {_day(certificate.not_before)} to "
                f"{_day(certificate.not_after)}"
            )
        else:
            yield f"it also sends {certificate.subject}, by {certificate.issuer}"


def _day(seconds: int | None) -> str:
    return "?" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _always(fix: Remedy) -> Fix:
    return lambda _: (fix,)


def _days(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"


def _since(hit: Sequence[Place]) -> str:
    """When it expired, where that is as long ago for all."""
    ages = {
        int((handshake.at - leaf.not_after) // 86400)
        for place in hit
        if (leaf := _leaf(place)) and (handshake := _handshake(place)) and leaf.not_after
    }
    return f"expired {_days(ages.pop())} ago" if len(ages) == 1 and min(ages) > 0 else ""


def _clock(hit: Sequence[Place]) -> list[str]:
    handshake = _handshake(hit[0])
    return [f"it is {_day(int(handshake.at))} by this machine's clock"] if handshake else []


def _not_yet(place: Place) -> bool:
    leaf, handshake = _leaf(place), _handshake(place)
    return bool(leaf and handshake and leaf.not_before and leaf.not_before > handshake.at)


def _days_left(place: Place) -> int | None:
    leaf, handshake = _leaf(place), _handshake(place)
    if not leaf or not handshake or leaf.not_after is None:
        return None
    return max(0, int((leaf.not_after - handshake.at) // 86400))


def _distrust(place: Place, tls: Tls) -> str:
    """Why the peer's certificate is not trusted, as far as chain and trust store tell."""
    handshake, chain = _handshake(place), _chain(place)
    code = handshake.verify_code if handshake else None
    failed = place.contact.failed
    if not chain or code is None:
        return failed.detail if failed else ""
    top = chain[-1]
    if code in _TOO_WEAK and failed:
        return failed.detail
    if any(own.subject == top.issuer for own in _trusted(tls)) and code != _SELF_SIGNED:
        return (
            f"it is by {top.issuer}, and the authority of that name in {tls.ca_from or 'the trust'}"
            " has another key: it was renewed, or is that of another cluster"
        )
    if code == _SELF_SIGNED:
        return "it is self-signed"
    if code == _SELF_SIGNED_ROOT:
        return f"its root, {top.subject}, is not among the authorities trusted"
    if code in _NO_ISSUER and len(chain) > 1:
        return f"{top.issuer}, at the end of its chain, is not among the authorities trusted"
    if code in _NO_ISSUER:
        return (
            f"{top.issuer}, who issued it, is not among the authorities trusted; and if that is an "
            "intermediate authority, the broker does not send its certificate (incomplete chain)"
        )
    return failed.detail if failed else ""


def _trusted(tls: Tls) -> list[Certificate]:
    """The authorities that the user gave, of which a name can be compared."""
    ends = "-----END CERTIFICATE-----"
    blocks = (tls.ca or "").split(ends)[:-1]
    return [read(ssl.PEM_cert_to_DER_cert(_pem(block) + ends)) for block in blocks[:100]]


def _pem(block: str) -> str:
    return block[block.index("-----BEGIN") :]


def _trust(hit: Sequence[Place], tls: Tls) -> tuple[Remedy, ...]:
    origin = _origin(hit[0])
    best = hit[0].contact.best
    then = as_it_speaks(hit) if best and best.mechanisms else ()
    if origin:
        summary = f"{origin.words} {origin.remedy}"
        return (Remedy(summary, origin.command, "shell" if origin.command else "text"), *then)
    chain = _chain(hit[0])
    itself = bool(chain) and chain[0].self_signed
    lone = len(chain) == 1 and not itself
    return (*remedies.trust(hit[0].endpoint, tls.ca_from, lone, itself), *then)


def _mesh(hit: Sequence[Place]) -> tuple[Remedy, ...]:
    """A service mesh asks for certificates of its own, which no client outside can have."""
    origin = _origin(hit[0])
    if origin is None or origin.kind is not Kind.MESH:
        return ()
    return (Remedy(f"{origin.words} {origin.remedy}"),)


def _origin(place: Place) -> Origin | None:
    return recognise(_chain(place))


def _rename(hit: Sequence[Place]) -> tuple[Remedy, ...]:
    origin = _origin(hit[0])
    leaf = _leaf(hit[0])
    hosts = list(dict.fromkeys(place.endpoint.host for place in hit))
    return remedies.certificate_names(hosts, leaf.names if leaf else (), bool(origin))


def _coverage(bootstrap: Bootstrap, listeners: Listeners | None) -> list[str]:
    """Which of the names in play each certificate covers."""
    met = [(place, leaf) for place in places(bootstrap, listeners) if (leaf := _leaf(place))]
    hosts = list(dict.fromkeys(place.endpoint.host for place, _ in met))
    lines: dict[str, list[str]] = {}
    for place, leaf in met:
        good = [host for host in hosts if covers(leaf, host)]
        bad = [host for host in hosts if host not in good]
        line = f"covers {listed(good) or 'none of the names dialled'}"
        if good and bad:
            line += f", not {listed(bad)}"
        lines.setdefault(line, []).append(place.subject)
    return [f"the certificate of {listed(who)} {line}" for line, who in lines.items()]


def _authorities(place: Place) -> list[str]:
    handshake = _handshake(place)
    return [authority(name) for name in handshake.authorities] if handshake else []


def own_certificate(tls: Tls) -> Certificate | None:
    """The client's own."""
    if not tls.certificate:
        return None
    return next(iter(_trusted(Tls(ca=tls.certificate))), None)

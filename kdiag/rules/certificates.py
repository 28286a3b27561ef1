"""KD112 to KD114, KD125, certificates: what is wrong with the one that a peer showed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdiag.attempt import Failure
from kdiag.certificate import covers
from kdiag.hops.bootstrap import Bootstrap
from kdiag.hops.listeners import Listeners
from kdiag.remedies import kafka as remedies
from kdiag.rule import Match, Remedy, Severity, rule
from kdiag.rules.handshake import chain_at, day, handshake_at, leaf_at, origin_at, shown, trusted
from kdiag.rules.place import HOPS, Fix, Place, as_it_speaks, failing, match, places
from kdiag.rules.words import escaped, listed
from kdiag.security import Tls
from kdiag.settings import Settings

# A certificate is near its end in the last third of its lifetime, 30 days at most. What renews by
# itself has done so by then: cert-manager does at two thirds, Strimzi 30 days before the end.
SOON, LAST_PART = 30 * 86400, 1 / 3  # seconds, part of the lifetime

_SELF_SIGNED, _SELF_SIGNED_ROOT = 18, 19
_NO_ISSUER = (2, 20, 21)
_TOO_WEAK = (66, 67, 68)

_RENEW = (
    "Renew the broker's certificate{by}, and have the broker read the new one; where cert-manager, "
    "Strimzi or MSK renew by themselves, see why they did not."
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
                shown(these),
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
            (*shown(hit), *_coverage(bootstrap, listeners)),
        )


@rule("KD114", "certificate-expired", Severity.ERROR, "The certificate is out of its time")
def certificate_expired(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
    """The broker's certificate has expired, or is not valid yet.

    When a certificate that others accept is not valid yet, look at this machine's clock.

    Prove it: `openssl s_client -connect HOST:PORT | openssl x509 -noout -dates`, and `date`.
    """
    for hop, hit, severity in failing({Failure.EXPIRED}, bootstrap, listeners):
        early = all(_not_yet(place) for place in hit)
        said = "is not valid yet" if early else _since(hit) or "has expired"
        fix = remedies.say(
            "Set this machine's clock right if it is behind. Else the certificate was made for "
            "later: have the broker use one that is valid now."
            if early
            else _RENEW.format(by="") + " If this machine's clock is ahead, set that right."
        )
        message = f"{{who}} show{{s}} a certificate that {said}"
        yield match(hop, hit, message, _always(fix), severity, (*shown(hit), *_clock(hit)))


@rule("KD125", "certificate-expires-soon", Severity.WARNING, "The certificate is near its end")
def certificate_expires_soon(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
    """The broker's certificate works today, and ends soon.

    Soon is the last third of the certificate's lifetime, and 30 days at most: a certificate of a
    service mesh lives for 24 hours, and is fine for the first 16 of them.

    Prove it: `openssl s_client -connect HOST:PORT | openssl x509 -noout -dates`, and `date`.
    """
    known: set[str] = set()
    for hop in HOPS:
        here = [p for p in places(bootstrap, listeners) if p.hop == hop and p.contact.usable]
        left = {place: seconds for place in here if (seconds := _near_end(place)) is not None}
        soon = [p for p in left if (leaf := leaf_at(p)) and leaf.fingerprint not in known]
        known |= {leaf.fingerprint for place in soon if (leaf := leaf_at(place))}
        if soon:
            first = min(left[place] for place in soon)
            message = f"The certificate of {{who}} expires in {_span(first)}"
            fix = remedies.say(_RENEW.format(by=" before that"))
            yield match(hop, soon, message, _always(fix), None, shown(soon))


def _always(fix: Remedy) -> Fix:
    return lambda _: (fix,)


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _since(hit: Sequence[Place]) -> str:
    """When it expired, where that is as long ago for all."""
    ages = {
        int((handshake.at - leaf.not_after) // 86400)
        for place in hit
        if (leaf := leaf_at(place)) and (handshake := handshake_at(place)) and leaf.not_after
    }
    return f"expired {_counted(ages.pop(), 'day')} ago" if len(ages) == 1 and min(ages) > 0 else ""


def _clock(hit: Sequence[Place]) -> list[str]:
    handshake = handshake_at(hit[0])
    return [f"it is {day(int(handshake.at))} by this machine's clock"] if handshake else []


def _not_yet(place: Place) -> bool:
    leaf, handshake = leaf_at(place), handshake_at(place)
    return bool(leaf and handshake and leaf.not_before and leaf.not_before > handshake.at)


def _near_end(place: Place) -> float | None:
    """Seconds until the certificate expires; None where that is not soon, or is not known."""
    leaf, handshake = leaf_at(place), handshake_at(place)
    if not leaf or not handshake or leaf.not_after is None or leaf.not_before is None:
        return None
    left = leaf.not_after - handshake.at
    soon = min(SOON, (leaf.not_after - leaf.not_before) * LAST_PART)
    return max(0.0, left) if left < soon else None


def _span(seconds: float) -> str:
    """A time in the largest unit that it has one of."""
    for unit, size in (("day", 86400), ("hour", 3600)):
        if seconds >= size:
            return _counted(int(seconds // size), unit)
    return _counted(int(seconds // 60), "minute")


def _distrust(place: Place, tls: Tls) -> str:
    """Why the peer's certificate is not trusted, as far as chain and trust store tell."""
    handshake, chain = handshake_at(place), chain_at(place)
    code = handshake.verify_code if handshake else None
    failed = place.contact.failed
    if not chain or code is None:
        return failed.detail if failed else ""
    top = chain[-1]
    if code in _TOO_WEAK and failed:
        return failed.detail
    if any(own.subject == top.issuer for own in trusted(tls)) and code != _SELF_SIGNED:
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


def _trust(hit: Sequence[Place], tls: Tls) -> tuple[Remedy, ...]:
    origin = origin_at(hit[0])
    best = hit[0].contact.best
    then = as_it_speaks(hit) if best and best.mechanisms else ()
    if origin:
        summary = f"{origin.words} {origin.remedy}"
        return (Remedy(summary, origin.command, "shell" if origin.command else "text"), *then)
    chain = chain_at(hit[0])
    itself = bool(chain) and chain[0].self_signed
    lone = len(chain) == 1 and not itself
    return (*remedies.trust(hit[0].endpoint, tls.ca_from, lone, itself), *then)


def _rename(hit: Sequence[Place]) -> tuple[Remedy, ...]:
    origin = origin_at(hit[0])
    leaf = leaf_at(hit[0])
    hosts = list(dict.fromkeys(place.endpoint.host for place in hit))
    return remedies.certificate_names(hosts, leaf.names if leaf else (), bool(origin))


def _coverage(bootstrap: Bootstrap, listeners: Listeners | None) -> list[str]:
    """Which of the names in play each certificate covers."""
    met = [(place, leaf) for place in places(bootstrap, listeners) if (leaf := leaf_at(place))]
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

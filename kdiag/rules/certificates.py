"""KD112 to KD114 and KD125: the server's certificate is untrusted, wrongly named or expired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdiag.address import parse
from kdiag.config.security import Tls
from kdiag.config.settings import Settings
from kdiag.network.attempt import Failure
from kdiag.network.certificate import Certificate, CertificateKind, covers
from kdiag.rules import remedies
from kdiag.rules.client import ClientSystem
from kdiag.rules.handshake import chain_at, day, handshake_at, leaf_at, origin_at, shown, trusted
from kdiag.rules.location import (
    DIALLING_HOPS,
    Location,
    as_it_speaks,
    failing,
    locations,
    match,
)
from kdiag.rules.rule import Match, Note, Remedy, Severity, rule
from kdiag.rules.text import escaped, listed, once
from kdiag.text import plural
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners

# A certificate expires soon in the last third of its lifetime, 30 days at most. Automatic renewal
# has happened by then: cert-manager renews at two thirds, Strimzi 30 days before the end.
SOON, LAST_PART = 30 * 86400, 1 / 3  # seconds, part of the lifetime

_SELF_SIGNED, _SELF_SIGNED_ROOT = 18, 19
_NO_ISSUER_OF_TRUSTED = 2  # the trust store has a certificate of the path, but not its issuer
_NO_ISSUER = (_NO_ISSUER_OF_TRUSTED, 20, 21)
_TOO_WEAK, _NO_AUTHORITY = (66, 67, 68), (24, 79)
# What OpenSSL says where the trust store has another key under the issuer's name.
_OTHER_KEY = (7, _SELF_SIGNED_ROOT, 30, *_NO_ISSUER)

_RENEW = (
    "Renew the broker's certificate{by}, and let the broker load it; where cert-manager, "
    "Strimzi or MSK renew by themselves, find out why they did not."
)


@rule("KD112", "untrusted-certificate", Severity.ERROR, "The certificate's issuer is not trusted")
def untrusted_certificate(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings, client: ClientSystem
) -> Iterator[Match | Note]:
    """The certificate cannot be traced to an authority that this client trusts.

    It is self-signed, or by an authority that is missing from the client's trust store, or the
    broker does not send the certificate between its own and that authority. Clients print
    "certificate verify failed" or "unable to find valid certification path". A certificate of an
    ingress, a service mesh or a company's proxy means that you did not reach the broker itself.

    Clients differ in what a trust store may hold. Java's client trusts each certificate in it: the
    broker's own is enough, and so is an intermediate authority's. OpenSSL's clients, librdkafka
    and Python among them, need the root. kdiag judges as the client does whose properties it was
    given: by Java's rule for `ssl.truststore.*`, by OpenSSL's for `ssl.ca.*`.

    Prove it: `openssl s_client -connect HOST:PORT -showcerts`.

    How to fix: give the client the certificate of the authority that issued the broker's:
    `ssl.truststore.location` in Java, `ssl.ca.location` in librdkafka. Where an intermediate
    certificate is missing, add it to the broker's key store.
    """
    for hop, matching, severity in failing({Failure.UNTRUSTED}, bootstrap, listeners):
        for why in dict.fromkeys(_distrust(place, settings.security.tls) for place in matching):
            these = [p for p in matching if _distrust(p, settings.security.tls) == why]
            yield match(
                hop,
                these,
                f"{{who}} show{{s}} a certificate that this client does not trust: {escaped(why)}",
                lambda matching: _trust_fixes(matching, settings.security.tls, client),
                severity,
                shown(these),
            )
    if any(p.contact.usable and p.contact.only_java for p in locations(bootstrap, listeners)):
        yield Note(
            "only Java's client trusts the certificates here by "
            f"{settings.security.tls.ca_from}: OpenSSL's clients, librdkafka among them, need the "
            "root authority in the trust store, valid dates in every certificate up to it, and "
            "keys of 2048 bits (RSA); kdiag writes no record there, with --topic, because its "
            "client is librdkafka"
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

    How to fix: issue a certificate that has the dialled name or address among its subject
    alternative names, or dial and advertise a name that the certificate has. In Strimzi, set
    `alternativeNames` and `advertisedHost`.
    """
    for hop, matching, severity in failing({Failure.NAME_MISMATCH}, bootstrap, listeners):
        hosts = listed(once(place.endpoint.host for place in matching))
        addresses = _only_as_names(matching)
        as_names = ""
        if addresses:
            as_names = f": it has {listed(addresses)} as a DNS name, and not as an IP address"
        yield match(
            hop,
            matching,
            f"{{who}} show{{s}} a certificate that is not for {escaped(hosts)}{escaped(as_names)}",
            _name_fixes,
            severity,
            (*shown(matching), *_coverage(bootstrap, listeners, addresses)),
        )


@rule(
    "KD114",
    "certificate-expired",
    Severity.ERROR,
    "The certificate has expired or is not valid yet",
)
def certificate_expired(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The broker's certificate has expired, or is not valid yet; or that of an authority has.

    An authority in the client's trust store expires too. OpenSSL's clients, librdkafka among them,
    then refuse what that authority issued; Java's do not look at the dates of what they trust. The
    client needs the authority's new certificate then, and no broker has to change.

    When a certificate that others accept is not valid yet, look at this machine's clock.

    Prove it: `openssl s_client -connect HOST:PORT | openssl x509 -noout -dates`, and `date`.

    How to fix: renew the certificate that the evidence names, and restart or reload what uses it.
    For an authority in the trust store, replace it there. Where the clock of this machine is wrong,
    set the clock.
    """
    tls = settings.security.tls
    for hop, expired, severity in failing({Failure.EXPIRED}, bootstrap, listeners):
        late = {place: found for place in expired if (found := _expired_authority(place, tls))}
        for reason, fix in dict.fromkeys(late.values()):
            these = [place for place in expired if late.get(place) == (reason, fix)]
            message = f"{{who}} show{{s}} a certificate that is valid now, but {escaped(reason)}"
            yield match(hop, these, message, fix, severity, (*shown(these), *_clock(these)))
        matching = [place for place in expired if place not in late]
        if not matching:
            continue
        early = all(_not_yet(place) for place in matching)
        state = "is not valid yet" if early else _expired_ago(matching) or "has expired"
        fix = remedies.say(
            "Correct this machine's clock if it is behind. Otherwise the certificate is for a "
            "later time: let the broker use one that is valid now."
            if early
            else _RENEW.format(by="") + " If this machine's clock is ahead, correct it."
        )
        message = f"{{who}} show{{s}} a certificate that {state}"
        yield match(hop, matching, message, fix, severity, (*shown(matching), *_clock(matching)))


@rule("KD125", "certificate-expires-soon", Severity.WARNING, "The certificate expires soon")
def certificate_expires_soon(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
    """The broker's certificate works today, and ends soon.

    Soon is the last third of the certificate's lifetime, and 30 days at most: a certificate of a
    service mesh lives for 24 hours, and is fine for the first 16 of them.

    Prove it: `openssl s_client -connect HOST:PORT | openssl x509 -noout -dates`, and `date`.

    How to fix: renew the certificate before the date in the evidence, and look why the automatic
    renewal, if there is one, has not done so.
    """
    known: set[str] = set()
    for hop in DIALLING_HOPS:
        here = [p for p in locations(bootstrap, listeners) if p.hop == hop and p.contact.usable]
        left = {place: seconds for place in here if (seconds := _near_end(place)) is not None}
        soon = [p for p in left if (leaf := leaf_at(p)) and leaf.fingerprint not in known]
        known |= {leaf.fingerprint for place in soon if (leaf := leaf_at(place))}
        if soon:
            first = min(left[place] for place in soon)
            message = f"The certificate of {{who}} expires in {_duration(first)}"
            if first <= 0:
                message = "The certificate of {who} has expired, and this client does not check it"
            fix = remedies.say(_RENEW.format(by=" before that"))
            yield match(hop, soon, message, fix, None, shown(soon))


def _expired_ago(matching: Sequence[Location]) -> str:
    """How many days ago the certificates expired; "" where the days differ or are not known."""
    ages = {
        int((handshake.at - leaf.not_after) // 86400)
        for place in matching
        if (leaf := leaf_at(place)) and (handshake := handshake_at(place)) and leaf.not_after
    }
    return f"expired {plural(ages.pop(), 'day')} ago" if len(ages) == 1 and min(ages) > 0 else ""


def _clock(matching: Sequence[Location]) -> list[str]:
    handshake = handshake_at(matching[0])
    return [f"it is {day(int(handshake.at))} by this machine's clock"] if handshake else []


def _expired_authority(place: Location, tls: Tls) -> tuple[str, Remedy] | None:
    """Which authority's certificate is out of its validity period while the broker's is within its
    own: a text, and the fix. None where the broker's own is out of its period too.

    Without other knowledge it is an authority in the client's trust store: were none there,
    verification would have failed with another error."""
    handshake, chain = handshake_at(place), chain_at(place)
    if not handshake or not chain or _out_of_period(chain[0], handshake.at):
        return None
    issuers = {certificate.issuer for certificate in chain}
    store = () if tls.java_trust else trusted(tls)
    in_store = [c for c in store if c.subject in issuers and _out_of_period(c, handshake.at)]
    in_chain = [c for c in chain[1:] if _out_of_period(c, handshake.at)]
    if in_store or (not in_chain and tls.ca is None):
        where = tls.ca_from or "this machine's trust store"
        whose = f"{in_store[0].subject}, in {where}" if in_store else f"an authority in {where}"
        until = f"; its certificate ended on {day(in_store[0].not_after)}" if in_store else ""
        return (
            f"its authority, in the client's store, expired or is not valid yet: {whose}{until}",
            remedies.say(
                f"Put the authority's new certificate into {where}. The brokers need no change. A "
                "Java client with the same authority still connects: it does not check the dates "
                "of what is in its trust store."
            ),
        )
    if in_chain:
        return (
            f"the certificate of {in_chain[0].subject}, which the broker sends along, ended on "
            f"{day(in_chain[0].not_after)}",
            remedies.say(
                "Let the broker send the new certificate of that authority: replace it in the "
                "chain in ssl.keystore, and let the broker load it."
            ),
        )
    return None


def _out_of_period(certificate: Certificate, at: float) -> bool:
    """Whether a certificate is out of its validity period, or its period cannot be read."""
    start, end = certificate.not_before, certificate.not_after
    return start is None or end is None or not start <= at <= end


def _not_yet(place: Location) -> bool:
    leaf, handshake = leaf_at(place), handshake_at(place)
    return bool(leaf and handshake and leaf.not_before and leaf.not_before > handshake.at)


def _near_end(place: Location) -> float | None:
    """Seconds until the certificate expires; None where it does not expire soon, or has no readable
    dates."""
    leaf, handshake = leaf_at(place), handshake_at(place)
    if not leaf or not handshake or leaf.not_after is None or leaf.not_before is None:
        return None
    left = leaf.not_after - handshake.at
    soon = min(SOON, (leaf.not_after - leaf.not_before) * LAST_PART)
    return max(0.0, left) if left < soon else None


def _duration(seconds: float) -> str:
    """A duration in whole days, else hours, else minutes."""
    for unit, size in (("day", 86400), ("hour", 3600)):
        if seconds >= size:
            return plural(int(seconds // size), unit)
    return plural(int(seconds // 60), "minute")


def _distrust(place: Location, tls: Tls) -> str:
    """Why the client does not trust the certificate, from the chain and the trust store."""
    handshake, chain = handshake_at(place), chain_at(place)
    code = handshake.verify_code if handshake else None
    failed = place.contact.failed
    if not chain or code is None:
        return failed.detail if failed else ""
    top = chain[-1]
    if code in _TOO_WEAK and failed:
        return failed.detail
    if handshake and handshake.empty_store and tls.ca is None:
        return (
            "this machine's trust store is empty: there is no authority's certificate in "
            f"{handshake.empty_store}, nor where librdkafka looks"
        )
    for_java_only = _trusted_by_java_only(chain, code, tls)
    if for_java_only:
        return for_java_only
    if code in _NO_AUTHORITY:
        return (
            f"the certificate of {top.issuer}, who issued it, is not one of an authority (basic "
            "constraint CA:TRUE)"
        )
    if any(own.subject == top.issuer for own in trusted(tls)) and code in _OTHER_KEY:
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


def _trusted_by_java_only(chain: Sequence[Certificate], code: int, tls: Tls) -> str:
    """The part of the chain that the trust store has and that only Java's client accepts, as text;
    "" where the store has no such part."""
    store = trusted(tls)
    if code not in _NO_ISSUER:
        return ""
    if any(certificate.fingerprint == chain[0].fingerprint for certificate in store):
        return (
            f"{tls.ca_from or 'the trust store'} has the broker's own certificate, and this client "
            f"needs that of the authority which issued it, {chain[0].issuer} (a Java client takes "
            "the broker's own)"
        )
    issuers = {certificate.issuer for certificate in chain}
    between = [c for c in store if c.subject in issuers and not c.self_signed]
    if code == _NO_ISSUER_OF_TRUSTED and between:
        return (
            f"{tls.ca_from or 'the trust store'} has the intermediate authority "
            f"{between[0].subject} alone, and this client needs the root too, {between[0].issuer} "
            "(a Java client takes the intermediate one)"
        )
    return ""


def _trust_fixes(
    matching: Sequence[Location], tls: Tls, client: ClientSystem
) -> tuple[Remedy, ...]:
    origin = origin_at(matching[0])
    best = matching[0].contact.best
    login = as_it_speaks(matching) if best and best.mechanisms else ()
    if origin:
        summary = f"{origin.meaning} {origin.remedy}"
        return (Remedy(summary, origin.command, "shell" if origin.command else "text"), *login)
    chain, handshake = chain_at(matching[0]), handshake_at(matching[0])
    if handshake and handshake.empty_store and tls.ca is None:
        return (
            _fill_store(handshake.empty_store),
            *remedies.trust(matching[0].endpoint, "", False, False, client),
        )
    code = handshake.verify_code if handshake else None
    if code in _TOO_WEAK:
        return (
            remedies.say(
                "Issue the certificate, or that of its authority, with a key of 2048 bits (RSA) or "
                "256 (EC) and signed with SHA-256 at least: this machine's OpenSSL takes none that "
                "is weaker. A Java client may."
            ),
            *login,
        )
    if code in _NO_AUTHORITY:
        return (
            remedies.say(
                "Issue the authority's certificate anew with the basic constraint CA:TRUE, and the "
                "brokers' by it."
            ),
            *login,
        )
    self_signed = bool(chain) and chain[0].self_signed
    incomplete = len(chain) == 1 and not self_signed
    return (
        *remedies.trust(matching[0].endpoint, tls.ca_from, incomplete, self_signed, client),
        *login,
    )


def _fill_store(places: str) -> Remedy:
    """The fix for a machine whose trust store has no certificate."""
    if "Python.framework" in places:
        return remedies.say(
            "This Python's OpenSSL came without authorities: run Install Certificates.command in "
            "its folder, if the broker's certificate is by a public one. Other clients on this "
            "machine may have authorities of their own."
        )
    return remedies.say(
        "If the broker's certificate is by a public authority, install the package "
        "ca-certificates here. A Java client brings authorities of its own, and may connect."
    )


def _name_fixes(matching: Sequence[Location]) -> tuple[Remedy, ...]:
    origin = origin_at(matching[0])
    leaf = leaf_at(matching[0])
    strimzi = origin is not None and origin.kind is CertificateKind.STRIMZI
    hosts = once(place.endpoint.host for place in matching)
    return remedies.certificate_names(hosts, leaf.names if leaf else (), strimzi)


def _only_as_names(matching: Sequence[Location]) -> list[str]:
    """The dialled addresses that the refused certificates have, as DNS names only."""
    hosts = [
        place.endpoint.host
        for place in matching
        if (leaf := leaf_at(place)) and parse(place.endpoint.host)
        if covers(leaf, place.endpoint.host)
    ]
    return once(hosts)


def _coverage(
    bootstrap: Bootstrap, listeners: Listeners | None, names_only: Sequence[str]
) -> list[str]:
    """Which of the dialled hosts each certificate covers, a line for each group of subjects; none
    covers an address that it has as a DNS name only."""
    leaves = [
        (place, leaf) for place in locations(bootstrap, listeners) if (leaf := leaf_at(place))
    ]
    hosts = once(place.endpoint.host for place, _ in leaves)
    lines: dict[str, list[str]] = {}
    for place, leaf in leaves:
        covered = [h for h in hosts if covers(leaf, h) and h not in names_only]
        missing = [host for host in hosts if host not in covered]
        line = f"covers {listed(covered) or 'none of the names dialled'}"
        if covered and missing:
            line += f", not {listed(missing)}"
        lines.setdefault(line, []).append(place.subject)
    return [f"the certificate of {listed(whose)} {line}" for line, whose in lines.items()]

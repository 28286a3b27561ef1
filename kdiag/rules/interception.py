"""KD128: something on the path opens TLS and shows a certificate of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kdiag.address import internal_name, is_private, network_of, parse
from kdiag.config.settings import Settings
from kdiag.network.attempt import GONE, Failure
from kdiag.network.certificate import CertificateKind
from kdiag.rules import remedies
from kdiag.rules.handshake import chain_at, handshake_at, origin_at, shown
from kdiag.rules.location import DIALLING_HOPS, Location, locations, match
from kdiag.rules.managed import certified_publicly
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import escaped, listed, once, sentence
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners

# What is in the names of public authorities.
_PUBLIC_AUTHORITIES = re.compile(
    r"Amazon|Let's Encrypt|ISRG|Internet Security Research Group|DigiCert|Microsoft|Baltimore|"
    r"Google Trust|GTS |Sectigo|Comodo|USERTrust|GlobalSign|Entrust|GoDaddy|Starfield|IdenTrust|"
    r"SSL\.com|SSL Corp|ZeroSSL|Buypass|Certum|QuoVadis|VeriSign|GeoTrust|Thawte|RapidSSL|Verizon"
)
_SHARED = "100.64.0.0/10"  # addresses that access proxies and mesh VPNs hand out


@rule("KD128", "tls-interception", Severity.ERROR, "A proxy on the path opens TLS")
def tls_interception(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The certificate is not the broker's: a proxy on the path (TLS inspection, as Zscaler,
    Netskope and firewalls have it) ends TLS and shows one of its own, by its company's authority.

    It is an error where a known product signed the certificate and the client does not trust it. It
    is a warning where the client trusts that authority, since the connection works and the proxy
    reads it; and where a name of Confluent Cloud, Amazon MSK or Azure Event Hubs, whose
    certificates are by public authorities, has one by an authority that is not known as public:
    that is likely a company's own, and not proven.

    Other signs prove less, and are evidence of other findings only: a handshake that ends without
    an alert (KD121) or an answer (KD107), and a public name that resolves to a private address
    here. The latter is also what a private link or a VPN does, and no fault by itself.

    Prove it: `openssl s_client -connect HOST:PORT -servername HOST -showcerts` from here and from
    another network: the issuer differs.

    How to fix: ask those who run the network to exempt the brokers' host names and ports from TLS
    inspection. Trusting the company's authority helps where the proxy lets Kafka's protocol pass;
    client certificates (mutual TLS) cannot pass it.
    """
    for hop in DIALLING_HOPS:
        here = [place for place in locations(bootstrap, listeners) if place.hop == hop]
        known = [p for p in here if (o := origin_at(p)) and o.kind is CertificateKind.INSPECTION]
        usable = hop == "bootstrap" and bool(bootstrap.usable)
        untrusted = [p for p in known if _ends(p) is Failure.UNTRUSTED]
        works = [p for p in known if p.contact.usable]
        company = [p for p in here if p not in known and _by_a_company(p)]
        for places, message, severity in (
            (
                untrusted,
                "{who} show{s} a certificate by " + escaped(_signers(untrusted)) + ", not the "
                "broker's: a proxy on the path opens TLS, and this client does not trust it",
                Severity.WARNING if usable else None,
            ),
            (
                works,
                "{who} show{s} a certificate by " + escaped(_signers(works)) + ": a proxy on the "
                "path opens TLS, and can read what this client sends",
                Severity.WARNING,
            ),
            (
                company,
                "{who} show{s} a certificate by " + escaped(_issuers(company)) + ", which is not "
                "known as a public authority: likely a proxy on the path opens TLS",
                Severity.WARNING,
            ),
        ):
            if places:
                more = [*shown(places), *(line for p in places for line in resolved_inside(p))]
                yield match(hop, places, message, _fixes, severity, more)


def _ends(place: Location) -> Failure | None:
    return place.contact.failed.failure if place.contact.failed else None


def _signers(places: Sequence[Location]) -> str:
    names = (origin.name for place in places if (origin := origin_at(place)))
    return listed([re.sub(r".*\((.*)\)", r"\1", name) for name in once(names)])


def _issuers(places: Sequence[Location]) -> str:
    return listed(once(chain_at(place)[-1].issuer for place in places))


def _by_a_company(place: Location) -> bool:
    """Whether a name of a public service has a certificate that the client does not trust, by an
    authority that is not known as public."""
    handshake, chain = handshake_at(place), chain_at(place)
    if _ends(place) is not Failure.UNTRUSTED or not chain or not handshake or origin_at(place):
        return False
    if not chain[-1].issuer or not certified_publicly(place.endpoint.host):
        return False
    issuers = " ".join(certificate.issuer for certificate in chain)
    return not _PUBLIC_AUTHORITIES.search(issuers)


def _fixes(matching: Sequence[Location]) -> tuple[Remedy, ...]:
    return (
        remedies.say(sentence(exempt(matching))),
        remedies.say(
            "Until then, or where that is not possible: ask them for the certificate of the "
            "proxy's authority, and put it into the client's trust store. That is not enough where "
            "the proxy lets only HTTP pass, and not for clients with a certificate of their own."
        ),
    )


def exempt(matching: Sequence[Location]) -> str:
    """What to ask of those who run the network."""
    targets = listed(once(str(place.endpoint) for place in matching))
    return (
        f"ask those who run this network to exempt {targets}, and the other brokers' names and "
        "ports, from TLS inspection (SSL inspection bypass), also for connections by address."
    )


def ended_in_tls(place: Location) -> bool:
    """Whether the peer ended the TLS handshake without an alert, or did not answer it."""
    failed = place.contact.failed
    if not failed or failed.layer != "tls":
        return False
    return failed.failure in (*GONE, Failure.SILENT)


def resolved_inside(place: Location) -> Iterator[str]:
    """Evidence: a public name that resolves to a private address here."""
    host = place.endpoint.host
    if parse(host) is not None or internal_name(host):
        return
    inside = [dial.address for dial in place.dials if is_private(dial.address)]
    if not inside:
        return
    shared = any(network_of(address) == _SHARED for address in inside)
    who = "an access proxy (such as Zscaler Private Access), a VPN" if shared else "a VPN"
    yield (
        f"{host} resolves to {listed(inside)} here, which is no address of the internet: {who} or "
        "a private link has it; which of them is not proven"
    )

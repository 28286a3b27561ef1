"""KD127, the canonical names of bootstrap servers: what depends on reverse DNS without Kerberos."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.address import parse
from kdiag.config.settings import CANONICAL, Settings
from kdiag.network.attempt import EndpointResult, Failure
from kdiag.network.certificate import covers
from kdiag.rules import remedies
from kdiag.rules.handshake import leaf_at
from kdiag.rules.location import Location
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed
from kdiag.walk.facts.bootstrap import Bootstrap


@rule("KD127", "canonical-name", Severity.WARNING, "The client takes names from reverse DNS")
def canonical_name(bootstrap: Bootstrap, settings: Settings) -> Iterator[Match]:
    """With `client.dns.lookup=resolve_canonical_bootstrap_servers_only` the client does not use the
    name of its bootstrap server. It looks up the addresses of that name, takes the name that
    reverse DNS (PTR) has for each address, and dials these names; an address without a name is
    dialled as it is.

    The setting is for Kerberos, whose tickets are for the names of hosts. Without Kerberos it only
    makes the client depend on reverse DNS: the certificate must be for the name in the PTR record,
    which the owner of the address decides, and that name must resolve. In clouds it is often a name
    such as ip-10-0-1-11.ec2.internal, which no certificate has.

    It is an error where the certificate is for the name that the user wrote and not for the one
    from reverse DNS, or where the name from reverse DNS does not resolve, and no other server
    works. It is a warning where TLS works all the same. Java's clients take a name only where it
    leads back to its address, librdkafka's take any. kdiag does as the client whose properties it
    was given, else as librdkafka.

    Prove it: `getent hosts ADDRESS` shows the name; connect with `client.dns.lookup` left out.

    How to fix: leave `client.dns.lookup` out, or set it to `use_all_dns_ips`, the default.
    """
    sasl = settings.security.sasl
    taken = [c for c in bootstrap.contacts if c.given and c.given.host != c.endpoint.host]
    if not taken or (sasl and sasl.mechanism == "GSSAPI"):
        return
    lost = [c for c in taken if c.dns and c.dns.failure]
    misnamed = [c for c in taken if _for_the_given_name(c)]
    others = [c for c in taken if c not in misnamed and any(dial.handshake for dial in c.dials)]
    for matching, breaks, what in (
        (lost, True, "which does not resolve"),
        (misnamed, True, "and the certificate is only for the name that was written"),
        (others, False, "and the certificate has to be for that name"),
    ):
        if not matching:
            continue
        names = listed([c.endpoint.host for c in matching])
        yield Match(
            "bootstrap",
            f"client.dns.lookup makes the client dial {names}, {what}",
            tuple(f"bootstrap {c.endpoint}" for c in matching),
            tuple(_evidence(c) for c in matching),
            (
                remedies.say(
                    "Leave client.dns.lookup out: without Kerberos it gives nothing, and the "
                    "default uses all addresses of the name that you write.",
                    "client.dns.lookup=use_all_dns_ips",
                    "properties",
                ),
            ),
            Severity.ERROR if breaks and not bootstrap.usable else None,
        )


def _evidence(contact: EndpointResult) -> str:
    given, host = contact.given, contact.endpoint.host
    assert given is not None
    if parse(host):
        found = f"reverse DNS has no name for {host}, an address of {given}"
    else:
        found = f"the name of an address of {given} is {host} by reverse DNS"
    return f"{found}; client.dns.lookup={CANONICAL} takes it"


def _for_the_given_name(contact: EndpointResult) -> bool:
    """Whether the certificate is refused for the dialled name, and is for the given one."""
    failed = contact.failed
    leaf = leaf_at(Location("bootstrap", "", contact))
    refused = failed is not None and failed.failure is Failure.NAME_MISMATCH
    return bool(refused and leaf and contact.given and covers(leaf, contact.given.host))

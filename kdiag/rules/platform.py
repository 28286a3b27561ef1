"""What runs the brokers, as far as a walk shows it: it decides which fix comes first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum

from kdiag.address import internal_name, is_loopback, parse
from kdiag.config.record import NamedTuple
from kdiag.network.attempt import AddressResult
from kdiag.network.certificate import CertificateKind, read, recognise
from kdiag.rules.managed import CONFLUENT, MSK, service_of
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners

NODE_PORTS = range(30000, 32768)

# Strimzi's Services: CLUSTER-kafka-brokers for the pods, CLUSTER-kafka-bootstrap and
# CLUSTER-kafka-LISTENER-bootstrap for clients.
_STRIMZI = re.compile(
    r"(?:^|\.)([a-z0-9][a-z0-9-]*)-kafka-(?:brokers|(?:[a-z0-9-]+-)?bootstrap)"
    r"(?:\.([a-z0-9-]+)\.svc(?:\.|$)|$)"
)
_DOCKER_NETWORK = re.compile(r"172\.(1[7-9]|2\d|3[01])\.")


class Kind(str, Enum):
    """What runs the brokers; PLAIN where nothing shows anything else."""

    PLAIN = "plain"
    STRIMZI = "Strimzi"
    COMPOSE = "Docker"
    MSK = "Amazon MSK"
    CONFLUENT = "Confluent Cloud"


class Platform(NamedTuple):
    """What runs the brokers. `sure` is false where the signs are others' too, as a NodePort is.
    For Strimzi: the names of the `cluster` and of its `namespace`, "" where they are not known."""

    kind: Kind = Kind.PLAIN
    sure: bool = False
    cluster: str = ""
    namespace: str = ""


def platform(facts: Facts) -> Platform:
    """What runs the brokers of a walk: a given file tells, then certificates, then names, then
    ports."""
    bootstrap, listeners = facts.get(Bootstrap), facts.get(Listeners)
    if bootstrap is None:
        return facts.get(Platform) or Platform()
    known_listeners = listeners.listeners if listeners else ()
    contacts = [*bootstrap.contacts, *(x.contact for x in known_listeners)]
    hosts = [contact.endpoint.host.rstrip(".").lower() for contact in contacts]
    dials = [dial for contact in contacts for dial in contact.dials]
    known = _by_certificate(dials) or _by_name(hosts)
    given = facts.get(Platform)
    if given:
        return known if known and known.kind is given.kind else given
    advertised = [x.broker.advertised for x in known_listeners]
    if known or not advertised:
        return known or Platform()
    if all(endpoint.port in NODE_PORTS for endpoint in advertised):
        return Platform(Kind.STRIMZI)
    own = any(is_loopback(contact.endpoint.host) for contact in bootstrap.usable)
    return _docker([endpoint.host for endpoint in advertised], own) or Platform()


def _by_certificate(dials: Iterable[AddressResult]) -> Platform | None:
    for chain in dict.fromkeys(dial.handshake.chain for dial in dials if dial.handshake):
        origin = recognise([read(der) for der in chain])
        if origin and origin.kind is CertificateKind.STRIMZI:
            return Platform(Kind.STRIMZI, True, origin.cluster, origin.namespace)
    return None


def _by_name(hosts: Sequence[str]) -> Platform | None:
    for host in hosts:
        if found := _STRIMZI.search(host):
            return Platform(Kind.STRIMZI, True, found[1], found[2] or "")
    services = [service_of(host) for host in hosts]
    if any(service in MSK for service in services):
        return Platform(Kind.MSK, True)
    return Platform(Kind.CONFLUENT, True) if CONFLUENT in services else None


def _docker(hosts: Sequence[str], own: bool) -> Platform | None:
    """Docker, by the advertised hosts; `own`: the client connected to its own machine."""
    kinds = {internal_name(host) for host in hosts}
    if "a container id" in kinds or any(host.endswith(".docker.internal") for host in hosts):
        return Platform(Kind.COMPOSE, True)
    bare = kinds == {"a bare host name"}
    bridged = own and all(parse(host) and _DOCKER_NETWORK.match(host) for host in hosts)
    return Platform(Kind.COMPOSE) if bare or bridged else None

"""Managed services, recognised by the names of their brokers: what is different there.

SERVICES is the one table. An entry adds to findings and notes; it never makes a finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from kdiag.config.endpoint import Endpoint
from kdiag.config.record import NamedTuple
from kdiag.config.settings import Settings
from kdiag.rules.rule import Finding, Remedy
from kdiag.rules.text import listed, once
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners

_NOT_REACHED = ("KD103", "KD104", "KD105", "KD107", "KD108", "KD121")
_NAMES = ("KD101", "KD102")
_TRUST = ("KD112", "KD113")
_BY_ZONE = (*_NAMES, "KD104", "KD306")
_LOGIN = ("KD117", "KD119", "KD120")


class ManagedService(NamedTuple):
    """One service. `hosts` is a pattern of its brokers' names, `ports` says what listens where, for
    a service whose ports are fixed; `hints` maps codes of findings to what is different there;
    `source` is the vendor's page that says so. `public` are the domains in which certificates are
    by public authorities."""

    name: str
    hosts: str
    source: str
    ports: Mapping[int, str] = {}
    hints: Mapping[tuple[str, ...], str] = {}
    public: tuple[str, ...] = ()


SERVICES = (
    ManagedService(
        "Azure Event Hubs",
        r"\.servicebus\.(windows\.net|chinacloudapi\.cn|usgovcloudapi\.net)",
        "https://learn.microsoft.com/azure/event-hubs/azure-event-hubs-apache-kafka-overview",
        {9093: "Kafka, by SASL_SSL"},
        {
            _NOT_REACHED: "Event Hubs takes Kafka at port 9093 alone, and not in its Basic tier; "
            "its firewall may name the networks that are let in.",
            _LOGIN: "The user is $ConnectionString, written so, and the password is the whole "
            "connection string, by SASL_SSL and PLAIN; in a shell, quote the dollar sign.",
        },
        (".servicebus.windows.net",),
    ),
    ManagedService(
        "Confluent Cloud",
        r"\.(confluent\.cloud|confluentgov\.com)",
        "https://docs.confluent.io/cloud/current/networking/private-links/aws-privatelink.html",
        {9092: "Kafka, by SASL_SSL"},
        {
            _NAMES: "Names of a private network need its private DNS zone, and, where they have "
            "glb in them, a public resolver too.",
            _LOGIN: "User and password are an API key of this very cluster, and its secret; a key "
            "for the cloud's own API is another one.",
        },
        (".confluent.cloud",),
    ),
    ManagedService(
        "Amazon MSK Serverless",
        r"\.kafka-serverless\.[a-z0-9-]+\.amazonaws\.com(\.cn)?",
        "https://docs.aws.amazon.com/msk/latest/developerguide/serverless.html",
        {9098: "IAM"},
        {
            _NOT_REACHED: "MSK Serverless is reached from the VPCs that it was made for, at 9098.",
            _LOGIN: "MSK Serverless takes IAM alone: SASL_SSL with AWS_MSK_IAM.",
        },
        (".amazonaws.com",),
    ),
    ManagedService(
        "Amazon MSK",
        r"\.kafka(-beta)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?",
        "https://docs.aws.amazon.com/msk/latest/developerguide/port-info.html",
        {
            9092: "plaintext",
            9094: "TLS",
            9096: "SASL/SCRAM",
            9098: "IAM",
            9194: "TLS, public",
            9196: "SASL/SCRAM, public",
            9198: "IAM, public",
            **dict.fromkeys((20092, 20094, 20096, 20098), "the same over IPv6"),
            **dict.fromkeys(range(14001, 14301), "another VPC, by PrivateLink"),
        },
        {
            _NOT_REACHED: "On MSK each login has a port of its own, which is open only where that "
            "login is switched on: 9092 to 9098 inside the VPC, 9194 to 9198 from outside with "
            "public access, 14001 and above from another VPC.",
            _LOGIN: "On MSK the port decides about the login: 9096 and 9196 take SCRAM-SHA-512, "
            "9098 and 9198 IAM, 9094 and 9194 TLS alone.",
        },
        (".amazonaws.com",),
    ),
    ManagedService(
        "Aiven",
        r"\.aivencloud\.com",
        "https://aiven.io/docs/platform/concepts/tls-ssl-certificates",
        hints={
            _TRUST: "Aiven signs with an authority of its own for each project: download ca.pem, "
            "and trust that.",
            _NOT_REACHED: "On Aiven client certificates and SASL have two ports, both on the "
            "service's page; SASL has to be switched on.",
            ("KD115", *_LOGIN): "On Aiven the port decides: one takes client certificates "
            "(service.cert, service.key), another one SASL.",
        },
    ),
    ManagedService(
        "WarpStream",
        r"\.warpstream\.com",
        "https://docs.warpstream.com/warpstream/byoc/configure-kafka-client/"
        "configuring-kafka-client-id-features",
    ),
    ManagedService(
        "Redpanda Cloud",
        r"\.cloud\.redpanda\.com",
        "https://docs.redpanda.com/redpanda-cloud/networking/",
        {9092: "Kafka, by SASL_SSL"},
        {_LOGIN: "Redpanda Cloud takes SCRAM-SHA-256 or SCRAM-SHA-512 by SASL_SSL."},
    ),
    ManagedService(
        "OCI Streaming",
        r"streaming\.[a-z0-9-]+\.oci\.oraclecloud\.com",
        "https://docs.oracle.com/iaas/Content/Streaming/Tasks/"
        "kafkacompatibility_topic-Configuration.htm",
        {9092: "Kafka, by SASL_SSL"},
        {
            _LOGIN: "The user is TENANCY/USER/STREAM-POOL-ID, the password an auth token of that "
            "user, by SASL_SSL and PLAIN.",
        },
    ),
)

_BY_NAME = {service.name: service for service in SERVICES}
CONFLUENT, EVENT_HUBS = _BY_NAME["Confluent Cloud"], _BY_NAME["Azure Event Hubs"]
MSK = (_BY_NAME["Amazon MSK"], _BY_NAME["Amazon MSK Serverless"])
_CONNECTION_STRING = "$ConnectionString"
# A broker of Confluent Cloud in a private network: e-0013-az1-43860 or e-0013.az1.43860.
_ZONE = re.compile(r"^(?:e|lkc)-[0-9a-z]+[.-]([a-z0-9]*-?az[0-9]+|[a-z0-9]+-[a-z0-9]+-[a-z])[.-]")


def service_of(host: str) -> ManagedService | None:
    """The service that a broker of this name belongs to; None for any other name."""
    name = _plain(host)
    return next((each for each in SERVICES if re.search(rf"{each.hosts}\Z", name)), None)


def certified_publicly(host: str) -> bool:
    """Whether the service of a broker of this name has certificates by public authorities."""
    service = service_of(host)
    return service is not None and _plain(host).endswith(service.public)


def _plain(host: str) -> str:
    return host.rstrip(".").lower()


def managed_service(facts: Facts) -> ManagedService | None:
    """The service of the brokers that the walk dialled; None where no name tells."""
    return next((found for each in _endpoints(facts) if (found := service_of(each.host))), None)


def _endpoints(facts: Facts) -> Sequence[Endpoint]:
    bootstrap, listeners = facts.get(Bootstrap), facts.get(Listeners)
    advertised = [x.broker.advertised for x in (listeners.listeners if listeners else ())]
    return [
        *(contact.endpoint for contact in (bootstrap.contacts if bootstrap else ())),
        *advertised,
    ]


def hinted(facts: Facts, findings: Sequence[Finding]) -> list[Finding]:
    """The findings, with what is different at the service as the first fix of those that name one
    of its brokers."""
    service = managed_service(facts)
    if service is None:
        return list(findings)
    hosts = [each.host for each in _endpoints(facts) if service_of(each.host) is service]
    return [_hinted(service, dict.fromkeys(hosts), each) for each in findings]


def _hinted(service: ManagedService, hosts: Iterable[str], finding: Finding) -> Finding:
    text = "\n".join((finding.message, *finding.subjects, *finding.evidence))
    named = [host for host in hosts if host in text]
    hints = [hint for codes, hint in service.hints.items() if named and finding.code in codes]
    zones = once(z[1] for host in named if (z := _ZONE.match(host.lower())))
    if zones and service is CONFLUENT and finding.code in _BY_ZONE:
        hints.insert(
            0,
            f"The name of a broker has its zone (here {listed(zones)}): its record in the private "
            "DNS zone leads to the endpoint of that very zone, and each zone needs one.",
        )
    return replace(finding, remedies=[*map(Remedy, hints), *finding.remedies])


def notes(facts: Facts) -> Iterator[str]:
    """What the settings have that the service has not; nothing where all fits."""
    service, settings = managed_service(facts), facts.get(Settings)
    if service is None or settings is None:
        return
    for server in settings.bootstrap:
        if (
            service_of(server.host) is service
            and service.ports
            and server.port not in service.ports
        ):
            known = ", ".join(f"{port} ({what})" for port, what in list(service.ports.items())[:7])
            yield f"{server}: by its name this is {service.name}, which has other ports: {known}"
    sasl, client_id = settings.security.sasl, settings.client.get("client.id", "")
    user = sasl.username if sasl and sasl.mechanism == "PLAIN" else _CONNECTION_STRING
    if service is EVENT_HUBS and user != _CONNECTION_STRING:
        yield "the user of Azure Event Hubs by PLAIN is $ConnectionString, and another is given"
    if service.name == "WarpStream" and not re.search(r"(?:ws|warpstream)_az=", client_id):
        yield (
            "WarpStream reads a client's zone from client.id, as ws_az=ZONE: without it clients "
            "may be sent to agents of other zones"
        )

"""The report model: hops, brokers, findings, the root cause and the exit code; and its builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from io import StringIO
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from kdiag.config.record import dataclass
from kdiag.config.security import Sasl
from kdiag.config.settings import Settings
from kdiag.network.attempt import LAYERS, AddressResult, EndpointResult
from kdiag.network.certificate import read
from kdiag.report.aws import AwsReport
from kdiag.report.companions import CompanionReport, CompanionsReport
from kdiag.report.hold import HoldReport
from kdiag.rules.matching import matching, preferred
from kdiag.rules.root_cause import explained, following, ignored, of_hop, root
from kdiag.rules.rule import Finding, Severity
from kdiag.walk.areas import EXIT_CODES, EXIT_INTERNAL, EXIT_INTERRUPTED, AreaId
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.consume import Consume
from kdiag.walk.facts.listeners import Listener, Listeners
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import Produce
from kdiag.walk.facts.run import INTERRUPTED, MOMENT

if TYPE_CHECKING:
    from kdiag.rules.expectations import CheckedExpectations

SCHEMA_VERSION = 1

MOST_NAMES = 4096  # characters of the names of one certificate
UNKNOWN = "UNKNOWN"  # the protocol of a listener that never spoke

Status = Literal["pass", "warn", "fail", "skipped"]


@dataclass(frozen=True, kw_only=True)
class HopResult:
    """The result of one hop. `summary` is what the hop learnt, "" where it learnt nothing."""

    hop: AreaId
    status: Status
    elapsed_ms: int
    skipped_because: str | None = None
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class CertificateReport:
    """A TLS handshake: its `version` and `cipher`, whether the server asked for a client
    certificate, and the server's own certificate. `not_before` and `not_after` are UTC, RFC 3339;
    null where the certificate cannot be read."""

    version: str
    cipher: str
    client_certificate_wanted: bool
    subject: str
    issuer: str
    names: list[str]
    not_before: str | None
    not_after: str | None
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ServerReport:
    """One bootstrap server. `layers` as for a broker; `protocol` is the security.protocol that it
    speaks, null if unknown; `mechanisms` are the SASL mechanisms that it offers, as far as known;
    `certificate` is null without TLS. `given` is the server that the user wrote, where the client
    takes the canonical name of an address in its place; else null."""

    server: str
    addresses: list[str]
    layers: dict[str, str | None]
    protocol: str | None = None
    mechanisms: list[str] = field(default_factory=list)
    certificate: CertificateReport | None = None
    given: str | None = None


@dataclass(frozen=True, kw_only=True)
class BrokerReport:
    """One broker. `layers` maps each layer to "ok", a failure's name, or null where not tried;
    `produce` is "ok", a failure's name, or null where the broker was not asked; `candidates` are
    other addresses it may advertise, with the node id that answered there (null: none did);
    `protocol` and `certificate` as for a bootstrap server."""

    node: int
    advertised: str
    layers: dict[str, str | None]
    answered_as: int | None = None
    produce: str | None = None
    addresses: list[str] = field(default_factory=list)
    candidates: dict[str, int | None] = field(default_factory=dict)
    protocol: str | None = None
    certificate: CertificateReport | None = None


@dataclass(frozen=True, kw_only=True)
class TopicReport:
    """The topic of `--topic`; `error` is the broker's error name, null when the topic exists."""

    name: str
    partitions: int
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterReport:
    """The cluster, by the metadata answer of the bootstrap server."""

    id: str | None
    controller: int | None
    brokers: list[BrokerReport]
    topic: TopicReport | None = None


@dataclass(frozen=True, kw_only=True)
class RightReport:
    """A right that the role needs: Kafka's operation, and the kind and name of the resource.
    `granted` is null where no answer tells; `answer` is the broker's that does."""

    operation: str
    resource: str
    name: str
    granted: bool | None
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class ConsumeReport:
    """What a role needs. `role` is producer, idempotent, transactional, consumer or share.
    `coordinator` is the node id of the broker that answers as the group's, `group_state` Kafka's
    name of its state, `group_protocol` classic, consumer or share, `members` client ids with their
    hosts; `lag` counts records over all partitions with a committed offset; all null or empty where
    not known. `rights` are those that the role needs."""

    role: str
    group: str | None = None
    transactional_id: str | None = None
    coordinator: int | None = None
    group_state: str | None = None
    group_protocol: str | None = None
    members: list[str] = field(default_factory=list)
    lag: int | None = None
    rights: list[RightReport] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ExpectationReport:
    """One expectation, as the user wrote it. `met` is null where that is not known, and `reason`
    says why; `found` maps a subject ("" for the cluster itself) to the value that was found."""

    expectation: str
    met: bool | None
    found: dict[str, str | int | float | None] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """One check. `str(report)` is its verdict in a line; `report.ok` is True when the path works.

    `started_at` is UTC, RFC 3339. `protocol` is the configured one, or the one that kdiag found
    where `protocol_found` is true; `client_properties` are those that match it, in the spelling of
    "java" and "librdkafka".
    Keys are only ever added.
    """

    schema_version: int
    kdiag_version: str
    started_at: str
    elapsed_ms: int
    target: list[str]
    source_addresses: list[str]
    protocol: str
    verdict: Literal["pass", "warn", "fail"]
    failing_hop: AreaId | None
    root_cause: str | None
    exit_code: int
    hops: list[HopResult]
    cluster: ClusterReport | None
    findings: list[Finding]
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False
    protocol_found: bool = False
    client_properties: dict[str, str] = field(default_factory=dict)
    bootstrap: list[ServerReport] = field(default_factory=list)
    aws: AwsReport | None = None
    expectations: list[ExpectationReport] = field(default_factory=list)
    consume: ConsumeReport | None = None
    hold: HoldReport | None = None
    companions: list[CompanionReport] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when the exit code is 0: the path works, perhaps with warnings."""
        return self.exit_code == 0

    @property
    def cause(self) -> Finding | None:
        """The finding that explains the others."""
        return next((f for f in self.findings if f.code == self.root_cause), None)

    def to_json(self) -> str:
        """The report as JSON, as `-o json` prints it."""
        return self.render("json")

    def render(self, output_format: str) -> str:
        """The report in a format of `-o`: terminal, json, junit, markdown, github, html or
        openmetrics. Raises KeyError for another one."""
        from kdiag.report.render import render  # 0.3 ms: a renderer is loaded when it is asked for

        stream = StringIO()
        render(output_format, self, stream)
        return stream.getvalue()

    def __str__(self) -> str:
        if self.cause is None:
            return "interrupted" if self.interrupted else f"{self.verdict}: the path works"
        return f"{self.verdict} at {self.failing_hop}: {self.cause.code} {self.cause.message}"


def report(
    settings: Settings,
    facts: Facts,
    findings: Sequence[Finding],
    walked: Sequence[HopResult],
    *,
    version: str,
    started_at: str,
    elapsed_ms: int,
    interrupted: bool = False,
    notes: Sequence[str] = (),
) -> Report:
    """Builds the report from the facts of a walk, the rules' findings, and the results of
    the hops (`walked`)."""
    found = ignored(explained(findings), settings.options.ignore, _last(walked))
    counted = [finding for finding in found if not finding.ignored]
    steps = [_judged(step, counted, settings.options.fail_on) for step in walked]
    failing = next((step.hop for step in steps if step.status == "fail"), None)
    cause = root([f for f in of_hop(counted, failing) if _fails(f, settings.options.fail_on)])
    expected = _expected(settings, facts)
    code = EXIT_CODES[failing] if failing else 0
    if cause and cause.code == "KD001":
        code = EXIT_INTERNAL
    if interrupted:
        code = EXIT_INTERRUPTED
    warned = any(step.status == "warn" for step in steps)
    bootstrap, companions = facts.get(Bootstrap), facts.get(CompanionsReport)
    contacts = bootstrap.contacts if bootstrap else ()
    dials = [dial for contact in contacts for dial in contact.dials]
    protocol = settings.security.protocol or _spoken(dials)
    return Report(
        schema_version=SCHEMA_VERSION,
        kdiag_version=version,
        started_at=started_at,
        elapsed_ms=elapsed_ms,
        target=[str(endpoint) for endpoint in settings.bootstrap],
        source_addresses=list(dict.fromkeys(d.source for d in dials if d.source)),
        protocol=protocol,
        verdict="fail" if code else "warn" if warned else "pass",
        failing_hop=failing,
        root_cause=cause.code if cause else None,
        exit_code=code,
        hops=steps,
        cluster=_cluster(facts),
        findings=sorted(
            following(found, cause, expected.unknown if expected else ()),
            key=lambda f: f is not cause,
        ),
        notes=[*settings.notes, *notes],
        interrupted=interrupted,
        aws=facts.get(AwsReport),
        protocol_found=protocol != UNKNOWN
        and (settings.security.protocol is None or settings.security.inferred),
        client_properties=_properties(protocol, dials, settings.security.sasl),
        bootstrap=[_server(contact) for contact in contacts],
        expectations=_expectations(expected),
        consume=_consume(facts),
        hold=facts.get(HoldReport),
        companions=companions.rows if companions else [],
    )


def _last(walked: Sequence[HopResult]) -> str | None:
    """The hop that ended the walk: the hops after it were skipped because it failed."""
    end = next((n for n, step in enumerate(walked) if _unseen(step)), 0)
    return walked[end - 1].hop if end else None


def _unseen(step: HopResult) -> bool:
    return step.status == "skipped" and not step.summary and step.skipped_because != INTERRUPTED


def _expected(settings: Settings, facts: Facts) -> CheckedExpectations | None:
    """The checked expectations; None where the user has none."""
    if not settings.options.expect:
        return None
    from kdiag.rules.expectations import CheckedExpectations  # 6.1 ms

    return facts.get(CheckedExpectations)


def _expectations(expected: CheckedExpectations | None) -> list[ExpectationReport]:
    return [
        ExpectationReport(
            expectation=str(checked.expectation),
            met=None if checked.unknown else checked.holds,
            found=dict(checked.readings),
            reason=checked.unknown or None,
        )
        for checked in (expected.results if expected else ())
    ]


def _consume(facts: Facts) -> ConsumeReport | None:
    found = facts.get(Consume)
    if found is None:
        return None
    from kdiag.rules.rights import rights  # 0.6 ms: what only a role needs

    group = found.described
    return ConsumeReport(
        role=found.role,
        group=found.group if found.asks_group else None,
        transactional_id=found.transactional_id,
        coordinator=found.coordinator,
        group_state=group.state if group else None,
        group_protocol=(group.kind or None) if group else None,
        members=list(group.members) if group else [],
        lag=found.lag,
        rights=[
            RightReport(
                operation=right.operation,
                resource=right.resource,
                name=right.name,
                granted=right.granted,
                answer=right.why,
            )
            for right in rights(found, facts.get(Produce))
        ],
    )


def _spoken(dials: Sequence[AddressResult]) -> str:
    """The security.protocol that the bootstrap server speaks, that of a working address first."""
    found = sorted((d for d in dials if d.protocol), key=lambda dial: dial.failed is not None)
    return found[0].protocol if found else UNKNOWN


def _properties(protocol: str, dials: Sequence[AddressResult], sasl: Sasl | None) -> dict[str, str]:
    """The client properties that match a protocol, in both spellings."""
    if protocol == UNKNOWN:
        return {}
    offered = next((dial.mechanisms for dial in dials if dial.mechanisms), ())
    wanted = any(dial.handshake and dial.handshake.wants_certificate for dial in dials)
    spellings = matching(protocol, sasl.mechanism if sasl else preferred(offered), wanted)
    return {"java": spellings.java, "librdkafka": spellings.librdkafka}


def _fails(finding: Finding, fail_on: str) -> bool:
    return finding.severity is Severity.ERROR or fail_on == "warning"


def _judged(step: HopResult, findings: Sequence[Finding], fail_on: str) -> HopResult:
    """The hop's result with the status that its findings give it; a skipped hop without findings
    stays skipped."""
    of_this_hop = [finding for finding in findings if finding.hop == step.hop]
    status: Status = step.status
    if any(_fails(finding, fail_on) for finding in of_this_hop):
        status = "fail"
    elif of_this_hop and step.status == "pass":
        status = "warn"
    because = step.skipped_because if status == "skipped" else None
    return replace(step, status=status, skipped_because=because)


def _cluster(facts: Facts) -> ClusterReport | None:
    metadata = facts.get(Metadata)
    if metadata is None or not metadata.brokers:
        return None
    listeners, produce = facts.get(Listeners), facts.get(Produce)
    reached = {x.broker.node: x for x in listeners.listeners} if listeners else {}
    produced = _produced(produce) if produce else {}
    topic = metadata.topic
    return ClusterReport(
        id=metadata.cluster_id,
        controller=metadata.controller,
        brokers=[
            _broker(broker.node, str(broker.advertised), reached.get(broker.node), produced)
            for broker in metadata.brokers
        ],
        topic=TopicReport(
            name=topic.name,
            partitions=len(topic.partitions),
            error=None if topic.error == "NONE" else topic.error,
        )
        if topic
        else None,
    )


def _broker(
    node: int, advertised: str, listener: Listener | None, produced: Mapping[int, str]
) -> BrokerReport:
    best = listener.contact.best if listener else None
    candidates = listener.candidates if listener else ()
    return BrokerReport(
        node=node,
        advertised=advertised,
        layers=dict(listener.contact.layers if listener else dict.fromkeys(LAYERS)),
        answered_as=best.answered_as if best else None,
        produce=produced.get(node),
        addresses=[dial.address for dial in listener.contact.dials] if listener else [],
        candidates={str(c.endpoint): c.best.answered_as if c.best else None for c in candidates},
        protocol=best.protocol or None if best else None,
        certificate=_certificate(best),
    )


def _server(contact: EndpointResult) -> ServerReport:
    best = contact.best
    return ServerReport(
        server=str(contact.endpoint),
        addresses=[dial.address for dial in contact.dials],
        layers=dict(contact.layers),
        protocol=best.protocol or None if best else None,
        mechanisms=list(best.mechanisms) if best else [],
        certificate=_certificate(best),
        given=str(contact.given) if contact.given else None,
    )


def _certificate(dial: AddressResult | None) -> CertificateReport | None:
    handshake = dial.handshake if dial else None
    if handshake is None or not handshake.chain:
        return None
    found = read(handshake.chain[0])
    return CertificateReport(
        version=handshake.version,
        cipher=handshake.cipher,
        client_certificate_wanted=handshake.wants_certificate,
        subject=found.subject,
        issuer=found.issuer,
        names=_first_names(found.names),
        not_before=_rfc3339(found.not_before),
        not_after=_rfc3339(found.not_after),
        sha256=found.fingerprint,
    )


def _first_names(names: Sequence[str]) -> list[str]:
    """The first names of a certificate, together at most MOST_NAMES characters: the report lists
    the names for every broker, and a real certificate has few."""
    ends = accumulate(map(len, names))
    return [name for name, end in zip(names, ends, strict=True) if end <= MOST_NAMES]


def _rfc3339(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime(MOMENT)


def _produced(produce: Produce) -> dict[int, str]:
    """The result of the produce request by node id ("ok" or a failure's name); of the real client's
    record where no request was sent."""
    written = produce.client.deliveries if produce.client else ()
    results = {delivery.node: "ok" for delivery in written if delivery.error is None}
    for produced in produce.produced:
        failure = produced.small.failure or produced.large.failure
        results[produced.node] = failure.value if failure else "ok"
    return results

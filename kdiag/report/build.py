"""Builds the report from the facts of a walk, the findings of the rules, and the hops' results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from kdiag import __version__
from kdiag.config.security import Sasl
from kdiag.config.settings import Settings
from kdiag.network.attempt import LAYERS, AddressResult, EndpointResult
from kdiag.network.certificate import read
from kdiag.report.aws import AwsReport
from kdiag.report.companions import CompanionsReport
from kdiag.report.hold import HoldReport
from kdiag.report.model import (
    SCHEMA_VERSION,
    UNKNOWN,
    BrokerReport,
    CertificateReport,
    ClusterReport,
    ConsumeReport,
    ExpectationReport,
    HopResult,
    Report,
    RightReport,
    ServerReport,
    Status,
    TopicReport,
)
from kdiag.rules.matching import matching, preferred
from kdiag.rules.root_cause import explained, following, ignored, of_hop, root
from kdiag.rules.rule import Finding, Severity
from kdiag.rules.text import once
from kdiag.walk.areas import EXIT_CODES, EXIT_INTERNAL, EXIT_INTERRUPTED, AreaId
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.consume import Consume
from kdiag.walk.facts.listeners import Listener, Listeners
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import Produce
from kdiag.walk.facts.run import INTERRUPTED, MOMENT, WalkFacts

if TYPE_CHECKING:
    from kdiag.rules.expectations import CheckedExpectations

MOST_NAMES = 4096  # characters of the names of one certificate


def report(
    settings: Settings,
    walk: WalkFacts,
    facts: Facts,
    findings: Sequence[Finding],
    steps: Sequence[HopResult],
    notes: Sequence[str],
    elapsed_ms: int,
) -> Report:
    """The report. `facts` are those of the walk and of the features, `steps` the results of the
    hops before their findings count."""
    found = ignored(explained(findings), settings.options.ignore, _last(steps))
    counted = [finding for finding in found if not finding.ignored]
    hops = [_judged(step, counted, settings.options.fail_on) for step in steps]
    failing = next((step.hop for step in hops if step.status == "fail"), None)
    cause = root([f for f in of_hop(counted, failing) if _fails(f, settings.options.fail_on)])
    code = _exit_code(failing, cause, interrupted=walk.interrupted)
    warned = any(step.status == "warn" for step in hops)
    expected = _expected(settings, facts)
    bootstrap, companions = facts.get(Bootstrap), facts.get(CompanionsReport)
    contacts = bootstrap.contacts if bootstrap else ()
    dials = [dial for contact in contacts for dial in contact.dials]
    protocol = settings.security.protocol or _spoken(dials)
    found_out = settings.security.protocol is None or settings.security.inferred
    return Report(
        schema_version=SCHEMA_VERSION,
        kdiag_version=__version__,
        started_at=walk.started_at,
        elapsed_ms=elapsed_ms,
        target=[str(endpoint) for endpoint in settings.bootstrap],
        source_addresses=once([d.source for d in dials if d.source]),
        protocol=protocol,
        verdict="fail" if code else "warn" if warned else "pass",
        failing_hop=failing,
        root_cause=cause.code if cause else None,
        exit_code=code,
        hops=hops,
        cluster=_cluster(facts),
        findings=sorted(
            following(found, cause, expected.unknown if expected else ()),
            key=lambda f: f is not cause,
        ),
        notes=[*settings.notes, *walk.notes, *notes],
        interrupted=walk.interrupted,
        aws=facts.get(AwsReport),
        protocol_found=protocol != UNKNOWN and found_out,
        client_properties=_properties(protocol, dials, settings.security.sasl),
        bootstrap=[_server(contact) for contact in contacts],
        expectations=_expectations(expected),
        consume=_consume(facts),
        hold=facts.get(HoldReport),
        companions=companions.rows if companions else [],
    )


def _exit_code(failing: AreaId | None, cause: Finding | None, *, interrupted: bool) -> int:
    if interrupted:
        return EXIT_INTERRUPTED
    if cause and cause.code == "KD001":
        return EXIT_INTERNAL
    return EXIT_CODES[failing] if failing else 0


def _last(steps: Sequence[HopResult]) -> str | None:
    """The hop that ended the walk: the hops after it were skipped because it failed."""
    end = next((n for n, step in enumerate(steps) if _unseen(step)), 0)
    return steps[end - 1].hop if end else None


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

"""Builds the report of AWS: what AWS says of each address."""

from __future__ import annotations

from kdiag.aws.outcome import PathVerdict
from kdiag.aws.paths import NetworkPath, NetworkPaths
from kdiag.report.aws import AwsAddress, AwsGap, AwsReport, AwsStep, Verdict


def aws_report(ways: NetworkPaths) -> AwsReport:
    """The addresses in the order of the walk."""
    snapshot, source = ways.snapshot, ways.aws.source
    return AwsReport(
        regions=list(snapshot.regions),
        source=source.network or None,
        source_from=source.how,
        calls=snapshot.calls,
        addresses=[_address(ways, way) for way in ways.ways],
        gaps=[
            AwsGap(call=gap.call, region=gap.region, reason=gap.reason, words=gap.words)
            for gap in snapshot.gaps
        ],
    )


def _address(ways: NetworkPaths, way: NetworkPath) -> AwsAddress:
    reach = way.judged
    interface = reach.interface if reach else None
    verdict, layer, by, reason = _verdict(ways, way)
    return AwsAddress(
        subject=way.subject,
        endpoint=str(way.endpoint),
        address=way.address,
        judged=reach.address if reach else way.address,
        port=way.endpoint.port,
        region=interface.region if interface else None,
        vpc=interface.vpc if interface else None,
        subnet=interface.subnet if interface else None,
        interface=interface.id if interface else None,
        instance=(interface.instance or None) if interface else None,
        groups=list(interface.groups) if interface else [],
        verdict=verdict,
        layer=layer,
        decided_by=by,
        reason=reason,
        walk=_walked(way),
        steps=[
            AwsStep(layer=s.layer, verdict=_SAID[s.outcome], decided_by=s.by, reason=s.words)
            for s in (reach.steps if reach else ())
        ],
    )


def _verdict(ways: NetworkPaths, way: NetworkPath) -> tuple[Verdict, str | None, str | None, str]:
    """Verdict, layer, the id that decides, and why."""
    if way.judged is None:
        return "unknown", None, None, "no interface that AWS told of has this address"
    step = way.judged.deciding
    if ways.contradicted(way):
        reason = f"the walk got an answer, so this is not all that counts: {step.words}"
        return "unknown", step.layer, step.by, reason
    return _SAID[way.judged.outcome], step.layer, step.by, step.words


def _walked(way: NetworkPath) -> str | None:
    if way.dial is None:
        return None
    failed = way.dial.failed
    return failed.failure.value if failed and failed.failure else "ok"


_SAID: dict[PathVerdict, Verdict] = {
    PathVerdict.ALLOWED: "allowed",
    PathVerdict.BLOCKED: "blocked",
    PathVerdict.UNKNOWN: "unknown",
}

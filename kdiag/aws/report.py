"""Builds the AWS part of a report: the verdict of AWS on each address."""

from __future__ import annotations

from kdiag.aws.paths import NetworkPath, NetworkPaths
from kdiag.report.aws import AwsAddress, AwsGap, AwsReport, AwsStep, Verdict


def aws_report(paths: NetworkPaths) -> AwsReport:
    """Builds the AWS report from the paths of a walk, in the order of the walk."""
    snapshot, source = paths.snapshot, paths.aws.source
    return AwsReport(
        regions=list(snapshot.regions),
        source=source.network or None,
        source_from=source.known_from,
        calls=snapshot.calls,
        addresses=[_address(paths, path) for path in paths.paths],
        gaps=[
            AwsGap(call=call.call, region=call.region, reason=call.reason, words=call.message)
            for call in snapshot.unavailable
        ],
    )


def _address(paths: NetworkPaths, path: NetworkPath) -> AwsAddress:
    reachability = path.effective
    interface = reachability.interface if reachability else None
    verdict, layer, decided_by, reason = _verdict(paths, path)
    return AwsAddress(
        subject=path.subject,
        endpoint=str(path.endpoint),
        address=path.address,
        judged=reachability.address if reachability else path.address,
        port=path.endpoint.port,
        region=interface.region if interface else None,
        vpc=interface.vpc if interface else None,
        subnet=interface.subnet if interface else None,
        interface=interface.id if interface else None,
        instance=(interface.instance or None) if interface else None,
        groups=list(interface.groups) if interface else [],
        verdict=verdict,
        layer=layer,
        decided_by=decided_by,
        reason=reason,
        walk=_walk_result(path),
        steps=[
            AwsStep(
                layer=s.layer, verdict=s.verdict.value, decided_by=s.decided_by, reason=s.message
            )
            for s in (reachability.steps if reachability else ())
        ],
    )


def _verdict(paths: NetworkPaths, path: NetworkPath) -> tuple[Verdict, str | None, str | None, str]:
    """The verdict on a path, its layer, the id that decides, and the reason."""
    if path.effective is None:
        return "unknown", None, None, "no interface that AWS lists has this address"
    step = path.effective.deciding_step
    if paths.contradicted(path):
        reason = f"the walk got an answer, so this is not all that counts: {step.message}"
        return "unknown", step.layer, step.decided_by, reason
    return path.effective.verdict.value, step.layer, step.decided_by, step.message


def _walk_result(path: NetworkPath) -> str | None:
    """`ok` or the failure of the walk, None if the walk did not dial the address."""
    if path.dial is None:
        return None
    failed = path.dial.failed
    return failed.failure.value if failed and failed.failure else "ok"

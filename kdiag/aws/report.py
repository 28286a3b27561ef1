"""What AWS says of each address, as the report tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kdiag.aws.outcome import PathVerdict
from kdiag.aws.paths import NetworkPath, NetworkPaths

Verdict = Literal["allowed", "blocked", "unknown"]


@dataclass(frozen=True, kw_only=True)
class AwsStep:
    """One thing that AWS asks of a packet: instance, address, route, acl-in, acl-out or group, with
    "client-" before it where it stands on the client's side; what it comes to, the id that
    decides, and that in words."""

    layer: str
    verdict: Verdict
    decided_by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class AwsAddress:
    """One address and port of the cluster. `judged` is the address that the verdict is about: the
    public one of the same interface, where `address` is private and not the way from here. `walk`
    is how the walk fared at it: "ok", a failure's name, or null where it was not dialled. What is
    null is not known."""

    subject: str
    endpoint: str
    address: str
    judged: str
    port: int
    region: str | None
    vpc: str | None
    subnet: str | None
    interface: str | None
    instance: str | None
    groups: list[str]
    verdict: Verdict
    layer: str | None
    decided_by: str | None
    reason: str
    walk: str | None
    steps: list[AwsStep]


@dataclass(frozen=True, kw_only=True)
class AwsGap:
    """A call that AWS did not answer, where and why: credentials, expired, denied, region,
    throttled, unreachable, failed, or skipped where kdiag did not ask; in AWS's words."""

    call: str
    region: str
    reason: str
    words: str


@dataclass(frozen=True, kw_only=True)
class AwsReport:
    """What AWS says: of which regions, by how many calls, for a client at `source` (null: unknown),
    which is known by its `source_from`: interface, echo, given or unknown."""

    regions: list[str]
    source: str | None
    source_from: str
    calls: int
    addresses: list[AwsAddress]
    gaps: list[AwsGap]


def aws_report(ways: NetworkPaths | None) -> AwsReport | None:
    """The addresses in the order of the walk; None where AWS was not asked."""
    if ways is None:
        return None
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

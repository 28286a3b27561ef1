"""What AWS says of each address, as the report has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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

"""The AWS part of a report: whether AWS lets this client reach each address of the cluster."""

from __future__ import annotations

from typing import Literal

from kdiag.config.record import dataclass

Verdict = Literal["allowed", "blocked", "unknown"]


@dataclass(frozen=True, kw_only=True)
class AwsStep:
    """One check that AWS makes on a packet. `layer` is instance, address, route, acl-in, acl-out or
    group, with the prefix "client-" on the client's side; `decided_by` is the id of the AWS
    resource that decides, and `reason` says why."""

    layer: str
    verdict: Verdict
    decided_by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class AwsAddress:
    """One address and port of the cluster. `judged` is the address that the verdict is about: the
    public address of the same interface, where `address` is private and this client does not use
    it. `walk` is the walk's own result: "ok", a failure's name, or null where the address was not
    dialled. Any other null means: not known."""

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
    """A call to AWS without a result. `reason` is credentials, expired, denied, region, throttled,
    unreachable, failed, or skipped where kdiag did not make the call; `words` is AWS's error
    message."""

    call: str
    region: str
    reason: str
    words: str


@dataclass(frozen=True, kw_only=True)
class AwsReport:
    """The answers of AWS from `regions`, by `calls` API calls, for a client whose address is
    `source` (null: unknown). `source_from` says how the address is known: interface, echo, given or
    unknown."""

    regions: list[str]
    source: str | None
    source_from: str
    calls: int
    addresses: list[AwsAddress]
    gaps: list[AwsGap]

"""The report model: hops, brokers, findings, the root cause and the exit code."""

from __future__ import annotations

from dataclasses import field
from io import StringIO
from typing import Literal

from kdiag.config.record import dataclass
from kdiag.report.aws import AwsReport
from kdiag.report.companions import CompanionReport
from kdiag.report.hold import HoldReport
from kdiag.rules.rule import Finding
from kdiag.walk.areas import AreaId

SCHEMA_VERSION = 1

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

"""The report as OpenMetrics, for the textfile collector of node_exporter.

The collector reads the older Prometheus text format and merges all of its files. So every metric is
a gauge, which both formats write alike, and each series has the target as a label, so that the
files of two checks do not collide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO, get_args

from kdiag.report.model import BrokerReport, Report, Status
from kdiag.report.render import encoding, presentation
from kdiag.report.several import Reports
from kdiag.text import clean

Sample = tuple[Mapping[str, str], float]

MOST_BROKERS = 500  # with metrics of their own; those that fail come first
LONGEST_LABEL = 256  # characters of an advertised address: brokers may advertise anything


def write(report: Report, stream: TextIO) -> None:
    """Writes every metric family that has samples, with its help text."""
    _write([({}, report)], stream)


def write_all(reports: Reports, stream: TextIO) -> None:
    """As `write`, for several reports; each series has the report's label as `check`."""
    _write([({"check": label}, report) for label, report in reports.reports.items()], stream)


def _write(checks: Sequence[tuple[Mapping[str, str], Report]], stream: TextIO) -> None:
    families: dict[tuple[str, str], list[str]] = {}
    for whose, report in checks:
        about = {**whose, "target": ",".join(report.target)}
        for name, help_, samples in _families(report):
            families.setdefault((name, help_), []).extend(
                f"{name}{_labels({**about, **labels})} {value:.15g}\n" for labels, value in samples
            )
    for (name, help_), lines in families.items():
        if lines:
            stream.write(f"# HELP {name} {help_}\n# TYPE {name} gauge\n")
            stream.write(encoding.fitted("".join(lines), stream))
    stream.write("# EOF\n")


def _families(report: Report) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    """Each metric family: its name, its help text, and its samples."""
    took = report.elapsed_ms / 1000
    certificates = "When the certificate expires, in seconds since 1970."
    success = "1 when the exit code is 0: the path works, perhaps with warnings."
    reachable = "1 when the advertised address leads to the broker, through all layers."
    healthy = (
        "1 when a Schema Registry, Connect or REST proxy answers, and does not say it cannot work."
    )
    started = "When the check started, in seconds since 1970."
    yield "kdiag_check_info", "What was checked, and how it ended.", _info(report)
    yield "kdiag_check_success", success, [({}, report.ok)]
    yield "kdiag_check_exit_code", "The exit code.", [({}, report.exit_code)]
    yield "kdiag_check_timestamp_seconds", started, [({}, _seconds(report.started_at))]
    yield "kdiag_check_duration_seconds", "How long the check took.", [({}, took)]
    yield "kdiag_root_cause_info", "The finding that explains the others.", _cause(report)
    yield "kdiag_hop_status", "1 for the status that the hop has, else 0.", _statuses(report)
    yield "kdiag_hop_duration_seconds", "How long the hop took.", _durations(report)
    yield "kdiag_cluster_brokers", "How many brokers the cluster lists.", _listed(report)
    yield "kdiag_broker_reachable", reachable, _reachable(report)
    yield "kdiag_broker_produce_success", "1 when it answers a produce request.", _produce(report)
    yield "kdiag_broker_failure", "The layer that fails at the broker, and how.", _failures(report)
    yield "kdiag_certificate_not_after_timestamp_seconds", certificates, certificate_ends(report)
    yield "kdiag_expectation_met", "1 when what was expected is known to be so.", _expected(report)
    yield "kdiag_group_lag", "How many records the group has not committed.", _lag(report)
    yield "kdiag_right_granted", "1 when the role has this right.", _rights(report)
    yield "kdiag_companion_healthy", healthy, _companions(report)
    yield "kdiag_finding", "How many findings have this code.", _findings(report)


def _info(report: Report) -> Iterator[Sample]:
    labels = {
        "version": report.kdiag_version,
        "protocol": report.protocol,
        "verdict": report.verdict,
        "failing_hop": report.failing_hop or "",
        "root_cause": report.root_cause or "",
        "cluster": (report.cluster.id if report.cluster else None) or "",
    }
    yield labels, 1


def _cause(report: Report) -> Iterator[Sample]:
    if report.cause:
        hop = report.failing_hop or report.cause.hop
        yield {"code": report.cause.code, "name": report.cause.name, "hop": hop}, 1


def _statuses(report: Report) -> Iterator[Sample]:
    for step in report.hops:
        for status in get_args(Status):
            yield {"hop": step.hop, "status": status}, step.status == status


def _durations(report: Report) -> Iterator[Sample]:
    for step in report.hops:
        if step.summary:
            yield {"hop": step.hop}, step.elapsed_ms / 1000


def _brokers(report: Report) -> Iterator[tuple[Mapping[str, str], BrokerReport]]:
    """Each broker once, with its metric labels: the metadata may list a broker twice. Of very many
    brokers it yields MOST_BROKERS."""
    listed = {
        (b.node, clean(b.advertised, LONGEST_LABEL)): b
        for b in (report.cluster.brokers if report.cluster else [])
    }
    brokers = sorted(listed.items(), key=lambda item: presentation.broken(item[1]) is None)
    chosen = set(dict(brokers[:MOST_BROKERS]))
    for (node, advertised), broker in listed.items():
        if (node, advertised) in chosen:
            yield {"broker": str(node), "advertised": advertised}, broker


def _listed(report: Report) -> Iterator[Sample]:
    if report.cluster:
        yield {}, len(report.cluster.brokers)


def _reachable(report: Report) -> Iterator[Sample]:
    for labels, broker in _brokers(report):
        if any(broker.layers.values()):
            yield labels, presentation.broken(broker) is None


def _produce(report: Report) -> Iterator[Sample]:
    for labels, broker in _brokers(report):
        if broker.produce:
            yield labels, broker.produce == "ok"


def _failures(report: Report) -> Iterator[Sample]:
    for labels, broker in _brokers(report):
        broken = presentation.broken(broker)
        if broken:
            yield {**labels, "layer": broken[0], "failure": broken[1]}, 1


def certificate_ends(report: Report) -> Iterator[Sample]:
    """When each server's and broker's certificate expires, in seconds since 1970."""
    ends = {f"bootstrap {server.server}": server.certificate for server in report.bootstrap}
    ends |= {f"broker {broker.node}": broker.certificate for _, broker in _brokers(report)}
    for subject, certificate in ends.items():
        if certificate and certificate.not_after:
            with suppress(ValueError):  # a saved report may say anything
                yield {"subject": subject}, _seconds(certificate.not_after)


def _expected(report: Report) -> Iterator[Sample]:
    for one in {one.expectation: one for one in report.expectations}.values():
        yield {"expectation": one.expectation}, one.met is True


def _lag(report: Report) -> Iterator[Sample]:
    if report.consume and report.consume.lag is not None:
        yield {"group": report.consume.group or ""}, report.consume.lag


def _rights(report: Report) -> Iterator[Sample]:
    for right in report.consume.rights if report.consume else ():
        if right.granted is not None:
            labels = {"operation": right.operation, "resource": right.resource, "name": right.name}
            yield labels, right.granted


def _companions(report: Report) -> Iterator[Sample]:
    for row in {row.url: row for row in report.companions}.values():
        labels = {"url": row.url, "service": row.service or ""}
        yield labels, bool(row.service) and row.unhealthy is None


def _findings(report: Report) -> Iterator[Sample]:
    counts: dict[tuple[str, ...], int] = {}
    for finding in report.findings:
        ignored = str(finding.ignored).lower()
        kind = (finding.code, finding.name, finding.severity.value, finding.hop, ignored)
        counts[kind] = counts.get(kind, 0) + 1
    for each, count in counts.items():
        yield dict(zip(("code", "name", "severity", "hop", "ignored"), each, strict=True)), count


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _seconds(moment: str) -> float:
    return datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()

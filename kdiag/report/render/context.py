"""What a page says of the surroundings of a check: client, protocol, cluster, certificates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from kdiag.report.model import CertificateReport, Report
from kdiag.report.render import presentation as order
from kdiag.report.render.markup import add
from kdiag.report.render.parts import titled

MANY_CERTIFICATES = 6


def environment(main: Element, report: Report) -> None:
    """A list of names and what they are."""
    section = titled(main, "environment", "Environment")
    told = add(section, "dl")
    for name, values in _surroundings(report):
        if any(values):
            add(told, "dt", name)
            add(told, "dd", ", ".join(value for value in values if value))
    for server in report.bootstrap:
        add(told, "dt", "bootstrap server")
        said = [server.server, *(a for a in server.addresses if a not in server.server)]
        said += [server.protocol or "", *server.mechanisms]
        add(told, "dd", ", ".join(part for part in said if part))
    for certificate, whose in _certificates(report):
        add(told, "dt", "certificate")
        add(told, "dd", _certified(certificate, whose))
    for note in report.notes:
        add(told, "dt", "note")
        add(told, "dd", note)


def _surroundings(report: Report) -> Iterator[tuple[str, Sequence[str]]]:
    yield "target", report.target
    yield "this client", report.source_addresses
    yield "protocol", [report.protocol, "found out" if report.protocol_found else ""]
    if report.cluster:
        controller = report.cluster.controller
        yield "cluster", [report.cluster.id or ""]
        yield "controller", [str(controller) if controller is not None else ""]
        if report.cluster.topic:
            topic = report.cluster.topic
            yield "topic", [topic.name, topic.error or f"{topic.partitions} partitions"]
    yield "started", [report.started_at]
    yield "took", [order.milliseconds(report.elapsed_ms)]


def _certificates(report: Report) -> Iterator[tuple[CertificateReport, list[str]]]:
    """Every certificate once, and who showed it."""
    shown = [(server.server, server.certificate) for server in report.bootstrap]
    if report.cluster:
        shown += [(f"broker {b.node}", b.certificate) for b in report.cluster.brokers]
    found: dict[str, tuple[CertificateReport, list[str]]] = {}
    for who, certificate in shown:
        if certificate:
            found.setdefault(certificate.sha256, (certificate, []))[1].append(who)
    yield from list(found.values())[:MANY_CERTIFICATES]


def _certified(certificate: CertificateReport, whose: Sequence[str]) -> str:
    shown = ", ".join(whose[:4]) + (f" and {len(whose) - 4} more" if len(whose) > 4 else "")
    names = ", ".join(certificate.names[:8])
    return (
        f"{certificate.subject}, issued by {certificate.issuer}, for {names or 'no name'}, "
        f"{certificate.not_before or '?'} to {certificate.not_after or '?'}, "
        f"{certificate.version}; shown by {shown}"
    )

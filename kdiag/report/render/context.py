"""The HTML section on the context of a check: client, protocol, cluster, certificates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from kdiag.report.model import CertificateReport, Report
from kdiag.report.render import presentation
from kdiag.report.render.markup import add
from kdiag.report.render.parts import titled

MANY_CERTIFICATES = 6


def environment(main: Element, report: Report) -> None:
    """Adds the section with the client, the cluster, the servers, certificates and notes."""
    section = titled(main, "environment", "Environment")
    terms = add(section, "dl")
    for name, values in _context(report):
        if any(values):
            add(terms, "dt", name)
            add(terms, "dd", ", ".join(value for value in values if value))
    for server in report.bootstrap:
        add(terms, "dt", "bootstrap server")
        parts = [server.server, *(a for a in server.addresses if a not in server.server)]
        parts += [server.protocol or "", *server.mechanisms]
        add(terms, "dd", ", ".join(part for part in parts if part))
    for certificate, whose in _certificates(report):
        add(terms, "dt", "certificate")
        add(terms, "dd", _certified(certificate, whose))
    for note in report.notes:
        add(terms, "dt", "note")
        add(terms, "dd", note)


def _context(report: Report) -> Iterator[tuple[str, Sequence[str]]]:
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
    yield "took", [presentation.milliseconds(report.elapsed_ms)]


def _certificates(report: Report) -> Iterator[tuple[CertificateReport, list[str]]]:
    """Every certificate once, with the servers and brokers that showed it."""
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

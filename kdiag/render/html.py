"""The report as a page: one file with all that it needs, which asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import TextIO, TypeVar
from xml.etree.ElementTree import Element, tostring

from kdiag.inventory import AwsAddress
from kdiag.render import order
from kdiag.render.markup import add, legal, then
from kdiag.render.picture import NARROW, WIDE, draw
from kdiag.report import UNKNOWN, BrokerReport, CertificateReport, ExpectationReport, Report
from kdiag.reports import Reports
from kdiag.rule import Finding, Remedy

Entry = TypeVar("Entry")

MANY_ROWS = 50  # of a table; the rest is folded away
MANY_CERTIFICATES = 6

_WORDS = {"pass": "√ pass", "warn": "‼ warning", "fail": "× fail", "skipped": "– skipped"}
_MET = {True: ("holds", "ok"), False: ("does not hold", "fail"), None: ("not known", "none")}
_VERDICTS = {"blocked": "fail", "unknown": "warn", "allowed": "ok"}


def write(report: Report, stream: TextIO) -> None:
    """The whole page. It is ASCII, so the stream's encoding does not matter."""
    root = Element("html", lang="en")
    cause = f" {report.cause.code} {report.cause.name}" if report.cause else ""
    about = f"kdiag {report.verdict}{cause}: {', '.join(report.target)}"
    _head(root, about, report.kdiag_version)
    body = add(root, "body")
    _title(add(body, "header"), "h1", report)
    _contents(add(body, "main"), report)
    said = f"kdiag {report.kdiag_version} · {report.started_at} · exit {report.exit_code}"
    _finish(root, body, said, stream)


def write_all(reports: Reports, stream: TextIO) -> None:
    """One page: a list of all checks, then each of them whole."""
    said = order.verdict_of_all(reports)
    root = Element("html", lang="en")
    _head(root, f"kdiag {reports.verdict}: {said}", reports.kdiag_version)
    body = add(root, "body")
    title = add(add(body, "header"), "h1")
    add(title, "span", reports.verdict, class_=f"badge {reports.verdict}")
    then(title, said)
    main = add(body, "main")
    checks = _section(main, "checks", "Checks")
    if reports.comparison:
        for line in (order.sentence(reports.comparison), *reports.comparison.differences):
            add(checks, "p", line)
    listed = add(checks, "ol", class_="hops")
    for number, (label, report) in enumerate(order.distinct(reports), 1):
        name = f"check-{number}"
        item = add(listed, "li")
        add(item, "span", _WORDS[report.verdict], class_=f"status {report.verdict}")
        add(add(item, "span", class_="name"), "a", label, href=f"#{name}")
        add(item, "span", order.verdict(report), class_="learnt")
        article = add(main, "article", aria_labelledby="label")
        add(article, "h2", label, id="label")
        _title(article, "p", report)
        _contents(article, report)
        _set_apart(article, name, label)
        article.set("id", name)
    _finish(root, body, f"kdiag {reports.kdiag_version} · exit {reports.exit_code}", stream)


def _set_apart(article: Element, name: str, label: str) -> None:
    """Makes the ids and the labels in one check's part of the page differ from those in others."""
    for element in article.iter():
        if element.get("id"):
            element.set("id", f"{name}-{element.get('id')}")
        for key in ("aria-labelledby", "aria-describedby"):
            if element.get(key):
                named = [f"{name}-{each}" for each in str(element.get(key)).split()]
                element.set(key, " ".join(dict.fromkeys([f"{name}-label", *named])))
        if element.get("aria-label"):
            element.set("aria-label", f"{legal(label)}: {element.get('aria-label')}")


def _contents(main: Element, report: Report) -> None:
    """All of a check but its title."""
    _pictures(main, report)
    for finding, follows in order.causes(report):
        _finding(main, report, finding, follows)
    _hops(main, report)
    if report.cluster:
        _brokers(main, report.cluster.brokers)
    _aws(main, report)
    _expectations(main, report)
    _evidence(main, report)
    _environment(main, report)


def _finish(root: Element, body: Element, said: str, stream: TextIO) -> None:
    add(add(body, "footer"), "p", said)
    add(body, "script", _part("page.js"))
    text = tostring(root, encoding="us-ascii", method="html").decode()
    stream.write(f"<!DOCTYPE html>\n{text}\n")


def _head(root: Element, title: str, version: str) -> None:
    head = add(root, "head")
    add(head, "meta", charset="utf-8")
    style, script = _digest("page.css"), _digest("page.js")
    policy = (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; "
        "base-uri 'none'; form-action 'none'"
    )
    add(head, "meta", http_equiv="Content-Security-Policy", content=policy)
    add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    add(head, "meta", name="color-scheme", content="light dark")
    add(head, "meta", name="generator", content=f"kdiag {version}")
    add(head, "title", title[:200])
    add(head, "style", _part("page.css"))


@cache
def _part(name: str) -> str:
    """The style or the script. They are ours alone: nothing of a report is put into them."""
    return files(__package__).joinpath(name).read_text("ascii")


def _digest(name: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(_part(name).encode()).digest()).decode()}"


def _title(header: Element, tag: str, report: Report) -> None:
    title = add(header, tag)
    add(title, "span", report.verdict, class_=f"badge {report.verdict}")
    if report.interrupted:
        said = "The check was interrupted"
    elif report.verdict == "fail" and report.failing_hop in order.HOPS[: order.IN_THE_WALK]:
        said = "A Kafka client cannot connect from here"
    elif report.verdict == "fail":
        said = "A Kafka client can connect from here, and not all is as it should be"
    else:
        said = "A Kafka client can connect from here"
    then(title, said)
    line = add(header, "p", class_="target quiet")
    for place, target in enumerate(report.target):
        then(line, ", " if place else "")
        add(line, "code", target)
    spoken = "" if report.protocol == UNKNOWN else f" · {report.protocol}"
    then(line, f"{spoken} · {order.verdict(report)}")


def _pictures(main: Element, report: Report) -> None:
    section = _section(main, "picture", "The way of a client")
    for paper in (WIDE, NARROW):
        svg = draw(report, paper)
        section.append(svg)


def _section(main: Element, name: str, title: str) -> Element:
    section = add(main, "section", aria_labelledby=name)
    add(section, "h2", title, id=name)
    return section


def _hops(main: Element, report: Report) -> None:
    section = _section(main, "hops", "Hop by hop")
    hops = add(section, "ol", class_="hops")
    for step in report.hops:
        item = add(hops, "li")
        add(item, "span", _WORDS[step.status], class_=f"status {step.status}")
        add(item, "span", f"{order.number(step.hop)} {step.hop}", class_="name")
        because = f"skipped: {step.skipped_because}" if step.skipped_because else ""
        learnt = "; ".join(part for part in (step.summary, because) if part) or "did not end"
        add(item, "span", learnt, class_="learnt")
        took = order.milliseconds(step.elapsed_ms) if step.summary else ""
        add(item, "span", took, class_="time")
    if order.found_out(report):
        add(section, "h3", "The listener speaks")
        _snippet(section, report.client_properties["librdkafka"])


def _finding(main: Element, report: Report, finding: Finding, follows: Sequence[Finding]) -> None:
    """A finding with its fixes; what it rests on stands further down."""
    root = finding is report.cause
    kind = "fail" if finding.severity == "error" else "warn"
    word = "Root cause" if root else "Also found" if kind == "fail" else "Warning"
    place = f"hop {order.number(finding.hop)}, {finding.hop}"
    section = add(main, "section", class_=f"card {kind}", aria_labelledby=_id(report, finding))
    head = add(section, "h2", f"{word}: ", id=_id(report, finding))
    _named(head, finding)
    add(head, "span", f" · {place}", class_="quiet")
    add(section, "p", finding.message, class_="lead")
    if finding.remedies:
        fixes = add(section, "div", class_="fixes")
        for number, remedy in enumerate(finding.remedies, 1):
            _remedy(fixes, remedy, f"Fix {number}" if len(finding.remedies) > 1 else "Fix")
    if follows:
        line = add(section, "p", "It explains: ")
        once = list({(other.code, other.name): other for other in follows}.values())
        for place_, other in enumerate(once):
            then(line, ", " if place_ else "")
            _named(line, other)


def _id(report: Report, finding: Finding) -> str:
    return f"finding-{next(n for n, f in enumerate(report.findings) if f is finding)}"


def _named(parent: Element, finding: Finding) -> None:
    page = order.page(finding)
    if page:
        add(parent, "a", finding.code, href=page)
        then(parent, f" {finding.name}")
    else:
        then(parent, f"{finding.code} {finding.name}")


def _remedy(fixes: Element, remedy: Remedy, title: str) -> None:
    fix = add(fixes, "div", class_="fix")
    add(fix, "h3", title)
    add(fix, "p", remedy.summary)
    if remedy.snippet:
        _snippet(fix, remedy.snippet)


def _snippet(parent: Element, lines: str) -> None:
    """Lines to copy; the script adds the button, where it may run."""
    box = add(parent, "div", class_="snippet")
    pre = add(box, "pre", tabindex=0)
    add(pre, "code", lines)


def _brokers(main: Element, brokers: Sequence[BrokerReport]) -> None:
    layers = order.tried(brokers)
    if not layers:
        return
    section = _section(main, "brokers", "Brokers, layer by layer")
    ordered = sorted(brokers, key=order.healthy)

    def row(body: Element, broker: BrokerReport) -> None:
        line = add(body, "tr")
        add(line, "th", str(broker.node), scope="row")
        add(line, "td", broker.advertised, class_="address mono")
        for outcome in (*(broker.layers.get(layer) for layer in layers), broker.produce):
            add(line, "td", outcome or "–", class_=_class(outcome))

    head = ("broker", "advertised", *layers, "produce")
    _table(section, "brokers", head, ordered, row)


def _class(outcome: str | None) -> str:
    return {"ok": "ok", None: "none", "denied": "warn"}.get(outcome, "fail")


def _table(
    section: Element,
    noun: str,
    head: Sequence[str],
    rows: Sequence[Entry],
    row: Callable[[Element, Entry], None],
) -> None:
    """The first rows of a table, and the rest of them folded away."""
    for place, some in enumerate((rows[:MANY_ROWS], rows[MANY_ROWS:])):
        if not some:
            continue
        outer = section
        if place:
            outer = add(section, "details")
            add(outer, "summary", f"{len(some)} more {noun}")
        label = f"{noun}, continued" if place else noun
        box = add(outer, "div", class_="scroll", tabindex=0, role="region", aria_label=label)
        table = add(box, "table")
        line = add(add(table, "thead"), "tr")
        for name in head:
            add(line, "th", name, scope="col")
        body = add(table, "tbody")
        for each in some:
            row(body, each)


def _aws(main: Element, report: Report) -> None:
    known = order.in_aws(report)
    if not report.aws or not (known or report.aws.gaps):
        return
    section = _section(main, "aws", "What AWS says")
    source = report.aws.source or "an unknown address"
    regions = ", ".join(report.aws.regions) or "no region"
    add(section, "p", f"For a client at {source}, in {regions}.", class_="quiet")

    def row(body: Element, each: AwsAddress) -> None:
        line = add(body, "tr")
        address = f"[{each.judged}]" if ":" in each.judged else each.judged
        inner = f" = {each.address}" if each.address != each.judged else ""
        add(line, "td", f"{address}:{each.port}{inner}", class_="address mono")
        add(line, "td", each.verdict, class_=_VERDICTS[each.verdict])
        add(line, "td", each.decided_by or "–", class_="mono")
        owner = [each.instance or each.interface, *each.groups]
        add(line, "td", ", ".join(name for name in owner if name), class_="mono")
        add(line, "td", each.reason, class_="words")

    if known:
        head = ("address", "verdict", "decided by", "instance, groups", "reason")
        _table(section, "addresses in AWS", head, known, row)
    gaps = [f"{gap.call} in {gap.region}: {gap.reason}: {gap.words}" for gap in report.aws.gaps]
    _lines(section, gaps)


def _expectations(main: Element, report: Report) -> None:
    if not report.expectations:
        return
    section = _section(main, "expectations", "What was expected")

    def row(body: Element, each: ExpectationReport) -> None:
        line = add(body, "tr")
        add(line, "th", each.expectation, scope="row", class_="mono")
        word, kind = _MET[each.met]
        add(line, "td", word, class_=kind)
        found = [f"{whose}: {what}" if whose else str(what) for whose, what in each.found.items()]
        add(line, "td", each.reason or ", ".join(found))

    _table(section, "expectations", ("expectation", "verdict", "found"), report.expectations, row)


def _evidence(main: Element, report: Report) -> None:
    """What each finding rests on, those that follow from others and those that are ignored too."""
    if not report.findings:
        return
    section = _section(main, "evidence", "Evidence")
    for finding, follows in order.causes(report):
        _rests_on(section, finding, finding.evidence)
        told = set(finding.evidence)
        for other in follows:
            rest = [line for line in other.evidence if line not in told]
            _rests_on(section, other, rest, f", follows from {finding.code}")
    for finding in order.ignored(report):
        _rests_on(section, finding, finding.evidence, ", ignored as asked")


def _rests_on(section: Element, finding: Finding, lines: Sequence[str], how: str = "") -> None:
    head = add(section, "h3")
    _named(head, finding)
    add(head, "span", f" · hop {order.number(finding.hop)}, {finding.hop}{how}", class_="quiet")
    if how:
        add(section, "p", finding.message)
    _lines(section, lines)


def _lines(section: Element, lines: Sequence[str]) -> None:
    """A list; of a long one the middle is folded away."""
    first, cut, last = order.shortened(lines)
    rest = lines[len(first) : len(first) + cut]
    for some in (first, rest, last):
        outer = section
        if some is rest and cut:
            outer = add(section, "details")
            add(outer, "summary", f"{cut} more lines")
        if some:
            items = add(outer, "ul")
            for line in some:
                add(items, "li", line)


def _environment(main: Element, report: Report) -> None:
    section = _section(main, "environment", "Environment")
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

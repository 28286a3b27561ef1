"""The report as an HTML page: one self-contained file that loads nothing from the network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TextIO
from xml.etree.ElementTree import Element, tostring

from kdiag.report.model import Report
from kdiag.report.render import presentation, tables
from kdiag.report.render.context import environment
from kdiag.report.render.diagram_svg import NARROW, WIDE, draw
from kdiag.report.render.markup import add, append_text, legal
from kdiag.report.render.parts import bulleted, titled
from kdiag.report.several import Reports
from kdiag.rules.rule import Finding, Remedy

_WORDS = {"pass": "√ pass", "warn": "‼ warning", "fail": "× fail", "skipped": "– skipped"}


def write(report: Report, stream: TextIO) -> None:
    """Writes the whole page, in ASCII, so that the stream's encoding does not matter."""
    root = Element("html", lang="en")
    cause = f" {report.cause.code} {report.cause.name}" if report.cause else ""
    about = f"kdiag {report.verdict}{cause}: {', '.join(report.target)}"
    head(root, about, report.kdiag_version)
    body = add(root, "body")
    _title(add(body, "header"), "h1", report)
    _contents(add(body, "main"), report)
    footer = f"kdiag {report.kdiag_version} · {report.started_at} · exit {report.exit_code}"
    finish(root, body, footer, stream)


def write_all(reports: Reports, stream: TextIO) -> None:
    """Writes one page: a list of all checks, then each check in full."""
    verdict = presentation.verdict_of_all(reports)
    root = Element("html", lang="en")
    head(root, f"kdiag {reports.verdict}: {verdict}", reports.kdiag_version)
    body = add(root, "body")
    title = add(add(body, "header"), "h1")
    add(title, "span", reports.verdict, class_=f"badge {reports.verdict}")
    append_text(title, verdict)
    main = add(body, "main")
    checks = titled(main, "checks", "Checks")
    if reports.comparison:
        compared = reports.comparison
        for line in (presentation.sentence(compared), *presentation.remarks(compared)):
            add(checks, "p", line)
    listed = add(checks, "ol", class_="hops")
    for number, (label, report) in enumerate(presentation.distinct(reports), 1):
        name = f"check-{number}"
        item = add(listed, "li")
        add(item, "span", _WORDS[report.verdict], class_=f"status {report.verdict}")
        add(add(item, "span", class_="name"), "a", label, href=f"#{name}")
        add(item, "span", presentation.verdict(report), class_="learnt")
        article = add(main, "article", aria_labelledby="label")
        add(article, "h2", label, id="label")
        _title(article, "p", report)
        _contents(article, report)
        make_unique(article, name, label)
        article.set("id", name)
    finish(root, body, f"kdiag {reports.kdiag_version} · exit {reports.exit_code}", stream)


def make_unique(article: Element, name: str, label: str) -> None:
    """Makes the element ids and labels of one check unique in the page."""
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
    """Adds all sections of a check after its title."""
    pictures(main, report)
    for finding, follows in presentation.causes(report):
        _finding(main, report, finding, follows)
    _hops(main, report)
    tables.brokers(main, report)
    tables.aws(main, report)
    tables.rights(main, report)
    tables.companions(main, report)
    tables.expectations(main, report)
    _evidence(main, report)
    environment(main, report)


def finish(root: Element, body: Element, footer: str, stream: TextIO) -> None:
    """Ends a page with its footer, and writes it."""
    add(add(body, "footer"), "p", footer)
    add(body, "script", _part("page.js"))
    text = tostring(root, encoding="us-ascii", method="html").decode()
    stream.write(f"<!DOCTYPE html>\n{text}\n")


def head(root: Element, title: str, version: str) -> None:
    """Adds the head of a page: its title, style, and what it may load (nothing)."""
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
    """The style sheet or the script of the page. Neither contains text of a report."""
    return files(__package__).joinpath(name).read_text("ascii")


def _digest(name: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(_part(name).encode()).digest()).decode()}"


def _title(header: Element, tag: str, report: Report) -> None:
    title = add(header, tag)
    add(title, "span", report.verdict, class_=f"badge {report.verdict}")
    append_text(title, presentation.headline(report))
    line = add(header, "p", class_="target quiet")
    for place, target in enumerate(report.target):
        append_text(line, ", " if place else "")
        add(line, "code", target)
    append_text(line, f"{presentation.spoken(report)} · {presentation.verdict(report)}")


def pictures(main: Element, report: Report) -> None:
    """Adds the picture of the path of a client, for wide and for narrow screens."""
    section = titled(main, "picture", "The path of a client")
    for paper in (WIDE, NARROW):
        section.append(draw(report, paper))


def _hops(main: Element, report: Report) -> None:
    section = titled(main, "hops", "Hop by hop")
    hops = add(section, "ol", class_="hops")
    for step in report.hops:
        item = add(hops, "li")
        add(item, "span", _WORDS[step.status], class_=f"status {step.status}")
        add(item, "span", presentation.numbered(step.hop), class_="name")
        add(item, "span", presentation.learnt(step), class_="learnt")
        add(item, "span", presentation.took(step), class_="time")
    if presentation.found_out(report):
        add(section, "h3", "The listener speaks")
        _snippet(section, report.client_properties["librdkafka"])


def _finding(main: Element, report: Report, finding: Finding, follows: Sequence[Finding]) -> None:
    """Adds a finding with its fixes; its evidence is in the section at the end."""
    root = finding is report.cause
    kind = "fail" if finding.severity == "error" else "warn"
    word = "Root cause" if root else "Also found" if kind == "fail" else "Warning"
    place = presentation.place(finding.hop, ", ")
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
            append_text(line, ", " if place_ else "")
            _named(line, other)


def _id(report: Report, finding: Finding) -> str:
    return f"finding-{next(n for n, f in enumerate(report.findings) if f is finding)}"


def _named(parent: Element, finding: Finding) -> None:
    page = presentation.page(finding)
    if page:
        add(parent, "a", finding.code, href=page)
        append_text(parent, f" {finding.name}")
    else:
        append_text(parent, f"{finding.code} {finding.name}")


def _remedy(fixes: Element, remedy: Remedy, title: str) -> None:
    fix = add(fixes, "div", class_="fix")
    add(fix, "h3", title)
    add(fix, "p", remedy.summary)
    if remedy.snippet:
        _snippet(fix, remedy.snippet)


def _snippet(parent: Element, lines: str) -> None:
    """Adds lines to copy; the page's script adds the copy button."""
    box = add(parent, "div", class_="snippet")
    pre = add(box, "pre", tabindex=0)
    add(pre, "code", lines)


def _evidence(main: Element, report: Report) -> None:
    """Adds the evidence of each finding, its consequences and the ignored ones included."""
    if not report.findings:
        return
    section = titled(main, "evidence", "Evidence")
    for finding, follows in presentation.causes(report):
        _evidence_of(section, finding, finding.evidence)
        shown = set(finding.evidence)
        for other in follows:
            rest = [line for line in other.evidence if line not in shown]
            _evidence_of(section, other, rest, f", follows from {finding.code}")
    for finding in presentation.ignored(report):
        _evidence_of(section, finding, finding.evidence, ", ignored as asked")


def _evidence_of(section: Element, finding: Finding, lines: Sequence[str], how: str = "") -> None:
    head = add(section, "h3")
    _named(head, finding)
    add(head, "span", f" · {presentation.place(finding.hop, ', ')}{how}", class_="quiet")
    if how:
        add(section, "p", finding.message)
    bulleted(section, lines)

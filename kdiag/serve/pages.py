"""The page of all targets: the last reports of each, its picture, and since when it is so."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

from kdiag import __version__
from kdiag.report.render import presentation
from kdiag.report.render.html import finish, head, make_unique, pictures
from kdiag.report.render.markup import add, append_text
from kdiag.report.render.parts import table
from kdiag.serve.history import History, Past


def index(histories: Mapping[str, History]) -> str:
    """The page of all targets, those that fail first."""
    failing = sum(bool(h.last and not h.last.ok) for h in histories.values())
    summary = f"{failing} of {len(histories)} targets fail"
    root = Element("html", lang="en")
    head(root, f"kdiag serve: {summary}", __version__)
    body = add(root, "body")
    add(add(body, "header"), "h1", summary)
    main = add(body, "main")
    order = sorted(histories.items(), key=lambda item: item[1].last is None or item[1].last.ok)
    for number, (name, history) in enumerate(order, 1):
        article = add(main, "article", aria_labelledby="label")
        _target(article, name, history)
        make_unique(article, f"target-{number}", name)
    stream = StringIO()
    finish(root, body, f"kdiag {__version__}", stream)
    return stream.getvalue()


def _target(article: Element, name: str, history: History) -> None:
    title = add(article, "h2", id="label")
    report = history.last
    if report is None:
        append_text(title, name)
        add(article, "p", "Nobody has probed it yet.", class_="quiet")
        return
    add(title, "span", report.verdict, class_=f"badge {report.verdict}")
    append_text(title, name)
    line = add(article, "p", f"{presentation.verdict(report)} · since {history.since}")
    line.set("class", "target")
    if report.cause:
        add(article, "p", report.cause.message)
    pictures(article, report)
    newest = list(reversed(history.past))
    details = add(article, "details")
    add(details, "summary", f"The last {len(newest)} reports")

    def row(line: Element, past: Past) -> None:
        query = urlencode({"target": name, "number": past.number})
        add(add(line, "th", scope="row"), "a", past.started_at, href=f"report?{query}")
        add(line, "td", past.state.verdict, class_=past.state.verdict)
        add(line, "td", past.state.hop or "")
        add(line, "td", f"{past.state.code or ''} {past.name}".strip())
        add(line, "td", presentation.milliseconds(past.elapsed_ms))

    table(details, "reports", ("started", "verdict", "hop", "cause", "took"), newest, row)

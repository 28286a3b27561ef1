"""Writes the page of a finding or an error as text or as a JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from shutil import get_terminal_size
from textwrap import fill
from typing import Any, TextIO

from kdiag.config import links
from kdiag.kafka.error_catalog import KafkaError, find
from kdiag.rules.client import ClientSystem
from kdiag.rules.rule import Rule
from kdiag.walk.facts.run import this_system

FORMS = ("terminal", "json")
SCHEMA_VERSION = 1
WIDTH = 100
SHORTEST, NEXT = 20, "  "  # columns beside an indent; the indent instead

WritePage = Callable[[str, TextIO], None]


def page_of(subject: str, every: Mapping[str, Rule]) -> WritePage | None:
    """What writes the page of a finding, one of these rules, or of an error; None where the
    subject is neither."""
    wanted = subject.strip().lower()
    for rule in every.values():
        if wanted in (rule.code.lower(), rule.name):
            return lambda form, stream: of_finding(form, rule, stream)
    error = find(subject)
    if error is None:
        return None
    return lambda form, stream: of_error(form, error, every, stream)


def of_finding(form: str, rule: Rule, stream: TextIO) -> None:
    """Writes the page of a finding."""
    if form == "terminal":
        stream.write(f"{rule.code} {rule.name} ({rule.severity.value})\n{rule.title}\n\n")
        see = f"\nsee {rule.url}\n" if links.SITE else ""
        stream.write("\n\n".join(map(_wrapped, _page(rule).split("\n\n"))) + f"\n{see}")
        return
    _object(stream, {"kind": "finding", **_summary(rule), "page": _page(rule), "url": rule.url})


def of_all(form: str, every: Mapping[str, Rule], stream: TextIO) -> None:
    """Writes all findings: a line for each, as wide as the terminal, or a JSON object."""
    rules = sorted(every.values(), key=lambda rule: (rule.area, rule.code))
    if form == "json":
        listed = [{**_summary(rule), "url": rule.url} for rule in rules]
        _object(stream, {"findings": listed})
        return
    code, name = max(len(rule.code) for rule in rules), max(len(rule.name) for rule in rules)
    for rule in rules:
        head = f"{rule.code:{code}}  {rule.name:{name}}  {rule.severity.value:7}  "
        stream.write(_wrapped(head + rule.title, " " * len(head)) + "\n")


def of_error(form: str, error: KafkaError, every: Mapping[str, Rule], stream: TextIO) -> None:
    """Writes the meaning of an error of Kafka's protocol or of librdkafka."""
    origin = "librdkafka's own" if error.own else "Kafka's protocol"
    if form == "terminal":
        parts = [f"{error.number} {error.name} ({origin})", _wrapped(error.means)]
        if error.fix:
            parts.append(_wrapped(f"How to fix: {error.fix}"))
        if error.codes:
            parts.append(f"Prove it: {error.prove}")
            lines = (f"{code} {every[code].name}: kdiag explain {code}" for code in error.codes)
            parts.append("\n".join(("The findings that it can be about:", *lines)))
        stream.write("\n\n".join(parts) + "\n")
        return
    _object(
        stream,
        {
            "kind": "error",
            "number": error.number,
            "name": error.name,
            "of": "librdkafka" if error.own else "kafka",
            "means": error.means,
            "fix": error.fix,
            "prove": error.prove if error.codes else "",
            "findings": list(error.codes),
        },
    )


def _page(rule: Rule) -> str:
    """The page of a rule, with the commands of this system."""
    return ClientSystem(this_system()).translated(rule.doc)


def _wrapped(text: str, indent: str = "") -> str:
    """A paragraph, as wide as the terminal, but for what is to be copied: an indented one stays."""
    width = min(get_terminal_size().columns, WIDTH)
    if text.startswith(" "):
        return text
    short = width - len(indent) < SHORTEST  # indented, hardly a word would fit
    return fill(
        text, width, subsequent_indent=NEXT if short and indent else indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _summary(rule: Rule) -> dict[str, str]:
    severity = rule.severity.value
    return {"code": rule.code, "name": rule.name, "severity": severity, "title": rule.title}


def _object(stream: TextIO, found: Mapping[str, Any]) -> None:
    stream.write(json.dumps({"schema_version": SCHEMA_VERSION, **found}, indent=2) + "\n")

"""The report as JUnit XML: a suite for each hop, a case for each check of each server and broker.

It has a failure or an error exactly when the exit code is not 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TextIO
from xml.etree.ElementTree import Element, indent

from kdiag.report.model import HopResult, Report
from kdiag.report.render import presentation
from kdiag.report.render.markup import add, as_xml
from kdiag.report.several import Reports
from kdiag.rules.rule import Finding
from kdiag.walk.areas import HOP_IDS

_VERDICTS = {"allowed": "ok", "blocked": "blocked", "unknown": None}
_MET = {True: "ok", False: "not met", None: None}
_GRANTED = {True: "ok", False: "denied to this client", None: None}


class _Reported:
    """A finding that is already in the document: the case that has it in full, and its evidence by
    subject."""

    def __init__(self, case: str, evidence: Sequence[str]) -> None:
        self.case = case
        self.about: dict[str, list[str]] = {}
        for line in evidence:
            self.about.setdefault(line.partition(": ")[0], []).append(line)


@dataclass
class _Case:
    """One test case. `outcome` is "ok", a failure's name, or None where it was not tried; `failed`
    are its findings; `because` says why it was not tried."""

    subject: str
    name: str
    outcome: str | None
    failed: list[Finding] = field(default_factory=list)
    because: str = "not tried"


def write(report: Report, stream: TextIO) -> None:
    """Writes one document that is valid by the schema of Jenkins."""
    root = Element("testsuites", name="kdiag", time=_seconds(report.elapsed_ms))
    _suites(root, report)
    _finish(root, stream)


def write_all(reports: Reports, stream: TextIO) -> None:
    """Writes one document for several reports; the names of the suites contain the labels."""
    longest = max(report.elapsed_ms for report in reports.reports.values())
    root = Element("testsuites", name="kdiag", time=_seconds(longest))
    for label, report in reports.reports.items():
        before = len(root)
        _suites(root, report)
        for suite in root[before:]:
            for element in (suite, *suite.iter("testcase")):
                key = "name" if element is suite else "classname"
                _, _, hop = element.get(key, "").partition(".")
                element.set(key, f"kdiag.{label}.{hop}")
    _finish(root, stream)


def _suites(root: Element, report: Report) -> None:
    failing = presentation.failing(report)
    for step in report.hops:
        _suite(root, report, step, [f for f in failing if f.hop == step.hop])


def _finish(root: Element, stream: TextIO) -> None:
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, 0)) for suite in root)))
    indent(root)
    stream.write(as_xml(root))


def _suite(root: Element, report: Report, step: HopResult, failing: Sequence[Finding]) -> None:
    cases = _cases(report, step, failing)
    suite = add(root, "testsuite", name=f"kdiag.{step.hop}", tests=len(cases))
    if step.hop == HOP_IDS[0]:
        _properties(suite, report)
    reported: dict[int, _Reported] = {}
    for case in cases:
        _case(suite, step, case, reported)
    for tag, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(count, str(sum(1 for _ in suite.iter(tag))))
    suite.set("time", _seconds(step.elapsed_ms))
    suite.set("timestamp", report.started_at)
    warned = [f for f in report.findings if f.hop == step.hop and f not in failing]
    texts = [step.summary, *("\n".join(_finding_lines(finding)) for finding in warned)]
    if any(texts):
        add(suite, "system-out", "\n\n".join(filter(None, texts)))


def _properties(suite: Element, report: Report) -> None:
    """Adds the properties of the check: target, protocol, verdict, …"""
    values = {
        "target": ",".join(report.target),
        "protocol": report.protocol,
        "cluster": report.cluster.id if report.cluster else None,
        "verdict": report.verdict,
        "failing_hop": report.failing_hop,
        "root_cause": report.root_cause,
        "exit_code": str(report.exit_code),
        "kdiag_version": report.kdiag_version,
    }
    properties = add(suite, "properties")
    for name, value in values.items():
        if value:
            add(properties, "property", name=name, value=value)


def _cases(report: Report, step: HopResult, failing: Sequence[Finding]) -> list[_Case]:
    """The test cases of a hop, each with the findings that make it fail. A finding whose subject
    has no case, or no failing one, gets a case of its own; so do its consequences."""
    cases = list(_checks(report, step))
    places: dict[str, list[_Case]] = {}
    for case in cases:
        places.setdefault(case.subject, []).append(case)
    own: dict[tuple[str, str], _Case] = {}
    for finding in failing:
        for subject in finding.subjects or [f"hop {step.hop}"]:
            place = _place(places.get(subject, ())) or own.get(
                (subject, finding.consequence_of or "")
            )
            if place is None:
                name = f"{subject}: {finding.code} {finding.name}"
                place = own.setdefault((subject, finding.code), _Case(subject, name, None))
            place.failed.append(finding)
    return [*cases, *own.values()]


def _checks(report: Report, step: HopResult) -> Iterator[_Case]:
    """The test cases of a hop from the report: a case for each layer of a server or broker, for
    each request, or for the hop as a whole."""
    brokers = report.cluster.brokers if report.cluster else []
    checks: list[tuple[str, str, str | None]] = []
    if step.hop == "bootstrap":
        layers = presentation.tried(report.bootstrap)
        checks = [
            (f"bootstrap {s.server}", x, s.layers.get(x)) for s in report.bootstrap for x in layers
        ]
    elif step.hop == "listeners":
        layers = presentation.tried(brokers)
        checks = [(f"broker {b.node}", x, b.layers.get(x)) for b in brokers for x in layers]
    elif step.hop == "produce":
        checks = [(f"broker {broker.node}", "produce", broker.produce) for broker in brokers]
    elif step.hop == "aws":
        known = report.aws.addresses if report.aws else []
        checks = [
            (row.subject, f"{row.judged}:{row.port}", _VERDICTS[row.verdict]) for row in known
        ]
    elif step.hop == "expect":
        checks = [(f"expectation {e.expectation}", "", _MET[e.met]) for e in report.expectations]
    elif step.hop == "consume":
        needed = report.consume.rights if report.consume else []
        checks = [
            (f"{r.resource} {r.name}".rstrip(), r.operation, _GRANTED[r.granted]) for r in needed
        ]
    elif step.hop == "companions":
        checks = [(c.url, x, how) for c in report.companions for x, how in c.layers.items() if how]

    because = f"skipped: {step.skipped_because}" if step.skipped_because else "not tried"
    for subject, check, outcome in dict.fromkeys(checks):
        name = f"{subject}: {check}" if check else subject
        yield _Case(subject, name, outcome, because=because)
    if not checks:
        went_well = "ok" if step.status in ("pass", "warn") else None
        yield _Case(f"hop {step.hop}", step.hop, went_well, because=because)
    if step.hop == "metadata" and report.cluster and report.cluster.topic:
        topic = report.cluster.topic
        yield _Case(f"topic {topic.name}", f"topic {topic.name}", topic.error or "ok")


def _place(cases: Sequence[_Case]) -> _Case | None:
    """The case of a subject to which a finding about it belongs: the first one that failed."""
    broke = [case for case in cases if case.outcome not in ("ok", "denied", None)]
    if broke:
        return broke[0]
    return cases[0] if len(cases) == 1 else None


def _case(suite: Element, step: HopResult, case: _Case, reported: dict[int, _Reported]) -> None:
    """Adds one test case. `reported` has the findings, by id(), that an earlier case contains."""
    element = add(suite, "testcase", classname=f"kdiag.{step.hop}", name=case.name)
    if case.failed:
        first = case.failed[0]
        tag = "error" if first.code == "KD001" else "failure"
        text = "\n\n".join("\n".join(_once(finding, case, reported)) for finding in case.failed)
        kind = f"{first.code} {first.name}"
        add(element, tag, text, type=kind, message=first.message)
    elif step.skipped_because == "interrupted":
        add(element, "error", type="interrupted", message="interrupted before it was known")
    elif case.outcome is None:
        add(element, "skipped", message=case.because)
    elif case.outcome != "ok":
        add(element, "skipped", message=f"a warning only: {case.outcome}")


def _once(finding: Finding, case: _Case, reported: dict[int, _Reported]) -> Iterator[str]:
    """The lines of a finding: in full at the first case that fails for it; at later cases only the
    evidence on their subject."""
    if id(finding) not in reported:
        reported[id(finding)] = _Reported(case.name, finding.evidence)
        yield from _finding_lines(finding)
        return
    yield _headed(finding)
    yield from (f"- {line}" for line in reported[id(finding)].about.get(case.subject, ()))
    yield f"more at: {reported[id(finding)].case}"


def _headed(finding: Finding) -> str:
    return f"{finding.severity.value}: {finding.code} {finding.name}: {finding.message}"


def _finding_lines(finding: Finding) -> Iterator[str]:
    """The lines of a finding, with its evidence and fixes shortened."""
    yield f"ignored: {_headed(finding)}" if finding.ignored else _headed(finding)
    if finding.consequence_of:
        yield f"follows from {finding.consequence_of}"
        return
    yield from presentation.plain_lines(finding.evidence, "- ")
    for remedy in finding.remedies:
        yield f"fix: {remedy.summary}"
        yield from (f"    {line}" for line in _snippet(remedy.snippet))
    yield f"see {presentation.see(finding)}"


def _snippet(snippet: str) -> Iterator[str]:
    lines, cut = presentation.snippet(snippet.splitlines())
    yield from lines
    if cut:
        yield f"... {cut} more lines with -o json"


def _seconds(elapsed_ms: int) -> str:
    return f"{elapsed_ms / 1000:.3f}"

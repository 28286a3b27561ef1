"""The report as Markdown, for a job's summary, a pull request or a chat. It contains no HTML, and
text of a peer is never interpreted as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TextIO

from kdiag.report.aws import AwsAddress
from kdiag.report.model import BrokerReport, HopResult, Report
from kdiag.report.render import encoding, presentation
from kdiag.report.render.presentation import MANY_BROKERS
from kdiag.report.several import Reports
from kdiag.rules.rule import Finding, Remedy
from kdiag.text import plural

_MARKS = {"pass": "✅ ", "warn": "⚠️ ", "fail": "❌ ", "skipped": "➖ "}
_NO_MARKS = dict.fromkeys(_MARKS, "")

# A word of these characters is written unchanged. Any other word becomes code, where neither
# Markdown nor GitHub's additions (mentions, references, links, emoji) are interpreted.
_WORD = re.compile(r"""(?P<before>[("']*)(?P<core>.*?)(?P<after>[)"'.,;:!?]*)""", re.DOTALL)
_PLAIN = re.compile(r"""[^\x00-\x20!#$&*<>@\[\\\]^_`{|}~\x7f]*""")
_LINK = re.compile(r"://|www\.|:[a-z+-][\w+-]*:", re.IGNORECASE)
_LIST = re.compile(r"[-+=]+|\d+[.)]")  # at the start of a line
_KIND = re.compile(r"[a-z]+")
_TICKS = re.compile("`+")


def write(report: Report, stream: TextIO) -> None:
    """Writes one document: CommonMark, with GitHub's tables."""
    stream.write(encoding.fitted("\n".join(document(report, _marks(stream))) + "\n", stream))


def write_all(reports: Reports, stream: TextIO) -> None:
    """Writes one document: a table of all reports, then each report under its label."""
    marks = _marks(stream)
    stream.write(encoding.fitted("\n".join(documents(reports, marks)) + "\n", stream))


def documents(reports: Reports, marks: dict[str, str] = _MARKS) -> Iterator[str]:
    """The lines of the document on several reports."""
    yield f"# {marks[reports.verdict]}kdiag: {presentation.verdict_of_all(reports)}"
    yield from _table(
        ["status", "target", "verdict"],
        [
            [
                f"{marks[report.verdict]}{report.verdict}",
                code(label),
                prose(presentation.verdict(report)),
            ]
            for label, report in presentation.distinct(reports)
        ],
    )
    if reports.comparison:
        yield from ("", prose(presentation.sentence(reports.comparison)), "")
        yield from (f"- {prose(line)}" for line in presentation.remarks(reports.comparison))
    for label, report in presentation.distinct(reports):
        yield from ("", f"# {code(label)}", "")
        yield from document(report, marks)


def _marks(stream: TextIO) -> dict[str, str]:
    return _MARKS if encoding.fits("".join(_MARKS.values()), stream) else _NO_MARKS


def document(report: Report, marks: dict[str, str] = _MARKS) -> Iterator[str]:
    """The lines of the document on one report."""
    yield f"## {marks[report.verdict]}kdiag: {report.verdict}"
    yield ""
    spoken = prose(presentation.spoken(report))
    yield " ".join(filter(None, (", ".join(map(code, report.target)), spoken)))
    yield ""
    yield f"**{prose(presentation.verdict(report))}**"
    yield from _hops(report.hops, marks)
    if presentation.found_out(report):
        lines = report.client_properties["librdkafka"].splitlines()
        yield from ("", f"The listener speaks: {', '.join(code(line) for line in lines)}")
    if report.cluster and presentation.differs(report.cluster.brokers):
        yield from _brokers(report.cluster.brokers)
    known = presentation.in_aws(report)
    if any(row.verdict != "allowed" for row in known):
        yield from _aws(known)
    needed = [
        [r.operation, code(presentation.resource(r)), presentation.GRANTED[r.granted][0], r.answer]
        for r in presentation.needed(report)
    ]
    if needed:
        yield from _table(["right", "on", "verdict", "answer"], needed)
    for finding, follows in presentation.causes(report):
        yield from _finding(finding, follows, marks, root=finding is report.cause)
    ignored = presentation.ignored(report)
    yield from [""][: len(ignored)]
    yield from (f"- ignored: {_named(f)}: {prose(f.message)}" for f in ignored)
    yield from ("", f"kdiag {prose(report.kdiag_version)} · {report.started_at}")


def prose(text: str) -> str:
    """Untrusted text as Markdown prose; words with special characters become code."""
    words = presentation.no_endless_word(text).split()
    safe = [_word(word) for word in words]
    if words and _LIST.fullmatch(words[0]):
        safe[0] = code(words[0])
    return " ".join(safe)


def code(text: str) -> str:
    """Untrusted text as Markdown code, on one line."""
    text = presentation.no_endless_word(" ".join(text.splitlines()))
    if not text.strip():
        return "–"
    longest = max((len(run) for run in _TICKS.findall(text)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _word(word: str) -> str:
    if _PLAIN.fullmatch(word) and not _LINK.search(word):
        return word
    found = _WORD.fullmatch(word)
    if not found or not found["core"]:
        return code(word)
    return f"{found['before']}{code(found['core'])}{found['after']}"


def _hops(hops: Sequence[HopResult], marks: dict[str, str]) -> Iterator[str]:
    rows = [
        [
            f"{marks[step.status]}{step.status}",
            presentation.numbered(step.hop),
            prose(presentation.learnt(step)),
            presentation.took(step),
        ]
        for step in hops
    ]
    yield from _table(["status", "hop", "what was learnt", "time"], rows)


def _brokers(brokers: Sequence[BrokerReport]) -> Iterator[str]:
    """The table of brokers and layers: the broken ones first, and not more than can be read."""
    layers = presentation.tried(brokers)
    ordered = sorted(brokers, key=presentation.healthy)
    rows = []
    for broker in ordered[:MANY_BROKERS]:
        outcomes = [*(broker.layers.get(layer) for layer in layers), broker.produce]
        cells = [f"**{code(how)}**" if how not in ("ok", None) else how or "–" for how in outcomes]
        rows.append([str(broker.node), code(broker.advertised), *cells])
    yield from _table(["broker", "advertised", *layers, "produce"], rows)
    if more := presentation.more_brokers(ordered):
        yield from ("", more)


def _aws(rows: Sequence[AwsAddress]) -> Iterator[str]:
    """The table of addresses with AWS's verdict on each."""
    cells = []
    for row in rows[:MANY_BROKERS]:
        inner = f" = {code(row.address)}" if row.address != row.judged else ""
        owner = ", ".join(map(code, presentation.aws_owner(row)))
        address = code(presentation.aws_address(row)) + inner
        cells.append([address, row.verdict, code(row.decided_by or ""), owner])
    yield from _table(["in AWS", "verdict", "decided by", "instance, groups"], cells)
    if more := presentation.more_addresses(rows):
        yield from ("", more)


def _finding(
    finding: Finding, follows: Sequence[Finding], marks: dict[str, str], *, root: bool
) -> Iterator[str]:
    mark = marks["fail" if finding.severity == "error" else "warn"]
    cause = "root cause: " if root else "" if finding.severity == "error" else "warning: "
    place = presentation.place(finding.hop, ", ")
    yield ""
    yield f"### {mark}{cause}{_named(finding)} · {place}"
    yield from ("", f"**{prose(finding.message)}**", "")
    first, cut, last = presentation.shortened(finding.evidence)
    yield from (f"- {prose(line)}" for line in first)
    if cut:
        yield f"- {_more(cut)}"
    yield from (f"- {prose(line)}" for line in last)
    for remedy in finding.remedies:
        yield from _remedy(remedy)
    if follows:
        yield from ("", f"Explains: {', '.join(dict.fromkeys(map(_named, follows)))}")


def _named(finding: Finding) -> str:
    """The code and name of a finding, with a link to its page."""
    page = presentation.page(finding)
    return (
        f"[{finding.code}]({page}) {prose(finding.name)}"
        if page
        else prose(f"{finding.code} {finding.name}")
    )


def _remedy(remedy: Remedy) -> Iterator[str]:
    yield from ("", f"**Fix:** {prose(remedy.summary)}")
    lines, cut = presentation.snippet(remedy.snippet.splitlines())
    if not lines:
        return
    longest = max((len(run) for run in _TICKS.findall("\n".join(lines))), default=0)
    fence = "`" * max(3, longest + 1)
    kind = remedy.kind if _KIND.fullmatch(remedy.kind) else ""
    yield from ("", f"{fence}{kind}", *lines, fence)
    if cut:
        yield from ("", _more(cut))


def _more(cut: int) -> str:
    return f"… {plural(cut, 'more line')} with `-o json`"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table. Bars in cells are replaced, as dialects escape them differently."""
    yield from ("", _row(head), _row(["---"] * len(head)))
    yield from (_row([cell.replace("|", "¦") for cell in row]) for row in rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

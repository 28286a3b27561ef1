"""What all renderers share: the order of findings and brokers, shortened lists, and texts of the
verdict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from kdiag.config import links
from kdiag.config.endpoint import Endpoint
from kdiag.config.record import NamedTuple
from kdiag.network.attempt import LAYERS, PROXY
from kdiag.report.aws import AwsAddress
from kdiag.report.model import (
    UNKNOWN,
    BrokerReport,
    HopResult,
    Report,
    RightReport,
    ServerReport,
)
from kdiag.rules.rule import Finding, rule_url
from kdiag.text import plural
from kdiag.walk.areas import HOP_IDS

if TYPE_CHECKING:
    from kdiag.report.compare import Comparison, SharedView
    from kdiag.report.several import Reports


MANY_BROKERS, MANY_LINES, LAST_LINES, MANY_SNIPPET_LINES = 12, 10, 4, 32
MANY_OUTCOMES = 8  # of several vantage points
LONGEST_WORD = 260  # characters: a host name and its port; a longer word loses its middle
_ENDLESS = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")

_WORST = ("fail", "warn", "pass", "skipped")  # statuses of a hop, the worst first
GRANTED = {True: ("granted", "pass"), False: ("denied", "fail"), None: ("not proven", "warn")}
VERDICTS = ("blocked", "unknown", "allowed")  # AWS's verdicts, the worst first

SHORT = 24  # lines of a short report, at 80 columns


class Room(NamedTuple):
    """How many lines a short report has for the evidence, for the snippet of the fix, and for other
    findings."""

    evidence: int
    snippet: int
    others: int


# A fix that is whole is worth more than further evidence.
ROOMS = tuple(
    Room(evidence, snippet, others)
    for snippet in (12, 9, 6, 3)
    for evidence, others in ((4, 3), (3, 2), (2, 1), (1, 0))
)

Reached = TypeVar("Reached", BrokerReport, ServerReport)
Line = TypeVar("Line")


def number(hop: str) -> int:
    """The number of one of the four hops, from 1."""
    return HOP_IDS.index(hop) + 1


def causes(report: Report) -> list[tuple[Finding, list[Finding]]]:
    """The findings that are neither ignored nor explained by another, each with its consequences:
    the root cause first, then errors, then warnings."""
    found = [f for f in report.findings if not f.consequence_of and not f.ignored]
    found.sort(key=lambda finding: (finding is not report.cause, finding.severity != "error"))
    return [
        (cause, [finding for finding in report.findings if finding.consequence_of == cause.code])
        for cause in found
    ]


def ignored(report: Report) -> list[Finding]:
    """The findings that the user ignores."""
    return [finding for finding in report.findings if finding.ignored]


def page(finding: Finding) -> str | None:
    """The address of a finding's documentation page; None where no site has it, and where a saved
    report has another one."""
    return finding.url if links.SITE and finding.url == rule_url(finding.code) else None


def see(finding: Finding) -> str:
    """Where a finding is explained: by kdiag itself, and on the site."""
    return ", ".join(filter(None, (f"kdiag explain {finding.code}", page(finding))))


def failing(report: Report) -> list[Finding]:
    """The findings that make their hop fail: errors, and warnings with `--fail-on warning`."""
    counted = [finding for finding in report.findings if not finding.ignored]
    errors = [finding for finding in counted if finding.severity == "error"]
    judged = {step.hop for step in report.hops if step.status == "fail"}
    if judged <= {finding.hop for finding in errors}:
        return errors
    return [finding for finding in counted if finding.hop in judged]


def tried(ends: Sequence[Reached]) -> list[str]:
    """The layers that were tried at any of these servers or brokers, in order."""
    return [layer for layer in (PROXY, *LAYERS) if any(end.layers.get(layer) for end in ends)]


def broken(end: BrokerReport | ServerReport) -> tuple[str, str] | None:
    """The layer that failed at a server or broker, and its failure; None where none failed."""
    failed = [(layer, how) for layer, how in end.layers.items() if how not in (None, "ok")]
    return next(((layer, how) for layer, how in failed if how and how != "denied"), None)


def healthy(broker: BrokerReport) -> bool:
    """Whether every tried layer and the produce request of a broker succeeded."""
    layers = [outcome for outcome in broker.layers.values() if outcome]
    return bool(layers) and {*layers, broker.produce} == {"ok"}


def more_brokers(ordered: Sequence[BrokerReport]) -> str:
    """The count of the brokers that a table leaves out; "" where it has all."""
    more = ordered[MANY_BROKERS:]
    return f"… and {len(more)} more brokers, {sum(map(healthy, more))} of them well" if more else ""


def differs(brokers: Sequence[BrokerReport]) -> bool:
    """Whether the table of brokers adds to the lines of the hops: some broker is not healthy."""
    seen = any(outcome for broker in brokers for outcome in broker.layers.values())
    return seen and not all(healthy(broker) for broker in brokers)


def in_aws(report: Report) -> list[AwsAddress]:
    """The addresses that AWS knows, without duplicates, the blocked ones first."""
    once: dict[tuple[str, int], AwsAddress] = {}
    for row in report.aws.addresses if report.aws else ():
        if row.interface:
            once.setdefault((row.judged, row.port), row)
    return sorted(once.values(), key=lambda row: VERDICTS.index(row.verdict))


def aws_address(row: AwsAddress) -> str:
    """The address and port that AWS's verdict is about."""
    return str(Endpoint(row.judged, row.port))


def aws_owner(row: AwsAddress) -> list[str]:
    """The instance or the interface of an address in AWS, and its security groups."""
    return [name for name in (row.instance or row.interface, *row.groups) if name]


def more_addresses(rows: Sequence[AwsAddress]) -> str:
    """The count of the addresses that a table leaves out; "" where it has all."""
    more = rows[MANY_BROKERS:]
    well = sum(row.verdict == "allowed" for row in more)
    return f"… and {len(more)} more addresses, {well} of them allowed" if more else ""


def needed(report: Report) -> list[RightReport]:
    """The rights that the role needs, those that are denied first."""
    found = report.consume.rights if report.consume else []
    return sorted(found, key=lambda right: right.granted is not False)


def resource(right: RightReport) -> str:
    """What a right is on: the kind of the resource and its name."""
    return f"{right.resource} {right.name}".rstrip()


def plain_lines(lines: Sequence[str], lead: str = "") -> Iterator[str]:
    """The lines of evidence or of a fix, shortened, for a format that is plain text."""
    first, cut, last = shortened(lines)
    yield from (f"{lead}{line}" for line in first)
    if cut:
        yield f"... {cut} more lines with -o json"
    yield from (f"{lead}{line}" for line in last)


def explains(follows: Sequence[Finding]) -> str:
    """The findings that one explains, each once."""
    return ", ".join(dict.fromkeys(f"{f.code} {f.name}" for f in follows))


def shortened(lines: Sequence[Line]) -> tuple[Sequence[Line], int, Sequence[Line]]:
    """The first lines, how many lines are left out, and the last lines: evidence starts with the
    brokers' results and ends with possible fixes, so both ends are kept."""
    cut = len(lines) - MANY_LINES if len(lines) > MANY_LINES + 1 else 0
    before = MANY_LINES - LAST_LINES if cut else len(lines)
    return lines[:before], cut, lines[before + cut :]


def found_out(report: Report) -> bool:
    """Whether to show the protocol that kdiag found: the user had not configured it, it is not
    PLAINTEXT, and the bootstrap server was reached."""
    reached = report.hops[0].status != "fail"
    return report.protocol_found and report.protocol != "PLAINTEXT" and reached


def learnt(step: HopResult) -> str:
    """What a hop learnt, or why it was skipped."""
    because = f"skipped: {step.skipped_because}" if step.skipped_because else ""
    return "; ".join(filter(None, (step.summary, because))) or "did not end"


def took(step: HopResult) -> str:
    """How long a hop took; "" where it learnt nothing."""
    return milliseconds(step.elapsed_ms) if step.summary else ""


def spoken(report: Report) -> str:
    """The protocol of the listener, behind its target; "" where it is not known."""
    return "" if report.protocol == UNKNOWN else f" · {report.protocol}"


def milliseconds(elapsed: int) -> str:
    """A duration in milliseconds as text: `52 ms`, `3.06 s`."""
    return f"{elapsed} ms" if elapsed < 1000 else f"{elapsed / 1000:.2f} s"


def verdict(report: Report) -> str:
    """The verdict in one line, without pass, warn or fail: hop, cause and exit code."""
    cause = report.cause
    if report.interrupted:
        text = "interrupted; the hops above are what is known"
    elif cause:
        hop = report.failing_hop or cause.hop
        text = f"{place(hop)} · {sentence_case(cause.title)} ({cause.code})"
    else:
        text = "a client can connect from here"
    return f"{text} · exit {report.exit_code}"


_HEADLINES = {
    "KD001": "kdiag itself failed: the check did not end",
    "KD002": "The deadline ended the check before its end",
    "KD801": "This place could not be reached: nothing was checked from there",
}


_FAILED = {
    "bootstrap": "cannot connect from here",
    "metadata": "can connect from here, but the metadata does not let it go on",
    "listeners": "cannot reach every broker from here",
    "produce": "can connect from here, but cannot produce to every broker",
}


def headline(report: Report) -> str:
    """The verdict as a title, without the cause: nothing is claimed that was not checked."""
    if report.interrupted:
        return "The check was interrupted"
    if report.verdict != "fail":
        return "A Kafka client can connect from here"
    if report.root_cause in _HEADLINES:
        return _HEADLINES[report.root_cause]
    if report.cause and report.cause.severity != "error":
        return "A Kafka client can connect from here, but a warning counts as a failure"
    if report.failing_hop in _FAILED:
        return f"A Kafka client {_FAILED[report.failing_hop]}"
    return f"A Kafka client can connect from here, but {report.failing_hop} fails"


def whole(snippet: Sequence[str], most: int) -> Sequence[str]:
    """The first lines of a snippet, at most `most`, up to the end of a command: a comment on the
    next line, or a line that goes on there, is left out."""
    while 0 < most < len(snippet) and re.match(r"\s*#|.*\\\Z", snippet[most - 1]):
        most -= 1
    return snippet[:most]


def room(left: int, evidence: Sequence[str], snippet: int, others: Sequence[str]) -> Room:
    """The most of a finding that fits into so many lines. `evidence` and `others` are printed
    texts, `snippet` is a number of lines."""
    for room in ROOMS:
        texts = "".join((*evidence[: room.evidence], *others[: room.others]))
        hidden = len(others) > room.others
        if texts.count("\n") + min(snippet, room.snippet) + hidden <= left:
            return room
    return ROOMS[-1]


def place(hop: str, separator: str = " ") -> str:
    """A hop as a report names it: only the four hops of the walk have a number."""
    return f"hop {number(hop)}{separator}{hop}" if hop in HOP_IDS else hop


def abbreviated(hop: str) -> str:
    """The head of a narrow column: `hop 3`."""
    return f"hop {number(hop)}" if hop in HOP_IDS else hop


def numbered(hop: str) -> str:
    """A hop in a list of all: its number, where it has one, and its name."""
    return f"{number(hop)} {hop}" if hop in HOP_IDS else hop


def sentence_case(title: str) -> str:
    """A title as it stands inside a sentence: only an abbreviation keeps its capital."""
    return title if title[1:2].isupper() else f"{title[:1].lower()}{title[1:]}"


def no_endless_word(text: str) -> str:
    """The text with the middle cut out of every word longer than LONGEST_WORD."""
    half = LONGEST_WORD // 2
    return _ENDLESS.sub(lambda word: f"{word.group()[:half]}…{word.group()[-half:]}", text)


def snippet(lines: Sequence[str]) -> tuple[Sequence[str], int]:
    """The lines of a snippet that are shown, and how many are left out."""
    return lines[:MANY_SNIPPET_LINES], max(0, len(lines) - MANY_SNIPPET_LINES)


def distinct(reports: Reports) -> list[tuple[str, Report]]:
    """The reports to show, each with its label; of equal vantage points the first one."""
    if reports.comparison is None:
        return list(reports.reports.items())
    return [(each.whose, reports.reports[each.labels[0]]) for each in outcomes(reports.comparison)]


def outcomes(compared: Comparison) -> list[SharedView]:
    """The outcomes to show. Of more than MANY_OUTCOMES, those of one cause are one, and those of
    most vantage points are shown, after the working ones."""
    if len(compared.outcomes) <= MANY_OUTCOMES:
        return compared.outcomes
    alike: dict[tuple[object, ...], list[SharedView]] = {}
    for each in compared.outcomes:
        alike.setdefault((each.exit_code, each.root_cause), []).append(each)
    merged = [_merged(views) for views in alike.values()]
    merged.sort(key=lambda view: (view.exit_code != 0, -len(view.labels)))
    return merged[:MANY_OUTCOMES]


def _merged(views: Sequence[SharedView]) -> SharedView:
    """Outcomes of one cause as one: each hop with its worst status."""
    first = views[0]
    hops: dict[str, str] = {}
    brokers: dict[str, str | None] = {}
    for view in views:
        for hop, status in view.hops.items():
            hops[hop] = min(hops.get(hop, status), status, key=_WORST.index)
        for broker, how in view.brokers.items():
            brokers[broker] = how if brokers.get(broker, how) == how else "differs"
    labels = [label for view in views for label in view.labels]
    return replace(first, labels=labels, hops=hops, brokers=brokers)


def remarks(compared: Comparison) -> list[str]:
    """What stands under the sentence: what the shown outcomes leave out, and the differences."""
    shown = outcomes(compared)
    if len(shown) == len(compared.outcomes):
        return compared.differences
    count = sum(len(view.labels) for view in compared.outcomes)
    more = count - sum(len(view.labels) for view in shown)
    rest = f"; {more} more have other causes" if more else ""
    cut = f"places with one cause are shown as one{rest}: -o json has the result of each"
    return [cut, *compared.differences]


def sentence(compared: Comparison) -> str:
    """The comparison of several vantage points, as a sentence."""
    unreached = compared.outcomes[0].failing_hop == "vantage"
    return f"{compared.sentence}." if unreached else f"It {compared.sentence}."


def brokers(outcome: SharedView) -> str:
    """The results at the brokers as text, equal results together: "1, 2: tcp timeout"."""
    alike: dict[str, list[str]] = {}
    for broker, how in outcome.brokers.items():
        alike.setdefault(how or "not tried", []).append(broker.removeprefix("broker "))
    if len(alike) == 1:
        (how,) = alike
        return f"all {len(outcome.brokers)} {how}" if len(outcome.brokers) > 1 else how
    return "; ".join(
        f"{', '.join(nodes) if len(nodes) <= MANY_BROKERS else len(nodes)}: {how}"
        for how, nodes in alike.items()
    )


def verdict_of_all(reports: Reports) -> str:
    """The verdict on several reports in one line, without pass, warn or fail."""
    count, failed = len(reports.reports), reports.failed
    text = f"{failed} of {count} fail" if failed else f"all {count} pass"
    files = len(reports.skipped)
    skipped = f" · {plural(files, 'file')} skipped" if files else ""
    return f"{text}{skipped} · exit {reports.exit_code}"

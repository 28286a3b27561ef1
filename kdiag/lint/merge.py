"""Compares the configuration files of a cluster with the cluster that a walk observed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kdiag.lint.linter import lint
from kdiag.lint.merged_line import merged
from kdiag.lint.mistake import Problem
from kdiag.lint.observed import ObservedBroker, ObservedCluster, at
from kdiag.lint.remedies import about, corrected
from kdiag.lint.report import LintReport
from kdiag.lint.sources import ConfigSource
from kdiag.rules.cloud import CloudView
from kdiag.rules.root_cause import highest_ranked
from kdiag.rules.rule import Finding, Remedy, Severity
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, Listeners
from kdiag.walk.facts.metadata import Broker, Metadata

# What an advertised address is wrong for: the corrected file is the fix.
_ADVERTISED = tuple(f"KD30{digit}" for digit in "1234578")
_ADVERTISING = {"KD611", "KD612", "KD615", "KD621", "KD622", *(f"KD6{n}" for n in range(16, 21))}
_IN_A_FILE = ("yaml", "properties")


@dataclass(frozen=True)
class MergedConfig:
    """The findings on files, judged with the observed cluster."""

    report: LintReport

    def beside(self, walked: Sequence[Finding]) -> list[Finding]:
        """The findings of the walk and those on files. The corrected files become the remedy of the
        most important finding that they fix."""
        found = [*walked, *_grouped(self.report.problems)]
        fixes = [corrected(each.name, each.before, each.after) for each in self.report.fixed]
        first = highest_ranked(self._mended(found)) if fixes else None
        return [
            replace(f, remedies=_first(fixes, f)) if f is first else self._with_lines(f)
            for f in found
        ]

    def _with_lines(self, finding: Finding) -> Finding:
        """The finding, with the broker's own lines in its remedies for server.properties."""
        fixes = [merged(each, self.report.lines) for each in finding.remedies]
        if fixes == finding.remedies:
            return finding
        fixes.sort(key=lambda fix: fix in finding.remedies)  # what the files themselves have first
        return replace(finding, remedies=fixes)

    def _mended(self, found: Sequence[Finding]) -> list[Finding]:
        """The findings that the corrected files fix: those on advertised addresses, if the files
        change the entry listener, or else the fixable findings on files."""
        fixed = {each.finding.code for each in self.report.problems if each.fixed}
        wrong = [each for each in found if each.code in _ADVERTISED]
        if wrong and self.report.entry_listener and fixed & _ADVERTISING:
            return wrong
        return [each for each in found if each.code in fixed and each.hop == "config"]


def merge(config: ConfigSource, facts: Facts) -> MergedConfig:
    """Judges the files of a walk."""
    return MergedConfig(
        lint(config.sources, skip_unknown=True, fix=True, live=observed_cluster(facts))
    )


def observed_cluster(facts: Facts) -> ObservedCluster | None:
    """The running cluster, None where no broker is known."""
    bootstrap, metadata = facts.get(Bootstrap), facts.get(Metadata)
    listeners = facts.get(Listeners)
    if bootstrap is None or metadata is None or not metadata.brokers:
        return None
    dialled = {x.broker.node: x for x in listeners.listeners} if listeners else {}
    cloud = facts.get(CloudView) or CloudView()
    return ObservedCluster(
        tuple(contact.endpoint for contact in bootstrap.usable),
        tuple(_broker(each, dialled.get(each.node), cloud) for each in metadata.brokers),
    )


def _broker(broker: Broker, listener: Listener | None, cloud: CloudView) -> ObservedBroker:
    if listener and listener.contact.usable:
        return ObservedBroker(broker.node, broker.advertised, True, at(*broker.advertised))
    found, _ = cloud.found_public([listener] if listener else [])
    proven = next((each.proven for each in found), None)
    reached = at(*proven.endpoint) if proven else None
    return ObservedBroker(broker.node, broker.advertised, False, reached)


def _first(fixes: Sequence[Remedy], finding: Finding) -> list[Remedy]:
    """The corrected files, and the remedies that are no part of them."""
    return [*fixes, *(each for each in finding.remedies if each.kind not in _IN_A_FILE)]


def _grouped(problems: Sequence[Problem]) -> Iterator[Finding]:
    """One finding for each code and severity: the first problem, with the places of all."""
    groups: dict[tuple[str, Severity], list[Problem]] = defaultdict(list)
    for each in problems:
        groups[each.finding.code, each.finding.severity].append(each)
    for first, *more in groups.values():
        finding = first.finding
        and_more = f"; and {len(more)} more of the kind" if more else ""
        yield replace(
            finding,
            message=f"{_place(first)}: {finding.message}{and_more}",
            subjects=list(dict.fromkeys(s for x in (first, *more) for s in x.finding.subjects)),
            evidence=[*finding.evidence, *(f"{_place(x)}: {x.finding.message}" for x in more)],
            remedies=[] if first.fixed else [about(first.file, each) for each in finding.remedies],
        )


def _place(problem: Problem) -> str:
    return f"{problem.file}:{problem.spot.line}:{problem.spot.column}"

"""Applies the rules to the facts of a walk and builds the report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from kdiag import __version__
from kdiag.config.settings import Settings
from kdiag.report.model import HopResult, Report, report
from kdiag.rules import expect_rules, versions, walk_rules
from kdiag.rules.rule import Finding, Match, Rule
from kdiag.rules.text import listed
from kdiag.text import clean
from kdiag.walk.hop import HopFailure, HopFailures
from kdiag.walk.hops import HOPS
from kdiag.walk.runner import INTERRUPTED, HopRun, WalkResult, error_location, not_walked

# They tell of hops and rules that did not end, so they are applied last.
_LAST = ("KD001", "KD002")


class Extension(Protocol):
    """What a feature (aws, lint, remote) adds to the report of a walk. `name` is its area, as
    findings have it."""

    name: str

    def steps(self, walked: Sequence[HopResult]) -> list[HopResult]:
        """The steps of the report: those of the walk, and its own."""

    def derive(self, facts: Mapping[type, Any]) -> Mapping[type, Any]:
        """Its facts, by type, given those of the walk."""

    def rules(self) -> Mapping[str, Rule]:
        """Its rules, by code."""

    def amend(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings of all rules, with what it adds to them."""


def interrupted_report(asked: Settings) -> Report:
    """The report on a walk that was interrupted before it began."""
    nothing = not_walked(INTERRUPTED)._replace(interrupted=True)
    return judge(asked, WalkResult(nothing), time.perf_counter())


def judge(
    asked: Settings, haul: WalkResult, started: float, extensions: Sequence[Extension] = ()
) -> Report:
    """The report on what was collected since `started` (time.perf_counter), here or elsewhere."""
    gathered = haul.gathered
    facts: dict[type, Any] = {Settings: asked, **gathered.facts, **haul.beside}
    steps = [_step(leg) for leg in gathered.legs]
    halts = list(gathered.halts)
    rules = dict(walk_rules())
    working: list[Extension] = []
    for extension in extensions:
        steps = extension.steps(steps)
        try:
            facts.update(extension.derive(facts))
            rules |= extension.rules()
            working.append(extension)
        except Exception as error:
            halts.append(HopFailure(extension.name, 0.0, error_location(error, haul.told)))
    if asked.expect:
        steps.append(_expect(asked, facts, steps, halts, haul.told))
        rules |= expect_rules()
    facts[HopFailures] = HopFailures(tuple(halts))
    findings, notes = _judge(facts, rules, halts, haul.told, working)
    notes += versions.notes(facts)
    return report(
        asked,
        facts,
        findings,
        steps,
        version=__version__,
        started_at=gathered.started_at,
        elapsed_ms=round((time.perf_counter() - started) * 1000),
        interrupted=gathered.interrupted,
        notes=[*gathered.notes, *notes],
    )


def _step(leg: HopRun) -> HopResult:
    return HopResult(
        hop=leg.hop,
        status="skipped" if leg.skipped_because else "pass",
        elapsed_ms=leg.elapsed_ms,
        skipped_because=leg.skipped_because,
        summary=leg.summary,
    )


def _expect(
    asked: Settings,
    facts: dict[type, Any],
    before: Sequence[HopResult],
    halts: list[HopFailure],
    told: Sequence[str],
) -> HopResult:
    """What was expected, compared with what the walk has learnt."""
    from kdiag.rules.expectations import CheckedExpectations, check_expectations

    started = time.perf_counter()
    unseen = [step for step in before if step.status == "skipped" and not step.summary]
    because = f"hop {unseen[0].hop} was skipped, {unseen[0].skipped_because}" if unseen else ""
    try:
        facts[CheckedExpectations] = check_expectations(asked.expect, facts, because)
    except Exception as error:
        halts.append(HopFailure("expect", asked.deadline, error_location(error, told)))
        return HopResult(
            hop="expect", status="skipped", elapsed_ms=0, skipped_because="kdiag failed"
        )
    took = round((time.perf_counter() - started) * 1000)
    summary = facts[CheckedExpectations].summary
    return HopResult(hop="expect", status="pass", elapsed_ms=took, summary=summary)


def _judge(
    facts: Mapping[type, Any],
    rules: Mapping[str, Rule],
    halts: Sequence[HopFailure],
    told: Sequence[str],
    extensions: Sequence[Extension],
) -> tuple[list[Finding], list[str]]:
    """What all rules find, and their notes. A rule that fails itself becomes a finding too."""
    findings: list[Finding] = []
    notes: list[str] = []
    broken = list(halts)
    for rule in rules.values():
        if rule.code in _LAST:
            continue
        try:
            for said in rule.judged(facts):
                if isinstance(said, Match):
                    findings.append(rule.finding(said))
                else:
                    notes.append(said.text)
        except Exception as error:
            broken.append(
                HopFailure(HOPS[-1].id, 0.0, f"rule {rule.code}: {error_location(error, told)}")
            )
    for extension in extensions:
        findings = extension.amend(findings)
    broken += _unexplained(facts, findings)
    for code in _LAST:
        findings += rules[code].apply({**facts, HopFailures: HopFailures(tuple(broken))})
    return findings, notes


def _unexplained(facts: Mapping[type, Any], findings: Sequence[Finding]) -> Iterator[HopFailure]:
    """What failed and no rule names: a hop must never pass for want of a finding."""
    for hop in HOPS:
        named = {subject for f in findings if f.hop == hop.id for subject in f.subjects}
        failed = facts[hop.gives].failed if hop.gives in facts else ()
        missed = [subject for subject in failed if subject not in named]
        if missed:
            yield HopFailure(hop.id, 0.0, clean(f"no rule names the failure of {listed(missed)}"))

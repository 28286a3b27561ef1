"""Applies the rules to the facts of a walk and builds the report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from kdiag import __version__
from kdiag.config.settings import Settings
from kdiag.report.model import HopResult, Report, report
from kdiag.rules import expect_rules, managed, versions, walk_rules
from kdiag.rules.advertised import unmatched_maps
from kdiag.rules.client import ClientSystem
from kdiag.rules.cloud import CloudView
from kdiag.rules.idle import tempered
from kdiag.rules.platform import platform
from kdiag.rules.rule import Finding, Match, Rule
from kdiag.rules.text import listed
from kdiag.text import clean
from kdiag.walk.areas import HOP_IDS, AreaId
from kdiag.walk.facts import Facts
from kdiag.walk.facts.run import (
    INTERRUPTED,
    HopFailure,
    HopFailures,
    HopRun,
    WalkResult,
    error_location,
    not_walked,
)
from kdiag.walk.facts.table import HOP_FACTS

if TYPE_CHECKING:
    from kdiag.rules.expectations import CheckedExpectations

# These rules report hops and rules that failed, so they are applied last.
_LAST = ("KD001", "KD002")


class Extension:
    """What a feature (aws, lint, remote) adds to the report of a walk. `name` is the feature's
    area, the `hop` of its findings."""

    name: str

    def steps(self, walked: Sequence[HopResult]) -> list[HopResult]:
        """The results of the walk's hops, with the feature's own result added."""
        return list(walked)

    def derive(self, facts: Facts) -> Facts:
        """The facts of the walk, with the feature's own added."""
        return facts

    def rules(self) -> Mapping[str, Rule]:
        """The feature's rules, by code."""
        return {}

    def amend(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings of all rules, with the feature's additions to them."""
        return list(findings)


def interrupted_report(settings: Settings) -> Report:
    """The report on a walk that was interrupted before it began."""
    nothing = not_walked(INTERRUPTED)._replace(interrupted=True)
    return judge(settings, WalkResult(nothing), time.perf_counter())


def judge(
    settings: Settings, result: WalkResult, started: float, extensions: Sequence[Extension] = ()
) -> Report:
    """The report on the facts of a walk, collected on this machine or on another one. `started` is
    the time.perf_counter() at which the collection began here."""
    walk = result.walk
    facts = Facts(
        (settings, ClientSystem(walk.system), *walk.facts.values, *result.companion.values)
    )
    steps = [_step(run) for run in walk.runs]
    failures = list(walk.failures)
    rules = dict(walk_rules())
    working: list[Extension] = []
    for extension in extensions:
        steps = extension.steps(steps)
        try:
            facts = extension.derive(facts)
            rules |= extension.rules()
            working.append(extension)
        except Exception as error:
            failures.append(HopFailure(extension.name, 0.0, error_location(error, result.secrets)))
    if settings.options.expect:
        step, checked = _expect(settings, facts, steps, failures, result.secrets)
        steps.append(step)
        facts = facts.adding(checked) if checked else facts
        rules |= expect_rules()
    facts = facts if CloudView in facts else facts.adding(CloudView())
    facts = facts.adding(platform(facts), HopFailures(tuple(failures)))
    findings, notes = _judge(facts, rules, failures, result.secrets, working)
    if any(f.hop == "consume" for f in findings) and all(s.hop != "consume" for s in steps):
        steps.append(_step(HopRun("consume", 0, summary="no role was named, and so none checked")))
    findings = managed.hinted(facts, list(tempered(facts, findings)))
    notes += [*versions.notes(facts), *unmatched_maps(facts), *managed.notes(facts)]
    return report(
        settings,
        facts,
        findings,
        steps,
        version=__version__,
        started_at=walk.started_at,
        elapsed_ms=round((time.perf_counter() - started) * 1000),
        interrupted=walk.interrupted,
        notes=[*walk.notes, *notes],
    )


def _step(run: HopRun) -> HopResult:
    return HopResult(
        hop=cast("AreaId", run.hop),
        status="skipped" if run.skipped_because else "pass",
        elapsed_ms=run.elapsed_ms,
        skipped_because=run.skipped_because,
        summary=run.summary,
    )


def _expect(
    settings: Settings,
    facts: Facts,
    before: Sequence[HopResult],
    failures: list[HopFailure],
    secrets: Sequence[str],
) -> tuple[HopResult, CheckedExpectations | None]:
    """The result of the `expect` area, and the expectations compared with the facts."""
    from kdiag.rules.expectations import check_expectations  # 8.7 ms

    started = time.perf_counter()
    unseen = [step for step in before if step.status == "skipped" and not step.summary]
    because = f"hop {unseen[0].hop} was skipped, {unseen[0].skipped_because}" if unseen else ""
    try:
        checked = check_expectations(settings.options.expect, facts, because)
    except Exception as error:
        failures.append(
            HopFailure("expect", settings.options.deadline, error_location(error, secrets))
        )
        return _step(HopRun("expect", 0, "kdiag failed")), None
    took = round((time.perf_counter() - started) * 1000)
    return _step(HopRun("expect", took, summary=checked.summary)), checked


def _judge(
    facts: Facts,
    rules: Mapping[str, Rule],
    failures: Sequence[HopFailure],
    secrets: Sequence[str],
    extensions: Sequence[Extension],
) -> tuple[list[Finding], list[str]]:
    """The findings and notes of all rules. A rule that raises an exception becomes KD001."""
    findings: list[Finding] = []
    notes: list[str] = []
    all_failures = list(failures)
    for rule in rules.values():
        if rule.code in _LAST:
            continue
        try:
            for outcome in rule.judged(facts):
                if isinstance(outcome, Match):
                    findings.append(rule.finding(outcome))
                else:
                    notes.append(outcome.text)
        except Exception as error:
            all_failures.append(
                HopFailure(HOP_IDS[-1], 0.0, f"rule {rule.code}: {error_location(error, secrets)}")
            )
    for extension in extensions:
        findings = extension.amend(findings)
    all_failures += _unexplained(facts, findings)
    for code in _LAST:
        findings += rules[code].apply(facts.adding(HopFailures(tuple(all_failures))))
    return findings, notes


def _unexplained(facts: Facts, findings: Sequence[Finding]) -> Iterator[HopFailure]:
    """A failure of kdiag for each hop with failed subjects that no finding names: a hop must not
    pass because a rule is missing."""
    for hop, kind in HOP_FACTS.items():
        covered = {subject for f in findings if f.hop == hop for subject in f.subjects}
        found = facts.get(kind)
        missed = [subject for subject in (found.failed if found else ()) if subject not in covered]
        if missed:
            yield HopFailure(hop, 0.0, clean(f"no rule names the failure of {listed(missed)}"))

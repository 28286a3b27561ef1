"""Applies the rules to the facts of a walk and builds the report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from kdiag.config.settings import Settings
from kdiag.report.build import report
from kdiag.report.model import HopResult, Report
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
    settings: Settings, result: WalkResult, started: float, extensions: Iterable[Extension] = ()
) -> Report:
    """The report on the facts of a walk, collected on this machine or on another one. `started` is
    the time.perf_counter() at which the collection began here."""
    return Judgement(settings, result, extensions).report(started)


class Judgement:
    """The facts of a walk and of the features, and what the rules find in them."""

    def __init__(
        self, settings: Settings, result: WalkResult, extensions: Iterable[Extension] = ()
    ) -> None:
        walk = result.walk
        self._settings, self._walk, self._secrets = settings, walk, result.secrets
        self._facts = Facts(
            (settings, ClientSystem(walk.system), *walk.facts.values, *result.companion.values)
        )
        self._steps = [_step(run) for run in walk.runs]
        self._failures = list(walk.failures)
        self._extensions: list[Extension] = []
        self._findings: list[Finding] = []
        self._notes: list[str] = []
        rules = dict(walk_rules())
        for extension in extensions:
            rules |= self._rules_of(extension)
        if settings.options.expect:
            self._expect()
            rules |= expect_rules()
        if CloudView not in self._facts:
            self._facts = self._facts.adding(CloudView())
        self._facts = self._facts.adding(platform(self._facts))
        self._apply(rules)

    def add(self, extension: Extension) -> None:
        """Adds the facts of a feature that ran after the walk, and what its own rules find."""
        self._apply(self._rules_of(extension))

    def report(self, started: float, *, interrupted: bool = False) -> Report:
        """The report on all of it; `interrupted`: what followed the walk was."""
        findings, steps = self._findings, list(self._steps)
        for extension in self._extensions:
            findings = extension.amend(findings)
        failures = (*self._failures, *_unexplained(self._facts, findings))
        facts = self._facts.adding(HopFailures(failures))
        for code in _LAST:
            findings = [*findings, *walk_rules()[code].apply(facts)]
        if any(f.hop == "consume" for f in findings) and all(s.hop != "consume" for s in steps):
            nothing = HopRun("consume", 0, summary="no role was named, and so none checked")
            steps.append(_step(nothing))
        notes = (*versions.notes(facts), *unmatched_maps(facts), *managed.notes(facts))
        walk = self._walk._replace(interrupted=self._walk.interrupted or interrupted)
        elapsed_ms = round((time.perf_counter() - started) * 1000)
        findings = managed.hinted(facts, list(tempered(facts, findings)))
        notes = (*self._notes, *notes)
        return report(self._settings, walk, facts, findings, steps, notes, elapsed_ms)

    def _rules_of(self, extension: Extension) -> Mapping[str, Rule]:
        """The rules of a feature, whose facts are added; none where it fails."""
        self._steps = extension.steps(self._steps)
        try:
            self._facts = extension.derive(self._facts)
            rules = extension.rules()
        except Exception as error:
            self._fail(extension.name, error)
            return {}
        self._extensions.append(extension)
        return rules

    def _expect(self) -> None:
        """Compares the user's expectations with the facts, as a step of its own."""
        from kdiag.rules.expectations import check_expectations  # 8.7 ms

        began = time.perf_counter()
        unseen = [step for step in self._steps if step.status == "skipped" and not step.summary]
        because = f"hop {unseen[0].hop} was skipped, {unseen[0].skipped_because}" if unseen else ""
        try:
            checked = check_expectations(self._settings.options.expect, self._facts, because)
        except Exception as error:
            self._fail("expect", error)
            self._steps.append(_step(HopRun("expect", 0, "kdiag failed")))
            return
        took = round((time.perf_counter() - began) * 1000)
        self._steps.append(_step(HopRun("expect", took, summary=checked.summary)))
        self._facts = self._facts.adding(checked)

    def _apply(self, rules: Mapping[str, Rule]) -> None:
        """Adds the findings and notes of rules. A rule that raises an exception becomes KD001."""
        for rule in rules.values():
            if rule.code in _LAST:
                continue
            try:
                for outcome in rule.judged(self._facts):
                    if isinstance(outcome, Match):
                        self._findings.append(rule.finding(outcome))
                    else:
                        self._notes.append(outcome.text)
            except Exception as error:
                self._fail(HOP_IDS[-1], error, f"rule {rule.code}: ")

    def _fail(self, hop: str, error: Exception, what: str = "") -> None:
        """Keeps an error of kdiag: KD001 will report it."""
        where = f"{what}{error_location(error, self._secrets)}"
        self._failures.append(HopFailure(hop, 0.0, where))


def _step(run: HopRun) -> HopResult:
    return HopResult(
        hop=cast("AreaId", run.hop),
        status="skipped" if run.skipped_because else "pass",
        elapsed_ms=run.elapsed_ms,
        skipped_because=run.skipped_because,
        summary=run.summary,
    )


def _unexplained(facts: Facts, findings: Sequence[Finding]) -> Iterator[HopFailure]:
    """A failure of kdiag for each hop with failed subjects that no finding names: a hop must not
    pass because a rule is missing."""
    for hop, kind in HOP_FACTS.items():
        covered = {subject for f in findings if f.hop == hop for subject in f.subjects}
        found = facts.get(kind)
        missed = [subject for subject in (found.failed if found else ()) if subject not in covered]
        if missed:
            yield HopFailure(hop, 0.0, clean(f"no rule names the failure of {listed(missed)}"))

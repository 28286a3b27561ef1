"""Holds connections after a walk that passes, and adds the result to its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from kdiag.config.settings import Settings
from kdiag.hold.facts import HeldBroker, Hold
from kdiag.hold.hold import hold
from kdiag.hold.rules import feature_rules
from kdiag.report.hold import HeldBrokerReport, HoldReport, SilentReport
from kdiag.report.judge import Extension
from kdiag.report.model import HopResult, Report
from kdiag.rules.rule import Rule
from kdiag.walk.areas import HOP_IDS
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners
from kdiag.walk.facts.run import WalkResult
from kdiag.walk.hop import walk_context
from kdiag.walk.runner import MakeDialer, Observer


class HoldExtension(Extension):
    """Adds KD410, the result in a line of hop 4, and `hold` of the JSON. An `error` of kdiag is
    raised where the report is made, which reports it."""

    name = "produce"

    def __init__(self, found: Hold, error: Exception | None = None) -> None:
        self.found, self._error = found, error

    def steps(self, walked: Sequence[HopResult]) -> list[HopResult]:
        """The results of the hops, how the silent connections ended in that of hop 4."""
        more = self.found.summary
        return [
            replace(step, summary="; ".join(filter(None, (step.summary, more))))
            if step.hop == self.name and more
            else step
            for step in walked
        ]

    def derive(self, facts: Facts) -> Facts:
        """The facts of the walk, with those of the silent connections."""
        if self._error:
            raise self._error
        brokers = [_report(each) for each in self.found.brokers]
        return facts.adding(self.found, HoldReport(seconds=self.found.seconds, brokers=brokers))

    def rules(self) -> Mapping[str, Rule]:
        """The rule KD410."""
        return feature_rules()


async def held(
    settings: Settings,
    make_dialer: MakeDialer,
    observe: Observer,
    result: WalkResult,
    report: Report,
) -> HoldExtension:
    """Holds connections to the brokers of a walk, if all four hops passed in its `report`."""
    duration = settings.options.hold
    facts = result.walk.facts
    failed = next(
        (s.hop for s in report.hops if s.hop in HOP_IDS and s.status not in ("pass", "warn")), None
    )
    if failed or not facts[Listeners].reached:
        why = f"hop {failed or 'listeners'} did not pass"
        return HoldExtension(Hold(duration, because=why, interrupted=result.walk.interrupted))
    net = make_dialer(settings)
    walk = walk_context(settings, net).after(facts[Bootstrap])
    walk.wire.progress = partial(observe, "produce")
    try:
        return HoldExtension(await hold(walk, facts[Listeners].reached, duration))
    except Exception as error:
        return HoldExtension(Hold(duration), error)
    finally:
        await net.close()


def _report(broker: HeldBroker) -> HeldBrokerReport:
    return HeldBrokerReport(
        node=broker.node,
        advertised=broker.advertised,
        idle_limit_ms=None if broker.limit is None else round(broker.limit * 1000),
        watched=not broker.unwatched,
        connections=[
            SilentReport(
                gap_s=each.gap,
                outcome=each.outcome.value,
                silent_s=round(each.silent, 1) if each.silent else None,
            )
            for each in broker.connections
        ],
    )

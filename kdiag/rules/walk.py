"""KD0xx, the walk itself: it ran out of time, or kdiag has a bug."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.config.settings import Settings
from kdiag.network.attempt import ClientRun
from kdiag.rules import remedies
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.slow import late_answers
from kdiag.rules.text import broker_subjects, brokers
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import Produce
from kdiag.walk.facts.run import HopFailures


@rule("KD001", "internal-error", Severity.ERROR, "kdiag itself failed")
def internal_error(failures: HopFailures) -> Iterator[Match]:
    """An error in kdiag, not in your cluster. The walk went on without the hop that failed.

    The evidence names the place. Please report it, with the command line and that line.

    How to fix: nothing has to change in the cluster. Report the error with the line that the
    evidence names; `kdiag check` again without the option or file that it names may work.
    """
    for failure in failures.failures:
        if failure.error:
            yield Match(
                failure.hop,
                f"kdiag failed in hop {failure.hop}; this says nothing about your cluster",
                (f"hop {failure.hop}",),
                (failure.error,),
                (remedies.say("Report it, with the evidence above and the command line."),),
            )


@rule("KD002", "deadline", Severity.ERROR, "The deadline ended the check")
def deadline(
    failures: HopFailures,
    bootstrap: Bootstrap | None,
    metadata: Metadata | None,
    produce: Produce | None,
    settings: Settings,
) -> Iterator[Match]:
    """`--deadline` ended the walk; the hop that was under way counts as failed.

    Either something is very slow, or there is a lot to wait for: many names whose resolver does not
    answer, or more brokers than can be dialled at once.

    Where the answers before it came late (KD124), it is a warning: the cluster answers, only later
    than kdiag waited in all, and clients wait longer. Nothing is proven about the hop then. It is a
    warning, too, where the deadline left the real client of `--topic` less time than it may need.

    Prove it: `--deadline 120`.

    How to fix: give the walk more time, `--deadline 120`. Where the answers are slow, fix that
    first (KD124, KD104).
    """
    late = late_answers(bootstrap, metadata) if bootstrap else []
    for failure in failures.failures:
        if not failure.error:
            yield Match(
                failure.hop,
                f"The deadline of {failure.seconds:g} s passed in hop {failure.hop}",
                (f"hop {failure.hop}",),
                (
                    f"hop {failure.hop} was under way when {failure.seconds:g} s were over",
                    *(f"{each.server}: {each.request} took {each.seconds:.0f} s" for each in late),
                ),
                (remedies.say("Give it more time with --deadline, or less to do."),),
                Severity.WARNING if late else None,
            )
    if produce and produce.client and produce.client.cut_off:
        yield _cut_off(produce.client, settings.options.deadline)


def _cut_off(client: ClientRun, deadline: float) -> Match:
    """What is not proven, as the real client had too little time."""
    nodes = [delivery.node for delivery in client.cut_off]
    return Match(
        "produce",
        f"The deadline of {deadline:g} s ended the real client's attempt to write to "
        f"{brokers(nodes)}: whether it can is not proven",
        broker_subjects(nodes),
        (
            f"it had {client.short_of:.0f} s less than clients may need here; no broker refused "
            "the record",
            *(f"the client says: {words}" for words in client.words),
        ),
        (remedies.say(f"Give it more time: --deadline {deadline + client.short_of + 1:.0f}"),),
        Severity.WARNING,
    )

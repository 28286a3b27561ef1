"""KD0xx, the walk itself: it ran out of time, or kdiag has a bug."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.rules import remedies
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.slow import late_answers
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.hop import HopFailures
from kdiag.walk.metadata import Metadata


@rule("KD001", "internal-error", Severity.ERROR, "kdiag itself failed")
def internal_error(halts: HopFailures) -> Iterator[Match]:
    """An error in kdiag, not in your cluster. The walk went on without the hop that failed.

    The evidence names the place. Please report it, with the command line and that line.
    """
    for halt in halts.halts:
        if halt.error:
            yield Match(
                halt.hop,
                f"kdiag failed in hop {halt.hop}; this says nothing about your cluster",
                (f"hop {halt.hop}",),
                (halt.error,),
                (remedies.say("Report it, with the evidence above and the command line."),),
            )


@rule("KD002", "deadline", Severity.ERROR, "The walk ran out of time")
def deadline(
    halts: HopFailures, bootstrap: Bootstrap | None, metadata: Metadata | None
) -> Iterator[Match]:
    """`--deadline` ended the walk; the hop that was under way counts as failed.

    Either something is very slow, or there is a lot to wait for: many names whose resolver does not
    answer, or more brokers than can be dialled at once.

    Where the answers before it came late (KD124), it is a warning: the cluster answers, only later
    than kdiag waited in all, and clients wait longer. Nothing is proven about the hop then.

    Prove it: `--deadline 120`.
    """
    late = late_answers(bootstrap, metadata) if bootstrap else []
    for halt in halts.halts:
        if not halt.error:
            yield Match(
                halt.hop,
                f"The deadline of {halt.seconds:g} s passed in hop {halt.hop}",
                (f"hop {halt.hop}",),
                (
                    f"hop {halt.hop} was under way when {halt.seconds:g} s were over",
                    *(f"{each.where}: {each.what} took {each.seconds:.0f} s" for each in late),
                ),
                (remedies.say("Give it more time with --deadline, or less to do."),),
                Severity.WARNING if late else None,
            )

"""KD701: an expectation of the user that does not hold, or is not known to hold."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.config.expectation import Reading
from kdiag.rules import remedies
from kdiag.rules.expectations import CheckedExpectation, CheckedExpectations
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed


@rule("KD701", "expectation", Severity.ERROR, "An expectation is not met")
def expectation(expected: CheckedExpectations) -> Iterator[Match]:
    """What you expected of the cluster, with `--expect` or in kdiag.toml, is not so; or it is not
    known whether it is, because the walk did not get that far.

    The path itself may well work: with a walk that passes, the exit code is 70. What is not known
    counts as not met, for nobody has seen it; where the walk failed, look at what made it fail.

    Prove it: `kdiag check HOST:PORT -o json` has what was found, under `expectations`.

    How to fix: repair what the expectation is about, or correct the expectation. Where the walk
    failed, repair that first.
    """
    for checked in expected.results:
        if checked.holds:
            continue
        wanted = checked.expectation
        yield Match(
            "expect",
            f"Expected {wanted}: {_instead(checked)}",
            (f"expectation {wanted}",),
            tuple(_line(reading) for reading in checked.broken if reading[0]),
            (
                remedies.say(
                    "Repair what stops the walk first: kdiag cannot confirm what it did not see."
                    if checked.unknown
                    else "Change the cluster to meet the expectation; or, if the cluster is right, "
                    "change the expectation."
                ),
            ),
        )


def _instead(checked: CheckedExpectation) -> str:
    """What was found instead of what was expected, or why it is not known."""
    if checked.unknown:
        return checked.unknown
    if not checked.broken[0][0]:
        return f"it is {_shown(checked.broken[0])}"
    return f"not so for {listed([whose for whose, _ in checked.broken])}"


def _line(reading: Reading) -> str:
    return f"{reading[0]}: {_shown(reading)}"


def _shown(reading: Reading) -> str:
    value = reading[1]
    return f"{value:g}" if isinstance(value, float | int) else str(value)

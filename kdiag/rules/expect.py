"""KD7xx: what the user said must hold, and does not."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.config.expectation import Reading
from kdiag.rules import remedies
from kdiag.rules.expectations import CheckedExpectation, CheckedExpectations
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed


@rule("KD701", "expectation", Severity.ERROR, "Something that was expected does not hold")
def expectation(expected: CheckedExpectations) -> Iterator[Match]:
    """What you expected of the cluster, with `--expect` or in kdiag.toml, is not so; or it is not
    known whether it is, because the walk did not get that far.

    The path itself may well work: with a walk that passes, the exit code is 70. What is not known
    counts as not met, for nobody has seen it; where the walk failed, look at what made it fail.

    Prove it: `kdiag check HOST:PORT -o json` has what was found, under `expectations`.
    """
    for one in expected.held:
        if one.holds:
            continue
        wanted = one.expectation
        yield Match(
            "expect",
            f"Expected {wanted}: {_instead(one)}",
            (f"expectation {wanted}",),
            tuple(_line(reading) for reading in one.broken if reading[0]),
            (
                remedies.say(
                    "Let the walk get that far first: what it did not see cannot be vouched for."
                    if one.unknown
                    else "Bring the cluster to what was expected of it; or, if it is as it should "
                    "be, expect that instead."
                ),
            ),
        )


def _instead(one: CheckedExpectation) -> str:
    if one.unknown:
        return one.unknown
    if not one.broken[0][0]:
        return f"it is {_shown(one.broken[0])}"
    return f"not so for {listed([whose for whose, _ in one.broken])}"


def _line(reading: Reading) -> str:
    return f"{reading[0]}: {_shown(reading)}"


def _shown(reading: Reading) -> str:
    value = reading[1]
    return f"{value:g}" if isinstance(value, float | int) else str(value)

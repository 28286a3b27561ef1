"""KD8xx, vantage points: why no walk ran on another machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from kdiag.remote.unreached import Unreached
from kdiag.rules import remedies
from kdiag.rules.rule import Match, Rule, Severity, declared, rule


@rule("KD801", "vantage-unreachable", Severity.ERROR, "A vantage point could not be reached")
def vantage_unreachable(unreached: Unreached) -> Iterator[Match]:
    """What was given with `--from` could not be reached, or nothing came back from there. This says
    nothing about Kafka: the walk was not walked from there. The other vantage points are not kept
    from theirs.

    kdiag goes there as you do: by your own ssh, kubectl or docker, or AWS's Run Command, with your
    configuration, and without asking anything. The vantage point needs Python 3.9 or newer.

    Prove it: run the same way by hand, `ssh -oBatchMode=yes HOST python3 --version`,
    `kubectl exec POD -- python3 --version` or `docker exec CONTAINER python3 --version`.

    How to fix: make the command that the evidence names work by hand: the login by key, the running
    pod or container, Python 3.9 or newer there.
    """
    fix = remedies.say(unreached.remedy) if unreached.remedy else None
    yield Match(
        "vantage",
        f"Nothing came back from {unreached.vantage}: {unreached.message}",
        (f"vantage {unreached.vantage}",),
        unreached.evidence,
        (fix,) if fix else (),
    )


def feature_rules() -> Mapping[str, Rule]:
    """The rules on vantage points, by code."""
    return declared(sys.modules[__name__])

"""The rules of hops 1 to 4: KD0xx to KD4xx, and KD7xx on what the user expects."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdiag.rules.rule import Rule


@cache
def walk_rules() -> Mapping[str, Rule]:
    """The rules of hops 1 to 4 and of the walk itself, by code."""
    from kdiag.rules import (
        certificates,
        connection,
        identity,
        listeners,
        metadata,
        mismatch,
        produce,
        records,
        sasl,
        slow,
        tls,
        walk,
    )
    from kdiag.rules.rule import declared

    return declared(
        certificates,
        connection,
        identity,
        listeners,
        metadata,
        mismatch,
        produce,
        records,
        sasl,
        slow,
        tls,
        walk,
    )


@cache
def expect_rules() -> Mapping[str, Rule]:
    """The rule on the user's expectations (KD701), by code; only a walk that has some loads it."""
    from kdiag.rules import expect
    from kdiag.rules.rule import declared

    return declared(expect)

"""The rules of hops 1 to 4: KD0xx to KD4xx, KD9xx on groups and readers, and KD7xx on what the user
expects."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from kdiag.walk.areas import WALKED_IDS

if TYPE_CHECKING:
    from kdiag.rules.rule import Rule

# The modules whose rules every walk applies: those of each hop after the first, by the hop's id;
# those of hop 1, by layer; those that several hops share.
_WALK = sorted(
    (
        *WALKED_IDS[1:],
        *("canonical", "certificates", "connection", "interception", "proxy", "sasl", "tls"),
        *("coordinator", "identity", "internal_topics", "mismatch", "records", "roles"),
        *("routing", "slow", "topic", "walk"),
    )
)


@cache
def walk_rules() -> Mapping[str, Rule]:
    """The rules that every walk applies, by code."""
    return _declared(*_WALK)


@cache
def expect_rules() -> Mapping[str, Rule]:
    """The rule on what the user expects; a walk without expectations does not load it."""
    return _declared("expect")


def _declared(*names: str) -> Mapping[str, Rule]:
    from kdiag.rules.rule import declared  # 13 ms

    return declared(*(import_module(f"kdiag.rules.{name}") for name in names))

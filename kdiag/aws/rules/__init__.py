"""KD5xx: rules on what AWS says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdiag.rules.rule import Rule


@cache
def feature_rules() -> Mapping[str, Rule]:
    """The rules on AWS, by code; a walk that does not ask AWS does not load them."""
    from kdiag.aws.rules import account, blocked, managed
    from kdiag.rules.rule import declared

    return declared(account, blocked, managed)

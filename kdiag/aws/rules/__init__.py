"""The rules KD5xx, which judge the facts of AWS."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdiag.rules.rule import Rule


@cache
def feature_rules() -> Mapping[str, Rule]:
    """The rules KD5xx by code. Only a walk with AWS checks loads them."""
    from kdiag.aws.rules import account, blocked, managed  # 120 ms
    from kdiag.rules.rule import declared

    return declared(account, blocked, managed)

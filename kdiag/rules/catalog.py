"""Every rule there is: for `kdiag explain`, `kdiag findings` and `--ignore`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from kdiag.rules import expect_rules, walk_rules

if TYPE_CHECKING:
    from kdiag.rules.rule import Rule

# Each has a module `rules` with a function `feature_rules`.
FEATURES = ("aws", "companions", "hold", "lint", "remote")


@cache
def every_rule() -> Mapping[str, Rule]:
    """Every rule, by code: those of the walk, and those of each feature that is there."""
    found = {**walk_rules(), **expect_rules()}
    for name in FEATURES:
        if find_spec(f"kdiag.{name}"):  # a feature may be taken out
            found |= import_module(f"kdiag.{name}.rules").feature_rules()
    return found

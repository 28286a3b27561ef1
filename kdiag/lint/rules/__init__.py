"""KD6xx: rules on configuration files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdiag.rules.rule import Rule


_MODULES = (
    *("shape", "resources", "addresses", "brokers", "settings", "charts", "clients", "containers"),
    *("live", "ports", "strimzi"),
)


@cache
def lint_rules() -> Mapping[str, Rule]:
    """The rules on files, by code."""
    from kdiag.rules.rule import declared  # 16 ms

    return declared(*(import_module(f"{__name__}.{name}") for name in _MODULES))


@cache
def kubectl_rules() -> Mapping[str, Rule]:
    """The rules on what kubectl shows beside a walk, by code."""
    from kdiag.lint.rules import kubernetes  # 148 ms
    from kdiag.rules.rule import declared

    return declared(kubernetes)


def feature_rules() -> Mapping[str, Rule]:
    """Both, by code."""
    return {**lint_rules(), **kubectl_rules()}

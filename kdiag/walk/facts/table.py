"""The type of each hop's facts, by the hop's id: `Bootstrap` of `facts/bootstrap.py` and so on."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from kdiag.walk.areas import WALKED_IDS
from kdiag.walk.facts import HopFacts

HOP_FACTS: Mapping[str, type[HopFacts]] = {
    hop: getattr(import_module(f"kdiag.walk.facts.{hop}"), hop.capitalize()) for hop in WALKED_IDS
}

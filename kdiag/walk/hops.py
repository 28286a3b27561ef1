"""The hops of the walk and the sections after them, in the order of the table in areas.py."""

from __future__ import annotations

from importlib import import_module

from kdiag.config.settings import Settings
from kdiag.walk.areas import HOP_IDS, WALKED_IDS
from kdiag.walk.hop import Hop

WALKED: tuple[Hop, ...] = tuple(
    getattr(import_module(f"kdiag.walk.{name}"), name) for name in WALKED_IDS
)
HOPS = WALKED[: len(HOP_IDS)]


def walked(settings: Settings) -> tuple[Hop, ...]:
    """What a walk with these settings runs."""
    return WALKED if settings.options.role else HOPS

"""The hops of the walk, in the order of the table in areas.py."""

from __future__ import annotations

from importlib import import_module

from kdiag.walk.areas import HOP_IDS
from kdiag.walk.hop import Hop

HOPS: tuple[Hop, ...] = tuple(
    getattr(import_module(f"kdiag.walk.{name}"), name) for name in HOP_IDS
)

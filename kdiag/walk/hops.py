"""The walk: its hops, in their order."""

from kdiag.walk.bootstrap import bootstrap
from kdiag.walk.hop import Hop
from kdiag.walk.listeners import listeners
from kdiag.walk.metadata import metadata
from kdiag.walk.produce import produce

HOPS: tuple[Hop, ...] = (bootstrap, metadata, listeners, produce)

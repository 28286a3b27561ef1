"""The walk: its hops, in their order."""

from kdiag.hop import Hop
from kdiag.hops.bootstrap import bootstrap
from kdiag.hops.listeners import listeners
from kdiag.hops.metadata import metadata
from kdiag.hops.produce import produce

HOPS: tuple[Hop, ...] = (bootstrap, metadata, listeners, produce)

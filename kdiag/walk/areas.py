"""The one table of hops and of what is checked beside them: ids, order, exit codes, titles.

All else is derived from it: the order in which hops run, the help page, the JSON Schema, the
sections of the findings page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from kdiag.config.record import NamedTuple

# The ids of AREAS, for type checkers; a test holds them together.
AreaId = Literal[
    "bootstrap",
    "metadata",
    "listeners",
    "produce",
    "aws",
    "config",
    "expect",
    "vantage",
    "consume",
    "companions",
]


class Area(NamedTuple):
    """A hop of the walk, or what is checked beside it.

    `id` is what reports and findings call it; a hop is the function `id` of the module
    `kdiag.walk.<id>`. `exit_code` / 10 is what stands in its codes before their last two digits,
    `title` what these are about. `number` is the place in the walk, from 1; None beside it. `fails`
    says what the exit code means. `after` marks a section whose facts the walk collects after its
    hops, as a hop does, where the settings name a role.
    """

    id: AreaId
    exit_code: int
    title: str
    number: int | None = None
    fails: str = ""
    after: bool = False


AREAS = (
    Area("bootstrap", 10, "One connection", 1),
    Area("metadata", 20, "Metadata", 2),
    Area("listeners", 30, "Advertised listeners", 3),
    Area("produce", 40, "Produce", 4),
    Area("aws", 50, "AWS", fails="the walk passes, but what AWS says does not"),
    Area(
        *("config", 60, "Configuration files"),
        fails="a file that configures the cluster has errors, and no hop fails",
    ),
    Area("expect", 70, "Expectations", fails="the walk passes, but not what --expect says"),
    Area("vantage", 80, "Vantage points", fails="a vantage point could not be reached"),
    Area(
        *("consume", 90, "Groups and readers"),
        fails="the walk passes, but not what --group or --as needs",
        after=True,
    ),
    Area(
        *("companions", 100, "Companions"),
        fails="the walk passes, but not a Schema Registry, Connect or REST proxy that was named",
    ),
)

HOP_IDS = tuple(area.id for area in AREAS if area.number)
WALKED_IDS = tuple(area.id for area in AREAS if area.number or area.after)
AREA_IDS = tuple(area.id for area in AREAS)
EXIT_INTERNAL, EXIT_INTERRUPTED = 1, 130  # kdiag itself failed; Ctrl-C
EXIT_CODES: Mapping[str, int] = {area.id: area.exit_code for area in AREAS}


class Progress(str):
    """How far a hop is that runs; an observer gets it where a summary will be."""


class Holding(Progress):
    """How far `--hold` is, after the hops."""

"""The one table of hops, and of what stands beside the walk: ids, order, exit codes.

Order, numbers, exit codes, the help page and the JSON Schema are derived from it.
"""

from __future__ import annotations

from typing import NamedTuple


class Area(NamedTuple):
    """A hop of the walk, or what is checked beside it.

    `id` is what reports and findings call it; the first digit of its codes is `exit_code` / 10.
    `number` is the place in the walk, from 1; None beside it. `fails` says what its exit code
    means.
    """

    id: str
    exit_code: int
    number: int | None = None
    fails: str = ""


AREAS = (
    Area("bootstrap", 10, 1),
    Area("metadata", 20, 2),
    Area("listeners", 30, 3),
    Area("produce", 40, 4),
    Area("aws", 50, fails="the walk passes, but what AWS says does not"),
    Area("config", 60, fails="a file that configures the cluster has errors, and no hop fails"),
    Area("expect", 70, fails="the walk passes, but not what --expect says"),
    Area("vantage", 80, fails="a vantage point could not be reached"),
)

HOP_IDS = tuple(area.id for area in AREAS if area.number)
AREA_IDS = tuple(area.id for area in AREAS)
EXIT_CODES = {area.id: area.exit_code for area in AREAS}

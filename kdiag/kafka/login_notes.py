"""Notes on a login whose result is unknown: a report is searched for these very texts."""

from __future__ import annotations

CUT_OFF = (
    "the walk ended while a login was under way: no answer to it is known, and a server may have "
    "counted it"
)

LOST = (
    "nothing came back from a walk that has a login: no answer to it is known, and a server may "
    "have counted it"
)

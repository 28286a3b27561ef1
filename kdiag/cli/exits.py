"""The exit codes of the command itself, and the text of --help on all exit codes."""

from __future__ import annotations

from kdiag.walk.areas import AREAS, HOP_IDS

USAGE, INTERNAL, INTERRUPTED = 2, 1, 130

_HOPS = " ".join(str(area.exit_code) for area in AREAS if area.number)
_ROWS = (
    ("0", "the path works (warnings allowed, see --fail-on)"),
    (str(INTERNAL), "kdiag itself failed"),
    (str(USAGE), "wrong usage: option, file or property"),
    (_HOPS, f"the first hop that fails: {', '.join(HOP_IDS)}"),
    *((str(area.exit_code), area.fails) for area in AREAS if area.fails),
    (str(INTERRUPTED), "interrupted"),
)

EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:13}{means}" for code, means in _ROWS)

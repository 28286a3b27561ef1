"""How each hop ran, and the result of the whole walk."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timezone

from kdiag.config.record import NamedTuple
from kdiag.config.redaction import redacted
from kdiag.config.usage import NO_THREAD, no_thread, raised_at
from kdiag.network.attempt import clean
from kdiag.walk.areas import HOP_IDS
from kdiag.walk.facts import Facts

MOMENT = "%Y-%m-%dT%H:%M:%SZ"  # RFC 3339, in UTC
INTERRUPTED = "interrupted"  # why a hop did not run
SYSTEMS = {"win32": "windows", "darwin": "macos"}  # sys.platform → the system's name in facts
_SYSTEM = SYSTEMS.get(sys.platform, sys.platform)


class HopFailure(NamedTuple):
    """A hop that did not end: because of an `error` in kdiag, or ("") because the deadline of that
    many `seconds` passed."""

    hop: str
    seconds: float
    error: str = ""


class HopFailures(NamedTuple):
    """The failures of the hops that did not end, as a fact for rules."""

    failures: tuple[HopFailure, ...]


class HopRun(NamedTuple):
    """The run of one hop. `summary` is its result in one line, "" where there is none."""

    hop: str
    elapsed_ms: int
    skipped_because: str | None = None
    summary: str = ""


class WalkFacts(NamedTuple):
    """The facts of a walk, as plain values: the run of every hop, the failures of the hops that did
    not end, the facts of the hops that did. `started_at` is UTC, RFC 3339. `system` is the
    operating system of the machine that walked: "windows", "macos", or as sys.platform has it."""

    started_at: str
    elapsed_ms: int
    runs: tuple[HopRun, ...]
    failures: tuple[HopFailure, ...] = ()
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    facts: Facts = Facts()
    system: str = ""


class WalkResult(NamedTuple):
    """The result of a walk: its facts, the facts of the companion, and every secret that was
    configured or fetched: none of these may be printed."""

    walk: WalkFacts
    companion: Facts = Facts()
    secrets: tuple[str, ...] = ()


def not_walked(because: str) -> WalkFacts:
    """The facts of a walk in which no hop ran, for this reason."""
    return WalkFacts(timestamp(), 0, tuple(HopRun(hop, 0, because) for hop in HOP_IDS))


def partial_because(found: object) -> str | None:
    """Why a hop's facts do not cover every broker; None where they do."""
    return getattr(found, "skipped_because", None) or None


def error_location(error: Exception, secrets: Sequence[str]) -> str:
    """The error as text, with the file and line that raised it; secrets are redacted."""
    if no_thread(error):
        return NO_THREAD
    return clean(f"{raised_at(error)}: {redacted(str(error), secrets)}", 300)


def this_system() -> str:
    """The operating system of this machine, as WalkFacts has it."""
    return _SYSTEM


def timestamp() -> str:
    """This moment in UTC, in the format of RFC 3339."""
    return datetime.now(timezone.utc).strftime(MOMENT)

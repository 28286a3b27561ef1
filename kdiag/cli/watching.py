"""The live view of a walk, and what Ctrl-C means while it runs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdiag.gather import Observer


def ready() -> None:
    """Loads the walk. Until then Ctrl-C ends the process at once, for an import that is interrupted
    may fail in any way; from then on it ends the walk, and what is known is printed."""
    import kdiag.walk  # noqa: F401
    from kdiag.clients.sockets import raise_limit

    raise_limit()

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def watched() -> Iterator[Observer | None]:
    """A live view on a terminal's stderr; none in CI or a pipe."""
    if not sys.stderr.isatty() or os.environ.get("CI") or os.environ.get("TERM") == "dumb":
        yield None
        return
    from kdiag.render.terminal import live

    with live(sys.stderr) as observe:
        yield observe

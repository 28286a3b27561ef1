"""`python -m kdiag`, and the command `kdiag`."""

from __future__ import annotations

# The built-in part of signal: signal itself imports enum, and Ctrl-C meanwhile is a traceback.
import _signal as signal  # type: ignore[import-not-found]
import gc

# Objects between two searches for cycles: a check makes 50,000 before its first connection.
GARBAGE = 100_000


def main() -> None:
    """Runs the command line. Ctrl-C while it is loaded ends the process without a traceback."""
    gc.set_threshold(GARBAGE)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from kdiag.cli import main as run

    run()


if __name__ == "__main__":
    main()

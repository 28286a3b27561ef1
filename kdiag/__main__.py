"""`python -m kdiag`, and the command `kdiag`."""

from __future__ import annotations

import signal


def main() -> None:
    """Runs the command line. Ctrl-C while it is loaded ends the process without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from kdiag.cli import main as run

    run()


if __name__ == "__main__":
    main()

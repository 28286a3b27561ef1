"""`python -m kdiag`, and the command `kdiag`."""

from __future__ import annotations

# The built-in part of signal: signal itself imports enum, and Ctrl-C meanwhile is a traceback.
import _signal as signal  # type: ignore[import-not-found]
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdiag.network.head_start import StartedConnection

# Objects between two searches for cycles: a check makes 50,000 before its first connection.
GARBAGE = 100_000

SWITCH = 0.0005  # seconds for which a thread waits for what another one loads, 5 ms otherwise


def main() -> None:
    """Runs the command line. Ctrl-C while it is loaded ends the process without a traceback."""
    gc.set_threshold(GARBAGE)
    sys.setswitchinterval(SWITCH)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    begun = _begin(sys.argv[1:])
    from kdiag.cli import main as run

    run(begun)


def _begin(arguments: list[str]) -> tuple[StartedConnection, ...]:
    """Begins the check of one IPv4 address without options before click and the settings are loaded
    (30 ms): nothing can refuse it any more."""
    (server,) = arguments[-1:] or [""]
    host, _, port = server.partition(":")
    if arguments not in ([server], ["check", server]) or any(
        name.startswith("KDIAG_") for name in os.environ
    ):
        return ()
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        return ()
    from kdiag.kafka.first_flight import FIRST_FLIGHT
    from kdiag.network.head_start import begin

    return begin([(host, int(port))], FIRST_FLIGHT)


if __name__ == "__main__":
    main()

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

# Options that a check of one server is not refused for, and that change nothing that it sends.
HARMLESS: tuple[list[str], ...] = ([], ["-v"], ["-q"], ["--json"], ["-o", "json"])

SWITCH = 0.0005  # seconds for which a thread waits for what another one loads, 5 ms otherwise


def main() -> None:
    """Runs the command line. Ctrl-C while it is loaded ends the process without a traceback."""
    gc.set_threshold(GARBAGE)
    sys.setswitchinterval(SWITCH)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    begun = _begin(sys.argv[1:])
    from kdiag.cli import main as run  # 46 ms

    run(begun)


def _begin(arguments: list[str]) -> tuple[StartedConnection, ...]:
    """Begins the check of one IPv4 address before click and the settings are loaded (30 ms), where
    nothing can refuse it any more."""
    if arguments[:1] == ["check"]:
        arguments = arguments[1:]
    server, *options = arguments or [""]
    host, _, port = server.partition(":")
    if options not in HARMLESS or any(name.startswith("KDIAG_") for name in os.environ):
        return ()
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        return ()
    from kdiag.kafka.first_flight import FIRST_FLIGHT  # 0.4 ms
    from kdiag.network.head_start import begin

    return begin([(host, int(port))], FIRST_FLIGHT)


if __name__ == "__main__":
    main()

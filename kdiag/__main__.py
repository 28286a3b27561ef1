"""`python -m kdiag`, and the command `kdiag`."""

from __future__ import annotations

# The built-in part of signal: signal itself imports enum, and Ctrl-C meanwhile is a traceback.
import _signal as signal  # type: ignore[import-not-found]
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdiag.network.head_start import StartedConnection
    from kdiag.report.render import Detail

# Objects between two searches for cycles: a check makes 50,000 before its first connection.
GARBAGE = 100_000

# Options that a check of one server is not refused for, and that change nothing that it sends: the
# outputs that they mean, and how much of the report a terminal shows.
HARMLESS: dict[tuple[str, ...], tuple[tuple[str, ...], Detail]] = {
    (): ((), "short"),
    ("-v",): ((), "full"),
    ("-q",): ((), "quiet"),
    ("--json",): (("json",), "short"),
    ("-o", "json"): (("json",), "short"),
}

SWITCH = 0.0005  # seconds for which a thread waits for what another one loads, 5 ms otherwise


class PlainCheck:
    """A check of one IPv4 address, whose connection is begun; click need not read it: it has none
    but HARMLESS options."""

    def __init__(
        self, server: str, options: tuple[str, ...], begun: Sequence[StartedConnection]
    ) -> None:
        self.server, self.begun = server, begun
        self.outputs, self.detail = HARMLESS[options]


def main() -> None:
    """Runs the command line. Ctrl-C while it is loaded ends the process without a traceback."""
    gc.set_threshold(GARBAGE)
    sys.setswitchinterval(SWITCH)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    plain = _begin(sys.argv[1:])
    from kdiag.cli import main as run  # 1 ms

    run(plain)


def _begin(arguments: list[str]) -> PlainCheck | None:
    """Begins the check of one IPv4 address before the settings are loaded, where nothing can refuse
    it any more; None for any other command line, which click reads."""
    if arguments[:1] == ["check"]:
        arguments = arguments[1:]
    server, *options = arguments or [""]
    host, _, port = server.partition(":")
    if tuple(options) not in HARMLESS or any(name.startswith("KDIAG_") for name in os.environ):
        return None
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        return None
    from kdiag.kafka.first_flight import FIRST_FLIGHT  # 0.4 ms
    from kdiag.network.head_start import begin

    begun = begin([(host, int(port))], FIRST_FLIGHT)
    return PlainCheck(server, tuple(options), begun) if begun else None


if __name__ == "__main__":
    main()

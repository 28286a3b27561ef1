"""The command line: a module for each command, and the end of the process. Nothing else exits."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, TextIO

from kdiag.cli.exits import USAGE
from kdiag.walk.areas import EXIT_INTERNAL, EXIT_INTERRUPTED

if TYPE_CHECKING:
    from kdiag.__main__ import PlainCheck

LONGEST = 4096  # characters of an error: it may have words of a file in it


def main(plain: PlainCheck | None = None) -> NoReturn:
    """Runs the command line and ends the process, whatever threads a resolver has left behind.
    `plain` is a check that has begun, and that click need not read."""
    # Whoever starts kdiag may have closed them: what is written there goes nowhere then.
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.platform == "win32":
        from kdiag.cli.console import prepare_console  # 0.3 ms

        prepare_console()
    try:
        if plain:
            from kdiag.cli.plain import check  # 8 ms

            code: object = check(plain)
        else:
            from kdiag.cli.group import run  # 30 ms

            code = run()
    except KeyboardInterrupt:
        import warnings  # 0.5 ms

        warnings.simplefilter("ignore")  # a walk that had not begun was "never awaited"
        code = EXIT_INTERRUPTED
    except (BrokenPipeError, SystemExit):  # click's way to say that nobody reads any more
        code = 0
    except Exception as error:
        from kdiag.config.usage import NO_THREAD, UsageError, no_thread, raised_at  # 0.4 ms

        if isinstance(error, UsageError):
            code = _refused(str(error))
        else:
            _say(NO_THREAD if no_thread(error) else f"failed itself: {raised_at(error)}")
            code = EXIT_INTERNAL
    _exit(code if isinstance(code, int) else 0)


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _refused(message: str) -> int:
    from kdiag.report.render.workflow import no_command  # 0.8 ms
    from kdiag.text import clean

    _say(no_command(clean(" ".join(message.split()), LONGEST)))
    return USAGE


def _say(text: str) -> None:
    from click import echo  # 18 ms: few commands fail

    echo(f"kdiag: {text}", err=True)


def _exit(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)

"""The command line: a module for each command, and the end of the process. Nothing else exits."""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import suppress
from importlib import import_module
from itertools import takewhile
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from kdiag import __version__
from kdiag.cli.exits import EXIT_CODES, INTERNAL, INTERRUPTED, USAGE, epilog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdiag.network.head_start import StartedConnection

_SERVER = re.compile(r"[\w\]]:[0-9]{1,5}(,|\Z)")
LONGEST = 4096  # characters of an error: it may have words of a file in it
_OWN = ("-h", "--help", "-V", "--version", "help", "version")
_FLAGS = ("--json", "--no-color", "-v", "--verbose", "-q", "--quiet")
COMMANDS = (
    *("check", "demo", "lint", "explain", "findings", "diff", "show", "serve", "mcp", "completion"),
)


class Commands(click.Group):
    """A command is the function of its name in the module of its name; one is loaded when it is
    asked for, and help asks for all."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # All of them for a word that is none, so that the near one can be suggested.
        for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                self.add_command(getattr(import_module(f"kdiag.cli.{name}"), name))
        return self.commands.get(cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes `kdiag --json demo` for `kdiag demo --json`, and options alone, as those of Kafka's
        tools (`kdiag -b HOST:PORT`), for a check."""
        flags = list(takewhile(_FLAGS.__contains__, args))
        rest = args[len(flags) :]
        if rest and rest[0] not in _OWN and (flags or rest[0].startswith("-")):
            named = rest[0] in COMMANDS
            args = [rest[0] if named else "check", *flags, *rest[named:]]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Takes `kdiag HOST:PORT` and `kdiag @NAME` for a check of it, `kdiag help` and `kdiag
        version` for the options of that name."""
        first, *others = args
        server = _SERVER.search(first) or ("".join(others[:1]).isdigit() and "." in first)
        if first in ("help", "version"):
            asked = [*others[:1], "--help"] if first == "help" else ["--version"]
            cli.main(asked, prog_name=ctx.info_name, parent=ctx.parent, standalone_mode=False)
            ctx.exit()
        if first.startswith("@") or server:
            args = ["check", *args]
        elif "." in first:
            from kdiag.config.usage import word  # 0.4 ms

            raise click.UsageError(
                f"no such command; to check a bootstrap server: kdiag check {word(first)}:9092"
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=epilog("kdiag", EXIT_CODES),
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
)
@click.version_option(__version__, "-V", "--version", message="kdiag %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Says why a Kafka client cannot connect.

    kdiag walks the four hops of every Kafka client: reach the bootstrap server, get the metadata,
    reach each advertised listener, produce. It names the hop that breaks, the one cause, the
    evidence and the fix.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(begun: Sequence[StartedConnection] = ()) -> NoReturn:
    """Runs the command line and ends the process, whatever threads a resolver has left behind. A
    check continues with the connections that are `begun`."""
    # Whoever starts kdiag may have closed them: what is written there goes nowhere then.
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.platform == "win32":
        from kdiag.cli.console import prepare_console  # 0.3 ms

        prepare_console()
    try:
        code = cli.main(prog_name="kdiag", standalone_mode=False, obj=begun)
    except click.ClickException as error:
        code = _refused(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        import warnings  # 0.5 ms

        warnings.simplefilter("ignore")  # a walk that had not begun was "never awaited"
        code = INTERRUPTED
    except (BrokenPipeError, SystemExit):  # click's way to say that nobody reads any more
        code = 0
    except Exception as error:
        from kdiag.config.usage import NO_THREAD, UsageError, no_thread  # 0.4 ms

        if isinstance(error, UsageError):
            code = _refused(str(error))
        elif no_thread(error):
            click.echo(f"kdiag: {NO_THREAD}", err=True)
            code = INTERNAL
        else:
            click.echo(f"kdiag: failed itself: {_place(error)}", err=True)
            code = INTERNAL
    _exit(code if isinstance(code, int) else 0)


def _place(error: Exception) -> str:
    """Which error, and where; never its text, in which any secret of the configuration may be."""
    from traceback import extract_tb  # 2.2 ms

    *_, last = extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _refused(words: str) -> int:
    from kdiag.report.render.workflow import no_command  # 0.8 ms
    from kdiag.text import clean

    click.echo(f"kdiag: {no_command(clean(' '.join(words.split()), LONGEST))}", err=True)
    return USAGE


def _exit(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)

"""The commands as click reads them: a module for each."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from itertools import takewhile

import click

from kdiag import __version__
from kdiag.cli.exits import EXIT_CODES, epilog
from kdiag.config.usage import UsageError, word

_SERVER = re.compile(r"[\w\]]:[0-9]{1,5}(,|\Z)")
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
            option = [*others[:1], "--help"] if first == "help" else ["--version"]
            cli.main(option, prog_name=ctx.info_name, parent=ctx.parent, standalone_mode=False)
            ctx.exit()
        if first.startswith("@") or server:
            args = ["check", *args]
        elif "." in first:
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


def run() -> object:
    """Runs the command line; gives what its command returns. Raises UsageError where it is wrong,
    KeyboardInterrupt where the user ends it."""
    plugin = os.path.basename(sys.argv[0]) == "kubectl-kdiag"  # noqa: PTH119
    name = "kubectl kdiag" if plugin else "kdiag"
    try:
        return cli.main(prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        raise UsageError(error.format_message()) from None
    except click.Abort:
        raise KeyboardInterrupt from None

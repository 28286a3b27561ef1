"""Options as click takes them, from the one table in kdiag/config/options.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import click

from kdiag.cli import completion
from kdiag.config.options import EVERY, variable, word
from kdiag.report.render import RENDERERS, Detail

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

REPORTED = f"{', '.join(RENDERERS)}: to standard output or to a file; may be repeated."
TERMINAL_OR_JSON = "terminal or json, to standard output or to a file; may be repeated."


def option(name: str, help: str = "", *, variables: bool = False, **more: Any) -> Decorator:  # noqa: A002
    """The option of a field of the table, with its own text in the help of this command; with
    `variables` the option may come from the environment. `more` is given to click.option."""
    row = EVERY[name]
    if row.completes:
        more = {"shell_complete": getattr(completion, row.completes), **more}
    shown = f"  [default: {row.shown}]" if row.shown else ""
    return click.option(
        *([row.short] if row.short else []),
        *row.also,
        f"--{word(name)}",
        name,
        is_flag=True if row.kind == "flag" else None,
        multiple=row.kind in ("texts", "files"),
        metavar=row.metavar or ("|".join(row.choices) or None),
        envvar=variable(name) if variables and row.variable else None,
        help=f"{help or row.help}{shown}",
        **more,
    )


def check_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of the table, without bootstrap and output, which commands declare."""
    for name in reversed([name for name in EVERY if name not in ("bootstrap", "outputs")]):
        function = option(name, variables=True)(function)
    return function


def shown(verbose: bool, quiet: bool) -> Detail:
    """How much of a report a terminal shows. Raises click.UsageError for both options at once."""
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet: give one of them")
    return "full" if verbose else "quiet" if quiet else "short"


def details(function: Callable[..., Any]) -> Callable[..., Any]:
    """-v and -q, of a command that shows reports and walks nothing that a user named."""
    text = "Show the whole report on a terminal: every fix and all evidence."
    return option("verbose", text)(option("quiet")(function))


def output(help: str, forms: Iterable[str] = RENDERERS, *, variables: bool = False) -> Decorator:  # noqa: A002
    """The options -o, with these formats, --json and --no-color: every command that prints a report
    or a page has them. --json adds to the outputs that -o names."""
    complete = completion.words(*forms)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(*arguments: Any, as_json: bool, outputs: tuple[str, ...], **rest: Any) -> Any:
            named = ["json"] if as_json and "json" not in outputs else []
            return function(*arguments, outputs=(*outputs, *named), **rest)

        declared: Callable[..., Any] = command
        for each in (
            click.option(
                "--no-color",
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_colourless,
                help="Print no colours, as with NO_COLOR=1.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Same as -o json."),
            option("outputs", help, variables=variables, shell_complete=complete),
        ):
            declared = each(declared)
        return declared

    return decorate


def _colourless(_: click.Context, __: click.Parameter, chosen: bool) -> None:
    if chosen:
        os.environ["NO_COLOR"] = "1"

"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from kdiag.cli.completion import words
from kdiag.report.render import RENDERERS

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

REPORTED = f"{', '.join(RENDERERS)}: to standard output or to a file; may be repeated."
TEXT_OR_JSON = "text or json, to standard output or to a file; may be repeated."


def output(help: str, forms: Iterable[str] = RENDERERS, envvar: str | None = None) -> Decorator:  # noqa: A002
    """-o: in which of these formats, and where to."""
    return click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="FORMAT[=FILE]",
        envvar=envvar,
        shell_complete=words(*forms),
        help=help,
    )


def fail_on(help: str) -> Decorator:  # noqa: A002
    """--fail-on: how severe a finding has to be to count."""
    return click.option(
        "--fail-on",
        type=click.Choice(["error", "warning"]),
        default="error",
        show_default=True,
        envvar="KDIAG_FAIL_ON",
        help=help,
    )

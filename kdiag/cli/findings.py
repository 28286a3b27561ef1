"""kdiag findings: everything that kdiag can find."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kdiag.cli.completion import words


@click.command(short_help="List every finding.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT[=FILE]",
    shell_complete=words("text", "json"),
    help="text or json, to standard output or to a file; may be repeated.",
)
def findings(outputs: Sequence[str]) -> int:
    """List every finding's code, name and severity; kdiag explain CODE has the page of each."""
    from kdiag.delivery import deliver, destinations
    from kdiag.render.pages import FORMS, of_all
    from kdiag.rules import load_all

    load_all()
    with destinations(outputs, FORMS, "text") as opened:
        deliver(of_all, opened)
    return 0

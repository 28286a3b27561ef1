"""kdiag show: a saved report, in any output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

import click

from kdiag.cli.completion import paths, words
from kdiag.cli.files import read
from kdiag.render import RENDERERS, render, render_all


@click.command(short_help="Show a saved report again, in any format.")
@click.argument("report", metavar="REPORT.json", shell_complete=paths)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT[=FILE]",
    shell_complete=words(*RENDERERS),
    help=f"{', '.join(RENDERERS)}: to standard output or to a file; may be repeated.",
)
def show(report: str, outputs: Sequence[str]) -> int:
    """Show a report that was saved with -o json again, in any output; - is standard input.

    The exit code says whether the report could be read and written, 0 or 2, and not how the check
    ended: that is in the report.
    """
    from kdiag.delivery import deliver, destinations
    from kdiag.report import Report
    from kdiag.saved import MOST, read_any

    name = "standard input" if report == "-" else report
    saved = read_any(read(report, MOST, "a report: 32 MiB at most"), name)

    def write(form: str, stream: TextIO) -> None:
        if isinstance(saved, Report):
            render(form, saved, stream)
        else:
            render_all(form, saved, stream)

    with destinations(outputs) as opened:
        deliver(write, opened)
    return 0

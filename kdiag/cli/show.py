"""kdiag show: a saved report, in any output."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kdiag.cli.completion import paths
from kdiag.cli.exits import epilog
from kdiag.cli.files import saved_report
from kdiag.cli.options import REPORTED, details, output, shown
from kdiag.report.render import render


@click.command(epilog=epilog("show"), short_help="Show a saved report again, in any format.")
@click.argument("report", metavar="REPORT.json", shell_complete=paths)
@details
@output(REPORTED)
def show(report: str, verbose: bool, quiet: bool, outputs: Sequence[str]) -> int:
    """Show a report that was saved with -o json again, in any output; - is standard input.

    The exit code says whether the report could be read and written, 0 or 2, and not how the check
    ended: that is in the report.
    """
    from kdiag.cli.outputs import deliver, destinations  # 0.4 ms
    from kdiag.report.load import read_any

    detail = shown(verbose, quiet)
    name = "standard input" if report == "-" else report
    saved = read_any(saved_report(report), name)

    with destinations(outputs) as opened:
        deliver(lambda form, stream: render(form, saved, stream, detail), opened)
    return 0

"""kdiag diff: saved reports of several vantage points, one answer."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from kdiag import __version__
from kdiag.cli.exits import EXIT_CODES, epilog
from kdiag.cli.files import read
from kdiag.cli.options import REPORTED, details, output, shown
from kdiag.report.render import render


@click.command(
    epilog=epilog("diff", EXIT_CODES), short_help="Compare what was seen from several places."
)
@click.argument("saved", nargs=-1, required=True, metavar="A.json B.json...")
@details
@output(REPORTED)
def diff(saved: Sequence[str], verbose: bool, quiet: bool, outputs: Sequence[str]) -> int:
    """Say what differs between reports on one cluster that were saved with -o json: two vantage
    points, one answer.

    Each is called by its file's name; a file may have the reports of several. The exit code is that
    of the worst.
    """
    from kdiag.cli.outputs import deliver, destinations  # 0.4 ms
    from kdiag.report.load import MOST, read_any
    from kdiag.report.model import Report
    from kdiag.report.several import together  # 49 ms

    detail = shown(verbose, quiet)
    found: dict[str, Report] = {}
    for path, name in zip(saved, _names(saved), strict=True):
        what = "standard input" if path == "-" else path
        one = read_any(read(path, MOST, "a report: 32 MiB at most"), what)
        if isinstance(one, Report):
            found[name] = one
            continue
        for label, report in one.reports.items():
            found[label if len(saved) == 1 else f"{name}: {label}"] = report
    if len(found) < 2:
        raise click.UsageError("kdiag diff needs the reports of at least two vantage points")
    several = together(found, __version__, compared=True)
    with destinations(outputs) as opened:
        deliver(lambda form, stream: render(form, several, stream, detail), opened)
    return several.exit_code


def _names(saved: Sequence[str]) -> list[str]:
    """What to call each file: its name without .json, with as much of its path as tells it from
    the others, and a number where nothing does."""
    from kdiag.network.attempt import clean  # 8.6 ms

    parts = [os.path.splitext(path)[0].replace("\\", "/").split("/") for path in saved]  # noqa: PTH122
    names = [own[-1] for own in parts]
    if len(set(names)) < len(names):
        names = ["/".join(own[-2:]) for own in parts]
    return [
        clean(name, 80) if names.count(name) == 1 else f"{clean(name, 80)} ({place})"
        for place, name in enumerate(names, 1)
    ]

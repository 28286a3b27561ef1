"""kdiag diff: saved reports of several vantage points, one answer."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from kdiag import __version__
from kdiag.cli.exits import EXIT_CODES, epilog
from kdiag.cli.files import read
from kdiag.cli.options import REPORTED, details, output, shown
from kdiag.report.render import render

if TYPE_CHECKING:
    from kdiag.report.model import Report

MOST_FILES = 10_000  # of a folder
MOST_BYTES = 256 << 20  # of all reports of folders; 500 on three brokers have a fortieth of it
MOST_NOTES = 10


@click.command(
    epilog=epilog("diff", EXIT_CODES), short_help="Compare what was seen from several places."
)
@click.argument("saved", nargs=-1, required=True, metavar="A.json B.json... | FOLDER...")
@details
@output(REPORTED)
def diff(saved: Sequence[str], verbose: bool, quiet: bool, outputs: Sequence[str]) -> int:
    """Say what differs between reports on one cluster that were saved with -o json: two vantage
    points, one answer.

    Each is called by its file's name; a file may have the reports of several. Of a FOLDER, every
    file named *.json is read, in its subfolders too; what is no report is named and skipped. The
    exit code is that of the worst.
    """
    from kdiag.cli.outputs import deliver, destinations  # 0.4 ms
    from kdiag.report.several import together  # 49 ms

    detail = shown(verbose, quiet)
    skipped: dict[str, str] = {}
    found = _reports(saved, skipped)
    _note(skipped)
    if len(found) < 2:
        raise click.UsageError("kdiag diff needs the reports of at least two vantage points")
    several = together(found, __version__, compared=True, skipped=skipped)
    with destinations(outputs) as opened:
        deliver(lambda form, stream: render(form, several, stream, detail), opened)
    return several.exit_code


def _reports(saved: Sequence[str], skipped: dict[str, str]) -> dict[str, Report]:
    """The reports of all files, by label. A file of a folder that is no report goes into `skipped`,
    with the reason. Raises UsageError for a named file that is no report."""
    from kdiag.config.usage import UsageError  # 0.4 ms
    from kdiag.report.load import MOST, read_any
    from kdiag.report.model import Report
    from kdiag.text import clean

    files = [member for path in saved for member in _members(path, skipped)]
    found: dict[str, Report] = {}
    room = MOST_BYTES
    for (path, listed), name in zip(files, _names([path for path, _ in files]), strict=True):
        try:
            most = min(MOST, room) if listed else MOST
            data = read(path, most, "a report: 32 MiB at most" if most == MOST else _NO_ROOM)
            one = read_any(data, "standard input" if path == "-" else path)
        except (click.UsageError, UsageError) as error:
            if not listed:
                raise
            skipped[clean(path)] = clean(str(error))
            continue
        room -= len(data) if listed else 0
        if isinstance(one, Report):
            found[name] = one
            continue
        for label, report in one.reports.items():
            found[label if len(files) == 1 else f"{name}: {label}"] = report
        skipped.update(one.skipped)
    return found


_NO_ROOM = f"what is left for it: the reports of folders may have {MOST_BYTES >> 20} MiB together"


def _members(path: str, skipped: dict[str, str]) -> Iterator[tuple[str, bool]]:
    """The files of a folder that are named as reports are, in order, each with True; for any other
    path the path and False. Raises click.UsageError for a folder with too many files."""
    from kdiag.text import clean  # 0.3 ms

    if path == "-" or not os.path.isdir(path):  # noqa: PTH112
        yield path, False
        return
    seen = 0
    top = os.path.realpath(path)
    for folder, folders, names in os.walk(path):
        # The hidden ones are copies: a ConfigMap's volume has each file there once more.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        seen += len(names) + len(folders)
        if seen > MOST_FILES:
            raise click.UsageError(
                f"{path} has more than {MOST_FILES:,} files: name a folder in it"
            )
        for name in sorted(names):
            if name.endswith(".json") and not name.startswith("."):
                file = os.path.join(folder, name)  # noqa: PTH118
                if reason := _unreadable(file, top):
                    skipped[clean(file)] = f"{clean(file)} is {reason}"
                else:
                    yield file, True


def _unreadable(file: str, top: str) -> str:
    """Why a file of a folder is not opened: a pipe would wait, and a link may lead anywhere."""
    try:
        regular = stat.S_ISREG(os.stat(file).st_mode)  # noqa: PTH116
    except OSError as error:
        return f"not readable: {error.strerror}"
    if not regular:
        return "not a regular file"
    inside = os.path.realpath(file).startswith(os.path.join(top, ""))  # noqa: PTH118
    return "" if inside else "a link to a file outside of the folder"


def _note(skipped: dict[str, str]) -> None:
    """Says on standard error which files are skipped, and why."""
    for reason in list(skipped.values())[:MOST_NOTES]:
        click.echo(f"kdiag: skipped: {reason}", err=True)
    if len(skipped) > MOST_NOTES:
        more = len(skipped) - MOST_NOTES
        click.echo(f"kdiag: skipped: {more} more files; -o json has them all", err=True)


def _names(saved: Sequence[str]) -> list[str]:
    """What to call each file: its name without .json, with as much of its path as tells it from
    the others, and a number where nothing does."""
    from kdiag.network.attempt import clean  # 8.6 ms

    parts = [os.path.splitext(path)[0].replace("\\", "/").split("/") for path in saved]  # noqa: PTH122
    names: list[str] = []
    for depth in range(1, 1 + max(map(len, parts), default=0)):
        names = ["/".join(own[-depth:]) for own in parts]
        if len(set(names)) == len(names):
            break
    else:
        names = ["/".join(own[-2:]) for own in parts]
    counts = Counter(names)
    return [
        clean(name, 80) if counts[name] == 1 else f"{clean(name, 80)} ({place})"
        for place, name in enumerate(names, 1)
    ]

"""kdiag check HOST:PORT, as it is without click: 17 ms less until hop 1 can read its answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kdiag.cli.outputs import deliver, destinations
from kdiag.cli.watching import ready, walked
from kdiag.config.options import aws_echo
from kdiag.config.settings import settings
from kdiag.report.render import render

if TYPE_CHECKING:
    from kdiag.__main__ import PlainCheck
    from kdiag.config.settings import Settings


def plain_settings(plain: PlainCheck) -> Settings:
    """The settings that kdiag.cli.settings makes of the same command line."""
    return settings(plain.server, aws_echo=aws_echo(), verbose=plain.detail == "full")


def check(plain: PlainCheck) -> int:
    """Walks, reports, and returns the exit code, as kdiag.cli.check does for this command line."""
    checked = plain_settings(plain)
    ready()
    try:
        with destinations(plain.outputs) as opened:
            forms = [each.form for each in opened]
            (report,) = walked({plain.server: checked}, forms, begun=plain.begun).values()
            deliver(lambda form, stream: render(form, report, stream, plain.detail), opened)
    except KeyboardInterrupt:
        sys.stderr.write("\n")  # ends the line with ^C, as click does
        raise
    return report.exit_code

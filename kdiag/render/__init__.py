"""Renderers: a report goes in, text comes out. They decide nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from kdiag.report import Report
    from kdiag.reports import Reports

RENDERERS = {
    "terminal": "kdiag.render.terminal",
    "json": "kdiag.render.json",
    "junit": "kdiag.render.junit",
    "markdown": "kdiag.render.markdown",
    "github": "kdiag.render.github",
    "html": "kdiag.render.html",
    "openmetrics": "kdiag.render.openmetrics",
}


def render(form: str, report: Report, stream: TextIO) -> None:
    """Writes a report in one of RENDERERS' formats; only that renderer is imported."""
    import_module(RENDERERS[form]).write(report, stream)


def render_all(form: str, reports: Reports, stream: TextIO) -> None:
    """Writes several reports as one, each whole and under its label."""
    import_module(RENDERERS[form]).write_all(reports, stream)

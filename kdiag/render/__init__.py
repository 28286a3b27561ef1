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


def render(form: str, said: Report | Reports, stream: TextIO) -> None:
    """Writes a report, or several as one, each whole and under its label, in one of RENDERERS'
    formats; only that renderer is imported."""
    from kdiag.report import Report

    renderer = import_module(RENDERERS[form])
    write = renderer.write if isinstance(said, Report) else renderer.write_all
    write(said, stream)

"""Renderers: a report goes in, text comes out. They decide nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from kdiag.report.model import Report
    from kdiag.report.several import Reports

RENDERERS = {
    "terminal": "kdiag.report.render.terminal",
    "json": "kdiag.report.render.json",
    "junit": "kdiag.report.render.junit",
    "markdown": "kdiag.report.render.markdown",
    "github": "kdiag.report.render.github",
    "html": "kdiag.report.render.html",
    "openmetrics": "kdiag.report.render.openmetrics",
}


Detail = Literal["quiet", "short", "full"]


def render(
    output_format: str, report: Report | Reports, stream: TextIO, detail: Detail = "short"
) -> None:
    """Writes a report, or several reports with their labels, in a format of RENDERERS; imports only
    that renderer. `detail` is how much of it a terminal shows; other formats are always full."""
    from kdiag.report.model import Report  # 60 ms

    renderer = import_module(RENDERERS[output_format])
    write = renderer.write if isinstance(report, Report) else renderer.write_all
    if output_format == "terminal":
        write(report, stream, detail)
    else:
        write(report, stream)

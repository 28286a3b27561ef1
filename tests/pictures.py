"""The pictures of the documentation: a report as a terminal shows it, and as a page draws it.

Both are SVG, which a program writes the same every time, so that a test finds what has drifted.
"""

from __future__ import annotations

import io
import os
import re
from importlib.resources import files
from unittest.mock import patch
from xml.etree.ElementTree import Element, tostring

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from kdiag.report.model import Report
from kdiag.report.render import render
from kdiag.report.render.diagram_svg import WIDE, draw

COLOURED = {"COLUMNS": "80", "FORCE_COLOR": "1", "TERM": "xterm-256color"}
MARGIN = 14

_FONTS = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)  # they would be asked for elsewhere
_RULE = re.compile(r"^\.picture(?!\.narrow).*$", re.MULTILINE)
_COLOURS = re.compile(r"^:root \{.*?^\}$|^@media \(prefers-color-scheme.*?^\}$", re.DOTALL | re.M)


def terminal(scenario: str, report: Report) -> str:
    """What a terminal of 80 columns shows, recorded by rich."""
    stream = io.StringIO()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLORTERM")}
    with patch.dict(os.environ, {**environment, **COLOURED}, clear=True):
        render("terminal", report, stream)
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(stream.getvalue()), highlight=False)
    plain = _FONTS.sub("", CONSOLE_SVG_FORMAT)
    title = f"kdiag demo {scenario}"
    made = console.export_svg(title=title, code_format=plain, unique_id="kdiag")
    return f"{made.rstrip()}\n"


def page(scenario: str, report: Report) -> str:
    """The picture on top of the page, with that page's own colours, light and dark."""
    css = files("kdiag.report.render").joinpath("page.css").read_text("ascii")
    ours = "\n".join([*_COLOURS.findall(css), *_RULE.findall(css)])
    svg = draw(report, WIDE)
    left, top, width, height = (float(number) for number in svg.attrib.pop("viewBox").split())
    size = {"width": f"{width + 2 * MARGIN:g}", "height": f"{height + 2 * MARGIN:g}"}
    box = f"{left - MARGIN:g} {top - MARGIN:g} {size['width']} {size['height']}"
    svg.attrib.update(xmlns="http://www.w3.org/2000/svg", viewBox=box, **size)
    style = Element("style")
    style.text = f"{ours}\n.paper {{ fill: var(--paper); }}\n"
    at = {"x": f"{left - MARGIN:g}", "y": f"{top - MARGIN:g}"}
    svg[0].text = f"kdiag demo {scenario}: the four hops"
    svg[2:2] = [style, Element("rect", {"class": "paper", "fill": "#ffffff", **at, **size})]
    return f"{tostring(svg, encoding='unicode')}\n".replace("><", ">\n<")

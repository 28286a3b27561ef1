"""Draws the diagram of a check as SVG: wide, and narrow for a phone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from kdiag.report.model import Report
from kdiag.report.render import presentation
from kdiag.report.render.diagram import (
    WORST_FIRST,
    Arrow,
    Row,
    bootstrap_rows,
    brokers,
    cluster,
    described,
)
from kdiag.report.render.markup import add

# The colours where no style sheet applies; page.css has its own for light and dark mode.
_INK = {"ok": "#1a7f37", "warn": "#8a5c00", "fail": "#c31b28", "none": "#59636e"}


@dataclass(frozen=True)
class Paper:
    """The dimensions of the drawing, in SVG units."""

    client: int
    lane: int
    end: int
    font: float
    step: int
    wide: bool

    @property
    def left(self) -> int:
        """The x coordinate at which the arrows begin."""
        return 10 + self.client

    @property
    def right(self) -> int:
        """The x coordinate at which the arrows end."""
        return self.left + self.lane

    def chars(self, width: float) -> int:
        """How many characters of the default font size fit into this width."""
        return max(6, int(width / (self.font * 0.6)))


WIDE = Paper(client=150, lane=400, end=380, font=13, step=50, wide=True)
NARROW = Paper(client=52, lane=148, end=142, font=10.5, step=46, wide=False)


def draw(report: Report, paper: Paper) -> Element:
    """The diagram as an SVG element, with the same content as text in its description."""
    ends, members = list(bootstrap_rows(report)), list(brokers(report))
    name = "wide" if paper.wide else "narrow"
    svg = Element("svg", {"role": "img", "class": f"picture {name}"})
    svg.set("aria-labelledby", f"{name}-title {name}-description")
    add(svg, "title", f"The four hops of this check: {report.verdict}", id=f"{name}-title")
    add(svg, "desc", " ".join(described([*ends, *members])), id=f"{name}-description")
    y = 10.0
    for row in ends:
        y = _end(svg, paper, row, y) + 12
    top = y + 4
    y = top + 30
    frame = add(svg, "rect", class_="cluster", x=paper.right - 14, y=top, rx=10)
    for attribute, value in (
        ("fill", "none"),
        ("stroke", _INK["none"]),
        ("stroke-dasharray", "5 4"),
    ):
        frame.set(attribute, value)
    room = paper.chars(paper.end + 10)
    _text(svg, paper, paper.right, top + 20, _fit(cluster(report), room, 1)[0], "label")
    for row in members:
        y = _end(svg, paper, row, y) + 10
    frame.set("width", str(paper.end + 26))
    frame.set("height", str(y - top + 2))
    _client(svg, paper, report, y)
    svg.set("viewBox", f"9 9 {paper.right + paper.end + 4} {y - 3:g}")
    return svg


def _end(svg: Element, paper: Paper, row: Row, y: float) -> float:
    """Draws one row and its arrows; returns the y coordinate of its lower edge."""
    height = paper.step * len(row.arrows) + 6
    group = add(svg, "g")
    add(group, "title", f"{row.who} {row.address}")
    worst = min((arrow.outcome for arrow in row.arrows), key=WORST_FIRST.index)
    _box(group, paper.right, y, paper.end, height, f"end {worst}", _INK[worst])
    if paper.wide:
        split = paper.right + paper.end - 132
        add(group, "line", class_="rule", x1=split, y1=y + 8, x2=split, y2=y + height - 8,
            stroke=_INK["none"], stroke_opacity=0.4)  # fmt: skip
        _block(group, paper, paper.right + 14, y, height, [
            *((line, "mono") for line in _fit(row.address, paper.chars(224), 3)),
            *((line, "label") for line in _fit(row.kind, paper.chars(224), 1) if line),
        ])  # fmt: skip
        _block(group, paper, split + 14, y, height, [
            (_fit(row.who, 15, 1)[0], "strong"),
            *((line, "label") for line in _fit(row.more, 15, 2) if line),
        ])  # fmt: skip
    else:
        room = paper.chars(paper.end - 14)
        lines = [(_fit(row.who, room, 1)[0], "strong")]
        lines += [(line, "mono") for line in _fit(row.address, room, 2)]
        lines += [(line, "label") for line in _fit(row.more or row.kind, room, 1) if line]
        _block(group, paper, paper.right + 9, y, height, lines)
    for place, arrow in enumerate(row.arrows):
        _arrow(group, paper, arrow, y + 3 + paper.step * place + paper.step * 0.52)
    return y + height


def _arrow(svg: Element, paper: Paper, arrow: Arrow, y: float) -> None:
    """Draws one arrow: the hop's number and name, its text, and the cause of a failure."""
    ink = _INK[arrow.outcome]
    group = add(svg, "g", class_=f"arrow {arrow.outcome}")
    left, right = paper.left + 4.0, paper.right - 4.0
    line = add(group, "line", x1=left, y1=y, x2=right, y2=y, stroke=ink, stroke_width=2)
    if arrow.outcome == "none":
        line.set("stroke-dasharray", "2 5")
    tip, away = (left, 9) if arrow.back else (right, -9)
    if arrow.outcome == "fail":
        line.set("x1" if arrow.back else "x2", f"{tip + away * 1.6:g}")
        cross = f"M{tip + away * 1.5:g} {y - 6:g} l{-away * 1.3:g} 12 m0 -12 l{away * 1.3:g} 12"
        add(group, "path", d=cross, stroke=ink, stroke_width=2.5, fill="none")
    else:
        head = f"M{tip:g} {y:g} l{away} -5 v10 z"
        add(group, "path", class_="head", d=head, fill=ink)
    size = 10 if paper.wide else 8
    at = left + size + (14 if arrow.back else 6)
    add(group, "circle", class_="number", cx=at, cy=y, r=size, fill=ink)
    number = str(presentation.number(arrow.hop))
    _text(group, paper, at, y + paper.font * 0.34, number, "digit", anchor="middle", fill="#ffffff")
    begin = at + size + 5
    _text(group, paper, begin, y - 6, arrow.hop, "name", fill=ink)
    text, end = arrow.text, right
    if arrow.cause and paper.wide:
        end = _tag(group, paper, arrow, f"{arrow.cause.code} {arrow.cause.name}", y) - 8
    elif arrow.cause:
        _tag(group, paper, arrow, arrow.cause.code, y)
        text = text or arrow.cause.name
    below = paper.font + (3 if paper.wide else 6)
    _text(group, paper, begin, y + below, _fit(text, paper.chars(end - begin), 1)[0], "label")


def _tag(svg: Element, paper: Paper, arrow: Arrow, tag: str, y: float) -> float:
    """Draws the cause on its arrow; returns the x coordinate at which it begins."""
    width = len(tag) * paper.font * 0.58 + 14
    height = paper.font + (9 if paper.wide else 5)
    x = paper.right - width - (34 if paper.wide else 8 if arrow.back else 17)
    add(svg, "rect", class_="tag", x=f"{x:g}", y=f"{y - height / 2:g}", width=f"{width:g}",
        height=f"{height:g}", rx=f"{height / 2:g}", fill=_INK[arrow.outcome])  # fmt: skip
    middle = x + width / 2
    _text(svg, paper, middle, y + paper.font * 0.35, tag, "on", anchor="middle", fill="#ffffff")
    return x


def _client(svg: Element, paper: Paper, report: Report, bottom: float) -> None:
    height = bottom - 8
    _box(svg, 10, 10, paper.client, height, "client", _INK["none"])
    room = paper.chars(paper.client - (24 if paper.wide else 8))
    lines = [("client" if not paper.wide else "this client", "strong")]
    for address in report.source_addresses[:2]:
        lines += [(line, "mono") for line in _fit(address, room, 3)]
    _block(svg, paper, 10 + paper.client / 2, 10, height, lines, anchor="middle")


def _box(
    svg: Element, x: float, y: float, width: float, height: float, kind: str, ink: str
) -> None:
    add(svg, "rect", class_=f"box {kind}", x=f"{x:g}", y=f"{y:g}", width=f"{width:g}",
        height=f"{height:g}", rx=8, fill="none", stroke=ink)  # fmt: skip


def _block(
    svg: Element,
    paper: Paper,
    x: float,
    y: float,
    height: float,
    lines: Sequence[tuple[str, str]],
    anchor: str = "start",
) -> None:
    """Draws lines of text, centred vertically in `height`."""
    leading = paper.font * 1.35
    first = y + (height - leading * len(lines)) / 2 + paper.font
    for position, (text, kind) in enumerate(lines):
        _text(svg, paper, x, first + leading * position, text, kind, anchor=anchor)


def _text(
    svg: Element,
    paper: Paper,
    x: float,
    y: float,
    text: str,
    kind: str,
    anchor: str = "start",
    fill: str = "#1f2328",
) -> None:
    if not text:
        return
    size = paper.font - (1.5 if kind in ("label", "mono", "on", "digit") else 0)
    element = add(svg, "text", text, class_=kind, x=f"{x:g}", y=f"{y:g}", fill=fill)
    element.set("font-size", f"{size:g}")
    if anchor != "start":
        element.set("text-anchor", anchor)


_LABEL = re.compile(r"[^.:/\s-]*[.:/\s-]*")


def _fit(text: str, room: int, lines: int) -> list[str]:
    """The text on at most `lines` lines of `room` characters, broken between the labels of a name;
    a text that does not fit loses its middle."""
    made = [""]
    for label in _LABEL.findall(text):
        if made[-1] and _cells(made[-1] + label) > room:
            made.append("")
        made[-1] += label
    if len(made) <= lines and all(_cells(line) <= room for line in made):
        return [line.strip() for line in made]
    keep = max(2, room * lines - 1)
    half = keep // 2
    cut = f"{text[:half]}…{text[len(text) - (keep - half - 1) :]}" if len(text) > keep else text
    while _cells(cut) > room * lines and len(cut) > 3:
        middle = len(cut) // 2
        cut = f"{cut[: middle - 1]}…{cut[middle + 1 :]}"
    return [cut[at : at + room] for at in range(0, len(cut), room)][:lines] or [""]


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)

"""Builds the sections of the HTML page: titles, lists and tables; long ones are folded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from xml.etree.ElementTree import Element

from kdiag.report.render import presentation
from kdiag.report.render.markup import add

RowItem = TypeVar("RowItem")

MANY_ROWS = 50  # visible rows of a table; the rest is folded


def titled(main: Element, name: str, title: str) -> Element:
    """Adds a section with a title and returns it; `name` is the title's element id."""
    section = add(main, "section", aria_labelledby=name)
    add(section, "h2", title, id=name)
    return section


def bulleted(section: Element, lines: Sequence[str]) -> None:
    """Adds a list; the middle of a long list is folded."""
    first, cut, last = presentation.shortened(lines)
    rest = lines[len(first) : len(first) + cut]
    for some in (first, rest, last):
        outer = section
        if some is rest and cut:
            outer = add(section, "details")
            add(outer, "summary", f"{cut} more lines")
        if some:
            items = add(outer, "ul")
            for line in some:
                add(items, "li", line)


def table(
    section: Element,
    noun: str,
    head: Sequence[str],
    rows: Sequence[RowItem],
    row: Callable[[Element, RowItem], None],
) -> None:
    """Adds a table with its first rows visible and the rest folded; `row` adds one row."""
    for place, some in enumerate((rows[:MANY_ROWS], rows[MANY_ROWS:])):
        if not some:
            continue
        outer = section
        if place:
            outer = add(section, "details")
            add(outer, "summary", f"{len(some)} more {noun}")
        label = f"{noun}, continued" if place else noun
        box = add(outer, "div", class_="scroll", tabindex=0, role="region", aria_label=label)
        shown = add(box, "table")
        line = add(add(shown, "thead"), "tr")
        for name in head:
            add(line, "th", name, scope="col")
        body = add(shown, "tbody")
        for each in some:
            row(body, each)

"""Every text that kdiag has for its users, in the order of the code: tests/texts.txt.

The pages of rules are in docs/findings.md, the help of commands is in docs/kdiag.1; here is the
rest: titles, messages, evidence, remedies, notes, errors. `{…}` stands for a value.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "kdiag"
GOLDEN = ROOT / "tests/texts.txt"

# Calls whose strings are patterns.
PATTERNS = {"compile", "match", "search", "fullmatch", "sub", "split", "findall", "finditer"}
TABLE = 8  # lines of a string that is a table, whose rows are texts
_PROSE = re.compile(r"[A-Za-z…]{2,}[,.:;)]? +(?:[a-z{…\"'(]|[A-Z]{2})")


def texts() -> str:
    """The golden: a heading for each module that has texts, and a line for each text."""
    lines = []
    for path in sorted(PACKAGE.rglob("*.py")):
        found = list(dict.fromkeys(of_module(path)))
        if found:
            lines += [f"## {path.relative_to(ROOT).as_posix()}", *found, ""]
    return "\n".join(lines)


def of_module(path: Path) -> Iterator[str]:
    """The texts of a module."""
    tree = ast.parse(path.read_text("utf-8"))
    for text in _strings(tree):
        lines = text.split("\n")
        parts = lines if len(lines) > TABLE else [" ⏎ ".join(lines)]
        yield from (part.strip() for part in parts if _PROSE.search(part))


def _strings(node: ast.AST) -> Iterator[str]:
    """The strings below a node but for docstrings, annotations and patterns."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
        return
    if isinstance(node, ast.JoinedStr):
        yield "".join(_part(part) for part in node.values)
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from _strings(part.value)
        return
    if isinstance(node, ast.Call) and _name(node.func) in PATTERNS:
        return
    skipped = {"annotation", "returns", "type_comment"}
    body = getattr(node, "body", None)
    first = body[0] if isinstance(body, list) and body else None
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or (field in skipped):
                continue
            if child is first and isinstance(getattr(child, "value", None), ast.Constant):
                continue  # a docstring
            yield from _strings(child)


def _part(part: ast.expr) -> str:
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "{…}"


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")

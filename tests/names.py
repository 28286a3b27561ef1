"""Lists every public name of kdiag with the first sentence of its docstring, by modules.

`python -m tests.names walk rules` lists those of these rooms. Whoever reads the list from top to
bottom should understand each line without the others.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "kdiag"
Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def names(room: str = "") -> Iterator[tuple[str, str, str]]:
    """Module, name ("" for the module itself) and sentence of each public name; "" without one."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if room and parts[0] != room:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        module = ".".join(parts)
        yield module, "", _sentence(tree)
        for node in tree.body:
            if isinstance(node, Documented) and not node.name.startswith("_"):
                yield module, node.name, _sentence(node)
                members = node.body if isinstance(node, ast.ClassDef) else []
                for member in members:
                    if isinstance(member, Documented) and not member.name.startswith("_"):
                        yield module, f"{node.name}.{member.name}", _sentence(member)


def _sentence(node: ast.Module | Documented) -> str:
    text = " ".join((ast.get_docstring(node) or "").split())
    return text.partition(". ")[0]


if __name__ == "__main__":
    for room in sys.argv[1:] or [""]:
        for module, name, sentence in names(room):
            sys.stdout.write(f"  {name}: {sentence}\n" if name else f"{module}: {sentence}\n")

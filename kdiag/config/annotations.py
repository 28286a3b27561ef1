"""Reads annotations on Python 3.9 and newer, because the walk also runs on machines with 3.9."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from typing import Any, ForwardRef, Optional, Union


def meanings(of: type | Callable[..., Any]) -> dict[str, Any]:
    """Name → type, of a class's own annotations or a function's; `A | B` is a Union on Python 3.9.
    What is Annotated with a value whose `here` is true is left out: it is not sent.

    The module must have `from __future__ import annotations`, and the names at run time.
    """
    names = {**vars(sys.modules[of.__module__]), "Union": Union, "Optional": Optional}
    return {
        name: _meaning(kind, names)
        for name, kind in of.__annotations__.items()
        if not any(getattr(each, "here", False) for each in getattr(kind, "__metadata__", ()))
    }


def members(kind: Any) -> tuple[Any, ...]:
    """The types of an annotation: (T,) for T, and for T | None as well."""
    return tuple(k for k in getattr(kind, "__args__", (kind,)) if k is not type(None))


def may_be_none(kind: Any) -> bool:
    """Whether an annotation is T | None."""
    return type(None) in getattr(kind, "__args__", ())


class _Older(ast.NodeTransformer):
    """Spells `A | B` as it was before 3.10."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        sides = [self.visit(node.left), self.visit(node.right)]
        both = ast.Tuple(elts=sides, ctx=ast.Load())
        return ast.Subscript(ast.Name("Union", ast.Load()), both, ast.Load())


def _meaning(text: Any, names: dict[str, Any]) -> Any:
    if hasattr(text, "__metadata__"):
        text = text.__origin__
    if isinstance(text, ForwardRef):  # as a NamedTuple keeps them
        text = text.__forward_arg__
    if not isinstance(text, str):
        return text
    if sys.version_info >= (3, 10):
        return eval(text, names)
    tree = ast.fix_missing_locations(_Older().visit(ast.parse(text, mode="eval")))
    return eval(compile(tree, "<annotation>", "eval"), names)

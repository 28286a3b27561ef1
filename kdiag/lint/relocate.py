"""Moves a misplaced field to the only place where it belongs."""

from __future__ import annotations

from kdiag.lint.deviation import Deviation
from kdiag.lint.edit import Edits, insert, remove
from kdiag.lint.schema import Path_, shared_steps
from kdiag.lint.tree import Items, Map, Node, Scalar, entry, get, is_null


def relocate(root: Node | None, deviation: Deviation) -> Edits:
    """Edits that move a misplaced field. None if there are several places, if the place is in
    another list item, or if the field exists there already."""
    gone, parent = deviation.entry, deviation.parent
    if gone is None or parent is None or len(deviation.homes) != 1 or root is None:
        return ()
    written = _written(gone.value)
    above = _above(deviation.path, deviation.homes[0], parent, root)
    if written is None or above is None:
        return ()
    holder, rest = above
    name = deviation.near or deviation.key
    taken = remove(parent, gone)
    if not taken:
        return ()
    while rest:
        below = get(holder, rest[0])
        if is_null(below) and entry(holder, rest[0]):
            return ()
        if below is None:
            break
        if not isinstance(below, Map):
            return ()
        holder, rest = below, rest[1:]
    if entry(holder, name):
        return ()
    first, *below_it = (*rest, name)
    value = "".join(f"\n{'  ' * depth}{step}:" for depth, step in enumerate(below_it, 1))
    made = insert(holder, first, f"{value} {written}".lstrip(" "))
    return (*taken, *made) if made else ()


def _above(path: Path_, home: Path_, parent: Map, root: Node) -> tuple[Map, Path_] | None:
    """The innermost mapping on the way to both places, and the remaining path to the right
    place."""
    shared = shared_steps(path, home)
    if "[]" in home[shared:]:
        return None
    if path[:shared] == path:
        return parent, home[shared:]
    if "[]" in path[:shared]:
        return None
    found = get(root, *path[:shared])
    return (found, home[shared:]) if isinstance(found, Map) else None


def _written(value: Node) -> str | None:
    """The text of a value on one line; None for a value of several lines."""
    if isinstance(value, Scalar):
        if value.block or value.end.line != value.start.line:
            return None
        return value.text if value.plain else f'"{value.text}"' if '"' not in value.text else None
    if isinstance(value, Items) and value.closed:
        parts = [_written(each) for each in value.items]
        return f"[{', '.join(p for p in parts if p)}]" if None not in parts else None
    return None

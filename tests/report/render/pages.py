"""A page read by the standard library's parser: which elements it has, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input"}
SAID_ELSEWHERE = {"style", "script", "meta"}
DRAWN = {"line", "path", "rect", "circle"}
TOLD = ("id", "href", "role", "aria-label", "aria-labelledby", "scope", "tabindex")


@dataclass
class Node:
    """An element: its text is what it has before, between and after its children."""

    tag: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    def every(self, tag: str = "") -> Iterator[Node]:
        """It and all elements in it, in order; those of a tag."""
        if tag in ("", self.tag):
            yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.every(tag)

    @property
    def text(self) -> str:
        """All text in it."""
        parts = (c if isinstance(c, str) else c.text for c in self.children)
        return "".join(parts)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        assert len(node.attributes) == len(attrs), "an attribute twice"
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, "not closed in order"

    def handle_data(self, data: str) -> None:
        if self.open[-1] is not self.root or data.strip():
            self.open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def read(text: str) -> Node:
    """The page as a tree; every element has to be closed where its parent is still open."""
    assert text.startswith("<!DOCTYPE html>\n")
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == [reader.root]
    (page,) = reader.root.every("html")
    return page


def outline(text: str) -> str:
    """The page as text: an element in a line, what is in it indented; of pictures the wide one."""
    return "".join(f"{line}\n" for line in _outlined(read(text), 0))


def _outlined(node: Node, depth: int) -> Iterator[str]:
    kind = node.attributes.get("class", "")
    if node.tag in SAID_ELSEWHERE | DRAWN or kind == "picture narrow":
        return
    given = [f"{name}={node.attributes[name]}" for name in TOLD if name in node.attributes]
    name = ".".join([node.tag, *kind.split()])
    head = "  " * depth + " ".join([name, *given])
    only = node.children[0] if len(node.children) == 1 else None
    if isinstance(only, str) and "\n" not in only:
        yield f"{head} | {only}"
        return
    yield head
    for child in node.children:
        if isinstance(child, Node):
            yield from _outlined(child, depth + 1)
        else:
            yield from ("  " * (depth + 1) + f"| {line}" for line in child.split("\n"))

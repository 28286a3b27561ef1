"""The tree of a document, whose nodes know their lines and columns."""

from __future__ import annotations

from dataclasses import dataclass

PlainValue = str | int | float | bool | None


@dataclass(frozen=True, order=True)
class Spot:
    """A place in a text. Lines and columns count from 1, columns in characters."""

    line: int
    column: int


NOWHERE = Spot(0, 0)  # of what another file has that is judged too: it is told there


@dataclass(frozen=True, eq=False)
class Scalar:
    """A scalar. `text` is its content, `value` its YAML value; `plain` is one without quotes,
    `block` a block scalar (`

    `, `>`).
    """

    text: str
    value: PlainValue
    start: Spot
    end: Spot
    plain: bool = True
    block: bool = False


@dataclass(frozen=True, eq=False)
class Entry:
    """A key and its value. `merged` is True if `<<` brought it from another mapping."""

    key: Scalar
    value: Node
    merged: bool = False


@dataclass(frozen=True, eq=False)
class Map:
    """A mapping, in the order of the text. `closed` is the place after the closing brace, None for
    a block mapping."""

    start: Spot
    entries: tuple[Entry, ...] = ()
    closed: Spot | None = None


@dataclass(frozen=True, eq=False)
class Items:
    """A sequence; `closed` as with Map."""

    start: Spot
    items: tuple[Node, ...] = ()
    closed: Spot | None = None


Node = Scalar | Map | Items


def entry(node: Node | None, key: str) -> Entry | None:
    """The entry of a key; the last one of several, as in YAML."""
    found = node.entries if isinstance(node, Map) else ()
    return next((each for each in reversed(found) if each.key.text == key), None)


def get(node: Node | None, *path: str | int) -> Node | None:
    """The node at a path of keys and indices, None without one."""
    for step in path:
        if isinstance(step, str):
            found = entry(node, step)
            node = found.value if found else None
        else:
            node = node.items[step] if isinstance(node, Items) and step < len(node.items) else None
    return node


def text(node: Node | None, *path: str | int) -> str:
    """The text of the scalar at a path; "" for null, and for other nodes."""
    found = get(node, *path)
    return found.text if isinstance(found, Scalar) and found.value is not None else ""


def number(node: Node | None, *path: str | int) -> int | None:
    """The whole number at a path, quoted or not; None without one."""
    found = text(node, *path).strip()
    digits = found.removeprefix("-")
    return int(found) if digits.isascii() and digits.isdecimal() and len(digits) < 12 else None


def items(node: Node | None, *path: str | int) -> tuple[Node, ...]:
    """The items of the sequence at a path; empty without one."""
    found = get(node, *path)
    return found.items if isinstance(found, Items) else ()


def entries(node: Node | None, *path: str | int) -> tuple[Entry, ...]:
    """The entries of the mapping at a path; empty without one."""
    found = get(node, *path)
    return found.entries if isinstance(found, Map) else ()


def is_null(node: Node | None) -> bool:
    """Whether there is no node, or a null."""
    return node is None or (isinstance(node, Scalar) and node.value is None)


def last_line(node: Node) -> int:
    """The number of the last line of a node."""
    if isinstance(node, Scalar):
        ends_before = node.end.column == 1 and node.end.line > node.start.line
        return node.end.line - 1 if ends_before else node.end.line
    if node.closed:
        return node.closed.line
    if isinstance(node, Items):
        return last_line(node.items[-1]) if node.items else node.start.line
    own = [each for each in node.entries if not each.merged]
    if not own:
        return node.start.line
    key, value = own[-1].key, own[-1].value
    return last_line(value) if value.start >= key.start else key.end.line  # an alias stands before


# What a service of the oldest Compose files has, in which services stand at the top.
_OLDEST = set(
    """
build cap_add command container_name cpu_shares dns dockerfile domainname entrypoint env_file
environment expose extends external_links extra_hosts hostname image labels links log_driver
mem_limit net pid ports privileged read_only restart stdin_open tty user volumes volumes_from
working_dir
""".split()
)


def compose_services(root: Node | None) -> Node | None:
    """The services of a Compose file, by name; None for what is no Compose file."""
    if get(root, "services") is not None or not isinstance(root, Map) or not root.entries:
        return get(root, "services")
    keys = [{one.key.text for one in entries(each.value)} for each in root.entries]
    old = all(each & {"image", "build"} and each <= _OLDEST for each in keys)
    return root if old else None

"""The commands of kubectl that apply the corrections of Strimzi resources."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kdiag.config import snippet
from kdiag.config.snippet import fill
from kdiag.lint.documents import STRIMZI, Document, kind_of, read
from kdiag.lint.reader import Unreadable, document, segments, split
from kdiag.lint.tree import Entry, Node, PlainValue, Scalar, entries, get, items, last_line, text

JsonValue = PlainValue | list["JsonValue"] | dict[str, "JsonValue"]
_Key = tuple[str, str, str]  # kind, namespace, name

_FIELD = re.compile(r"[A-Za-z0-9]+\Z")  # of a resource: it is written into a path


def commands(name: str, before: str, after: str) -> list[str]:
    """A `kubectl patch` for each changed resource, or `kubectl edit` if a patch cannot express the
    change. Other documents have no command."""
    known = dict(_resources(before))
    found = []
    for resource in read(name, after).documents:
        if resource.kind not in STRIMZI or resource.root is None:
            continue
        old = known.get(_key(resource.root, resource.kind))
        changed = [
            x
            for x in _parts(resource.root, resource.kind)
            if _value(x.value) != _of(old, resource, x)
        ]
        if changed:
            found.append(_command(resource, changed, split(after)))
    return found


def _of(old: Node | None, new: Document, part: Entry) -> JsonValue:
    """The value of this part in the original resource."""
    path = ("spec", "kafka") if new.kind == "Kafka" else ("spec",)
    return _value(get(old, *path, part.key.text))


def _command(resource: Document, changed: list[Entry], lines: list[str]) -> str:
    assert resource.root
    name = text(resource.root, "metadata", "name")
    namespace = text(resource.root, "metadata", "namespace")
    where = fill(
        "shell",
        "{kind} {name} -n {space}" if namespace else "{kind} {name}",
        kind=resource.kind.lower(),
        name=snippet.resource(name, "name of the cluster"),
        space=snippet.namespace(namespace),
    )
    parts = [_lines(each, lines) for each in changed]
    if not all(parts) or not all(_FIELD.match(each.key.text) for each in changed):
        return f"kubectl edit {where}\n"
    above = "/spec/kafka" if resource.kind == "Kafka" else "/spec"
    operations = []
    for field, (first, *rest) in zip(changed, parts, strict=True):
        value = f"value{first[field.key.end.column - field.key.start.column :]}"
        operations += ["- op: add", f"  path: {above}/{field.key.text}"]
        operations += [f"  {line}".rstrip() for line in (value, *rest)]
    patch = "\n".join(operations)
    return f"kubectl patch {where} --type json --patch-file /dev/stdin <<'EOF'\n{patch}\nEOF\n"


def _lines(part: Entry, lines: list[str]) -> list[str]:
    """The lines of an entry without its indentation; none if it shares a line with others."""
    first, margin = part.key.start.line - 1, part.key.start.column - 1
    found = [line.rstrip("\r\n") for line in lines[first : last_line(part.value)]]
    alone = all(not line[:margin].strip() for line in found)
    return [line[margin:] for line in found] if alone and not part.merged else []


def _resources(body: str) -> Iterator[tuple[_Key, Node]]:
    """The Strimzi resources in the original text, as far as it is YAML."""
    for first, part in segments(body):
        try:
            root, _ = document(part, first)
        except Unreadable:
            continue
        listed = items(root, "items") if text(root, "kind").endswith("List") else (root,)
        for each in listed:
            if each is not None:
                yield _key(each, text(each, "kind") or kind_of(each) or "Kafka"), each


def _key(root: Node, kind: str) -> _Key:
    return kind, text(root, "metadata", "namespace"), text(root, "metadata", "name")


def _parts(root: Node, kind: str) -> tuple[Entry, ...]:
    """The fields that a patch consists of; the last of duplicate keys, as in YAML."""
    found = entries(root, *(("spec", "kafka") if kind == "Kafka" else ("spec",)))
    return tuple({each.key.text: each for each in found}.values())


def _value(node: Node | None) -> JsonValue:
    """The plain value of a node."""
    if node is None:
        return None
    if isinstance(node, Scalar):
        return node.value
    fields = entries(node)
    if fields or not items(node):
        return {each.key.text: _value(each.value) for each in fields}
    return [_value(each) for each in items(node)]

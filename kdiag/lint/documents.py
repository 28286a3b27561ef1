"""Reads a file into documents, each with its kind, its tree and its deviations from the schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from types import MappingProxyType

from kdiag.config.usage import UsageError
from kdiag.lint import helm, properties
from kdiag.lint.deviation import Deviation, Flaw, deviations
from kdiag.lint.indentation import MovedLine, repair_indentation
from kdiag.lint.reader import DuplicateKey, Unreadable, document, segments, split
from kdiag.lint.schema import known_kinds, model
from kdiag.lint.syntax import Rewritten, readable
from kdiag.lint.tree import Entry, Map, Node, Spot, compose_services, entries, get, items, text
from kdiag.lint.workload import configures_kafka, is_about_kafka

STRIMZI = known_kinds()
KINDS = {
    "Kafka": "a Strimzi Kafka resource",
    "KafkaNodePool": "a Strimzi KafkaNodePool",
    "Service": "a Kubernetes Service",
    "Node": "a Kubernetes Node",
    "compose": "Docker Compose",
    "properties": "Kafka's server.properties",
    "workload": "a Kubernetes manifest of Kafka containers",
    "ConfigMap": "a ConfigMap with Kafka's settings",
    "helm": "values of the Bitnami chart",
    "env": "variables of Kafka's containers",
    "client": "client properties",
    "other": "Connect, Schema Registry, REST Proxy",
}
MOST_MENDED = 256 << 10  # characters: it is read once more for that, and people write less
MAX_DOCUMENTS = 1000  # of one file
_MOST_LEAVES = 1000
BESIDE = ("Service", "Node")  # what others are judged by

# How much each is wrong: the place of a line is right where less is wrong.
_WEIGHTS = {Flaw.UNKNOWN: 3, Flaw.MISPLACED: 3, Flaw.TYPE: 2, Flaw.MISSING: 2, Flaw.SPLIT: 2}
_WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Pod", "Job", "ReplicaSet", "CronJob"}
_TEMPLATE = re.compile(r"\{\{|\{%|<%")
_ABOUT = re.compile(
    r"KAFKA_(CFG_)?\w*LISTENERS|advertised\.?[lL]isteners|^\s*listeners:", re.MULTILINE
)
_SPELT = re.compile(r"^(kind|services):", re.MULTILINE)
_OF_TEMPLATE = "template"
_NONE: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Document:
    """One document of a file. `kind` is one of KINDS, "" where it is none of them.

    `broken` is why it cannot be read; `rewritten` what kept it from being read, and `moved` what
    stood wrongly, and was put right in the text that `root` is read from; `shifts` leads from there
    back to the file.
    """

    file: str
    kind: str
    root: Node | None
    broken: Unreadable | None = None
    duplicates: tuple[DuplicateKey, ...] = ()
    moved: tuple[MovedLine, ...] = ()
    rewritten: tuple[Rewritten, ...] = ()
    deviations: tuple[Deviation, ...] = ()
    shifts: Mapping[int, int] = field(default_factory=lambda: _NONE)
    api_version: str = ""

    def place(self, spot: Spot) -> Spot:
        """The place in the original file for a place in the tree."""
        return Spot(spot.line, max(1, spot.column - self.shifts.get(spot.line, 0)))


@dataclass(frozen=True)
class Read:
    """A file and its documents. `text` is the file with repaired lines, `others` are the kinds of
    unknown documents."""

    name: str
    text: str
    documents: tuple[Document, ...]
    others: tuple[str, ...]


def read(name: str, content: str) -> Read:
    """Reads a file. Raises UsageError if PyYAML is missing."""
    plain = properties.kind_of(name, content)
    if plain is not None:
        tree = (properties.variables if plain == "env" else properties.tree)(content)
        whole = Document(name, plain, tree, duplicates=tuple(_duplicate_keys(tree)))
        return Read(name, content, (whole,) if plain else (), ())
    found: list[Document] = []
    lines = split(content)
    parts = list(islice(segments(content), MAX_DOCUMENTS + 1))
    if len(parts) > MAX_DOCUMENTS:
        raise UsageError(f"{name}: it has more than {MAX_DOCUMENTS:,} documents: split it")
    for first, body in parts:
        for document_, mended in _documents(name, first, body, content):
            found.append(document_)
            if mended is not None:
                begin = first - 1
                lines[begin : begin + len(split(body))] = split(mended)
    others = [text(each.root, "kind") or "?" for each in found if not each.kind]
    if any(each.kind for each in found):  # what is broken beside them keeps them from being applied
        found = [replace(e, kind="yaml") if e.broken and not e.kind else e for e in found]
    known = tuple(each for each in found if each.kind and each.kind != _OF_TEMPLATE)
    return Read(name, "".join(lines), known, tuple(dict.fromkeys(others)))


def _duplicate_keys(tree: Map) -> Iterator[DuplicateKey]:
    """The settings with two different values in a properties file, at the last place. None in a
    template, where one of them may be left out."""
    if any("%" in each.key.text or "{" in each.key.text for each in tree.entries):
        return
    first: dict[str, Entry] = {}
    last: dict[str, Entry] = {}
    for each in tree.entries:
        first.setdefault(each.key.text, each)
        last[each.key.text] = each
    for name, each in last.items():
        if text(each.value) != text(first[name].value):
            yield DuplicateKey(each.key, first[name].key.start)


def _documents(
    name: str, first: int, body: str, content: str
) -> Iterator[tuple[Document, str | None]]:
    """The documents of one part of a file, and the text of the part if lines were repaired."""
    try:
        root, duplicates = document(body, first)
    except Unreadable as error:
        kind = _spelt(body)
        repaired = _mended(name, kind, first, body, None) if kind in STRIMZI else None
        made = None
        if not repaired and len(body) <= MOST_MENDED:
            made = readable(body, first, error)
        if made:
            for whole, mended in _documents(name, first, made.text, content):
                both = (whole.shifts, made.shifts)
                shifts = {x: sum(each.get(x, 0) for each in both) for x in {*both[0], *both[1]}}
                moved_back = replace(whole, rewritten=made.lines, shifts=shifts)
                yield moved_back, mended if mended is not None else made.text
            return
        kind = kind or _mentions(name, content)
        yield repaired or (Document(name, kind, None, broken=error), None)
        return
    listed = items(root, "items") if text(root, "kind").endswith("List") else None
    if listed is not None:
        for each in listed:
            yield _known(name, each, duplicates if each is listed[0] else []), None
        return
    plain = _known(name, root, duplicates)
    if plain.kind in STRIMZI and _faults(plain):
        repaired = _mended(name, plain.kind, first, body, plain)
        if repaired:
            yield repaired
            return
    yield plain, None


def _known(name: str, root: Node | None, duplicates: list[DuplicateKey]) -> Document:
    kind = kind_of(root)
    version = text(root, "apiVersion")
    wanted = model(kind, version)
    found = deviations(wanted, root) if kind in STRIMZI and root is not None else []
    return Document(
        name, kind, root, None, tuple(duplicates), deviations=tuple(found), api_version=version
    )


def _mended(
    name: str, kind: str, first: int, body: str, plain: Document | None
) -> tuple[Document, str] | None:
    """The document with repaired indentation, if that has fewer deviations."""
    if len(body) > MOST_MENDED:
        return None
    version = re.search(r"^apiVersion:[ \t]*[\"']?([\w./]+)", body, re.MULTILINE)
    held_to = model(kind, version[1] if version else "")
    mended = repair_indentation(body, held_to, first, dashes=plain is None)
    if mended is None:
        return None
    try:
        root, duplicates = document(mended.text, first)
    except Unreadable:
        return None
    made = _known(name, root, duplicates)
    if made.kind != kind or (plain and _faults(made) >= _faults(plain)):
        return None
    return replace(made, moved=mended.moved, shifts=mended.shifts), mended.text


def _faults(document: Document) -> int:
    """A measure of the deviations of a document. A dropped field counts with all values below
    it."""
    found = 2 * len(document.duplicates)
    for deviation in document.deviations:
        weight = _WEIGHTS.get(deviation.flaw, 0)
        if deviation.near and deviation.flaw is not Flaw.MISPLACED:
            weight = min(weight, 1)
        elif deviation.entry and deviation.flaw in (Flaw.MISPLACED, Flaw.UNKNOWN):
            weight += _leaves(deviation.entry.value)
        found += weight
    return found


def _leaves(node: Node) -> int:
    """How many values there are below."""
    ahead, found = [node], 0
    while ahead and found < _MOST_LEAVES:
        below = ahead.pop()
        more = [x.value for x in entries(below)] or list(items(below))
        ahead += more
        found += not more
    return found


def kind_of(root: Node | None) -> str:
    """The kind of a document, a key of KINDS; "" for none of them."""
    kind, version = text(root, "kind"), text(root, "apiVersion")
    strimzi = "strimzi" in version
    if kind in STRIMZI and (strimzi or (not version and _has_strimzi_shape(root))):
        return kind
    if kind in BESIDE and not version.startswith(("serving.", "config.")):
        return kind
    if kind in _WORKLOADS:
        return "workload" if is_about_kafka(root) else ""
    if kind == "ConfigMap":
        return kind if configures_kafka(root) else ""
    if kind or (version and not strimzi):
        return kind if strimzi and kind in KINDS else ""
    if entries(compose_services(root)):
        return "compose"
    if get(root, "spec", "kafka") is not None or items(root, "spec", "listeners"):
        return "Kafka"
    if get(root, "spec", "roles") is not None and get(root, "spec", "replicas") is not None:
        return "KafkaNodePool"
    return "helm" if not version and helm.chart(root) is not None else ""


def _has_strimzi_shape(root: Node | None) -> bool:
    """Whether a Kafka or KafkaNodePool without apiVersion is one of Strimzi: other operators have
    the same kinds."""
    if get(root, "spec", "kafka") is not None or get(root, "spec", "roles") is not None:
        return True
    return bool(items(root, "spec", "listeners")) or get(root, "spec") is None


@lru_cache(maxsize=1)
def _mentions(name: str, content: str) -> str:
    """ "yaml" if an unreadable text was certainly YAML about Kafka, else ""."""
    meant = name.endswith((".yaml", ".yml")) or name == "stdin"
    about = _ABOUT.search(content) and not _SPELT.search(content)
    return "yaml" if meant and about else ""


def _spelt(body: str) -> str:
    """The kind that an unreadable text names, "" if kdiag does not judge that kind."""
    if _TEMPLATE.search(body):
        return _OF_TEMPLATE
    found = re.search(r"^kind:[ \t]*[\"']?(\w+)", body, re.MULTILINE)
    if found:
        version = re.search(r"^apiVersion:[ \t]*[\"']?(\S+)", body, re.MULTILINE)
        others = version is not None and "strimzi" not in version[1]
        return found[1] if found[1] in STRIMZI and not others else ""
    if re.search(r"^services:[ \t]*\r?$", body, re.MULTILINE):
        return "compose" if "kafka" in body.lower() else ""
    if re.search(r"^[ \t]*kafka:[ \t]*(#.*)?\r?$", body, re.MULTILINE) and "listeners:" in body:
        return "Kafka"
    return ""

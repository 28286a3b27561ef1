"""Files that are judged together: variables and Compose files, ConfigMaps of Kubernetes."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from kdiag.lint.tree import Items, Node, Scalar, compose_services, entries, get, items, text

if TYPE_CHECKING:
    from kdiag.lint.documents import Document

MOST_COMPANIONS = 20  # files that one Compose file reads settings from


@dataclass(frozen=True)
class MergedServices:
    """The services that Docker Compose merges with one service: those of the same name in the base
    file (`below`) and in the override file (`above`), each with its path. `unknown` names a further
    file that may be merged, `changed` one that may change settings; "" for none."""

    below: tuple[str, Node] | None = None
    above: tuple[str, Node] | None = None
    unknown: str = ""
    changed: str = ""


@dataclass(frozen=True)
class RelatedFiles:
    """Files that are judged together: variables and Compose files by path, ConfigMaps by name.
    `bases` maps an override file to its base file."""

    variables: Mapping[str, Node | None] = field(default_factory=dict)
    composes: Mapping[str, Node | None] = field(default_factory=dict)
    config_maps: Mapping[str, Node] = field(default_factory=dict)
    bases: Mapping[str, str] = field(default_factory=dict)

    def variables_of(self, file: str, path: str) -> Node | None:
        """The variables of the file that `file` names by a path, None if it was not given."""
        return self.variables.get(_path_of(self.variables, file, path))

    def joined(self, file: str, service: str) -> MergedServices:
        """The services that Docker Compose merges with a service. A file overrides the base file of
        its name, as `docker compose` has it, or the only file that has the rest of an incomplete
        service. If several files fit, it is unknown which of them are used together."""
        base = self.bases.get(file, "")
        found = {
            name: node
            for name, root in self.composes.items()
            if name != file
            and _folder(name) == _folder(file)
            and (node := get(compose_services(root), service)) is not None
        }
        over = [name for name in found if self.bases.get(name) == file]
        above = over[0] if len(over) == 1 and _is_override(over[0]) else ""
        rest = [name for name in found if name not in (base, above)]
        parts = [name for name in rest if name in over or not _is_whole(found[name])]
        unknown, changed = (f"whether {x[0]} goes over it" if x else "" for x in (rest, parts))
        if _is_override(file) and not base:
            unknown = unknown or "the file that this one overrides"
        below, on_top = ((x, found[x]) if x in found else None for x in (base, above))
        return MergedServices(below, on_top, unknown, changed)

    def project(self, file: str) -> dict[str, Node | None]:
        """The other Compose files of the same project: the base file, the override files, and the
        included or including files."""
        found = {self.bases.get(file, ""), *(o for o, base in self.bases.items() if base == file)}
        found |= {_path_of(self.composes, file, path) for path in included(self.composes[file])}
        for name, root in self.composes.items():
            if file in [_path_of(self.composes, name, path) for path in included(root)]:
                found.add(name)
        return {name: self.composes[name] for name in sorted(found - {"", file})}

    def compose_of(self, file: str, path: str) -> tuple[str, Node | None]:
        """The path and the tree of the Compose file that `file` names by a path; ("", None) if it
        was not given."""
        name = _path_of(self.composes, file, path)
        return name, self.composes.get(name)


def outside(what: str) -> str:
    """The condition of a finding, as text for a message."""
    return what if what.startswith("whether ") else f"{what}, which is not among these files"


def related_files(documents: Iterable[Document]) -> RelatedFiles:
    """Collects the variables, Compose files and ConfigMaps among these documents."""
    variables: dict[str, Node | None] = {}
    composes: dict[str, Node | None] = {}
    maps: dict[str, Node] = {}
    for document in documents:
        if document.kind == "env":
            variables[document.file] = document.root
        elif document.kind == "compose":
            composes[document.file] = document.root
        elif document.kind == "ConfigMap" and document.root:
            maps[text(document.root, "metadata", "name")] = document.root
    bases = {name: base for name in composes if (base := _base(name, composes))}
    return RelatedFiles(variables, composes, maps, bases)


def _base(file: str, composes: Mapping[str, Node | None]) -> str:
    """The base file that a Compose file overrides, "" if none of the files is certainly the
    base."""
    services = {each.key.text: each.value for each in entries(compose_services(composes[file]))}
    shared = []
    for name, root in composes.items():
        if name == file or _folder(name) != _folder(file) or _is_override(name):
            continue
        known = {each.key.text: each.value for each in entries(compose_services(root))}
        parts = [each for each in known if each in services and not _is_whole(services[each])]
        if any(_is_whole(known[each]) for each in parts) or (_is_override(file) and known):
            shared.append(name)
    stem = posixpath.splitext(posixpath.basename(file))[0].replace(".override", "")
    alike = [x for x in shared if posixpath.splitext(posixpath.basename(x))[0] == stem]
    found = alike or shared
    return found[0] if len(found) == 1 else ""


def _is_whole(service: Node | None) -> bool:
    """Whether a service can be started without another file."""
    return any(get(service, key) is not None for key in ("image", "build", "extends"))


def _is_override(file: str) -> bool:
    return ".override." in posixpath.basename(file)


def _folder(file: str) -> str:
    return posixpath.dirname(posixpath.normpath(file.replace("\\", "/")))


def included(root: Node | None) -> Iterator[str]:
    """The files that a Compose file includes."""
    for item in items(root, "include"):
        path = item if isinstance(item, Scalar) else get(item, "path")
        for one in path.items if isinstance(path, Items) else (path,):
            if isinstance(one, Scalar):
                yield one.text


def partners(file: str) -> list[str]:
    """The paths of the files that `docker compose` merges with a file of this name by default."""
    folder, name = posixpath.split(file)
    stem, _, ending = name.rpartition(".")
    base = stem.removesuffix(".override")
    if base not in ("compose", "docker-compose"):
        return []
    other = base if stem != base else f"{base}.override"
    return [posixpath.join(folder, f"{other}.{x}") for x in dict.fromkeys((ending, "yml", "yaml"))]


def _named_in(root: Node | None) -> Iterator[str]:
    """The paths below its own folder that a Compose file reads settings from, as written."""
    named = [*included(root)]
    for service in entries(compose_services(root)):
        named += [*env_files(service.value), text(service.value, "extends", "file")]
    for path in named:
        inside = posixpath.normpath(path)
        if path and not inside.startswith(("/", "..", "~")) and "$" not in path:
            yield path


def env_files(service: Node | None) -> Iterator[str]:
    """The files of variables that a service names."""
    found = get(service, "env_file")
    for item in found.items if isinstance(found, Items) else (found,):
        if isinstance(item, Scalar):
            yield item.text
        elif text(item, "path"):
            yield text(item, "path")


def needed_by(documents: Iterable[Document]) -> set[str]:
    """The paths of the files that the Compose files among these documents read."""
    found = set()
    for document in documents:
        if document.kind == "compose":
            paths = islice(_named_in(document.root), MOST_COMPANIONS)
            found |= {_joined(document.file, path) for path in paths}
    return found


def _path_of(files: Mapping[str, Node | None], file: str, path: str) -> str:
    """The one of `files` that `file` names by a path, "" for none."""
    wanted = _joined(file, path)
    known = {posixpath.normpath(name.replace("\\", "/")): name for name in files}
    if wanted in known:
        return known[wanted]
    base = posixpath.basename(wanted)
    alike = [name for path_, name in known.items() if posixpath.basename(path_) == base]
    return alike[0] if len(alike) == 1 else ""


def _joined(file: str, path: str) -> str:
    folder = posixpath.dirname(file.replace("\\", "/"))
    return posixpath.normpath(posixpath.join(folder, path.replace("\\", "/")))

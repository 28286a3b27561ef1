"""What files say for one another: variables and services of Compose, ConfigMaps of Kubernetes."""

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
class Joined:
    """What Docker Compose joins a service with: the services of that name in the files below and
    above, each with the path. `unknown` says what else may be joined with it, `changed` what may
    change what it has; "" for nothing."""

    below: tuple[str, Node] | None = None
    above: tuple[str, Node] | None = None
    unknown: str = ""
    changed: str = ""


@dataclass(frozen=True)
class Beside:
    """Files that are given together: variables and Compose files by path, ConfigMaps by name.
    `bases` are the Compose files that others go over, by the path of the other."""

    variables: Mapping[str, Node | None] = field(default_factory=dict)
    composes: Mapping[str, Node | None] = field(default_factory=dict)
    config_maps: Mapping[str, Node] = field(default_factory=dict)
    bases: Mapping[str, str] = field(default_factory=dict)

    def variables_of(self, file: str, path: str) -> Node | None:
        """The variables in the file that another one names by a path, None where it is absent."""
        return _named(self.variables, file, path)

    def joined(self, file: str, service: str) -> Joined:
        """What a service of a Compose file is joined with. An override file goes over the file of
        its name, as `docker compose` has it; so does a file whose service is none by itself, where
        one other has the rest. Files that may be given together, or one for another, are unknown:
        nothing tells."""
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
        return Joined(below, on_top, unknown, changed)

    def project(self, file: str) -> dict[str, Node | None]:
        """The other Compose files of the project that one belongs to: the one that it goes over or
        that goes over it, and those that it includes or that include it."""
        found = {self.bases.get(file, ""), *(o for o, base in self.bases.items() if base == file)}
        found |= {_path_of(self.composes, file, path) for path in included(self.composes[file])}
        for name, root in self.composes.items():
            if file in [_path_of(self.composes, name, path) for path in included(root)]:
                found.add(name)
        return {name: self.composes[name] for name in sorted(found - {"", file})}

    def compose_of(self, file: str, path: str) -> tuple[str, Node | None]:
        """The Compose file that another one names by a path, and its own; ("", None) where it is
        absent."""
        name = _path_of(self.composes, file, path)
        return name, self.composes.get(name)


def outside(what: str) -> str:
    """What a finding depends on, as a message says it."""
    return what if what.startswith("whether ") else f"{what}, which is not among these files"


def beside(documents: Iterable[Document]) -> Beside:
    """What these documents say for one another."""
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
    return Beside(variables, composes, maps, bases)


def _base(file: str, composes: Mapping[str, Node | None]) -> str:
    """The file that a Compose file goes over, "" where it is none of these or not known."""
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
    """The files that `docker compose` would join with one of this name, by its own rules."""
    folder, name = posixpath.split(file)
    stem, _, ending = name.rpartition(".")
    base = stem.removesuffix(".override")
    if base not in ("compose", "docker-compose"):
        return []
    other = base if stem != base else f"{base}.override"
    return [posixpath.join(folder, f"{other}.{x}") for x in dict.fromkeys((ending, "yml", "yaml"))]


def _named_in(root: Node | None) -> Iterator[str]:
    """The files that a Compose file takes settings from, as it names them: those below its own
    folder."""
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
    """The paths of files that the Compose files among these documents name, as they were given."""
    found = set()
    for document in documents:
        if document.kind == "compose":
            paths = islice(_named_in(document.root), MOST_COMPANIONS)
            found |= {_joined(document.file, path) for path in paths}
    return found


def _named(files: Mapping[str, Node | None], file: str, path: str) -> Node | None:
    return files.get(_path_of(files, file, path))


def _path_of(files: Mapping[str, Node | None], file: str, path: str) -> str:
    """Which of these files another one names by a path, "" where it is none of them."""
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

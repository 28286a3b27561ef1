"""What files say for one another: variables and services of Compose, ConfigMaps of Kubernetes."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from kdiag.lint.tree import Items, Node, Scalar, compose_services, entries, get, text

if TYPE_CHECKING:
    from kdiag.lint.documents import Document

MOST_COMPANIONS = 20  # files that one Compose file reads settings from


@dataclass(frozen=True)
class Beside:
    """Files that are given together: variables and Compose files by path, ConfigMaps by name."""

    variables: Mapping[str, Node | None] = field(default_factory=dict)
    composes: Mapping[str, Node | None] = field(default_factory=dict)
    config_maps: Mapping[str, Node] = field(default_factory=dict)

    def variables_of(self, file: str, path: str) -> Node | None:
        """The variables in the file that another one names by a path, None where it is absent."""
        return _named(self.variables, file, path)

    def over(self, file: str, service: str) -> str:
        """What a service of a Compose file is joined with: `docker compose` puts an override file
        over another one, and so it does with several that are given. "" for nothing."""
        others = (name for name, root in self.composes.items() if name != file)
        joined = next((n for n in others if get(compose_services(self.composes[n]), service)), "")
        override = "override" in posixpath.basename(file)
        return joined or ("the file that this one overrides" if override else "")

    def compose_of(self, file: str, path: str) -> Node | None:
        """The Compose file that another one names by a path."""
        return _named(self.composes, file, path)


def beside(documents: Iterable[Document]) -> Beside:
    """What these documents say for one another."""
    variables: dict[str, Node | None] = {}
    composes: dict[str, Node | None] = {}
    maps: dict[str, Node] = {}
    for each in documents:
        if each.kind == "env":
            variables[each.file] = each.root
        elif each.kind == "compose":
            composes[each.file] = each.root
        elif each.kind == "ConfigMap" and each.root:
            maps[text(each.root, "metadata", "name")] = each.root
    return Beside(variables, composes, maps)


def _named_in(root: Node | None) -> Iterator[str]:
    """The files that a Compose file takes settings from, as it names them: those below its own
    folder."""
    for service in entries(compose_services(root)):
        for path in (*env_files(service.value), text(service.value, "extends", "file")):
            inside = posixpath.normpath(path)
            if path and not inside.startswith(("/", "..", "~")) and "$" not in path:
                yield path


def env_files(service: Node | None) -> Iterator[str]:
    """The files of variables that a service names."""
    found = get(service, "env_file")
    for each in found.items if isinstance(found, Items) else (found,):
        if isinstance(each, Scalar):
            yield each.text
        elif text(each, "path"):
            yield text(each, "path")


def needed_by(documents: Iterable[Document]) -> set[str]:
    """The paths of files that the Compose files among these documents name, as they were given."""
    found = set()
    for each in documents:
        if each.kind == "compose":
            paths = islice(_named_in(each.root), MOST_COMPANIONS)
            found |= {_joined(each.file, path) for path in paths}
    return found


def _named(files: Mapping[str, Node | None], file: str, path: str) -> Node | None:
    wanted = _joined(file, path)
    known = {posixpath.normpath(name.replace("\\", "/")): root for name, root in files.items()}
    if wanted in known:
        return known[wanted]
    base = posixpath.basename(wanted)
    alike = [root for name, root in known.items() if posixpath.basename(name) == base]
    return alike[0] if len(alike) == 1 else None


def _joined(file: str, path: str) -> str:
    folder = posixpath.dirname(file.replace("\\", "/"))
    return posixpath.normpath(posixpath.join(folder, path.replace("\\", "/")))

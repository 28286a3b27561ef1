"""What was asked: options, environment and targets → settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kdiag.cli.files import configuration, named, read, text
from kdiag.config.options import OPTIONS

if TYPE_CHECKING:
    from kdiag.config.settings import Settings
    from kdiag.config.targets import Target
    from kdiag.remote.vantage import Vantage

ALL = "all"  # @all: every target there is
CHECK_IP = "https://checkip.amazonaws.com"  # says by which address it was asked
MAX_FILE = 1 << 20  # bytes of a properties file


def all_asked(
    context: click.Context, bootstraps: Sequence[str], written: Mapping[str, Any]
) -> dict[str, Settings]:
    """What is to be checked, by label: a target's name, or the bootstrap servers."""
    from kdiag.config.usage import UsageError
    from kdiag.text import clean

    files: dict[str, bytes] = {}  # standard input can be read once only
    config = {named(name): configuration(name) for name in written["config"]}
    found: dict[str, Settings] = {}
    for one in bootstraps or (None,):
        for name in _every() if one == f"@{ALL}" else [one]:
            try:
                asked = _asked(context, name, {**written, "servers": bootstraps}, config, files)
            except UsageError as error:
                raise UsageError(_of_target(name, str(error))) from None
            label = name[1:] if name and name.startswith("@") else None
            found[clean(label or ",".join(map(str, asked.bootstrap)))] = asked
    if len(found) > 1 and (config or written["strimzi"]):
        raise UsageError("--config and --strimzi are about one cluster: check it alone")
    return found


def _every() -> list[str]:
    """Every target there is."""
    from kdiag.config.targets import names

    return [f"@{name}" for name in names(os.environ)]


def _of_target(name: str | None, said: str) -> str:
    """What is wrong, with the target's name before it unless it is told already."""
    from kdiag.config.usage import word

    if name is None or not name.startswith("@"):
        return said
    shown = word(name[1:])
    return said if f"@{shown}" in said or f"targets.{shown}" in said else f"@{shown}: {said}"


def _asked(
    context: click.Context,
    bootstrap: str | None,
    written: Mapping[str, Any],
    config: Mapping[str, str],
    files: dict[str, bytes],
) -> Settings:
    """One check: its options from the command line or the environment, or else from the target.
    `config` has the texts of the files that `written` names."""
    from kdiag.config.environment import from_environment
    from kdiag.config.settings import parse_properties, parse_property, settings

    noted: list[str] = []
    chosen, held = None, None
    if bootstrap is not None and bootstrap.startswith("@"):
        chosen = _target(bootstrap[1:], noted)
        if chosen.project and not written["trust_project"]:
            held = _Held(chosen, bootstrap[1:])
        bootstrap = chosen.bootstrap
    theirs = dict(chosen.options) if chosen else {}
    mine = {
        name: written[name]
        for name in ("command_config", *OPTIONS)
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    values = {**theirs, **mine}
    environment = from_environment(os.environ, noted)
    file = values.pop("command_config", None)
    from_target = bool(file) and "command_config" not in mine
    from_file = parse_properties(_read(file, files, safely=from_target)) if file else {}
    properties = dict(parse_property(text) for text in written["properties"])
    if held:
        own = [{} if from_target else from_file, environment, properties]
        held.to([from_file if from_target else {}], own, list(mine), written["servers"])
    if "config" in values:
        values["config"] = config or {name: configuration(name) for name in theirs["config"]}
    values.setdefault("aws_echo", "off" if os.environ.get("CI") else CHECK_IP)
    if values.get("expect") or values.get("ignore"):
        from kdiag.api import judged  # what few checks need

        values |= judged(values)
    return settings(
        bootstrap,
        properties=properties,
        between=[chosen.properties if chosen else {}, environment],
        from_file=from_file,
        noted=noted,
        **values,
    )


def _target(name: str, noted: list[str]) -> Target:
    """The target of that name; the report says where it is from."""
    from kdiag.config.targets import FILE, target
    from kdiag.config.usage import word

    found = target(name, os.environ)
    hides = f"; {FILE} in this folder has one of that name too, which is not used"
    noted.append(f"@{word(name)} is from {found.file}{hides if found.hides else ''}")
    return found


class _Held:
    """A target of the current folder's file, held to what that may decide. Raises UsageError."""

    def __init__(self, target: Target, name: str) -> None:
        from kdiag.config.project import hold_files

        self._target, self._name = target, name
        hold_files(target, name)

    def to(
        self,
        theirs: Sequence[Mapping[str, str]],
        mine: Sequence[Mapping[str, str]],
        written: Sequence[str],
        bootstraps: Sequence[str],
    ) -> None:
        """Whether the properties of both sides, and the options written, may be used together."""
        from kdiag.config.project import TrustedServers, hold
        from kdiag.config.targets import own_targets

        servers = [one for one in bootstraps if not one.startswith("@")]
        named = TrustedServers.by(servers, mine, own_targets(os.environ))
        hold(self._target, self._name, [*theirs, self._target.properties], mine, written, named)


def all_wheres(
    places: Sequence[str], asked: Mapping[str, Settings], wait: float | None
) -> Sequence[Vantage]:
    """Where it is to be walked from."""
    from kdiag.config.usage import UsageError
    from kdiag.remote.vantage import parse_all, refuse_unsupported

    if len(asked) != 1 or wait is not None:
        raise UsageError("--from walks to one target, and once: leave out --wait and the others")
    wheres = parse_all(places)
    for one in asked.values():
        refuse_unsupported(one, wheres)
    return wheres


def _read(name: str, files: dict[str, bytes], *, safely: bool) -> str:
    """A properties file. One that a target names is read `safely`: nobody else may have written
    it."""
    if safely:
        from pathlib import Path

        from kdiag.config.targets import read_safely

        files[name] = read_safely(Path(name), MAX_FILE)
    elif name not in files:
        files[name] = read(name, MAX_FILE, "a file of client properties: 1 MiB at most")
    return text(files[name], name)

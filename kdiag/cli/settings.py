"""Settings from what the user wrote: options, environment and targets of kdiag.toml."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kdiag.cli.files import configuration, named, read, text
from kdiag.config.options import OPTIONS
from kdiag.config.usage import NO_SERVER, UsageError, word

if TYPE_CHECKING:
    from kdiag.config.settings import Settings
    from kdiag.config.targets import Target
    from kdiag.remote.vantage import Vantage

TYPED = "kdiag.typed"  # in a context: the words of the command line
ALL = "all"  # @all: every target there is
CHECK_IP = "https://checkip.amazonaws.com"  # returns the address of its client
MAX_FILE = 1 << 20  # bytes of a properties file


def all_settings(
    context: click.Context, bootstraps: Sequence[str], written: Mapping[str, Any]
) -> dict[str, Settings]:
    """The settings of each check, by label: a target's name, or the bootstrap servers. `written`
    has the options of the command line. Raises UsageError."""
    from kdiag.text import clean  # 0.3 ms

    files: dict[str, bytes] = {}  # standard input can be read once only
    config = {named(name): configuration(name) for name in written["config"]}
    found: dict[str, Settings] = {}
    for bootstrap in bootstraps or (None,):
        for name in _every_target() if bootstrap == f"@{ALL}" else [bootstrap]:
            try:
                options = {**written, "servers": bootstraps}
                settings = _settings(context, name, options, config, files)
            except UsageError as error:
                message = f"{error}{_targets()}" if str(error) == NO_SERVER else str(error)
                raise UsageError(_of_target(name, message)) from None
            label = name[1:] if name and name.startswith("@") else None
            found[clean(label or ",".join(map(str, settings.bootstrap)))] = settings
    if len(found) > 1 and (config or written["strimzi"]):
        raise UsageError("--config and --strimzi are about one cluster: check that cluster alone")
    return found


def _every_target() -> list[str]:
    from kdiag.config.targets import names  # 8.6 ms

    return [f"@{name}" for name in names(os.environ)]


def _targets() -> str:
    """The targets of kdiag.toml, as what else a check takes; "" without one that can be read."""
    try:
        known = _every_target()
    except UsageError:
        return ""
    return f", or a target of kdiag.toml: {', '.join(f'@{word(name[1:])}' for name in known)}"


def _of_target(name: str | None, message: str) -> str:
    """An error message, with the target's name before it unless the message has it."""

    if name is None or not name.startswith("@"):
        return message
    shown = word(name[1:])
    has_name = f"@{shown}" in message or f"targets.{shown}" in message
    return message if has_name else f"@{shown}: {message}"


def _settings(
    context: click.Context,
    bootstrap: str | None,
    written: Mapping[str, Any],
    config: Mapping[str, str],
    files: dict[str, bytes],
) -> Settings:
    """The settings of one check: each option from the command line or the environment, else from
    the target. `config` has the texts of the files that `written` names."""
    from kdiag.config.environment import from_environment  # 0.7 ms
    from kdiag.config.settings import parse_properties, parse_property
    from kdiag.config.settings import settings as checked_settings

    notes = list(_given_twice(context))
    target, restricted = None, None
    if bootstrap is not None and bootstrap.startswith("@"):
        target = _target(bootstrap[1:], notes)
        if target.project and not written["trust_project"]:
            restricted = _RestrictedTarget(target, bootstrap[1:])
        bootstrap = target.bootstrap
    from_target = dict(target.options) if target else {}
    typed = {
        name: written[name]
        for name in ("command_config", *OPTIONS)
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    values = {**from_target, **typed}
    environment = from_environment(os.environ, notes)
    file = values.pop("command_config", None)
    file_of_target = bool(file) and "command_config" not in typed
    file_text = _read(file, files, safely=file_of_target) if file else ""
    from_file = parse_properties(file_text)
    properties = dict(parse_property(text) for text in written["properties"])
    if restricted:
        own = [{} if file_of_target else from_file, environment, properties]
        theirs = [from_file if file_of_target else {}]
        restricted.check(theirs, own, list(typed), written["servers"])
    if "config" in values:
        values["config"] = config or {name: configuration(name) for name in from_target["config"]}
    values.setdefault("aws_echo", "off" if os.environ.get("CI") else CHECK_IP)
    if values.get("expect") or values.get("ignore"):
        from kdiag.api import judged  # 65 ms: few checks need it

        values |= judged(values)
    try:
        return checked_settings(
            bootstrap,
            properties=properties,
            between=[target.properties if target else {}, environment],
            from_file=from_file,
            noted=notes,
            **values,
        )
    except UsageError as error:
        raise UsageError(f"{error}{_backslashes(str(error), file_text, from_file)}") from None


def _backslashes(message: str, text: str, properties: Mapping[str, str]) -> str:
    """What to add to an error about a file that is not there, and whose name has lost its
    backslashes: the line to write."""
    from pathlib import Path  # 4.9 ms

    from kdiag.config.settings import lost_backslashes
    from kdiag.text import clean  # 0.3 ms

    for name, value in lost_backslashes(text).items():
        if f"{name}=" in message and not Path(properties[name]).exists():
            meant = value.rstrip().replace("\\\\", "\\")
            escaped = meant.replace("\\", "\\\\")
            return clean(
                "; a backslash is an escape in a file of properties: write "
                f"{name}={escaped} or {name}={meant.replace(chr(92), '/')}"
            )
    return ""


def _given_twice(context: click.Context) -> Iterator[str]:
    """The notes on each option that was typed more than once and has one value."""
    typed = [word.partition("=")[0] for word in context.meta.get(TYPED, ())]
    for option in context.command.params:
        single = isinstance(option, click.Option) and not option.multiple and not option.is_flag
        if single and sum(word in option.opts for word in typed) > 1:
            value = context.params.get(str(option.name))
            yield f"{option.opts[-1]} is given more than once: the last one counts, {value}"


def _target(name: str, notes: list[str]) -> Target:
    """The target of that name; adds a note on its file."""
    from kdiag.config.targets import FILE  # 7.8 ms
    from kdiag.config.targets import target as find_target

    found = find_target(name, os.environ)
    hides = f"; {FILE} in this folder has a target of that name too, which is not used"
    notes.append(f"@{word(name)} is from {found.file}{hides if found.hides else ''}")
    return found


class _RestrictedTarget:
    """A target of the current folder's file, which may decide less. Raises UsageError."""

    def __init__(self, target: Target, name: str) -> None:
        from kdiag.config.project import hold_files  # 9.7 ms

        self._target, self._name = target, name
        hold_files(target, name)

    def check(
        self,
        theirs: Sequence[Mapping[str, str]],
        mine: Sequence[Mapping[str, str]],
        written: Sequence[str],
        bootstraps: Sequence[str],
    ) -> None:
        """Raises UsageError where the target's properties (`theirs`) must not be used with the
        user's (`mine`) and the options `written`."""
        from kdiag.config.project import TrustedServers, hold  # 9.7 ms
        from kdiag.config.targets import own_targets

        servers = [text for text in bootstraps if not text.startswith("@")]
        named = TrustedServers.by(servers, mine, own_targets(os.environ))
        hold(self._target, self._name, [*theirs, self._target.properties], mine, written, named)


def all_vantages(
    places: Sequence[str], checks: Mapping[str, Settings], wait: float | None
) -> Sequence[Vantage]:
    """The vantage points of `--from`. Raises UsageError for a check that they cannot run."""
    from kdiag.remote.vantage import parse_all, refuse_unsupported  # 6.9 ms

    if len(checks) != 1 or wait is not None:
        raise UsageError("--from checks one target, once: leave out --wait and the other targets")
    vantages = parse_all(places)
    for settings in checks.values():
        refuse_unsupported(settings, vantages)
    return vantages


def _read(name: str, files: dict[str, bytes], *, safely: bool) -> str:
    """The text of a properties file. `safely`: a target names it, and it is refused where another
    user may have written it."""
    if safely:
        from pathlib import Path  # 4.9 ms

        from kdiag.config.targets import read_safely

        files[name] = read_safely(Path(name), MAX_FILE)
    elif name not in files:
        files[name] = read(name, MAX_FILE, "a file of client properties: 1 MiB at most")
    return text(files[name], name)

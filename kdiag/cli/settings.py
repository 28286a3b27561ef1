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
    from kdiag.remote.vantage import Vantage

TYPED = "kdiag.typed"  # in a context: the words of the command line
ALL = "all"  # @all: every target there is
MAX_FILE = 1 << 20  # bytes of a properties file


def all_settings(
    context: click.Context, bootstraps: Sequence[str], written: Mapping[str, Any]
) -> dict[str, Settings]:
    """The settings of each check, by label: a target's name, or the bootstrap servers. `written`
    has the options of the command line. Raises UsageError."""
    from kdiag.named_targets import of_target  # 0.5 ms
    from kdiag.text import clean

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
                raise UsageError(of_target(name, message)) from None
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


def _settings(
    context: click.Context,
    bootstrap: str | None,
    written: Mapping[str, Any],
    config: Mapping[str, str],
    files: dict[str, bytes],
) -> Settings:
    """The settings of one check: each option from the command line or the environment, else from
    the target. `config` has the texts of the files that `written` names."""
    from kdiag.config.settings import parse_property  # 0.7 ms
    from kdiag.named_targets import Given, settings_of

    def read_once(name: str) -> str:
        if name not in files:
            files[name] = read(name, MAX_FILE, "a file of client properties: 1 MiB at most")
        return text(files[name], name)

    typed = {
        name: written[name]
        for name in ("command_config", *OPTIONS)
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    given = Given(
        typed,
        dict(parse_property(text) for text in written["properties"]),
        written["servers"],
        written["trust_project"],
        list(_given_twice(context)),
        read_once,
        config,
        configuration,
    )
    return settings_of(bootstrap, given)


def _given_twice(context: click.Context) -> Iterator[str]:
    """The notes on each option that was typed more than once and has one value."""
    typed = [word.partition("=")[0] for word in context.meta.get(TYPED, ())]
    for option in context.command.params:
        single = isinstance(option, click.Option) and not option.multiple and not option.is_flag
        if single and sum(word in option.opts for word in typed) > 1:
            value = str(context.params.get(str(option.name))).rpartition("@")[2]  # no login
            yield f"{option.opts[-1]} is given more than once: the last one counts, {value}"


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

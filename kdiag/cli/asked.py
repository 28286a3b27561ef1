"""What was asked: options, environment and targets → settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kdiag.cli.files import configuration, named, read

if TYPE_CHECKING:
    from kdiag.expectation import Expectation
    from kdiag.settings import Settings
    from kdiag.targets import Target
    from kdiag.vantage.where import Where

ALL = "all"  # @all: every target there is
CHECK_IP = "https://checkip.amazonaws.com"  # says by which address it was asked
MAX_FILE = 1 << 20  # bytes of a properties file


def all_asked(
    context: click.Context, bootstraps: Sequence[str], written: Mapping[str, Any]
) -> dict[str, Settings]:
    """What is to be checked, by label: a target's name, or the bootstrap servers."""
    from kdiag.attempt import clean
    from kdiag.usage import UsageError

    files: dict[str, bytes] = {}  # standard input can be read once only
    config = {named(name): configuration(name) for name in written["files"]}
    found: dict[str, Settings] = {}
    for one in bootstraps or (None,):
        for name in _every() if one == f"@{ALL}" else [one]:
            try:
                asked = _asked(context, name, {**written, "config": config}, files)
            except UsageError as error:
                raise UsageError(_of_target(name, str(error))) from None
            label = name[1:] if name and name.startswith("@") else None
            found[clean(label or ",".join(map(str, asked.bootstrap)))] = asked
    if len(found) > 1 and (config or written["strimzi"]):
        raise UsageError("--config and --strimzi are about one cluster: check it alone")
    return found


def _every() -> list[str]:
    """Every target there is."""
    from kdiag.targets import names

    return [f"@{name}" for name in names(os.environ)]


def _of_target(name: str | None, said: str) -> str:
    """What is wrong, with the target's name before it unless it is told already."""
    from kdiag.usage import word

    if name is None or not name.startswith("@"):
        return said
    shown = word(name[1:])
    return said if f"@{shown}" in said or f"targets.{shown}" in said else f"@{shown}: {said}"


def _asked(
    context: click.Context,
    bootstrap: str | None,
    written: Mapping[str, Any],
    files: dict[str, bytes],
) -> Settings:
    """One check: its options from the command line or the environment, or else from the target."""
    from kdiag.environment import from_environment
    from kdiag.settings import parse_properties, parse_property, settings

    noted: list[str] = []
    chosen = None
    if bootstrap is not None and bootstrap.startswith("@"):
        from kdiag.targets import target

        chosen = target(bootstrap[1:], os.environ)
        bootstrap = chosen.bootstrap

    def of(name: str) -> Any:
        default = context.get_parameter_source(name) is ParameterSource.DEFAULT
        fallback = getattr(chosen, name) if chosen else None
        return fallback if default and fallback is not None else written[name]

    environment = from_environment(os.environ, noted)
    file, topic = of("command_config"), of("topic")
    return settings(
        bootstrap,
        topic=topic,
        timeout=of("timeout"),
        answer_timeout=of("answer_timeout"),
        deadline=of("deadline"),
        properties=dict(parse_property(text) for text in written["given"]),
        between=[chosen.properties if chosen else {}, environment],
        from_file=parse_properties(_read(file, files)) if file else None,
        mapped=of("map"),
        fail_on=of("fail_on"),
        expect=_expected(of("expect"), topic),
        ignore=_ignored(of("ignore")),
        noted=noted,
        aws=of("aws"),
        aws_source=of("aws_source"),
        aws_region=of("aws_region"),
        aws_profile=of("aws_profile"),
        aws_echo=of("aws_echo") or ("off" if os.environ.get("CI") else CHECK_IP),
        config=written["config"] or _configured(chosen),
        strimzi=of("strimzi"),
    )


def _configured(chosen: Target | None) -> dict[str, str]:
    """The files that a target names."""
    return {name: configuration(name) for name in chosen.config} if chosen else {}


def all_wheres(
    places: Sequence[str], asked: Mapping[str, Settings], wait: float | None
) -> Sequence[Where]:
    """Where it is to be walked from."""
    from kdiag.usage import UsageError
    from kdiag.vantage.where import parse_all, travels

    if len(asked) != 1 or wait is not None:
        raise UsageError("--from walks to one target, and once: leave out --wait and the others")
    wheres = parse_all(places)
    for one in asked.values():
        travels(one, wheres)
    return wheres


def _expected(texts: Sequence[str], topic: str | None) -> Sequence[Expectation]:
    if not texts:
        return ()
    from kdiag.walk import expected

    return expected(texts, topic=topic)


def _ignored(names: Sequence[str]) -> Sequence[str]:
    if not names:
        return ()
    from kdiag.walk import ignored

    return ignored(names)


def _read(name: str, files: dict[str, bytes]) -> str:
    """A properties file; Java writes them in Latin-1, everybody else in UTF-8."""
    if name not in files:
        files[name] = read(name, MAX_FILE, "a file of client properties: 1 MiB at most")
    try:
        return files[name].decode("utf-8")
    except UnicodeDecodeError:
        return files[name].decode("latin-1")

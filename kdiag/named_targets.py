"""The settings of targets: those of kdiag.toml by name, with the user's secrets, and any other
address, without."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdiag.config.environment import from_environment
from kdiag.config.options import aws_echo
from kdiag.config.record import NamedTuple
from kdiag.config.settings import Settings
from kdiag.config.settings import settings as checked_settings
from kdiag.config.usage import UsageError, near, quoted, word
from kdiag.text import clean, decoded

if TYPE_CHECKING:
    from kdiag.config.targets import Target

MAX_FILE = 1 << 20  # bytes of a file of properties, and of one of configuration
MOST_SERVERS = 16  # of a target that is not named in kdiag.toml
LONGEST_ADDRESS = 1024  # characters of it


def read_text(name: str) -> str:
    """The text of a file that a target names. Raises UsageError, also where another user may have
    written the file."""
    from pathlib import Path  # 4.9 ms

    from kdiag.config.targets import read_safely  # 7.8 ms: most checks name no target

    data = read_safely(Path(name), MAX_FILE)
    if len(data) > MAX_FILE:
        raise UsageError(f"{name} is larger than 1 MiB")
    try:
        return decoded(data)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


class Given(NamedTuple):
    """What the user wrote beside a target: options by field, client properties, the bootstrap
    servers of all checks. `read` gives the text of the file of properties among the options,
    `config` the texts of their configuration files, `configuration` that of a target's."""

    options: Mapping[str, Any] = {}
    properties: Mapping[str, str] = {}
    servers: Sequence[str] = ()
    trust_project: bool = False
    notes: Sequence[str] = ()
    read: Callable[[str], str] = read_text
    config: Mapping[str, str] = {}
    configuration: Callable[[str], str] = read_text


def settings_of(bootstrap: str | None, given: Given = Given()) -> Settings:  # noqa: B008
    """The settings of one check, of "@NAME" or of bootstrap servers: each option as `given`, else
    from the target. Raises UsageError."""
    notes = list(given.notes)
    target, restricted = None, None
    if bootstrap is not None and bootstrap.startswith("@"):
        target = _target(bootstrap[1:], notes)
        if target.project and not given.trust_project:
            restricted = _RestrictedTarget(target, bootstrap[1:])
        bootstrap = target.bootstrap
    from_target = dict(target.options) if target else {}
    values = {**from_target, **given.options}
    environment = from_environment(os.environ, notes)
    file = values.pop("command_config", None)
    file_of_target = bool(file) and "command_config" not in given.options
    read = read_text if file_of_target else given.read
    file_text, from_file = read(file) if file else "", {}
    if file:
        from kdiag.config.properties.syntax import parse_properties  # 0.3 ms: few checks have one

        from_file = parse_properties(file_text)
    if restricted:
        own = [{} if file_of_target else from_file, environment, given.properties]
        of_file = from_file if file_of_target else {}
        restricted.check(of_file, own, list(given.options), given.servers)
    if "config" in values:
        values["config"] = given.config or {
            name: given.configuration(name) for name in from_target["config"]
        }
    values.setdefault("aws_echo", aws_echo())
    if values.get("expect") or values.get("ignore"):
        from kdiag.api import judged  # 65 ms: few checks need it

        values |= judged(values)
    try:
        return checked_settings(
            bootstrap,
            properties=given.properties,
            between=[target.properties if target else {}, environment],
            from_file=from_file,
            noted=notes,
            **values,
        )
    except UsageError as error:
        raise UsageError(f"{error}{_backslashes(str(error), file_text, from_file)}") from None


def named_targets(*, trust_project: bool = False) -> dict[str, Settings]:
    """The settings of every target of kdiag.toml, by name. Raises UsageError, with the name of the
    target, where one of them cannot be used."""
    return dict(NamedTargets(trust_project))


class NamedTargets(Mapping[str, Settings]):
    """The targets of kdiag.toml for somebody else, who does not wait for the minutes of --hold:
    each is read when it is looked up. Raises UsageError, with the name of the target."""

    def __init__(self, trust_project: bool) -> None:
        self._given = Given(trust_project=trust_project)

    def __getitem__(self, name: str) -> Settings:
        try:
            settings = settings_of(f"@{name}", self._given)
        except UsageError as error:
            raise UsageError(of_target(f"@{name}", str(error))) from None
        return settings._replace(options=settings.options._replace(hold=0.0))

    @staticmethod
    def _names() -> Sequence[str]:
        from kdiag.config.targets import names  # 7.8 ms

        return names(os.environ)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()


class RequestedTargets:
    """What somebody else (an HTTP client, an agent) may have kdiag walk to: the `named` targets,
    and with `allow_any` also other addresses, never with a credential."""

    def __init__(self, named: Mapping[str, Settings], *, allow_any: bool = False) -> None:
        self.named, self.allow_any = named, allow_any

    def settings(self, target: str) -> Settings:
        """The settings of "NAME", "@NAME", or where allowed "HOST:PORT[,HOST:PORT...]". Raises
        UsageError with a sentence for whoever asked."""
        name = target.removeprefix("@")
        if name in self.named:
            return self.named[name]
        # A word alone is a name that was mistyped, more likely than a host on port 9092.
        if not self.allow_any or target.startswith("@") or ":" not in target:
            shown = quoted(clean(name, 80))
            known = ", ".join(map(word, list(self.named)[:50]))
            raise UsageError(
                f"there is no target {shown} in kdiag.toml{near(name[:80], self.named)}; there is "
                f"{known or 'none'}. Other addresses, HOST:PORT, are walked to only with "
                "--allow-any-target"
            )
        if len(target) > LONGEST_ADDRESS or target.count(",") >= MOST_SERVERS:
            raise UsageError(f"a target has at most {MOST_SERVERS} bootstrap servers")
        # No properties, nothing of the environment: whoever asks decides where the walk goes.
        return checked_settings(target, aws_echo="off")


def of_target(name: str | None, message: str) -> str:
    """An error message, with the target's name before it unless the message has it."""
    if name is None or not name.startswith("@"):
        return message
    shown = word(name[1:])
    has_name = f"@{shown}" in message or f"targets.{shown}" in message
    return message if has_name else f"@{shown}: {message}"


def _backslashes(message: str, text: str, properties: Mapping[str, str]) -> str:
    """What to add to an error about a file that is not there, and whose name has lost its
    backslashes: the line to write."""
    from pathlib import Path  # 4.9 ms

    from kdiag.config.properties.syntax import lost_backslashes

    for name, value in lost_backslashes(text).items():
        if f"{name}=" in message and not Path(properties[name]).exists():
            meant = value.rstrip().replace("\\\\", "\\")
            escaped = meant.replace("\\", "\\\\")
            return clean(
                "; a backslash is an escape in a file of properties: write "
                f"{name}={escaped} or {name}={meant.replace(chr(92), '/')}"
            )
    return ""


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
        from kdiag.config.project import refuse_outside_files  # 9.7 ms

        self._target, self._name = target, name
        refuse_outside_files(target, name)

    def check(
        self,
        of_file: Mapping[str, str],
        own: Sequence[Mapping[str, str]],
        written: Sequence[str],
        bootstraps: Sequence[str],
    ) -> None:
        """Raises UsageError where the target's properties, those of its file among them, must not
        be used with the user's `own` ones and the options `written`."""
        from kdiag.config.project import TrustedServers, refuse_decisions  # 9.7 ms
        from kdiag.config.targets import own_targets

        servers = [text for text in bootstraps if not text.startswith("@")]
        named = TrustedServers.by(servers, own, own_targets(os.environ))
        properties = [of_file, self._target.properties]
        refuse_decisions(self._target, self._name, properties, own, written, named)

"""Named targets of kdiag.toml: the user's own, and those of a project in the current folder."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kdiag.config import options
from kdiag.config.properties.names import KNOWN, is_known
from kdiag.config.record import NamedTuple
from kdiag.config.usage import UsageError, like, near, word
from kdiag.text import UTF_16

FILE = "kdiag.toml"
ALL = "all"  # not a name: every target there is
MAX_FILE = 1 << 20  # bytes

_FILES = re.compile(
    r"(ssl|https\.ca)\b.*\.location\Z|sasl\.kerberos\.keytab\Z"
    r"|sasl\.oauthbearer\.assertion\..*\.file\Z"
)
_BINARY = getattr(os, "O_BINARY", 0)
_PLACE = re.compile(r"at (line \d+, column \d+|end of document)")


@dataclass(frozen=True)
class Target:
    """One `[targets.NAME]`; `options` has what it sets of the table of options, by field.

    `file` is where it stands, as a user would write it. `project` says that this is the current
    folder's, which may be somebody else's; `hides` that the current folder has one of that name as
    well, which is not used.
    """

    bootstrap: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    file: str = ""
    project: bool = False
    hides: bool = False


class _File(NamedTuple):
    """A kdiag.toml: where it is, how a user would write that, and whether it is a project's."""

    path: Path
    shown: str
    project: bool


def target(name: str, environ: Mapping[str, str]) -> Target:
    """The target of that name: from the user's own file, else from ./kdiag.toml.

    Raises UsageError when no file has it, or when the file that has it cannot be used.
    """
    known: dict[str, None] = {}
    files = list(_files(environ))
    for file in files:
        tables = _tables(file.path)
        if name in tables:
            return replace(_target(file, name, tables[name]), hides=_hides(file, name, files))
        known.update(dict.fromkeys(tables))
    if not files:
        raise UsageError(
            f"@{word(name)}: there is no {FILE} here, nor in {_home(environ) / FILE}: write "
            "targets as [targets.NAME] into one"
        )
    listed = f"; there is {', '.join(map(word, known))}" if known else "; there is none"
    raise UsageError(
        f"@{word(name)}: no such target in {' or '.join(str(file.path) for file in files)}"
        f"{near(name, known)}{listed}"
    )


def names(environ: Mapping[str, str]) -> list[str]:
    """The name of every target there is. Raises UsageError when there is none."""
    found = list(dict.fromkeys(name for file in _files(environ) for name in _tables(file.path)))
    if not found:
        raise UsageError(
            f"@{ALL}: there is no target, neither in {FILE} here nor in {_home(environ) / FILE}: "
            "write some as [targets.NAME]"
        )
    return found


def _home(environ: Mapping[str, str]) -> Path:
    if os.name == "nt" and environ.get("APPDATA"):
        return Path(environ["APPDATA"]) / "kdiag"
    base = environ.get("XDG_CONFIG_HOME") or ""
    # A relative one is to be ignored, says the XDG specification.
    return (Path(base) if base.startswith("/") else _own() / ".config") / "kdiag"


def _own() -> Path:
    """The home directory; "/" if the user has none, as in some containers."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def _files(environ: Mapping[str, str]) -> Iterator[_File]:
    """The user's own file first: no other one may take the place of what it names."""
    own, here = _home(environ) / FILE, Path(FILE)
    if own.exists():
        yield _File(own, _shown(own), project=False)
    if here.exists() and not (own.exists() and own.samefile(here)):
        yield _File(here, f"{FILE} in this folder", project=True)


def _shown(file: Path) -> str:
    """A file of the user's own, without the name of the user."""
    with suppress(ValueError):
        return f"~/{file.relative_to(_own())}"
    return str(file)


def _hides(file: _File, name: str, files: list[_File]) -> bool:
    """Whether the current folder has an unused target of the same name."""
    with suppress(UsageError):  # one that cannot be read takes nobody's place
        return any(name in _tables(other.path) for other in files if other.project > file.project)
    return False


def own_targets(environ: Mapping[str, str]) -> list[Target]:
    """The targets of the user's own file. Raises UsageError where it cannot be used."""
    files = [file for file in _files(environ) if not file.project]
    return [
        _target(file, name, table) for file in files for name, table in _tables(file.path).items()
    ]


def read_safely(file: Path, most: int) -> bytes:
    """The bytes of a file that decides where secrets go, `most` of them and one more at most.

    Raises UsageError where it is none of this user's: nobody else may have written it.
    """
    try:
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    except OSError as error:
        raise UsageError(f"{file}: cannot read it: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{file}: it is not the name of a file") from None
    try:
        _refuse_strangers(file, os.fstat(handle))
    except BaseException:
        os.close(handle)
        raise
    with os.fdopen(handle, "rb") as stream:
        return stream.read(most + 1)


def _refuse_strangers(file: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{file}: it is not a file")
    if hasattr(os, "geteuid") and found.st_uid not in (0, os.geteuid()):
        raise UsageError(
            f"{file} belongs to another user, and is not used: it decides where secrets go. Make "
            "it your own, or copy it"
        )
    if os.name == "posix" and found.st_mode & stat.S_IWOTH:
        raise UsageError(
            f"{file} can be written by anyone, and is not used: it decides where secrets go. "
            "Remove that right with chmod o-w"
        )


def _tables(file: Path) -> dict[str, Any]:
    """The targets of a file, by name."""
    import tomllib  # 5.5 ms

    try:
        data = read_safely(file, MAX_FILE)
        if len(data) > MAX_FILE:
            raise UsageError(f"{file} is larger than a file of targets: 1 MiB at most")
        found = tomllib.loads(data.decode("utf-16" if data[:2] in UTF_16 else "utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        raise UsageError(f"{file} is not TOML{f': {place.group(1)}' if place else ''}") from None
    except (UnicodeDecodeError, RecursionError):
        raise UsageError(f"{file} is not TOML in UTF-8") from None
    except ValueError:
        raise UsageError(f"{file} is not TOML: a number in it is too long") from None
    for key in found:
        if key != "targets":
            raise _unknown(file, key, ["targets"], "write targets as [targets.NAME]")
    tables = found.get("targets", {})
    if not isinstance(tables, dict):
        raise UsageError(f"{file}: targets: write targets as [targets.NAME]")
    return tables


def _target(file: _File, name: str, table: Any) -> Target:
    place = f"{file.path}: targets.{word(name)}"
    if not isinstance(table, dict):
        raise UsageError(f"{place}: write targets as [targets.NAME]")
    for key in table:
        if key not in _FIELDS:
            raise _unknown(place, key, _FIELDS, f"write some of {', '.join(_FIELDS)}")
    read = {_FIELDS[key]: _read(f"{place}.{key}", _FIELDS[key], table[key]) for key in table}
    for found in read.keys() & options.EVERY.keys():
        kind = options.EVERY[found].kind
        if kind == "file":
            read[found] = _beside(file.path, read[found])
        elif kind == "files":
            read[found] = tuple(_beside(file.path, each) for each in read[found])
    properties = {
        key: _beside(file.path, value) if _FILES.match(key) and value != "probe" else value
        for key, value in read.pop("properties", {}).items()
    }
    servers = read.pop("bootstrap", None)
    return Target(servers, read, properties, file=file.shown, project=file.project)


def _unknown(place: object, key: str, known: Any, write: str) -> UsageError:
    return UsageError(f"{place}: unknown key {like(key, known)}{near(key, known)}: {write}")


def _beside(file: Path, name: str) -> str:
    """A file name, relative to the folder of the file that has it."""
    try:
        return str(file.parent / Path(name).expanduser())
    except RuntimeError:  # there is no such user, or none that has a folder
        return str(file.parent / name)


def _text(place: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{place}: write a text in quotes")
    return value


def _texts(place: str, value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(_text(place, one) for one in listed)


def _flag(place: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{place}: write true or false")
    return value


def _named(place: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise UsageError(f"{place}: write properties as a table")
    found = dict(_flat(place, value))
    for name in found:
        if not is_known(name):
            raise UsageError(
                f"{place}: {like(name, KNOWN)}: no Kafka client has such a property"
                f"{near(name, KNOWN)}"
            )
    return found


def _flat(place: str, table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Properties of a table: TOML takes sasl.password = "…" for a table in a table."""
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(place, value, f"{name}.")
        elif isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, str | int | float):
            yield name, str(value)
        else:
            raise UsageError(f"{place}: {like(name, KNOWN)}: write its value as a text in quotes")


# Key → field, of the options that a target can set.
_FIELDS = {options.word(n): n for n, option in options.EVERY.items() if option.toml}
_FIELDS["properties"] = _FIELDS.pop("property")
_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "text": _text,
    "texts": _texts,
    "file": _text,
    "files": _texts,
    "flag": _flag,
}


def _read(place: str, name: str, value: Any) -> Any:
    """The value of a key, for the option `name`. Raises UsageError."""
    if name == "bootstrap":
        return ",".join(_texts(place, value))
    if name == "properties":
        return _named(place, value)
    kind = options.EVERY[name].kind
    if kind == "seconds":
        plain = value if isinstance(value, (int, float, str)) else ""
        return options.seconds(name, plain, lambda _, __: place)
    if kind == "choice":
        return options.choice(name, value if isinstance(value, str) else "", lambda _, __: place)
    return _READERS[kind](place, value)

"""Fills templates of commands and configuration that users copy.

Values come from peers, from files and from AWS. In a snippet, each value stays one word of a shell,
one value of YAML or one line of properties; a value that cannot be one becomes a placeholder.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from string import Formatter

from kdiag.text import clean

LONGEST = 16_384  # characters of one value

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")  # a label of RFC 1123
_RESOURCE = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")  # a name of it
_PLAIN = re.compile(r"[A-Za-z0-9_/][\w./-]*\Z", re.ASCII)
_INSIDE = re.compile(r"[\w.:/@\[\]-]*\Z", re.ASCII)  # of a value of YAML that has begun
_TYPED = re.compile(  # what YAML takes for a number, a time, a truth or nothing
    r"[-+.]?[0-9][0-9_.eE+-]*\Z|0[xob][0-9a-f_]+\Z|(?:y|n|yes|no|on|off|true|false|null)\Z", re.I
)
_ADDRESS = re.compile(r"[0-9]+(\.[0-9]+){3}\Z")
_POWERSHELL_WORD = re.compile(r"\w[\w.:/\\-]*\Z", re.ASCII)
_HOSTS_WORD = re.compile(r"[\w.:%-]+\Z", re.ASCII)

# Begins a line that has one entry more, or another one: alone it would take the others' place.
OTHER_ENTRIES = "advertised.listeners=<your other entries>,"


class Snippet(str):
    """Text that is inserted unchanged: a placeholder, or a result of `fill`."""

    __slots__ = ()


def fill(kind: str, template: str, /, **values: object) -> Snippet:
    """Fills a template of kdiag with values in the places of their names, `{name}`.

    Each value is quoted for the kind of the snippet, so that it stays one value; a Snippet and a
    number are inserted unchanged. `{name!q}` quotes also where quotes are optional (shell). Several
    values become several words. A brace is written twice.
    """
    write, filled = _KINDS[kind], ""
    for before, name, _, conversion in Formatter().parse(template):
        filled += before
        if name is None:
            continue
        value = values[name]
        if isinstance(value, (str, int)) or not isinstance(value, Iterable):
            value = [value]
        written = (_written(write, each, name, filled, conversion == "q") for each in value)
        filled += " ".join(written)
    return Snippet(filled)


def unknown(what: str) -> Snippet:
    """The placeholder for something that only the reader knows; `what` is a text of kdiag."""
    return Snippet(f"<{what}>")


def namespace(name: str) -> str:
    """The name of a Kubernetes namespace; a placeholder for an invalid name."""
    return name if _NAMESPACE.match(name) else unknown("namespace")


def resource(name: str, what: str) -> str:
    """The name of a Kubernetes resource; a placeholder, from `what`, for an invalid name."""
    return name if _RESOURCE.match(name) else unknown(what)


def path(name: str) -> str:
    """A file name that commands take neither for an option nor for standard input."""
    return f"./{name}" if name.startswith("-") else name


Writer = Callable[[str, str, str, bool], str]


def _written(write: Writer, value: object, name: str, before: str, quoted: bool) -> str:
    if isinstance(value, Snippet) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    return write(clean(str(value), LONGEST), f"<{name.replace('_', ' ')}>", before, quoted)


def _shell(value: str, placeholder: str, before: str, quoted: bool) -> str:
    if value.startswith("-") and (not before or before[-1].isspace()):
        return placeholder  # it would be taken for an option
    if quoted:
        return "'" + value.replace("'", "'\"'\"'") + "'"
    return shlex.quote(value)


def _powershell(value: str, placeholder: str, before: str, quoted: bool) -> str:
    """A value for PowerShell, where every kind of dash begins an option, and every kind of single
    quote ends a text. Programs do not receive a double quote or a backslash at the end
    unchanged."""
    starts = not before or before[-1].isspace()
    if (starts and value[:1] in tuple("-\u2013\u2014\u2015")) or '"' in value or value[-1:] == "\\":
        return placeholder
    if not quoted and _POWERSHELL_WORD.match(value):
        return value
    return "'" + re.sub("(['\u2018-\u201b])", r"\1\1", value) + "'"


def _yaml(value: str, placeholder: str, before: str, _: bool) -> str:
    line = before.rpartition("\n")[2]
    if not re.search(r"(^|:|-) *\Z", line):  # a value that has begun
        return value if _INSIDE.match(value) else placeholder
    if _PLAIN.match(value) and (_ADDRESS.match(value) or not _TYPED.match(value)):
        return value
    return _double_quoted(value)


def _double_quoted(value: str) -> str:
    """A text in double quotes, as in JSON, YAML and HCL. Printable text needs no other escapes."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _properties(value: str, _: str, before: str, __: bool) -> str:
    escaped = value.replace("\\", "\\\\")
    if before.rpartition("\n")[2]:
        return f"\\{escaped}" if escaped.startswith(" ") else escaped
    return re.sub(r"([ :=#!])", r"\\\1", escaped)  # a key


def _hosts(value: str, placeholder: str, _: str, __: bool) -> str:
    return value if _HOSTS_WORD.match(value) else placeholder


def _json(value: str, _: str, before: str, __: bool) -> str:
    quoted = _double_quoted(value)
    return quoted[1:-1] if before.endswith('"') else quoted


def _hcl(value: str, _: str, before: str, __: bool) -> str:
    quoted = _json(value, "", before, False)
    return quoted.replace("${", "$${").replace("%{", "%%{")


def _text(value: str, _: str, __: str, ___: bool) -> str:
    return value


_KINDS: Mapping[str, Writer] = {
    "shell": _shell,
    "powershell": _powershell,
    "yaml": _yaml,
    "properties": _properties,
    "ini": _properties,
    "hosts": _hosts,
    "json": _json,
    "hcl": _hcl,
    "text": _text,
}

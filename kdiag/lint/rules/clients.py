"""KD643, client properties: typos, contradictions, files that are not there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kdiag.config.properties.names import KNOWN
from kdiag.config.usage import UsageError
from kdiag.lint import remedies
from kdiag.lint.broker import Value
from kdiag.lint.documents import Document
from kdiag.lint.edit import Edits, replace
from kdiag.lint.environment import value_of
from kdiag.lint.mistake import Mistake, mistake
from kdiag.lint.slips import near_to
from kdiag.lint.tree import Scalar, Spot, entries
from kdiag.rules.rule import Match, Remedy, Severity, rule

_SECURITY = ("security.", "sasl.", "ssl.", "bootstrap.")
# What another file may bring, a JAAS file of the JVM for instance, and a file on another machine.
_MOST_NAMES = 250  # of one file that are judged; clients have some 200
_BARE_HOST = re.compile(r"\s*(\w+://)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\s*\Z")
_ABSENT = re.compile(r" needs | without |cannot read it|on this machine")


@rule("KD643", "client-property", Severity.ERROR, "A client property is wrong")
def client_property(document: Document) -> Iterator[Match]:
    """A file of client properties has a name that no client knows and that resembles one, values
    that contradict each other, or names a key store that is not on this machine.

    Java's client passes over a name that it does not know, with a line in its log, and librdkafka
    refuses it. What concerns neither the login nor TLS, a file that is absent here, and a property
    that has no effect, is a warning. Values with variables or templates in them are not judged.

    Prove it: `kdiag check HOST:PORT -F FILE`.

    How to fix: correct the name or the value that the report names; make the path of a key store
    one that exists on the client's machine.
    """
    if document.kind != "client":
        return
    given = {
        each.key.text: value
        for each in entries(document.root)[:_MOST_NAMES]
        if isinstance(each.value, Scalar) and (value := value_of(each.key, each.value))
    }
    meant: dict[str, Value] = {}
    for name, value in given.items():
        near = "" if name in KNOWN or "." not in name else near_to(name, KNOWN)
        if near and near not in given:
            message = f"no client has the property {name}: did you mean {near}?"
            level = None if near.startswith(_SECURITY) else Severity.WARNING
            fix = remedies.say(f"Write {near}.")
            edits: Edits = (replace(value.key, near),)
            yield _mistake(name, message, value.key.start, fix, level, edits)
        meant[near or name] = value
    if "bootstrap.servers" in meant:
        yield from _without_port(meant["bootstrap.servers"])
    if "security.protocol" in meant and not any(value.opaque for value in meant.values()):
        yield from _contradictions(meant)


def _without_port(servers: Value) -> Iterator[Match]:
    for server in servers.text.split(",") if not servers.opaque else ():
        if _BARE_HOST.match(server):
            message = f"bootstrap.servers: {server.strip()} has no port: Java's client refuses it"
            fix = remedies.say("Write HOST:PORT; librdkafka takes 9092 where there is no port.")
            yield _mistake("bootstrap.servers", message, servers.start, fix, Severity.WARNING)


def _contradictions(given: Mapping[str, Value]) -> Iterator[Match]:
    """The errors and notes of reading the properties as a client does."""
    # 4.5 ms
    from kdiag.config.properties.dialects import secured  # for files of client properties alone
    from kdiag.config.properties.layers import Layers

    notes: list[str] = []
    try:
        secured(Layers([{name: value.text for name, value in given.items()}]), notes)
    except UsageError as error:
        message = str(error)
        if "kdiag" in message:
            return  # what kdiag cannot do, a client may
        message = message.replace("cannot read it: No such", "on this machine there is no such")
        level = Severity.WARNING if _ABSENT.search(message) else None
        fix = remedies.say("Correct it; kdiag check -F reads the file as a client does.")
        yield _mistake(message, message, _place(message, given), fix, level)
    for note in notes:
        fix = remedies.say("Leave it out, or write the security.protocol that it belongs to.")
        yield _mistake(note, note, _place(note, given), fix, Severity.WARNING)


def _place(message: str, given: Mapping[str, Value]) -> Spot:
    """The place of the first property that a message names."""
    found = [(message.find(name), -len(name), name) for name in given if name in message]
    return given[min(found)[2]].key.start if found else Spot(1, 1)


def _mistake(
    name: str,
    message: str,
    spot: Spot,
    fix: Remedy,
    level: Severity | None = None,
    edits: Edits = (),
) -> Mistake:
    what = name.split()[0].partition("=")[0].rstrip(":")
    return mistake(message, f"`{what}`", spot, fix, level, edits)

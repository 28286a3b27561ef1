"""The input of a remote walk, and its reply, which is checked against what a walk can find."""

from __future__ import annotations

import base64
import secrets
import zlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from kdiag.address import parse
from kdiag.config.properties.names import PROTOCOLS
from kdiag.config.settings import Settings
from kdiag.network.attempt import LAYERS, EndpointResult, clean
from kdiag.network.dialer import MAX_ADDRESSES
from kdiag.remote.payload import payload, script
from kdiag.remote.probe import NARROW, probe_request
from kdiag.remote.serialization import MAX_BYTES, SerializationError, deserialize, serialize
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import Produce
from kdiag.walk.facts.run import MOMENT, WalkFacts, partial_because
from kdiag.walk.hops import walked
from kdiag.walk.listeners import MAX_BROKERS, MAX_CANDIDATES
from kdiag.walk.runner import without_secrets

MAX_HEAD = 1 << 16  # bytes that may stand in front of an answer: what a login prints
MAX_NOTES = 32
MAX_TEXT = 16384  # characters; the longest of our own is a detail with every character escaped


@dataclass(frozen=True)
class RemoteWalk:
    """A walk on another machine; `mark` comes before its reply, and no other walk has it."""

    settings: Settings
    mark: str

    @cached_property
    def sent(self) -> bytes:
        """The standard input of a Python that was started with SHELL."""
        request = serialize(probe_request(self.settings, self.mark))
        return payload() + b"%d\n%s" % (len(request), request)

    def span(self, output: bytes) -> slice | None:
        """The place of the reply in the output, None until that is known. Raises
        SerializationError."""
        before, mark, rest = output.partition(b"\n%s " % self.mark.encode())
        length, newline, _ = rest.partition(b"\n")
        if not newline and len(output) > MAX_HEAD:
            raise SerializationError(f"no answer in the first {MAX_HEAD} bytes")
        if not newline:
            return None
        if not length.isdigit() or len(length) > 9 or int(length) > MAX_BYTES:
            raise SerializationError("its length is not one that an answer has")
        start = len(before) + len(mark) + len(length) + 1
        return slice(start, start + int(length))

    def begun(self, output: bytes) -> bool:
        """Whether the remote walk has begun a login, by the output."""
        return b"\n%s+\n" % self.mark.encode() in output

    @cached_property
    def script(self) -> str:
        """The whole walk as a shell script, for a shell without standard input."""
        return script(serialize(probe_request(self.settings, self.mark)))

    def narrow(self, output: str) -> bytes:
        """The reply in the output of `script`. Raises SerializationError."""
        _, mark, rest = f"\n{output}".partition(f"\n{self.mark} ")
        facts = rest.partition("\n")[0].strip()
        if facts.startswith("takes "):
            raise SerializationError(
                f"it takes {facts[6:15]} characters, and {NARROW} are let through: there are too "
                "many brokers or certificates for this way of connecting; ssh:// has no such limit"
            )
        try:
            read = zlib.decompressobj()
            answer = read.decompress(base64.b64decode(facts, validate=True), MAX_BYTES)
        except (ValueError, zlib.error):
            raise SerializationError("it is incomplete or damaged") from None
        if not mark or not read.eof:
            raise SerializationError(
                "there is none in it" if not mark else "it is incomplete or damaged"
            )
        return answer

    def gathered(self, answer: bytes) -> WalkFacts:
        """The facts in a reply. Raises SerializationError for what no walk can find."""
        found = deserialize(WalkFacts, answer, lambda text: clean(text, MAX_TEXT))
        _check(found, self.settings)
        return without_secrets(found, self.settings)


def remote_walk(settings: Settings) -> RemoteWalk:
    """A remote walk with a new mark."""
    return RemoteWalk(settings, f"kdiag-{secrets.token_hex(8)}")


def _check(found: WalkFacts, settings: Settings) -> None:
    """Checks what the types do not say and rules rely on. Raises SerializationError."""
    try:
        datetime.strptime(found.started_at, MOMENT)
    except ValueError:
        raise SerializationError("a time that is none") from None
    hops = walked(settings)
    if [run.hop for run in found.runs] != [hop.id for hop in hops]:
        raise SerializationError("other hops than those of a walk")
    failed = [failure.hop for failure in found.failures]
    if len(set(failed)) < len(failed) or not {hop.id for hop in hops}.issuperset(failed):
        raise SerializationError("more failures than hops")
    if len(found.notes) > MAX_NOTES:
        raise SerializationError("more notes than a walk has")
    _check_complete(found, settings)
    bootstrap, dialled, produce = (
        found.facts.get(Bootstrap),
        found.facts.get(Listeners),
        found.facts.get(Produce),
    )
    contacts = list(bootstrap.contacts) if bootstrap else []
    if bootstrap and tuple(c.endpoint for c in contacts) != settings.bootstrap:
        raise SerializationError("other bootstrap servers than were asked for")
    if any(hop.gives in found.facts and not hop.ready(found.facts) for hop in hops):
        raise SerializationError("facts without those that they rest on")
    listeners = dialled.listeners if dialled else ()
    if len(listeners) > MAX_BROKERS or len(produce.produced if produce else ()) > len(listeners):
        raise SerializationError("more brokers than a walk dials")
    for listener in listeners:
        contacts += [listener.contact, *listener.candidates]
        if len(listener.candidates) > MAX_CANDIDATES:
            raise SerializationError("more addresses than a walk tries")
    for contact in contacts:
        _check_contact(contact)


def _check_complete(found: WalkFacts, settings: Settings) -> None:
    """Checks that every hop that ran has its facts, and that the facts explain every other one: a
    walk never passes for missing facts. Raises SerializationError."""
    for run, hop in zip(found.runs, walked(settings), strict=True):
        fact = found.facts.get(hop.gives)
        if (fact is None or partial_because(fact) is not None) != bool(run.skipped_because):
            raise SerializationError("a hop without its facts, or facts without their hop")
    bootstrap, metadata = found.facts.get(Bootstrap), found.facts.get(Metadata)
    listeners, produce = found.facts.get(Listeners), found.facts.get(Produce)
    ended = bool(found.failures) or found.interrupted
    missing = (
        bootstrap is None,
        bool(bootstrap and bootstrap.usable) and metadata is None,
        bool(metadata and metadata.brokers) and listeners is None,
        bool(listeners and listeners.reached) and produce is None,
    )
    if any(missing) and not ended:
        raise SerializationError("a hop that did not run, and nothing that says why")
    if metadata and metadata.brokers and settings.options.topic and metadata.topic is None:
        raise SerializationError("not a word of the topic")
    if metadata and listeners:
        listed = {broker.node for broker in metadata.brokers}
        seen = [listener.broker.node for listener in listeners.listeners]
        if not listed.issuperset(seen) or len(set(seen)) < min(len(listed), MAX_BROKERS):
            raise SerializationError("other brokers than were listed")
    if listeners and produce:
        tried = [produced.node for produced in produce.produced]
        if set(tried) != {x.broker.node for x in listeners.reached} or len(set(tried)) < len(tried):
            raise SerializationError("other brokers than were reached")
        if set(produce.unreached) != {
            x.broker.node for x in listeners.listeners if not x.contact.usable
        }:
            raise SerializationError("other brokers than were not reached")


def _check_contact(contact: EndpointResult) -> None:
    if len(contact.dials) > MAX_ADDRESSES:
        raise SerializationError("more addresses than a walk tries")
    for dial in contact.dials:
        layers = [attempt.layer for attempt in dial.attempts]
        if not layers or layers != sorted(set(layers), key=_place):
            raise SerializationError("layers that no connection has")
        if not parse(dial.address) or (dial.source and not parse(dial.source)):
            raise SerializationError("an address that is none")
        if dial.protocol and dial.protocol not in PROTOCOLS:
            raise SerializationError("a protocol that Kafka has not")


def _place(layer: str) -> int:
    if layer not in LAYERS:
        raise SerializationError("a layer that no connection has")
    return LAYERS.index(layer)

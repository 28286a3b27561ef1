"""One contact and where in the walk it was made: what the rules on connections share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from kdiag.config.security import Sasl
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import AddressResult, EndpointResult, Failure, LayerResult
from kdiag.rules import remedies
from kdiag.rules.rule import Match, Remedy, Severity
from kdiag.rules.text import listed, sentence
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.listeners import Listeners

DIALLING_HOPS = ("bootstrap", "listeners")


class Location(NamedTuple):
    """One contact, and where in the walk it was made."""

    hop: str
    subject: str
    contact: EndpointResult

    @property
    def endpoint(self) -> Endpoint:
        return self.contact.endpoint

    @property
    def dials(self) -> tuple[AddressResult, ...]:
        return self.contact.dials

    @property
    def where(self) -> str:
        """How a sentence names it: the bootstrap server, or the broker and its address."""
        if self.hop == "bootstrap":
            return str(self.endpoint)
        return f"{self.subject} ({self.endpoint})"


_WORDS = {
    Failure.REFUSED: "connection refused",
    Failure.RESET: "connection reset",
    Failure.CLOSED: "closed by the peer",
    Failure.NOT_KAFKA: "the answer begins",
    Failure.TLS_REQUIRED: "plaintext is answered with TLS",
    Failure.TLS_NOT_OFFERED: "the TLS handshake is not answered",
    Failure.CLIENT_CERTIFICATE: "a client certificate is wanted",
    Failure.SASL_REQUIRED: "mechanisms offered:",
    Failure.MECHANISM: "mechanisms offered:",
    Failure.SASL_NOT_OFFERED: "SaslHandshake answers",
    Failure.CREDENTIALS: "the login failed:",
}
_WHAT = {
    "tcp": "TCP connect to",
    "tls": "TLS with",
    "kafka": "ApiVersions to",
    "sasl": "SASL at",
    "identity": "identity of",
}

Fix = Callable[[Sequence[Location]], tuple[Remedy, ...]]


def locations(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Location]:
    """Every contact of hops 1 and 3."""
    for contact in bootstrap.contacts:
        yield Location("bootstrap", f"bootstrap {contact.endpoint}", contact)
    for listener in listeners.listeners if listeners else ():
        yield Location("listeners", f"broker {listener.broker.node}", listener.contact)


def evidence(place: Location) -> Iterator[str]:
    """What was tried there and how it ended, a line for each address that failed."""
    contact = place.contact
    # A bootstrap server is its address, which the words have already.
    lead = "" if place.hop == "bootstrap" else f"{place.subject}: "
    if contact.dns and contact.dns.failure:
        yield f"{lead}{contact.endpoint.host} does not resolve: {contact.dns.detail}"
        for line in contact.lookup.lines if contact.lookup else ():
            yield f"{lead}{line}"
        if contact.lookup and contact.lookup.found:
            yield (
                f"{lead}DNS has it, the system's resolver does not: a stale cache, "
                "nsswitch.conf, or an address of the other family"
            )
    for dial in contact.dials:
        if dial.failed:
            yield f"{lead}{tried(contact.endpoint, dial, dial.failed)}"


def tried(endpoint: Endpoint, dial: AddressResult, failed: LayerResult) -> str:
    """One failed layer in words."""
    at = str(Endpoint(dial.address, endpoint.port))
    where = at if endpoint.host == dial.address else f"{endpoint} ({at})"
    outcome = _WORDS.get(failed.failure, "") if failed.failure else ""
    detail = failed.detail
    if failed.failure is Failure.NOT_KAFKA and not dial.quotable:
        outcome, detail = "something that is no Kafka answers", "its words are shown with --verbose"
    said = [text for text in (outcome, detail) if text]
    if len(said) == 2 and said[1].lower() in ("connection refused", "connection reset by peer"):
        said.pop()
    if len(said) == 2 and not said[0].endswith((":", "begins", "answers")):
        said[0] += ","
    return f"{_WHAT.get(failed.layer, failed.layer + ' at')} {where}: {' '.join(said)}"


def failing(
    failures: set[Failure], bootstrap: Bootstrap, listeners: Listeners | None
) -> Iterator[tuple[str, list[Location], Severity | None]]:
    """For each hop the places that fail like this; a bootstrap server beside one that works is a
    warning."""
    for hop in DIALLING_HOPS:
        here = [place for place in locations(bootstrap, listeners) if place.hop == hop]
        failed = [p for p in here if (end := p.contact.failed) and end.failure in failures]
        spare = hop == "bootstrap" and bootstrap.usable
        if failed:
            yield hop, failed, Severity.WARNING if spare else None


def judge(
    failures: set[Failure],
    bootstrap: Bootstrap,
    listeners: Listeners | None,
    message: str,
    fix: Fix,
) -> Iterator[Match]:
    """A match for each hop where contacts fail like this, and one for contacts that work by other
    addresses only. `message` takes {who}, {verb}, {s}."""
    for hop, failed, severity in failing(failures, bootstrap, listeners):
        yield match(hop, failed, message, fix, severity)
    yield from judge_others(failures, bootstrap, listeners, message, fix)


def judge_others(
    failures: set[Failure],
    bootstrap: Bootstrap,
    listeners: Listeners | None,
    message: str,
    fix: Fix,
) -> Iterator[Match]:
    """The second half of `judge`: contacts that work by other addresses only."""
    for hop in DIALLING_HOPS:
        partly = [
            place
            for place in locations(bootstrap, listeners)
            if place.hop == hop
            and any((end := dial.failed) and end.failure in failures for dial in place.dials)
            and place.contact.usable
            and not split_by_family(place.contact)
        ]
        if partly:
            by_others = message + "; other addresses of the same name work"
            yield match(hop, partly, by_others, fix, Severity.WARNING)


def match(
    hop: str,
    hit: Sequence[Location],
    message: str,
    fix: Fix,
    severity: Severity | None = None,
    more: Sequence[str] = (),
) -> Match:
    """The match for these places of one hop: who they are, what happened there, and `more`."""
    lines = tuple(line for place in hit for line in evidence(place))
    said = message.format(
        who=listed([place.where for place in hit]),
        verb="does" if len(hit) == 1 else "do",
        s="s" if len(hit) == 1 else "",
    )
    subjects = tuple(place.subject for place in hit)
    if hop == "listeners":  # else it begins with an address
        said = sentence(said)
    return Match(hop, said, subjects, (*lines, *more), fix(hit), severity)


def as_it_speaks(hit: Sequence[Location], sasl: Sasl | None = None) -> tuple[Remedy, ...]:
    """The fix for a client that speaks otherwise than the listener: the properties that match."""
    best = hit[0].contact.best
    return remedies.client_properties(
        best.protocol if best else "",
        best.mechanisms if best else (),
        sasl.mechanism if sasl else "",
        bool(best and best.handshake and best.handshake.wants_certificate),
    )


def split_by_family(contact: EndpointResult) -> str | None:
    """The one family that works, "v4" or "v6", when it is the family that makes the difference."""
    works = {":" in dial.address: dial.failed is None for dial in reversed(contact.dials)}
    outcomes = {(":" in dial.address, dial.failed is None) for dial in contact.dials}
    if len(works) == 2 and len(outcomes) == 2 and len({ok for _, ok in outcomes}) == 2:
        return "v6" if works[True] else "v4"
    return None

"""Finds the contacts of a walk that fail alike, and describes them: shared by the connection
rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kdiag.config.record import NamedTuple
from kdiag.config.security import Sasl
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import AddressResult, EndpointResult, Failure, LayerResult
from kdiag.rules import remedies
from kdiag.rules.rule import Match, Remedy, Severity
from kdiag.rules.text import listed, sentence
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners

DIALLING_HOPS = ("bootstrap", "listeners")


class Location(NamedTuple):
    """One contact with a server or broker, the hop that made it, and its subject."""

    hop: str
    subject: str
    contact: EndpointResult

    @property
    def endpoint(self) -> Endpoint:
        """The host and port that were dialled."""
        return self.contact.endpoint

    @property
    def dials(self) -> tuple[AddressResult, ...]:
        """The results at the addresses of the host, in the order of dialling."""
        return self.contact.dials

    @property
    def where(self) -> str:
        """The text that names the contact in a sentence: the bootstrap server, or the broker and
        its address."""
        if self.hop == "bootstrap":
            return str(self.endpoint)
        return f"{self.subject} ({self.endpoint})"


_OUTCOMES = {
    Failure.REFUSED: "connection refused",
    Failure.RESET: "connection reset",
    Failure.CLOSED: "closed by the peer",
    Failure.NOT_KAFKA: "the answer begins",
    Failure.TLS_REQUIRED: "plaintext is answered with TLS",
    Failure.TLS_NOT_OFFERED: "the TLS handshake is not answered",
    Failure.CLIENT_CERTIFICATE: "a client certificate is required",
    Failure.SASL_REQUIRED: "mechanisms offered:",
    Failure.MECHANISM: "mechanisms offered:",
    Failure.SASL_NOT_OFFERED: "SaslHandshake answers",
    Failure.CREDENTIALS: "the login failed:",
}
_TRIED = {
    "proxy": "asking the proxy for",
    "dns": "the name of",
    "tcp": "TCP connect to",
    "tls": "TLS with",
    "kafka": "ApiVersions to",
    "sasl": "SASL at",
    "identity": "identity of",
}

# The fix for contacts that fail alike: the same for all, or by contacts.
Fix = Remedy | Callable[[Sequence[Location]], tuple[Remedy, ...]]


def locations(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Location]:
    """Every contact of hops 1 and 3."""
    for contact in bootstrap.contacts:
        yield Location("bootstrap", f"bootstrap {contact.endpoint}", contact)
    for listener in listeners.listeners if listeners else ():
        yield Location("listeners", f"broker {listener.broker.node}", listener.contact)


def evidence(place: Location) -> Iterator[str]:
    """Evidence on a contact: a line for each address that failed, with layer and failure."""
    contact = place.contact
    # The subject of a bootstrap server is its address, which the line contains already.
    lead = "" if place.hop == "bootstrap" else f"{place.subject}: "
    if contact.dns and contact.dns.failure:
        yield f"{lead}{contact.endpoint.host} does not resolve: {contact.dns.detail}"
        for line in contact.lookup.lines if contact.lookup else ():
            yield f"{lead}{line}"
        if contact.lookup and contact.lookup.found:
            yield (
                f"{lead}DNS has it, the system's resolver does not: a stale cache, the order of "
                "lookups (nsswitch.conf), or an address of the other family"
            )
    for dial in contact.dials:
        if dial.failed:
            yield f"{lead}{tried(contact.endpoint, dial, dial.failed)}"
    if contact.dials and contact.lookup:
        for line in contact.lookup.elsewhere([dial.address for dial in contact.dials]):
            yield f"{lead}{line}"


def tried(endpoint: Endpoint, dial: AddressResult, failed: LayerResult) -> str:
    """The text on one failed layer: what was tried at which address, and how it failed."""
    at = str(Endpoint(dial.address, endpoint.port))
    where = at if endpoint.host == dial.address else f"{endpoint} ({at})"
    outcome = _OUTCOMES.get(failed.failure, "") if failed.failure else ""
    detail = failed.detail
    if failed.failure is Failure.NOT_KAFKA and not dial.quotable:
        outcome, detail = "a server that is not Kafka answers", "its reply is shown with --verbose"
    parts = [text for text in (outcome, detail) if text]
    if len(parts) == 2 and parts[1].lower() in ("connection refused", "connection reset by peer"):
        parts.pop()
    if len(parts) == 2 and not parts[0].endswith((":", "begins", "answers")):
        parts[0] += ","
    return f"{_TRIED.get(failed.layer, failed.layer + ' at')} {where}: {' '.join(parts)}"


def failing(
    failures: set[Failure], bootstrap: Bootstrap, listeners: Listeners | None
) -> Iterator[tuple[str, list[Location], Severity | None]]:
    """For each hop the contacts that end with one of `failures`, and the severity: a warning for a
    bootstrap server while another one works, else None (the rule's own)."""
    for hop in DIALLING_HOPS:
        of_hop = [place for place in locations(bootstrap, listeners) if place.hop == hop]
        failed = [p for p in of_hop if (end := p.contact.failed) and end.failure in failures]
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
    """A match for each hop where contacts end with one of `failures`, and a warning for contacts of
    which only other addresses work. `message` is a template with {who}, {verb}, {s} and
    {resolver}."""
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
    """A warning for contacts of which one address ends with one of `failures`, while another
    address of the same name works."""
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
            partial = message + "; other addresses of the same name work"
            yield match(hop, partly, partial, fix, Severity.WARNING)


def match(
    hop: str,
    matching: Sequence[Location],
    message: str,
    fix: Fix,
    severity: Severity | None = None,
    more: Sequence[str] = (),
) -> Match:
    """The match for contacts of one hop: message, subjects, evidence of the contacts, then `more`
    evidence."""
    lines = [line for place in matching for line in evidence(place)]
    if matching[0].contact.proxy:
        lines.append(f"dialled through the proxy {matching[0].contact.proxy}")
    text = message.format(
        who=listed([place.where for place in matching]),
        verb="does" if len(matching) == 1 else "do",
        s="s" if len(matching) == 1 else "",
        resolver="the proxy" if matching[0].contact.proxy else "this machine's resolver",
    )
    ends = [place.contact.failed for place in matching if place.contact.proxy]
    if any(end and end.layer in ("dns", "tcp") for end in ends):
        text += ", as the proxy says"
    subjects = tuple(place.subject for place in matching)
    if hop == "listeners":  # a message of another hop begins with an address
        text = sentence(text)
    fixes = (fix,) if isinstance(fix, Remedy) else fix(matching)
    return Match(hop, text, subjects, (*lines, *more), fixes, severity)


def as_it_speaks(matching: Sequence[Location], sasl: Sasl | None = None) -> tuple[Remedy, ...]:
    """The fix for a client whose protocol differs from the listener's: properties that match."""
    best = matching[0].contact.best
    return remedies.client_properties(
        best.protocol if best else "",
        best.mechanisms if best else (),
        sasl.mechanism if sasl else "",
        bool(best and best.handshake and best.handshake.wants_certificate),
    )


def split_by_family(contact: EndpointResult) -> str | None:
    """The address family that works, "v4" or "v6", where all addresses of one family work and all
    of the other fail; else None."""
    works = {":" in dial.address: dial.failed is None for dial in reversed(contact.dials)}
    outcomes = {(":" in dial.address, dial.failed is None) for dial in contact.dials}
    if len(works) == 2 and len(outcomes) == 2 and len({ok for _, ok in outcomes}) == 2:
        return "v6" if works[True] else "v4"
    return None

"""KD117 to KD120, KD122 and KD126, SASL: what became of the login."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdiag.address import is_loopback
from kdiag.config.mechanisms import MECHANISMS, READABLE
from kdiag.config.settings import Settings
from kdiag.kafka.refusals import KnownRefusal, known_refusal
from kdiag.network.attempt import AddressResult, Failure
from kdiag.rules import remedies
from kdiag.rules.location import (
    Location,
    as_it_speaks,
    failing,
    judge,
    judge_others,
    locations,
    match,
)
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import escaped, listed, once
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners


@rule("KD117", "sasl-required", Severity.ERROR, "The listener requires a login (SASL)")
def sasl_required(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The broker answers ApiVersions, hangs up on the next request, and offers SASL mechanisms.

    Before a login a SASL listener takes ApiVersions and the handshake only. The broker logs
    "Unexpected Kafka request of type METADATA during SASL handshake".

    A client without security.protocol speaks PLAINTEXT and does not log in, whatever else it is
    given. kdiag then logs in over TLS, but never sends a password (PLAIN) or a token (OAUTHBEARER,
    AWS_MSK_IAM) unencrypted: write security.protocol=SASL_PLAINTEXT where that is meant.

    Prove it: the mechanisms in the evidence are the listener's own answer.

    How to fix: set `security.protocol=SASL_SSL` (or `SASL_PLAINTEXT`), one of the listener's
    mechanisms as `sasl.mechanism`, and the credentials.
    """
    security = settings.security
    if not security.only_encrypted:
        message = "{who} require{s} a SASL login first"
        yield from judge({Failure.SASL_REQUIRED}, bootstrap, listeners, message, as_it_speaks)
        return
    yield from judge(
        {Failure.SASL_REQUIRED},
        bootstrap,
        listeners,
        "{who} require{s} a SASL login, here without encryption. kdiag did not send the login: no "
        "security.protocol says that it may travel unencrypted",
        lambda hit: (
            remedies.say(
                "Write security.protocol=SASL_PLAINTEXT, if anyone on the path may read the login; "
                "else use a listener with SASL_SSL."
            ),
            *as_it_speaks(hit, security.sasl),
        ),
    )


@rule("KD118", "sasl-not-offered", Severity.ERROR, "The client logs in, the listener has no SASL")
def sasl_not_offered(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
    """The listener answers the SASL handshake with "not here": it takes clients without a login.

    Java clients print "Unexpected handshake request with client mechanism …, enabled mechanisms
    are []".

    Prove it: error 34, ILLEGAL_SASL_STATE, and an empty list of mechanisms.

    How to fix: remove the login: `security.protocol=PLAINTEXT`, or `SSL` where the listener has
    TLS. Or use the port of the listener that has SASL.
    """
    yield from judge(
        {Failure.SASL_NOT_OFFERED},
        bootstrap,
        listeners,
        "{who} offer{s} no login (no SASL), and this client logs in",
        lambda hit: (
            *as_it_speaks(hit),
            remedies.say(
                "Or use the port of a listener with SASL; or, if this one was meant to have it, "
                "map it to SASL_PLAINTEXT or SASL_SSL in listener.security.protocol.map."
            ),
        ),
    )


@rule("KD119", "sasl-mechanism", Severity.ERROR, "The listener does not offer this SASL mechanism")
def sasl_mechanism(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The client's mechanism is not among those that the listener has enabled.

    Clients print "Client SASL mechanism 'X' not enabled in the server" or "broker's supported
    mechanisms: …". The list in the evidence is the listener's own; one of it is the fix.

    Prove it: error 33, UNSUPPORTED_SASL_MECHANISM.

    How to fix: set `sasl.mechanism` to one of the mechanisms in the evidence, or enable the
    client's mechanism on the listener (`sasl.enabled.mechanisms`).
    """
    sasl = settings.security.sasl
    mechanism = sasl.mechanism if sasl else "the mechanism asked for"
    yield from judge(
        {Failure.MECHANISM},
        bootstrap,
        listeners,
        f"{{who}} {{verb}} not take {escaped(mechanism)}",
        as_it_speaks,
    )


@rule("KD120", "sasl-credentials", Severity.ERROR, "The login is refused")
def sasl_credentials(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The listener takes the mechanism and refuses the credentials, or there are none to show.

    kdiag tries them once, whatever the number of addresses, so that no account gets locked. The
    broker's own message is in the evidence, and where they are known, they decide: "Invalid tenant
    name" is the token's tenant, and a limit on connections says nothing of the credentials (KD126).
    Otherwise the reason is in the broker's log only.

    A broker that closes the connection without a reply may refuse the login like this (Kafka before
    1.0 knows no other way), or end the connection for another reason.

    Prove it: the broker's log says "Failed authentication with" and this client's address.

    How to fix: correct the user name, the password or the token; or create the user on the cluster
    (`kafka-configs.sh --alter --entity-type users` for SCRAM). Change one thing at a time: repeated
    failures may lock an account.
    """
    sasl = settings.security.sasl
    user = sasl.username if sasl else ""
    who = f" of {escaped(user)}" if user else ""
    mechanism, endpoint = (sasl.mechanism, sasl.endpoint) if sasl else ("", "")
    # Who has to fetch what it logs in with may not have got that far.
    message = f"{{who}} refuse{{s}} the login{who}"
    if mechanism == "GSSAPI":  # decided on the way to the realm, or there, or by the broker
        message = f"The login{who} by Kerberos fails at {{who}}"
    if endpoint:
        message = "{who} cannot be logged in to with a token of the endpoint given"

    def fix(hit: Sequence[Location]) -> tuple[Remedy, ...]:
        return (remedies.credentials(mechanism, user, endpoint, hit[0].endpoint),)

    for hop, hit, severity in failing({Failure.CREDENTIALS}, bootstrap, listeners):
        for cause in once(cause for cause in map(_refusal, hit) if not _limit(cause)):
            these = [place for place in hit if _refusal(place) is cause]
            if cause is None:
                yield match(hop, these, message, fix, severity)
            else:
                yield _known_refusal(hop, these, cause, severity)
    yield from judge_others({Failure.CREDENTIALS}, bootstrap, listeners, message, fix)


@rule("KD126", "login-limited", Severity.ERROR, "New connections are limited")
def login_limited(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
    """The broker refuses logins because there are too many new connections, and says so.

    It says nothing of the credentials: they were not looked at. Amazon MSK answers "Too many
    connects" above its rate of new connections with IAM. kdiag tries three times, a second apart,
    and each was refused; clients try again as well, and wait for it to pass.

    Prove it: run it again in a minute; Amazon MSK's metrics ConnectionCreationRate and
    IAMTooManyConnections.

    How to fix: open fewer connections: keep clients connected, and start them one after another. On
    Amazon MSK use a larger broker type, or ask for a higher limit.
    """
    for hop, hit, severity in failing({Failure.CREDENTIALS}, bootstrap, listeners):
        for cause in once(filter(None, map(_refusal, hit))):
            if cause.connections:
                these = [place for place in hit if _refusal(place) is cause]
                yield _known_refusal(hop, these, cause, severity)


def _limit(cause: KnownRefusal | None) -> bool:
    return cause is not None and cause.connections


def _refusal(place: Location) -> KnownRefusal | None:
    """The known refusal that the error message of a login is."""
    failed = place.contact.failed
    return known_refusal(failed.detail) if failed else None


def _known_refusal(
    hop: str, hit: Sequence[Location], cause: KnownRefusal, severity: Severity | None
) -> Match:
    what = "accept{s} no login now" if cause.connections else "refuse{s} the login"
    message = f"{{who}} {what}: {escaped(cause.cause)}"
    return match(hop, hit, message, remedies.say(cause.fix), severity)


@rule("KD122", "credentials-in-clear", Severity.WARNING, "Credentials are sent unencrypted")
def credentials_in_clear(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """A password or token went unencrypted to the bootstrap server or to a broker.

    With SASL_PLAINTEXT and PLAIN, OAUTHBEARER or AWS_MSK_IAM anyone on the path can read the login,
    and any server at an advertised address gets it. Every client does that; SCRAM keeps the
    password to itself. kdiag says so in a note before it sends the login, and does it only where
    `security.protocol=SASL_PLAINTEXT` is written. A bootstrap server on this machine's own loopback
    is not counted: no other machine is on the path.

    Prove it: `security.protocol` and `sasl.mechanism` as configured.

    How to fix: use a listener with TLS (`security.protocol=SASL_SSL`), or a mechanism that does not
    send the password (SCRAM).
    """
    sasl = settings.security.sasl
    if sasl is None or sasl.mechanism not in READABLE:
        return
    servers = {endpoint.host for endpoint in settings.bootstrap}
    named: list[Location] = []  # by the user
    advertised: list[Location] = []
    for place in locations(bootstrap, listeners):
        sent_to = [dial.address for dial in place.dials if _in_clear(dial)]
        if place.hop == "bootstrap" and not all(map(is_loopback, sent_to)):
            named.append(place)
        elif place.hop == "listeners" and sent_to and place.endpoint.host not in servers:
            advertised.append(place)
    for hit, where in (
        (named, "as it was asked for"),
        (advertised, "at addresses from the metadata"),
    ):
        if hit:
            yield Match(
                hit[0].hop,
                f"The login went unencrypted to {listed([place.where for place in hit])}",
                tuple(place.subject for place in hit),
                (f"SASL_PLAINTEXT with {sasl.mechanism}, {where}",),
                (remedies.say(MECHANISMS[sasl.mechanism].in_clear),),
            )


def _in_clear(dial: AddressResult) -> bool:
    """Whether a login was sent in plaintext: one that the mechanism, or kdiag itself, forbade was
    not."""
    if dial.protocol != "SASL_PLAINTEXT":
        return False
    return any(a.layer == "sasl" and a.failure not in _NOT_SENT for a in dial.attempts)


_NOT_SENT = (Failure.SASL_REQUIRED, Failure.MECHANISM, Failure.SASL_NOT_OFFERED)

"""KD10xx, companions: why a Schema Registry, Connect or REST proxy beside Kafka cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kdiag.companions.facts import (
    REGISTRIES,
    REGISTRY,
    Companions,
    HttpAnswer,
    RestResult,
    same_cluster,
    words_of,
)
from kdiag.config.rest import REGISTRY as REGISTRY_URL
from kdiag.network.attempt import Failure, clean_bytes
from kdiag.rules import remedies
from kdiag.rules.rule import Match, Note, Remedy, Rule, Severity, declared, rule
from kdiag.rules.text import sentence
from kdiag.walk.areas import AreaId
from kdiag.walk.facts.metadata import Metadata

HOP: AreaId = "companions"
_ON_THE_WAY = ("dns", "proxy", "tcp")
_TLS_MISSING = (Failure.TLS_REQUIRED, Failure.TLS_NOT_OFFERED)


@rule("KD1001", "companion-unreachable", Severity.ERROR, "A companion of Kafka cannot be reached")
def companion_unreachable(companions: Companions) -> Iterator[Match]:
    """A server of `schema.registry.url` or `--http` cannot be reached: its name does not resolve,
    or its port does not accept TCP. Kafka's own listeners tell nothing about it: it has a name, a
    port and a firewall of its own.

    It is a warning where another server of `schema.registry.url` answers: clients use that one.

    Prove it: `curl -v URL`.

    How to fix: correct the URL, or open its port to this client.
    """
    for result in companions.results:
        failed = result.answers[0].failed
        if failed and failed.layer in _ON_THE_WAY and failed.failure:
            yield _match(
                result,
                f"{_named(result)} cannot be reached at {result.url}: {failed.failure.words}",
                [result.answers[0]],
                "Correct the URL, or let this client through to that port.",
                None if _needed(result, companions) else Severity.WARNING,
            )


@rule("KD1002", "companion-tls", Severity.ERROR, "TLS to a companion of Kafka fails")
def companion_tls(companions: Companions) -> Iterator[Match]:
    """The TLS handshake with a server of `schema.registry.url` or `--http` fails, or one side
    speaks TLS and the other does not.

    Clients of a Schema Registry take nothing from `ssl.truststore.*`, which is for the brokers:
    the registry's certificate is verified with `schema.registry.ssl.truststore.*`, or else with
    the authorities of Java. kdiag uses the same for `--http`, and this machine's where there are
    none.

    Prove it: `openssl s_client -connect HOST:PORT -servername HOST`, or `curl -v URL`.

    How to fix: name the authority in `schema.registry.ssl.truststore.location`; where one side
    alone speaks TLS, write `https://` for `http://`, or the reverse.
    """
    for result in companions.results:
        failed = result.answers[0].failed
        if failed is None or not (failed.layer == "tls" or failed.failure in _TLS_MISSING):
            continue
        assert failed.failure
        if failed.failure in _TLS_MISSING:
            wants = "https" if failed.failure is Failure.TLS_REQUIRED else "http"
            fix = remedies.say(f"Write {wants}:// in the URL.")
            why = f"it speaks {wants.upper()}"
        else:
            fix, why = _trust(failed.failure), failed.failure.words
        yield _match(
            result,
            f"No TLS connection to {_named(result)} at {result.url}: {why}",
            [result.answers[0]],
            fix,
            None if _needed(result, companions) else Severity.WARNING,
        )


def _trust(failure: Failure) -> Remedy:
    if failure is Failure.UNTRUSTED:
        return remedies.say(
            "Trust its authority in the client's properties; ssl.truststore.* is for the brokers "
            "alone:",
            "{name}=<the trust store that has its authority>",
            "properties",
            name="schema.registry.ssl.truststore.location",
        )
    if failure is Failure.CLIENT_CERTIFICATE:
        return remedies.say("Give the client its certificate: schema.registry.ssl.keystore.*.")
    return remedies.say("Correct the server's certificate and TLS versions.")


@rule("KD1003", "companion-login", Severity.ERROR, "A companion of Kafka refuses the login")
def companion_login(companions: Companions) -> Iterator[Match]:
    """A server of `schema.registry.url` or `--http` answers 401: it requires a login, or another
    one. 403 is a warning: the login is known, and may lack the right to list alone.

    Its user and password are its own, not those of the brokers. `basic.auth.user.info` is used with
    `basic.auth.credentials.source=USER_INFO` alone. The login of `--http` is that of the URL.

    Prove it: `curl -u USER URL/subjects`.

    How to fix: give the login that the server takes.
    """
    for result in companions.results:
        for answer in result.answers:
            if answer.status not in (401, 403):
                continue
            login = "the login that was given" if result.logs_in else "a request without a login"
            refused = "refuses" if answer.status == 401 else f"does not allow {answer.path} to"
            yield _match(
                result,
                f"{_named(result)} at {result.url} {refused} {login}",
                [answer],
                _login(result) if answer.status == 401 else "Ask for the right to read there.",
                None if answer.status == 401 else Severity.WARNING,
            )
            break


def _login(result: RestResult) -> Remedy:
    if result.given_by != REGISTRY_URL:
        return remedies.say("Write the login into the URL: https://USER:PASSWORD@HOST:PORT.")
    if result.logs_in:
        return remedies.say("Give the user and password of the Schema Registry itself.")
    return remedies.say(
        "Give the client the registry's user and password:",
        "basic.auth.credentials.source=USER_INFO\nbasic.auth.user.info=<user>:<password>",
        "properties",
    )


@rule("KD1004", "companion-unhealthy", Severity.ERROR, "A companion says that it cannot work")
def companion_unhealthy(companions: Companions, metadata: Metadata | None) -> Iterator[Match]:
    """The server answers, and says itself that it cannot work, mostly since it has lost its Kafka:
    a Schema Registry with the error codes 50001 to 50004, Karapace at /_health, Kafka Connect at
    /health (3.9 and later; it takes 10 s to say so), a REST proxy with 50002 or 50003. Such a
    server accepts connections, and looks well from outside: a worker of Connect goes on to answer
    at / and /connectors.

    It is a warning where a worker of Connect says that it is still starting, and where an older one
    gives no answer at /connectors in time: a rebalance looks the same for a while.

    Prove it: `curl URL/subjects`, `curl URL/health`, `curl URL/connectors`.

    How to fix: look at its own log and its own bootstrap.servers (kafkastore.bootstrap.servers of
    the Schema Registry), and run kdiag where it runs.
    """
    for result in companions.results:
        silent = [each.path for each in result.answers if each.silent and result.service]
        if not (result.unhealthy or silent):
            continue
        starting = result.unhealthy.startswith("starting")
        why = f"gives no answer at {silent[0]}" if silent else "says that it cannot work"
        why = "is still starting, as it says" if starting else why
        lines = [result.unhealthy] if result.unhealthy else []
        if metadata and same_cluster(result, metadata.cluster_id):
            lines.append(
                f"its cluster is the one that this walk reached, {metadata.cluster_id}: look at "
                "the path from there, and at its own login"
            )
        match = _match(
            result,
            f"{result.service} at {result.url} {why}",
            [each for each in result.answers if each.silent or each.status >= 500],
            "Look at its log and its bootstrap.servers, and run kdiag where it runs.",
            None if result.unhealthy and not starting else Severity.WARNING,
        )
        yield replace(match, evidence=(*match.evidence, *lines))


@rule("KD1005", "companion-answer", Severity.ERROR, "What answers is not the companion")
def companion_answer(companions: Companions) -> Iterator[Match]:
    """Something accepts connections at the URL, and its answer is none of a Schema Registry, Kafka
    Connect or a REST proxy: another server, a proxy's error page, a redirect, or nothing.

    It is an error where the client's Schema Registry is not there: GET /subjects has the status
    404, 405 or of 500 and more, what answers is no HTTP, or another service. Otherwise it is a
    warning: nothing proves that the server is unusable. kdiag follows no redirect.

    Prove it: `curl -i URL/subjects` (Schema Registry), `curl -i URL/` (Connect).

    How to fix: correct host, port and path of the URL.
    """
    for result in companions.results:
        first = result.answers[0]
        registry = result.given_by == REGISTRY_URL
        other = registry and result.service not in ("", *REGISTRIES)
        if _elsewhere(first, result) or (result.service and not other):
            continue
        proven = registry and (other or first.status in (404, 405) or first.status >= 500)
        proven = proven or (registry and bool(first.first))
        yield _match(
            result,
            _said(result, first),
            result.answers,
            "Correct host, port and path of the URL.",
            None if proven and _needed(result, companions) else Severity.WARNING,
        )


def _elsewhere(first: HttpAnswer, result: RestResult) -> bool:
    """Whether another rule is about the first answer."""
    failed = first.failed
    refused = any(answer.status in (401, 403) for answer in result.answers)
    tls = failed and (failed.layer in (*_ON_THE_WAY, "tls") or failed.failure in _TLS_MISSING)
    return bool(refused or tls)


def _said(result: RestResult, first: HttpAnswer) -> str:
    if result.service:
        return f"schema.registry.url leads to {result.service}, and not to a Schema Registry"
    if first.first:
        return f"What answers at {result.url} speaks no HTTP"
    if first.failed:
        words = first.failed.detail or words_of(first.failed)
        return f"{_named(result)} at {result.url} accepts connections, and then: {words}"
    if 300 <= first.status < 400:
        return f"{_named(result)} at {result.url} redirects, which kdiag does not follow"
    return f"What answers at {result.url} was not recognised: HTTP {first.status} for {first.path}"


@rule("KD1006", "companion-other-cluster", Severity.WARNING, "A companion uses another cluster")
def companion_other_cluster(companions: Companions, metadata: Metadata) -> Iterator[Match | Note]:
    """The server tells the id of the Kafka cluster that it uses, and it is not the one that was
    walked: connectors, or records sent through the REST proxy, go to the other one.

    Of a Schema Registry it is a note: one registry may serve several clusters. Where a server, or
    the cluster, tells no id, nothing is proven.

    Prove it: `curl URL/` (Connect), `curl URL/v3/clusters` (REST proxy), `curl URL/v1/metadata/id`.

    How to fix: correct the URL, or its bootstrap.servers, if it should use the cluster that was
    walked.
    """
    for result in companions.results:
        if same_cluster(result, metadata.cluster_id) is not False:
            continue
        ids = f"its cluster is {result.cluster_id}; the walk reached {metadata.cluster_id}"
        if result.service == REGISTRY:
            yield Note(
                f"{result.service} at {result.url} keeps its schemas in another cluster, which it "
                f"may: {ids}"
            )
            continue
        match = _match(
            result,
            f"{result.service} at {result.url} uses another cluster than the one that was walked",
            [],
            "Correct the URL, or the bootstrap.servers of that server, if this is not meant.",
        )
        yield replace(match, evidence=(ids,))


def _needed(result: RestResult, companions: Companions) -> bool:
    """Whether clients have no other server for the same purpose."""
    return result.given_by != REGISTRY_URL or not any(
        other.given_by == REGISTRY_URL and other.service in REGISTRIES and not other.unhealthy
        for other in companions.results
    )


def _named(result: RestResult) -> str:
    whose = "the Schema Registry" if result.given_by == REGISTRY_URL else "the server"
    return result.service or whose


def _match(
    result: RestResult,
    message: str,
    answers: Sequence[HttpAnswer],
    fix: str | Remedy,
    severity: Severity | None = None,
) -> Match:
    remedy = remedies.say(fix) if isinstance(fix, str) else fix
    lines = tuple(_line(result, answer) for answer in answers)
    message = message if message.startswith(REGISTRY_URL) else sentence(message)
    return Match(HOP, message, (result.url,), lines, (remedy,), severity)


def _line(result: RestResult, answer: HttpAnswer) -> str:
    """What one request brought, as evidence."""
    start = f"GET {result.url}{answer.path}: "
    if answer.first:
        return f"{start}not HTTP: {clean_bytes(answer.first)}"
    if answer.failed:
        detail = f": {answer.failed.detail}" if answer.failed.detail else ""
        return f"{start}{words_of(answer.failed)}{detail}"
    more = [answer.headers[name] for name in ("location", "www-authenticate", "server")
            if answer.headers.get(name)]  # fmt: skip
    return f"{start}{answer.status}" + (f" ({','.join(more)})" if more else "")


def feature_rules() -> Mapping[str, Rule]:
    """The rules on companions, by code."""
    return declared(sys.modules[__name__])

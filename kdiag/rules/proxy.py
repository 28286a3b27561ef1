"""KD129 and KD130, the proxy that every connection goes through: it refuses, or opens none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kdiag.config.settings import Settings
from kdiag.network.attempt import Failure
from kdiag.rules import remedies
from kdiag.rules.location import Fix, Location, failing, match
from kdiag.rules.rule import Match, Note, Remedy, Severity, rule
from kdiag.rules.text import listed
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners

# Clients that take a proxy, each with where it is set; the others have none.
_ABLE = "kafka-python (proxy_url), Sarama (Net.Proxy), franz-go and kafka-go (a dialer), KafkaJS"
_UNABLE = {"java": "Java's client", "librdkafka": "librdkafka"}
_TEXTS = {
    Failure.PROXY_UNREACHABLE: "{who}: the proxy {proxy} cannot be reached",
    Failure.NOT_PROXY: "{who}: {proxy} does not answer as such a proxy",
    Failure.PROXY_CREDENTIALS: "{who}: the proxy {proxy} refuses this client's login",
    Failure.PROXY_DENIED: "The proxy {proxy} does not allow connections to {who}",
}


@rule("KD129", "proxy-refused", Severity.ERROR, "The proxy does not let this client through")
def proxy_refused(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match | Note]:
    """With `--proxy`, or a client's property for it, every connection goes through that proxy. It
    cannot be reached, speaks another protocol, refuses the login, or does not allow this server and
    port.

    Nothing is known about the server behind it: the proxy did not try to connect. Many HTTP proxies
    allow CONNECT to port 443 only, and answer 403 for Kafka's ports.

    Prove it: `curl -v -x URL telnet://HOST:PORT` shows the proxy's answer; so does its log.

    How to fix: correct the URL (socks5h:// or http://, port, user and password), or have the
    proxy's rules allow every broker's host and port, and not the bootstrap server's alone (squid:
    `acl SSL_ports port 9092`).
    """
    if settings.options.proxy:
        yield _of_clients(settings)
    for failure, template in _TEXTS.items():
        for hop, matching, severity in failing({failure}, bootstrap, listeners):
            text = template.replace("{proxy}", matching[0].contact.proxy)
            yield match(hop, matching, text, _FIXES[failure], severity)


def _of_clients(settings: Settings) -> Note:
    """Of which clients a verdict through a proxy is."""
    text = (
        f"the walk went through the proxy {settings.options.proxy}: the verdict is for clients "
        f"that do so, as {_ABLE} can; Java's client and librdkafka (confluent-kafka, kcat) cannot"
    )
    owner = _UNABLE.get(settings.dialect)
    if owner:
        text += f". The given properties are those of {owner}, which dials the servers itself"
    return Note(text)


_CHECK_URL = remedies.say(
    "Check host, port and scheme of the proxy's URL: socks5h:// for SOCKS5, http:// for "
    "HTTP CONNECT. Without --proxy kdiag dials the servers directly."
)
_CHECK_LOGIN = remedies.say(
    "Give the proxy's user and password in its URL, characters such as @ and : as %40 and "
    "%3A; kafka-python sends them as they stand in its URL. kdiag and Kafka clients log in "
    "with user and password alone, and not by Kerberos or NTLM."
)


def _allow(matching: Sequence[Location]) -> tuple[Remedy, ...]:
    targets = listed([str(place.endpoint) for place in matching])
    return (
        remedies.say(
            f"Have the proxy's rules allow {targets}, and so every address that brokers "
            "advertise. Many HTTP proxies allow CONNECT to port 443 only (squid: SSL_ports)."
        ),
    )


_FIXES: Mapping[Failure, Fix] = {
    Failure.PROXY_UNREACHABLE: _CHECK_URL,
    Failure.NOT_PROXY: _CHECK_URL,
    Failure.PROXY_CREDENTIALS: _CHECK_LOGIN,
    Failure.PROXY_DENIED: _allow,
}


@rule("KD130", "proxy-not-connected", Severity.ERROR, "The proxy opens no connection")
def proxy_not_connected(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
    """The proxy took the request to connect, and did not connect; its answer does not say why.

    "General failure" in SOCKS5, 502, 503 and 504 in HTTP, a closed connection and silence may each
    mean that the server refuses, that nothing answers, that the proxy does not resolve the name, or
    that the proxy itself is in trouble. Where its answer does tell (SOCKS5's "connection refused",
    the header fields of squid and of RFC 9209), the finding is KD101 to KD105, on the proxy's word.

    Prove it: dial the server from the proxy's own machine; read the proxy's log.

    How to fix: what the dial from there shows: a name that only this side resolves, a firewall
    between proxy and broker, a broker that is down.
    """
    for hop, matching, severity in failing({Failure.PROXY_FAILED}, bootstrap, listeners):
        yield match(
            hop,
            matching,
            "The proxy does not connect to {who}, and does not say why",
            _from_there,
            severity,
        )


def _from_there(matching: Sequence[Location]) -> tuple[Remedy, ...]:
    first = matching[0].endpoint
    return (
        remedies.say(
            f"On the proxy's machine, resolve {first.host} and connect to port {first.port}; look "
            "for this request in the proxy's log. What fails there is the cause."
        ),
    )

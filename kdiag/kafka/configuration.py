"""How the real client is configured: the user's properties, within the bounds that kdiag sets."""

from __future__ import annotations

import time
from collections.abc import Mapping

from kdiag.config.security import Sasl, Security, librdkafka

# In milliseconds. The client must give up in time, say why a connection failed as soon as it knows,
# and neither hammer a broker nor create anything. After a connection has failed it tries again when
# half of _RECONNECT_MS is over, and until then must have been stopped.
_CONNECT_MS, _RECONNECT_MS = 1000, 2000
_LONGEST_MS = 300_000  # that the client takes for socket.timeout.ms
_RETRIES = 3  # a connection that breaks once is no verdict on a broker

# What the client never gets from the user's configuration: it would fence the producer that
# uses it; and the properties that need it.
NEVER = ("transactional.id", "allow.auto.create.topics")

# The client does not read a token's expiry, and asks anew in time; this one is used once.
_TOKEN_SECONDS = 3600

# The client looks once a second whether it has its token, and tells nobody of a failed login until
# then: one that it gets late leaves it no time for a second login.
_TOKEN_DELAY = 0.6  # seconds


def configuration(
    servers: str, timeout: float, given: Mapping[str, str], security: Security
) -> dict[str, object]:
    """The user's properties, within the bounds that kdiag sets: in time, and writing no more than
    a record."""
    wait = min(int(max(timeout, 1.0) * 1000), _LONGEST_MS)
    own = {name: value for name, value in given.items() if name not in NEVER}
    if "transactional.id" in given:  # without it these take a right that its user need not have
        own.pop("enable.idempotence", None)
    return {
        **own,
        **_secured(security, "sasl.kerberos.keytab" in given),
        "bootstrap.servers": servers,
        "acks": _acks(own),
        "retries": _at_most(own, "retries", _RETRIES),
        "message.timeout.ms": _at_most(own, "message.timeout.ms", wait, endless=True),
        "socket.timeout.ms": _at_most(own, "socket.timeout.ms", wait),
        # The broker says that its replicas are late before the client has had enough.
        "request.timeout.ms": _at_most(own, "request.timeout.ms", wait * 4 // 5),
        "socket.connection.setup.timeout.ms": _at_most(
            own, "socket.connection.setup.timeout.ms", max(_CONNECT_MS, wait)
        ),
        "topic.metadata.propagation.max.ms": 1000,
        "reconnect.backoff.ms": _RECONNECT_MS,
        "reconnect.backoff.max.ms": _RECONNECT_MS,
        "allow.auto.create.topics": False,
        "linger.ms": _at_most(own, "linger.ms", wait // 4) if "linger.ms" in own else 0,
        "log.connection.close": True,
        "debug": "msg",
    }


def _at_most(given: Mapping[str, str], name: str, most: int, *, endless: bool = False) -> str | int:
    """The user's value of a property, or `most` where it has none or a larger one; `endless` says
    that 0 is the largest. What is no number is left to the client, which refuses it."""
    text = given.get(name, "")
    try:
        value = float(text)
    except ValueError:
        return text or most
    return most if value > most or (endless and value == 0) else text


def _acks(given: Mapping[str, str]) -> str:
    """What is asked of the leader. With acks=0 a refusal would not be seen."""
    acks = given.get("acks", "all")
    return "1" if acks == "0" else acks


def signed(security: Security) -> Security:
    """The security with a token in place of AWS keys: the client has no AWS_MSK_IAM."""
    sasl = security.sasl
    if sasl is None or sasl.mechanism != "AWS_MSK_IAM":
        return security
    from kdiag.kafka.sasl.iam import bearer  # 79 ms: few logins need it

    token = bearer(sasl.region, sasl.username, sasl.password, sasl.token, time.time())
    return security._replace(sasl=Sasl("OAUTHBEARER", token=token))


def _secured(security: Security, keytab: bool) -> dict[str, object]:
    """The properties for this security, and the callback that hands over a token."""
    given: dict[str, object] = dict(librdkafka(security))
    sasl = security.sasl
    if sasl and sasl.token and given.get("sasl.mechanism") == "OAUTHBEARER":
        login = sasl.token, time.time() + _TOKEN_SECONDS, sasl.username, dict(sasl.extensions)

        def hand_over(_: str) -> tuple[str, float, str, dict[str, str]]:
            time.sleep(_TOKEN_DELAY)
            return login

        given["oauth_cb"] = hand_over
    if given.get("sasl.mechanism") == "GSSAPI" and not keytab:
        given["sasl.kerberos.min.time.before.relogin"] = 0  # this machine's tickets, as they are
    return given

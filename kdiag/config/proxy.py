"""The proxy that every connection goes through: a URL, checked before any dialling."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from kdiag.config.record import NamedTuple
from kdiag.config.security import without_secrets
from kdiag.config.usage import UsageError

PORTS = {"socks5": 1080, "socks5h": 1080, "http": 8080}  # each scheme with its usual port
ENVIRONMENT = ("ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy")
_URL = r"(?s)([A-Za-z][A-Za-z0-9+.-]*)://(?:(.*)@)?([^@/?#]*)/?\Z"
_MOST = 255  # bytes of a user's name or a password: RFC 1929
_WRITE = (
    "write socks5h://HOST:PORT or http://HOST:PORT, with USER:PASSWORD@ before HOST for a login"
)

# Properties of clients that go through a proxy by themselves: kafka-python's, and its older name.
PROPERTIES = ("proxy_url", "socks5_proxy")


class Proxy(NamedTuple):
    """A SOCKS5 or an HTTP proxy. `scheme` is a key of PORTS; with `names_here` this machine
    resolves the names of servers, else the proxy does."""

    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = ""
    names_here: bool = False

    def __repr__(self) -> str:
        return without_secrets(self, "username", "password")

    def __str__(self) -> str:
        """The URL without the login."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no report may show."""
        return tuple(filter(None, (self.password,)))


def parse_proxy(text: str, place: str = "--proxy") -> Proxy | None:
    """The proxy of a URL; of `env`, that of the variables that curl reads; None for "".

    Raises UsageError, which repeats nothing of the URL but its scheme: it may hold a password.
    """
    if text == "env":
        found = next((name for name in ENVIRONMENT if os.environ.get(name)), None)
        if found is None:
            raise UsageError(f"{place} env: none of {', '.join(ENVIRONMENT)} is set")
        text, place = os.environ[found], f"{place} env, {found}"
    if not text:
        return None
    match = re.match(_URL, text.strip())
    if not match:
        raise UsageError(f"{place}: {_WRITE}")
    scheme = match[1].lower()
    if scheme not in PORTS:
        raise UsageError(
            f"{place} {scheme[:10]}://…: kdiag speaks SOCKS5 and HTTP CONNECT, without TLS to the "
            f"proxy: {_WRITE}"
        )
    from urllib.parse import unquote  # 4.6 ms

    from kdiag.config.endpoint import parse_endpoint

    username, _, password = (unquote(each) for each in (match[2] or "").partition(":"))
    if max(len(username.encode()), len(password.encode())) > _MOST:
        raise UsageError(f"{place}: user and password have at most {_MOST} bytes each")
    assumed: list[str] = []
    server = parse_endpoint(match[3], assumed)
    port = PORTS[scheme] if assumed else server.port
    return Proxy(scheme, server.host, port, username, password)


def of_properties(given: Mapping[str, str]) -> Proxy | None:
    """The proxy of a client's properties, as kafka-python reads it: with socks5:// it resolves
    names itself, and it sends user and password as they stand there, %40 too."""
    for name in PROPERTIES:
        if given.get(name):
            found = parse_proxy(given[name].replace("%", "%25"), name)
            return found and found._replace(names_here=found.scheme == "socks5")
    return None

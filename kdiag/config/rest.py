"""A server with a REST API that the user named: Schema Registry, Kafka Connect, REST proxy."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from kdiag.config.endpoint import Endpoint
from kdiag.config.record import NamedTuple
from kdiag.config.security import Tls, without_secrets
from kdiag.config.usage import UsageError

REGISTRY = "schema.registry.url"
_PORTS = {"http": 80, "https": 443}


class RestServer(NamedTuple):
    """One server. `url` is its URL without user and password, `path` the part of it that comes
    before the path of each request; `given_by` is the property or option that named the server.
    `tls` is None for http. `user_info` is USER:PASSWORD, `token` a bearer token, "" for none."""

    url: str
    endpoint: Endpoint
    path: str
    given_by: str
    tls: Tls | None = None
    user_info: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return without_secrets(self, "user_info", "token")

    @property
    def registry(self) -> bool:
        """Whether clients use the server as their Schema Registry."""
        return self.given_by == REGISTRY

    @property
    def logs_in(self) -> bool:
        """Whether requests carry a login."""
        return bool(self.user_info or self.token)

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that must not be printed."""
        tls = (self.tls.key, self.tls.key_password) if self.tls else ()
        found = (self.user_info.partition(":")[2], self.token, *tls)
        return tuple(text for text in found if text)


def parse_rest(text: str, given_by: str) -> RestServer:
    """The server of a URL; `user_info` is that of the URL. Raises UsageError, which quotes nothing
    of the URL: it may hold a password."""
    wanted = UsageError(f"{given_by}: write http://HOST:PORT or https://HOST:PORT")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wanted from None
    plain = re.fullmatch(r"[\x21-\x7e]*", text) and not parts.query and not parts.fragment
    if parts.scheme not in _PORTS or not host or port == 0 or not plain:
        raise wanted
    endpoint, path = Endpoint(host, port or _PORTS[parts.scheme]), parts.path.rstrip("/")
    shown = f"{parts.scheme}://{endpoint if port else str(endpoint).rpartition(':')[0]}{path}"
    return RestServer(
        *(shown, endpoint, path, given_by),
        tls=Tls() if parts.scheme == "https" else None,
        user_info=unquote(parts.netloc.rpartition("@")[0]),
    )

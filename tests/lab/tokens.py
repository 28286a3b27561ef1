"""An identity provider on loopback: tokens that nobody signed, for a client that has the secret.

It grants by client credentials (RFC 6749, 4.4). Kafka's unsecured validator takes such tokens.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

CLIENT, SECRET = "orders-app", "token-endpoint-secret"


def unsecured(subject: str, issued: float, expires: float) -> str:
    """A token without a signature; the times are in Unix seconds."""
    parts = ({"alg": "none"}, {"sub": subject, "iat": issued, "exp": expires})
    texts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts)
    return ".".join(text.rstrip("=") for text in texts) + "."


@contextmanager
def endpoint(lifetime: float = 3600) -> Iterator[str]:
    """The URL that gives tokens for alice, valid for so many seconds from now."""

    class Grants(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            known = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            if self.headers["Authorization"] != f"Basic {known}":
                self.answer(401, {"error": "invalid_client"})
            elif form != {"grant_type": ["client_credentials"], "scope": ["kafka"]}:
                self.answer(400, {"error": "invalid_request"})
            else:
                now = time.time()
                token = unsecured("alice", min(now, now + lifetime) - 60, now + lifetime)
                self.answer(200, {"access_token": token, "token_type": "Bearer"})

        def answer(self, status: int, said: dict[str, str]) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: a test that fails has the report."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Grants) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/token"
        finally:
            server.shutdown()
            thread.join(10)

"""AWS Signature Version 4, for the one request of the IAM login of MSK.

Source: the README of github.com/aws/aws-msk-iam-auth, "Details" (what is signed, and how).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import quote

LIFETIME = 900  # seconds, as AWS recommends

_ALGORITHM, _SERVICE = "AWS4-HMAC-SHA256", "kafka-cluster"
_NO_BODY = hashlib.sha256(b"").hexdigest()


def presigned(
    host: str, region: str, key_id: str, secret: str, session_token: str, now: float
) -> dict[str, str]:
    """The query parameters of kafka-cluster:Connect to `host`, signed. `now` is in Unix seconds."""
    moment = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    query = {
        "Action": "kafka-cluster:Connect",
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{key_id}/{moment[:8]}/{region}/{_SERVICE}/aws4_request",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(LIFETIME),
        "X-Amz-SignedHeaders": "host",
    }
    if session_token:
        query["X-Amz-Security-Token"] = session_token
    query["X-Amz-Signature"] = signature(host, query, secret)
    return query


def signature(host: str, query: Mapping[str, str], secret: str) -> str:
    """The signature (SigV4) of these query parameters of a GET request to `host`."""
    canonical = f"GET\n/\n{encoded(query)}\nhost:{host}\n\nhost\n{_NO_BODY}"
    scope = query["X-Amz-Credential"].split("/", 1)[1]
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{query['X-Amz-Date']}\n{scope}\n{hashed}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def encoded(query: Mapping[str, str]) -> str:
    """Query parameters as they stand in a URL, in the order in which they are signed."""
    return "&".join(f"{name}={quote(query[name], safe='-_.~')}" for name in sorted(query))

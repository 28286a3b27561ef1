"""AWS keys for the IAM login of Amazon MSK, found by botocore."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import time
from typing import Any

from kdiag.config.security import Sasl
from kdiag.kafka.sasl.mechanisms import USER_AGENT, ReadyLogin
from kdiag.kafka.sasl.sigv4 import encoded, presigned
from kdiag.network.attempt import clean
from kdiag.network.dialer import in_thread

# In seconds. STS and SSO are on the internet, the metadata service is on the host itself.
_CONNECT, _READ, _METADATA = 2, 5, 1

_MSK = re.compile(
    r"\.kafka(?:-serverless)?(?:-beta)?\.(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9])\.amazonaws\.com(?:\.cn)?\.?",
    re.IGNORECASE,
)


def region_of(host: str) -> str:
    """The region in the name of an MSK broker, "" when it is no such name.

    b-1.demo.abc123.c2.kafka.eu-west-2.amazonaws.com and boot-abc.c1.kafka-serverless.eu-west-2.…
    """
    found = _MSK.search(host)
    return found["region"].lower() if found and found.end() == len(host) else ""


def configured_region(profile: str) -> str:
    """The region that the environment or the profile ("" for the default one) names, "" if none.

    AWS_REGION comes first, as in AWS's newer tools; botocore knows AWS_DEFAULT_REGION alone. Nobody
    is asked.
    """
    named = os.environ.get("AWS_REGION", "")
    if named:
        return named
    try:
        import botocore.session  # 147 ms
        from botocore.exceptions import BotoCoreError
    except ImportError:  # where only Python is
        return ""
    try:
        session: Any = botocore.session.Session(profile=profile or None)
        return str(session.get_config_variable("region") or "")
    except BotoCoreError:
        return ""


def without_region(sasl: Sasl, host: str) -> bool:
    """Whether nothing says which region a login by AWS_MSK_IAM is to be signed for, on this machine
    and at a cluster of that host."""
    if sasl.mechanism != "AWS_MSK_IAM":
        return False
    return not (sasl.region or region_of(host) or configured_region(sasl.profile))


async def signed_in(sasl: Sasl, host: str, timeout: float) -> ReadyLogin:
    """AWS's keys, from wherever botocore finds them, as the login of that mechanism needs them.

    For AWS_MSK_IAM they are `username`, `password` and `token`; for OAUTHBEARER the token is a
    presigned URL, good for 15 minutes. `timeout` (seconds) bounds each thing that botocore asks.
    """
    looking = in_thread(_keys, sasl.profile)
    try:
        key_id, secret, session_token, configured = await asyncio.wait_for(looking, 3 * timeout)
    except asyncio.TimeoutError:
        return ReadyLogin(sasl, f"AWS gave no credentials within {3 * timeout:g} s")
    except _Missing as error:
        return ReadyLogin(sasl, str(error))
    region = sasl.region or region_of(host) or configured
    if not region:
        return ReadyLogin(sasl, f"no AWS region: {clean(host)} names none, and none is configured")
    if sasl.mechanism == "OAUTHBEARER":
        token = bearer(region, key_id, secret, session_token, time.time())
        note = f"the token is signed for {_service(region)}: every MSK cluster there takes it"
        return ReadyLogin(sasl._replace(region=region, token=token), notes=(note,))
    keys = sasl._replace(region=region, username=key_id, password=secret, token=session_token)
    note = f"AWS_MSK_IAM signs for the host that is dialled, first for {clean(host)} in {region}"
    return ReadyLogin(keys, notes=(note,))


def bearer(region: str, key_id: str, secret: str, session_token: str, now: float) -> str:
    """MSK's OAUTHBEARER token: a presigned URL in base64. `now` is in Unix seconds.

    Source: github.com/aws/aws-msk-iam-sasl-signer-python, MSKAuthTokenProvider.
    """
    host = _service(region)
    query = encoded(presigned(host, region, key_id, secret, session_token, now))
    url = f"https://{host}/?{query}&User-Agent={USER_AGENT}"
    return base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _service(region: str) -> str:
    """The host that MSK's OAUTHBEARER tokens are signed for, whichever broker they go to."""
    return f"kafka.{region}.amazonaws.com"


class _Missing(Exception):
    """There are no credentials. The text says why, and is clean."""


def _keys(profile: str) -> tuple[str, str, str, str]:
    """Key id, secret, session token ("" if none) and the configured region ("" if none)."""
    try:
        import botocore.session  # 147 ms
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:  # where only Python is
        raise _Missing(
            "finding AWS credentials takes botocore, which is not installed: pip install boto3"
        ) from None

    try:
        session: Any = botocore.session.Session(profile=profile or None)
        session.set_config_variable("metadata_service_timeout", _METADATA)
        session.set_config_variable("metadata_service_num_attempts", 1)
        session.set_default_client_config(
            Config(connect_timeout=_CONNECT, read_timeout=_READ, retries={"total_max_attempts": 1})
        )
        found = session.get_credentials()
        keys = found.get_frozen_credentials() if found else None
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise _Missing(f"AWS gave no credentials: {clean(str(error), 300)}") from None
    if not keys or not keys.access_key or not keys.secret_key:
        raise _Missing("there are no AWS credentials: no environment, profile, or instance role")
    return keys.access_key, keys.secret_key, keys.token or "", configured_region(profile)

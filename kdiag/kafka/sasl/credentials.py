"""Fetches what a login needs before it begins: a token, or AWS keys."""

from __future__ import annotations

from kdiag.config.security import Sasl
from kdiag.kafka.sasl.mechanisms import ReadyLogin


async def ready(sasl: Sasl, host: str, timeout: float) -> ReadyLogin:
    """Fetches, once for a whole walk, what a login to the cluster of that host will need.

    `timeout` (seconds) bounds each request. Never raises for what a server does.
    """
    from kdiag.kafka.sasl import iam, oauth  # 53 ms: few logins need it

    bearer = sasl.mechanism == "OAUTHBEARER" and not sasl.token
    if bearer and sasl.endpoint:
        return await oauth.fetched(sasl, timeout)
    if sasl.mechanism == "AWS_MSK_IAM" or (bearer and (sasl.region or iam.region_of(host))):
        return await iam.signed_in(sasl, host, timeout)
    return ReadyLogin(sasl)

"""What must be fetched before a login can begin: a token, or AWS's keys."""

from __future__ import annotations

from dataclasses import dataclass

from kdiag.security import Sasl


@dataclass(frozen=True)
class Ready:
    """What there is to log in with: `sasl` with token or keys filled in, unless `error` says why
    there are none. `notes` are sentences for the user. All text is clean and without secrets."""

    sasl: Sasl
    error: str = ""
    notes: tuple[str, ...] = ()


async def ready(sasl: Sasl, host: str, timeout: float) -> Ready:
    """Fetches, once for a whole walk, what a login to the cluster of that host will need.

    `timeout` (seconds) bounds each thing that has to be asked. Never raises for what others do.
    """
    from kdiag.clients import iam, oauth  # what few logins need

    bearer = sasl.mechanism == "OAUTHBEARER" and not sasl.token
    if bearer and sasl.endpoint:
        return await oauth.fetched(sasl, timeout)
    if sasl.mechanism == "AWS_MSK_IAM" or (bearer and (sasl.region or iam.region_of(host))):
        return await iam.signed_in(sasl, host, timeout)
    return Ready(sasl)

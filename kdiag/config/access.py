"""The settings of the AWS check: source address and echo service, and how a user writes them."""

from __future__ import annotations

import re

from kdiag.config.record import NamedTuple
from kdiag.config.usage import UsageError, quoted

_URL = r"https?://[^\s/@?#]+(/[^\s@]*)?\Z"


class AwsAccess(NamedTuple):
    """How kdiag calls AWS. `source` is the address or network of the client, `region` the only
    region to query, `profile` the profile with the credentials, `echo` the URL of a service that
    returns the address of its client. "" means: kdiag finds the value, or uses no echo service."""

    source: str = ""
    region: str = ""
    profile: str = ""
    echo: str = ""


def parse_echo(text: str, place: str = "--aws-echo") -> str:
    """The URL of a service that returns the address of its client; "" for "off"."""
    url = "" if text == "off" else text
    if url and not re.match(_URL, url):
        raise UsageError(
            f"{place}: write the http:// or https:// URL of a service that answers with the "
            "client's address, or off"
        )
    return url


def parse_network(text: str, place: str = "--aws-source") -> str:
    """An IP address, or a network in CIDR notation but not 0.0.0.0/0; "" for ""."""
    from ipaddress import ip_network  # 2.4 ms

    written = text.strip()
    if not written:
        return ""
    try:
        network = ip_network(written, strict=False)
    except ValueError:
        raise UsageError(
            f"{place} {quoted(written)}: write where the client comes from, an IP address or "
            "a network, for example 203.0.113.10 or 203.0.113.0/24"
        ) from None
    if network.prefixlen == 0:
        raise UsageError(
            f"{place} {quoted(written)}: that is every address; write where the client comes "
            "from, for example 203.0.113.10"
        )
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)

"""How AWS is asked beside the walk: the source address and the echo service, as a user writes
them."""

from __future__ import annotations

import re
from typing import NamedTuple

from kdiag.config.usage import UsageError, quoted

_URL = r"https?://[^\s/@?#]+(/[^\s@]*)?\Z"


class AwsAccess(NamedTuple):
    """How to ask AWS. `source` is where the client comes from (an address or a network), `region`
    the only one to ask, `profile` whose credentials to use, `echo` the URL of a service that tells
    a client its address; "" leaves it to be found out, or asks nobody."""

    source: str = ""
    region: str = ""
    profile: str = ""
    echo: str = ""


def parse_echo(text: str, place: str = "--aws-echo") -> str:
    """The URL of a service that tells a client its address; "" for "off"."""
    url = "" if text == "off" else text
    if url and not re.match(_URL, url):
        raise UsageError(
            f"{place}: write the http:// or https:// URL of a service that answers with the "
            "client's address, or off"
        )
    return url


def parse_network(text: str, place: str = "--aws-source") -> str:
    """An IP address, or a network in CIDR notation, that is not everybody's; "" for ""."""
    from ipaddress import ip_network

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
            f"{place} {quoted(written)}: that is everybody; write where the client comes "
            "from, for example 203.0.113.10"
        )
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)

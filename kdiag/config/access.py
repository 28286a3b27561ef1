"""Whom to ask beside the walk, and how: AWS, files that configure the cluster, kubectl."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from kdiag.config.usage import UsageError, quoted

# Compiled when they are needed: 0.2 ms each.
_REGION = r"[a-z]{2}(-[a-z]+)+-[0-9]\Z"
_PROFILE = r"[^\x00-\x1f\x7f\[\]]{1,256}\Z"
_STRIMZI = r"[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9.-]{0,252}\Z"
_URL = r"https?://[^\s/@?#]+(/[^\s@]*)?\Z"


class AwsAccess(NamedTuple):
    """How to ask AWS. `source` is where the client comes from (an address or a network), `region`
    the only one to ask, `profile` whose credentials to use, `echo` the URL of a service that tells
    a client its address; "" leaves it to be found out, or asks nobody."""

    source: str = ""
    region: str = ""
    profile: str = ""
    echo: str = ""


def parse_access(
    source: str | None, region: str | None, profile: str | None, echo: str | None
) -> AwsAccess:
    """How to ask AWS, from what was written; "off" for `echo` asks nobody."""
    if region and not re.match(_REGION, region):
        raise UsageError(f"--aws-region {quoted(region)}: write one region, such as eu-west-2")
    if profile and not re.match(_PROFILE, profile):
        raise UsageError(f"--aws-profile {quoted(profile)}: write the name of a profile")
    url = "" if echo in (None, "", "off") else str(echo)
    if url and not re.match(_URL, url):
        raise UsageError(
            "--aws-echo: write the http:// or https:// URL of a service that answers with the "
            "client's address, or off"
        )
    return AwsAccess(parse_network(source) if source else "", region or "", profile or "", url)


class ConfigAccess(NamedTuple):
    """What configures the cluster: the texts of files, by name, and the Kafka resource that kubectl
    is asked for, NAMESPACE/NAME, "" for none."""

    files: Mapping[str, str]
    strimzi: str = ""


def parse_config(files: Mapping[str, str], strimzi: str | None) -> ConfigAccess | None:
    """The same from what was written; None where nothing was."""
    if strimzi and not re.match(_STRIMZI, strimzi):
        raise UsageError(
            f"--strimzi {quoted(strimzi)}: write NAMESPACE/NAME of the Kafka resource, for example "
            "kafka/my-cluster"
        )
    return ConfigAccess(files, strimzi or "") if files or strimzi else None


def parse_network(text: str) -> str:
    """An IP address, or a network in CIDR notation, that is not everybody's."""
    from ipaddress import ip_network

    written = text.strip()
    try:
        network = ip_network(written, strict=False)
    except ValueError:
        raise UsageError(
            f"--aws-source {quoted(written)}: write where the client comes from, an IP address or "
            "a network, for example 203.0.113.10 or 203.0.113.0/24"
        ) from None
    if network.prefixlen == 0:
        raise UsageError(
            f"--aws-source {quoted(written)}: that is everybody; write where the client comes "
            "from, for example 203.0.113.10"
        )
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)

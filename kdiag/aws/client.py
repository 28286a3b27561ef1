"""The client of the AWS API: the facts about addresses, and the source address of this client."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from kdiag.address import is_loopback, is_private, parse
from kdiag.aws.account import snapshot
from kdiag.aws.ec2 import AwsApi
from kdiag.aws.facts import ClientAddress, NetworkInterface, Snapshot
from kdiag.config.access import AwsAccess
from kdiag.network.dialer import in_thread

ECHO_TIMEOUT, ECHO_LIMIT = 2.0, 4.0  # seconds, for one read and for the whole request
_MAX_ECHO_BYTES = 256  # an IP address needs less

# Prefixes of route targets that connect a VPC with other VPCs: peering and transit gateways.
_TO_OTHER_VPCS = ("pcx-", "tgw-")


class Ec2Client:
    """The client of the AWS API for one walk, which ends in `deadline` seconds.

    boto3 takes half a second to load, so a thread loads it in parallel with the first hops.
    """

    def __init__(self, access: AwsAccess, deadline: float) -> None:
        self._access = access
        self._api = AwsApi(access.profile, time.monotonic() + deadline - min(1.0, deadline / 10))
        self._opener = threading.Thread(target=self._api.open, name="kdiag-aws", daemon=True)
        self._opener.start()

    async def describe(
        self, addresses: Mapping[str, tuple[str, ...]]
    ) -> tuple[Snapshot, ClientAddress]:
        """As AwsClient.describe. A failed call raises no error: it is in `Snapshot.unavailable`."""
        return await in_thread(self._describe, addresses)

    def _describe(self, addresses: Mapping[str, tuple[str, ...]]) -> tuple[Snapshot, ClientAddress]:
        given = self._access.source
        own = given or own_address(a for ips in addresses.values() for a in ips)
        hidden = not given and (not own or is_private(own))
        echo = _Echo(self._access.echo if hidden else "")
        self._opener.join(max(0.0, self._api.until - time.monotonic()))
        found = snapshot(self._api, addresses, self._access.region, own)
        if given:
            return found, ClientAddress(given, "given")
        if own and (not is_private(own) or _is_in_aws(own, found)):
            return found, ClientAddress(own, "interface")
        outside = echo.address(self._api.until)
        return found, ClientAddress(outside, "echo") if outside else ClientAddress()


class _Echo:
    """A request to an echo service in a thread of its own; the URL "" sends no request."""

    def __init__(self, url: str) -> None:
        self._url, self._address = url, ""
        self._until = time.monotonic() + ECHO_LIMIT
        self._thread = threading.Thread(target=self._request, name="kdiag-echo", daemon=True)
        self._thread.start()

    def address(self, until: float) -> str:
        """Waits for the address until the time `until` at most; "" without an answer."""
        self._thread.join(max(0.0, min(self._until, until) - time.monotonic()))
        return self._address

    def _request(self) -> None:
        self._address = echo_address(self._url) if self._url else ""


def own_address(addresses: Iterable[str]) -> str:
    """The source address of this machine for the first of these addresses that is not loopback, ""
    without a route. kdiag sends no packet: connecting a UDP socket only looks up the route."""
    usable = [a for a in addresses if parse(a) and not is_loopback(a)]
    for address in sorted(usable, key=lambda a: ":" in a)[:1]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((address, 9))
                own = str(sock.getsockname()[0])
        except OSError:
            return ""
        return "" if is_loopback(own) else own
    return ""


def echo_address(url: str) -> str:
    """The source address of this client as an echo service on the internet sees it, "" on failure.

    The request uses no HTTP proxy, because Kafka clients use none: the service would return the
    address of the proxy.
    """
    from http.client import HTTPException  # 12 ms
    from urllib.request import ProxyHandler, build_opener

    try:
        with build_opener(ProxyHandler({})).open(url, timeout=ECHO_TIMEOUT) as answer:
            return str(ip_address(answer.read(_MAX_ECHO_BYTES).decode("ascii").strip()))
    except (OSError, HTTPException, ValueError):
        return ""


def _is_in_aws(own: str, found: Snapshot) -> bool:
    """Whether this machine is the network interface with the private address `own`: its VPC is the
    VPC of the cluster, or has routes to other VPCs. Other networks may use the same addresses."""
    interfaces = found.interfaces_with(own)
    cluster_vpcs = {interface.vpc for interface in found.interfaces if interface not in interfaces}
    return any(
        interface.vpc in cluster_vpcs or _routes_to_other_vpcs(interface, found)
        for interface in interfaces
    )


def _routes_to_other_vpcs(interface: NetworkInterface, found: Snapshot) -> bool:
    """Whether the VPC of an interface has a route to other VPCs."""
    tables = [table for table in found.tables if table.vpc == interface.vpc]
    return any(route.target.startswith(_TO_OTHER_VPCS) for t in tables for route in t.routes)

"""The door to AWS: what it says of addresses, and where this client comes from in its eyes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from kdiag.address import is_loopback, is_private, parse
from kdiag.aws.account import snapshot
from kdiag.aws.ec2 import AwsApi
from kdiag.aws.facts import ClientAddress, Interface, Snapshot
from kdiag.config.access import AwsAccess
from kdiag.network.dialer import in_thread

ECHO_TIMEOUT, ECHO_LIMIT = 2.0, 4.0  # seconds, for one step of the answer and for all of it
_ADDRESS = 256  # bytes, for an answer that is one

# What a route leads to another network by, so that a client from another VPC may come in.
_ELSEWHERE = ("pcx-", "tgw-")


class Ec2Client:
    """AWS for one walk, which has `deadline` seconds from now on.

    boto3 takes half a second to load: that is begun at once, beside the first hops.
    """

    def __init__(self, access: AwsAccess, deadline: float) -> None:
        self._access = access
        self._api = AwsApi(access.profile, time.monotonic() + deadline - min(1.0, deadline / 10))
        self._opening = threading.Thread(target=self._api.open, name="kdiag-aws", daemon=True)
        self._opening.start()

    async def look(
        self, addresses: Mapping[str, tuple[str, ...]]
    ) -> tuple[Snapshot, ClientAddress]:
        """What AWS says of these hosts, and where this client comes from. Nothing that AWS or the
        network do is an error: what is not told is a Gap."""
        return await in_thread(self._look, addresses)

    def _look(self, addresses: Mapping[str, tuple[str, ...]]) -> tuple[Snapshot, ClientAddress]:
        given = self._access.source
        own = given or own_address(a for ips in addresses.values() for a in ips)
        hidden = not given and (not own or is_private(own))
        heard = _Echo(self._access.echo if hidden else "")
        self._opening.join(max(0.0, self._api.until - time.monotonic()))
        found = snapshot(self._api, addresses, self._access.region, own)
        if given:
            return found, ClientAddress(given, "given")
        if own and (not is_private(own) or _in_aws(own, found)):
            return found, ClientAddress(own, "interface")
        outside = heard.address(self._api.until)
        return found, ClientAddress(outside, "echo") if outside else ClientAddress()


class _Echo:
    """A question to an echo service ("" asks nobody), answered while other things go on."""

    def __init__(self, url: str) -> None:
        self._url, self._heard = url, ""
        self._until = time.monotonic() + ECHO_LIMIT
        self._thread = threading.Thread(target=self._ask, name="kdiag-echo", daemon=True)
        self._thread.start()

    def address(self, until: float) -> str:
        """What was answered, at the latest at `until`."""
        self._thread.join(max(0.0, min(self._until, until) - time.monotonic()))
        return self._heard

    def _ask(self) -> None:
        self._heard = echo_address(self._url) if self._url else ""


def own_address(addresses: Iterable[str]) -> str:
    """The address that this machine has on its way to the first of these that is not itself, ""
    where there is none. Nothing is sent: connecting a datagram socket asks for the route alone."""
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
    """What a service on the internet sees of this client, "" if it does not say.

    Not by a proxy: Kafka's clients use none, and it would tell of the proxy.
    """
    from http.client import HTTPException
    from urllib.request import ProxyHandler, build_opener

    try:
        with build_opener(ProxyHandler({})).open(url, timeout=ECHO_TIMEOUT) as answer:
            return str(ip_address(answer.read(_ADDRESS).decode("ascii").strip()))
    except (OSError, HTTPException, ValueError):
        return ""


def _in_aws(own: str, found: Snapshot) -> bool:
    """Whether this address is an interface's in a VPC that leads to the cluster's, and not one that
    the client's own network happens to have as well."""
    there = found.behind(own)
    home = {one.vpc for one in found.interfaces if one not in there}
    return any(one.vpc in home or _leads_on(one, found) for one in there)


def _leads_on(one: Interface, found: Snapshot) -> bool:
    tables = [table for table in found.tables if table.vpc == one.vpc]
    return any(route.target.startswith(_ELSEWHERE) for t in tables for route in t.routes)

"""Opens all connections of a walk through a proxy, which resolves the names of servers."""

from __future__ import annotations

import asyncio
import time
from functools import cached_property
from typing import Any

from kdiag.config.proxy import Proxy
from kdiag.kafka.dialer import KafkaDialer
from kdiag.network.attempt import Failure, LayerResult
from kdiag.network.dialer import TcpConnection
from kdiag.network.dns_diagnosis import DnsDiagnosis
from kdiag.network.proxy import open_through

# Failures of the proxy itself: the first one is the result of all further dials.
_FOR_ALL = (Failure.PROXY_UNREACHABLE, Failure.NOT_PROXY, Failure.PROXY_CREDENTIALS)


class ProxyDialer(KafkaDialer):
    """A dialer through `proxy`; the other arguments are those of the class that dials it. The
    login goes alone the first time: once it is refused, no other connection sends it."""

    outside = False

    def __init__(self, proxy: Proxy, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._proxy = proxy
        self._down: LayerResult | None = None
        self._logged_in = not proxy.username

    @cached_property
    def _gate(self) -> asyncio.Lock:
        return asyncio.Lock()

    async def resolve(self, host: str) -> tuple[LayerResult, tuple[str, ...]]:
        """The host itself, which the proxy resolves; its addresses where this machine is to."""
        if self._proxy.names_here:
            return await super().resolve(host)
        return LayerResult("dns", 0.0), (host,)

    async def diagnose(self, host: str) -> DnsDiagnosis | None:
        """What DNS servers say of a name that this machine is to resolve."""
        return await super().diagnose(host) if self._proxy.names_here else None

    async def connect(self, address: str, port: int, *, again: bool = False) -> TcpConnection:
        """Connects to a host name or an address, through the proxy."""
        if not self._logged_in:
            async with self._gate:
                if not (self._logged_in or self._down):
                    return await self._through(address, port, again)
        return await self._through(address, port, again)

    async def _through(self, address: str, port: int, again: bool) -> TcpConnection:
        if self._down:
            return TcpConnection(address, port, self._down)
        started = time.perf_counter()
        opened = await self._reached(again)
        if opened.sock is None:
            failed = opened.tcp
        else:
            try:
                refusal = await open_through(opened.sock, self._proxy, address, port, self.timeout)
            except BaseException:
                opened.sock.close()
                raise
            elapsed = time.perf_counter() - started
            if refusal is None:
                self._logged_in = True
                # The servers see another source than this machine's address.
                return TcpConnection(address, port, LayerResult("tcp", elapsed), opened.sock)
            opened.sock.close()
            self._logged_in = self._logged_in or refusal.layer != "proxy"
            failed = LayerResult(refusal.layer, elapsed, refusal.failure, refusal.detail)
        if failed.failure in _FOR_ALL:
            self._down = failed
        return TcpConnection(address, port, failed)

    async def _reached(self, again: bool) -> TcpConnection:
        """A connection to the proxy, at the first of its addresses that takes one."""
        dns, addresses = await super().resolve(self._proxy.host)
        why = f"its name does not resolve: {dns.detail}" if dns.failure else ""
        for address in addresses:
            opened = await super().connect(address, self._proxy.port, again=again)
            if opened.sock:
                return opened
            why = f"{address}: {opened.tcp.detail}"
        failed = LayerResult("proxy", dns.elapsed, Failure.PROXY_UNREACHABLE, why)
        return TcpConnection(self._proxy.host, self._proxy.port, failed)

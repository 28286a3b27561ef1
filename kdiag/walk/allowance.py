"""Limits what one walk dials, and which answers it may quote.

A bootstrap server says where the brokers are, so it could send a client anywhere: to thousands of
addresses, to a cloud's metadata service, to a service on the client's own machine.
"""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.address import is_local, is_metadata_service, parse
from kdiag.config.settings import Settings

MAX_ADDRESSES = 256  # of one walk; then one of each endpoint
MAX_FOLLOW_UPS = 8  # peers that are no brokers and get requests of other protocols
MAX_RENAMED = 8  # peers that end TLS handshakes, and are dialled under other names


class Allowance:
    """What one walk may still dial, and what it left out."""

    def __init__(self, settings: Settings) -> None:
        self._verbose = settings.options.verbose
        self._named = {endpoint.host.lower() for endpoint in settings.bootstrap}
        self._named |= {mapped.candidate.lower() for mapped in settings.options.mapped}
        self._known: set[str] = set()  # the addresses of what the user named
        self._left = MAX_ADDRESSES
        self._untried = 0
        self._places = 0
        self._asked: set[tuple[str, int]] = set()
        self._renamed = 0

    def addresses(self, host: str, found: tuple[str, ...]) -> tuple[str, ...]:
        """The addresses of a host that the walk may dial, the first one in any case."""
        taken = found[: max(1, self._left)]
        self._left -= min(len(taken), self._left)
        self._untried += len(found) - len(taken)
        if host.lower() in self._named:
            self._known.update(taken)
        return taken

    def leave_out(self, places: int) -> None:
        """Counts candidate addresses that the walk does not dial."""
        self._places += max(0, places)

    def may_be_asked(self, address: str, port: int) -> bool:
        """Whether a peer that is no broker may get requests of other protocols, to find out what it
        is. A Kafka client is sent to any address with Kafka's requests, and never with HTTP."""
        if is_metadata_service(address):
            return False
        if parse(address) is None and address not in self._known:  # a name that a proxy resolves
            return False
        if is_local(address) and not any(map(is_local, self._known)):
            return False
        if len(self._asked) >= MAX_FOLLOW_UPS and (address, port) not in self._asked:
            return False
        self._asked.add((address, port))
        return True

    def may_be_renamed(self) -> bool:
        """Whether one more peer that ends TLS handshakes may be dialled under other names."""
        self._renamed += 1
        return self._renamed <= MAX_RENAMED

    def may_be_quoted(self, host: str, address: str) -> bool:
        """Whether a report may quote the answer of a peer that is no broker: whoever reads the
        report need not have the rights of this machine."""
        return self._verbose or host.lower() in self._named or address in self._known

    @property
    def notes(self) -> Iterator[str]:
        """A sentence for each kind of address that was left out."""
        if self._untried:
            yield (
                f"a walk dials {MAX_ADDRESSES} addresses, and then one of each name: "
                f"{self._untried} more were not tried"
            )
        if self._places:
            yield (
                "brokers may also answer beside their advertised addresses: "
                f"{self._places} such addresses were not tried"
            )

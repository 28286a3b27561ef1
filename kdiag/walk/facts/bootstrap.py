"""The facts of hop 1, bootstrap: the result of each bootstrap server."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kdiag.config.record import NamedTuple
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import EndpointResult


class Bootstrap(NamedTuple):
    """The result of each bootstrap server; `apis` (key → versions) of the first one that works."""

    contacts: tuple[EndpointResult, ...]
    apis: Mapping[int, tuple[int, int]] = MappingProxyType({})

    @property
    def usable(self) -> tuple[EndpointResult, ...]:
        """The results of the bootstrap servers that work."""
        return tuple(contact for contact in self.contacts if contact.usable)

    @property
    def first_server(self) -> Endpoint:
        """The first bootstrap server that works, or else the first one, for commands."""
        return (self.usable or self.contacts)[0].endpoint

    @property
    def connected_addresses(self) -> tuple[str, ...]:
        """The addresses of both ends of every connection that works."""
        dials = [dial for c in self.usable for dial in c.dials if dial.failed is None]
        return tuple(dict.fromkeys(end for d in dials for end in (d.address, d.source) if end))

    @property
    def protocol(self) -> str | None:
        """The security.protocol of the first address that works; None where none works."""
        dials = (dial for contact in self.contacts for dial in contact.dials)
        return next((dial.protocol for dial in dials if dial.protocol and not dial.failed), None)

    @property
    def failed(self) -> tuple[str, ...]:
        """The bootstrap servers that do not work, as subjects of findings."""
        return tuple(f"bootstrap {c.endpoint}" for c in self.contacts if not c.usable)

    @property
    def elapsed(self) -> float:
        """Seconds until the slowest address answered or failed."""
        return max(
            (
                (c.dns.elapsed if c.dns else 0.0) + sum(a.elapsed for a in dial.attempts)
                for c in self.contacts
                for dial in c.dials
            ),
            default=max((c.dns.elapsed for c in self.contacts if c.dns), default=0.0),
        )

    @property
    def summary(self) -> str:
        """The result of hop 1, in one line."""
        if len(self.contacts) == 1 and self.usable:
            dial = self.contacts[0].best
            name = str(self.contacts[0].endpoint)
            known = dial is None or self.contacts[0].endpoint.host == dial.address
            return f"{name} answers" if known or not dial else f"{name} answers at {dial.address}"
        if len(self.contacts) == 1:
            failed = self.contacts[0].failed
            why = f" ({failed.layer}: {failed.failure.words})" if failed and failed.failure else ""
            return f"no usable connection to {self.contacts[0].endpoint}{why}"
        return f"{len(self.usable)} of {len(self.contacts)} servers answer"

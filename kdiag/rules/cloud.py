"""What a cloud's own API adds to findings on connections: the brokers' public addresses, and
whether the cloud's firewall is the cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdiag.config.settings import Endpoint
from kdiag.rules.rule import Remedy
from kdiag.walk.facts.listeners import Listener

Public = Mapping[int, Endpoint]  # node id → the public address that the broker could advertise


class CloudView:
    """What a cloud's API knows of the addresses of a walk: nothing. The `aws` feature has a view
    that knows more."""

    def found_public(self, matching: Sequence[Listener]) -> tuple[list[Listener], Public]:
        """The listeners, each with its dialled public address among its candidates; and the public
        addresses by node id."""
        return list(matching), {}

    def where_public(self, matching: Sequence[Listener]) -> tuple[str, ...]:
        """Evidence: which network interface has the private address that a broker advertises."""
        return ()

    def let_through(self, names: Sequence[str]) -> tuple[str, ...]:
        """Evidence, for subjects that time out: the cloud's firewall lets the client through."""
        return ()

    def refusing(self, names: Sequence[str]) -> tuple[str, ...]:
        """Evidence, for subjects that refuse: the cloud's firewall drops and does not refuse."""
        return ()

    def on_hosts(self, names: Sequence[str]) -> tuple[Remedy, ...]:
        """Where to look next when the cloud's firewall blocks none of these subjects."""
        return ()

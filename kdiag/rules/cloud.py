"""What a cloud's own API adds to findings on connections: the brokers' public addresses, and
whether the cloud's firewall is the cause. The `aws` feature provides it; without a cloud these
functions add nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from kdiag.config.settings import Endpoint
from kdiag.rules.rule import Remedy
from kdiag.walk.listeners import Listener

Public = Mapping[int, Endpoint]  # node id → the public address that the broker could advertise


class CloudView(Protocol):
    """What a cloud's API knows of the addresses of a walk."""

    def found_public(self, matching: Sequence[Listener]) -> tuple[list[Listener], Public]:
        """The listeners, each with its dialled public address among its candidates; and the public
        addresses by node id."""

    def where_public(self, matching: Sequence[Listener]) -> tuple[str, ...]:
        """Evidence: which network interface has the private address that a broker advertises."""

    def let_through(self, names: Sequence[str]) -> tuple[str, ...]:
        """Evidence, for subjects that time out: the cloud's firewall lets the client through."""

    def refusing(self, names: Sequence[str]) -> tuple[str, ...]:
        """Evidence, for subjects that refuse: the cloud's firewall drops and does not refuse."""

    def on_hosts(self, names: Sequence[str]) -> tuple[Remedy, ...]:
        """Where to look next when the cloud's firewall blocks none of these subjects."""


def found_public(
    cloud: CloudView | None, matching: Sequence[Listener]
) -> tuple[list[Listener], Public]:  # fmt: skip
    """As CloudView.found_public; without a cloud the listeners unchanged, and no addresses."""
    return cloud.found_public(matching) if cloud else (list(matching), {})


def where_public(cloud: CloudView | None, matching: Sequence[Listener]) -> tuple[str, ...]:
    """As CloudView.where_public; nothing without a cloud."""
    return cloud.where_public(matching) if cloud else ()


def let_through(cloud: CloudView | None, names: Sequence[str]) -> tuple[str, ...]:
    """As CloudView.let_through; nothing without a cloud."""
    return cloud.let_through(names) if cloud else ()


def refusing(cloud: CloudView | None, names: Sequence[str]) -> tuple[str, ...]:
    """As CloudView.refusing; nothing without a cloud."""
    return cloud.refusing(names) if cloud else ()


def on_hosts(cloud: CloudView | None, names: Sequence[str]) -> tuple[Remedy, ...]:
    """As CloudView.on_hosts; nothing without a cloud."""
    return cloud.on_hosts(names) if cloud else ()

"""What a cloud's own API adds to findings on connections: public addresses, and that its firewall
is not the cause. The `aws` feature provides it; without one these functions add nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from kdiag.config.settings import Endpoint
from kdiag.rules.rule import Remedy
from kdiag.walk.listeners import Listener

Public = Mapping[int, Endpoint]  # node id → the public address that the broker could advertise


class CloudView(Protocol):
    """The view of a cloud's API on the addresses of a walk."""

    def found_public(self, hit: Sequence[Listener]) -> tuple[list[Listener], Public]:
        """These brokers with the result of dialling their public addresses as candidates, and
        these public addresses by node id."""

    def where_public(self, hit: Sequence[Listener]) -> tuple[str, ...]:
        """Evidence: which network interface has the private address that a broker advertises."""

    def let_through(self, names: Sequence[str]) -> tuple[str, ...]:
        """Evidence, for subjects that time out: the cloud's firewall lets the client through."""

    def refusing(self, names: Sequence[str]) -> tuple[str, ...]:
        """Evidence, for subjects that refuse: the cloud's firewall drops and does not refuse."""

    def on_hosts(self, names: Sequence[str]) -> tuple[Remedy, ...]:
        """Where to look next when the cloud's firewall blocks none of these subjects."""


def found_public(
    cloud: CloudView | None, hit: Sequence[Listener]
) -> tuple[list[Listener], Public]:  # fmt: skip
    """As CloudView.found_public; the brokers as they are without a cloud."""
    return cloud.found_public(hit) if cloud else (list(hit), {})


def where_public(cloud: CloudView | None, hit: Sequence[Listener]) -> tuple[str, ...]:
    """As CloudView.where_public; nothing without a cloud."""
    return cloud.where_public(hit) if cloud else ()


def let_through(cloud: CloudView | None, names: Sequence[str]) -> tuple[str, ...]:
    """As CloudView.let_through; nothing without a cloud."""
    return cloud.let_through(names) if cloud else ()


def refusing(cloud: CloudView | None, names: Sequence[str]) -> tuple[str, ...]:
    """As CloudView.refusing; nothing without a cloud."""
    return cloud.refusing(names) if cloud else ()


def on_hosts(cloud: CloudView | None, names: Sequence[str]) -> tuple[Remedy, ...]:
    """As CloudView.on_hosts; nothing without a cloud."""
    return cloud.on_hosts(names) if cloud else ()

"""The addresses that a broker advertises, their clients, and the mistakes in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kdiag.address import internal_name, is_loopback, is_private, is_unusable, parse
from kdiag.lint.broker import ADVERTISED, DOCKER_HOST, Address, ConfiguredBroker, Value
from kdiag.lint.edit import Edit, Edits
from kdiag.lint.mistake import HOP, Mistake
from kdiag.lint.tree import Spot
from kdiag.rules.rule import Remedy, Severity
from kdiag.rules.text import once


@dataclass(frozen=True)
class AdvertisedListener:
    """An item of advertised.listeners. `ports` are the published ports, `inward` is True for a
    listener for other containers only."""

    broker: ConfiguredBroker
    value: Value
    address: Address
    ports: tuple[int, ...]
    inward: bool

    @property
    def spot(self) -> Spot:
        return self.value.spot(self.address.begin)

    @property
    def host(self) -> str:
        return self.address.host

    @property
    def by_default(self) -> str:
        """A suffix for messages if the value is not in the file itself."""
        return f" ({self.value.implied})" if self.value.implied else ""

    @property
    def clients(self) -> list[str]:
        """The other services that bootstrap at this listener, in the network of the containers."""
        inside = self.broker.inside(self.address)
        if [self.broker.inside(each) for each in self.broker.advertised].count(inside) > 1:
            return []  # which of them, nobody knows: Kafka does not start with both
        return once(client.service for client in self.broker.clients if client.port == inside)

    @property
    def dedicated(self) -> bool:
        """Whether the listener is only for clients outside of the containers: it is published,
        another listener is not, and no service of the file bootstraps here."""
        others = [each for each in self.broker.advertised if each.name != self.address.name]
        inner = any(not self.broker.outside(each) and self._is_inner(each) for each in others)
        return bool(self.ports) and inner and not self.clients

    @property
    def spared(self) -> bool:
        """Whether another published listener is for clients outside."""
        others = [each for each in self.broker.advertised if each.name != self.address.name]
        return any(self.broker.outside(each) and not self._is_inner(each) for each in others)

    def _is_inner(self, other: Address) -> bool:
        """Whether a listener advertises a name or an address of the network of containers."""
        if other.name in self.broker.controllers or other.host.lower() in DOCKER_HOST:
            return False
        known = other.host in {*self.broker.names, *self.broker.own}
        return known or not other.host or (other.known and internal_name(other.host) is not None)

    @property
    def proven(self) -> bool:
        """Whether the walk reached the broker at exactly this address."""
        return self.broker.observed is not None and self.broker.observed.reached == (
            self.host,
            self.address.port,
        )

    def host_instead(self) -> str:
        """The corrected value of the setting, with a placeholder for an unknown host."""
        listener = proven_address(self.broker, self.address) or (
            f"{self.address.name}://<address that clients reach>:{self.address.port}"
        )
        return whole(self.broker, ADVERTISED, listener, self.address)

    def put_right(self) -> Edits:
        """The edits that write the proven address; none without one."""
        message = proven_address(self.broker, self.address)
        if not message or self.broker.settings.get(ADVERTISED) is not self.value:
            return ()
        return instead(self.value, self.address, message)


def advertised_listeners(broker: ConfiguredBroker) -> Iterator[AdvertisedListener]:
    """The advertised listeners for clients with a known host, without those of controllers."""
    value = broker.settings.get(ADVERTISED)
    listeners = broker.addresses(ADVERTISED)
    if value is None:  # an older Kafka's way to say it
        value = broker.settings.get("advertised.host.name")
        host, port = broker.get("advertised.host.name"), broker.get("advertised.port") or "9092"
        number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else None
        listeners = [Address(host, 0, len(host), "PLAINTEXT", host, number)]
    if value is None or not broker.is_broker:
        return
    for address in listeners:
        if not address.name or address.name in broker.controllers or not address.known:
            continue
        if address.port is None or address.host.lower() in DOCKER_HOST:
            continue
        ports = tuple(broker.outside(address))
        inward = broker.container and not ports
        yield AdvertisedListener(broker, value, address, ports, inward)


def proven_address(broker: ConfiguredBroker, listener: Address) -> str:
    """The listener with the address at which the walk reached the broker, "" without one."""
    there = broker.observed.instead if broker.observed and broker.is_entry(listener) else None
    if there is None:
        return ""
    host, port = there
    return f"{listener.name}://{f'[{host}]' if ':' in host else host}:{port}"


def whole(broker: ConfiguredBroker, name: str, item: str, old: Address | None = None) -> str:
    """The value of a list with `item` in place of `old`, or with `item` added. The remedy shows the
    whole value, because a line with one item would replace the others."""
    value = broker.settings.get(name)
    if value is None or not value.text.strip():
        return item
    if old is None:
        return f"{value.text.strip().strip(',')},{item}"
    if value.text[old.begin : old.end] != old.text:
        return item
    return f"{value.text[: old.begin]}{item}{value.text[old.end :]}".strip()


def broker_mistake(
    broker: ConfiguredBroker,
    message: str,
    spot: Spot,
    fix: Remedy,
    severity: Severity | None = None,
    edits: Edits = (),
) -> Mistake:
    """A mistake in the configuration of a broker."""
    what = f"{broker.what}: " if broker.container else ""
    return Mistake(
        HOP,
        what + message,
        (broker.what,),
        (),
        (fix,),
        severity,
        spot=spot,
        edits=edits,
        depends=broker.depends,
    )


def instead(value: Value, address: Address, text: str) -> Edits:
    """Edits that replace one item; none if the file does not have it at its place."""
    if not value.exact or value.text[address.begin : address.end] != address.text:
        return ()
    if "$" in address.text:
        return ()
    return (Edit(value.spot(address.begin), value.spot(address.end), text),)


def without(value: Value, address: Address) -> Edits:
    """Edits that remove one item; none for the only item."""
    if not value.exact or "," not in value.text:
        return ()
    begin, end = address.begin, address.end
    if value.text[end : end + 1] == ",":
        end += 1
        end += len(value.text[end:]) - len(value.text[end:].lstrip())
    else:
        begin = value.text.rindex(",", 0, begin)
    return (Edit(value.spot(begin), value.spot(end), ""),)


def is_host(host: str) -> bool:
    """Whether a text is a host alone, and no URL or host with a port."""
    return parse(host) is not None or not set(host) & set(":/ @[]")


def is_public(host: str) -> bool:
    """Whether a host is a public address, or a name that is not internal."""
    if not host or not is_host(host) or is_unusable(host, 1):
        return False
    return not is_private(host) and not is_loopback(host) and internal_name(host) is None

"""Each address that a broker advertises, by whom it is used, and how a mistake in it is told."""

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
    """An item of advertised.listeners. `ports` are those by which it is reached from outside of the
    container, `inward` whether it is for other containers only."""

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
        """How a message tells that the file does not say this itself."""
        return f" ({self.value.implied})" if self.value.implied else ""

    @property
    def clients(self) -> list[str]:
        """The other services that bootstrap here, in the network of the containers."""
        inside = self.broker.inside(self.address)
        return once(client.service for client in self.broker.clients if client.port == inside)

    @property
    def dedicated(self) -> bool:
        """Whether it is there for clients outside of the containers alone: it is published, one for
        the containers is not, and no service of the file bootstraps here."""
        others = [each for each in self.broker.advertised if each.name != self.address.name]
        inner = any(not self.broker.outside(each) and self._is_inner(each) for each in others)
        return bool(self.ports) and inner and not self.clients

    @property
    def spared(self) -> bool:
        """Whether clients outside have another listener that is published."""
        others = [each for each in self.broker.advertised if each.name != self.address.name]
        return any(self.broker.outside(each) and not self._is_inner(each) for each in others)

    def _is_inner(self, other: Address) -> bool:
        """Whether it advertises a name or an address of the network of containers."""
        if other.name in self.broker.controllers or other.host.lower() in DOCKER_HOST:
            return False
        known = other.host in {*self.broker.names, *self.broker.own}
        return known or not other.host or (other.known and internal_name(other.host) is not None)

    @property
    def proven(self) -> bool:
        """Whether a walk from here met the broker at this very address."""
        return self.broker.observed is not None and self.broker.observed.reached == (
            self.host,
            self.address.port,
        )

    def host_instead(self) -> str:
        """What the whole line should say, with the host asked for by name where none is proven."""
        listener = proven_address(self.broker, self.address) or (
            f"{self.address.name}://<address that clients reach>:{self.address.port}"
        )
        return whole(self.broker, ADVERTISED, listener, self.address)

    def put_right(self) -> Edits:
        """The item with the address where a walk met this broker; none where there is none."""
        message = proven_address(self.broker, self.address)
        if not message or self.broker.settings.get(ADVERTISED) is not self.value:
            return ()
        return instead(self.value, self.address, message)


def advertised_listeners(broker: ConfiguredBroker) -> Iterator[AdvertisedListener]:
    """Every address that it advertises to clients, where its host is told; none of a controller."""
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
    """What a listener should advertise by what a walk has met, "" where that tells nothing."""
    there = broker.observed.instead if broker.observed and broker.is_entry(listener) else None
    if there is None:
        return ""
    host, port = there
    return f"{listener.name}://{f'[{host}]' if ':' in host else host}:{port}"


def whole(broker: ConfiguredBroker, name: str, item: str, old: Address | None = None) -> str:
    """The value of a list with another text for one item, or with one item more: alone in its line
    it would take the others' place, and Kafka would not start."""
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
    """Another text for one item; none where the file does not have it as it stands here."""
    if not value.exact or value.text[address.begin : address.end] != address.text:
        return ()
    if "$" in address.text:
        return ()
    return (Edit(value.spot(address.begin), value.spot(address.end), text),)


def without(value: Value, address: Address) -> Edits:
    """The list without one item; none where it is the only one."""
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
    """Whether it is a host alone: no URL, and no port behind it."""
    return parse(host) is not None or not set(host) & set(":/ @[]")


def is_public(host: str) -> bool:
    """Whether it is meant for everybody: no private address, and no name from inside."""
    if not host or not is_host(host) or is_unusable(host, 1):
        return False
    return not is_private(host) and not is_loopback(host) and internal_name(host) is None

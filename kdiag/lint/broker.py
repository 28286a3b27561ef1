"""The configuration of a broker, from properties, Compose or Kubernetes manifests alike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from kdiag.config.properties.names import PROTOCOLS
from kdiag.config.record import NamedTuple
from kdiag.lint.images import Image
from kdiag.lint.observed import ObservedBroker
from kdiag.lint.tree import Scalar, Spot

MAP = "listener.security.protocol.map"
ADVERTISED = "advertised.listeners"
LISTENER_SETTINGS = (
    *("listeners", ADVERTISED, MAP, "inter.broker.listener.name", "controller.listener.names"),
    *("controller.quorum.voters", "controller.quorum.bootstrap.servers", "process.roles"),
)
OLD_SETTINGS = ("advertised.host.name", "advertised.port", "host.name")
# The machine that containers run on, by names that its containers resolve, and it itself too.
DOCKER_HOST = (
    *("host.docker.internal", "gateway.docker.internal", "host.containers.internal"),
    *("docker.for.mac.localhost", "docker.for.win.localhost", "host.minikube.internal"),
)
MAX_LISTENERS = 64  # of one broker that are judged; Kafka's own have a handful

_ADDRESS = re.compile(r"\s*([\w.-]+)://(\[[^\]/]*\]|[^:/\[\]]*):(\d{1,6})\s*\Z")
_DEFAULT = re.compile(r"\$\{\w+:?-([^}]*)\}")
# $VAR, ${VAR}, $(VAR), {{ }}, {% %}, <% %>, <placeholder>, @VAR@, %VAR%, __VAR__, {VAR}
_VARIABLE = re.compile(r"\$[\w{(]|\{[{%]|\}\}|[<>`]|@\w+@|%\w+%|__\w+__|\{\w+\}")


@dataclass(frozen=True)
class Value:
    """The value of one setting, and the place of its first character. `exact` is True if the file
    has every character of the value at its place, so that a part of it can be edited. `implied`
    names the source of a value that the file does not have: the image's default, a file of
    variables."""

    text: str
    start: Spot
    exact: bool
    key: Scalar
    implied: str = ""

    @property
    def opaque(self) -> bool:
        """Whether a part of the value is a variable or a template, so that the final value is
        unknown."""
        return is_variable(interpolated(self.text))

    def spot(self, offset: int) -> Spot:
        """The place of the character at an offset."""
        return Spot(self.start.line, self.start.column + offset) if self.exact else self.start


@dataclass(frozen=True)
class Address:
    """An item of `listeners` or `advertised.listeners`; `begin` and `end` are its offsets in the
    value. `port` is None where it cannot be read as NAME://HOST:PORT."""

    text: str
    begin: int
    end: int
    name: str = ""
    host: str = ""
    port: int | None = None

    @property
    def known(self) -> bool:
        """Whether the host is a literal, and no variable or command."""
        return not is_variable(self.host)


class OtherAddress(NamedTuple):
    """What another broker of the cluster advertises; `own`: the host is that broker's own name."""

    host: str
    port: int
    what: str
    own: bool


class Client(NamedTuple):
    """A service that bootstraps at a port of the broker's container."""

    service: str
    port: int


@dataclass(frozen=True, eq=False)
class ConfiguredBroker:
    """One broker. `what` names it; `settings` are by the names that Kafka has for them, `misspelt`
    what some were called instead.

    `container`: it runs in one. `published` are (port outside, port inside), None where the file
    does not tell what becomes of ports, and `taken` those of services that are no brokers; `names`
    are those that other containers know it by, `hostname` the one it has for itself where that is
    given, `own` its addresses on the containers' network, and
    `neighbours` the others that mention it, `clients` how they bootstrap, `others` the addresses
    of other brokers of its cluster.
    `on_host`: its container has the network of its host. `image_at` is where its image is named;
    `old`: that is of a Kafka before 3.0.

    `depends` names what may change any of its settings and is not in the files, `unseen` what may
    bring further ones: what follows from a setting that is absent is not known then.

    `observed` is the result of a walk that dialled the broker, None without one; `entry_ports` are
    the ports at which the walk bootstrapped.
    """

    what: str
    settings: Mapping[str, Value]
    misspelt: Mapping[str, str]
    container: bool = False
    published: tuple[tuple[int, int], ...] | None = None
    names: frozenset[str] = frozenset()
    neighbours: tuple[str, ...] = ()
    clients: tuple[Client, ...] = ()
    others: tuple[OtherAddress, ...] = ()
    taken: frozenset[int] = frozenset()
    own: frozenset[str] = frozenset()
    hostname: str = ""
    on_host: bool = False
    image: Image | None = None
    image_at: Spot | None = None
    old: bool = False
    depends: str = ""
    unseen: str = ""
    observed: ObservedBroker | None = None
    entry_ports: tuple[int, ...] = ()

    @property
    def node(self) -> int | None:
        """The node id, None where the settings do not have it."""
        value = self.get("node.id") or self.get("broker.id")
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 11 else None

    def is_entry(self, listener: Address) -> bool:
        """Whether a walk bootstrapped at this listener: the listener whose advertised address the
        walk observed, or else the only listener that the port of the walk leads to."""
        if self.observed is None:
            return False
        listeners = self.advertised or self.listeners
        by_address = [
            each.name for each in listeners if (each.host, each.port) == self.observed.advertised
        ]
        ports = {*self.entry_ports, self.observed.advertised.port}
        by_port = [each.name for each in listeners if ports & {each.port, *self.outside(each)}]
        names = by_address or by_port
        return names == [listener.name]

    def get(self, name: str) -> str:
        found = self.settings.get(name)
        return found.text.strip() if found else ""

    def addresses(self, name: str) -> list[Address]:
        """The items of `listeners` or `advertised.listeners`, in order."""
        found = self.settings.get(name)
        return list(islice(_addresses(found.text), MAX_LISTENERS)) if found else []

    @cached_property
    def listeners(self) -> list[Address]:
        return [each for each in self.addresses("listeners") if each.name]

    @cached_property
    def advertised(self) -> list[Address]:
        return [each for each in self.addresses(ADVERTISED) if each.name]

    @cached_property
    def controllers(self) -> list[str]:
        """The names of the controller's listeners."""
        found = self.get("controller.listener.names")
        return [name.strip().upper() for name in found.split(",") if name.strip()]

    @cached_property
    def protocols(self) -> dict[str, str]:
        """Listener name → security protocol, from listener.security.protocol.map."""
        pairs = [each.partition(":") for each in interpolated(self.get(MAP)).split(",")]
        return {name.strip().upper(): protocol.strip().upper() for name, _, protocol in pairs}

    def protocol(self, name: str) -> str:
        """The security protocol of a listener, "" if unknown."""
        known = self.protocols if self.get(MAP) else dict(zip(PROTOCOLS, PROTOCOLS, strict=True))
        return known.get(name, "")

    @property
    def is_broker(self) -> bool:
        """Whether the node serves clients, and is not only a controller."""
        roles = self.get("process.roles")
        return not roles or "broker" in roles

    @property
    def complete(self) -> bool:
        """Whether all settings are known, so that an absent one is certainly not set."""
        return not self.depends and not self.unseen

    @property
    def kafka(self) -> bool:
        """Whether the broker is Apache Kafka itself, whose checks apply to its settings."""
        return self.image is None or self.image.kafka

    @property
    def inter_broker(self) -> str:
        """The name of the listener between brokers, "" if unknown. Without
        inter.broker.listener.name, Kafka uses the listener that is named like the security
        protocol."""
        for name in ("inter.broker.listener.name", "security.inter.broker.protocol"):
            found = self.settings.get(name)
            if found and found.text.strip():
                return "" if found.opaque else found.text.strip().upper()
        return "PLAINTEXT" if self.complete and self.kafka else ""

    def inside(self, advertised: Address) -> int | None:
        """The port that the listener of this name listens on."""
        return next(
            (each.port for each in self.listeners if each.name == advertised.name), advertised.port
        )

    def outside(self, advertised: Address) -> list[int]:
        """The ports by which this listener is reached from outside of its container."""
        port = self.inside(advertised)
        return [out for out, within in self.published or () if within == port]


def is_variable(text: str) -> bool:
    """Whether a text contains a variable, a placeholder or a template."""
    return _VARIABLE.search(text) is not None


def is_filled_in(text: str) -> bool:
    """Whether a tool puts a part of it in before anybody reads it; a placeholder in angle brackets
    stays as it is."""
    return is_variable(text) and not set(text) & set("<>`")


def address(text: str) -> Address:
    """One item of a list of listeners."""
    found = _ADDRESS.match(text)
    if not found:
        return Address(text, 0, len(text))
    name, host, port = found.groups()
    return Address(text, 0, len(text), name.upper(), host.strip("[]"), int(port))


def interpolated(text: str) -> str:
    """Text with the default of every variable that has one: ${HOST:-localhost}."""
    return _DEFAULT.sub(r"\1", text)


def _addresses(text: str) -> Iterator[Address]:
    at = 0
    for item in text.split(","):
        stripped = item.strip()
        begin = at + len(item) - len(item.lstrip())
        at += len(item) + 1
        found = address(interpolated(stripped))
        yield Address(stripped, begin, begin + len(stripped), found.name, found.host, found.port)

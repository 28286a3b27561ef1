"""The brokers among the services of a Compose file."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from kdiag.lint.beside import Beside, env_files
from kdiag.lint.broker import DOCKER_HOST, Client, ConfiguredBroker, interpolated
from kdiag.lint.containers import Container, broker_of
from kdiag.lint.environment import Environment, environment, implied, scalars
from kdiag.lint.tree import Entry, Map, Node, Scalar, compose_services, entries, get, items, text

_PORT = re.compile(
    r"(?:(?P<ip>\[[^\]]*\]|(?:\d+\.){3}\d+):)?(?:(?P<out>[\d-]+):)?(?P<within>[\d-]+)(?:/\w+)?\Z"
)
_MOST_PORTS = 1000  # of one range
_MOST_BROKERS = 1000  # of one Compose file that are judged
_MOST_NEIGHBOURS = 20  # other services that are known to speak of one
_MOST_EXTENDED = 8  # services that one extends, one after another
_TARGET = re.compile(r"(?<!\w)([A-Za-z0-9_](?:[\w.-]{0,253}\w)?):(\d{2,5})\b")
_BOOTSTRAPS = re.compile(
    r"(?i)(?<!quorum_)bootstrap|brokerconnect\Z|brokers?(_?list|_?url|_?addr\w*|_?hosts?)?\Z|kafka_?(hosts?|urls?|addr\w*|server\w*)\Z"
)
_OPTION = re.compile(r"(?:--bootstrap-servers?|--broker-list|--brokers)[\s=]+[\"']?([\w.,:-]+)")


@dataclass(frozen=True)
class _Service:
    """A service with what it extends: `layers` are its own mapping and those of its bases."""

    name: str
    key: Scalar
    layers: tuple[Node, ...]
    elsewhere: str

    def get(self, key: str) -> Node | None:
        return next(
            (found for layer in self.layers if (found := get(layer, key)) is not None), None
        )

    def text(self, key: str) -> str:
        found = self.get(key)
        return found.text if isinstance(found, Scalar) and found.value is not None else ""

    def items(self, key: str) -> list[Node]:
        return [each for layer in self.layers for each in items(layer, key)]


def of_compose(root: Node | None, file: str, beside: Beside) -> Iterator[ConfiguredBroker]:
    """The brokers among the services of a Compose file."""
    services = [_service(root, each, file, beside) for each in entries(compose_services(root))]
    published = {each.name: tuple(_ports(each.items("ports"))) for each in services}
    mentions = _mentions(services)
    brokers = ((each, broker_of(_container(each, file, beside))) for each in services)
    found = list(islice(((each, broker) for each, broker in brokers if broker), _MOST_BROKERS))
    names = {service.name for service, _ in found}
    taken = frozenset(
        out for name, ports in published.items() if name not in names for out, _ in ports
    )
    placed = [
        _placed(broker, each, published[each.name], taken, mentions) for each, broker in found
    ]
    places = Counter(value.start for broker in placed for value in broker.settings.values())
    for broker in placed:  # what several share by an anchor cannot be changed for one of them
        settings = {
            name: replace(value, exact=value.exact and places[value.start] == 1)
            for name, value in broker.settings.items()
        }
        yield replace(broker, settings=settings)


def _service(root: Node | None, each: Entry, file: str, beside: Beside) -> _Service:
    """A service with the services that it extends."""
    layers = [each.value]
    first, elsewhere = file, ""
    while len(layers) <= _MOST_EXTENDED:
        base = get(layers[-1], "extends")
        name = base.text if isinstance(base, Scalar) else text(base, "service")
        path = text(base, "file")
        if not name:
            break
        there = beside.compose_of(file, path) if path else root
        found = get(compose_services(there), name)
        if found is None or found in layers:
            elsewhere = elsewhere or path
            break
        layers.append(found)
        if path:
            root, file = there, path
    return _Service(
        each.key.text, each.key, tuple(layers), elsewhere or beside.over(first, each.key.text)
    )


def _container(service: _Service, file: str, beside: Beside) -> Container:
    image = service.get("image")
    variables, missing = _variables(service, file, beside)
    build = service.get("build")
    context = build.text if isinstance(build, Scalar) else text(build, "context")
    return Container(
        f"service {service.name}",
        interpolated(service.text("image")),
        variables,
        (service.get("entrypoint"), service.get("command")),
        image if isinstance(image, Scalar) else service.key,
        service.elsewhere or missing,
        tuple(_mounted(service)),
        (context or "a Dockerfile") if build is not None else "",
    )


def _variables(service: _Service, file: str, beside: Beside) -> tuple[Environment, str]:
    """The variables of a service, and the first file of variables that is not given. Its own stand
    before those of files, and both before those of what it extends."""
    found: Environment = {}
    missing = ""
    for layer in reversed(service.layers):
        for path in env_files(layer):
            there = beside.variables_of(file, path)
            node = get(layer, "env_file")
            key = Scalar(path, path, node.start, node.start) if node else service.key
            if there is None:
                missing = missing or path
            said = {e.key.text: e.value.text for e in entries(there) if isinstance(e.value, Scalar)}
            found.update(implied(said, key, f"in {path}"))
        found.update(environment(get(layer, "environment")))
    return found, missing


def _placed(
    broker: ConfiguredBroker,
    service: _Service,
    published: tuple[tuple[int, int], ...],
    taken: frozenset[int],
    mentions: _Mentions,
) -> ConfiguredBroker:
    """A broker with what its file says of its network and of its clients."""
    mode = service.text("network_mode")
    networks = service.get("networks")
    names = {service.name, service.text("hostname"), service.text("container_name")} - {""}
    own: set[str] = set()
    for each in entries(networks):
        names |= {node.text for node in items(each.value, "aliases") if isinstance(node, Scalar)}
        own |= {text(each.value, key) for key in ("ipv4_address", "ipv6_address")} - {""}
    on_host = mode == "host"
    reached = {*names, *own}
    return replace(
        broker,
        container=not on_host,
        published=None if mode else published,
        names=frozenset(names),
        neighbours=tuple(mentions.of(reached, service.name)),
        clients=tuple(mentions.clients(reached, service.name, published)),
        taken=taken,
        own=frozenset(own),
        on_host=on_host,
    )


@dataclass(frozen=True)
class _Mentions:
    """Which services speak of which, by the names that they dial or depend on: `dialled` are
    (service, port, whether it bootstraps there) by host."""

    named: Mapping[str, Mapping[str, None]]
    dialled: Mapping[str, Sequence[tuple[str, int, bool]]]
    apart: frozenset[str]  # in the network of the host, or of another container

    def of(self, names: set[str], but: str) -> list[str]:
        """The services, but one, that mention any of these names: the first _MOST_NEIGHBOURS."""
        found: dict[str, None] = {}
        for name in sorted(names):
            found.update(dict.fromkeys(self.named.get(name, ())))
            found.update(dict.fromkeys(service for service, _, _ in self.dialled.get(name, ())))
        return [service for service in found if service != but][:_MOST_NEIGHBOURS]

    def clients(
        self, names: set[str], but: str, published: Sequence[tuple[int, int]]
    ) -> Iterator[Client]:
        """How other services bootstrap: by these names, or by way of the host's own ports."""
        inside = dict(published)
        for name in (*sorted(names), *DOCKER_HOST):
            for service, port, bootstraps in self.dialled.get(name, ()):
                led = inside.get(port) if name in DOCKER_HOST else port
                if bootstraps and service != but and service not in self.apart and led:
                    yield Client(service, led)


def _mentions(services: Sequence[_Service]) -> _Mentions:
    named: dict[str, dict[str, None]] = defaultdict(dict)
    dialled: dict[str, list[tuple[str, int, bool]]] = defaultdict(list)
    for service in services:
        for name in ("depends_on", "links"):
            for each in scalars(service.get(name)):
                named[each.text.partition(":")[0]][service.name] = None
        variables = environment(service.get("environment"))
        said = [(name, value.text) for name, value in variables.items()]
        said += [
            ("", each.text) for n in ("command", "entrypoint") for each in scalars(service.get(n))
        ]
        for name, text_ in said:
            options = ",".join(_OPTION.findall(text_))
            for found in _TARGET.finditer(interpolated(text_)):
                bootstraps = bool(name and _BOOTSTRAPS.search(name)) or found[0] in options.split(
                    ","
                )
                dialled[found[1]].append((service.name, int(found[2]), bootstraps))
    modes = {each.name: each.text("network_mode") for each in services}
    return _Mentions(named, dialled, frozenset(name for name, mode in modes.items() if mode))


def _mounted(service: _Service) -> Iterator[str]:
    """The paths at which something is mounted into a service."""
    for each in (*service.items("volumes"), *service.items("configs")):
        if isinstance(each, Map):
            target = text(each, "target")
            yield target or f"/{text(each, 'source')}"
        elif isinstance(each, Scalar):
            parts = interpolated(each.text).split(":")
            yield parts[1] if len(parts) > 1 else parts[0]


def _ports(published: Sequence[Node]) -> Iterator[tuple[int, int]]:
    """(port outside, port inside) of what a service publishes, ranges included."""
    for each in published:
        if isinstance(each, Map):
            said = f"{text(each, 'published') or text(each, 'target')}:{text(each, 'target')}"
        else:
            said = interpolated(each.text) if isinstance(each, Scalar) else ""
        found = _PORT.match(said.strip())
        if not found or (found["out"] is None and found["ip"] is None):
            continue  # a port outside that Docker chooses
        inside, outside = _range(found["within"]), _range(found["out"] or found["within"])
        yield from zip(outside, inside, strict=False)


def _range(said: str) -> range:
    low, _, high = said.partition("-")
    if not low.isdecimal() or len(low) > 5 or len(high) > 5:
        return range(0)
    return range(int(low), (int(high) if high.isdecimal() else int(low)) + 1)[:_MOST_PORTS]

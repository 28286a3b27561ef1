"""The brokers among the services of a Compose file."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from kdiag.lint.beside import RelatedFiles, env_files, included
from kdiag.lint.broker import (
    DOCKER_HOST,
    Client,
    ConfiguredBroker,
    OtherAddress,
    interpolated,
    is_variable,
)
from kdiag.lint.containers import Container, broker_of
from kdiag.lint.environment import Environment, environment, implied, scalars
from kdiag.lint.tree import (
    NOWHERE,
    Entry,
    Items,
    Map,
    Node,
    Scalar,
    Spot,
    compose_services,
    entries,
    get,
    items,
    text,
)

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
class _Layer:
    """The mapping of a service, and its file; `origin` is that file if it is another one than the
    judged file."""

    node: Node
    file: str
    origin: str = ""


@dataclass(frozen=True)
class _Service:
    """A service, merged with its overrides and the services that it extends: `layers` are the
    mappings, the strongest first. Settings of another file have the place of the reference to that
    file, or NOWHERE."""

    name: str
    key: Scalar
    layers: tuple[_Layer, ...]
    elsewhere: str
    changed: str

    def get(self, key: str) -> Node | None:
        return next(
            (found for layer in self.layers if (found := get(layer.node, key)) is not None), None
        )

    def text(self, key: str) -> str:
        found = self.get(key)
        return found.text if isinstance(found, Scalar) and found.value is not None else ""

    def items(self, key: str) -> list[Node]:
        return [each for layer in self.layers for each in items(layer.node, key)]


def of_compose(root: Node | None, file: str, related: RelatedFiles) -> Iterator[ConfiguredBroker]:
    """The brokers among the services of a Compose file."""
    services = [_service(each, file, related) for each in entries(compose_services(root))]
    own = {each.name for each in services}
    for name, other in related.project(file).items():
        more = (each for each in entries(compose_services(other)) if each.key.text not in own)
        services += [_service(each, name, related) for each in more]
    apart = _undefined(services) if own else ""
    published = {each.name: tuple(_ports(each.items("ports"))) for each in services}
    mentions = _mentions(services)
    if apart and not any(included(root)):
        services = [replace(each, elsewhere=each.elsewhere or apart) for each in services]
    brokers = ((each, broker_of(_container(each, related))) for each in services)
    found = list(islice(((each, broker) for each, broker in brokers if broker), _MOST_BROKERS))
    names = {service.name for service, _ in found}
    taken = frozenset(
        out for name, ports in published.items() if name not in names for out, _ in ports
    )
    placed = [
        _placed(broker, each, published[each.name], taken, mentions)
        for each, broker in found
        if each.name in own
    ]
    placed = [replace(each, others=tuple(_others(each, placed))) for each in placed]
    places = Counter(value.start for broker in placed for value in broker.settings.values())
    for broker in placed:  # what several share by an anchor cannot be changed for one of them
        settings = {
            name: replace(value, exact=value.exact and places[value.start] == 1)
            for name, value in broker.settings.items()
        }
        yield replace(broker, settings=settings)


def _service(each: Entry, file: str, related: RelatedFiles) -> _Service:
    """A service, merged with its namesakes in other files and the services that it extends."""
    joined = related.joined(file, each.key.text)
    layers = [_Layer(each.value, file)]
    if joined.above:
        layers.insert(0, _Layer(_moved(joined.above[1], NOWHERE), joined.above[0], joined.above[0]))
    if joined.below:
        layers.append(_Layer(_moved(joined.below[1], NOWHERE), joined.below[0], joined.below[0]))
    missing = ""
    while len(layers) <= _MOST_EXTENDED:
        last = layers[-1]
        base = get(last.node, "extends")
        name = base.text if isinstance(base, Scalar) else text(base, "service")
        path = text(base, "file")
        if base is None or not name:
            break
        file_named, root = related.compose_of(last.file, path) if path else (last.file, None)
        root = root if path else related.composes.get(file_named)
        found = get(compose_services(root), name)
        if found is None or any(found is layer.node for layer in layers):
            missing = missing or path
            break
        origin = file_named if file_named != file else ""
        layers.append(_Layer(_moved(found, base.start) if origin else found, file_named, origin))
    elsewhere = missing or joined.unknown
    return _Service(each.key.text, each.key, tuple(layers), elsewhere, joined.changed)


def _moved(node: Node, spot: Spot) -> Node:
    """A copy of a node with all its places set to `spot`, because places in another file do not
    apply."""
    if isinstance(node, Scalar):
        return Scalar(node.text, node.value, spot, spot, node.plain, node.block)
    if isinstance(node, Items):
        return Items(spot, tuple(_moved(each, spot) for each in node.items))
    return Map(spot, tuple(
        Entry(Scalar(e.key.text, e.key.value, spot, spot), _moved(e.value, spot))
        for e in node.entries
    ))  # fmt: skip


def _undefined(services: Sequence[_Service]) -> str:
    """Names a missing file if a service depends on one that no file has: `docker compose` needs
    that file as well. "" for none."""
    known = {each.name for each in services}
    for service in services:
        needed = service.get("depends_on")
        for name in [x.key.text for x in entries(needed)] or [
            x.text for x in service.items("depends_on") if isinstance(x, Scalar)
        ]:
            if name not in known:
                return f"the file that has the service {name}"
    return ""


def _container(service: _Service, related: RelatedFiles) -> Container:
    image = service.get("image")
    variables, missing = _variables(service, related)
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
        service.changed,
    )


def _variables(service: _Service, related: RelatedFiles) -> tuple[Environment, str]:
    """The variables of a service, and the first missing file of variables. The service's own
    variables override those of files; both override those of extended services."""
    found: Environment = {}
    missing = ""
    for layer in reversed(service.layers):
        node = get(layer.node, "env_file")
        for path in env_files(layer.node):
            file_variables = related.variables_of(layer.file, path)
            key = Scalar(path, path, node.start, node.start) if node else service.key
            if file_variables is None:
                missing = missing or path
            values = {
                e.key.text: e.value.text
                for e in entries(file_variables)
                if isinstance(e.value, Scalar)
            }
            found.update(implied(values, key, f"in {path}"))
        own = environment(get(layer.node, "environment"))
        origin = f"in {layer.origin}" if layer.origin else ""
        found.update({name: replace(value, implied=origin) for name, value in own.items()})
    return found, missing


def _placed(
    broker: ConfiguredBroker,
    service: _Service,
    published: tuple[tuple[int, int], ...],
    taken: frozenset[int],
    mentions: _Mentions,
) -> ConfiguredBroker:
    """A broker with its network settings and its clients from the file."""
    mode = service.text("network_mode")
    networks = service.get("networks")
    hostname = service.text("hostname")
    names = {service.name, hostname, service.text("container_name")} - {""}
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
        hostname=hostname,
        on_host=on_host,
    )


def _others(
    broker: ConfiguredBroker, brokers: Sequence[ConfiguredBroker]
) -> Iterator[OtherAddress]:
    """The addresses of other brokers of the same cluster: those with their own names, and those
    that they are the first to advertise."""
    cluster, before = _cluster(broker), True
    for other in brokers[:_MOST_NEIGHBOURS] if cluster else ():
        before = before and other.what != broker.what
        if other.node in (None, broker.node) or _cluster(other) != cluster:
            continue
        for address in other.advertised if other.is_broker else ():
            known = address.known and address.host not in {"", *broker.names, *broker.own}
            own = address.host in {*other.names, *other.own}
            if known and address.port and (own or before):
                yield OtherAddress(address.host, address.port, other.what, own)


def _cluster(broker: ConfiguredBroker) -> str:
    """What brokers of one cluster have in common, "" where it is not known."""
    names = (f"controller.quorum.{name}" for name in ("voters", "bootstrap.servers"))
    found = next((each for n in (*names, "zookeeper.connect") if (each := broker.get(n))), "")
    return "" if is_variable(found) or broker.node is None else found


@dataclass(frozen=True)
class _Mentions:
    """Which services refer to which: `named` are dependencies and links by name, `dialled` are
    (service, port, whether it bootstraps there) by host."""

    named: Mapping[str, Mapping[str, None]]
    dialled: Mapping[str, Sequence[tuple[str, int, bool]]]
    apart: frozenset[str]  # in the network of the host, or of another container

    def of(self, names: set[str], but: str) -> list[str]:
        """The services, other than `but`, that refer to any of these names; at most
        _MOST_NEIGHBOURS."""
        found: dict[str, None] = {}
        for name in sorted(names):
            found.update(dict.fromkeys(self.named.get(name, ())))
            found.update(dict.fromkeys(service for service, _, _ in self.dialled.get(name, ())))
        return [service for service in found if service != but][:_MOST_NEIGHBOURS]

    def clients(
        self, names: set[str], but: str, published: Sequence[tuple[int, int]]
    ) -> Iterator[Client]:
        """The services that bootstrap at these names, or at a published port of the Docker host."""
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
        texts = [(name, value.text) for name, value in variables.items()]
        texts += [
            ("", each.text) for n in ("command", "entrypoint") for each in scalars(service.get(n))
        ]
        for name, text_ in texts:
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
    for volume in (*service.items("volumes"), *service.items("configs")):
        if isinstance(volume, Map):
            target = text(volume, "target")
            yield target or f"/{text(volume, 'source')}"
        elif isinstance(volume, Scalar):
            parts = interpolated(volume.text).split(":")
            yield parts[1] if len(parts) > 1 else parts[0]


def _ports(published: Sequence[Node]) -> Iterator[tuple[int, int]]:
    """(port outside, port inside) of what a service publishes, ranges included."""
    for port in published:
        if isinstance(port, Map):
            written = f"{text(port, 'published') or text(port, 'target')}:{text(port, 'target')}"
        else:
            written = interpolated(port.text) if isinstance(port, Scalar) else ""
        match = _PORT.match(written.strip())
        if not match or (match["out"] is None and match["ip"] is None):
            continue  # a port outside that Docker chooses
        inside, outside = _range(match["within"]), _range(match["out"] or match["within"])
        yield from zip(outside, inside, strict=False)


def _range(written: str) -> range:
    low, _, high = written.partition("-")
    if not low.isdecimal() or len(low) > 5 or len(high) > 5:
        return range(0)
    return range(int(low), (int(high) if high.isdecimal() else int(low)) + 1)[:_MOST_PORTS]

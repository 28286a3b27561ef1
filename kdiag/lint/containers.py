"""Brokers in files: server.properties, Docker Compose, Kubernetes manifests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from kdiag.lint.broker import LISTENER_SETTINGS, OLD_SETTINGS, ConfiguredBroker, Value, interpolated
from kdiag.lint.slips import near_to
from kdiag.lint.tree import Map, Node, Scalar, Spot, entries, get, items, text

# What makes a container a broker, and not a client of one.
_TELLING = ("listeners", "advertised.listeners", "advertised.host.name", "process.roles")
_IMAGES = ("apache/kafka", "bitnami/kafka", "bitnamilegacy/kafka", "cp-kafka:", "cp-server:")
_PORT = re.compile(
    r"(?:(?P<ip>\[[^\]]*\]|(?:\d+\.){3}\d+):)?(?:(?P<out>[\d-]+):)?(?P<within>[\d-]+)(?:/\w+)?\Z"
)
_MOST_PORTS = 1000  # of one range
_MOST_BROKERS = 1000  # of one Compose file that are judged
_MOST_NEIGHBOURS = 20  # other services that are known to speak of one
_WORD = re.compile(r"\w+")


def of_properties(root: Node | None) -> ConfiguredBroker | None:
    """The broker of a server.properties."""
    settings = {each.key.text: _value(each.key, each.value) for each in entries(root)}
    known = {name: value for name, value in settings.items() if value}
    return _broker("the broker", known) if known else None


def of_compose(root: Node | None) -> Iterator[ConfiguredBroker]:
    """The brokers among the services of a Compose file."""
    found = list(_services(root))
    places = Counter(value.start for broker in found for value in broker.settings.values())
    for broker in found:  # what several share by an anchor cannot be changed for one of them
        settings = {
            name: replace(value, exact=value.exact and places[value.start] == 1)
            for name, value in broker.settings.items()
        }
        yield replace(broker, settings=settings)


def _services(root: Node | None) -> Iterator[ConfiguredBroker]:
    services, brokers = entries(root, "services"), 0
    mentions = _Mentions({each.key.text: _mentioned(each.value) for each in services})
    for each in services:
        settings = _settings(get(each.value, "environment"))
        image = text(each.value, "image")
        if not _is_broker(settings, image):
            continue
        brokers += 1
        if brokers > _MOST_BROKERS:
            return
        name = each.key.text
        names = {name, text(each.value, "hostname"), text(each.value, "container_name")} - {""}
        others = mentions.of(names, name)
        host = text(each.value, "network_mode") == "host"
        published = None if host else tuple(_ports(items(each.value, "ports")))
        what = f"service {name}"
        yield _broker(what, settings, not host, published, frozenset(names), tuple(others), image)


class _Mentions:
    """Which services speak of which: by the words in what each says, so that looking a name up does
    not read what all of them say."""

    def __init__(self, said: Mapping[str, str]) -> None:
        self._said = said
        self._by_word: dict[str, list[str]] = {}
        for service, text_ in said.items():
            for word in set(_WORD.findall(text_)):
                self._by_word.setdefault(word, []).append(service)

    def of(self, names: Collection[str], but: str) -> list[str]:
        """The services, but one, that mention any of these names: the first _MOST_NEIGHBOURS."""
        found: dict[str, None] = {}
        for name in names:
            words = [self._by_word.get(word, []) for word in _WORD.findall(name)]
            shape = re.compile(rf"\b{re.escape(name)}(:\d|\b)")
            for service in min(words, key=len, default=[]):
                if len(found) >= _MOST_NEIGHBOURS:
                    break
                if service != but and service not in found and shape.search(self._said[service]):
                    found[service] = None
        return [service for service in self._said if service in found] if found else []


def of_workload(root: Node | None) -> Iterator[ConfiguredBroker]:
    """The brokers among the containers of a Kubernetes manifest."""
    spec = get(root, "spec", "template", "spec") or get(root, "spec")
    for container in items(spec, "containers"):
        settings: dict[str, Value] = {}
        for each in items(container, "env"):
            found = get(each, "value")
            name = get(each, "name")
            if isinstance(found, Scalar) and isinstance(name, Scalar):
                value = _value(name, found)
                if value:
                    settings[_property(name.text)] = value
        if _is_broker(settings, text(container, "image")):
            what = f"container {text(container, 'name')}"
            yield _broker(what, settings, True, None, image=text(container, "image"))


def _broker(
    what: str,
    settings: Mapping[str, Value],
    container: bool = False,
    published: tuple[tuple[int, int], ...] | None = None,
    names: frozenset[str] = frozenset(),
    neighbours: tuple[str, ...] = (),
    image: str = "",
) -> ConfiguredBroker:
    """A broker, with its misspelt settings under the names that were meant."""
    misspelt = {
        name: near
        for name in settings
        if name not in LISTENER_SETTINGS and (near := _meant(name, settings))
    }
    meant = {misspelt.get(name, name): value for name, value in settings.items()}
    return ConfiguredBroker(what, meant, misspelt, container, published, names, neighbours, image)


def _meant(name: str, settings: Mapping[str, Value]) -> str:
    """The setting that a misspelt one resembles, "" where it is none of those for listeners."""
    near = near_to(name, [known for known in LISTENER_SETTINGS if known not in settings])
    slip = abs(len(name) - len(near)) < 3 and name.count(".") == near.count(".")
    return near if slip and name not in OLD_SETTINGS else ""


def _is_broker(settings: Mapping[str, Value], image: str) -> bool:
    if any(name in settings for name in _TELLING):
        return True
    return any(known in f"{image}:" for known in _IMAGES) and bool(settings)


def _settings(environment: Node | None) -> dict[str, Value]:
    """Kafka's settings in an environment, written as a mapping or as a list of NAME=VALUE."""
    found: dict[str, Value] = {}
    for each in entries(environment):
        value = _value(each.key, each.value)
        if value and each.key.text.startswith("KAFKA_"):
            found[_property(each.key.text)] = value
    for item in items(environment):
        if not isinstance(item, Scalar) or not item.text.startswith("KAFKA_"):
            continue
        name, separator, said = item.text.partition("=")
        if not separator:
            continue
        whole = _value(item, item)
        start = whole.spot(len(name) + 1) if whole else item.start
        key = Scalar(name, name, whole.spot(0) if whole else item.start, start)
        found[_property(name)] = Value(said, start, bool(whole and whole.exact), key)
    return found


def _property(variable: str) -> str:
    """Kafka's own name: KAFKA_ADVERTISED_LISTENERS, with Bitnami KAFKA_CFG_ADVERTISED_LISTENERS."""
    name = variable.removeprefix("KAFKA_").removeprefix("CFG_").lower()
    return name.replace("___", "-").replace("__", "\0").replace("_", ".").replace("\0", "_")


def _value(key: Scalar, node: Node) -> Value | None:
    if not isinstance(node, Scalar):
        return None
    quoted = 0 if node.plain else 1
    width = node.end.column - node.start.column
    exact = node.end.line == node.start.line and width == len(node.text) + 2 * quoted
    start = Spot(node.start.line, node.start.column + quoted) if exact else node.start
    return Value(node.text, start, exact and not node.block, key)


def _mentioned(service: Node) -> str:
    """Everything that a service says of others: its environment, command and dependencies."""
    said: list[str] = []
    for name in ("environment", "command", "depends_on", "links", "entrypoint"):
        said += _texts(get(service, name))
    return " ".join(said)


def _texts(node: Node | None) -> Iterator[str]:
    if isinstance(node, Scalar):
        yield node.text
    elif isinstance(node, Map):
        for each in node.entries:
            yield each.key.text
            yield from _texts(each.value)
    elif node is not None:
        for item in node.items:
            yield from _texts(item)


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

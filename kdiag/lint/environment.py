"""Kafka's settings in the variables and the command of a container."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from kdiag.lint.broker import Value
from kdiag.lint.images import Image
from kdiag.lint.tree import Map, Node, Scalar, Spot, entries, items

# Variables of Kafka's own scripts, which are no settings.
_SCRIPTS = re.compile(
    r"KAFKA_(VERSION|HOME|DEBUG|HEAP_OPTS|OPTS|JMX_\w+|JVM_PERFORMANCE_OPTS|GC_LOG_OPTS|LOG4J_\w+|"
    r"TOOLS_LOG4J_\w+|CREATE_TOPICS|REST_\w+|CONNECT_\w+|CLUSTERS_\w+)\Z"
)
_BITNAMI = "KAFKA_CFG_"
_ASSIGNMENT = re.compile(
    r"""(?:^|[\s;&])(?:export\s+|--env\s+)?(KAFKA_\w+)=("(?:[^"]*)"|'(?:[^']*)'|[^\s;&"']+)"""
)
_OVERRIDE = re.compile(r"(?:--override[\s=]+|\A)([a-z][\w.]*)=(\S+)")
_REDPANDA = re.compile(r"--(advertise-)?kafka-addr(?:[\s=]+([^\s-]\S*))?")

Environment = dict[str, Value]  # by the variables' names


def value_of(key: Scalar, node: Node | None) -> Value | None:
    """The value of a setting, None for a mapping or a list."""
    if not isinstance(node, Scalar):
        return None
    quoted = 0 if node.plain else 1
    width = node.end.column - node.start.column
    exact = node.end.line == node.start.line and width == len(node.text) + 2 * quoted
    start = Spot(node.start.line, node.start.column + quoted) if exact else node.start
    return Value(node.text, start, exact and not node.block, key)


def environment(node: Node | None) -> Environment:
    """The variables of a container, from a mapping or from a list of NAME=VALUE. A variable without
    a value, which the environment of `docker compose` provides, is `${NAME}`; so is a template
    without quotes, which YAML reads as a mapping."""
    found: Environment = {}
    for variable in entries(node):
        value = value_of(variable.key, variable.value)
        if value is None or (isinstance(variable.value, Scalar) and variable.value.value is None):
            value = Value(f"${{{variable.key.text}}}", variable.value.start, False, variable.key)
        found[variable.key.text] = value
    for item in items(node):
        whole = value_of(item, item) if isinstance(item, Scalar) else None
        if whole is None:
            continue
        name, separator, value_text = whole.text.partition("=")
        start = whole.spot(len(name) + 1)
        key = Scalar(name, name, whole.spot(0), start)
        value_text = value_text if separator else f"${{{name}}}"
        found[name] = Value(value_text, start, whole.exact and bool(separator), key)
    return found


def implied(variables: Mapping[str, str], key: Scalar, origin: str) -> Environment:
    """Variables from another file or the image, at the place of the reference to them."""
    return {
        name: Value(value, key.start, False, Scalar(name, name, key.start, key.start), origin)
        for name, value in variables.items()
    }


def of_command(nodes: Sequence[Node | None]) -> tuple[Environment, dict[str, Value]]:
    """The variables and the settings (--override) in a command."""
    variables: Environment = {}
    settings: dict[str, Value] = {}
    before = ""
    for word in (word for node in nodes for word in scalars(node)):
        whole = value_of(word, word)
        option, before = before == "--override" or "--override" in word.text, word.text.strip()
        for found in _ASSIGNMENT.finditer(word.text) if whole else ():
            quoted = found[2][0] in "\"'"
            value = found[2][1:-1] if quoted else found[2]
            variables[found[1]] = _part(whole, found, value, found.start(2) + quoted)
        for found in _OVERRIDE.finditer(word.text) if whole and option else ():
            settings[found[1]] = _part(whole, found, found[2], found.start(2))
    return variables, settings


def of_redpanda(nodes: Sequence[Node | None]) -> dict[str, Value]:
    """The listeners in the options of `redpanda start`, under Kafka's names."""
    found: dict[str, Value] = {}
    waiting = ""
    for word in (word for node in nodes for word in scalars(node)):
        whole = value_of(word, word)
        if whole is None:
            continue
        if waiting and not word.text.startswith("-"):
            found[waiting] = _addresses(word.text, whole, whole.spot(0), whole.exact)
        waiting = ""
        for option in _REDPANDA.finditer(word.text):
            name = "advertised.listeners" if option[1] else "listeners"
            if option[2]:
                found[name] = _addresses(option[2], whole, whole.spot(option.start(2)), whole.exact)
            elif option.end() == len(word.text):
                waiting = name
    return found


def settings_of(variables: Mapping[str, Value], image: Image | None) -> dict[str, Value]:
    """The settings in variables, as the entry script of an image reads them."""
    found: dict[str, Value] = {}
    for name, value in variables.items():
        own = image.variables.get(name) if image else None
        if own:
            found.setdefault(own, value)
        elif name.startswith("KAFKA_") and not _SCRIPTS.match(name):
            if name.startswith(_BITNAMI) and image and "bitnami" not in image.name:
                continue
            found[property_name(name)] = value
    return found


def property_name(variable: str) -> str:
    """Kafka's property for a variable such as KAFKA_ADVERTISED_LISTENERS or, of Bitnami,
    KAFKA_CFG_ADVERTISED_LISTENERS."""
    name = variable.removeprefix("KAFKA_").removeprefix("CFG_").lower()
    return name.replace("___", "-").replace("__", "\0").replace("_", ".").replace("\0", "_")


def scalars(node: Node | None) -> Iterator[Scalar]:
    """All scalars below a node, keys included."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Map):
        for each in node.entries:
            yield each.key
            yield from scalars(each.value)
    elif node is not None:
        for item in node.items:
            yield from scalars(item)


def command_text(nodes: Sequence[Node | None]) -> str:
    """A command as one line."""
    return " ".join(each.text for node in nodes for each in scalars(node)).strip()


def _part(whole: Value | None, match: re.Match[str], text: str, begin: int) -> Value:
    """The value of an assignment within a command."""
    assert whole
    key = Scalar(match[1], match[1], whole.spot(match.start(1)), whole.spot(match.end(1)))
    return Value(text, whole.spot(begin), whole.exact, key)


def _addresses(written: str, whole: Value, start: Spot, exact: bool) -> Value:
    """Listeners of Redpanda, which need no name, as Kafka writes listeners."""
    named = all("://" in each for each in written.split(","))
    text = written if named else ",".join(_named(each) for each in written.split(","))
    return Value(text, start, exact and named, whole.key)


def _named(address: str) -> str:
    return address if "://" in address else f"DEFAULT://{address}"

"""The brokers in Kubernetes workloads and ConfigMaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kdiag.lint import properties
from kdiag.lint.beside import RelatedFiles
from kdiag.lint.broker import ConfiguredBroker, Value
from kdiag.lint.containers import Container, broker_of, of_properties
from kdiag.lint.environment import Environment, implied, scalars, value_of
from kdiag.lint.images import image_of
from kdiag.lint.tree import Entry, Node, Scalar, entries, get, items, text

_MOST_CONTAINERS = 1000  # of one pod that are judged
_ABOUT = ("KAFKA_", "kafka-server-start", "advertise-kafka-addr", "server.properties")


def pod(root: Node | None) -> Node | None:
    """The pod specification of a workload."""
    paths = (("spec", "jobTemplate", "spec", "template", "spec"), ("spec", "template", "spec"))
    return get(root, *paths[0]) or get(root, *paths[1]) or get(root, "spec")


def is_about_kafka(root: Node | None) -> bool:
    """Whether a workload runs a broker or has broker settings."""
    for container in items(pod(root), "containers"):
        if image_of(text(container, "image")):
            return True
        texts = [text(item, "name") for item in items(container, "env")]
        texts += [item.text for key in ("command", "args") for item in scalars(get(container, key))]
        if any(word in item for item in texts for word in _ABOUT):
            return True
    return False


def configures_kafka(root: Node | None) -> bool:
    """Whether a ConfigMap has broker settings."""
    return any(
        each.key.text.startswith("KAFKA_") or _is_file(each) for each in entries(root, "data")
    )


def of_workload(root: Node | None, related: RelatedFiles) -> Iterator[ConfiguredBroker]:
    """The brokers among the containers of a Kubernetes manifest."""
    spec = pod(root)
    containers = items(spec, "containers")[:_MOST_CONTAINERS]
    for container in containers:
        image = get(container, "image")
        variables, missing = _variables(container, related)
        mounted = dict(_mounted(container, spec))
        found = broker_of(
            Container(
                f"container {text(container, 'name')}",
                text(container, "image"),
                variables,
                (get(container, "command"), get(container, "args")),
                image if isinstance(image, Scalar) else None,
                missing,
                tuple(mounted),
            )
        )
        if found:
            others = (text(each, "name") for each in containers[:2] if each is not container)
            for path, name in mounted.items():  # that file is judged by itself
                known = name and configures_kafka(related.config_maps.get(name))
                if known and f"what is mounted at {path}" in (found.unseen, found.depends):
                    condition = f"whether it reads ConfigMap {name}"
                    found = replace(
                        found,
                        unseen=found.unseen and condition,
                        depends=found.depends and condition,
                    )
            yield replace(found, neighbours=tuple(others))


def of_config_map(root: Node | None) -> Iterator[ConfiguredBroker]:
    """The brokers whose server.properties a ConfigMap has. Scripts may change it before Kafka
    reads it."""
    for file in entries(root, "data"):
        if _is_file(file) and isinstance(file.value, Scalar):
            tree = properties.tree(file.value.text)
            first = file.value.start.line + file.value.block
            settings = {
                setting.key.text: Value(
                    setting.value.text,
                    replace(file.key.start, line=first + setting.key.start.line - 1, column=1),
                    False,
                    replace(setting.key, start=file.key.start, end=file.key.start),
                )
                for setting in tree.entries
                if isinstance(setting.value, Scalar)
            }
            broker = of_properties(tree)
            if broker:
                known = {name: settings.get(name, value) for name, value in broker.settings.items()}
                depends = broker.depends or "what starts Kafka with it"
                yield replace(broker, settings=known, misspelt={}, container=True, depends=depends)


def _is_file(each: Entry) -> bool:
    """Whether an entry of a ConfigMap is a broker's file of properties."""
    content = each.value.text if isinstance(each.value, Scalar) else ""
    return properties.is_broker(each.key.text, content) if "\n" in content else False


def _variables(container: Node, related: RelatedFiles) -> tuple[Environment, str]:
    """The variables of a container, and the first missing ConfigMap or Secret."""
    found: Environment = {}
    missing = ""
    for source in items(container, "envFrom"):
        name = text(source, "configMapRef", "name")
        config_map = related.config_maps.get(name)
        if config_map is None:
            secret = text(source, "secretRef", "name")
            missing = missing or (f"ConfigMap {name}" if name else f"Secret {secret}")
        reference = get(source, "configMapRef", "name")
        prefix = text(source, "prefix")
        values = {
            prefix + e.key.text: e.value.text
            for e in entries(config_map, "data")
            if isinstance(e.value, Scalar)
        }
        if isinstance(reference, Scalar):
            found.update(implied(values, reference, f"in ConfigMap {name}"))
    for variable in items(container, "env"):
        name_, value = get(variable, "name"), get(variable, "value")
        if not isinstance(name_, Scalar):
            continue
        value_ = value_of(name_, value) or _referred(name_, variable, related)
        found[name_.text] = value_
    return found, missing


def _referred(name: Scalar, each: Node, related: RelatedFiles) -> Value:
    """A variable from a ConfigMap key; a placeholder if the ConfigMap was not given."""
    source = get(each, "valueFrom", "configMapKeyRef")
    config_map = related.config_maps.get(text(source, "name"))
    value = get(config_map, "data", text(source, "key"))
    if isinstance(value, Scalar):
        return Value(value.text, name.start, False, name, f"in ConfigMap {text(source, 'name')}")
    return Value(f"$({name.text})", name.start, False, name)


def _mounted(container: Node, spec: Node | None) -> Iterator[tuple[str, str]]:
    """The paths at which files are mounted into a container, with the names of their ConfigMaps, ""
    for a Secret."""
    files = {
        text(each, "name"): text(each, "configMap", "name")
        for each in items(spec, "volumes")
        if get(each, "configMap") is not None or get(each, "secret") is not None
    }
    for each in items(container, "volumeMounts"):
        if text(each, "name") in files:
            yield text(each, "mountPath"), files[text(each, "name")]

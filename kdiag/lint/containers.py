"""Brokers in server.properties, and in containers of Compose and Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

from kdiag.lint.broker import LISTENER_SETTINGS, OLD_SETTINGS, ConfiguredBroker, Value, interpolated
from kdiag.lint.environment import (
    Environment,
    command_text,
    of_command,
    of_redpanda,
    settings_of,
    value_of,
)
from kdiag.lint.images import Image, image_of, is_old, is_other
from kdiag.lint.slips import near_to
from kdiag.lint.tree import Node, Scalar, entries

# What makes a container a broker, and not a client of one.
_TELLING = ("listeners", "advertised.listeners", "advertised.host.name", "process.roles")
_LISTENERS = ("listeners", "advertised.listeners")
_CLIENT = re.compile(  # commands that are no broker, whatever image they run in
    r"\bsleep\b|\btail -f|kafka-(topics|console|configs|acls|storage|verif|reassign|consumer|"
    r"producer|run-class|metadata|cluster|leader|mirror)|\bcub\b|connect-|\bksql|zookeeper|"
    r"create-topics|watch-topic|list-topics|\brpk (topic|cluster|acl|security|registry)"
)
_SCRIPT = re.compile(r"(^|[\s/])[\w.-]+\.(sh|py)\b|^/\S+$")
_REWRITES = re.compile(r"\bsed\b|envsubst|\beval\b|>>|\bsource\b|(^|[\s;&])\. ")
_DIRECT = re.compile(r"\bkafka-server-start(\.sh|\.bat)?\b")
_NO_CONFIGURATION = re.compile(
    r"secret|cert|ssl|jaas|log4j|/data\b|jmx|\.jar|\.jks|\.p12|connect|kraft-logs|client"
)
_MOST_SLIPS = 1000  # settings that are looked up; Kafka itself has some hundreds


@dataclass(frozen=True)
class Container:
    """A container as its file has it, before it is known to be a broker. `elsewhere` names files
    that have settings of it and are not given, `mounted` what is mounted into it, `built` where its
    image is built from. `changed` says what may change any setting of it."""

    what: str
    reference: str
    variables: Environment
    command: tuple[Node | None, ...] = ()
    place: Scalar | None = None  # where the image is named, or the container
    elsewhere: str = ""
    mounted: tuple[str, ...] = ()
    built: str = ""
    changed: str = ""


def of_properties(root: Node | None) -> ConfiguredBroker | None:
    """The broker of a server.properties."""
    settings = {each.key.text: value_of(each.key, each.value) for each in entries(root)}
    known = {name: value for name, value in settings.items() if value}
    broker = configured(ConfiguredBroker("the broker", known, {})) if known else None
    # What a template repeats or leaves out is not known.
    inserted = any(re.search(r"\{%|\{\{|<%|\$\{", each.key.text) for each in entries(root))
    inserted |= any("{%" in value.text or "<%" in value.text for value in known.values())
    return replace(broker, depends="the template") if broker and inserted else broker


def broker_of(container: Container) -> ConfiguredBroker | None:
    """The broker that runs in a container, None for a container of something else."""
    image = image_of(container.reference)
    if is_other(container.reference):
        return None
    command = command_text(container.command)
    started = bool(image and image.starts and re.search(image.starts, command))
    # What starts Kafka itself is given no variables: the entry script of the image reads those.
    direct = bool(_DIRECT.search(command)) and not _REWRITES.search(command)
    assigned, options = of_command(container.command)
    given = {} if direct else settings_of({**container.variables, **assigned}, image)
    given.update(options)
    if image and not image.kafka:
        given = of_redpanda(container.command)
    telling = any(name in given for name in _TELLING[2:])
    telling |= any(
        "://" in given[name].text or given[name].opaque for name in _LISTENERS if name in given
    )
    if image is None and not telling:
        return None
    if (
        command
        and not started
        and (_CLIENT.search(command) or (image and not _SCRIPT.search(command)))
    ):
        return None
    if image and not image.kafka and not given:
        return None
    depends, unseen = _unknown(container, image, command, started)
    if direct and not depends:
        unseen = unseen or "the file that its command starts Kafka with"
    settings = _with_defaults(image, given, container.place, bool(depends or unseen))
    return configured(
        ConfiguredBroker(
            container.what,
            settings,
            {},
            container=True,
            image=image,
            image_at=container.place.start if container.place else None,
            old=image.old if image and image.old else is_old(container.reference),
            depends=depends,
            unseen=unseen,
        )
    )


def configured(broker: ConfiguredBroker) -> ConfiguredBroker:
    """The broker with misspelt settings under the intended names."""
    settings = broker.settings
    listening = (settings.get(name) for name in LISTENER_SETTINGS)
    if broker.complete and any(value.opaque for value in listening if value):
        broker = replace(broker, unseen="its variables")
    unknown = islice((name for name in settings if name not in LISTENER_SETTINGS), _MOST_SLIPS)
    misspelt = {name: near for name in unknown if (near := _meant(name, settings))}
    meant = {misspelt.get(name, name): value for name, value in settings.items()}
    return replace(broker, settings=meant, misspelt=misspelt)


def _unknown(
    container: Container, image: Image | None, command: str, started: bool
) -> tuple[str, str]:
    """What may change any setting of a container, and what may add settings; "" for nothing."""
    mounts = [each for each in container.mounted if _configures(image, each)]
    if container.changed:
        return container.changed, ""
    if container.built:
        return f"the image that is built from {container.built}", ""
    if image is None:
        return f"the image {container.reference}" if container.reference else "its image", ""
    if mounts and image.mount_wins:
        return f"what is mounted at {mounts[0]}", ""
    if command and (not started or _REWRITES.search(command)) and image.kafka:
        return "its command", ""
    return "", container.elsewhere or (f"what is mounted at {mounts[0]}" if mounts else "")


def _configures(image: Image | None, target: str) -> bool:
    """Whether a mounted path may be the broker's configuration."""
    if _NO_CONFIGURATION.search(target):
        return False
    below = (
        any(target == each or target.startswith(f"{each}/") for each in image.mounts)
        if image
        else False
    )
    return below or target.endswith(".properties")


def _with_defaults(
    image: Image | None, given: Mapping[str, Value], place: Scalar | None, changed: bool
) -> dict[str, Value]:
    """The settings of a container, and the defaults of its image."""
    settings = dict(given)
    if image is None or place is None or changed:
        return settings
    origin = f"by default of {image.name}"

    def default(name: str, text: str) -> Value:
        return Value(text, place.start, False, Scalar(name, name, place.start, place.end), origin)

    advertised = given.get("advertised.listeners")
    roles = given.get("process.roles")
    if (
        image.derives
        and advertised
        and "listeners" not in given
        and (roles is None or "broker" in roles.text)
    ):
        listened = re.sub(r"://[^:,]*:", "://0.0.0.0:", interpolated(advertised.text))
        settings["listeners"] = default("listeners", listened)
    if not image.alone or not given:
        zookeeper = "zookeeper.connect" in given  # what is KRaft's has no effect then
        for name, text in image.defaults.items():
            if zookeeper and name == "controller.listener.names":
                continue
            settings.setdefault(name, default(name, text))
    return settings


def _meant(name: str, settings: Mapping[str, Value]) -> str:
    """The setting of listeners that a misspelt name resembles, "" for none."""
    near = near_to(name, [known for known in LISTENER_SETTINGS if known not in settings])
    slip = abs(len(name) - len(near)) < 3 and name.count(".") == near.count(".")
    return near if slip and name not in OLD_SETTINGS else ""

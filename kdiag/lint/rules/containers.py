"""KD641 and KD642, containers: settings that an image needs, and settings in other files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kdiag.lint import remedies
from kdiag.lint.beside import outside
from kdiag.lint.broker import ADVERTISED, ConfiguredBroker
from kdiag.lint.images import absent
from kdiag.lint.rules.advertised import broker_mistake
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed


@rule("KD641", "image-needs-setting", Severity.ERROR, "The image does not start without a setting")
def image_needs_setting(broker: ConfiguredBroker) -> Iterator[Match]:
    """A container lacks a setting without which its image does not start Kafka.

    Confluent's images need KAFKA_ADVERTISED_LISTENERS, and KAFKA_PROCESS_ROLES or
    KAFKA_ZOOKEEPER_CONNECT. Apache's image brings a complete configuration, and uses none of it as
    soon as one KAFKA_ variable is given: KAFKA_PROCESS_ROLES is needed then. wurstmeister's needs
    KAFKA_ZOOKEEPER_CONNECT, and KAFKA_LISTENERS beside KAFKA_ADVERTISED_LISTENERS.

    Prove it: `docker logs CONTAINER` ends with the name of the variable.

    How to fix: set the variable that the report names.
    """
    image = broker.image
    joined = broker.unseen.startswith("whether ") and broker.unseen.endswith(" goes over it")
    if image is None or broker.depends or (broker.unseen and not joined):
        return
    given = {name for name, value in broker.settings.items() if not value.implied.startswith("by")}
    needed = absent(image, given, broker.is_broker)
    if image.old and needed == () and ADVERTISED in given and "listeners" not in given:
        needed = ("listeners",) if "wurstmeister" in image.name else ()
    if needed and broker.image_at:
        names = [f"KAFKA_{name.upper().replace('.', '_')}" for name in needed]
        message = f"its image does not start without {' or '.join(names)}"
        value = _EXAMPLES.get(needed[0], "<value>")
        fix = remedies.setting(needed[0], value, "say")
        level = Severity.WARNING if image.alone else None
        yield replace(
            broker_mistake(broker, message, broker.image_at, fix, level), depends=broker.unseen
        )


@rule(
    "KD642", "settings-elsewhere", Severity.WARNING, "What a broker advertises is in another file"
)
def settings_elsewhere(broker: ConfiguredBroker) -> Iterator[Match]:
    """A container takes settings from a file that was not given, and has no advertised.listeners of
    its own: an `env_file`, a service that it extends, a ConfigMap. Nothing is known of what it
    advertises, neither good nor bad.

    Give that file to kdiag lint as well; what lies below the folder of a Compose file is found.

    Prove it: `docker compose config`, or `kubectl exec POD -- env`.

    How to fix: give kdiag lint the file that it names together with this one.
    """
    advertised = broker.get(ADVERTISED) or broker.get("advertised.host.name")
    judged = broker.unseen.startswith("whether ")  # by itself, or with another file
    if broker.unseen and broker.image_at and broker.is_broker and not (advertised or judged):
        message = f"what it advertises depends on {outside(broker.unseen)}"
        fix = remedies.say(f"Give that to kdiag lint as well: {listed([broker.unseen])}.")
        yield broker_mistake(broker, message, broker.image_at, fix)


_EXAMPLES = {
    ADVERTISED: "PLAINTEXT://<address that clients reach>:9092",
    "process.roles": "broker,controller",
    "zookeeper.connect": "zookeeper:2181",
    "listeners": "PLAINTEXT://:9092",
}

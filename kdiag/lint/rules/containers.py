"""KD641, KD642 and KD645, containers: what an image needs, other files, and other brokers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kdiag.address import is_loopback
from kdiag.lint import remedies
from kdiag.lint.beside import outside
from kdiag.lint.broker import ADVERTISED, ConfiguredBroker
from kdiag.lint.images import absent
from kdiag.lint.rules.advertised import advertised_listeners, broker_mistake
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


@rule(
    "KD645", "address-of-another-broker", Severity.ERROR, "Two brokers advertise the same address"
)
def address_of_another_broker(broker: ConfiguredBroker) -> Iterator[Match]:
    """Two brokers of one cluster in a Compose file advertise the same host and port. It leads to
    one of them: clients and other brokers that ask for the other one reach the wrong broker. With
    ZooKeeper, the second one does not start.

    It is an error with the name of the other broker's service, and with localhost where clients
    use it. Behind another host there may be something that tells them apart: a warning.

    Prove it: `kdiag check` from where the clients are says KD307 or KD308.

    How to fix: advertise an address of its own for each broker.
    """
    taken = {(other.host, other.port): other for other in reversed(broker.others)}
    for listener in advertised_listeners(broker):
        key = (listener.host, listener.address.port or 0)
        if key not in taken or (listener.ports and key[1] not in listener.ports):
            continue  # KD634 has another number
        other = taken[key]
        message = f"{listener.address.name} advertises {key[0]}:{key[1]}, as {other.what} does"
        fix = remedies.setting(ADVERTISED, listener.host_instead(), "advertise instead")
        zookeeper = bool(broker.get("zookeeper.connect"))
        certain = other.own or (is_loopback(key[0]) and (zookeeper or bool(listener.ports)))
        level = None if certain and broker.kafka else Severity.WARNING
        yield broker_mistake(broker, message, listener.spot, fix, level)


_EXAMPLES = {
    ADVERTISED: "PLAINTEXT://<address that clients reach>:9092",
    "process.roles": "broker,controller",
    "zookeeper.connect": "zookeeper:2181",
    "listeners": "PLAINTEXT://:9092",
}

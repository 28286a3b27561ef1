"""KD638 and KD639, settings of a broker that Kafka does not have."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.lint import remedies
from kdiag.lint.broker import ADVERTISED, OLD_SETTINGS, ConfiguredBroker
from kdiag.lint.edit import Edit, Edits, replace
from kdiag.lint.rules.advertised import broker_mistake
from kdiag.lint.tree import Spot
from kdiag.rules.rule import Match, Severity, rule


@rule("KD638", "old-setting", Severity.ERROR, "A setting that Kafka no longer has")
def old_setting(broker: ConfiguredBroker) -> Iterator[Match]:
    """`advertised.host.name`, `advertised.port` and `host.name` are gone since Kafka 3.0: they are
    ignored, and clients are sent to the host's own name instead. `advertised.listeners` says both.

    In images of an older Kafka, as wurstmeister's, they still work, and nothing is said. Where
    neither the image nor the other settings (`process.roles`, `node.id`) tell of a newer one, it is
    a warning.

    Prove it: the broker's log has `advertised.listeners` among its values.

    How to fix: replace the settings by `advertised.listeners=NAME://HOST:PORT`.
    """
    image = broker.image
    old = not image and not _is_new(broker)
    instead_ = f"PLAINTEXT://{broker.get('advertised.host.name') or '<host>'}:"
    instead_ += broker.get("advertised.port") or "9092"
    for name in OLD_SETTINGS:
        found = broker.settings.get(name)
        message = f"{found.key.text} is gone since Kafka 3.0" if found else ""
        refused = image is not None and "cp-kafka" in image.name and name == "advertised.port"
        if not found or not _is_spelt(found.key.text, name) or (old and broker.get(ADVERTISED)):
            continue
        if broker.old and not refused:
            continue  # it works there
        if name == "advertised.port" and broker.get("advertised.host.name") and not refused:
            continue  # goes with the host
        message += ", and this image does not start with it" if refused else ""
        message += ": advertised.listeners has host and port"
        fix = remedies.setting(ADVERTISED, instead_, "write")
        if old:
            fix = remedies.say(
                "An older Kafka reads it: keep it there. A newer one reads listeners and "
                "advertised.listeners."
            )
        edits: Edits = ()
        if name == "advertised.host.name" and not broker.get(ADVERTISED) and not old:
            edits = _modern(broker, instead_)
        harmless = old or (broker.get(ADVERTISED) and not refused)
        yield broker_mistake(
            broker, message, found.key.start, fix, Severity.WARNING if harmless else None, edits
        )


@rule("KD639", "unknown-setting", Severity.ERROR, "A setting is misspelt")
def unknown_setting(broker: ConfiguredBroker) -> Iterator[Match]:
    """A setting resembles one of those for listeners, and is none. Kafka ignores what it does not
    know, with a line in its log, so that what was meant does not happen.

    Prove it: the broker's log has `unknown` and the name.

    How to fix: write the setting as Kafka has it; the report names the nearest one.
    """
    for near in broker.misspelt.values():
        value = broker.settings[near]
        right = _spelt_like(value.key.text, near)
        message = f"{value.key.text}: did you mean {right}?"
        width = value.key.end.column - value.key.start.column
        whole = value.key.end.line == value.key.start.line and width == len(value.key.text)
        edits = (replace(value.key, right),) if whole else ()
        yield broker_mistake(
            broker, message, value.key.start, remedies.say(f"Write {right}."), edits=edits
        )


def _is_spelt(key: str, name: str) -> bool:
    """Whether a key is Kafka's property or its standard variable, and no variable of an image."""
    return key in (name, _spelt_like("KAFKA_", name), _spelt_like("KAFKA_CFG_", name))


def _is_new(broker: ConfiguredBroker) -> bool:
    """Whether the settings are those of Kafka in KRaft mode, which never had the old settings."""
    return any(broker.get(name) for name in ("process.roles", "node.id"))


def _spelt_like(key: str, name: str) -> str:
    """A property in the spelling of `key`: KAFKA_ADVERTISED_LISTENERS."""
    if not key.startswith("KAFKA_"):
        return name
    prefix = "KAFKA_CFG_" if key.startswith("KAFKA_CFG_") else "KAFKA_"
    return prefix + name.upper().replace(".", "_")


def _modern(broker: ConfiguredBroker, text: str) -> Edits:
    """Edits that replace advertised.host.name by advertised.listeners."""
    found = broker.settings["advertised.host.name"]
    if not found.exact or found.key.start.line != found.start.line:
        return ()
    name = _spelt_like(found.key.text, ADVERTISED)
    edits = [
        Edit(found.key.start, found.key.end, name),
        Edit(found.spot(0), found.spot(len(found.text)), text),
    ]
    port = broker.settings.get("advertised.port")
    if port and broker.container:
        return ()  # its line may be one of several in brackets
    if port:
        edits.append(Edit(Spot(port.key.start.line, 1), Spot(port.start.line + 1, 1), ""))
    return tuple(edits)

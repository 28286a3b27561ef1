"""KD631 to KD640, listeners of a broker in properties, Compose and manifests."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.address import internal_name, is_loopback, parse
from kdiag.config.properties.names import PROTOCOLS
from kdiag.lint import remedies
from kdiag.lint.broker import ADVERTISED, MAP, OLD_SETTINGS, Address, ConfiguredBroker
from kdiag.lint.edit import Edit, Edits, replace
from kdiag.lint.rules.advertised import (
    AdvertisedListener,
    advertised_listeners,
    instead,
    is_public,
    told,
    without,
)
from kdiag.lint.slips import near_to
from kdiag.lint.tree import Spot
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed


@rule(
    "KD631",
    "advertised-without-listener",
    Severity.ERROR,
    "It advertises a listener that it has not",
)
def advertised_without_listener(broker: ConfiguredBroker) -> Iterator[Match]:
    """A name in `advertised.listeners` is not in `listeners`, or the listener for other brokers is
    in neither. Kafka does not start: names in `advertised.listeners` must be among those in
    `listeners`.

    Prove it: the broker's log ends with `listener names must be equal to or a subset of`.
    """
    value = broker.settings.get(ADVERTISED)
    names = [each.name for each in broker.listeners]
    if value and names:
        for each in broker.advertised:
            if each.name in names:
                continue
            free = [name for name in names if name not in [a.name for a in broker.advertised]]
            near = near_to(each.name, free)
            said = f"advertises {each.name}, and listens on {listed(names)}"
            edits = _renamed(broker, each, near) if near else ()
            fix = remedies.setting(
                "listeners", f"{each.name}://:{each.port}", "add it, or rename it"
            )
            yield told(broker, said, value.spot(each.begin), fix, edits=edits)
    named = broker.settings.get("inter.broker.listener.name")
    wanted = broker.inter_broker
    if named and names and wanted and wanted not in names and broker.is_broker:
        said = f"brokers are to reach each other by {wanted}, and it listens on {listed(names)}"
        near = near_to(wanted, [name for name in names if name not in broker.controllers])
        edits = (Edit(named.spot(0), named.spot(len(named.text)), near),) if near else ()
        fix = remedies.say("Name a listener that there is.")
        yield told(broker, said, named.start, fix, edits=edits if named.exact else ())


@rule("KD632", "listener-without-protocol", Severity.ERROR, "A listener has no security protocol")
def listener_without_protocol(broker: ConfiguredBroker) -> Iterator[Match]:
    """A listener has a name of its own, and `listener.security.protocol.map` does not say what it
    speaks. Kafka does not start: No security protocol defined for listener.

    Where the map is given, it has to name every listener, the controller's too, and on brokers that
    are no controllers as well. Without the map, the controller's is plaintext, unless another
    listener is not.

    Prove it: the broker's log ends with `No security protocol defined for listener`.
    """
    given = broker.settings.get(MAP)
    mixed = any(broker.protocol(each.name) != "PLAINTEXT" for each in _serving(broker))
    for name, spot in _names(broker):
        speaks = broker.protocol(name)
        by_default = name in broker.controllers and not given and not mixed
        if speaks in PROTOCOLS or by_default:
            continue
        said = f"listener {name} has no security protocol"
        if speaks and given:
            said = f"{name} is to speak {speaks}, which is no security protocol"
            spot = given.spot(given.text.upper().index(f"{name}:"))
        others = "".join(f"{k}:{v}," for k, v in broker.protocols.items() if k not in ("", name))
        value = f"{others}{name}:<{', '.join(PROTOCOLS)}>"
        fix = remedies.setting(MAP, value, "say what it speaks")
        yield told(broker, said, spot, fix, edits=() if speaks else _mapped(broker, name))


@rule("KD633", "controller-advertised", Severity.ERROR, "Clients are sent to the controller")
def controller_advertised(broker: ConfiguredBroker) -> Iterator[Match]:
    """`advertised.listeners` of a broker has the controller's listener, or its port under another
    name. Kafka refuses the first; with the second, clients bootstrap, and then talk to a
    controller, which does not know their requests (KD109).

    Prove it: `kdiag check HOST:PORT`.
    """
    value = broker.settings.get(ADVERTISED)
    if value is None or not broker.is_broker:
        return
    ports = {each.port: each.name for each in broker.listeners if each.name in broker.controllers}
    for each in broker.advertised:
        spot = value.spot(each.begin)
        if each.name in broker.controllers:
            said = (
                f"{each.name} is the controller's: brokers before Kafka 3.9 refuse to advertise it"
            )
            fix = remedies.say("Leave it out of advertised.listeners; clients have no use for it.")
            yield told(broker, said, spot, fix, Severity.WARNING)
        elif each.port in ports and broker.inside(each) != each.port:
            own = broker.inside(each)
            said = f"{each.name} advertises port {each.port}, which is the controller's"
            fix = remedies.say(f"Advertise the port of {each.name}: {own}.")
            edits = instead(value, each, _with_port(each, own))
            yield told(broker, said, spot, fix, edits=edits)


@rule(
    "KD634",
    "published-port-differs",
    Severity.ERROR,
    "The advertised port is not the published one",
)
def published_port_differs(broker: ConfiguredBroker) -> Iterator[Match]:
    """A container publishes its port under another number than the broker advertises, or not at
    all. Clients outside bootstrap at the published port, are sent to the advertised one, and nobody
    listens there.

    Publish `9092:9092`, the same number on both sides, or advertise the number on the left.

    Prove it: `docker port CONTAINER`.
    """
    if broker.published is None or not broker.container:
        return
    for door in advertised_listeners(broker):
        port = door.address.port
        if door.proven:
            continue
        if door.ports and port not in door.ports and _outward(door):
            shown = listed([str(each) for each in door.ports])
            said = f"{door.address.name} advertises port {port}, and is published as {shown}"
            fix = remedies.say(
                f"Advertise port {door.ports[0]}, or publish {port}:{broker.inside(door.address)}."
            )
            edits = instead(door.value, door.address, _with_port(door.address, door.ports[0]))
            yield told(broker, said, door.spot, fix, edits=edits)
        elif not door.ports and _elsewhere(door):
            inside = broker.inside(door.address)
            said = f"{door.address.name} advertises {door.host}:{port}"
            said += f", and port {inside} is not published"
            fix = remedies.say(
                "Publish it:", 'ports:\n  - "{port}:{inside}"', "yaml", port=port, inside=inside
            )
            yield told(broker, said, door.spot, fix)


@rule("KD635", "listener-not-advertised", Severity.WARNING, "A listener is not advertised")
def listener_not_advertised(broker: ConfiguredBroker) -> Iterator[Match]:
    """A listener for clients is not in `advertised.listeners`. Whoever bootstraps by it is told of
    no broker that has it: error 72, LISTENER_NOT_FOUND, or an empty list.

    Prove it: `kdiag check HOST:PORT` with that listener's port.
    """
    value = broker.settings.get("listeners")
    named = [each.name for each in broker.advertised]
    names = [each.name for each in broker.listeners]
    if not value or not named or not broker.is_broker or set(named) - set(names):
        return  # KD631 has names that do not agree
    for each in broker.listeners:
        if each.name not in named and each.name not in broker.controllers:
            said = f"listener {each.name} is not in advertised.listeners: clients cannot use it"
            fix = remedies.setting(
                ADVERTISED, f"{each.name}://<address that clients reach>:{each.port}", "add it"
            )
            yield told(broker, said, value.spot(each.begin), fix)


@rule(
    "KD636",
    "inter-broker-outside",
    Severity.WARNING,
    "Brokers reach each other by the way round outside",
)
def inter_broker_outside(broker: ConfiguredBroker) -> Iterator[Match]:
    """The listener that brokers use among themselves advertises a public address, so that
    replication leaves the network and comes back: it costs traffic and time, and often the way back
    is closed. It is what happens when the only listener is made public to help clients outside.

    Give clients outside a listener of their own, and keep `inter.broker.listener.name` inside.

    Prove it: `kdiag check` from a broker's own host shows where it is sent.
    """
    for door in advertised_listeners(broker):
        public = is_public(door.host) and parse(door.host) is not None  # a name may lead elsewhere
        if door.address.name != broker.inter_broker or not public:
            continue
        if (
            broker.container
            and broker.published is not None
            and len(broker.advertised) == 1
            and not broker.neighbours
        ):
            continue  # a broker alone on its host
        said = f"brokers reach each other by {door.address.name}, which advertises {door.host}"
        fix = remedies.two_listeners(door.address.name, str(door.host), door.address.port or 9092)
        yield told(broker, said, door.spot, fix)


@rule("KD637", "listener-not-readable", Severity.ERROR, "A listener is not NAME://HOST:PORT")
def listener_not_readable(broker: ConfiguredBroker) -> Iterator[Match]:
    """An item of `listeners` or `advertised.listeners` is not of the form NAME://HOST:PORT, or two
    items have one name or one port. Kafka does not start.

    Prove it: the broker's log ends with `Unable to parse`, or `Each listener must have a
    different`.
    """
    for setting in ("listeners", ADVERTISED):
        value = broker.settings.get(setting)
        seen: dict[str, str] = {}
        for each in broker.addresses(setting) if value else ():
            assert value
            spot = value.spot(each.begin)
            fix = remedies.say("Write NAME://HOST:PORT, separated by commas.")
            if not each.name:
                if set(each.said) & set("${}<>%") or not value.text.strip():
                    continue
                said = f"{setting}: {each.said or 'an empty item'} is not NAME://HOST:PORT"
                edits = without(value, each) if not each.said else ()
                yield told(broker, said, spot, fix, edits=edits)
                continue
            keys = [f"name {each.name}"] + [f"port {each.port}"] * (setting == "listeners")
            for key in keys:
                if key in seen and each.port:
                    said = f"{setting}: {each.said} has the {key} of {seen[key]}"
                    yield told(
                        broker, said, spot, remedies.say(f"Give it a {key.split()[0]} of its own.")
                    )
                seen.setdefault(key, each.said)


@rule("KD638", "old-setting", Severity.ERROR, "A setting that Kafka no longer has")
def old_setting(broker: ConfiguredBroker) -> Iterator[Match]:
    """`advertised.host.name`, `advertised.port` and `host.name` are gone since Kafka 3.0: they are
    ignored, and clients are sent to the host's own name instead. `advertised.listeners` says both.

    In images of an older Kafka, as wurstmeister's, they still work: a warning there.

    Prove it: the broker's log has `advertised.listeners` among its values.
    """
    old = "wurstmeister" in broker.image
    for name in OLD_SETTINGS:
        found = broker.settings.get(name)
        if not found or (old and broker.get(ADVERTISED)):
            continue
        said = f"{found.key.text} is gone since Kafka 3.0: advertised.listeners says host and port"
        host = broker.get("advertised.host.name") or "<host>"
        port = broker.get("advertised.port") or "9092"
        fix = remedies.setting(ADVERTISED, f"PLAINTEXT://{host}:{port}", "write")
        edits: Edits = ()
        if name == "advertised.host.name" and not broker.get(ADVERTISED) and not old:
            edits = _modern(broker, f"PLAINTEXT://{host}:{port}")
        if name == "advertised.port" and broker.get("advertised.host.name") and not old:
            continue  # goes with the host
        yield told(broker, said, found.key.start, fix, Severity.WARNING if old else None, edits)


@rule("KD639", "unknown-setting", Severity.ERROR, "A setting is misspelt")
def unknown_setting(broker: ConfiguredBroker) -> Iterator[Match]:
    """A setting resembles one of those for listeners, and is none. Kafka ignores what it does not
    know, with a line in its log, so that what was meant does not happen.

    Prove it: the broker's log has `unknown` and the name.
    """
    for near in broker.misspelt.values():
        value = broker.settings[near]
        right = _spelt_like(value.key.text, near)
        said = f"{value.key.text}: did you mean {right}?"
        width = value.key.end.column - value.key.start.column
        whole = value.key.end.line == value.key.start.line and width == len(value.key.text)
        edits = (replace(value.key, right),) if whole else ()
        yield told(broker, said, value.key.start, remedies.say(f"Write {right}."), edits=edits)


@rule(
    "KD640",
    "listens-on-loopback",
    Severity.ERROR,
    "A container listens where nobody outside of it can come",
)
def listens_on_loopback(broker: ConfiguredBroker) -> Iterator[Match]:
    """`listeners` binds to localhost inside of a container, and its port is published. What arrives
    from outside arrives at the container's own address, where nobody listens.

    Bind to all addresses, `PLAINTEXT://:9092`; what clients are told is `advertised.listeners`.

    Prove it: `docker exec CONTAINER ss -ltn`.
    """
    value = broker.settings.get("listeners")
    if not broker.container or not value:
        return
    for each in broker.listeners:
        if is_loopback(each.host) and broker.outside(each):
            said = f"{each.name} listens on {each.host} inside of the container, and is published"
            fix = remedies.setting(
                "listeners", f"{each.name}://:{each.port}", "bind to all addresses"
            )
            edits = instead(value, each, f"{each.name}://:{each.port}")
            yield told(broker, said, value.spot(each.begin), fix, edits=edits)


def _serving(broker: ConfiguredBroker) -> list[Address]:
    """The listeners for clients and for other brokers."""
    return [each for each in broker.listeners if each.name not in broker.controllers]


def _names(broker: ConfiguredBroker) -> Iterator[tuple[str, Spot]]:
    """Every listener that needs a protocol, and where it is named."""
    value = broker.settings.get("listeners")
    named = {each.name for each in broker.listeners}
    for each in broker.listeners if value else ():
        assert value
        yield each.name, value.spot(each.begin)
    names = broker.settings.get("controller.listener.names")
    for name in broker.controllers if names else ():
        assert names
        if name not in named:
            yield name, names.start


def _mapped(broker: ConfiguredBroker, name: str) -> Edits:
    """The map with one listener more, where all others speak the same."""
    given = broker.settings.get(MAP)
    speak = set(broker.protocols.values())
    if not given or not given.exact or not given.text.strip() or len(speak) != 1:
        return ()
    spot = given.spot(len(given.text.rstrip()))
    return (Edit(spot, spot, f",{name}:{next(iter(speak))}"),)


def _renamed(broker: ConfiguredBroker, address: Address, near: str) -> Edits:
    value = broker.settings[ADVERTISED]
    return instead(value, address, near + address.said[len(address.name) :])


def _with_port(address: Address, port: int | None) -> str:
    return f"{address.said.rpartition(':')[0]}:{port}"


def _outward(door: AdvertisedListener) -> bool:
    """Whether its host is one that clients outside are meant to use."""
    return door.host not in door.broker.names and (
        is_loopback(door.host) or parse(door.host) is not None or internal_name(door.host) is None
    )


def _elsewhere(door: AdvertisedListener) -> bool:
    """Whether it advertises a public host for a port that nobody publishes."""
    return is_public(door.host) and door.broker.published is not None


def _spelt_like(key: str, name: str) -> str:
    """Kafka's name as this file spells names: KAFKA_ADVERTISED_LISTENERS."""
    if not key.startswith("KAFKA_"):
        return name
    prefix = "KAFKA_CFG_" if key.startswith("KAFKA_CFG_") else "KAFKA_"
    return prefix + name.upper().replace(".", "_")


def _modern(broker: ConfiguredBroker, text: str) -> Edits:
    """advertised.listeners in the place of advertised.host.name."""
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

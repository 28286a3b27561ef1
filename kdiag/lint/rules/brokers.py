"""KD631 to KD637 and KD640, listeners of a broker in properties, Compose and manifests."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.address import internal_name, is_loopback, parse
from kdiag.config.properties.names import PROTOCOLS
from kdiag.lint import remedies
from kdiag.lint.broker import ADVERTISED, MAP, Address, ConfiguredBroker
from kdiag.lint.edit import Edit, Edits
from kdiag.lint.rules.advertised import (
    AdvertisedListener,
    advertised_listeners,
    broker_mistake,
    instead,
    is_public,
    whole,
    without,
)
from kdiag.lint.slips import near_to
from kdiag.lint.tree import Spot
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed


@rule(
    "KD631", "advertised-without-listener", Severity.ERROR, "An advertised listener does not exist"
)
def advertised_without_listener(broker: ConfiguredBroker) -> Iterator[Match]:
    """A name in `advertised.listeners` is not in `listeners`, or the listener for other brokers is
    in neither. Kafka does not start: names in `advertised.listeners` must be among those in
    `listeners`.

    Prove it: the broker's log ends with `listener names must be equal to or a subset of`.

    How to fix: add the listener to `listeners`, or remove it from `advertised.listeners`; name in
    `inter.broker.listener.name` one that is in both.
    """
    value = broker.settings.get(ADVERTISED)
    listens = broker.settings.get("listeners")
    if listens is None or listens.opaque or not broker.kafka:
        return
    names = [each.name for each in broker.listeners]
    if value and names:
        for address in broker.advertised:
            if address.name in names or not broker.is_broker:
                continue
            free = [name for name in names if name not in [a.name for a in broker.advertised]]
            near = near_to(address.name, free)
            message = f"advertises {address.name}, and listens on {listed(names)}"
            edits = _renamed(broker, address, near) if near else ()
            line = whole(broker, "listeners", f"{address.name}://:{address.port}")
            fix = remedies.setting("listeners", line, "add it, or rename it")
            yield broker_mistake(broker, message, value.spot(address.begin), fix, edits=edits)
    yield from _nowhere(broker, names)


def _nowhere(broker: ConfiguredBroker, names: list[str]) -> Iterator[Match]:
    """KD631 for an inter-broker listener that the broker does not have."""
    wanted = broker.inter_broker
    if not names or not wanted or wanted in names or not broker.is_broker:
        return
    named = broker.settings.get("inter.broker.listener.name")
    serving = [name for name in names if name not in broker.controllers]
    near = near_to(wanted, serving)
    if named:
        message = f"brokers are to reach each other by {wanted}, and it listens on {listed(names)}"
        spot = named.start
        edits = (Edit(named.spot(0), named.spot(len(named.text)), near),) if near else ()
        edits = edits if named.exact else ()
    else:
        message = (
            f"brokers reach each other by {wanted} where inter.broker.listener.name is absent, "
        )
        message += f"and it listens on {listed(names)}"
        spot, edits = broker.settings["listeners"].start, ()
    name = near or (serving[0] if len(serving) == 1 else "<listener that brokers use>")
    fix = remedies.setting("inter.broker.listener.name", name, "name a listener that there is")
    yield broker_mistake(broker, message, spot, fix, edits=edits)


@rule("KD632", "listener-without-protocol", Severity.ERROR, "A listener has no security protocol")
def listener_without_protocol(broker: ConfiguredBroker) -> Iterator[Match]:
    """A listener has a name of its own, and `listener.security.protocol.map` does not say what it
    speaks. Kafka does not start: No security protocol defined for listener.

    Where the map is given, it has to name every listener, the controller's too, and on brokers that
    are no controllers as well. Without the map, the controller's is plaintext, unless another
    listener is not.

    Prove it: the broker's log ends with `No security protocol defined for listener`.

    How to fix: add `NAME:PROTOCOL` for the listener to `listener.security.protocol.map`.
    """
    given = broker.settings.get(MAP)
    unknown = given.opaque if given else not broker.complete
    if unknown or not broker.kafka:
        return
    secure = any(each.name in PROTOCOLS[1:] for each in broker.listeners)
    by_default = [] if given or secure else broker.controllers
    wrong = {
        name: spot
        for name, spot in _names(broker)
        if broker.protocol(name) not in PROTOCOLS and name not in by_default
    }
    right = [f"{k}:{v}" for k, v in broker.protocols.items() if k and k not in wrong]
    # Once there is a map, it has to name every listener; one without a protocol is a controller's.
    right += [
        f"{x}:{broker.protocol(x) or 'PLAINTEXT'}"
        for x, _ in _names(broker)
        if not given and x not in wrong
    ]
    every = [*dict.fromkeys(right), *(f"{name}:<{', '.join(PROTOCOLS)}>" for name in wrong)]
    fix = remedies.setting(MAP, ",".join(every), "give the protocol of each listener")
    for name, spot in wrong.items():
        speaks = broker.protocol(name)
        message = f"listener {name} has no security protocol"
        if speaks and given:
            message = f"{name} has the protocol {speaks}, which is not a security protocol"
            spot = given.spot(max(0, given.text.upper().find(f"{name}:")))
        yield broker_mistake(
            broker, message, spot, fix, edits=() if speaks else _mapped(broker, name)
        )


@rule("KD633", "controller-advertised", Severity.ERROR, "Clients are sent to the controller")
def controller_advertised(broker: ConfiguredBroker) -> Iterator[Match]:
    """`advertised.listeners` of a broker has the controller's listener, or its port under another
    name. Brokers before Kafka 3.9 refuse the first; with the second, clients bootstrap, and then
    talk to a controller, which does not know their requests (KD109). A number that a container
    publishes for another port of its own is not the controller's; where the file does not tell
    what becomes of ports, it is a warning.

    Prove it: `kdiag check HOST:PORT`.

    How to fix: remove the controller's listener from `advertised.listeners`, and advertise the port
    of a listener for clients.
    """
    value = broker.settings.get(ADVERTISED)
    if value is None or not broker.is_broker:
        return
    ports = {each.port: each.name for each in broker.listeners if each.name in broker.controllers}
    for address in broker.advertised:
        spot = value.spot(address.begin)
        if address.name in broker.controllers:
            message = f"{address.name} is the controller's: brokers before Kafka 3.9 refuse to "
            message += "advertise it"
            fix = remedies.say("Leave it out of advertised.listeners; clients have no use for it.")
            yield broker_mistake(broker, message, spot, fix, Severity.WARNING)
        elif address.port in ports and broker.inside(address) != address.port:
            led = {within for out, within in broker.published or () if out == address.port}
            inward = broker.container and address.host in {*broker.names, *broker.own}
            if led and not led & set(ports) and not inward:
                continue
            own = broker.inside(address)
            message = f"{address.name} advertises port {address.port}, which is the controller's"
            fix = remedies.say(f"Advertise the port of {address.name}: {own}.")
            edits = instead(value, address, _with_port(address, own))
            level = None if inward or led else Severity.WARNING
            yield broker_mistake(broker, message, spot, fix, level, edits)


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

    It is an error with localhost, or another name of the machine that the container runs on. What
    stands before another host, a router or a balancer, the file does not tell: a warning.

    Prove it: `docker port CONTAINER`.

    How to fix: publish the port under the number that the broker advertises, or advertise the
    published number.
    """
    if broker.published is None or not broker.container:
        return
    for listener in advertised_listeners(broker):
        port = listener.address.port
        if listener.proven:
            continue
        if listener.ports and port not in listener.ports and _outward(listener):
            shown = listed([str(each) for each in listener.ports])
            name, inside = listener.address.name, broker.inside(listener.address)
            message = (
                f"{name} advertises port {port}{listener.by_default} and is published as {shown}"
            )
            fix = remedies.say(f"Advertise port {listener.ports[0]}, or publish {port}:{inside}.")
            edits = instead(
                listener.value, listener.address, _with_port(listener.address, listener.ports[0])
            )
            here = is_loopback(listener.host) and port not in broker.taken
            level = None if here else Severity.WARNING
            yield broker_mistake(broker, message, listener.spot, fix, level, edits)
        elif not listener.ports and _elsewhere(listener):
            inside = broker.inside(listener.address)
            message = f"{listener.address.name} advertises {listener.host}:{port}"
            message += f", and port {inside} is not published"
            fix = remedies.say(
                "Publish it:", 'ports:\n  - "{port}:{inside}"', "yaml", port=port, inside=inside
            )
            yield broker_mistake(broker, message, listener.spot, fix, Severity.WARNING)


@rule("KD635", "listener-not-advertised", Severity.WARNING, "A listener is not advertised")
def listener_not_advertised(broker: ConfiguredBroker) -> Iterator[Match]:
    """A listener for clients is not in `advertised.listeners`. A client that bootstraps at it gets
    no broker with that listener: error 72, LISTENER_NOT_FOUND, or an empty list.

    Without the listener that brokers use among themselves it is an error: Kafka does not start,
    inter.broker.listener.name must be a listener name defined in advertised.listeners.

    Prove it: `kdiag check HOST:PORT` with that listener's port.

    How to fix: add the listener to `advertised.listeners` with a host that its clients can reach,
    or remove it from `listeners`.
    """
    value = broker.settings.get("listeners")
    named = [each.name for each in broker.advertised]
    names = [each.name for each in broker.listeners]
    if not value or not named or not broker.is_broker or set(named) - set(names):
        return  # KD631 has names that do not agree
    if value.opaque or (
        broker.settings[ADVERTISED].opaque and len(broker.addresses(ADVERTISED)) != len(named)
    ):
        return
    for address in broker.listeners:
        if address.name not in named and address.name not in broker.controllers and broker.kafka:
            fatal = address.name == broker.inter_broker
            who = "brokers cannot use it among themselves" if fatal else "clients cannot use it"
            message = f"listener {address.name} is not in advertised.listeners: {who}"
            if not fatal and (not broker.complete or address.name == "CONTROLLER"):
                continue  # the image may advertise it, or it is the controller's by default
            item = f"{address.name}://<address that clients reach>:{address.port}"
            fix = remedies.setting(ADVERTISED, whole(broker, ADVERTISED, item), "add it")
            level = Severity.ERROR if fatal else None
            yield broker_mistake(broker, message, value.spot(address.begin), fix, level)


@rule(
    "KD636",
    "inter-broker-outside",
    Severity.WARNING,
    "Brokers reach each other over an external address",
)
def inter_broker_outside(broker: ConfiguredBroker) -> Iterator[Match]:
    """The listener that brokers use among themselves advertises a public address, so that
    replication leaves the network and comes back: it costs traffic and time, and often the path
    back is closed. It is what happens when the only listener is made public to help clients
    outside.

    Give clients outside a listener of their own, and keep `inter.broker.listener.name` inside.

    Prove it: `kdiag check` from a broker's own host shows where it is sent.

    How to fix: add a listener for clients outside, and let `inter.broker.listener.name` name the
    one inside.
    """
    for listener in advertised_listeners(broker):
        public = (
            is_public(listener.host) and parse(listener.host) is not None
        )  # a name may lead elsewhere
        if listener.address.name != broker.inter_broker or not public:
            continue
        if (
            broker.container
            and broker.published is not None
            and len(broker.advertised) == 1
            and not broker.neighbours
        ):
            continue  # a broker alone on its host
        message = (
            f"brokers reach each other by {listener.address.name}, which advertises {listener.host}"
        )
        fix = remedies.two_listeners(
            listener.address.name, str(listener.host), listener.address.port or 9092
        )
        yield broker_mistake(broker, message, listener.spot, fix)


@rule("KD637", "listener-not-readable", Severity.ERROR, "A listener is not NAME://HOST:PORT")
def listener_not_readable(broker: ConfiguredBroker) -> Iterator[Match]:
    """An item of `listeners` or `advertised.listeners` is not of the form NAME://HOST:PORT, or two
    items have one name or one port. Kafka does not start.

    Images that make `listeners` of `advertised.listeners` need ports of their own there as well,
    where `listeners` is not given.

    Prove it: the broker's log ends with `Unable to parse`, or `Each listener must have a
    different`.

    How to fix: write each item as NAME://HOST:PORT, with a name and a port of its own, separated by
    commas.
    """
    derived = broker.image is not None and broker.image.derives and broker.is_broker
    listens = broker.settings.get("listeners")
    derived = derived and listens is not None and listens.implied.startswith("by")
    for setting in ("listeners", ADVERTISED) if broker.kafka else ():
        value = broker.settings.get(setting)
        seen: dict[str, Address] = {}
        judged = value is not None and not value.implied.startswith("by")
        judged = judged and (setting == "listeners" or broker.is_broker)
        for address in broker.addresses(setting) if judged else ():
            assert value
            spot = value.spot(address.begin)
            fix = remedies.say("Write NAME://HOST:PORT, separated by commas.")
            if not address.name:
                if value.opaque or not value.text.strip():
                    continue
                message = f"{setting}: {address.text or 'an empty item'} is not NAME://HOST:PORT"
                edits = without(value, address) if not address.text else ()
                yield broker_mistake(broker, message, spot, fix, edits=edits)
                continue
            bound = setting == "listeners" or derived
            keys = [f"name {address.name}"] + [f"port {address.port}"] * bound
            for key in keys:
                other = seen.setdefault(key, address)
                apart = key.startswith("port") and (
                    not address.port or _two_families(address, other)
                )
                if other is not address and not apart:
                    message = f"{setting}: {address.text} has the {key} of {other.text}"
                    fix = remedies.say(f"Give it a {key.split()[0]} of its own.")
                    yield broker_mistake(broker, message, spot, fix)


@rule(
    "KD640",
    "listens-on-loopback",
    Severity.ERROR,
    "A container listens on its loopback address only",
)
def listens_on_loopback(broker: ConfiguredBroker) -> Iterator[Match]:
    """`listeners` binds to localhost inside of a container, and its port is published. What arrives
    from outside arrives at the container's own address, where nobody listens.

    Bind to all addresses, `PLAINTEXT://:9092`; clients get the addresses in `advertised.listeners`.

    Prove it: `docker exec CONTAINER ss -ltn`.

    How to fix: bind to all addresses, `listeners=PLAINTEXT://:9092`, and keep in
    `advertised.listeners` what clients dial.
    """
    value = broker.settings.get("listeners")
    if not broker.container or not value:
        return
    for address in broker.listeners:
        if is_loopback(address.host) and broker.outside(address):
            message = f"{address.name} listens on {address.host} inside of the container"
            message += ", and is published"
            line = whole(broker, "listeners", f"{address.name}://:{address.port}", address)
            fix = remedies.setting("listeners", line, "bind to all addresses")
            edits = instead(value, address, f"{address.name}://:{address.port}")
            yield broker_mistake(broker, message, value.spot(address.begin), fix, edits=edits)


def _two_families(one: Address, other: Address) -> bool:
    """Whether two listeners have an IPv4 and an IPv6 address, which may share a port."""
    versions = {found.version for each in (one, other) if (found := parse(each.host))}
    return len(versions) == 2


def _names(broker: ConfiguredBroker) -> Iterator[tuple[str, Spot]]:
    """The listeners that need a security protocol, and their places."""
    value = broker.settings.get("listeners")
    named = {each.name for each in broker.listeners}
    for each in broker.listeners if value else ():
        assert value
        yield each.name, value.spot(each.begin)
    names = broker.settings.get("controller.listener.names")
    for name in broker.controllers if names and not names.opaque else ():
        assert names
        if name not in named:
            yield name, names.start


def _mapped(broker: ConfiguredBroker, name: str) -> Edits:
    """Edits that add a listener to the map, if all others have the same protocol."""
    given = broker.settings.get(MAP)
    speak = set(broker.protocols.values())
    if not given or not given.exact or not given.text.strip() or "$" in given.text:
        return ()
    if len(speak) != 1:
        return ()
    spot = given.spot(len(given.text.rstrip()))
    return (Edit(spot, spot, f",{name}:{next(iter(speak))}"),)


def _renamed(broker: ConfiguredBroker, address: Address, near: str) -> Edits:
    value = broker.settings[ADVERTISED]
    return instead(value, address, near + address.text[len(address.name) :])


def _with_port(address: Address, port: int | None) -> str:
    return f"{address.text.rpartition(':')[0]}:{port}"


def _outward(listener: AdvertisedListener) -> bool:
    """Whether the host is meant for clients outside. None is said: the container's own name."""
    host = listener.host
    if not host or host in listener.broker.names:
        return False
    return is_loopback(host) or parse(host) is not None or internal_name(host) is None


def _elsewhere(listener: AdvertisedListener) -> bool:
    """Whether it advertises a public host for a port that nobody publishes. A name that containers
    know is theirs, however public it looks."""
    broker = listener.broker
    inner = listener.host in {*broker.names, *broker.own}
    return is_public(listener.host) and broker.published is not None and not inner

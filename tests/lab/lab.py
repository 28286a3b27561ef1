"""A cluster that runs, where the client stands, and the network between them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.client import Client
from tests.lab.kafka import VERSION, Kafka
from tests.lab.listeners import LISTENERS, NODES, PORTS, USERS
from tests.lab.network import HOMES, PUBLICS, Network


@dataclass(frozen=True)
class Lab:
    """`administrator` may do all and stands beside broker 1; `aws` is None on loopback.

    Two labs never meet: on loopback they differ in address, else each has a network of its own.
    """

    kafka: Kafka
    client: Client
    administrator: Client
    aws: Network | None = None

    def at(self, listener: str, node: int = 1) -> str:
        """The address of a broker's listener as it is known outside."""
        return f"{self.kafka.publics[node - 1]}:{PORTS[listener]}"

    def every(self, listener: str) -> str:
        """The addresses of all brokers' listeners, as a list of bootstrap servers."""
        return ",".join(self.at(listener, node) for node in NODES)

    def properties(self, listener: str, **more: str) -> dict[str, str]:
        """The client properties that a listener wants, in librdkafka's spelling; `more` may
        change them, with _ for each dot. alice logs in by PLAIN unless they say otherwise."""
        protocol = next(x.protocol for x in LISTENERS if x.name == listener)
        given = {"security.protocol": protocol}
        if "SSL" in protocol:
            given["ssl.ca.location"] = str(self.kafka.certificates / "ca.pem")
        if "SASL" in protocol:
            given |= {"sasl.mechanism": "PLAIN", **self.login("alice")}
        return given | {name.replace("_", "."): value for name, value in more.items()}

    def login(self, user: str) -> dict[str, str]:
        """The client properties that say who logs in."""
        return {"sasl.username": user, "sasl.password": USERS[user]}

    def identity(self, name: str) -> dict[str, str]:
        """The client properties for a certificate of certificates.py: client, stranger."""
        path = str(self.kafka.certificates / f"{name}.pem")
        return {"ssl.certificate.location": path, "ssl.key.location": path}

    @property
    def network(self) -> Network:
        """The made-up AWS."""
        assert self.aws
        return self.aws

    def ask(self, command: str, *arguments: str) -> object:
        """What one of tools.py's commands prints, run by the administrator."""
        server = f"{self.kafka.homes[0]}:{PORTS['INTERNAL']}"
        return self.administrator.tool(command, server, *arguments)

    @contextmanager
    def running(self) -> Iterator[Lab]:
        """The cluster is up and prepared."""
        try:
            self.kafka.start()
            try:
                self.ask("prepare")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.kafka.last_words()}") from None
            yield self
        finally:
            self.kafka.stop()


def own_addresses() -> tuple[str, str, str]:
    """Three addresses of this machine that no other run has."""
    subnet = f"127.{random.randint(16, 250)}.{random.randint(0, 255)}"
    return f"{subnet}.1", f"{subnet}.2", f"{subnet}.3"


@contextmanager
def on_loopback(folder: Path, version: str = VERSION) -> Iterator[Lab]:
    """A cluster on loopback, of that version of Kafka."""
    addresses = own_addresses()
    cluster = Kafka(folder, addresses, addresses, version=version)
    with Lab(cluster, Client(), Client()).running() as lab:
        yield lab


@contextmanager
def in_aws(folder: Path) -> Iterator[Lab]:
    """A cluster in the made-up AWS, and a client on the laptop."""
    network = Network(folder)
    try:
        network.start()
        inside = tuple(instance.inside for instance in network.instances)
        cluster = Kafka(folder, HOMES, PUBLICS, inside)
        laptop, instance = Client(network.laptop.inside), Client(inside[0])
        with Lab(cluster, laptop, instance, network).running() as lab:
            lab.ask("coordinator")
            yield lab
    finally:
        network.stop()

"""A cluster that runs, where the client stands, and the network between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.lab.client import Client
from tests.lab.kafka import Kafka
from tests.lab.listeners import NODES, PORTS
from tests.lab.network import Network


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

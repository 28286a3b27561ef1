"""A made-up AWS in network namespaces: a laptop, an internet gateway, a VPC with three instances.

    laptop 203.0.113.10 -- 203.0.113.1 igw 10.0.1.1 -- bridge vpc -- b1 b2 b3 10.0.1.11 to .13

The gateway translates 3.10.139.221 to .223 to the instances and back, as elastic addresses are;
its set `open` is the security group, its chain `case` takes a test's own rules. NodePorts lead from
every public address to the brokers' NODEPORT listener: the bootstrap's to any, 3200N to broker N.
A private address that the laptop dials vanishes at the gateway, as on the internet.

A namespace has no name and lives in a process, so nothing is left behind, however a run ends. The
resolver in it is the gateway's, which knows the names of `NAMES` and no others: no query leaves.
"""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.certificates import DOMAIN
from tests.lab.listeners import NODE_PORT, NODES, PORTS
from tests.lab.processes import ROOT, end, spawn

LAPTOP, GATEWAY, VPC_GATEWAY = "203.0.113.10", "203.0.113.1", "10.0.1.1"
HOMES = ("10.0.1.11", "10.0.1.12", "10.0.1.13")
PUBLICS = ("3.10.139.221", "3.10.139.222", "3.10.139.223")
NAMES = {
    DOMAIN: PUBLICS,
    **{f"b{n}.{DOMAIN}": (PUBLICS[n - 1],) for n in NODES},
    f"dual.{DOMAIN}": ("2001:db8::221", PUBLICS[0]),  # and there is no way to IPv6
}
EVERY_PORT = "1-65535"

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass
class Namespace:
    """A network of its own, with a resolver of its own, for as long as its process lives."""

    process: subprocess.Popen[bytes]

    @property
    def inside(self) -> tuple[str, ...]:
        """The prefix that runs a command in here, from the repository's root."""
        target = f"--target={self.process.pid}"
        return ("nsenter", target, "--net", "--mount", f"--wd={ROOT}", "--")

    def run(self, *command: str, stdin: str = "") -> str:
        """What a command prints that runs in here; raises when it fails."""
        done = subprocess.run(
            [*self.inside, *command], input=stdin, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def listening(self, port: int) -> socket.socket:
        """A socket on loopback in here, for a server that runs outside."""
        return self._made(lambda: socket.create_server(("127.0.0.1", port)))

    def connected(self, port: int) -> socket.socket:
        """A connection to a server on loopback in here, for a client that runs outside."""
        return self._made(lambda: socket.create_connection(("127.0.0.1", port), 30))

    def _made(self, make: Callable[[], socket.socket]) -> socket.socket:
        """A socket that is made in here. Raises OSError."""
        made: list[socket.socket | OSError] = []

        def enter() -> None:  # this thread alone
            try:
                with Path(f"/proc/{self.process.pid}/ns/net").open() as net:
                    if _LIBC.setns(net.fileno(), _NEW_NETWORK) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                made.append(make())
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        (found,) = made
        if isinstance(found, OSError):
            raise found
        return found

    def ip(self, lines: str) -> None:
        """Runs a batch of iproute2 commands."""
        self.run("ip", "-batch", "-", stdin=lines)


@dataclass
class Network:
    """The namespaces, and what a test may change in them."""

    folder: Path
    laptop: Namespace = field(init=False)
    gateway: Namespace = field(init=False)
    instances: tuple[Namespace, ...] = field(init=False)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Builds all of it; `stop` takes it down, also when this fails half way."""
        resolver = self.folder / "resolv.conf"
        resolver.write_text(f"nameserver {GATEWAY}\noptions timeout:2 attempts:2\n")
        self.laptop = self._namespace(resolver)
        self.gateway = self._namespace(resolver)
        self.instances = tuple(self._namespace(resolver) for _ in NODES)
        self.gateway.ip(
            f"link add wan type veth peer name eth0 netns {self.laptop.process.pid}\n"
            f"addr add {GATEWAY}/24 dev wan\nlink set wan up\n"
            f"link add vpc type bridge\naddr add {VPC_GATEWAY}/24 dev vpc\nlink set vpc up\n"
        )
        self.laptop.ip(_up(LAPTOP, GATEWAY))
        for node, instance in zip(NODES, self.instances, strict=True):
            self.gateway.ip(
                f"link add port{node} type veth peer name eth0 netns {instance.process.pid}\n"
                f"link set port{node} master vpc\nlink set port{node} up\n"
            )
            instance.ip(_up(HOMES[node - 1], VPC_GATEWAY))
        self.gateway.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.gateway.run("nft", "-f", "-", stdin=_rules())
        zone = [f"{name}={','.join(addresses)}" for name, addresses in NAMES.items()]
        names = [*self.gateway.inside, sys.executable, "-m", "tests.lab.names", GATEWAY, *zone]
        self._ready(names)

    def stop(self) -> None:
        """Ends the processes, and with them the namespaces."""
        for process in reversed(self._processes):
            end(process)

    @contextmanager
    def only_open(self, ports: str) -> Iterator[None]:
        """The security group lets these ports in and no others: `1-9093, 9095-65535`."""
        change = "flush set ip sg open; add element ip sg open {{ {} }}"
        self.gateway.run("nft", change.format(ports))
        try:
            yield
        finally:
            self.gateway.run("nft", change.format(EVERY_PORT))

    @contextmanager
    def rule(self, rule: str) -> Iterator[None]:
        """The gateway has one more rule for what the laptop sends to the instances."""
        self.gateway.run("nft", f"add rule ip sg case {rule}")
        try:
            yield
        finally:
            self.gateway.run("nft", "flush chain ip sg case")

    @contextmanager
    def answers(self, rule: str) -> Iterator[None]:
        """The gateway has a rule for what the instances send to the laptop."""
        chain = "add table ip back; add chain ip back out { type filter hook forward priority 0; }"
        self.gateway.run("nft", f'{chain}; add rule ip back out oifname "wan" {rule}')
        try:
            yield
        finally:
            self.gateway.run("nft", "delete table ip back")

    @contextmanager
    def deaf_resolver(self) -> Iterator[None]:
        """The laptop's resolver gets no query."""
        deaf = "add table ip deaf; add chain ip deaf in { type filter hook input priority 0; }; "
        self.gateway.run("nft", deaf + "add rule ip deaf in udp dport 53 drop")
        try:
            yield
        finally:
            self.gateway.run("nft", "delete table ip deaf")

    def _namespace(self, resolver: Path) -> Namespace:
        hold = 'mount --bind "$0" /etc/resolv.conf && ip link set lo up && echo && exec sleep inf'
        new = ["unshare", "--net", "--mount", "--propagation", "private"]
        return Namespace(self._ready([*new, "sh", "-ec", hold, str(resolver)]))

    def _ready(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Starts a process that stays, and waits for the line by which it says that it is ready."""
        process = spawn(command, subprocess.PIPE, subprocess.PIPE)
        self._processes.append(process)
        assert process.stdout and process.stderr
        if not process.stdout.readline():
            raise AssertionError(f"{command}: {process.stderr.read().decode(errors='replace')}")
        return process


def _up(address: str, gateway: str) -> str:
    up = f"addr add {address}/24 dev eth0\nlink set eth0 up\n"
    return f"{up}route add default via {gateway}\n"


def _rules() -> str:
    door = PORTS["NODEPORT"]
    public = f"{{ {', '.join(PUBLICS)} }}"
    any_broker = ", ".join(f"{n} : {home}" for n, home in enumerate(HOMES))
    node_ports = "\n".join(
        f"    ip daddr {public} tcp dport {NODE_PORT + n} dnat to {HOMES[n - 1]}:{door}"
        for n in NODES
    )
    inward = "\n".join(
        f"    ip daddr {public} dnat to {home}" for home, public in zip(HOMES, PUBLICS, strict=True)
    )
    outward = "\n".join(
        f'    ip saddr {home} oifname "wan" snat to {public}'
        for home, public in zip(HOMES, PUBLICS, strict=True)
    )
    return f"""
table ip nat {{
  chain dnat_in {{
    type nat hook prerouting priority -100
    ip daddr {public} tcp dport {NODE_PORT} dnat to numgen inc mod 3 map {{ {any_broker} }}:{door}
{node_ports}
{inward}
  }}
  chain snat_out {{
    type nat hook postrouting priority 100
{outward}
  }}
}}
table ip sg {{
  set open {{ type inet_service; flags interval; elements = {{ {EVERY_PORT} }}; }}
  chain case {{ }}
  chain inbound {{
    type filter hook forward priority 0
    iifname "wan" jump case
    iifname "wan" ct state established,related accept
    iifname "wan" ct status dnat tcp dport @open accept
    iifname "wan" drop
  }}
}}
"""

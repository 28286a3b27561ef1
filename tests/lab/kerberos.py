"""Kerberos: a realm, a broker of one node that takes its tickets, and a client whose build can."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.client import Client, Report
from tests.lab.kafka import JAVA, cache, errors, formatted, jars
from tests.lab.lab import own_addresses
from tests.lab.needs import lacking
from tests.lab.processes import ROOT, end, spawn

REALM, SERVICE = "KDIAG.TEST", "kafka"
KDC_PORT, CONTROLLER_PORT, PLAIN_PORT, PORT, SECOND_PORT = 8888, 9090, 9092, 9093, 9094
PATIENCE = 30.0  # seconds

_REALM = """
[libdefaults]
  default_realm = {realm}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
[realms]
  {realm} = {{
    kdc = {address}:{port}
  }}
"""
_KDC = """
[kdcdefaults]
  kdc_listen = {address}:{port}
  kdc_tcp_listen = {address}:{port}
[realms]
  {realm} = {{
    database_name = {folder}/principals
    key_stash_file = {folder}/stash
  }}
"""
_BROKER = """
node.id=1
process.roles=broker,controller
controller.quorum.voters=1@{address}:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
listeners=CONTROLLER://{address}:{controller},PLAIN://{address}:{plain},\
  KERBEROS://{address}:{port},OTHER://{other}:{second}
advertised.listeners=PLAIN://{address}:{plain},KERBEROS://{address}:{port},OTHER://{other}:{second}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT,\
  KERBEROS:SASL_PLAINTEXT,OTHER:SASL_PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
auto.create.topics.enable=true
"""
_LOGIN = """
listener.name.{listener}.sasl.enabled.mechanisms=GSSAPI
listener.name.{listener}.sasl.kerberos.service.name={service}
listener.name.{listener}.gssapi.sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule \
  required useKeyTab=true storeKey=true keyTab="{folder}/broker.keytab" \
  principal="{service}/{address}@{realm}";
"""


@dataclass(frozen=True)
class Kerberos:
    """The broker, with an empty topic `orders`; `alice` and `gone` have keytabs, and the realm has
    forgotten `gone`. It knows the broker by its `address`, and not by the `other` one."""

    folder: Path
    address: str
    other: str
    build: Path

    def check(self, *arguments: str, given: Mapping[str, str], server: str = "") -> Report:
        """`kdiag check` of the listener that wants a ticket, by a client with Kerberos."""
        login = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "GSSAPI"}
        variables = self.variables | {"PYTHONPATH": f"{self.build}{os.pathsep}{ROOT}"}
        return Client().check(
            server or f"{self.address}:{PORT}",
            *arguments,
            given=login | {**given},
            folder=ROOT,
            **variables,
        )

    def keytab(self, name: str) -> dict[str, str]:
        """The client properties of a principal with its keytab."""
        path = str(self.folder / f"{name}.keytab")
        return {"sasl.kerberos.keytab": path, "sasl.kerberos.principal": name}

    def ticket(self, name: str) -> None:
        """Gets that principal a ticket, as its user does before starting a client."""
        self._run("kinit", "-k", "-t", str(self.folder / f"{name}.keytab"), name)

    def no_ticket(self) -> None:
        """Throws away what tickets there are."""
        self._run("kdestroy", "-A")

    def tool(self, *arguments: str) -> object:
        """What one of tools.py's commands prints, where no login is needed."""
        command, *others = arguments
        return Client().tool(command, f"{self.address}:{PLAIN_PORT}", *others)

    def errors(self) -> list[str]:
        """What the broker has logged as an error so far."""
        return errors(self.folder / "broker.log")

    @property
    def variables(self) -> dict[str, str]:
        """The environment that leads to the realm."""
        files = {"KRB5_CONFIG": "krb5.conf", "KRB5_KDC_PROFILE": "kdc.conf"}
        found = {name: str(self.folder / file) for name, file in files.items()}
        return found | {"KRB5CCNAME": f"FILE:{self.folder}/tickets"}

    def administer(self, *query: str) -> None:
        """One command of kadmin."""
        self._run("kadmin.local", "-q", " ".join(query))

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def make_realm(self) -> None:
        """The realm's database, its principals and their keytabs."""
        names = {"realm": REALM, "address": self.address, "port": KDC_PORT, "folder": self.folder}
        (self.folder / "krb5.conf").write_text(_REALM.format(**names))
        (self.folder / "kdc.conf").write_text(_KDC.format(**names))
        self._run("kdb5_util", "create", "-s", "-P", "of-the-realm", "-r", REALM)
        broker = f"{SERVICE}/{self.address}"
        for principal, keytab in ((broker, "broker"), ("alice", "alice"), ("gone", "gone")):
            self.administer("addprinc", "-randkey", principal)
            self.administer("ktadd", "-k", f"{self.folder}/{keytab}.keytab", principal)
        self.administer("delprinc", "-force", "gone")

    def make_broker(self) -> None:
        """Its configuration and its storage."""
        ports = {
            "port": PORT,
            "plain": PLAIN_PORT,
            "controller": CONTROLLER_PORT,
            "second": SECOND_PORT,
        }
        names = {"address": self.address, "other": self.other, "folder": self.folder}
        logins = (
            _LOGIN.format(**names, listener=listener, service=SERVICE, realm=REALM)
            for listener in ("kerberos", "other")
        )
        (self.folder / "broker.properties").write_text(
            "".join((_BROKER.format(**names, **ports), *logins))
        )
        formatted(self.folder / "data")

    @property
    def java(self) -> tuple[str, ...]:
        """Java, with Kafka's classes, in the realm."""
        realm = f"-Djava.security.krb5.conf={self.folder}/krb5.conf"
        return (*JAVA, realm, "-cp", f"{jars()}/*")


@contextmanager
def kerberos(folder: Path) -> Iterator[Kerberos]:
    """Starts the realm's key server and the broker, and ends them."""
    realm = Kerberos(folder, *own_addresses()[:2], client_with_kerberos())
    realm.make_realm()
    realm.make_broker()
    properties = str(folder / "broker.properties")
    commands = {
        "kdc": ("env", *(f"{k}={v}" for k, v in realm.variables.items()), "krb5kdc", "-n"),
        "broker": (*realm.java, "kafka.Kafka", properties),
    }
    running = []
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("wb") as log:
                running.append(spawn(command, log, log))
            if name == "kdc":
                _wait_for_tickets(realm)
        realm.tool("create", "orders")
        yield realm
    finally:
        for process in running:
            end(process)


def _wait_for_tickets(realm: Kerberos) -> None:
    """Returns when the key server answers, with no ticket left."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            realm.ticket("alice")
        except AssertionError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
        else:
            return realm.no_ticket()


def client_with_kerberos() -> Path:
    """The folder with a confluent-kafka of the version of Debian's librdkafka, which has Kerberos;
    built once, and kept where Kafka's jars are."""
    asked = subprocess.run(
        ["pkg-config", "--modversion", "rdkafka"], capture_output=True, text=True, check=False
    )
    version = asked.stdout.strip()
    if asked.returncode or not version:
        lacking("pkg-config knows no rdkafka (Debian: apt-get install librdkafka-dev)")
    folder = cache() / f"confluent-kafka-{version}-{sys.implementation.cache_tag}"
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=cache()) as temporary:
        built = Path(temporary, "built")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--no-binary", "confluent-kafka", "--target", str(built)]
        command.append(f"confluent-kafka=={version}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        if done.returncode:
            lacking(f"confluent-kafka {version} could not be built: {done.stderr[-800:].strip()}")
        shutil.move(built, folder)
    return folder

"""A real OpenSSH server with keys and a configuration of its own, and a client that knows it."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.processes import end, spawn

_PATIENCE = 20.0  # seconds

_SERVER = """
ListenAddress {address}:{port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
LogLevel VERBOSE
MaxStartups 100:30:200
MaxSessions 100
"""
_CLIENT = """
Host *
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking ask
"""


@dataclass(frozen=True)
class Sshd:
    """Where the server is, and what it has seen."""

    folder: Path
    address: str
    port: int

    @property
    def where(self) -> str:
        """WHERE, for `--from`."""
        return f"ssh://{getpass.getuser()}@{self.address}:{self.port}"

    @property
    def connections(self) -> int:
        """How many there have been so far."""
        return (self.folder / "log").read_text().count("Connection from ")

    @property
    def path(self) -> str:
        """The PATH on which `ssh` is the real one, with a configuration of its own."""
        return f"{self.folder / 'bin'}:{os.environ['PATH']}"

    def forget(self) -> None:
        """The client has never seen this server's key."""
        (self.folder / "known").write_text("")


@contextmanager
def served(
    folder: Path,
    inside: tuple[str, ...] = (),
    *,
    listens: str = "127.0.0.1",
    known_as: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[Sshd]:
    """The server, run behind the prefix `inside`, ended by its own process at the end."""
    program, client = shutil.which("sshd"), shutil.which("ssh")
    assert program
    assert client
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = Sshd(folder, known_as, port or _free_port())
    for name in ("host", "user"):
        made = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        subprocess.run(made, check=True, timeout=20)
    told = {"folder": folder, "address": listens, "port": server.port}
    (folder / "sshd_config").write_text(_SERVER.format(**told))
    (folder / "ssh_config").write_text(_CLIENT.format(**told))
    key = (folder / "host.pub").read_text()
    (folder / "known").write_text(f"[{known_as}]:{server.port} {key}")
    (folder / "bin").mkdir()
    wrapper = folder / "bin" / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {client} -F {folder}/ssh_config "$@"\n')
    wrapper.chmod(0o755)
    command = [program, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "log")]
    process = spawn([*inside, *command])
    try:
        _until_it_listens(folder / "log")
        yield server
    finally:
        end(process)


def _until_it_listens(log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while not (log.exists() and "Server listening" in log.read_text()):
        assert time.monotonic() < until, log.read_text() if log.exists() else "no sshd"
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port

"""Two vantage points over a real sshd: the laptop, and a host inside the VPC."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import needs
from tests.lab.lab import Lab
from tests.lab.listeners import PORTS
from tests.lab.network import HOMES, PUBLICS
from tests.lab.processes import ROOT, command_lines
from tests.lab.sshd import Sshd, served

PATIENCE = 90  # seconds; nothing takes that long unless it hangs
OVER_THERE = "sys.stdin.buffer.readline"  # in the command line of what runs over there

# Which is looked for on the whole machine: none of these tests runs beside another.
pytestmark = pytest.mark.xdist_group("lab")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A server on loopback."""
    needs.require("sshd", "ssh-keygen")
    with served(tmp_path) as server:
        yield server


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of somebody who takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def check(
    server: Sshd, *arguments: str, inside: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """kdiag check, where `ssh` is the real one."""
    return subprocess.run(
        [*inside, sys.executable, "-m", "kdiag", "check", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PATH": server.path},
        timeout=PATIENCE,
    )


def over_there() -> list[str]:
    """What runs on any far side of this machine."""
    return [line for line in command_lines() if OVER_THERE in line]


@pytest.mark.lab
def test_it_works_in_the_vpc_and_fails_from_the_laptop(lab: Lab, tmp_path: Path) -> None:
    needs.require("sshd", "ssh-keygen")
    instance = lab.network.instances[0]
    # Nobody in the VPC gets to an elastic address of it, as in AWS: one server for each of them.
    servers = f"{lab.at('PRIVATE')},{HOMES[1]}:{PORTS['PRIVATE']}"
    with served(
        tmp_path, instance.inside, listens=HOMES[0], known_as=PUBLICS[0], port=2222
    ) as server:
        done = check(
            server, servers, "--from", "local", "--from", server.where, "-o", "json",
            "--timeout", "2", inside=lab.network.laptop.inside,
        )  # fmt: skip
        connections = server.connections
    told = json.loads(done.stdout)
    here, there = told["reports"]["local"], told["reports"][server.where]
    assert (here["root_cause"], here["exit_code"]) == ("KD301", 30)
    assert (there["root_cause"], there["exit_code"]) == (None, 0)
    assert there["source_addresses"] != here["source_addresses"]
    assert (told["exit_code"], done.returncode) == (30, 30)
    assert connections == 1
    _until(lambda: over_there() == [])


def test_an_unknown_host_key_is_said_and_asked_about_by_nobody(sshd: Sshd, silent: str) -> None:
    sshd.forget()
    done = check(sshd, silent, "--from", sshd.where, "-o", "json")
    told = json.loads(done.stdout)
    (finding,) = told["findings"]
    assert (finding["code"], done.returncode) == ("KD801", 80)
    assert "Host key verification failed." in finding["evidence"]


def test_a_port_where_no_sshd_is_costs_no_more_than_it_takes_to_know(
    sshd: Sshd, silent: str
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        where = f"ssh://127.0.0.1:{closed.getsockname()[1]}"
        done = check(sshd, silent, "--from", where, "-o", "json")
    told = json.loads(done.stdout)
    assert done.returncode == 80
    assert any("Connection refused" in line for line in told["findings"][0]["evidence"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_goes_on_over_there_when_kdiag_ends(
    sshd: Sshd, silent: str, number: signal.Signals
) -> None:
    arguments = [silent, "--from", sshd.where, "--timeout", "60", "--deadline", "120"]
    with subprocess.Popen(
        [sys.executable, "-m", "kdiag", "check", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": sshd.path},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            _until(lambda: over_there() != [])
            process.send_signal(number)
            process.wait(30)
        finally:
            process.kill()
    _until(lambda: over_there() == [])


def _until(true: Any) -> None:
    until = time.monotonic() + 90
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)

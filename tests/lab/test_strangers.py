"""Real servers of other kinds, asked as a broker would be: each is named by what it says."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from kdiag.kafka.messages import API_VERSIONS, METADATA, encode_request
from kdiag.network.fingerprint import READ_LIMIT, ServiceFingerprint, follow_ups, recognise
from tests.lab import needs
from tests.lab.client import Client
from tests.lab.processes import end, spawn

pytestmark = pytest.mark.lab

HOST = "127.0.0.1"
FLIGHT = encode_request(API_VERSIONS, 0, 1, {}) + encode_request(
    METADATA, 7, 2, {"topics": None, "allow_auto_topic_creation": False}
)
_AS_POSTGRES = ("setpriv", "--reuid=postgres", "--clear-groups", "--")
Command = Callable[[Path, int], list[str]]


def test_nginx(tmp_path: Path) -> None:
    needs.require("nginx")
    with served(_nginx, tmp_path) as port:
        found = who(port)
        told(port)

    assert found is not None
    assert found.name == "an HTTP server"
    assert found.banner.startswith("HTTP/1.1 404 Not Found (nginx/")


def test_nginx_with_tls(tmp_path: Path) -> None:
    needs.require("nginx")
    authority = trustme.CA()
    issued = authority.issue_cert(HOST)
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "all.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with served(_nginx_tls, tmp_path) as port:
        outside, inside = who(port), who(port, context)
        told(port)

    assert outside is not None
    assert outside.name == "an HTTPS server"
    assert inside is not None
    assert inside.name == "an HTTP server"


def test_openssh(tmp_path: Path) -> None:
    needs.require("sshd", "ssh-keygen")
    Path("/run/sshd").mkdir(exist_ok=True)
    key = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key"))
    subprocess.run(key, check=True, timeout=20)
    with served(_sshd, tmp_path) as port:
        found = who(port)
        told(port)

    assert found is not None
    assert found.name == "an SSH server"
    assert found.banner.startswith("SSH-2.0-OpenSSH_")


@pytest.mark.parametrize("password", ["", "secret"], ids=["open", "password"])
def test_redis(tmp_path: Path, password: str) -> None:
    needs.require("redis-server")
    with served(_redis(password), tmp_path) as port:
        found = who(port)
        told(port)

    assert found is not None
    assert found.name == "Redis"


def test_postgresql() -> None:
    needs.require(needs.POSTGRESQL)
    if os.geteuid() != 0:
        needs.lacking("PostgreSQL runs as a user of its own, whom only root can become")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    with tempfile.TemporaryDirectory(prefix="kdiag-") as name:  # pytest's folders are root's alone
        folder = Path(name)
        shutil.chown(folder, "postgres")
        made = (*_AS_POSTGRES, str(programs / "initdb"), "-D", str(folder / "data"))
        subprocess.run(made, check=True, timeout=50, stdout=subprocess.DEVNULL)
        with served(_postgresql(programs), folder) as port:
            found = who(port)
            told(port)

    assert found is not None
    assert found.name == "PostgreSQL"
    assert found.banner.startswith("unsupported frontend protocol 18.0")


def told(port: int) -> None:
    """The report on it: no broker, and who it is instead."""
    report = Client().check(f"{HOST}:{port}", "--timeout", "1.5")
    assert report.verdict == ("bootstrap", "KD108", 10), report


def who(port: int, context: ssl.SSLContext | None = None) -> ServiceFingerprint | None:
    """Who is there, asked the way kdiag asks: Kafka's requests first, then what they call for."""
    first = said(port, FLIGHT, context)
    answers = [first, *(said(port, asked, context) for asked in follow_ups(first))]
    return next((known for answer in reversed(answers) if (known := recognise(answer))), None)


def said(port: int, asked: bytes, context: ssl.SSLContext | None) -> bytes:
    """What a peer answers to these bytes, until it falls silent or hangs up."""
    heard = b""
    with socket.create_connection((HOST, port), timeout=20) as plain:
        sock = context.wrap_socket(plain, server_hostname=HOST) if context else plain
        sock.settimeout(1)
        try:
            sock.sendall(asked)
            while len(heard) < READ_LIMIT and (more := sock.recv(READ_LIMIT)):
                heard += more
        except OSError:
            return heard
        finally:
            sock.close()
    return heard


@contextmanager
def served(command: Command, folder: Path) -> Iterator[int]:
    """A server on a free port of loopback; its port. It ends with the block."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port = sock.getsockname()[1]
    log = folder / "log"
    with log.open("wb") as out:
        process = spawn(command(folder, port), out, out)
        try:
            deadline = time.monotonic() + 40
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the server did not start: {log.read_text('utf-8', 'replace')}")
                time.sleep(0.05)
            yield port
        finally:
            end(process)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((HOST, port)) == 0


def _nginx(folder: Path, port: int) -> list[str]:
    return _nginx_with(folder, f"listen {HOST}:{port}; root {folder}/nothing;")


def _nginx_tls(folder: Path, port: int) -> list[str]:
    pair = f"ssl_certificate {folder}/all.pem; ssl_certificate_key {folder}/all.pem;"
    return _nginx_with(folder, f"listen {HOST}:{port} ssl; root {folder}/nothing; {pair}")


def _nginx_with(folder: Path, server: str) -> list[str]:
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; server {{ {server} }} }}\n",
        "utf-8",
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _sshd(folder: Path, port: int) -> list[str]:
    options = (f"ListenAddress={HOST}:{port}", f"PidFile={folder}/pid")
    given = [word for option in options for word in ("-o", option)]
    program = shutil.which("sshd") or ""  # it insists on its full path
    return [program, "-D", "-e", "-f", os.devnull, "-h", str(folder / "key"), *given]


def _redis(password: str) -> Command:
    def command(folder: Path, port: int) -> list[str]:
        given = ["--requirepass", password] if password else []
        where = ["--bind", HOST, "--port", str(port), "--dir", str(folder), "--save", ""]
        return ["redis-server", *where, *given]

    return command


def _postgresql(programs: Path) -> Command:
    def command(folder: Path, port: int) -> list[str]:
        where = ["-D", str(folder / "data"), "-h", HOST, "-p", str(port), "-k", ""]
        return [*_AS_POSTGRES, str(programs / "postgres"), *where]

    return command

"""Real HAProxy and stunnel in front of brokers, and librdkafka as the judge of each address."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from kdiag.api import check
from kdiag.demo.broker import FakeBroker, FakeNode
from tests.control.test_proxies import running
from tests.lab import needs
from tests.running import Brokers

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("proxies")]

CA = trustme.CA()
PATIENCE = 2.0  # seconds that librdkafka has: on loopback it takes a few milliseconds

HAPROXY = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend kafka
  bind 127.0.0.1:{port}
"""
BY_NAME = """
  tcp-request inspect-delay 5s
  tcp-request content accept if {{ req_ssl_hello_type 1 }}
  use_backend broker if {{ req_ssl_sni -i localhost }}
backend broker
  server broker 127.0.0.1:{behind}
"""
BY_PORT = """
  default_backend broker
backend broker
  server broker 127.0.0.1:{behind}
"""
STUNNEL = """
foreground = yes
pid =
[kafka]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{behind}
cert = {folder}/server.pem
"""


class Case(NamedTuple):
    """A proxy: its program and configuration, whether the broker behind it speaks TLS, what the
    broker advertises ("proxy": the proxy's port at 127.0.0.1, "own": its own port, "closed"), and
    kdiag's cause."""

    program: str
    conf: str
    tls: bool
    advertises: str
    cause: str


CASES = {
    "haproxy-by-name": Case("haproxy", HAPROXY + BY_NAME, True, "proxy", "KD313"),
    "haproxy-by-port": Case("haproxy", HAPROXY + BY_PORT, True, "closed", "KD305"),
    "stunnel": Case("stunnel", STUNNEL, False, "own", "KD312"),
}


@pytest.fixture(scope="module")
def brokers() -> Iterator[Brokers]:
    made = Brokers()
    made.start()
    yield made
    made.stop()


def connects(server: str) -> bool:
    """Whether librdkafka gets the metadata at this address."""
    tls = {"security.protocol": "ssl", "ssl.ca.pem": CA.cert_pem.bytes().decode()}
    client = AdminClient({"bootstrap.servers": server, "log_level": 0, **tls})
    try:
        client.list_topics(timeout=PATIENCE)
    except KafkaException:
        return False
    return True


@pytest.mark.parametrize("name", CASES)
def test_librdkafka_fails_where_kdiag_says_so(name: str, brokers: Brokers, tmp_path: Path) -> None:
    case = CASES[name]
    needs.require(case.program)
    own = CA.issue_cert("localhost", "127.0.0.1")
    own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    nodes = brokers.cluster.nodes
    nodes.clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.configure_cert(context)
    behind = brokers.beside(FakeBroker(brokers.cluster, 1), context if case.tls else None)

    def command(port: int) -> Sequence[str]:
        text = case.conf.format(port=port, behind=behind, folder=tmp_path)
        (tmp_path / "conf").write_text(text, "utf-8")
        return (
            case.program,
            *(["-f"] if case.program == "haproxy" else []),
            str(tmp_path / "conf"),
        )

    with socket.socket() as closed, running(command) as port:
        closed.bind(("127.0.0.1", 0))
        ports = {"proxy": port, "own": behind, "closed": closed.getsockname()[1]}
        nodes.append(FakeNode(1, "127.0.0.1", ports[case.advertises]))
        properties = {"security.protocol": "SSL", "ssl.ca.pem": CA.cert_pem.bytes().decode()}
        report = check(f"localhost:{port}", properties=properties, timeout=3.0)
        assert (report.exit_code, report.root_cause) == (30, case.cause), report.findings
        assert connects(f"localhost:{port}")
        assert not connects(f"127.0.0.1:{ports[case.advertises]}")
    (finding,) = (each for each in report.findings if each.code == case.cause)
    if case.cause == "KD313":
        assert any("it completes one for localhost" in line for line in finding.evidence)
    if case.cause == "KD305":
        snippets = [fix.snippet for fix in finding.remedies]
        assert any(f"EXTERNAL://127.0.0.1:{port}" in snippet for snippet in snippets), snippets

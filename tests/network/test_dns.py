"""Names explained by DNS servers on loopback, that answer as real ones do, or do not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from kdiag.network.dns import (
    MAX_ADDRESSES,
    MAX_ALIASES,
    MAX_SEARCH,
    MAX_SERVERS,
    ResolverConfiguration,
    configured,
    explain_name,
)
from kdiag.network.dns_diagnosis import DnsAnswer, DnsDiagnosis

Zone = Callable[[dns.message.Message, str, str], bytes | None]
NOBODY = "/nonexistent/hosts"


class Server:
    """A DNS server: `zone` fills in the response to a question (name, type), or returns the bytes
    to send in its place; `asked` are the questions in their order."""

    def __init__(self, zone: Zone) -> None:
        self.asked: list[tuple[str, str]] = []
        self._zone = zone
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            wire, peer = self._socket.recvfrom(4096)
            if not wire:
                return
            question = dns.message.from_wire(wire)
            name = question.question[0].name.to_text(omit_final_dot=True)
            kind = question.question[0].rdtype.name
            self.asked.append((name, kind))
            response = dns.message.make_response(question)
            sent = self._zone(response, name, kind)
            if sent is None:
                sent = response.to_wire()
            if sent:
                self._socket.sendto(sent, peer)

    def close(self) -> None:
        """Wakes it by an empty packet, and waits for its end."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.address)
        self._thread.join(5)
        self._socket.close()


@contextmanager
def serving(*zones: Zone) -> Iterator[list[Server]]:
    """A server for each zone."""
    servers = [Server(zone) for zone in zones]
    try:
        yield servers
    finally:
        for server in servers:
            server.close()


def records(response: dns.message.Message, *lines: str) -> None:
    """Puts records ("name TYPE value") into the answer."""
    for line in lines:
        name, kind, value = line.split()
        response.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", kind, value))


def denied(response: dns.message.Message, zone: str) -> None:
    """The name does not exist, by the word of a zone."""
    response.set_rcode(dns.rcode.NXDOMAIN)
    soa = "ns.example. admin.example. 1 3600 600 86400 60"
    response.authority.append(dns.rrset.from_text(zone, 60, "IN", "SOA", soa))


def asking(
    servers: list[Server], search: tuple[str, ...] = (), ndots: int = 1
) -> ResolverConfiguration:
    """A configuration with these servers and nothing of this machine's."""
    return ResolverConfiguration(
        tuple(s.address for s in servers), search, ndots, hosts_file=NOBODY
    )


def where(server: Server) -> str:
    """The server as evidence names it."""
    return f"127.0.0.1:{server.address[1]}"


def test_a_public_server_does_not_know_a_top_level_domain() -> None:
    host = "ip-10-0-1-11.eu-west-2.compute.internal"
    with serving(lambda response, *_: denied(response, ".")) as servers:
        found = explain_name(host, 2, asking(servers))

        assert found == DnsDiagnosis(
            servers=(where(servers[0]),),
            answers=(DnsAnswer(host, where(servers[0]), "NXDOMAIN", zone="."),),
        )
        assert not found.found
        assert servers[0].asked == [(host, "A")]
    (line,) = found.lines
    assert line.startswith(f"{host}: does not exist, says 127.0.0.1:")
    assert line.endswith("the whole of its top level domain is unknown there")


def test_a_zone_denies_a_name() -> None:
    with serving(lambda response, *_: denied(response, "example.com.")) as servers:
        found = explain_name("broker.example.com", 2, asking(servers))

    assert found.answers[0].zone == "example.com"
    assert found.lines == (
        f"broker.example.com: does not exist, says {where(servers[0])} (zone example.com)",
    )


def test_an_alias_that_leads_nowhere() -> None:
    def zone(response: dns.message.Message, name: str, _: str) -> None:
        records(response, f"{name} CNAME b.example.com.", "b.example.com CNAME gone.example.net.")
        denied(response, "example.net.")

    with serving(zone) as servers:
        found = explain_name("kafka.example.com", 2, asking(servers))

    assert found.answers[0].aliases == ("b.example.com", "gone.example.net")
    assert found.lines == (
        "kafka.example.com: is an alias of b.example.com, which is an alias of gone.example.net, "
        f"which does not exist, says {where(servers[0])} (zone example.net)",
    )


def test_a_name_without_an_address() -> None:
    with serving(lambda *_: None) as servers:
        found = explain_name("txt-only.example.com", 2, asking(servers))

        assert [kind for _, kind in servers[0].asked] == ["A", "AAAA"]
    assert found.answers[0].outcome == "NOERROR"
    assert not found.found
    assert "exists but has no address" in found.lines[0]


def test_a_name_of_the_other_family_only() -> None:
    def zone(response: dns.message.Message, name: str, kind: str) -> None:
        if kind == "AAAA":
            records(response, f"{name} AAAA 2001:db8::1")

    with serving(zone) as servers:
        found = explain_name("v6.example.com", 2, asking(servers))

    assert found.found
    assert found.answers[0].addresses == ("2001:db8::1",)
    assert found.lines == (f"v6.example.com: has 2001:db8::1, says {where(servers[0])}",)


def test_a_server_that_fails_is_passed_over() -> None:
    def failing(response: dns.message.Message, *_: str) -> None:
        response.set_rcode(dns.rcode.SERVFAIL)

    def knowing(response: dns.message.Message, name: str, kind: str) -> None:
        if kind == "A":
            records(response, f"{name} A 10.0.1.11")

    with serving(failing, knowing) as servers:
        found = explain_name("kafka.example.com", 2, asking(servers))

    assert found.answers == (
        DnsAnswer("kafka.example.com", where(servers[1]), "NOERROR", ("10.0.1.11",)),
    )


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_servers_that_all_fail(rcode: dns.rcode.Rcode) -> None:
    def zone(response: dns.message.Message, *_: str) -> None:
        response.set_rcode(rcode)

    with serving(zone, zone) as servers:
        found = explain_name("kafka.example.com", 2, asking(servers))

    assert found.answers[0].outcome == dns.rcode.to_text(rcode)
    assert found.lines[0].endswith(f"answers {dns.rcode.to_text(rcode)}")


def test_silent_servers_are_asked_once_and_named() -> None:
    with serving(lambda *_: b"", lambda *_: b"") as servers:
        started = time.monotonic()
        found = explain_name("kafka", 0.2, asking(servers, ("a.example", "b.example")))
        elapsed = time.monotonic() - started

        assert len(servers[0].asked) == 1
        assert len(servers[1].asked) <= 1
    assert found.silent[0] == where(servers[0])
    assert found.answers[0].server == ""
    assert found.lines[0].startswith("DNS server")
    assert elapsed < 5


def test_nobody_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        address = sock.getsockname()
    nobody = ResolverConfiguration((address,), hosts_file=NOBODY)

    found = explain_name("kafka.example.com", 0.3, nobody)

    assert found.silent == (f"127.0.0.1:{address[1]}",)
    assert found.lines == (f"DNS server that did not answer: 127.0.0.1:{address[1]}",)


@pytest.mark.parametrize("sent", [b"\x00", b"garbage" * 20])
def test_garbage_is_no_answer(sent: bytes) -> None:
    with serving(lambda *_: sent) as servers:
        found = explain_name("kafka.example.com", 0.3, asking(servers))

    assert found.silent == (where(servers[0]),)


@pytest.mark.parametrize(
    ("host", "ndots", "order"),
    [
        ("kafka", 1, ["kafka.a.example", "kafka.b.example", "kafka"]),
        ("kafka.ns", 1, ["kafka.ns", "kafka.ns.a.example", "kafka.ns.b.example"]),
        ("kafka.ns", 5, ["kafka.ns.a.example", "kafka.ns.b.example", "kafka.ns"]),
        ("kafka.ns.", 5, ["kafka.ns"]),
    ],
)
def test_search_domains_are_tried_as_the_system_does(
    host: str, ndots: int, order: list[str]
) -> None:
    with serving(lambda response, *_: denied(response, "example.")) as servers:
        search = ("a.example", "b.example")
        found = explain_name(host, 5, asking(servers, search, ndots))

        assert [name for name, _ in servers[0].asked] == order
    assert [answer.name for answer in found.answers] == order
    assert found.lines[-1] == "search domains tried: a.example, b.example"


def test_the_search_ends_with_an_address() -> None:
    def zone(response: dns.message.Message, name: str, kind: str) -> None:
        if name == "kafka.b.example" and kind == "A":
            records(response, f"{name} A 10.0.1.11")
        elif name != "kafka.b.example":
            denied(response, "example.")

    with serving(zone) as servers:
        search = ("a.example", "b.example", "c.example")
        found = explain_name("kafka", 5, asking(servers, search))

    assert [answer.name for answer in found.answers] == ["kafka.a.example", "kafka.b.example"]
    assert found.found


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "", ".", "a." * 130 + "b", "\udcff"])
def test_what_is_no_name_asks_nobody(host: str) -> None:
    with serving(lambda *_: None) as servers:
        found = explain_name(host, 1, asking(servers))

        assert not servers[0].asked
    assert found.flaw.startswith("no valid name")


def test_a_server_cannot_write_to_the_terminal_or_without_end() -> None:
    def zone(response: dns.message.Message, name: str, kind: str) -> None:
        records(response, *(f"a{n} CNAME x\\027[31m{n}.example." for n in range(30)))
        if kind == "A":
            records(response, *(f"{name} A 10.0.0.{n}" for n in range(30)))

    with serving(zone) as servers:
        found = explain_name("kafka.example.com", 2, asking(servers))

    assert len(found.answers[0].aliases) == MAX_ALIASES
    assert len(found.answers[0].addresses) == MAX_ADDRESSES
    assert all(line.isprintable() for line in found.lines)


def test_the_hosts_file_is_read(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_bytes(
        b"127.0.0.1 localhost\n\n# 10.0.0.1 kafka\n10.0.0.2\tb KAFKA # kafka\n\xff\n10.0.0.3 kafka2"
    )

    found = explain_name("kafka.", 1, ResolverConfiguration(hosts_file=str(hosts)))

    assert found.hosts == ("10.0.0.2",)
    assert found.flaw == "no DNS server is configured"
    assert found.lines == ("no DNS server is configured", "the hosts file has 10.0.0.2 for it")


def test_this_machines_configuration_is_read_and_bounded() -> None:
    found = configured()

    assert found.flaw or 0 < len(found.servers) <= MAX_SERVERS
    assert len(found.search) <= MAX_SEARCH
    assert all(port == 53 for _, port in found.servers)

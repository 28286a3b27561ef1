"""Names explained by DNS servers on loopback, that answer as real ones do, or do not."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

import kdiag.network.dns
from kdiag.network.dns import (
    MAX_ADDRESSES,
    MAX_ALIASES,
    MAX_LINKS,
    MAX_SEARCH,
    MAX_SERVERS,
    ResolverConfiguration,
    configured,
    explain_name,
    servers_of_domain,
    servers_of_links,
)
from kdiag.network.dns_diagnosis import DnsAnswer, DnsDiagnosis
from tests.running import Brokers

Zone = Callable[[dns.message.Message, str, str], bytes | list[bytes] | None]
NOBODY = "/nonexistent/hosts"


class Server:
    """A DNS server: `zone` fills in the response to a question (name, type), or returns the bytes
    to send in its place, or several packets; `asked` are the questions in their order."""

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
            for each in sent if isinstance(sent, list) else filter(None, [sent]):
                self._socket.sendto(each, peer)

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


# Servers that mean harm.

PATIENCE = 20.0  # seconds, for an answer that does come, on a machine that is busy
HOST = "kafka.example.com"
A_KAFKA = f"{HOST} A 10.0.1.11"
HOSTILE = ("\\027[31mred", "a\\007b\\010", "\\226\\128\\174rtl", "line\\010::error::x")


def spoilt(response: dns.message.Message) -> bytearray:
    """An answer that would be believed, to be spoilt."""
    records(response, A_KAFKA)
    return bytearray(response.to_wire())


def wrong_id(response: dns.message.Message) -> bytes:
    wire = spoilt(response)
    wire[0] ^= 0xFF
    return bytes(wire)


def no_answer(response: dns.message.Message) -> bytes:
    """The question come back: it has no bit that says response."""
    wire = spoilt(response)
    wire[2] &= 0x7F
    return bytes(wire)


def cut_off(response: dns.message.Message) -> bytes:
    return bytes(spoilt(response)[:-3])


def counts_without_records(response: dns.message.Message) -> bytes:
    wire = spoilt(response)
    wire[6:12] = b"\xff" * 6
    return bytes(wire)


def pointer_loop(response: dns.message.Message) -> bytes:
    """The name of the record points at itself."""
    wire = bytearray(response.to_wire())
    wire[7] = 1
    here = len(wire)
    return (
        bytes(wire) + bytes([0xC0 | here >> 8, here & 0xFF]) + b"\0\1\0\1\0\0\0\x3c\0\4\n\0\1\x0b"
    )


def another_question(response: dns.message.Message) -> bytes:
    other = dns.message.make_query("bank.example.com", "A")
    other.id = response.id
    answer = dns.message.make_response(other)
    records(answer, "bank.example.com A 10.6.6.6")
    return answer.to_wire()


def late(response: dns.message.Message) -> bytes:
    time.sleep(0.4)
    return bytes(spoilt(response))


@pytest.mark.parametrize(
    "spoil",
    [
        *(wrong_id, no_answer, cut_off, counts_without_records, pointer_loop, another_question),
        late,
    ],
)
def test_an_answer_that_cannot_be_believed_is_none(
    spoil: Callable[[dns.message.Message], bytes],
) -> None:
    with serving(lambda response, *_: spoil(response)) as servers:
        found = explain_name(HOST, 0.3, asking(servers))

        assert servers[0].asked == [(HOST, "A")]
    assert found.silent == (where(servers[0]),)
    assert not found.found
    assert found.answers[0].addresses == ()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdiag.network.dns._PATIENCE", PATIENCE)


@pytest.mark.usefixtures("patient")
def test_the_right_answer_after_wrong_ones_is_found() -> None:
    """Whoever guesses is not believed, and keeps nobody from the answer of the server."""

    def zone(response: dns.message.Message, name: str, kind: str) -> list[bytes]:
        true = dns.message.from_wire(response.to_wire())
        if kind == "A":
            records(true, A_KAFKA)
        wrong = (wrong_id, pointer_loop, cut_off, another_question)
        return [b"\x00", *(spoil(response) for spoil in wrong), true.to_wire()]

    with serving(zone) as servers:
        found = explain_name(HOST, PATIENCE, asking(servers))
    assert found.answers[0].addresses == ("10.0.1.11",)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("links", [2, 500], ids=["a loop", "without end"])
def test_aliases_without_end_are_followed_as_far_as_they_are_shown(links: int) -> None:
    """All of them are in one answer: none is asked for."""

    def zone(response: dns.message.Message, name: str, kind: str) -> None:
        names = [name, *(f"a{n}.example.com" for n in range(1, links))]
        for n, each in enumerate(names):
            records(response, f"{each} CNAME {names[(n + 1) % links]}.")

    with serving(zone) as servers:
        found = explain_name(HOST, PATIENCE, asking(servers))

        assert [kind for _, kind in servers[0].asked] == ["A", "AAAA"]
    assert not found.found
    assert len(found.answers[0].aliases) == min(links, MAX_ALIASES)
    assert sum(map(len, found.lines)) < 2000


@pytest.mark.usefixtures("patient")
def test_what_is_as_large_as_a_packet_can_be_is_read_and_not_shown() -> None:
    def zone(response: dns.message.Message, name: str, kind: str) -> bytes:
        hostile = ".".join(HOSTILE)
        records(response, f"{name} CNAME {hostile}.example.com.")
        if kind == "A":
            records(response, *(f"{name} A 10.0.{n // 256}.{n % 256}" for n in range(100)))
        response.authority.append(
            dns.rrset.from_text(
                f"{hostile}.", 60, "IN", "SOA", "ns.example. admin.example. 1 3600 600 86400 60"
            )
        )
        filler = [" ".join(['"' + f"{n:03}" + "\\027" * 200 + '"'] * 8) for n in range(38)]
        response.additional.append(dns.rrset.from_text_list("y.", 60, "IN", "TXT", filler))
        wire = response.to_wire(max_size=65535)
        assert len(wire) > 60_000
        return wire

    with serving(zone) as servers:
        found = explain_name(HOST, PATIENCE, asking(servers))
    (answer,) = found.answers
    assert len(answer.addresses) == MAX_ADDRESSES
    assert len(answer.aliases) == 1
    assert answer.zone
    assert all(line.isprintable() for line in (*found.lines, *answer.aliases, answer.zone))
    assert sum(map(len, found.lines)) < 2000


def test_a_packet_cut_short_with_nobody_on_tcp_is_no_answer() -> None:
    def zone(response: dns.message.Message, name: str, kind: str) -> None:
        response.flags |= dns.flags.TC
        records(response, A_KAFKA)

    with serving(zone) as servers:
        found = explain_name(HOST, 1, asking(servers))

        assert len(servers[0].asked) == 1
    assert found.silent == (where(servers[0]),)


def test_servers_that_spoil_everything_are_asked_once_each_whatever_is_searched() -> None:
    """Three servers, six domains: three questions, not 42."""
    every = [wrong_id, pointer_loop, another_question]

    def spoiling(spoil: Callable[[dns.message.Message], bytes]) -> Zone:
        return lambda response, *_: spoil(response)

    with serving(*map(spoiling, every)) as servers:
        search = tuple(f"d{n}.example" for n in range(MAX_SEARCH))
        found = explain_name("kafka", 60, asking(servers, search, 5))

        assert [len(server.asked) for server in servers] == [1, 1, 1]
    assert len(found.silent) == MAX_SERVERS


SCUTIL = """\
DNS configuration

resolver #1
  search domain[0] : example.net
  nameserver[0] : 192.0.2.53
  if_index : 14 (en0)
  flags    : Request A records

resolver #2
  domain   : corp.example.com
  nameserver[0] : 10.8.0.1
  nameserver[1] : 10.8.0.2
  reach    : 0x00000003 (Reachable,Transient Connection)

resolver #3
  domain   : kafka.corp.example.com
  nameserver[0] : 10.8.0.3
  port     : 5353

resolver #4
  domain   : local
  options  : mdns
  timeout  : 5
"""


@pytest.mark.parametrize(
    ("host", "servers"),
    [
        ("broker.corp.example.com", (("10.8.0.1", 53), ("10.8.0.2", 53))),
        ("b1.kafka.CORP.example.com.", (("10.8.0.3", 5353),)),
        ("mycorp.example.com", ()),
        ("printer.local", ()),
        ("example.net", ()),
    ],
)
def test_macos_asks_other_servers_for_a_domain_of_a_vpn(
    host: str, servers: tuple[tuple[str, int], ...]
) -> None:
    assert servers_of_domain(host, SCUTIL) == servers


def on_macos(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """This machine, as a Mac of which `scutil` is the script."""
    scutil = folder / "scutil"
    scutil.write_text(f"#!/bin/sh\n{script}\n")
    scutil.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setattr(kdiag.network.dns, "sys", SimpleNamespace(platform="darwin"))


@pytest.mark.skipif(os.name == "nt", reason="its scutil is a script of a shell")
def test_on_macos_the_servers_of_the_domain_get_the_queries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving(lambda *_: None) as (server,):
        address, port = server.address
        (tmp_path / "dns").write_text(
            f"resolver #1\n domain : corp.example.com\n nameserver[0] : {address}\n port : {port}\n"
        )
        on_macos(monkeypatch, tmp_path, f"/bin/cat {tmp_path / 'dns'}")
        found = explain_name("b1.corp.example.com", 5.0)
        assert [name for name, _ in server.asked][:1] == ["b1.corp.example.com"]
    assert found.servers == (f"{address}:{port}",)


@pytest.mark.skipif(os.name == "nt", reason="its scutil is a script of a shell")
@pytest.mark.parametrize("script", ["exit 1", "kill $$"])
def test_a_mac_that_does_not_tell_its_servers(
    script: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on_macos(monkeypatch, tmp_path, script)
    found = explain_name("b1.corp.example.com", 5.0)
    assert (found.servers, found.answers) == ((), ())
    assert found.flaw == "the system does not tell its DNS servers"


def answering(*lines: str) -> Zone:
    """A server that has these records, and knows no other name."""

    def zone(response: dns.message.Message, name: str, kind: str) -> None:
        found = [line for line in lines if line.split()[:2] == [name, kind]]
        records(response, *found)
        if not any(line.split()[0] == name for line in lines):
            denied(response, "example.")

    return zone


def test_servers_that_answer_differently_are_all_shown() -> None:
    """The company's server knows the name, the public one does not; a third one says as it."""
    with serving(answering(), answering(f"{HOST} A 10.8.0.5"), answering()) as servers:
        found = explain_name(HOST, 2, asking(servers))
        assert [answer.outcome for answer in found.answers] == ["NXDOMAIN"]
        (other,) = found.others
        assert (other.server, other.addresses) == (where(servers[1]), ("10.8.0.5",))
        assert found.found
        assert f"{HOST}: has 10.8.0.5, says {where(servers[1])}" in found.lines


def test_the_servers_of_links_are_asked_too() -> None:
    with serving(answering(f"{HOST} A 10.0.0.1"), answering(f"{HOST} A 10.8.0.5")) as servers:
        stub = replace(asking(servers[:1]), links=(servers[0].address, servers[1].address))
        found = explain_name(HOST, 2, stub)
        assert [answer.addresses for answer in found.others] == [("10.8.0.5",)]
        assert [kind for _, kind in servers[0].asked] == ["A", "AAAA"], "asked once"


def test_servers_of_links_as_resolvectl_prints_them() -> None:
    printed = (
        "Global: 1.1.1.1\n"
        "Link 2 (eth0): 10.0.0.2 fe80::1%2 2001:db8::53\n"
        "Link 5 (tun0): 10.8.0.1#dns.corp.example\n"
        "Link 7 (wg0):\n"
        "Failed to do it: 9.9.9.9\n"
    )
    found = [server for server, _ in servers_of_links(printed)]
    assert found[:2] == ["1.1.1.1", "10.0.0.2"]
    assert {"2001:db8::53", "10.8.0.1"} < set(found)
    assert "9.9.9.9" not in found
    many = "Global: " + " ".join(f"10.0.0.{n}" for n in range(99))
    assert len(servers_of_links(many)) == MAX_LINKS


@pytest.mark.parametrize(
    ("dialled", "hosts", "shown"),
    [
        (["10.0.0.1"], (), False),
        (["10.0.0.1", "10.0.0.9"], (), False),
        (["10.0.0.9"], (), True),
        (["10.0.0.1"], ("10.0.0.9",), True),
        (["2001:db8::1"], (), False),
    ],
    ids=["the same", "one of them", "other", "hosts file", "another family"],
)
def test_addresses_are_shown_where_somebody_else_has_others(
    dialled: list[str], hosts: tuple[str, ...], shown: bool
) -> None:
    answer = DnsAnswer(HOST, "10.8.0.1", "NOERROR", ("10.0.0.1",))
    lines = DnsDiagnosis(("10.8.0.1",), answers=(answer,), hosts=hosts).elsewhere(dialled)
    assert bool(lines) is shown
    if shown:
        assert f"resolver gives {dialled[0]}" in lines[0]
        assert any("10.0.0.1, says 10.8.0.1" in line for line in lines)
        assert not hosts or "the hosts file has 10.0.0.9 for it" in lines


def test_a_walk_asks_nobody_about_a_name_that_works(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens on one port of localhost: the report has what the DNS server says. Where a
    broker answers, no server gets a query."""
    _, _, port = brokers.many(1).bootstrap.rpartition(":")
    with serving(answering("localhost A 10.8.0.5")) as servers, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(kdiag.network.dns, "configured", lambda: asking(servers))
        assert kdiag.check(f"localhost:{port}").ok
        assert servers[0].asked == []
        report = kdiag.check(f"localhost:{closed.getsockname()[1]}")
        assert report.root_cause == "KD103"
        assert report.cause
        (line,) = [each for each in report.cause.evidence if "says" in each]
        assert line == f"localhost: has 10.8.0.5, says {where(servers[0])}"
        assert any("this machine's resolver gives" in each for each in report.cause.evidence)

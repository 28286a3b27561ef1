"""Asks the DNS servers about a name that cannot be used; the only module that imports dnspython.

The operating system's resolver decides whether a name resolves, because clients use it; its error
says little about the reason. So kdiag sends queries to the same servers, and reads the responses.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kdiag.address import parse
from kdiag.network.attempt import clean
from kdiag.network.dns_diagnosis import DnsAnswer, DnsDiagnosis

if TYPE_CHECKING:
    import dns.message
    import dns.name

HOSTS_FILE = (
    rf"{os.environ.get('SYSTEMROOT', 'C:/Windows')}\System32\drivers\etc\hosts"
    if os.name == "nt"
    else "/etc/hosts"
)

# As many as a stub resolver uses of its configuration.
MAX_SERVERS = 3
MAX_LINKS = 6  # servers of systemd-resolved's links
MAX_SEARCH = 6
MAX_ALIASES = 8
MAX_ADDRESSES = 8

_PATIENCE = 1.0  # seconds for one server to answer one question
_HOSTS_BYTES = 1 << 20
_TEXT_LIMIT = 255


@dataclass(frozen=True)
class ResolverConfiguration:
    """The configuration of a stub resolver: DNS servers (address, port), search domains, and
    `ndots`: names with fewer dots are tried with the search domains first. `flaw` says why there is
    no configuration, "" where there is one. `links` are the servers behind systemd-resolved, a
    VPN's among them."""

    servers: tuple[tuple[str, int], ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1
    hosts_file: str = HOSTS_FILE
    flaw: str = ""
    links: tuple[tuple[str, int], ...] = ()


def configured() -> ResolverConfiguration:
    """The resolver configuration of this machine, from resolv.conf or the registry."""
    import dns.exception  # 0.8 ms
    import dns.resolver

    try:
        resolver = dns.resolver.Resolver()
    except (dns.exception.DNSException, OSError, ValueError) as error:
        return ResolverConfiguration(flaw=f"no DNS server is configured: {clean(str(error))}")
    servers = [(str(server), resolver.port) for server in resolver.nameservers]
    return ResolverConfiguration(
        tuple(servers[:MAX_SERVERS]),
        tuple(name.to_text(omit_final_dot=True) for name in resolver.search[:MAX_SEARCH]),
        1 if resolver.ndots is None else resolver.ndots,
        links=_links() if any(server.startswith("127.0.0.5") for server, _ in servers) else (),
    )


def _links() -> tuple[tuple[str, int], ...]:
    """The servers of systemd-resolved's links; empty where it does not tell."""
    printed = _printed("resolvectl", "dns")
    return servers_of_links(printed) if printed else ()


def _printed(*command: str) -> str | None:
    """What a command prints; None where it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")


def servers_of_links(printed: str) -> tuple[tuple[str, int], ...]:
    """The DNS servers (address, port) that `resolvectl dns` lists, those without a port of their
    own."""
    listed = re.findall(r"(?m)^(?:Global|Link \d+ \([^)\n]*\)):(.*)$", printed[:_HOSTS_BYTES])
    names = (word.partition("#")[0] for line in listed for word in line.split())
    return tuple(dict.fromkeys((name, 53) for name in names if parse(name)))[:MAX_LINKS]


def _of_domain(host: str, configuration: ResolverConfiguration) -> ResolverConfiguration:
    """The configuration with the DNS servers that macOS uses for the host's domain: a VPN adds such
    servers, and resolv.conf does not have them."""
    if sys.platform != "darwin":
        return configuration
    printed = _printed("scutil", "--dns")
    if printed is None:
        return replace(configuration, servers=(), flaw="the system does not tell its DNS servers")
    servers = servers_of_domain(host, printed)
    return replace(configuration, servers=servers) if servers else configuration


def servers_of_domain(host: str, printed: str) -> tuple[tuple[str, int], ...]:
    """The DNS servers (address, port) that `scutil --dns` lists for the longest domain of a host;
    empty if no domain of the host has servers of its own."""
    best: tuple[int, tuple[tuple[str, int], ...]] = (0, ())
    for block in re.split(r"(?m)^resolver #\d+", printed[:_HOSTS_BYTES]):
        fields = re.findall(r"(?m)^\s*(domain|nameserver\[\d+\]|port)\s*:\s*(\S+)", block)
        domain = next((value for key, value in fields if key == "domain"), "").strip(".").lower()
        port = next((int(value) for key, value in fields if key == "port" and value.isdigit()), 53)
        servers = tuple(
            (value, port) for key, value in fields if key.startswith("nameserver") and parse(value)
        )
        inside = f".{host.strip('.').lower()}".endswith(f".{domain}")
        if domain and servers and inside and len(domain) > best[0]:
            best = (len(domain), servers[:MAX_SERVERS])
    return best[1]


def explain_name(
    host: str, timeout: float, configuration: ResolverConfiguration | None = None
) -> DnsDiagnosis:
    """Queries the DNS servers for a name. Never raises; blocks for at most `timeout` seconds and
    one query more.

    `configuration` defaults to that of this machine; no other servers get queries.
    """
    import dns.exception  # 0.8 ms
    import dns.name

    resolver = configuration or _of_domain(host, configured())
    servers = tuple(_shown(*server) for server in resolver.servers)
    hosts = tuple(_in_hosts_file(host, resolver.hosts_file))
    if not resolver.servers:
        return DnsDiagnosis(hosts=hosts, flaw=resolver.flaw or "no DNS server is configured")
    try:
        names = list(_full_names(host, resolver))
    except (dns.exception.DNSException, UnicodeError) as error:
        return DnsDiagnosis(servers, hosts=hosts, flaw=f"no valid name: {clean(str(error))}")
    queries = _Queries(resolver.servers, time.monotonic() + timeout)
    answers = []
    for name in names:
        answers.append(queries.about(name))
        if answers[-1].addresses or not queries.left:
            break
    others: list[DnsAnswer] = []
    for name, answer in zip(names, answers):
        others += queries.others(name, answer, resolver.links)
        if any(other.addresses for other in others):
            break
    silent = tuple(_shown(*server) for server in queries.silent)
    return DnsDiagnosis(
        servers, resolver.search, tuple(answers), silent, hosts, others=tuple(others)
    )


class _Queries:
    """Queries the servers in their order; one that did not answer gets no more queries."""

    def __init__(self, servers: tuple[tuple[str, int], ...], deadline: float) -> None:
        self.silent: list[tuple[str, int]] = []
        self._servers = servers
        self._deadline = deadline

    @property
    def left(self) -> list[tuple[str, int]]:
        """The servers that may still answer; empty when the time is over."""
        if time.monotonic() >= self._deadline:
            return []
        return [server for server in self._servers if server not in self.silent]

    def about(self, name: dns.name.Name) -> DnsAnswer:
        """The answer about one full name, IPv4 and IPv6, of the first server that decides it."""
        found = DnsAnswer(_text(name))
        for server in self.left:
            found = self._of(server, name, found)
            if found.outcome in ("NOERROR", "NXDOMAIN"):
                break
        return found

    def others(
        self, name: dns.name.Name, decided: DnsAnswer, more: tuple[tuple[str, int], ...]
    ) -> Iterator[DnsAnswer]:
        """The answers of other servers, and of `more`, that differ from the one that decided."""
        for server in dict.fromkeys((*self._servers, *more)):
            if time.monotonic() >= self._deadline:
                return
            if _shown(*server) == decided.server or server in self.silent:
                continue
            found = self._of(server, name, DnsAnswer(_text(name)))
            same = set(found.addresses) == set(decided.addresses)
            if found.server and not (same and found.outcome == decided.outcome):
                yield found

    def _of(self, server: tuple[str, int], name: dns.name.Name, found: DnsAnswer) -> DnsAnswer:
        """The answer with that of one server added."""
        for kind in ("A", "AAAA"):
            response = self._ask(name, kind, server)
            if response is None:
                break
            found = _read(found, response, kind, _shown(*server))
            if found.outcome != "NOERROR":
                break
        return found

    def _ask(
        self, name: dns.name.Name, kind: str, server: tuple[str, int]
    ) -> dns.message.Message | None:
        import dns.exception  # 0.8 ms
        import dns.message
        import dns.query

        where, port = server
        wait = max(0.05, min(_PATIENCE, self._deadline - time.monotonic()))
        try:
            question = dns.message.make_query(name, kind)
            response, _ = dns.query.udp_with_fallback(
                question, where, wait, port, ignore_unexpected=True, ignore_errors=True
            )
        except (dns.exception.DNSException, OSError, EOFError, ValueError):
            self.silent.append(server)
            return None
        return response


def _full_names(host: str, resolver: ResolverConfiguration) -> Iterator[dns.name.Name]:
    """The names that a stub resolver would try, in its order."""
    import dns.name  # 39 ms

    if not host.strip("."):
        raise dns.name.EmptyLabel
    bare = dns.name.from_text(host)
    if host.endswith("."):
        yield bare
        return
    appended = [dns.name.from_text(f"{host}.{domain}") for domain in resolver.search[:MAX_SEARCH]]
    if host.count(".") >= resolver.ndots:
        yield from (bare, *appended)
    else:
        yield from (*appended, bare)


def _read(sofar: DnsAnswer, response: dns.message.Message, kind: str, server: str) -> DnsAnswer:
    """The answer with one response added: addresses, aliases, and the zone that denies the name."""
    import dns.rcode  # 2.9 ms
    import dns.rdatatype

    addresses = list(sofar.addresses)
    aliases = list(sofar.aliases)
    for records in response.answer:
        if records.rdtype == dns.rdatatype.from_text(kind):
            addresses += [clean(record.to_text(), _TEXT_LIMIT) for record in records]
        elif records.rdtype == dns.rdatatype.CNAME:
            aliases += [_text(record.target) for record in records]
    zones = [_text(r.name) for r in response.authority if r.rdtype == dns.rdatatype.SOA]
    return DnsAnswer(
        sofar.name,
        server,
        dns.rcode.to_text(response.rcode()),
        tuple(dict.fromkeys(addresses))[:MAX_ADDRESSES],
        tuple(dict.fromkeys(aliases))[:MAX_ALIASES],
        zones[0] if zones else sofar.zone,
    )


def _text(name: dns.name.Name) -> str:
    return clean(name.to_text(omit_final_dot=True), _TEXT_LIMIT)


def _shown(server: str, port: int) -> str:
    """The address of a server as text, with its port where it is not 53."""
    if port == 53:
        return server
    return f"[{server}]:{port}" if ":" in server else f"{server}:{port}"


def _in_hosts_file(host: str, path: str) -> Iterator[str]:
    """The addresses that the hosts file gives to a name."""
    wanted = host.rstrip(".").lower()
    try:
        with Path(path).open("rb") as file:
            lines = file.read(_HOSTS_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        if wanted in (name.lower() for name in names):
            yield clean(address, _TEXT_LIMIT)

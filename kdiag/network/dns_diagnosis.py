"""The answers of DNS servers about a name that the operating system does not resolve."""

from __future__ import annotations

from kdiag.record import NamedTuple


class DnsAnswer(NamedTuple):
    """The answer about one full name. `server` is the DNS server that answered, "" if none did.

    `outcome` is the response code (NOERROR, NXDOMAIN, SERVFAIL, REFUSED, …), "" without a response.
    `aliases` is the chain of CNAMEs that was followed, `zone` the zone that denies the name.
    """

    name: str
    server: str = ""
    outcome: str = ""
    addresses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    zone: str = ""

    @property
    def text(self) -> str:
        """The answer in one line."""
        if not self.server:
            return f"{self.name}: no DNS server answered"
        via = "".join(f" is an alias of {alias}, which" for alias in self.aliases)
        if self.addresses:
            return f"{self.name}:{via} has {', '.join(self.addresses)}, says {self.server}"
        if self.outcome == "NOERROR":
            return f"{self.name}:{via} exists but has no address, says {self.server}"
        if self.outcome != "NXDOMAIN":
            return f"{self.name}:{via} cannot be looked up, {self.server} answers {self.outcome}"
        if self.zone == ".":
            return (
                f"{self.name}:{via} does not exist, says {self.server}: the whole of its top "
                "level domain is unknown there"
            )
        of = f" (zone {self.zone})" if self.zone else ""
        return f"{self.name}:{via} does not exist, says {self.server}{of}"


class DnsDiagnosis(NamedTuple):
    """Why a name does not resolve: the DNS servers of this machine, and their answers.

    `search` are the domains that were appended, `hosts` the addresses that the hosts file has for
    the name. `silent` servers did not answer; `flaw` says why no server got a query.
    """

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    answers: tuple[DnsAnswer, ...] = ()
    silent: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    flaw: str = ""

    @property
    def found(self) -> bool:
        """Whether a DNS server has an address for the name after all."""
        return any(answer.addresses for answer in self.answers)

    @property
    def lines(self) -> tuple[str, ...]:
        """The diagnosis as lines of evidence, the most important one first."""
        lines = [answer.text for answer in self.answers if answer.server]
        if self.flaw:
            lines.append(self.flaw)
        if self.silent:
            lines.append(
                f"DNS server{'s' * (len(self.silent) > 1)} that did not answer: "
                + ", ".join(self.silent)
            )
        if self.hosts:
            lines.append(f"the hosts file has {', '.join(self.hosts)} for it")
        if self.search and any(answer.server for answer in self.answers):
            lines.append(f"search domains tried: {', '.join(self.search)}")
        return tuple(lines)

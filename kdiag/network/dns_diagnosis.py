"""The answers of DNS servers about a name that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

from kdiag.config.record import NamedTuple


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
    """Why a name does not resolve, or which addresses it has elsewhere: the DNS servers of this
    machine, and their answers.

    `search` are the domains that were appended, `hosts` the addresses that the hosts file has for
    the name. `silent` servers did not answer; `flaw` says why no server got a query. `others` are
    answers of further servers that differ from the answer about the same name.
    """

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    answers: tuple[DnsAnswer, ...] = ()
    silent: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    flaw: str = ""
    others: tuple[DnsAnswer, ...] = ()

    @property
    def found(self) -> bool:
        """Whether a DNS server has an address for the name after all."""
        return any(answer.addresses for answer in (*self.answers, *self.others))

    @property
    def lines(self) -> tuple[str, ...]:
        """The diagnosis as lines of evidence, the most important one first."""
        lines = [answer.text for answer in (*self.answers, *self.others) if answer.server]
        if self.flaw:
            lines.append(self.flaw)
        if self.silent:
            servers = "DNS server" if len(self.silent) == 1 else "DNS servers"
            lines.append(f"{servers} that did not answer: {', '.join(self.silent)}")
        if self.hosts:
            lines.append(f"the hosts file has {', '.join(self.hosts)} for it")
        if self.search and any(answer.server for answer in self.answers):
            lines.append(f"search domains tried: {', '.join(self.search)}")
        return tuple(lines)

    def elsewhere(self, dialled: Sequence[str]) -> tuple[str, ...]:
        """A line for each source of addresses of a name, with the addresses that this machine's
        resolver gave (`dialled`); empty where no source has other addresses of their families."""
        known = [answer for answer in (*self.answers, *self.others) if answer.addresses]
        families = {":" in address for address in dialled}
        found = {*self.hosts, *(address for answer in known for address in answer.addresses)}
        if not {each for each in found if (":" in each) in families} - set(dialled):
            return ()
        lines = [f"this machine's resolver gives {', '.join(dialled)}; others differ:"]
        if self.hosts:
            lines.append(f"the hosts file has {', '.join(self.hosts)} for it")
        return (*lines, *(answer.text for answer in known))

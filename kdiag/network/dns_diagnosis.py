"""What DNS servers said about a name that the operating system's resolver could not find."""

from __future__ import annotations

from typing import NamedTuple


class DnsAnswer(NamedTuple):
    """What was learnt of one full name. `server` is who answered, "" when nobody did.

    `outcome` is the answer's code (NOERROR, NXDOMAIN, SERVFAIL, REFUSED, …) or "" without one.
    `aliases` is the chain of CNAMEs that it led through, `zone` the one that denies the name.
    """

    name: str
    server: str = ""
    outcome: str = ""
    addresses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    zone: str = ""

    @property
    def words(self) -> str:
        """All of it in one line."""
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
    """A name explained: the DNS servers that this machine asks, and what each full name gave.

    `search` are the domains that were appended, `hosts` the addresses that the hosts file has for
    the name. `silent` servers were asked and did not answer; `flaw` says why nobody was asked.
    """

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    answers: tuple[DnsAnswer, ...] = ()
    silent: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    flaw: str = ""

    @property
    def found(self) -> bool:
        """Whether DNS has an address for it after all."""
        return any(answer.addresses for answer in self.answers)

    @property
    def lines(self) -> tuple[str, ...]:
        """The evidence, the most telling line first."""
        said = [answer.words for answer in self.answers if answer.server]
        if self.flaw:
            said.append(self.flaw)
        if self.silent:
            said.append(
                f"DNS server{'s' * (len(self.silent) > 1)} that did not answer: "
                + ", ".join(self.silent)
            )
        if self.hosts:
            said.append(f"the hosts file has {', '.join(self.hosts)} for it")
        if self.search and any(answer.server for answer in self.answers):
            said.append(f"search domains tried: {', '.join(self.search)}")
        return tuple(said)

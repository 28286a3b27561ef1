"""The commands that a report proposes to type on the client, for the client's operating system.

Commands for the broker's host, for Kubernetes and for Kafka's own tools are not among them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kdiag.config.record import NamedTuple
from kdiag.config.snippet import Snippet, fill
from kdiag.rules.rule import Remedy

# Need → the command on Linux, on macOS, and in Windows' PowerShell. The pages of the rules have
# Linux's, with words in capital letters for the values.
_COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "resolve": (
        "getent ahosts {host}",
        "dscacheutil -q host -a name {host}",
        "Resolve-DnsName {host}",
    ),
    "route": (
        "ip route get {address}",
        "route -n get {family}{address}",
        "Find-NetRoute -RemoteIPAddress {address}",
    ),
    "connect": (
        "nc -zv {host} {port}",
        "nc -vz {host} {port}",
        "Test-NetConnection -ComputerName {host} -Port {port}",
    ),
    "certificates": (
        "openssl s_client -connect {endpoint} -showcerts </dev/null",
        "openssl s_client -connect {endpoint} -showcerts </dev/null",
        "'' | openssl s_client -connect {endpoint} -showcerts  # Git for Windows has openssl",
    ),
    "mtu": ("ping -M do -s 1472 {host}", "ping -D -s 1472 {host}", "ping -f -l 1472 {host}"),
}
_RESOLVER_SETTINGS = (
    "/etc/resolv.conf",
    "what scutil --dns lists",
    "what Get-DnsClientServerAddress lists",
)
_HOSTS_FILES = ("/etc/hosts", "/etc/hosts", r"%SystemRoot%\System32\drivers\etc\hosts")
_COLUMNS = {"macos": 1, "windows": 2}  # every other system has the commands of Linux


class ClientSystem(NamedTuple):
    """The operating system of the machine that walked, as `walk.facts.run.SYSTEMS` names it."""

    name: str = ""

    @property
    def kind(self) -> str:
        """The kind of snippet that its shell reads."""
        return "powershell" if self._column == 2 else "shell"

    @property
    def hosts_file(self) -> str:
        """The path of its hosts file."""
        return _HOSTS_FILES[self._column]

    @property
    def resolver_settings(self) -> str:
        """Where its DNS servers are listed."""
        return _RESOLVER_SETTINGS[self._column]

    def remedy(self, summary: str, need: str, **values: object) -> Remedy:
        """A fix with the command for a need of the table."""
        return Remedy(summary, self._command(need, **values), self.kind)

    def translated(self, page: str) -> str:
        """A text with Linux's commands, with those of this system in their place."""
        for need, commands in _COMMANDS.items():
            known = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[A-Z]+|\\d+)", re.escape(commands[0]))
            for found in re.finditer(known, page):
                page = page.replace(found[0], self._command(need, **found.groupdict()))
        return page

    def _command(self, need: str, **values: object) -> Snippet:
        family = Snippet("-inet6 " if ":" in str(values.get("address", "")) else "")
        return fill(self.kind, _COMMANDS[need][self._column], family=family, **values)

    @property
    def _column(self) -> int:
        return _COLUMNS.get(self.name, 0)

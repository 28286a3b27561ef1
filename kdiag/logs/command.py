"""The `kdiag check` command that proves the explanation of a log."""

from __future__ import annotations

import re

from kdiag.config.snippet import fill
from kdiag.logs.facts import LogFacts
from kdiag.rules.client import ClientSystem
from kdiag.rules.rule import Finding
from kdiag.walk.facts.run import this_system

_MAX_SERVERS = 3
_SERVER = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}")
# Findings about an advertised address by itself: only a bootstrap server proves them.
_OF_METADATA = ("KD301", "KD302", "KD303", "KD304")
_LOGIN = ("KD112", "KD113", "KD114", "KD115", "KD116", "KD118", "KD119", "KD120", "KD126")


def command(cause: Finding | None, addresses: list[str], log: LogFacts) -> str:
    """The command with the servers, the properties and the topic that the log has. `addresses` are
    those of the root cause."""
    servers = [server for server in log.bootstrap if _SERVER.fullmatch(server)]
    code = cause.code if cause else ""
    if not servers and code not in _OF_METADATA:
        servers = [address for address in addresses if _SERVER.fullmatch(address)]
    template, values = "kdiag check {servers}", {}
    if code in _LOGIN or code == "KD117" or log.settings.get("sasl.mechanism"):
        template += " -F client.properties"
    elif log.settings.get("security.protocol") and code not in ("KD110", "KD111", "KD312"):
        template += " -X {protocol}"
        values["protocol"] = f"security.protocol={log.settings['security.protocol']}"
    if code[2:3] in ("2", "4") or (cause and cause.hop == "produce"):
        template += " --topic {topic}"
        values["topic"] = log.topics[0] if log.topics else "TOPIC"
    kind = ClientSystem(this_system()).kind
    return fill(kind, template, servers=",".join(servers[:_MAX_SERVERS]) or "HOST:PORT", **values)

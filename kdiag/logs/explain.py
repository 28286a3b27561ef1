"""Explains a log: from the lines that were recognised to the hop, the one cause and its proof."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from kdiag.address import internal_name, is_loopback, is_private, is_unusable, parse
from kdiag.config.snippet import fill
from kdiag.logs.explanation import Explanation, LogLine, Reading
from kdiag.logs.facts import Log, Sign
from kdiag.logs.reader import MOST, read
from kdiag.logs.text import WORDS
from kdiag.network.fingerprint import decode_size
from kdiag.rules import walk_rules
from kdiag.rules.root_cause import explained
from kdiag.rules.rule import Finding, Match, Remedy, Severity
from kdiag.rules.text import brokers, listed, sentence
from kdiag.walk.areas import EXIT_CODES, HOP_IDS

_NEAR = 40  # lines: a stack trace belongs to what was logged before it
_SHOWN = 8  # lines of a finding
_SERVERS = 3
# What these say may only follow from connections that fail: the higher, the likelier.
_VAGUE = {"KD116": 1, "KD121": 1, "KD204": 2, "KD206": 2, "KD405": 2}
_BY_ADDRESS = ("KD101", "KD103", "KD104", "KD105")
_AREAS = {"2": "metadata", "3": "listeners", "4": "produce"}
_BOOTSTRAP = "bootstrap server"
_SERVER = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}")
_TOPIC = re.compile(r"(?:topic[ =:]+|topic=')([\w.-]{1,249})\b|\[([\w.-]+)\]$")


@dataclass(frozen=True)
class _Placed:
    """A sign, and where it belongs: `told` is False where the hop is a guess."""

    sign: Sign
    code: str
    hop: str
    told: bool
    node: int | None
    at: str
    sure: bool


def explain(stream: BinaryIO, source: str) -> Explanation:
    """What a log says: which hop fails, why, and what would prove it. Raises OSError."""
    return judge(read(stream), source)


def judge(log: Log, source: str) -> Explanation:
    """The answer about what was read. A pure function."""
    stood = {who.at for who in log.reached}
    told = [s for s in log.signs if s.pattern.code and (s.pattern.shows != "after" or stood)]
    placed = [each for sign in told for each in _placed(sign, log)]
    placed += _unspoken(log)
    placed += [deeper for each in placed for deeper in _deeper(each, log)]
    readings = _readings(placed)
    cause = _root(readings, placed, log)
    certain = cause is not None and any(
        each.told for each in placed if (each.code, each.hop) == _key(cause.finding)
    )
    code = EXIT_CODES[cause.finding.hop] if cause and certain else 0
    return Explanation(
        source=source,
        lines=log.lines,
        size=log.size,
        clients=list(log.clients),
        hop=cause.finding.hop if cause else None,
        hop_told=certain,
        layer=cause.layer if cause else "",
        root_cause=cause.finding.code if cause else None,
        confidence=cause.confidence if cause else None,
        exit_code=code,
        command=_command(cause, log),
        findings=sorted(readings, key=lambda reading: reading is not cause),
        outcomes=[_line(s) for s in log.signs if _is_outcome(s)][:_SHOWN],
        notes=_notes(log),
    )


def _placed(sign: Sign, log: Log) -> Iterator[_Placed]:
    """Where a line belongs: to the connection it names, else to what it stands by."""
    who, code = sign.who, _code(sign)
    if code == "KD117" and log.login and not sign.pattern.sure:
        code = "KD120"  # it does log in, so that is not what is missing
    hop, told, node = who.hop, bool(who.hop), who.node
    if not hop and who.at:
        hop, node = _by_address(who.at, log)
        told = bool(hop)
    if not hop:
        hop = sign.pattern.hop or _AREAS.get(code[2], "")
        told = bool(hop)
    if not hop:
        near = _neighbour(sign, log)
        hop, told, node = (
            (near.who.hop, True, near.who.node) if near else ("bootstrap", False, None)
        )
        who = near.who if near else who
        if near is None and log.metadata:
            hop = "listeners"
    if code[2] in _AREAS:
        hop = sign.pattern.hop or _AREAS[code[2]]
    at = who.at or log.advertised.get(node if node is not None else -1, "")
    if not at and hop == "bootstrap" and len(log.bootstrap) == 1:
        at = log.bootstrap[0]
    nameless = hop == "listeners" and not at and code in _BY_ADDRESS  # the address may say more
    yield _Placed(sign, code, hop, told, node, at, sign.pattern.sure and not nameless)


def _code(sign: Sign) -> str:
    """Its finding; a size that is no size tells who spoke."""
    size = sign.said.get("size", "")
    if not size:
        return sign.pattern.code
    spoke = decode_size(int(size)) if size.isdecimal() and len(size) < 12 else None
    if spoke and "TLS" in spoke:
        return "KD110" if "alert" in spoke else "KD111"
    return sign.pattern.code


def _by_address(at: str, log: Log) -> tuple[str, int | None]:
    """The hop of an address that a line names without saying whose it is."""
    nodes = [node for node, advertised in log.advertised.items() if advertised == at]
    if at in log.bootstrap and not nodes:
        return "bootstrap", None
    if nodes or (log.metadata and at not in log.bootstrap):
        return "listeners", nodes[0] if len(nodes) == 1 else None
    return "", None


def _neighbour(sign: Sign, log: Log) -> Sign | None:
    """The last line before it, not far, that tells which connection it is about."""
    before = [
        other
        for other in log.signs
        if other.who.hop and 0 <= sign.line - other.line <= _NEAR and other is not sign
    ]
    return max(before, key=lambda other: other.line, default=None)


def _unspoken(log: Log) -> Iterator[_Placed]:
    """Connections that were tried and never stood, where something failed afterwards: some clients
    say no more than that."""
    outcome = next((s for s in log.signs if _is_outcome(s)), None)
    spoken = {(s.who.hop, s.who.at) for s in log.signs if s.pattern.code}
    reached = {who.at for who in log.reached}
    for who in log.dialled:
        if outcome is None or who.at in reached or (who.hop, who.at) in spoken or not who.hop:
            continue
        tried = next(s for s in log.signs if s.pattern.shows == "dialled" and s.who == who)
        code = "KD107" if who.at in log.connected else "KD104"
        yield _Placed(tried, code, who.hop, True, who.node, who.at, False)


def _deeper(each: _Placed, log: Log) -> Iterator[_Placed]:
    """Why an advertised address fails as it does."""
    if each.hop != "listeners":
        return
    host, _, port = each.at.rpartition(":")
    host = host.strip("[]")
    home = [server.rpartition(":")[0].strip("[]") for server in log.bootstrap]
    outside = not any(is_private(name) or is_loopback(name) for name in home)
    if each.code in ("KD110", "KD111"):
        yield replace(each, code="KD312")
    if each.code not in _BY_ADDRESS:
        return
    if host and is_unusable(host, int(port) if port.isdecimal() else 0):
        yield replace(each, code="KD303", sure=True)
    elif is_loopback(host) and not any(is_loopback(name) for name in home):
        yield replace(each, code="KD302", sure=bool(home) or each.sure)
    elif each.code == "KD101":
        if internal_name(host):
            yield replace(each, code="KD304")
    elif is_private(host) and outside:
        seen = any((ip := parse(name)) and not is_private(str(ip)) for name in home)
        yield replace(each, code="KD301", sure=each.sure and seen)
    elif each.code in ("KD103", "KD104"):
        yield replace(each, code="KD305" if each.code == "KD103" else "KD306", sure=each.sure)


def _readings(placed: Sequence[_Placed]) -> list[Reading]:
    """A finding for each code at each hop, with what explains it."""
    groups: dict[tuple[str, str], list[_Placed]] = {}
    for each in placed:
        if each.code in WORDS:
            groups.setdefault((each.code, each.hop), []).append(each)
    made = {key: _finding(key[0], key[1], group) for key, group in groups.items()}
    return [
        Reading(
            finding=finding,
            layer=next((e.sign.pattern.layer for e in groups[_key(finding)]), ""),
            confidence="sure" if any(e.sure for e in groups[_key(finding)]) else "likely",
            lines=[_line(e.sign) for e in groups[_key(finding)]][:_SHOWN],
        )
        for finding in explained(list(made.values()))
    ]


def _key(finding: Finding) -> tuple[str, str]:
    return finding.code, finding.hop


def _finding(code: str, hop: str, group: Sequence[_Placed]) -> Finding:
    """What these lines say together, in kdiag's words."""
    message, fix = WORDS[code]
    nodes = sorted({each.node for each in group if each.node is not None})
    addresses = sorted({each.at for each in group if each.at})
    who = _who(hop, nodes, addresses)
    at = f": {listed(addresses)}" if addresses else ", which the log does not name"
    many = len(nodes) > 1 if hop != "bootstrap" and nodes else len(addresses) > 1
    ends = {"s": "" if many else "s", "es": "" if many else "es"}
    said = message.format(who=who, Who=sentence(who), at=at, **ends)
    if hop == "bootstrap":
        subjects = [f"bootstrap {address}" for address in addresses] or [_BOOTSTRAP]
    else:
        subjects = [f"broker {node}" for node in nodes] or addresses or [hop]
    return walk_rules()[code].finding(
        Match(hop, said, tuple(subjects), tuple(_evidence(group)), (Remedy(fix),))
    )


def _who(hop: str, nodes: Sequence[int], addresses: Sequence[str]) -> str:
    if hop != "bootstrap" and nodes:
        return brokers(nodes)
    if addresses:
        return listed(addresses)
    return "the bootstrap server" if hop == "bootstrap" else "a broker"


def _evidence(group: Sequence[_Placed]) -> Iterator[str]:
    """What the lines have in them beside, decoded."""
    seen = set()
    for each in group:
        said = each.sign.said
        size = said.get("size", "")
        spoke = decode_size(int(size)) if size.isdecimal() and len(size) < 12 else None
        for text in (
            f"the size {size} is no size: its four bytes are {spoke}" if spoke else "",
            f"the listener offers {said['offered']}" if said.get("offered") else "",
            f"it was dialled as {said['wanted']}" if said.get("wanted") else "",
        ):
            if text and text not in seen:
                seen.add(text)
                yield text


def _root(readings: Sequence[Reading], placed: Sequence[_Placed], log: Log) -> Reading | None:
    """The cause: not explained itself; past the bootstrap where the metadata came, for then one of
    the servers worked; told rather than guessed; the earliest hop; about the most connections."""
    causes = [reading for reading in readings if not reading.finding.consequence_of]
    later = [reading for reading in causes if reading.finding.hop != "bootstrap"]
    if log.metadata and later:
        causes = later
    return min(
        causes,
        key=lambda reading: (
            reading.finding.severity is not Severity.ERROR,
            reading.confidence != "sure",
            _VAGUE.get(reading.finding.code, 0),
            HOP_IDS.index(reading.finding.hop),
            -len(reading.finding.subjects),
        ),
        default=None,
    )


def _command(cause: Reading | None, log: Log) -> str:
    """What would prove it, from where the client runs."""
    servers = [server for server in log.bootstrap if _SERVER.fullmatch(server)][:_SERVERS]
    said = "kdiag check {servers}"
    code = cause.finding.code if cause else ""
    if "KD110" <= code <= "KD120":
        said += " -F client.properties"
    if code[2:3] in ("2", "4"):
        said += " --topic {topic}"
    return fill(
        "shell",
        said,
        servers=",".join(servers) or "HOST:PORT",
        topic=_topic(cause) or "TOPIC",
    )


def _topic(cause: Reading | None) -> str:
    """The topic that its lines name."""
    for line in cause.lines if cause else ():
        found = _TOPIC.search(line.text)
        if found:
            return found[1] or found[2]
    return ""


def _is_outcome(sign: Sign) -> bool:
    shows = sign.pattern.shows in ("", "lost")
    return not sign.pattern.code and shows and not sign.said.get("servers")


def _line(sign: Sign) -> LogLine:
    return LogLine(line=sign.line, count=sign.count, client=sign.client, text=sign.text)


def _notes(log: Log) -> list[str]:
    if not log.cut:
        return []
    if log.size >= MOST:
        return [f"only the first {MOST >> 30} GiB were read"]
    return ["there were more kinds of lines than are told apart: the rest is left out"]

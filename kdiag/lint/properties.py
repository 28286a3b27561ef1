"""Reads properties and files of variables into trees with places."""

from __future__ import annotations

import re

from kdiag.config.properties.syntax import unescape
from kdiag.lint.reader import split
from kdiag.lint.tree import Entry, Map, Scalar, Spot

_KEY = re.compile(r"^[ \t]*([a-zA-Z][\w.-]*)[ \t]*[=:]", re.MULTILINE)
_YAML_BLOCK = re.compile(r"^\w[\w.-]*:\s*$", re.MULTILINE)
_VARIABLE = re.compile(
    r"[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|[^\r\n]*?)[ \t]*[\r\n]*\Z"
)
_TEMPLATE = re.compile(r"\.(j2|tmpl|tpl|template|erb|in|dist|example|sample|orig|bak)\Z")

# What only a broker has; names of what else is configured with Kafka's kind of properties; and what
# a client cannot do without.
_BROKER = re.compile(
    r"(process\.roles|node\.id|broker\.id|log\.dirs?|advertised\.(listeners?|host\.name|port)|"
    r"controller\.(listener|quorum)\.[\w.]+|listener\.security\.protocol\.map|"
    r"inter\.broker\.[\w.]+|num\.network\.threads|zookeeper\.connect)\Z"
)
_OTHER = re.compile(
    r"((key|value)\.converter|connector\.class|offset\.storage\.|config\.storage\.|kafkastore\.|"
    r"schema\.registry\.url|ksql\.|clusters\Z|confluent\.controlcenter|spring\.kafka)"
)
_BRACES = re.compile(r"^[ \t]*\w[^#=\n]*\{[ \t]*$", re.MULTILINE)  # HOCON, JAAS, nginx
_LISTENERS = re.compile(r"^[ \t]*listeners[ \t]*[=:].*://", re.MULTILINE)
_CLIENT = re.compile(
    r"(bootstrap\.servers?|metadata\.broker\.list|security\.protocol|sasl\.\w[\w.]*|ssl\.\w[\w.]*|"
    r"(key|value)\.(de)?serializer|group\.id)\Z"
)
_SPLIT = re.compile(r"[ \t\f]*((?:\\.|[^\\=:\s])*)[ \t\f]*(?:[=:][ \t\f]*)?")


def kind_of(name: str, content: str) -> str | None:
    """What a text that is no YAML configures: "properties" for a broker, "client", "env" for the
    variables of containers, "other" for Connect and the like, "" for nothing of Kafka; None where
    it may be YAML."""
    plain = _TEMPLATE.sub("", name)
    if re.search(r"(^|[/.])env(\.[\w-]+)?\Z", plain):
        return "env"
    named = plain.endswith((".properties", ".conf", ".cfg", ".config"))
    if not named:
        like = "=" in content and not _YAML_BLOCK.search(content)
        if plain.endswith((".yaml", ".yml", ".json")) or not like:
            return None
    braces = not plain.endswith(".properties") and _BRACES.search(content)
    found = "" if braces else _kind(content)
    return found if found or named else None


def is_broker(name: str, content: str) -> bool:
    """Whether a file is the server.properties of a broker."""
    return kind_of(name, content) == "properties"


def _kind(content: str) -> str:
    keys = {match[1] for match in _KEY.finditer(content)}
    if keys & {"clientPort", "secureClientPort", "tickTime", "dataDir", "initLimit"}:
        return ""  # ZooKeeper's
    broker = any(_BROKER.match(key) for key in keys)
    only = {"zookeeper.connect", "num.network.threads"}
    if any(_BROKER.match(key) and key not in only for key in keys):
        return "properties"
    if any(_OTHER.match(key) for key in keys):
        return "other"
    clients = any(_CLIENT.match(key) for key in keys)
    if broker or (
        _LISTENERS.search(content) and not {"bootstrap.servers", "bootstrap.server"} & keys
    ):
        return "properties"
    return "client" if clients and "listeners" not in keys else "other" if clients else ""


def variables(content: str) -> Map:
    """The variables of an env_file, as Compose reads it."""
    found = []
    for number, line in enumerate(split(content), start=1):
        match = _VARIABLE.match(line)
        if match:
            written = match[2]
            quoted = len(written) > 1 and written[0] in "\"'" and written[-1] == written[0]
            start = Spot(number, match.start(2) + 1 + quoted)
            end = Spot(number, match.end(2) + 1 - quoted)
            name = Scalar(
                match[1], match[1], Spot(number, match.start(1) + 1), Spot(number, match.end(1) + 1)
            )
            value = written[1:-1] if quoted else written
            found.append(Entry(name, Scalar(value, value, start, end)))
    return Map(Spot(1, 1), tuple(found))


def tree(content: str) -> Map:
    """The properties of a file, as Java reads them; continued lines are one value."""
    lines = split(content)
    found: list[Entry] = []
    at = 0
    while at < len(lines):
        begin, line = at, lines[at]
        at += 1
        if not line.strip() or line.lstrip()[0] in "#!":
            continue
        match = _SPLIT.match(line)
        key = match[1] if match else ""
        if match is None or not key:
            continue
        start = match.end()
        value = line[start:].rstrip("\r\n\x85\u2028\u2029")
        end = Spot(at, start + len(value) + 1)
        parts = [value]
        while _goes_on(parts[-1]) and at < len(lines):
            more = lines[at].rstrip("\r\n\x85\u2028\u2029")
            parts[-1] = parts[-1][:-1]
            parts.append(more.lstrip())
            at += 1
            end = Spot(at, len(more) + 1)
        value = "".join(parts)
        plain = unescape(value).rstrip() if end.line > begin + 1 else unescape(value)
        name = Scalar(
            unescape(key),
            unescape(key),
            Spot(begin + 1, match.start(1) + 1),
            Spot(begin + 1, match.end(1) + 1),
        )
        found.append(Entry(name, Scalar(plain, plain, Spot(begin + 1, start + 1), end)))
    return Map(Spot(1, 1), tuple(found))


def _goes_on(value: str) -> bool:
    return (len(value) - len(value.rstrip("\\"))) % 2 == 1

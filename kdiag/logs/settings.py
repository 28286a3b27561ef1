"""Settings of a client in its log: bootstrap servers, protocol, mechanism, and topics.

The proof command of an explanation has them, so that it can be copied as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kdiag.kafka.error_catalog import names

_SERVER = r"(?:[\w.-]{1,255}|\[[0-9a-fA-F:]{2,60}\]):\d{1,5}"
_SERVERS = rf"{_SERVER}(?:['\"]?\s?,\s?['\"]?(?:\w+://)?{_SERVER}){{0,30}}"

# Bootstrap servers in a command, in a file or in the words of an application.
SERVERS = re.compile(
    rf"(?:--(?:bootstrap-servers?|broker-list|brokers?|kafka\.server)[ =]|\s-b ?"
    rf"|(?:metadata[._]broker[._]list|bootstrap[._-]?servers?(?:[._]config)?"
    rf"|kafka[ ._-]?(?:servers?|brokers?|hosts?)|\bbrokers(?=['\"]?\s{{0,3}}(?:=>|=|:)\s{{0,3}}\[))"
    rf"['\"]?\s{{0,3}}(?:=>|=|:)\s{{0,3}}\[?)\[?['\"]{{0,2}}(?:\w+://)?(?P<servers>{_SERVERS})",
    re.IGNORECASE,
)
_PROTOCOL = re.compile(
    r"(?:security[._]protocol['\"]?\s{0,3}(?:=>|=|:)\s{0,3}['\"]?"
    r"(?P<named>SASL_SSL|SASL_PLAINTEXT|SSL|PLAINTEXT)\b)"
    r"|(?P<url>sasl_ssl|sasl_plaintext|ssl)://(?=\S+:\d)",
    re.IGNORECASE,
)
_MECHANISM = re.compile(
    r"(?:sasl[._]mechanisms?['\"]?\s{0,3}(?:=>|=|:)\s{0,3}['\"]?|SASL (?=\S+ mechanism)"
    r"|required by mechanism |client mechanism '?|Client SASL mechanism '|SASL[/ ](?=PLAIN|SCRAM))"
    r"(?P<mechanism>PLAIN|SCRAM-SHA-(?:256|512)|GSSAPI|OAUTHBEARER|AWS_MSK_IAM)\b"
)
_TOPIC = r"[a-zA-Z0-9][\w.-]{0,248}"
_TOPICS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"TopicPartition\(topic='({_TOPIC})'",
        rf"\{{({_TOPIC})=(?:UNKNOWN_TOPIC|LEADER_NOT|TOPIC_AUTH|INVALID_TOPIC)",
        rf"[Tt]opic ['\"\[(<]{{1,2}}({_TOPIC})['\"\])>]",
        rf"[Tt]opics?(?: |: |=|:)\[['\"]?({_TOPIC})['\"]?[\],]",
        rf"['\"]?topic(?:_name|Name)?['\"]?\s?(?:=>|=|:)\s?['\"]({_TOPIC})['\"]",
        rf"\btopic[=:] ?({_TOPIC})(?=[,;\s]|$)",
        rf"[Tt]opic ({_TOPIC}) not present in metadata",
        rf"record\(s\) for ({_TOPIC})-\d{{1,6}}[: ]",
        rf"(?:partition|for) ({_TOPIC})-\d{{1,6}}\b",
        rf": ({_TOPIC}) \[\d{{1,6}}\]",
        rf"to topic ({_TOPIC})(?=[:;,\s]|$)",
        rf"Topic ({_TOPIC}) \[\d",
    )
)
# What stands in the place of a topic, and is none.
_NO_TOPICS = {name.lower().lstrip("_") for name in names()} | set(
    "or and is not does did was with for the metadata partition partitions name names exception "
    "error errors offset offsets list null none nil undefined authorization failed broker brokers "
    "consumer producer topic topics id version rebalance example.com".split()
)


def servers(text: str) -> str:
    """The bootstrap servers that a line names, separated by commas."""
    found = SERVERS.search(text)
    return re.sub(r"['\"\s]|\w+://", "", found["servers"]) if found else ""


def settings(text: str) -> Iterator[tuple[str, str]]:
    """The client properties that a line names: (name, value)."""
    protocol = _PROTOCOL.search(text)
    if protocol:
        yield "security.protocol", (protocol["named"] or protocol["url"]).upper()
    mechanism = _MECHANISM.search(text)
    if mechanism:
        yield "sasl.mechanism", mechanism["mechanism"]


def topics(text: str) -> Iterator[str]:
    """The topics that a line names. The name of an error is no topic."""
    for pattern in _TOPICS:
        for match in pattern.finditer(text):
            name = match[1].rstrip(".")
            if name.lower().replace("exception", "") not in _NO_TOPICS and not name.isdecimal():
                yield name

"""The login module in a `sasl.jaas.config`, read as Kafka's Java client reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kdiag.config.usage import UsageError

# Options whose names may be shown. In a line that is not whole, any other word may be a secret.
OPTIONS = frozenset(
    """
awsProfileName awsRoleArn awsStsRegion clientId clientSecret keyTab oauth.access.token
oauth.client.id oauth.client.secret oauth.scope oauth.token.endpoint.uri password principal scope
serviceName tokenauth useKeyTab useTicketCache username
""".split()
)

_TEXTS = ("word", "quoted")
_FLAGS = ("required", "requisite", "sufficient", "optional")

# java.io.StreamTokenizer as org.apache.kafka.common.security.JaasConfig sets it up: one `/` is
# enough for a comment (and takes a line break along), and a word that begins like a number is one.
_TOKEN = re.compile(
    r"""
    (?P<space>[\x00-\x20]+ | /\*.*?(?:\*/|\Z) | //[^\r\n]* | /(?:[^*/][^\r\n]*)?)
    | (?P<quoted>"(?:\\.|[^"\\\r\n])*(?:"|(?=[\r\n])|\Z) | '(?:\\.|[^'\\\r\n])*(?:'|(?=[\r\n])|\Z))
    | (?P<number>-?(?:\d+\.?\d*|\.\d+))
    | (?P<word>[\w$\u00a0-\uffff][\w$.\u00a0-\uffff-]*)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True)
class JaasLogin:
    """A login module's class and its options, which hold secrets."""

    module: str
    options: Mapping[str, str] = field(repr=False)

    @property
    def name(self) -> str:
        """The class without its package."""
        return self.module.rpartition(".")[2]


def parse(text: str) -> JaasLogin:
    """`package.LoginModule required option="value" ...;`

    Raises UsageError where Java's client would refuse it; a value is never in the text.
    """
    tokens = [
        (match.lastgroup or "", match.group())
        for match in _TOKEN.finditer(text)
        if match.lastgroup != "space"
    ]
    if not tokens or tokens[0][0] != "word":
        raise _refused("write a login module's class first, then required, then its options")
    if tokens[0][1] == "KafkaClient" or ("sign", "{") in tokens[:2]:
        raise _refused("leave out KafkaClient { } and keep the line of the login module inside it")
    module = tokens[0][1]
    if len(tokens) < 2 or tokens[1][1].lower() not in _FLAGS:
        raise _refused("write required after the login module's class")
    options: dict[str, str] = {}
    at = 2
    while at < len(tokens) and tokens[at] != ("sign", ";"):
        kind, name = tokens[at]
        if kind not in _TEXTS:
            raise _refused('after required come options, each NAME="VALUE", then a semicolon')
        name = _text(kind, name)
        following = [*tokens[at + 1 : at + 3], ("", ""), ("", "")]
        value = following[1] if following[0] == ("sign", "=") else ("", "")
        if value[0] not in _TEXTS:
            raise _refused(f"{shown(name)} has no value that Java can read: put it in quotes")
        options[name] = _text(*value)
        at += 3
        if at < len(tokens) and tokens[at][0] not in _TEXTS and tokens[at] != ("sign", ";"):
            raise _refused(f"the value of {shown(name)} goes on after its end: put it in quotes")
    if at >= len(tokens):
        raise _refused("it does not end with a semicolon")
    if at + 1 < len(tokens):
        raise _refused("it names more than one login module, and Kafka's client takes one")
    return JaasLogin(module, options)


def shown(option: str) -> str:
    """An option's name for messages; "an option" for an unknown one, which may be a secret."""
    return option if option in OPTIONS else "an option"


def _text(kind: str, text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        return chr(int(code, 8)) if code[0] in "01234567" else _ESCAPES.get(code, code)

    if kind == "word":
        return text
    inner = text[1:-1] if len(text) > 1 and text[-1] == text[0] else text[1:]
    return re.sub(r"\\([0-3][0-7]{0,2}|[4-7][0-7]?|.)", one, inner, flags=re.DOTALL)


def _refused(reason: str) -> UsageError:
    return UsageError(f"sasl.jaas.config: {reason}")

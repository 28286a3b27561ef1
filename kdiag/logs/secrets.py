"""Takes out of a log's lines what nobody is to see: they are printed, and go into tickets."""

from __future__ import annotations

import re

_HIDDEN = "***"
_NAMES = (
    r"(?:pass(?:word|wd|phrase)?|secret(?:_?key)?|token|api[_.-]?key|credentials?"
    r"|sasl\.jaas\.config)"
)

_SECRETS = (
    # password=x, "password": "x", ssl.key.password = x, jaas.config's password="x"
    re.compile(
        rf"""(?i)({_NAMES}[\w.-]{{0,40}}["']?\s{{0,8}}(?:=|:|=>)\s{{0,8}})("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&)\]}}]+)"""
    ),
    re.compile(r"(?i)(\b(?:bearer|basic|authorization:?)\s+)([\w+/=.~-]{8,})"),
    re.compile(r"(://[^\s/:@]{1,200}:)([^\s/@]{1,200})(?=@)"),
    re.compile(r"()(eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?)"),  # a JSON web token
    re.compile(r"()((?:AKIA|ASIA)[A-Z0-9]{12,})"),
    re.compile(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)([^\s&]+)"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.*)"),
)


def without_secrets(text: str) -> str:
    """The line without passwords, tokens, keys and login modules' options."""
    for secret in _SECRETS:
        text = secret.sub(rf"\g<1>{_HIDDEN}", text)
    return text

"""Removal of secrets from log lines: kdiag prints these lines, and users copy them to tickets."""

from __future__ import annotations

import re

_REPLACEMENT = "***"
_SECRET_NAMES = (
    r"(?:pass(?:word|wd|phrase)?|secret(?:_?key)?|token|api[_.-]?key|credentials?"
    r"|sasl\.jaas\.config)"
)

_SECRET_PATTERNS = (
    # password=x, "password": "x", ssl.key.password = x, jaas.config's password="x"
    re.compile(
        rf"""(?i)({_SECRET_NAMES}[\w.-]{{0,40}}["']?\s{{0,8}}(?:=|:|=>)\s{{0,8}})("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&)\]}}]+)"""
    ),
    re.compile(r"(?i)(\b(?:bearer|basic|authorization:?)\s+)([\w+/=.~-]{8,})"),
    re.compile(r"(://[^\s/:@]{1,200}:)([^\s/@]{1,200})(?=@)"),
    re.compile(r"()(eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?)"),  # a JSON web token
    re.compile(r"()((?:AKIA|ASIA)[A-Z0-9]{12,})"),
    re.compile(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)([^\s&]+)"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.*)"),
)


def without_secrets(text: str) -> str:
    """Replaces passwords, tokens, keys and the options of login modules in `text` by `***`."""
    for pattern in _SECRET_PATTERNS:
        text = pattern.sub(rf"\g<1>{_REPLACEMENT}", text)
    return text

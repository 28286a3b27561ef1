"""Removal of secrets from log lines: kdiag prints these lines, and users copy them to tickets."""

from __future__ import annotations

import re

from kdiag.config.redaction import HIDDEN

_NAMES = (
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret(?:[_.-]?(?:access[_.-]?)?key)?|token"
    r"|(?:api|access|shared[_.-]?access|account|private|client)[_.-]?key(?!\w*name)(?:[_.-]?(?:id|value))?"
    r"|credentials?|sasl[._-]jaas[._-]config|client[._-]?secret|keytab[._-]?password|jaas[._-]?config"
    r"|connection[._-]?string)"
)
# A value in quotes, in escaped quotes, or up to a blank. A password may have commas.
_VALUE = (
    r'(?:\\{1,3}"(?:[^"\\]|\\(?!")[^"])*(?:\\{1,3}"|$)|"(?:[^"\\]|\\.)*(?:"|$)|\'(?:[^\'\\]|\\.)*(?:\'|$)'
    r"|<<\"[^\"]*\"?>>|[^\s\"'\\;&)\]}>]+)"
)
_NO_WORD = (
    r"(?!(?:not|in|un)\w*\b|(?:wrong|expired|required|empty|missing|null|set|too|no|for|and|or|is|was"
    r"|has|must|failed|authentication|auth|method|callback)\b)"
)
_PATTERNS = (
    # password=x, "password": "x", the same in JSON in JSON, password => x, {password, x}
    re.compile(
        rf"""(?i)({_NAMES}[\w.-]{{0,40}}(?:\\{{0,3}}["'])?[>\s]{{0,8}}"""
        rf"""(?:=>|=|:|,\s?<<|,\s?(?=["']))\s{{0,8}}(?:<<)?(?:\{{\s?\\{{0,3}}"value\\{{0,3}}"\s?:\s?)?){_VALUE}"""
    ),
    # <password>x</password>, secret 'x', sasl_password x, password is x
    re.compile(rf"(?i)(<[\w.-]{{0,40}}{_NAMES}[\w.-]{{0,20}}>)([^<]*)"),
    re.compile(rf"(?i)(?<!unexpected )(?<!invalid )({_NAMES}\s)(\"[^\"]*\"|'[^']*')"),
    re.compile(rf"(?i)(\w[._]{_NAMES} (?!\w*[.:=(])|{_NAMES} is ){_NO_WORD}(\S+)"),
    # --sasl.password x, --password x, -X sasl.password=x
    re.compile(rf"(?i)(--?[\w.-]{{0,40}}{_NAMES}[\w.-]{{0,20}}[ \t]+)(?!-)({_VALUE})"),
    # Erlang and Elixir: {plain, User, Password}, {:scram_sha_256, "user", "pass"}
    re.compile(
        r"(?i)(\{:?(?:plain|scram_sha_(?:256|512)),\s*(?:<<)?[\"'][^\"']{0,200}[\"'](?:>>)?,\s*)"
        r"(?:<<)?[\"'][^\"']*[\"']?(?:>>)?"
    ),
    # Python and Go: ('user', 'password'), User:"u" Password:"p"
    re.compile(
        r"(?i)(sasl\w*\s{0,2}[=:]\s{0,2}\(\s?['\"][^'\"]{0,200}['\"],\s?)['\"][^'\"]*['\"]?"
    ),
    re.compile(r"(?i)(SharedAccessKey=)[^\s;\"'\\]+"),
    re.compile(r"(?i)(\b(?:bearer|basic|authorization:?)\s+)([\w+/=.~-]{8,})"),
    re.compile(r"(://)([^\s/@\"'`]{0,200}:[^\s/@]{1,200}|[^\s/:@\"'`]{1,200})(?=@)"),
    re.compile(r"()(eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?)"),  # a JSON web token
    re.compile(r"()((?:AKIA|ASIA)[A-Z0-9]{12,})"),
    re.compile(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)([^\s&]+)"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.*)"),
)


def without_secrets(text: str) -> str:
    """Replaces passwords, tokens, keys, users in URLs and the options of login modules by `***`."""
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text

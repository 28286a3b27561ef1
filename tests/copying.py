"""What must hold of a snippet that is to be copied, whatever names are in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

import yaml

from kdiag.rules.rule import Remedy
from kdiag.text import clean

MARK = "PWNED"  # in every hostile name
HOSTILE = (
    *("$(touch PWNED)", "`touch PWNED`", "x;touch PWNED", "x'\"';touch PWNED;'", "x|touch PWNED"),
    *("x\ntouch PWNED", "x #PWNED", "PWNED: {a: 1}", "*PWNED", "&x PWNED", "!PWNED x", '"PWNED'),
    *("- PWNED", "x\\\nPWNED=1", "x\\u000aPWNED=1", "${PWNED}", "%{PWNED}", "x\r\nEOF\nPWNED"),
    *("--PWNED", "-oProxyCommand=PWNED", "-", "=PWNED", "~PWNED", "x && PWNED", "x > PWNED"),
    *("x\u2019;touch PWNED;\u2018", "\u2013PWNED", "$env:PWNED", "x,PWNED", "@{a=PWNED}"),
    *("|PWNED", "> PWNED", "PWNED\x1b[31m", "PWNED\u2028x", "x PWNED", ":PWNED", "'PWNED'"),
)

_HEREDOC = re.compile(r"<<'EOF'\n(.*?)\nEOF$", re.DOTALL | re.MULTILINE)
_HARMLESS = re.compile(r"[\w.:-]+\Z")
_OWN_OPTION = re.compile(r"--?[A-Za-z][\w-]*=")


def holds(remedy: Remedy, names: Iterable[str] = HOSTILE) -> None:
    """A shell, YAML, a file of properties take each of these names for a value, whole, or do not
    meet it at all."""
    whole = [clean(name) for name in names]
    kind, snippet = remedy.kind, remedy.snippet
    assert all(c.isprintable() or c == "\n" for c in snippet), snippet
    if kind == "shell":
        for body in _HEREDOC.findall(snippet):
            assert yaml.safe_load(body)
        _shell(_HEREDOC.sub("< EOF", snippet), whole)
    elif kind == "powershell":
        _powershell(snippet, whole)
    elif kind == "yaml":
        _yaml(snippet, whole)
    elif kind in ("properties", "ini"):
        for line in snippet.splitlines():
            assert line.startswith("#") or "=" in line, snippet
            assert MARK not in line.partition("=")[0], snippet
    elif kind in ("hosts", "text"):
        marked = [word for word in snippet.split() if MARK in word]
        assert all(_HARMLESS.match(word) for word in marked), snippet
    elif kind == "diff":
        assert all(line[:1] in tuple("+- @\\") for line in snippet.split("\n")[:-1]), snippet
    else:
        assert kind in ("json", "hcl"), kind
        _strings(snippet, whole)


def _shell(snippet: str, whole: list[str]) -> None:
    inner = snippet.replace('"$(', " ( ").replace(')"', " ) ")
    lexer = shlex.shlex(inner, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    for word in lexer:
        if MARK in word:
            assert any(name in word for name in whole if MARK in name), (word, snippet)
            assert not word.startswith("-") or _OWN_OPTION.match(word), (word, snippet)


def powershell_words(line: str) -> list[str]:
    """The words of a command as PowerShell has them. Quotes inside of a word, and whatever it would
    read as more than text there, are refused."""
    words, rest = [], line
    while rest := rest.lstrip(" "):
        if rest.startswith("#"):
            break
        text = re.match(
            "[\u2018-\u201b'](?:([\u2018-\u201b'])\\1|[^\u2018-\u201b'])*[\u2018-\u201b']", rest
        )
        found = text or re.match(r"<[\w ',.:-]*>|[\w.:/\\-]+|\|", rest, re.ASCII)
        assert found, rest
        rest = rest[found.end() :]
        assert not rest or rest[0] == " ", line
        inside = re.sub("([\u2018-\u201b'])\\1", r"\1", found[0][1:-1])
        words.append(inside if text else found[0])
    return words


def _powershell(snippet: str, whole: list[str]) -> None:
    for line in snippet.splitlines():
        for word in powershell_words(line):
            if MARK in word:
                assert any(name in word for name in whole if MARK in name), (word, snippet)
                assert word[0] not in "-\u2013\u2014\u2015", (word, snippet)


def _yaml(snippet: str, whole: list[str]) -> None:
    found = 0
    for event in yaml.parse(re.sub(r"^.*: …$", "", snippet, flags=re.MULTILINE)):
        assert not isinstance(event, yaml.AliasEvent), snippet
        assert not getattr(event, "anchor", None), snippet
        assert getattr(event, "tag", None) in (None, "!"), snippet
        said = event.value if isinstance(event, yaml.ScalarEvent) else ""
        if MARK in said:
            assert any(name in said for name in whole), (said, snippet)
            found += said.count(MARK)
    kept = [line for line in snippet.splitlines() if not line.endswith(": …")]
    assert found == "\n".join(kept).count(MARK), snippet


def _strings(snippet: str, whole: list[str]) -> None:
    """JSON's strings, and HCL's."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', snippet)
    assert MARK not in bare, snippet
    if not snippet.startswith("{"):
        assert not re.search(r"(?<!\$)\$\{PWNED|(?<!%)%\{PWNED", snippet), snippet

"""Which test applies which fix: what a report has for pasting is pasted by some test."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from kdiag.rules.rule import Remedy

Test = TypeVar("Test", bound=Callable[..., object])

# The form of a snippet → the tests that apply it.
APPLIED: dict[str, set[str]] = {}
# Forms that no test applies, and why.
NOT_APPLIED = {
    "hcl": "Terraform is not here; the same rule as AWS's command beside it, which is applied",
    "shell aws sso login": "a login in a browser",
    "shell aws sts get-caller-identity": "it prints who one is, and changes nothing",
    "shell aws configure get": "it prints a setting, and changes nothing",
    "shell aws elbv2 describe-target-health": "it prints a state, and changes nothing",
    "shell aws kafka get-bootstrap-brokers": "it prints addresses; moto has no such call",
    "shell aws kafka update-connectivity": "moto has no such call",
    "shell keytool": "its placeholder is a file; tests/lab/test_configuration.py reads keytool's",
    "shell kubectl get": "it prints the listeners or Services of a cluster, and changes nothing",
    "shell tcpdump": "it prints packets, and changes nothing",
    "shell iptables": "it changes packets of other machines; no path has a router here",
}

_KEY = re.compile(r"[\w.]+(?=\s*[=:])")
_ACTIONS = ("--add", "--list", "--create", "--alter", "--describe", "--remove", "--delete")


def applies(*forms: str) -> Callable[[Test], Test]:
    """Declares that a test applies snippets of these forms, and that the next check is better."""

    def declare(test: Test) -> Test:
        for form in forms:
            APPLIED.setdefault(form, set()).add(test.__name__)
        return test

    return declare


def forms(kind: str, snippet: str) -> set[str]:
    """The forms of a snippet: of commands what they run, of settings their first key."""
    lines = re.sub(r"\\\n\s*", " ", snippet).splitlines()
    if kind == "shell":
        return {f"{kind} {_command(line.split())}" for line in lines if line.strip()}
    keys = (found[0] for line in lines if (found := _KEY.match(line.strip(" -"))))
    if kind in ("properties", "ini", "yaml"):
        return {f"{kind} {next(keys, '')}"}
    return {kind}


def of(remedy: Remedy) -> set[str]:
    """The forms of what a remedy has for pasting; none where it has nothing."""
    return forms(remedy.kind, remedy.snippet) if remedy.snippet else set()


def _command(words: list[str]) -> str:
    """The program of a command, and the words that choose what it does."""
    if words[0] in ("aws", "kubectl"):
        return " ".join(words[: 3 if words[0] == "aws" else 2])
    action = next((word for word in words if word in _ACTIONS), "")
    return f"{words[0]} {action}".rstrip()

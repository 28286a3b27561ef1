"""Whoever copies a command or a piece of a file gets what kdiag says, and nothing that a name in it
adds: for every kind of snippet, every remedy, every rule."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

import kdiag.api
from kdiag.api import play
from kdiag.aws import permissions
from kdiag.aws import remedies as aws
from kdiag.aws.extension import AwsExtension
from kdiag.aws.facts import AclEntry, NetworkAcl
from kdiag.config.properties.syntax import parse_properties
from kdiag.config.security import Sasl, Security
from kdiag.config.settings import Endpoint
from kdiag.config.snippet import Snippet, fill, namespace, path, resource, unknown
from kdiag.config.usage import UsageError
from kdiag.demo.scenarios import SCENARIOS
from kdiag.lint import remedies as config
from kdiag.lint.linter import lint
from kdiag.lint.mistake import Problem
from kdiag.report.judge import Judgement
from kdiag.rules import acls, advertising
from kdiag.rules import remedies as kafka
from kdiag.rules.catalog import every_rule
from kdiag.rules.client import ClientSystem
from kdiag.rules.matching import MatchingProperties, matching, showing, trusting
from kdiag.rules.platform import Kind, Platform
from kdiag.rules.rights import Right
from kdiag.rules.rule import Remedy
from kdiag.text import clean
from kdiag.walk.facts import Facts
from kdiag.walk.facts.listeners import Listener
from kdiag.walk.facts.run import HopFailures
from tests.copying import HOSTILE, holds, powershell_words
from tests.facts import listener
from tests.lint.corpus import cases
from tests.walks import AT_ONCE, TIMEOUT

RULES = every_rule()


TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))
FEW = bounded(max_examples=60, deadline=None, derandomize=True, database=None)


@FEW
@given(TEXT)
def test_a_name_is_one_word_of_a_shell_and_no_option(name: str) -> None:
    said = clean(name)
    words = shlex.split(fill("shell", "tool {what} --x={what} {what!q}", what=name))
    assert words[0] == "tool"
    shown = "<what>" if said.startswith("-") else said
    assert words[1:] == [shown, f"--x={said}", shown]


def test_a_real_shell_agrees() -> None:
    words = fill("shell", "printf '%s\\0' {names}", names=[n for n in HOSTILE if n[0] != "-"])
    out = subprocess.run(["sh", "-c", words], capture_output=True, check=True).stdout
    assert out.decode().split("\0")[:-1] == [clean(n) for n in HOSTILE if n[0] != "-"]


@FEW
@given(TEXT)
def test_a_name_is_one_word_of_powershell_and_no_option(name: str) -> None:
    said = clean(name)
    words = powershell_words(fill("powershell", "tool {what} -x {what!q}", what=name))
    unfit = said[:1] in tuple("-\u2013\u2014\u2015") or '"' in said or said.endswith("\\")
    shown = "<what>" if unfit else said
    assert words == ["tool", shown, "-x", shown]


@FEW
@given(TEXT)
def test_a_name_is_one_value_of_yaml(name: str) -> None:
    read = yaml.safe_load(fill("yaml", "a:\n  - {what}\nb: {what}\n{what}: 1", what=name))
    said = clean(name)
    assert (read["a"], read["b"]) == ([said], said)
    assert read[said] == 1


@pytest.mark.parametrize(
    "text", ["10", "1.5", "yes", "null", "0x1f", "1:30", "", "~", "2026-01-01"]
)
def test_a_name_that_looks_like_something_else_stays_a_text(text: str) -> None:
    assert yaml.safe_load(fill("yaml", "a: {what}", what=text)) == {"a": text}


def test_what_needs_no_quotes_has_none() -> None:
    plain = "a: kafka-1.example.com\nb: 10.0.1.11\nc: /etc/kafka"
    made = fill("yaml", "a: {a}\nb: {b}\nc: {c}", a="kafka-1.example.com", b="10.0.1.11",
                c="/etc/kafka")  # fmt: skip
    assert made == plain


def test_a_value_that_has_begun_takes_what_belongs_there_or_nothing() -> None:
    assert fill("yaml", "a: X://{host}:{port}", host="h.example", port=1) == "a: X://h.example:1"
    assert fill("yaml", "a: X://{host}", host="h #x") == "a: X://<host>"


@FEW
@given(TEXT)
def test_a_name_is_one_value_of_properties_json_and_hcl(name: str) -> None:
    said = clean(name)
    line = fill("properties", "key={what}", what=name)
    assert "\n" not in line
    assert line.replace("\\\\", "\\").removeprefix("key=").lstrip("\\") == said.lstrip("\\")
    assert json.loads(fill("json", '{{"a": {what}}}', what=name)) == {"a": said}
    hcl = fill("hcl", "{what}", what=name)
    assert json.loads(hcl.replace("$${", "${").replace("%%{", "%{")) == said


def test_a_line_of_properties_is_read_as_it_was_meant() -> None:
    read = parse_properties(fill("properties", "a={what}\nb=2", what=r"C:\new\u0041"))
    assert dict(read)["b"] == "2"


def test_names_of_kubernetes_are_refused_by_their_shape() -> None:
    assert namespace("shop-1") == "shop-1"
    assert resource("kafka-0.shop", "pod") == "kafka-0.shop"
    for name in (*HOSTILE, "Shop", "a" * 64, "shop.x", "-a", "a-", ""):
        assert namespace(name) == "<namespace>", name
    for name in (*HOSTILE, "Shop", "a" * 254, "a-", ""):
        assert resource(name, "pod") == "<pod>", name


def test_a_file_is_no_option() -> None:
    assert [path(name) for name in ("a.yaml", "-", "-rf")] == ["a.yaml", "./-", "./-rf"]


# Every remedy, with hostile names in every place.

MODULES = (acls, advertising, aws, config, kafka, permissions)
NOT_ASKED = {"say"}  # takes a template of kdiag's own
PORTS = st.sampled_from([0, 1, 9094, 29092, 32001, 65535])
ENDPOINTS = st.builds(Endpoint, TEXT, PORTS)
OWN: Mapping[str, st.SearchStrategy[Any]] = {  # what is never of a peer or a file
    "setting.name": st.just("advertised.listeners"),
    "tool.name": st.just("kafka-acls.sh"),
    "pick_family.family": st.sampled_from(["v4", "v6"]),
    "restart.what": TEXT.map(lambda name: f"service {name}"),
    "pin.port": st.sampled_from(["30000", "<free port, 30000 to 32767>"]),
    "corrected.before": st.just("a: 1\n"),
    "corrected.after": TEXT.map(lambda name: fill("yaml", "a: {name}\n", name=name)),
    "acl_entries.source": st.sampled_from(["", "203.0.113.10", "2001:db8::1"]),
    "acl_entries.directions": st.just(["in", "out"]),
    "client_properties.protocol": st.sampled_from(["", "SSL", "SASL_SSL", "PLAINTEXT"]),
    "advertising.addresses": st.dictionaries(st.integers(0, 5), ENDPOINTS.map(str)),
    "advertising.what": st.just("advertise them"),
    "advertising.protocol": st.sampled_from([None, "SSL"]),
    "advertise.protocol": st.sampled_from([None, "SASL_PLAINTEXT"]),
    "add_route.version": st.sampled_from([4, 6]),
}
LISTENERS = st.builds(
    lambda node, where: replace_advertised(listener(node, "h:9094", "timeout"), where),
    st.integers(0, 5),
    ENDPOINTS,
)
ACLS = st.builds(
    lambda name: NetworkAcl(name, "vpc-1", (), (AclEntry(100, False, True, "6", "0.0.0.0/0"),)),
    TEXT,
)
PROPOSALS = st.builds(
    permissions.Proposal,
    TEXT,
    TEXT,
    st.sampled_from(["", "203.0.113.0/24"]),
    st.just(((9092, 9094),)),
)


def replace_advertised(met: Listener, where: Endpoint) -> Listener:
    return met._replace(broker=met.broker._replace(advertised=where))


def _strategy(hint: Any) -> st.SearchStrategy[Any]:
    known: dict[Any, st.SearchStrategy[Any]] = {
        str: TEXT, int: PORTS, bool: st.booleans(), Endpoint: ENDPOINTS, Listener: LISTENERS,
        Security: st.builds(lambda user: Security("SASL_SSL", sasl=Sasl("PLAIN", user)), TEXT),
        NetworkAcl: ACLS, permissions.Proposal: PROPOSALS, Remedy: st.just(Remedy("x.")),
        Snippet: st.builds(lambda name: fill("shell", "{name}", name=name), TEXT),
        ClientSystem: st.builds(ClientSystem, st.sampled_from(["", "linux", "macos", "windows"])),
        Platform: st.builds(Platform, st.sampled_from(Kind), st.booleans(), TEXT, TEXT),
        MatchingProperties: st.sampled_from([trusting(), showing(), matching("SASL_SSL", "PLAIN")]),
        Right: st.builds(
            Right, st.sampled_from(["READ", "WRITE"]), st.sampled_from(["topic", "group"]), TEXT,
            st.sampled_from([True, False, None]),
        ),
        type(None): st.none(), object: TEXT,
    }  # fmt: skip
    if hint in known:
        return known[hint]
    inner = get_args(hint)
    if get_origin(hint) is tuple:
        return st.tuples(*map(_strategy, inner))
    if get_origin(hint) is Sequence or get_origin(hint) is Sequence.__class__:
        return st.lists(_strategy(inner[0]), min_size=1, max_size=3)
    if get_origin(hint) is not None and issubclass(_class(hint), Mapping):
        return st.dictionaries(st.integers(0, 5), _strategy(inner[1]), max_size=2)
    if get_origin(hint) is not None and issubclass(_class(hint), Sequence):
        return st.lists(_strategy(inner[0]), min_size=1, max_size=3)
    return st.one_of(*map(_strategy, inner))


def _class(hint: Any) -> type:
    origin = get_origin(hint)
    return origin if isinstance(origin, type) else type(None)


def _remedies() -> Iterator[tuple[str, Callable[..., Any]]]:
    for module in MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            hints = get_type_hints(function)
            own = function.__module__ == module.__name__ and not name.startswith("_")
            if own and name not in NOT_ASKED and "Remedy" in str(hints["return"]):
                yield name, function


REMEDIES = dict(_remedies())


def test_every_remedy_is_asked_for() -> None:
    package = Path(kdiag.api.__file__).parent
    names = ("remedies", "acls", "permissions", "advertising")
    there = {path for name in names for path in package.rglob(f"{name}.py")}
    assert there == {Path(str(module.__file__)) for module in MODULES}
    assert len(REMEDIES) > 45


def test_nothing_else_quotes_for_a_shell() -> None:
    """What runs ssh quotes the script that it runs there."""
    package = Path(kdiag.api.__file__).parent
    quoting = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "shlex" in path.read_text("utf-8")
    }
    assert quoting == {"config/snippet.py", "remote/ssh.py"}


def test_no_command_is_made_by_an_f_string() -> None:
    """`say` quotes what it is given by name; what an f-string has put in comes as it is."""
    package = Path(kdiag.api.__file__).parent
    for module in package.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "say":
                made = [part for given in node.args[1:] for part in ast.walk(given)]
                assert not any(isinstance(part, ast.JoinedStr) for part in made), ast.unparse(node)


@pytest.mark.parametrize("name", REMEDIES)
def test_a_remedy(name: str) -> None:
    function = REMEDIES[name]
    hints = get_type_hints(function)
    given_ = {
        each: OWN[f"{name}.{each}"] if f"{name}.{each}" in OWN else _strategy(hint)
        for each, hint in hints.items()
        if each != "return"
    }

    @bounded(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(st.fixed_dictionaries(given_))
    def asked(values: dict[str, Any]) -> None:
        made = function(**values)
        for remedy in [made] if isinstance(made, Remedy) else made:
            holds(remedy)

    asked()


# Every rule on files: the corpus, with hostile names in the place of its own.


def _hostile(text: str, rng: Random) -> str:
    """A file with some of its names replaced, as YAML or properties would hold them."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        head, separator, value = line.partition(": " if ": " in line else "=")
        if head.strip(" -") in ("apiVersion", "kind", "image"):
            continue
        if separator and value and not value.startswith(("#", "{", "[", "&", "*")):
            name = rng.choice(HOSTILE)
            if rng.random() < 0.3:
                lines[number] = f"{head}{separator}{json.dumps(name)}"
            elif rng.random() < 0.2:
                lines[number] = f"{head}{separator}{json.dumps(value.strip(chr(34)) + name)}"
        elif line.rstrip().endswith(":") and rng.random() < 0.1:
            indent = line[: len(line) - len(line.lstrip(" -"))]
            lines[number] = f"{indent}{json.dumps(rng.choice(HOSTILE))}:"
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_rule_on_files(case: Any) -> None:
    rng = Random(case.name)
    problems: Sequence[Problem] = ()
    for text in (case.text, *(_hostile(case.text, rng) for _ in range(4))):
        with suppress(UsageError):  # nothing that kdiag knows any more
            problems = lint({case.name: text}, fix=True).problems
        for problem in problems:
            for remedy in problem.finding.remedies:
                holds(remedy)
                for name in ("-rf", "a b;PWNED.yaml", "x\nPWNED"):
                    holds(config.about(name, remedy), ("a b;PWNED.yaml", "x\nPWNED", *HOSTILE))


def poisoned(value: Any, rng: Random) -> Any:
    """Facts with hostile names in the place of some of theirs."""
    if isinstance(value, str) and type(value) is str and value and rng.random() < 0.3:
        return clean(rng.choice(HOSTILE))  # as every text of a peer is
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(poisoned(each, rng) for each in value))
    if isinstance(value, tuple):
        return tuple(poisoned(each, rng) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: poisoned(getattr(value, f.name), rng) for f in fields(value) if f.init}
        return replace(value, **changed)
    if isinstance(value, dict):
        return {key: poisoned(each, rng) for key, each in value.items()}
    return value


@pytest.fixture(scope="module")
def facts() -> Sequence[Facts]:
    """What was gathered in every scenario of the demo, in their order, whichever ends first."""
    seen: dict[str, Facts] = {}
    playing: ContextVar[str] = ContextVar("playing")
    apply = Judgement._apply

    def noting(judgement: Judgement, rules: Any) -> None:
        failures = HopFailures(tuple(judgement._failures))
        seen[playing.get()] = judgement._facts.adding(failures)
        apply(judgement, rules)

    async def play_all() -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            playing.set(name)
            async with gate:
                await play(name, timeout=TIMEOUT)

        await asyncio.gather(*map(one, SCENARIOS))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Judgement, "_apply", noting)
        asyncio.run(play_all())
    return [seen[name] for name in SCENARIOS]


def test_a_rule_on_what_was_met(facts: Sequence[Facts]) -> None:
    """Facts are poisoned one kind at a time; a rule that such facts are nothing for is passed over,
    as a walk passes over it."""
    fired, failed = set(), 0
    for gathered in facts:
        rng = Random(14)
        for fact in [None, *gathered.values]:
            told = gathered
            if fact is not None:
                with suppress(Exception):
                    told = told.adding(poisoned(fact, rng))
            with suppress(ValueError):  # what is no address
                told = AwsExtension().derive(told)
            for rule in RULES.values():
                try:
                    found = list(rule.apply(told))
                except Exception:
                    failed += 1
                    continue
                for finding in found:
                    fired.add(finding.code)
                    for remedy in finding.remedies:
                        holds(remedy)
    assert len(fired) > 40
    assert failed < 200, failed


def test_the_check_can_fail() -> None:
    for snippet, kind in (
        ("kubectl -n x;touch PWNED", "shell"),
        ("tool --PWNED", "shell"),
        ("tool `touch PWNED`", "shell"),
        ("tool PWNED,x", "powershell"),
        ("tool 'x’;PWNED;‘'", "powershell"),
        ("tool -PWNED", "powershell"),
        ("tool $PWNED", "powershell"),
        ("a: x #PWNED", "yaml"),
        ("a: *PWNED", "yaml"),
        ("a=1\nPWNED=1", "properties"),
        ("10.0.1.11  a;PWNED", "hosts"),
        ("x = PWNED", "hcl"),
    ):
        with pytest.raises((AssertionError, yaml.YAMLError)):
            holds(Remedy("x.", snippet, kind))
    assert unknown("x") == "<x>"

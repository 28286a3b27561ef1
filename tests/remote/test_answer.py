"""What comes back from elsewhere is taken for a peer's words, and for nothing that it cannot be."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

import jsonschema
import pytest

from kdiag.config.security import Sasl, Security
from kdiag.config.settings import Settings, settings
from kdiag.demo.scenarios import SCENARIOS
from kdiag.demo.world import World
from kdiag.remote.process import output
from kdiag.remote.reply import MAX_HEAD, MAX_NOTES, MAX_TEXT, RemoteWalk
from kdiag.remote.serialization import MAX_BYTES, SerializationError, serialize
from kdiag.report.judge import judge
from kdiag.report.render import RENDERERS
from kdiag.walk.facts import run
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.run import WalkFacts, WalkResult
from kdiag.walk.runner import collect, nobody
from tests.hostile.walking import SCHEMA
from tests.walks import shown


def found(name: str) -> tuple[Settings, WalkFacts]:
    """What is gathered in a scenario."""

    async def walk() -> tuple[Settings, WalkFacts]:
        world = World()
        try:
            start = await SCENARIOS[name](world)
            asked = settings(start.bootstrap, timeout=1.0, answer_timeout=1.0)._replace(
                security=start.security
            )
            return asked, (await collect(asked, world.net, nobody)).walk
        finally:
            await world.end()

    return asyncio.run(walk())


ASKED, FACTS = found("wrong-broker")


def test_what_a_login_prints_before_it_is_not_the_answer() -> None:
    asking = RemoteWalk(ASKED, "mark")
    answer = serialize(FACTS)
    heard = b"\nWelcome!\nmark 3\nmar\n" + b"\nmark %d\n%s\n" % (len(answer), answer)
    asking = RemoteWalk(ASKED, "other")
    heard = b"\nWelcome!\nmark 3\nabc\nother %d\n%s\n" % (len(answer), answer)
    span = asking.span(heard)
    assert span
    assert heard[span] == answer
    assert asking.gathered(heard[span]) == FACTS
    assert asking.span(b"\nWelcome!\nother 12") is None


@pytest.mark.parametrize(
    "heard",
    [
        b"\nmark -1\n",
        b"\nmark x\n",
        b"\nmark 1 2\n",
        b"\nmark %d\n" % (MAX_BYTES + 1),
        b"\nmark 0000000000001\n",
        b"\n" + b"x" * (MAX_HEAD + 1),
        b"\nmark " + b"1" * (MAX_HEAD + 1),
    ],
)
def test_what_cannot_become_an_answer_ends_at_once(heard: bytes) -> None:
    with pytest.raises(SerializationError):
        RemoteWalk(ASKED, "mark").span(heard)


def test_commands_are_for_the_machine_that_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_SYSTEM", "windows")
    settings, facts = found("name-not-found")
    monkeypatch.setattr(run, "_SYSTEM", "macos")  # of the machine that judges
    for system, kind in (("windows", "powershell"), ("linux", "shell"), ("$(reboot)", "shell")):
        answer = serialize(facts if system == "windows" else facts._replace(system=system))
        walked = RemoteWalk(settings, "mark").gathered(answer)
        (finding,) = judge(settings, WalkResult(walked), 0.0).findings
        assert [fix.kind for fix in finding.remedies] == [kind]


def _first_dial(said: Any) -> Any:
    return said["facts"]["bootstrap"]["contacts"][0]["dials"][0]


def _many(said: Any, name: str) -> None:
    said[name] *= 401


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["runs"].pop(),
        lambda said: said["runs"].reverse(),
        lambda said: said["facts"].update(bootstrap=None),
        lambda said: said["facts"].update(metadata=None),
        lambda said: said["facts"].update(listeners=None),
        lambda said: said["facts"]["bootstrap"]["contacts"][0]["endpoint"].update(host="evil"),
        lambda said: said["facts"]["bootstrap"].update(contacts=[]),
        lambda said: said["facts"]["bootstrap"]["contacts"][0]["dials"].extend(
            [_first_dial(said)] * 20
        ),
        lambda said: said["facts"]["listeners"]["listeners"].extend(
            said["facts"]["listeners"]["listeners"] * 400
        ),
        lambda said: said["facts"]["produce"]["produced"].extend(
            said["facts"]["produce"]["produced"] * 400
        ),
        lambda said: said.update(
            runs=[{**leg, "skipped_because": "skipped"} for leg in said["runs"]],
            facts=dict.fromkeys(said["facts"]),
        ),
        lambda said: said["runs"][1].update(skipped_because="skipped"),
        lambda said: said["runs"][3].update(skipped_because=None),
        lambda said: said.update(
            facts={**said["facts"], "produce": None},
            runs=[*said["runs"][:3], {**said["runs"][3], "skipped_because": "x"}],
        ),
        lambda said: said["facts"]["listeners"].update(listeners=[]),
        lambda said: said["facts"]["listeners"]["listeners"].pop(),
        lambda said: said["facts"]["produce"].update(produced=[]),
        lambda said: said["facts"]["produce"].update(unreached=[]),
        lambda said: said.update(failures=[{"hop": "metadata", "seconds": 1.0, "error": "x"}] * 2),
        lambda said: said.update(failures=[{"hop": "aws", "seconds": 1.0, "error": "x"}]),
        lambda said: said.update(notes=["x"] * (MAX_NOTES + 1)),
        lambda said: _first_dial(said).update(address="example.org"),
        lambda said: _first_dial(said).update(source="example.org"),
        lambda said: _first_dial(said).update(protocol="HTTP"),
        lambda said: _first_dial(said).update(attempts=[]),
        lambda said: _first_dial(said)["attempts"].reverse(),
        lambda said: _first_dial(said)["attempts"][0].update(layer="magic"),
    ],
)
def test_what_no_walk_can_have_found_is_refused(change: Any) -> None:
    said = json.loads(serialize(FACTS))
    change(said)
    with pytest.raises(SerializationError):
        RemoteWalk(ASKED, "mark").gathered(json.dumps(said).encode())


@pytest.mark.parametrize("name", ["healthy", "private-address", "untrusted-certificate"])
def test_what_a_walk_has_found_is_taken(name: str) -> None:
    asked, facts = found(name)
    assert RemoteWalk(asked, "mark").gathered(serialize(facts))


def test_its_words_are_cleaned_cut_and_without_secrets() -> None:
    login = Sasl("PLAIN", "alice", "alice-secret")
    asked = ASKED._replace(security=Security("SASL_PLAINTEXT", sasl=login))
    said = json.loads(serialize(FACTS))
    attempt = _first_dial(said)["attempts"][-1]
    attempt.update(failure="refused", detail="\x1b[31malice-secret" + "x" * (2 * MAX_TEXT))
    said["notes"] = ["the password is alice-secret"]
    said["facts"]["metadata"]["cluster_id"] = "\x1b]0;title\x07"
    facts = RemoteWalk(asked, "mark").gathered(json.dumps(said).encode())
    dial = facts.facts[Bootstrap].contacts[0].dials[0]
    assert dial.attempts[-1].detail.startswith("\\x1b[31m***x")
    assert len(dial.attempts[-1].detail) <= MAX_TEXT + 20
    assert facts.notes == ("the password is ***",)
    assert facts.facts[Metadata].cluster_id == "\\x1b]0;title\\x07"


# Whatever types allow: judging it never fails, and what is printed is valid.

_VALUES: dict[type, list[Any]] = {
    str: [
        "",
        "x",
        "\x1b[2J\n",
        "10.0.0.1",
        "::",
        "é" * 300,
        "timeout",
        "KAFKA_STORAGE_ERROR",
        "tls",
    ],
    int: [0, -1, 1, 2, 3, 2**39, -(2**39), 65536],
    float: [0.0, -1.0, 1e12, 0.5],
    bool: [True, False],
    type(None): [None, 0, "x", False],
}


def _spoilt(value: Any, draw: random.Random) -> Any:
    """The same with some values changed for others of their kind."""
    if isinstance(value, dict):
        return {name: _spoilt(one, draw) for name, one in value.items()}
    if isinstance(value, list):
        made = [_spoilt(one, draw) for one in value]
        return draw.choice((made * 2, [], made[:1])) if draw.random() < 0.016 else made
    return draw.choice(_VALUES[type(value)]) if draw.random() < 0.008 else value


def test_facts_that_mean_harm_end_in_a_report_or_are_refused() -> None:
    draw = random.Random(20261124)
    whole, taken = serialize(FACTS), 0
    valid = jsonschema.Draft202012Validator(SCHEMA)
    for _ in range(900):
        said = json.dumps(_spoilt(json.loads(whole), draw)).encode()
        try:
            facts = RemoteWalk(ASKED, "mark").gathered(said)
        except SerializationError:
            continue
        taken += 1
        report = judge(ASKED, WalkResult(facts), 0.0)
        for form in RENDERERS:
            assert "\x1b[2J" not in shown(report, form)
        valid.validate(json.loads(shown(report, "json")))
    assert taken > 15


@pytest.mark.parametrize("size", [230_000, 6_000_000])
def test_a_flood_of_failures_is_refused_before_it_is_taken_in(size: int) -> None:
    """It took 17 s of processor, and more than 6 minutes."""
    halt = {"hop": "metadata", "seconds": 1.0, "error": "x"}
    said = json.loads(serialize(FACTS))
    said["failures"] = [halt] * (size // len(json.dumps(halt)))
    answer, calls = json.dumps(said).encode(), 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        with pytest.raises(SerializationError):
            RemoteWalk(ASKED, "mark").gathered(answer)
    finally:
        sys.setprofile(None)
    assert calls < 1_000_000, "a second of a processor at most"


async def test_a_long_list_of_pods_is_read_to_its_end() -> None:
    assert len(await output(("sh", "-c", "head -c 300000 /dev/zero"), 20)) == 300_000

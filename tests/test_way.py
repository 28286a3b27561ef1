"""The way of a check through the rooms: each is passed once, downwards, and back up once."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from itertools import groupby

import pytest

from tests.running import ENOUGH, ROOT, Brokers, environment
from tests.way import Crossing

pytestmark = pytest.mark.xdist_group("way")  # the check is traced once

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
ORDER = {
    room: place
    for contract in CONTRACTS["contracts"]
    if contract["id"] == "downwards"
    for place, layer in enumerate(contract["layers"])
    for room in layer.split(" : ")
}

# Functions of a higher room that a lower one calls because they were handed to it, and why.
HANDED = {
    "Ahead.__call__": "the live view hears of each hop",
    "Ahead._begin": "what judges and prints is loaded while hop 1 waits",
    "Ahead._loaded": "as above",
    "metadata_question.<locals>.body": "a request's body for the version that the broker has",
    "produce_body": "as above",
}


@pytest.fixture(scope="module")
def crossings() -> list[Crossing]:
    """The crossings of a check that passes."""
    brokers = Brokers()
    brokers.start()
    done = subprocess.run(
        [sys.executable, "-m", "tests.way", "check", brokers.three().bootstrap],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=ENOUGH,
    )
    brokers.stop()
    assert "PASS" in done.stdout, done.stderr
    return [Crossing(*line.split(" ", 2)) for line in done.stderr.splitlines()]


def test_no_call_climbs(crossings: list[Crossing]) -> None:
    climbing = {c.function for c in crossings if ORDER[c.room] < ORDER[c.caller]}
    assert "Ahead.__call__" in climbing, "or this test sees nothing"
    assert climbing <= HANDED.keys()


def test_each_room_is_passed_once(crossings: list[Crossing]) -> None:
    """What the command and api.py call: settings are made, a walk, a report, and it is printed."""
    rooms = ("config", "api", "walk", "report")
    called = [c.room for c in crossings if c.caller in ("cli", "api") and c.room in rooms]
    assert [room for room, _ in groupby(called)] == list(rooms)

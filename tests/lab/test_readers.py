"""Readers and their groups behind a made-up cloud: what reaches hop 3, and what comes back."""

from __future__ import annotations

import pytest

from tests.lab.client import HEALTHY
from tests.lab.lab import Lab
from tests.lab.network import HOMES

pytestmark = pytest.mark.lab

SOON = ("--timeout", "1.5")
READERS, BULKY = "readers", "bulky"


@pytest.fixture(scope="module", autouse=True)
def group(lab: Lab) -> None:
    """A group, and a topic with large records."""
    lab.ask("group", READERS, BULKY, "20000")


def polled(lab: Lab, *properties: str, seconds: int = 8) -> int:
    """How many records the real client gets on the laptop."""
    found: int = lab.client.tool(
        "polled", lab.at("PUBLIC"), READERS, BULKY, str(seconds), *properties
    )
    return found


def test_a_group_behind_the_cloud(lab: Lab) -> None:
    report = lab.client.check(lab.at("PUBLIC"), "--group", READERS)
    assert report.verdict == HEALTHY, report
    assert report.told["consume"]["coordinator"] == 2
    assert polled(lab, seconds=30) == 3


def test_large_answers_that_are_lost_on_the_path(lab: Lab) -> None:
    with lab.network.answers(f"ip saddr {HOMES[2]} meta length > 1000 drop"):
        report = lab.client.check(lab.at("PUBLIC"), "--group", READERS, *SOON)
        read = polled(lab)
    assert report.verdict == ("consume", "KD915", 90), report
    assert (report.cause["severity"], report.cause["subjects"]) == ("error", ["broker 3"])
    assert read == 2, "the real client reads from the others"


def test_a_walk_without_a_group_asks_for_nothing_large(lab: Lab) -> None:
    with lab.network.answers(f"ip saddr {HOMES[2]} meta length > 1000 drop"):
        report = lab.client.check(lab.at("PUBLIC"), *SOON)
    assert report.verdict == HEALTHY, report


def test_the_coordinators_broker_is_blocked(lab: Lab) -> None:
    with lab.network.rule(f"ip daddr {HOMES[1]} drop"):
        report = lab.client.check(lab.at("PUBLIC"), "--group", READERS, *SOON)
        read = polled(lab)
    assert report.verdict[0] == "listeners", report
    found = {finding["code"]: finding for finding in report.told["findings"]}
    assert found["KD905"]["subjects"] == report.cause["subjects"] == ["broker 2"]
    assert found["KD905"]["consequence_of"] == report.cause["code"]
    assert read == 0, "without its coordinator a consumer gets nothing from the others either"


RACK = {"client.rack": "zone-3"}
OPTIONS = ("--group", READERS, "--topic", BULKY, *SOON)


def test_the_replica_in_the_clients_rack(lab: Lab) -> None:
    report = lab.client.check(lab.at("PUBLIC"), *OPTIONS, given=RACK)
    assert report.verdict == HEALTHY, report
    assert "its rack is served by 3" in report.told["hops"][-1]["summary"]


def test_the_replica_in_the_clients_rack_is_blocked(lab: Lab) -> None:
    with lab.network.rule(f"ip daddr {HOMES[2]} drop"):
        report = lab.client.check(lab.at("PUBLIC"), *OPTIONS, given=RACK)
        read = polled(lab, "client.rack=zone-3")
        others = polled(lab)
    severities = {f["code"]: f["severity"] for f in report.told["findings"]}
    assert report.verdict[0] == "listeners", report
    assert severities["KD914"] == "error", report
    assert "KD913" not in severities, "there is a reason"
    assert read == 0 < others, "only readers in that rack are sent to broker 3"

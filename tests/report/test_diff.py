"""What only two vantage points show together, and `kdiag diff`."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdiag.report.compare import compare, named
from kdiag.report.diff import differences
from kdiag.report.model import BrokerReport, ClusterReport, Report
from kdiag.report.render import render
from tests.running import kdiag
from tests.walks import scenarios

WORKS, FAILS = scenarios()["healthy"], scenarios()["private-address"]
LATER = "2026-01-31T12:30:00Z"


def told(**reports: Report) -> list[str]:
    return list(differences(reports, named))


def cluster(report: Report) -> ClusterReport:
    assert report.cluster
    return report.cluster


def changed(report: Report, node: int, **brokers: Any) -> Report:
    """The same with one broker as it is said."""
    found = [
        replace(broker, **brokers) if broker.node == node else broker
        for broker in cluster(report).brokers
    ]
    return replace(report, cluster=replace(cluster(report), brokers=found))


def broker(report: Report, node: int) -> BrokerReport:
    return next(b for b in cluster(report).brokers if b.node == node)


def test_the_same_is_no_contrast() -> None:
    assert told(a=WORKS, b=WORKS) == []
    assert told(a=WORKS, b=replace(WORKS, started_at=LATER)) == []


def test_large_requests_that_vanish_on_one_path() -> None:
    narrow = scenarios()["path-mtu"]
    (subject,) = next(f for f in narrow.findings if f.code == "KD402").subjects
    node = int(subject.removeprefix("broker "))
    wide = changed(narrow, node, produce="ok")
    wide = replace(wide, findings=[])
    assert told(office=narrow, pod=wide) == [
        f"{subject} answers large requests from pod and not from office: the path's MTU, and not "
        "the broker"
    ]
    assert told(office=narrow, home=narrow) == []


def of_group(**consume: Any) -> Report:
    healthy = scenarios()["healthy-group"]
    assert healthy.consume
    when = consume.pop("at", "2026-01-31T12:00:00Z")
    return replace(healthy, started_at=when, consume=replace(healthy.consume, **consume))


def test_a_groups_coordinator_state_and_lag() -> None:
    first = of_group(lag=5, group_state="Stable", coordinator=1)
    later = of_group(lag=900, group_state="Empty", coordinator=2, at=LATER)
    assert told(after=later, before=first) == [
        "group billing: its coordinator is broker 1 (from before) and 2 (from after); its state is "
        "Stable (from before) and Empty (from after); its lag grows: 5 (from before), then 900 "
        "(from after)"
    ]
    (falls,) = told(
        a=replace(later, started_at=first.started_at), b=replace(first, started_at=LATER)
    )
    assert falls.endswith("its lag falls: 900 (from a), then 5 (from b)")
    same_time = told(a=first, b=replace(later, started_at=first.started_at))
    assert same_time[0].endswith("its lag is 5 (from a) and 900 (from b)"), "no direction"
    up_and_down = told(a=first, b=of_group(lag=9, at=LATER), c=of_group(lag=7, at=f"{LATER}Z"))
    assert up_and_down == ["group billing: its lag is 5 (from a) and 9 (from b) and 7 (from c)"]
    unknown = of_group(lag=None, group_state=None, coordinator=None)
    other = of_group(group="other", lag=1)
    assert told(a=first, b=first) == told(a=first, b=unknown) == told(a=first, b=other) == []


def test_a_rule_for_members_of_a_security_group() -> None:
    outside = scenarios()["security-group-blocks"]
    assert outside.aws
    rows = [
        replace(
            row,
            verdict="allowed",
            layer="group",
            reason="sgr-1 of sg-07 lets TCP 32001 in from sg-0c",
        )
        for row in outside.aws.addresses
    ]
    inside = replace(outside, aws=replace(outside.aws, addresses=rows))
    found = [line for line in told(laptop=outside, app=inside) if line.startswith("AWS")]
    assert len(found) == 3
    assert found[0].startswith("AWS lets app reach broker 1 (sgr-1 of sg-07 lets TCP 32001 in from")
    assert found[0].endswith("that rule is for members of a security group")
    assert [line for line in told(a=outside, b=outside) if line.startswith("AWS")] == []


def test_a_broker_that_restarted_between() -> None:
    refuses = {**broker(WORKS, 2).layers, "tcp": "refused", "kafka": None, "identity": None}
    down = replace(changed(WORKS, 2, layers=refuses, produce=None), started_at=LATER)
    assert told(first=WORKS, second=down) == [
        "broker 2 answers first and refuses second at the same address: it was restarted between "
        "the checks, or something on the path refuses in its place"
    ]
    assert told(first=WORKS, second=replace(down, started_at=WORKS.started_at)) == []


def test_a_cluster_that_changed_between() -> None:
    fewer = [b for b in cluster(WORKS).brokers if b.node != 3]
    without = replace(
        WORKS, cluster=replace(cluster(WORKS), brokers=fewer, controller=1), started_at=LATER
    )
    before = replace(WORKS, cluster=replace(cluster(WORKS), controller=3))
    first, second = told(a=before, b=without)
    assert first.startswith("broker 3 is not in the list that b got: the cluster changed between")
    assert second.startswith("the controller is broker 3 (from a) and broker 1 (from b)")


def test_nat_on_one_way() -> None:
    behind = replace(WORKS, source_addresses=["192.168.7.3"])
    (found,) = told(laptop=behind, server=replace(WORKS, source_addresses=["198.51.100.7"]))
    assert found.startswith("laptop dials public addresses from 192.168.7.3: there is NAT")


def test_hundreds_of_places_stay_readable() -> None:
    many = {f"host-{n:03}": WORKS if n % 2 else FAILS for n in range(300)}
    compared = compare(many)
    assert [len(outcome.labels) for outcome in compared.outcomes] == [150, 150]
    assert len(compared.sentence) < 300
    assert all(len(line) < 400 for line in compared.differences)


# The command.


@pytest.fixture
def saved(tmp_path: Path) -> dict[str, Path]:
    """Reports of an application in the VPC and of a laptop, in files."""
    reports = {"app": replace(WORKS, source_addresses=["10.0.1.5"]), "laptop": FAILS}
    files = {name: tmp_path / f"{name}.json" for name in reports}
    for name, report in reports.items():
        stream = io.StringIO()
        render("json", report, stream)
        files[name].write_text(stream.getvalue(), "utf-8")
    return files


def test_diff_makes_one_answer_of_two(saved: dict[str, Path]) -> None:
    done = kdiag("diff", str(saved["app"]), str(saved["laptop"]))
    assert (done.returncode, done.stderr) == (30, "")
    said = " ".join(done.stdout.split())
    assert (
        "It works inside 10.0.0.0/16; fails outside at hop 3, brokers 1, 2 and 3: KD301 "
        "private-address." in said
    )
    assert "each connected via another listener" in said
    done = kdiag("diff", *map(str, saved.values()), "-o", "json")
    found = json.loads(done.stdout)
    assert found["comparison"]["sentence"].startswith("works inside 10.0.0.0/16; fails outside")
    assert list(found["reports"]) == ["app", "laptop"]
    assert found["schema_version"] == 1


def test_diff_takes_what_it_wrote_and_says_the_same(saved: dict[str, Path], tmp_path: Path) -> None:
    both = tmp_path / "both.json"
    first = kdiag("diff", *map(str, saved.values()), "-o", f"json={both}")
    again = kdiag("diff", str(both))
    assert (again.returncode, again.stdout) == (first.returncode, first.stdout)


def test_diff_tells_files_of_one_name_apart(saved: dict[str, Path], tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "report.json").write_bytes(saved["app"].read_bytes())
    paths = [str(tmp_path / folder / "report.json") for folder in ("a", "b")]
    done = kdiag("diff", *paths, "-o", "json")
    assert list(json.loads(done.stdout)["reports"]) == ["a/report", "b/report"]
    done = kdiag("diff", paths[0], paths[0], "-o", "json")
    assert list(json.loads(done.stdout)["reports"]) == ["a/report (1)", "a/report (2)"]


def test_diff_refuses_what_it_cannot_compare(saved: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "newer.json").write_text('{"schema_version": 9}')
    for arguments, said in (
        ([str(saved["app"])], "at least two vantage points"),
        ([str(saved["app"]), str(tmp_path / "gone.json")], "No such file"),
        ([str(saved["app"]), str(tmp_path / "newer.json")], "use a newer kdiag"),
        ([], "Missing argument"),
    ):
        done = kdiag("diff", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr

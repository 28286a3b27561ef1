"""Several checks at once, and checks that are repeated until they pass."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jsonschema
import junitparser
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from kdiag.cli.batch import AT_ONCE, LONGEST_PAUSE, run_all, until_ready
from kdiag.config.settings import Settings, settings
from kdiag.demo.broker import SILENCE
from kdiag.demo.logins import Logins
from kdiag.kafka.login_notes import CUT_OFF
from kdiag.kafka.messages import SASL_AUTHENTICATE, SASL_HANDSHAKE, Request
from kdiag.report.logins import NO_ANSWER, NOT_AGAIN
from kdiag.report.model import Report
from kdiag.report.render import RENDERERS, render
from kdiag.report.several import together
from tests import peers
from tests.facts import (
    DOOR,
    bootstrap,
    contact,
    hop_failures,
    listener,
    listeners,
    metadata,
    produce,
    produced,
    reported,
    working_bootstrap,
)
from tests.report.render.pages import read
from tests.running import ROOT, Brokers, kdiag, on_terminal

WELL = listener(1, "198.51.100.1:9094")
PASS = reported(working_bootstrap(), metadata(WELL.broker), listeners(WELL), produce(produced(1)))
WARN = reported(
    working_bootstrap(), metadata(WELL.broker), listeners(WELL), produce(produced(1, throttle_ms=5))
)
REFUSED = reported(bootstrap(contact(f"{DOOR}:9094", "refused")))
LOGIN = reported(bootstrap(contact(f"{DOOR}:9094", "sasl:credentials")))
UNANSWERED = reported(bootstrap(contact(f"{DOOR}:9094", "sasl:silent")))
CUT = replace(reported(hop_failures(("bootstrap", ""))), notes=[CUT_OFF])
BUG = reported(working_bootstrap(), hop_failures(("metadata", "KeyError at metadata.py:71")))
STOPPED = replace(REFUSED, interrupted=True, exit_code=130)
HOP_3 = replace(REFUSED, exit_code=30, failing_hop="listeners")


class Machine:
    """A clock that only moves while something sleeps or walks, and what was done when."""

    def __init__(self, *results: Report | Mapping[str, Report], each: float = 0.0) -> None:
        self.now, self.each = 100.0, each
        self.results, self.tried = list(results), list[tuple[float, tuple[str, ...]]]()
        self.said: list[float] = []

    def walks(self, asked: Mapping[str, Settings]) -> dict[str, Report]:
        self.tried.append((self.now - 100, tuple(asked)))
        self.now += self.each
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        return {x: result if isinstance(result, Report) else result[x] for x in asked}

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds

    def until(self, seconds: float, *labels: str) -> dict[str, Report]:
        asked = {label: settings("b:9092") for label in labels or ("b",)}
        return until_ready(
            asked,
            seconds,
            self.walks,
            lambda _, left: self.said.append(left),
            lambda: self.now,
            self.sleep,
        )


def test_what_passes_is_not_waited_for() -> None:
    machine = Machine(PASS)
    assert machine.until(120) == {"b": PASS}
    assert machine.tried == [(0.0, ("b",))]
    assert machine.said == []


def test_it_is_repeated_until_it_passes() -> None:
    machine = Machine(REFUSED, HOP_3, WARN)
    assert machine.until(120) == {"b": WARN}
    assert [when for when, _ in machine.tried] == [0, 1, 3]


def test_the_pauses_grow_and_time_is_up() -> None:
    machine = Machine(REFUSED)
    assert machine.until(60)["b"] is REFUSED
    times = [when for when, _ in machine.tried]
    assert times == [0, 1, 3, 7, 15, 30, 45, 60]
    assert max(b - a for a, b in pairwise(times)) == LONGEST_PAUSE
    assert machine.said == sorted(machine.said, reverse=True)


def test_a_try_that_has_begun_is_not_cut_short_and_none_begins_after() -> None:
    machine = Machine(REFUSED, each=25.0)
    machine.until(60)
    assert [when for when, _ in machine.tried] == [0, 26, 53]


def test_without_any_time_it_is_walked_once() -> None:
    machine = Machine(REFUSED)
    assert machine.until(0) == {"b": REFUSED}
    assert len(machine.tried) == 1


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (LOGIN, [NOT_AGAIN]),
        (UNANSWERED, [NO_ANSWER]),
        (CUT, [CUT_OFF, NO_ANSWER]),
        (BUG, []),
    ],
    ids=["a refused login", "a login without an answer", "one that was cut off", "a bug"],
)
def test_what_gets_no_better_is_not_repeated(report: Report, why: list[str]) -> None:
    machine = Machine(report)
    found = machine.until(600)["b"]
    assert len(machine.tried) == 1
    assert found.exit_code == report.exit_code
    assert found.notes == why


def test_only_what_did_not_pass_is_walked_again() -> None:
    machine = Machine(
        {"a": PASS, "b": REFUSED, "c": LOGIN}, {"b": HOP_3}, {"b": PASS, "a": BUG, "c": BUG}
    )
    found = machine.until(600, "a", "b", "c")
    assert [labels for _, labels in machine.tried] == [("a", "b", "c"), ("b",), ("b",)]
    assert [r.exit_code for r in found.values()] == [0, 0, LOGIN.exit_code]


def test_an_interrupted_try_gives_the_last_full_report() -> None:
    found = Machine(HOP_3, STOPPED).until(600)["b"]
    assert (found.exit_code, found.interrupted, found.failing_hop) == (130, True, "listeners")


def test_an_interrupted_pause_does_too() -> None:
    machine = Machine({"a": PASS, "b": HOP_3})

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    setattr(machine, "sleep", interrupt)  # noqa: B010
    found = machine.until(600, "a", "b")
    assert found["a"] is PASS
    assert (found["b"].exit_code, found["b"].failing_hop) == (130, "listeners")


# The worst.


@pytest.mark.parametrize(
    ("reports", "worst"),
    [
        ([PASS, WARN], None),
        ([PASS, HOP_3, REFUSED], REFUSED),
        ([HOP_3, replace(REFUSED, exit_code=70)], HOP_3),
        ([REFUSED, BUG], BUG),
        ([BUG, STOPPED, REFUSED], STOPPED),
    ],
)
def test_the_worst_exit_code(reports: list[Report], worst: Report | None) -> None:
    """Interrupted, kdiag's own failure, then the hops in their order."""
    several = together({str(n): report for n, report in enumerate(reports)}, "X.Y.Z")
    assert several.exit_code == (worst.exit_code if worst else 0)
    assert several.worst == (str(reports.index(worst)) if worst else None)
    assert several.failed == sum(not report.ok for report in reports)


def test_the_worst_verdict() -> None:
    for reports, verdict in (([PASS], "pass"), ([PASS, WARN], "warn"), ([WARN, REFUSED], "fail")):
        assert together(dict(zip("ab", reports, strict=False)), "X").verdict == verdict


# In every output.


def shown(form: str, **reports: Report) -> str:
    stream = io.StringIO()
    render(form, together(reports, "X.Y.Z"), stream)
    return stream.getvalue()


@pytest.mark.parametrize("form", RENDERERS)
def test_every_output_has_every_report(form: str) -> None:
    text = shown(form, first=PASS, second=REFUSED, third=HOP_3)
    for label in ("first", "second", "third"):
        assert label in text
    assert text.count("KD103") >= 2


def test_as_json_each_is_a_report_by_the_schema() -> None:
    told = json.loads(shown("json", a=PASS, b=REFUSED))
    assert list(told) == [
        *("schema_version", "kdiag_version", "verdict", "worst", "exit_code", "reports"),
        *("comparison", "skipped"),
    ]
    assert (told["comparison"], told["skipped"]) == (None, {})
    assert (told["worst"], told["exit_code"], told["verdict"]) == ("b", 10, "fail")
    schema = jsonschema.Draft202012Validator(json.loads((ROOT / "kdiag/schema.json").read_bytes()))
    schema.validate(told)
    for report in told["reports"].values():
        schema.validate(report)
    for wrong in ({**told, "reports": {"a": {}}}, {**told, "exit_code": 3}):
        assert not schema.is_valid(wrong)


@pytest.mark.parametrize("form", RENDERERS)
def test_several_that_were_saved_are_shown_again(form: str, tmp_path: Path) -> None:
    file = tmp_path / "several.json"
    file.write_text(shown("json", a=PASS, b=REFUSED))
    done = kdiag("show", str(file), "-o", form, COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == shown(form, a=PASS, b=REFUSED)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"schema_version": 1, "reports": {}}', "`reports` has none"),
        ('{"schema_version": 1, "reports": [1]}', "`reports` has none"),
        ('{"schema_version": 1, "reports": {"a\\n": 1}}', "a\\n is not a report"),
        ('{"schema_version": 1, "reports": {"a": {"schema_version": 1}}}', "a is not a report of"),
    ],
)
def test_what_is_saved_wrongly(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "several.json"
    file.write_text(text)
    done = kdiag("show", str(file))
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_as_junit_the_suites_have_the_labels() -> None:
    told = junitparser.JUnitXml.fromstring(shown("junit", a=PASS, b=REFUSED).encode())
    names = [suite.name for suite in told]
    hops = ("bootstrap", "metadata", "listeners", "produce")
    assert names == [f"kdiag.{label}.{hop}" for label in "ab" for hop in hops]
    assert told.failures == 1


def test_as_openmetrics_the_families_are_whole() -> None:
    text = shown("openmetrics", a=PASS, b=REFUSED)
    told = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    success = next(one for one in told if one.name == "kdiag_check_success")
    assert {s.labels["check"]: s.value for s in success.samples} == {"a": 1, "b": 0}
    assert len({one.name for one in told}) == len(told)


def test_for_github_there_is_one_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    text = shown("github", a=PASS, b=REFUSED)
    assert "::error title=b%3A KD103 refused::" in text
    summary = (tmp_path / "summary").read_text("utf-8")
    assert summary.startswith("# ❌ kdiag: 1 of 2 fail · exit 10\n")
    assert summary.count("\n# ") == 2


def test_as_html_the_parts_do_not_get_into_each_others_way() -> None:
    root = read(shown("html", a=PASS, b=REFUSED, c=HOP_3))
    ids = [node.attributes["id"] for node in root.every() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    for node in root.every():
        assert set(node.attributes.get("aria-labelledby", "").split()) <= set(ids)
    links = [node.attributes["href"] for node in root.every("a")]
    assert [link for link in links if link.startswith("#")] == ["#check-1", "#check-2", "#check-3"]
    assert [node.text for node in root.every("h1")] == ["fail2 of 3 fail · exit 10"]
    assert len(list(root.every("article"))) == 3


# On the wire.


def test_several_are_walked_at_once_and_not_too_many(brokers: Brokers) -> None:
    """Silent servers take the time of one timeout each; more than AT_ONCE wait for their turn."""
    under_way: set[str] = set()
    most = 0

    def observe(label: str, hop: str, summary: str | None) -> None:
        nonlocal most
        if hop == "bootstrap":
            (under_way.add if summary is None else under_way.discard)(label)
            most = max(most, len(under_way))

    silent = {str(n): f"127.0.0.1:{brokers.serve(peers.silent)}" for n in range(6)}
    asked = {
        label: settings(target, timeout=0.3, answer_timeout=0.3) for label, target in silent.items()
    }
    asked["well"] = settings(brokers.three().bootstrap)
    found = run_all(asked, observe)
    assert most == AT_ONCE
    assert list(found) == [*silent, "well"]
    assert [report.exit_code for report in found.values()] == [10] * 6 + [0]


def test_targets_and_servers_at_once(brokers: Brokers, tmp_path: Path) -> None:
    target = brokers.three().bootstrap
    (tmp_path / "kdiag.toml").write_text(
        f"""[targets.prod]
bootstrap = "{target}"
expect = ["brokers=3"]
[targets.staging]
bootstrap = "{target}"
expect = "brokers=4"
"""
    )
    done = kdiag("check", "@prod", "127.0.0.1:1", "@staging", cwd=tmp_path)
    assert done.returncode == 10
    lines = done.stdout.splitlines()
    assert [x for x in lines if x.startswith("── ")] == ["── prod", "── 127.0.0.1:1", "── staging"]
    assert lines[-1] == "FAIL · 2 of 3 fail · exit 10"
    assert any(
        line.startswith(" √ prod        a client can connect from here · exit 0") for line in lines
    )
    told = json.loads(kdiag("check", "@all", "-o", "json", cwd=tmp_path).stdout)
    assert list(told["reports"]) == ["prod", "staging"]
    assert (told["worst"], told["exit_code"]) == ("staging", 70)
    from_environment = kdiag("check", cwd=tmp_path, KDIAG_BOOTSTRAP="@prod @staging")
    assert from_environment.returncode == 70
    alone = kdiag("check", "@prod", "-o", "json", cwd=tmp_path)
    assert json.loads(alone.stdout)["exit_code"] == 0, "one target is one report"


def test_a_blank_beside_a_comma_makes_no_second_cluster(brokers: Brokers) -> None:
    first, second, _ = (f"127.0.0.1:{node.port}" for node in brokers.three().cluster.nodes)
    for done in (
        kdiag("check", f"{first},", second, "-o", "json"),
        kdiag("check", first, ",", second, "-o", "json"),
        kdiag("check", "-o", "json", KDIAG_BOOTSTRAP=f"{first}, {second}"),
    ):
        assert json.loads(done.stdout)["target"] == [first, second]


def test_a_mistake_in_one_of_several_is_named_and_none_is_dialled(
    brokers: Brokers, tmp_path: Path
) -> None:
    target = brokers.three().bootstrap
    (tmp_path / "kdiag.toml").write_text(
        f"""[targets.a]
bootstrap = "{target}"
[targets.odd]
bootstrap = "{target}"
expect = "broker=4"
"""
    )
    done = kdiag("check", "@all", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("kdiag: @odd: --expect broker: no such expectation")
    assert brokers.brokers[1].connections == 0


def test_waiting_for_a_cluster_that_comes_up(brokers: Brokers) -> None:
    """Hop 3 fails at first: ready means all four hops. A pipe hears of changes only."""
    brokers.three()
    third = brokers.cluster.nodes[2]
    asked = 0

    def not_yet(_: object) -> object:
        nonlocal asked
        asked += 1
        brokers.cluster.nodes[2] = replace(third, port=1) if asked <= 2 else third
        return None

    brokers.brokers[1].control = not_yet
    done = kdiag("check", brokers.bootstrap, "--wait", "40")
    assert done.returncode == 0, done.stdout
    assert done.stderr.splitlines()[0] == "kdiag: waiting: listeners: KD305 advertised-port-closed"
    assert done.stdout.splitlines()[-1].startswith("PASS")
    assert done.stdout.count("kdiag 0.") == 1, "one report, the last"


def test_when_time_is_up_the_last_report_is_printed() -> None:
    done = kdiag("check", "127.0.0.1:1", KDIAG_WAIT="1.5")
    assert done.returncode == 10
    assert done.stderr == "kdiag: waiting: bootstrap: KD103 refused\n"
    assert "× KD103" in done.stdout


def test_a_refused_login_is_not_tried_again(brokers: Brokers) -> None:
    """However long is waited: a server may lock the account."""
    logins = Logins({"alice": "wonderland"})
    brokers.three(sasl=logins)
    login = [
        *("-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=PLAIN"),
        *("-X", "sasl.username=alice", "-X", "sasl.password=wrong"),
    ]
    done = kdiag("check", brokers.bootstrap, *login, "--wait", "600")
    assert done.returncode == 10
    assert logins.attempts["alice"] == 1
    first, last = done.stderr.splitlines()
    assert "anyone on the path to a server can read the login" in first
    assert last == f"kdiag: note: {NOT_AGAIN}"
    assert "KD120" in done.stdout


def test_a_login_that_the_deadline_cut_off_is_not_tried_again(brokers: Brokers) -> None:
    """And a deadline that passes before any login is: nothing was sent that could be counted."""
    brokers.three(sasl=Logins({"alice": "wonderland"}))
    asked = []

    def silent(request: Request) -> object:
        asked.append(request.api)
        return SILENCE if request.api in without_answer else None

    for broker in brokers.brokers.values():
        broker.control = silent
    login = [
        *("-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=SCRAM-SHA-256"),
        *("-X", "sasl.username=alice", "-X", "sasl.password=wonderland"),
        *("--timeout", "60", "--answer-timeout", "60"),
    ]
    without_answer = [SASL_AUTHENTICATE]
    done = kdiag("check", brokers.bootstrap, *login, "--deadline", "3", "--wait", "600")
    assert done.returncode == 10
    assert asked.count(SASL_AUTHENTICATE) == 1
    assert "KD002" in done.stdout
    assert done.stderr == f"kdiag: note: {NO_ANSWER}\n"

    asked.clear()
    without_answer = [SASL_HANDSHAKE]
    done = kdiag("check", brokers.bootstrap, *login, "--deadline", "1", "--wait", "3")
    assert done.returncode == 10
    assert asked.count(SASL_HANDSHAKE) > 1
    assert NO_ANSWER not in done.stderr


def test_a_try_opens_no_more_connections_than_a_check(brokers: Brokers) -> None:
    """Hop 3 fails for good: as many connections for each try, and few tries."""
    brokers.three()
    brokers.cluster.nodes[2] = replace(brokers.cluster.nodes[2], port=1)
    assert kdiag("check", brokers.bootstrap).returncode == 30
    once = brokers.brokers[1].connections
    done = kdiag("check", brokers.bootstrap, "--wait", "4")
    assert done.returncode == 30
    again = brokers.brokers[1].connections - once
    assert again % once == 0
    assert 1 < again // once <= 4


def test_a_targets_odd_name_is_shown_harmlessly(brokers: Brokers, tmp_path: Path) -> None:
    (tmp_path / "kdiag.toml").write_text(
        f'[targets."a\\u001b[31m<b>"]\nbootstrap = "{brokers.three().bootstrap}"\n'
    )
    for form in RENDERERS:
        done = kdiag("check", "@all", "-o", form, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
    junit = kdiag("check", "@all", "-o", "junit", cwd=tmp_path).stdout
    assert junitparser.JUnitXml.fromstring(junit.encode()).failures == 0


def test_a_terminal_shows_each_walk_as_it_goes(brokers: Brokers) -> None:
    silent = f"127.0.0.1:{brokers.serve(peers.silent)}"
    target = brokers.three().bootstrap
    out, err = on_terminal("check", target, silent, "--timeout", "1")
    assert f"{silent}: hop 1 of 4, bootstrap" in err
    assert f"{target}: 3 of 3 brokers answered" in err
    assert "1 of 2 fail" in out
    assert "hop 1 of 4" not in out


def test_a_terminal_shows_one_line_while_it_waits() -> None:
    out, err = on_terminal("check", "127.0.0.1:1", "--wait", "1.2")
    assert "s left · bootstrap: KD103 refused" in err
    assert "kdiag: waiting" not in err
    assert "KD103" in out

"""Several places, one answer: who saw the same, and in what they differ."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdiag.config.settings import settings
from kdiag.report.compare import compare
from kdiag.report.model import Report
from kdiag.report.several import together
from tests.walks import scenarios

WORKS, FAILS = scenarios()["healthy"], scenarios()["private-address"]
CODE = "fails {} at hop 3, brokers 1, 2 and 3: KD301 private-address"


def at(report: Report, *sources: str) -> Report:
    """The same from another place."""
    return replace(report, source_addresses=list(sources))


def test_one_network_is_told_from_all_others() -> None:
    compared = compare(
        {
            "laptop": at(FAILS, "203.0.113.10"),
            "vpn": at(FAILS, "192.168.7.3"),
            "pod": at(WORKS, "10.0.1.5"),
            "host": at(WORKS, "10.0.200.5"),
        }
    )
    assert compared.sentence == f"works inside 10.0.0.0/16; {CODE.format('outside')}"
    works, fails = compared.outcomes
    assert (works.labels, fails.labels) == (["pod", "host"], ["laptop", "vpn"])
    assert fails.hops["listeners"] == "fail"
    assert works.brokers == {f"broker {n}": "ok" for n in (1, 2, 3)}
    assert fails.brokers == {f"broker {n}": "tcp timeout" for n in (1, 2, 3)}


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        (("10.0.1.5", "10.0.1.6"), f"works from a; {CODE.format('from b')}"),
        (("10.0.1.5", "10.1.1.6"), f"works inside 10.0.0.0/16; {CODE.format('outside')}"),
        (("198.51.100.1", "203.0.113.10"), f"works from a; {CODE.format('from b')}"),
    ],
)
def test_a_network_is_named_only_where_it_tells_them_apart(
    sources: tuple[str, str], sentence: str
) -> None:
    one, other = sources
    assert compare({"a": at(WORKS, one), "b": at(FAILS, other)}).sentence == sentence


def test_all_alike_is_one_outcome() -> None:
    assert compare({"a": WORKS, "b": WORKS}).sentence == "works everywhere: from a and b"
    assert compare({"a": WORKS}).sentence == "works from a"
    compared = compare({"a": FAILS, "b": FAILS})
    assert compared.sentence == CODE.format("from a and b")
    assert len(compared.outcomes) == 1


def test_hundreds_stay_readable() -> None:
    reports = {f"ssh://h{n}": WORKS if n % 3 else FAILS for n in range(300)}
    compared = compare(reports)
    assert [len(outcome.labels) for outcome in compared.outcomes] == [200, 100]
    assert compared.sentence.startswith("works from ssh://h1, ssh://h2, ssh://h4 and 197 more; ")
    text = shown_all(reports)
    assert len(text.splitlines()) < 100
    assert text.count("FAIL · ") == 2  # the one report, and all of them


def shown_all(reports: dict[str, Report], form: str = "terminal") -> str:
    import io

    from kdiag.report.render import render

    stream = io.StringIO()
    render(form, together(reports, "X.Y.Z", compared=True), stream)
    return stream.getvalue()


def test_the_terminal_shows_who_saw_what() -> None:
    text = shown_all({"laptop": at(FAILS, "203.0.113.10"), "pod": at(WORKS, "10.0.1.5")})
    lines = text.splitlines()
    head = next(n for n, line in enumerate(lines) if line.split()[:2] == ["hop", "1"])
    assert lines[head + 1].split() == ["pod", *"√√√√–", "all", "3", "ok"]
    assert lines[head + 2].split() == ["laptop", *"√√×–", "KD301", "all", "3", "tcp", "timeout"]
    assert "It works inside 10.0.0.0/16;" in text


def _told(report: Report, **more: object) -> Report:
    assert report.cluster
    return replace(report, cluster=replace(report.cluster, **more))  # type: ignore[arg-type]


def test_what_differs_is_said() -> None:
    assert WORKS.cluster
    (server,) = WORKS.bootstrap
    named = replace(server, server="kafka.example:9094", addresses=["10.0.1.11"])
    public = replace(named, addresses=["3.10.139.221"])
    first, *others = WORKS.cluster.brokers
    moved = _told(WORKS, id="another", brokers=[replace(first, advertised="b1:9094"), *others])
    compared = compare(
        {"a": replace(WORKS, bootstrap=[named]), "b": replace(moved, bootstrap=[public])}
    )
    assert compared.differences == [
        f"answers come of cluster {WORKS.cluster.id} (from a) and cluster another (from b): one "
        "address, several clusters",
        "kafka.example resolves to 10.0.1.11 (from a) and 3.10.139.221 (from b): split-horizon DNS",
        "broker 1 advertises 3.10.139.221:9094 (from a) and b1:9094 (from b): each connected via "
        "another listener",
    ]


def test_another_certificate_for_the_same_server_is_said() -> None:
    seen = scenarios()["certificate-expires-soon"]
    (server,) = seen.bootstrap
    assert server.certificate
    other = replace(server.certificate, sha256="f" * 64, issuer="CN={proxy}")
    through = replace(seen, bootstrap=[replace(server, certificate=other)])
    (said,) = compare({"a": seen, "b": through}).differences
    assert said.startswith(f"{server.server} shows a certificate of ")
    assert "CN={proxy}" in said
    assert said.endswith("(from b): something on the path may end TLS")


def test_what_was_not_reached_is_no_outcome_of_the_walk() -> None:
    from kdiag.api import run_from
    from kdiag.remote.vantage import parse_all

    where = "docker://no-such-container-of-kdiag"
    (lost,) = run_from(settings("127.0.0.1:1"), parse_all([where])).values()
    compared = compare({"a": WORKS, where: lost, "b": FAILS})
    assert [outcome.labels for outcome in compared.outcomes] == [["a"], ["b"], [where]]
    assert compared.sentence.endswith(f"; {where} could not be reached")


def test_a_saved_answer_is_compared_again() -> None:
    import json

    from kdiag.report.load import read_any

    reports = {"laptop": at(FAILS, "203.0.113.10"), "pod": at(WORKS, "10.0.1.5")}
    text = shown_all(reports, "json")
    assert read_any(text.encode(), "f") == together(reports, "X.Y.Z", compared=True)
    assert json.loads(text)["comparison"]["sentence"].startswith("works inside")


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_what_is_read_elsewhere_says_it_too(form: str) -> None:
    reports = {f"h{n}": at(WORKS, "10.0.1.5") if n % 2 else FAILS for n in range(9)}
    text = shown_all(reports, form)
    assert "It works inside 10.0.0.0/16; fails outside at hop 3" in text
    assert "advertises" in text
    assert "h0, h2, h4 and 2 more" in text
    assert ">h6<" not in text

"""The page: self-contained, well-formed whatever is in it, and telling all that the report has."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from kdiag.report.model import Report
from kdiag.report.render import presentation as order
from kdiag.rules.rule import Remedy
from tests import walks
from tests.facts import (
    listener,
    listeners,
    metadata,
    produce,
    produced,
    reported,
    working_bootstrap,
)
from tests.report.render.cases import report, shown
from tests.report.render.pages import Node, read
from tests.report.render.test_terminal import spoken

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "' onload='alert(1)",
    "<!-- ",
    "]]>",
    "&lt;b&gt;&amp;#60;",
    "</title></svg></desc>",
    "</pre></code>",
)


def page(made: Report) -> Node:
    return read(walks.shown(made, "html"))


def crowd(count: int, broken: int = 0) -> Report:
    """So many brokers, the first of them refusing."""
    met = [
        listener(n, f"198.51.{n // 250}.{n % 250 + 1}:9094", "refused" if n <= broken else "")
        for n in range(1, count + 1)
    ]
    well = produce(
        *(produced(n) for n in range(broken + 1, count + 1)),
        unreached=tuple(range(1, broken + 1)),
    )
    return reported(working_bootstrap(), metadata(*(x.broker for x in met)), listeners(*met), well)


def it_needs_nothing_and_runs_nothing_but_its_own(name: str) -> None:
    text = shown(name, "html")
    assert text.isascii()
    root = read(text)
    asks = {"src", "srcset", "action", "data", "background", "poster", "style", "xlink:href"}
    for node in root.every():
        assert not asks & node.attributes.keys()
        assert not [given for given in node.attributes if given.startswith("on")]
        assert node.tag not in ("link", "img", "iframe", "object", "embed", "base", "form", "use")
    (style,), (script,) = root.every("style"), root.every("script")
    assert "url(" not in style.text
    assert "@import" not in style.text
    (policy,) = (m for m in root.every("meta") if "http-equiv" in m.attributes)
    said = policy.attributes["content"]
    assert said.startswith("default-src 'none'; ")
    for kind, part in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(part.text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in said


def it_tells_all_that_the_report_has(name: str) -> None:
    made = report(name)
    root = read(shown(name, "html"))
    told = root.text
    for finding in made.findings:
        assert f"{finding.code} {finding.name}" in told
        assert finding.message in told
        assert all(line in told for line in finding.evidence)
        for remedy in finding.remedies if not finding.consequence_of else ():
            assert remedy.summary in told or finding.ignored
            assert remedy.snippet in told or finding.ignored
    for step in made.hops:
        assert order.numbered(step.hop) in told
        assert step.summary in told
    if made.cluster and order.tried(made.cluster.brokers):
        cells = {cell.text for cell in root.every("td")}
        assert {broker.advertised for broker in made.cluster.brokers} <= cells
    assert list(root.every("a")) == []  # no site has our pages


def its_structure_can_be_heard(name: str) -> None:
    root = read(shown(name, "html"))
    assert root.attributes["lang"] == "en"
    headings = [int(node.tag[1]) for node in root.every() if re.fullmatch("h[1-6]", node.tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    ids = [node.attributes["id"] for node in root.every() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    for node in root.every():
        assert set(node.attributes.get("aria-labelledby", "").split()) <= set(ids)
    pictures = list(root.every("svg"))
    assert [svg.attributes["role"] for svg in pictures] == ["img", "img"]


def test_the_picture_says_which_arrow_is_broken_and_why() -> None:
    wide, narrow = page(report("private-address")).every("svg")
    (told,) = wide.every("desc")
    assert "Hop 1, bootstrap, bootstrap 3.10.139.221:9094: works." in told.text
    assert "Hop 3, listeners, broker 2: fails for KD301 private-address." in told.text
    assert "Hop 4, produce, broker 2: not tried." in told.text
    kinds = [g.attributes["class"] for g in wide.every("g") if "class" in g.attributes]
    assert kinds.count("arrow ok") == 4
    assert kinds.count("arrow fail") == 3
    assert kinds.count("arrow none") == 3
    causes = [t.text for t in wide.every("text") if t.attributes["class"] == "on"]
    assert causes == ["KD301 private-address"] * 3
    assert [t.text for t in narrow.every("text") if t.attributes["class"] == "on"] == ["KD301"] * 3
    assert {"private address", "public address"} <= {t.text for t in wide.every("text")}


def every_hop_of_the_walk_is_in_the_picture(name: str) -> None:
    for svg in read(shown(name, "html")).every("svg"):
        numbers = {t.text for t in svg.every("text") if t.attributes["class"] == "digit"}
        assert numbers == {"1", "2", "3", "4"}


def test_a_broken_first_hop_leaves_the_rest_untried() -> None:
    wide, _ = page(report("refused")).every("svg")
    kinds = [g.attributes["class"] for g in wide.every("g") if "class" in g.attributes]
    assert kinds == ["arrow fail", "arrow none", "arrow none", "arrow none"]
    assert "cluster: not known" in wide.text


def test_in_a_crowd_those_that_fared_alike_are_drawn_together() -> None:
    wide, _ = page(crowd(1000, broken=7)).every("svg")
    kinds = [g.attributes["class"] for g in wide.every("g") if "class" in g.attributes]
    assert kinds == ["arrow ok", "arrow ok", "arrow fail", "arrow none", "arrow ok", "arrow ok"]
    assert {"7 brokers", "993 brokers"} <= {text.text for text in wide.every("text")}


def test_a_crowd_is_folded_and_the_broken_come_first() -> None:
    root = page(crowd(1000, broken=7))
    (section,) = (s for s in root.every("section") if s.attributes["aria-labelledby"] == "brokers")
    first, rest = section.every("table")
    rows = [next(row.every("th")).text for row in first.every("tr")][1:]
    assert rows[:7] == [str(node) for node in range(1, 8)]
    assert len(rows) == 50
    assert len(list(rest.every("tr"))) == 951
    assert [s.text for s in section.every("summary")] == ["950 more brokers"]


@pytest.mark.parametrize("said", HOSTILE)
def test_text_of_a_peer_is_text_wherever_it_stands(said: str) -> None:
    plain = report("unknown-topic")
    made = spoken(plain, said)
    first = replace(
        made.findings[0], name=said, url=f"javascript:{said}", remedies=[Remedy(said, said, said)]
    )
    made = replace(
        made, findings=[first], protocol=said, kdiag_version=said, target=[said], notes=[said]
    )
    root = page(made)
    shape = [node.tag for node in root.every() if node.tag in ("script", "style", "svg", "img")]
    assert shape == ["style", "svg", "svg", "script"]
    assert not [node for node in root.every() if "onload" in node.attributes]
    assert not list(root.every("a"))
    (body,) = root.every("body")
    assert body.text.count(said) >= 8


@pytest.mark.parametrize("char", ["\x00", "\x1b", "\ufffe", "\ud800"])
def test_a_character_that_no_page_can_have_is_shown_as_an_escape(char: str) -> None:
    made = replace(report("healthy"), notes=[f"a{char}b"])
    text = walks.shown(made, "html")
    assert f"a\\u{ord(char):04x}b" in text


def test_a_saved_report_may_say_anything() -> None:
    """A number that nobody has, a layer that nobody knows, an address that is none."""
    made = report("private-address")
    assert made.cluster
    odd = [
        replace(
            b, node=-(1 << 52), layers={**b.layers, "magic": "wand"}, advertised="", addresses=["x"]
        )
        for b in made.cluster.brokers
    ]
    for hops in (made.hops[:1], made.hops[3:], made.hops):
        saved = replace(made, cluster=replace(made.cluster, brokers=odd), hops=hops, bootstrap=[])
        assert list(page(saved).every("svg"))


@pytest.mark.parametrize(
    ("name", "headline"),
    [
        ("healthy", "A Kafka client can connect from here"),
        ("refused", "A Kafka client cannot connect from here"),
        (
            "unknown-topic",
            "A Kafka client can connect from here, but the metadata does not let it go on",
        ),
        ("port-closed", "A Kafka client cannot reach every broker from here"),
        (
            "path-mtu",
            "A Kafka client can connect from here, but cannot produce to every broker",
        ),
        ("expectation", "A Kafka client can connect from here, but expect fails"),
        ("deadline", "The deadline ended the check before its end"),
        ("internal-error", "kdiag itself failed: the check did not end"),
        ("interrupted", "The check was interrupted"),
    ],
)
def test_the_headline_claims_what_was_checked(name: str, headline: str) -> None:
    assert order.headline(report(name)) == headline


def test_a_warning_that_counts_as_a_failure_is_still_a_warning() -> None:
    """--fail-on warning: a client can connect all the same."""
    warned = report("certificate-expires-soon")
    failed = replace(warned, verdict="fail", failing_hop="bootstrap", root_cause="KD125")
    assert order.headline(failed) == (
        "A Kafka client can connect from here, but a warning counts as a failure"
    )

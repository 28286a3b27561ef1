"""Markdown: read by a parser that is not ours, and nothing in it is more than text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from kdiag.network.attempt import clean
from kdiag.report.render.markdown import code, prose
from kdiag.rules.rule import Remedy
from kdiag.walk.areas import HOP_IDS
from tests import walks
from tests.report.render import cases
from tests.report.render.cases import report, shown
from tests.report.render.test_terminal import spoken

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
OURS = {"strong", "code", "text"}
HOSTILE = (
    "<img src=x onerror=alert(1)>", "</td></tr></table><script>alert(1)</script>", "a|b|c", "\\|",
    "```", "`", "``x`", "*a* _b_ **c** ~~d~~", "[x](https://evil.example)", "![x](//evil.example)",
    "https://evil.example", "<https://evil.example>", "www.evil.example", "&lt;b&gt; &#60;", "\\",
    "- a", "1. a", "1) a", "# a", "> a", "===", "---", "+", "| --- |", "    a", "\\`a`", "$x$",
    "@everyone #1 :boom:", "[^1]: a", "[a]: //evil.example", "<!-- a", "a\\", "**", "(`a`)", '"_"',
)  # fmt: skip


def every(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from every(token.children or [])


def read(text: str) -> list[Token]:
    return list(every(READER.parse(text)))


def said(tokens: list[Token]) -> str:
    return "".join(token.content for token in tokens if token.type in ("text", "code_inline"))


def rows(text: str) -> list[list[str]]:
    """The cells of all rows of all tables."""
    found: list[list[str]] = []
    tokens = READER.parse(text)
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            found.append([])
        if token.type in ("td_open", "th_open"):
            found[-1].append(said(tokens[at + 1].children or []))
    return found


def it_is_what_we_wrote_and_nothing_else(name: str) -> None:
    made = report(name)
    tokens = read(shown(name, "markdown"))
    assert {token.type for token in tokens if token.type.startswith("html")} == set()
    assert not [token for token in tokens if token.type == "link_open"]  # no site has our pages
    headings = [token for token in tokens if token.type == "heading_open"]
    causes = [f for f in made.findings if not f.consequence_of and not f.ignored]
    assert len(headings) == 1 + len(causes)
    words = [" ".join(said(t.children or []).split()) for t in tokens if t.type == "inline"]
    messages = {" ".join(finding.message.split()) for finding in causes}
    assert name == "hostile-names" or messages <= set(words)  # which are shown in another way
    assert not {token.type for token in tokens} & {"em_open", "image", "blockquote_open", "s_open"}


def a_row_for_each_hop_and_broker(name: str) -> None:
    made = report(name)
    table = rows(shown(name, "markdown"))
    heads = [row for row in table if row[0] in ("status", "broker", "in AWS")]
    assert [row for row in table if len(row) not in {len(head) for head in heads}] == []
    for step in made.hops:
        numbered = f"{HOP_IDS.index(step.hop) + 1} {step.hop}" if step.hop in HOP_IDS else step.hop
        assert [row for row in table if row[1] == numbered], step.hop
    if made.cluster and any(row[0] == "broker" for row in table):
        nodes = {str(broker.node) for broker in made.cluster.brokers}
        assert len([row for row in table if row[0] in nodes]) == min(len(nodes), 12)


def test_the_root_cause_has_its_heading_its_evidence_and_its_fix() -> None:
    text = walks.shown(report("private-address"), "markdown")
    assert "### ❌ root cause: KD301 private-address" in text
    assert "- broker 1: TCP connect to 10.0.1.11:9094: no answer within 2 s\n" in text
    blocks = [token for token in read(text) if token.type == "fence"]
    assert [block.info for block in blocks] == ["properties", "yaml"]
    assert (
        "advertised.listeners=<your other entries>,EXTERNAL://3.10.139.221:9094\n"
        in blocks[0].content
    )
    assert "Explains: KD104" in text


@pytest.mark.parametrize("words", HOSTILE)
def test_text_of_a_peer_is_text_wherever_it_stands(words: str) -> None:
    plain = report("healthy")
    whole = walks.shown(spoken(report("unknown-topic"), words), "markdown")
    tokens = read(whole)
    assert {token.type for token in tokens if token.type.startswith("html")} == set()
    assert not [token for token in tokens if token.type == "link_open"]
    (block,) = (token for token in tokens if token.type == "fence")
    assert block.content == f"{words}\n"
    assert len(rows(whole)) == 1 + len(plain.hops) + 2
    told = " ".join(words.split())
    cell = next(row[1] for row in rows(whole) if row[0] == "1")
    assert cell.split() == words.replace("|", "¦").split()
    inline = [said(token.children or []) for token in tokens if token.type == "inline"]
    assert inline.count(told) >= 2  # message and evidence
    assert f"Fix: {told}" in inline
    shown = " ".join(token.content for token in tokens if token.type == "text")
    for meant in ("@", "://", "www.", "#1", ":boom:", "$"):  # what GitHub reads in a text
        assert meant not in shown


def test_a_saved_report_may_say_anything() -> None:
    """`kdiag show` renders what somebody sent."""
    made = report("private-address")
    words = "[x](//evil.example)<b>|`"
    found = [
        replace(f, name=words, title=words, url=f"https://evil.example/)<b>#{f.code}",
                remedies=[Remedy(words, words, words)])
        for f in made.findings
    ]  # fmt: skip
    told = replace(made, findings=found, protocol=words, kdiag_version=words)
    tokens = read(walks.shown(told, "markdown"))
    assert {token.type for token in tokens if token.type.startswith("html")} == set()
    assert not [token for token in tokens if token.type == "link_open"]
    assert [token.content for token in tokens if token.type == "fence"] == [f"{words}\n"]


text = st.text().map(clean)


@given(text)
@example("`a` b")
@example("1. x")
@example('"__init__"')
def test_prose_reads_as_it_was_written(words: str) -> None:
    for before in ("- ", "**Fix:** "):
        tokens = read(f"{before}{prose(words)}")
        kinds = {token.type.rpartition("_")[0] or token.type for token in tokens}
        assert kinds <= {"bullet_list", "list_item", "paragraph", "inline", *OURS}
        told = said(tokens).removeprefix("Fix:").split()
        assert told == words.split() or len(words) > 260


@given(text)
@example("``")
@example("` ` `")
@example("\\")
def test_code_in_a_table_reads_as_it_was_written(words: str) -> None:
    cell = code(words).replace("|", "¦")
    (_, row) = rows(f"| a | b |\n| --- | --- |\n| {cell} | x |")
    assert row[1] == "x"
    assert (
        row[0].split() == words.replace("|", "¦").split() or not words.strip() or len(words) > 260
    )


@pytest.mark.parametrize("ticks", ["```", "````", "`````\n```"])
def test_a_snippet_keeps_to_its_fence(ticks: str) -> None:
    made = report("unknown-topic")
    first = replace(made.findings[0], remedies=[Remedy("Do.", f"a\n{ticks}\nb", "text")])
    tokens = read(walks.shown(replace(made, findings=[first]), "markdown"))
    (block,) = (token for token in tokens if token.type == "fence")
    assert block.content == f"a\n{ticks}\nb\n"


def test_a_crowd_is_not_longer_than_a_comment_may_be() -> None:
    """GitHub takes 65,536 characters."""
    for made in (cases.crowd_private(), cases.crowd_healthy(), cases.hostile_names()):
        assert len(walks.shown(made, "markdown")) < 20_000
    assert "… and 288 more brokers, 0 of them well" in walks.shown(
        cases.crowd_private(), "markdown"
    )


def test_without_marks_the_words_do() -> None:
    shown = walks.shown(report("private-address"), "markdown", encoding="ascii")
    assert shown.startswith("## kdiag: fail\n")
    assert "| fail | 3 listeners | 0 of 3" in shown

"""What the terminal report promises whatever is in it: width, order, and that it stays text."""

from __future__ import annotations

import io
import re
import unicodedata
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.color import Color
from rich.text import Text

from kdiag.api import play
from kdiag.report.model import Report
from kdiag.report.render import palette, render
from kdiag.report.render.live import live
from kdiag.rules.rule import Remedy
from kdiag.walk.areas import HOP_IDS, Progress
from tests import walks
from tests.facts import (
    DOOR,
    listener,
    listeners,
    metadata,
    partition,
    produce,
    produced,
    reported,
    topic,
    working_bootstrap,
)
from tests.report.render import cases

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NARROWEST = 40


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


def to_be_copied(report: Report) -> set[str]:
    """The lines that are never wrapped."""
    return {
        " " * 7 + line
        for finding in report.findings
        for remedy in finding.remedies
        for line in remedy.snippet.splitlines()
    }


def keeps_to_the_width(report: Report, text: str, columns: int) -> None:
    """Every line does, but for those that are to be copied."""
    whole = to_be_copied(report)
    for line in text.splitlines():
        assert line in whole or cell_len(line) <= min(columns, 120), line


@pytest.mark.parametrize("name", cases.BY_HAND)
def test_it_keeps_to_the_width(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = cases.BY_HAND[name]()
    for columns in (50, 60, 80, 100, 120, 300):
        monkeypatch.setenv("COLUMNS", str(columns))
        keeps_to_the_width(report, walks.shown(report), columns)


@pytest.mark.parametrize("columns", ["1", "20", "49", "0", "-3", "wide"])
def test_a_width_that_is_none_breaks_nothing(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for make in cases.BY_HAND.values():
        assert walks.shown(make(), encoding="ascii").strip()


@pytest.mark.parametrize("name", cases.BY_HAND)
def test_nothing_of_a_peer_reaches_the_terminal_as_a_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = COLOURS.sub("", walks.shown(cases.BY_HAND[name]()))
    unsafe = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert unsafe <= {"\n"}


@pytest.mark.parametrize("said", ["[bold]x[/bold]", "[/]", "[link=https://x]y", ":boom:", "[red]"])
def test_markup_is_text(said: str) -> None:
    report = reported(working_bootstrap(), metadata(cluster_id=said))
    text = walks.shown(spoken(report, said))
    assert text.count(said) == 6  # cluster, message, evidence, fix, snippet, broker
    assert said in walks.shown(spoken(report, said), encoding="ascii")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("::stop-commands::x", ": :stop-commands::x"),
        ("::error file=a,line=1::x", ": :error file=a,line=1::x"),
        ("##[error]x", "# #[error]x"),
        ("##vso[task.setvariable variable=PATH]/evil", "# #vso[task.setvariable"),
        ("::1 and ::ffff:10.0.1.11", "::1 and ::ffff:10.0.1.11"),
    ],
)
def test_nothing_of_a_peer_reaches_the_log_of_a_job_as_a_command(said: str, shown: str) -> None:
    """Where the line is broken, its rest begins a line."""
    made = reported(working_bootstrap(), metadata())
    for before in range(60, 78):
        evidence = [f"{'x' * before} {said}"]
        first = replace(made.findings[0], evidence=evidence, remedies=[Remedy("Do.", said)])
        text = walks.shown(replace(made, findings=[first]))
        assert shown in text
        begun = [line.strip() for line in text.splitlines()]
        assert not [line for line in begun if re.match(r"::[a-z-]+( .*)?::", line)]
        assert not re.search(r"##(vso)?\[", text)


def spoken(report: Report, said: str) -> Report:
    """The report with this in every place that a peer's text may come to."""
    first = replace(
        report.findings[0],
        message=said,
        evidence=[said],
        remedies=[Remedy(said, said, "shell")],
    )
    met = listener(1, "198.51.100.1:9094", "refused")
    cluster = reported(working_bootstrap(), metadata(met.broker), listeners(met)).cluster
    assert cluster
    broker = replace(cluster.brokers[0], advertised=said)
    return replace(
        report,
        findings=[first],
        cluster=replace(cluster, brokers=[broker]),
    )


def test_terse_when_all_is_well() -> None:
    for report in (walks.scenarios()["healthy"], cases.crowd_healthy()):
        assert len(walks.shown(report).splitlines()) <= 8


def test_the_root_cause_is_marked_and_comes_first() -> None:
    text = walks.shown(cases.mixed_causes())
    headings = re.findall(r"^[×‼] (root cause: )?(KD\d+)", text, re.MULTILINE)
    assert headings == [
        ("root cause: ", "KD303"),
        ("", "KD301"),
        ("", "KD305"),
        ("", "KD103"),
        ("", "KD208"),
        ("", "KD408"),
    ]


def test_a_warning_that_is_the_root_cause_comes_before_errors_of_later_hops() -> None:
    met = listener(1, "10.0.1.11:9094", "timeout")
    behind = metadata(met.broker, topic=topic(partition(0, isr=(2, 3))))
    text = walks.shown(reported(working_bootstrap(), behind, listeners(met), fail_on="warning"))
    headings = re.findall(r"^([×‼] (?:root cause: )?KD\d+)", text, re.MULTILINE)
    assert headings == ["‼ root cause: KD208", "× KD301"]


def test_warnings_alone_have_no_root_cause() -> None:
    assert "root cause" not in walks.shown(walks.scenarios()["under-replicated"])


def test_what_follows_from_the_cause_is_one_line() -> None:
    text = walks.shown(walks.scenarios()["private-address"])
    assert "  explains: KD104 timeout\n" in text
    assert len(re.findall(r"KD104", text)) == 1


def test_wrapped_lines_hang_behind_their_mark() -> None:
    lines = walks.shown(cases.long_names()).splitlines()
    bullets = [at for at, line in enumerate(lines) if line.startswith("    · ")]
    wrapped = [at for at in bullets if not lines[at + 1].startswith(("    · ", "  fix"))]
    assert wrapped
    assert all(lines[at + 1].startswith("      ") for at in wrapped)


def test_of_many_lines_the_last_are_shown_too() -> None:
    text = walks.shown(cases.crowd_private())
    assert "    · broker 1: TCP connect to 10.0.0.2:9094" in text
    assert "    … 292 more lines with -o json" in text
    assert f"{DOOR}:9094 answers as broker 1: advertising it would work" in text
    assert " … and 288 more brokers, 0 of them well" in text
    assert "       … 568 more lines with -o json" in text


@pytest.mark.parametrize(("count", "cut"), [(11, False), (12, True)])
def test_no_line_is_cut_to_say_that_it_was(count: int, cut: bool) -> None:
    report = reported(working_bootstrap(), metadata())
    first = replace(report.findings[0], evidence=[f"line {n}" for n in range(count)])
    text = walks.shown(replace(report, findings=[first]))
    assert ("more lines with" in text) == cut
    assert f"· line {count - 1}\n" in text


def test_broken_brokers_are_shown_before_the_well_ones() -> None:
    met = [listener(node, f"198.51.100.{node}:9094") for node in range(1, 41)]
    met[36] = listener(37, "198.51.100.37:9094", "refused")
    well = produce(*(produced(node) for node in range(1, 41) if node != 37), unreached=(37,))
    report = reported(
        working_bootstrap(), metadata(*(x.broker for x in met)), listeners(*met), well
    )
    text = walks.shown(report)
    rows = re.findall(r"^ +(\d+)  198\.51", text, re.MULTILINE)
    assert rows == ["37", *(str(node) for node in range(1, 12))]
    assert "… and 28 more brokers, 28 of them well" in text


@pytest.mark.parametrize(("elapsed", "told"), [(0, "0 ms"), (999, "999 ms"), (1234, "1.23 s")])
def test_how_long_a_hop_took_stands_at_the_right_edge(elapsed: int, told: str) -> None:
    report = walks.scenarios()["healthy"]
    steps = [replace(step, elapsed_ms=elapsed) for step in report.hops]
    lines = walks.shown(replace(report, hops=steps)).splitlines()
    for line in lines[2:6]:
        assert line.endswith(f" {told}")
        assert len(line) == 80


def test_wide_and_combining_characters_keep_the_table_straight() -> None:
    lines = walks.shown(cases.hostile_names()).splitlines()
    ends = {cell_len(line[: line.index("not_found")]) for line in lines if "not_found" in line}
    assert len(ends) == 1


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colour_is_as_the_environment_says(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    text = walks.shown(walks.scenarios()["refused"])
    assert bool(re.search(r"\x1b\[[0-9;]*3[18]", text)) == coloured


def test_a_stream_without_an_encoding_gets_the_marks() -> None:
    stream = io.StringIO()
    render("terminal", walks.scenarios()["healthy"], stream)
    assert "√ bootstrap" in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_live_view_shows_text_and_leaves_nothing_behind() -> None:
    stream = Terminal()
    with live(stream) as observe:
        observe("bootstrap", None)
        observe("bootstrap", "[bold]3.10.139.221:9094[/bold] answers")
        observe("metadata", None)
    written = stream.getvalue()
    assert "hop 2 of 4, metadata" in written
    assert "[bold]3.10.139.221:9094[/bold] answers" in written
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h")  # the cursor is back
    assert "\x1b[2K" in written.rpartition("metadata")[2]  # what stood there is wiped


def test_the_live_view_says_how_long_and_how_many_brokers_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At 40 columns no line is longer than the terminal: the view stays in its place."""
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    with live(stream) as observe:
        observe("bootstrap", "a summary that is longer than a terminal of forty columns")
        observe("listeners", Progress("2 of 3 brokers answered"))
    drawn = [Text.from_ansi(line).plain for line in stream.getvalue().splitlines()]
    assert max(map(len, drawn)) <= 40
    assert any(re.search(r"[0-9]+ s · hop 3 of 4, listeners: 2 of", line) for line in drawn), drawn


async def test_an_observer_hears_how_many_brokers_answered() -> None:
    events: list[tuple[str, str | None]] = []
    await play("port-closed", observe=lambda hop, summary: events.append((hop, summary)))
    heard = {hop: [t for h, t in events if h == hop and isinstance(t, Progress)] for hop in HOP_IDS}
    assert heard["listeners"][-1] == "2 of 3 brokers answered"
    assert heard["produce"][-1] == "2 of 2 brokers answered"
    assert len(heard["listeners"]) == 3


def test_the_live_view_says_nothing_in_a_pipe() -> None:
    stream = io.StringIO()
    with live(stream) as observe:
        observe("bootstrap", None)
        observe("bootstrap", "3.10.139.221:9094 answers")
    assert stream.getvalue().strip() == ""


# xterm's first colours, as it comes. The others are a cube of six steps, and 24 greys.
XTERM = {"red": (205, 0, 0), "magenta": (205, 0, 205)}


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour as rich names it."""
    red, green, blue = XTERM.get(colour) or Color.parse(colour).get_truecolor()
    return red, green, blue


def luminance(colour: tuple[int, int, int]) -> float:
    """As WCAG 2 defines it."""
    parts = [part / 255 for part in colour]
    linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_each_colour_can_be_read_on_white_and_on_black() -> None:
    """Those of the report, and of `kdiag lint`."""
    colours = [f"color({number})" for number in palette.COLOURS.values()]
    for colour in (*colours, *filter(None, palette.FEW_COLOURS.values())):
        lightness = luminance(rgb(colour)) + 0.05
        assert 1.05 / lightness >= 4.5, colour
        assert lightness / 0.05 >= (3.8 if colour in colours else 3.4), colour


@pytest.mark.parametrize(("term", "code"), [("xterm-256color", "38;5;160"), ("xterm", "31")])
def test_a_terminal_of_few_colours_gets_no_others(
    term: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", term)
    assert f"\x1b[{code}m×" in walks.shown(walks.scenarios()["refused"])


def test_the_snippet_has_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is copied is text."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = walks.shown(walks.scenarios()["private-address"], detail="short")
    assert "\n       # broker 1\n" in text


def test_quiet_is_one_line_however_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = walks.shown(walks.scenarios()["private-address"], detail="quiet")
    assert text == (
        "FAIL · hop 3 listeners · brokers advertise private addresses (KD301) · exit 30\n"
    )

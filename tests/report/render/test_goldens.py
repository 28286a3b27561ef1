"""Every scenario as a person reads it and as JSON, and some in every form: files to be compared.

`--snapshot-update` rewrites tests/goldens; git then shows what has changed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation
from syrupy.types import SnapshotIndex

from kdiag.demo.scenarios import SCENARIOS
from kdiag.report.model import Report
from kdiag.report.render.encoding import PLAIN
from kdiag.report.render.presentation import SHORT
from tests import walks
from tests.report.render import cases
from tests.report.render.pages import outline
from tests.report.render.test_terminal import keeps_to_the_width

GOLDENS = Path(__file__).parents[2] / "goldens"
EVERY = [*SCENARIOS, *cases.BY_HAND]
pytestmark = [
    pytest.mark.filterwarnings("ignore:\\s*Can not relate snapshot"),  # by our layout
    pytest.mark.xdist_group("goldens"),  # the scenarios are walked once
]

READ = [name for name in EVERY if not name.startswith("crowd")]  # nobody reads 300 times the same
COLOURED = ["healthy", "private-address", "wrong-broker", "under-replicated", "mixed-causes"]
# Each kind of element that a page has is in one of these. What other outputs say of the rest is
# held to the report by the tests of each.
WHOLE = ["healthy", "private-address", "odd-one-out", "slow-answer", "security-group-blocks"]
WHOLE += ["mixed-causes", "hostile-names", "interrupted", "unmet"]
METERED = [name for name in WHOLE if name in SCENARIOS]  # times by hand are all alike
FORMS = {
    "terminal-80": EVERY,
    "terminal-full": WHOLE,
    "terminal-colour": COLOURED,
    "json": READ,
    "openmetrics": METERED,
}
FORMS |= dict.fromkeys(("junit", "markdown", "github", "html"), WHOLE)


class Golden(SingleFileSnapshotExtension):
    """A text file for each case, in a folder for each form: goldens/terminal-80/healthy.txt."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        form = test_location.methodname.removeprefix("test_").replace("_", "-")
        return str(GOLDENS / form)

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        return (test_location.nodename or "").partition("[")[2].rstrip("]")


class GoldenJson(Golden):
    """The same for JSON."""

    file_extension = "json"


class GoldenXml(Golden):
    """And for XML."""

    file_extension = "xml"


class GoldenMarkdown(Golden):
    """And for Markdown."""

    file_extension = "md"


@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(Golden)


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this terminal's width nor its colours."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def report(name: str) -> Report:
    walked = walks.played().get(name)
    return walks.scrubbed(walked or cases.BY_HAND[name]())


@pytest.mark.parametrize("name", EVERY)
def test_terminal_80(name: str, golden: SnapshotAssertion) -> None:
    text = walks.shown(report(name), detail="short")
    assert text == golden
    assert "\x1b" not in text
    if name in SCENARIOS:
        is_short(text)


def is_short(text: str) -> None:
    """It fits a terminal of 24 lines, and its last line can stand alone."""
    assert text.count("\n") <= SHORT
    last = " ".join(text.rpartition("\n\n")[2].split())
    place = r"(hop [1-4] \w+|aws|config|expect|vantage|consume|companions)"
    passed, failed = r"a client can connect from here", rf"{place} · [^·]+ \(KD\d{{3,4}}\)"
    assert re.fullmatch(rf"(PASS · {passed}|WARN · {passed}|FAIL · {failed}) · exit \d+", last)


@pytest.mark.parametrize("name", WHOLE)
def test_terminal_full(name: str, golden: SnapshotAssertion) -> None:
    assert walks.shown(report(name)) == golden


def blocks(text: str) -> list[str]:
    """What a terminal's report says between its empty lines, without times at the right edge."""
    return re.sub(r" +\d+ ms$", "", text, flags=re.MULTILINE).split("\n\n")


def says_the_same(one: str, other: str) -> bool:
    """But for blanks and line breaks. Of a table, whose cells are wrapped, the letters count; none
    where a name had to be cut."""
    said, again = "".join(one.split()), "".join(other.split())
    if re.match(r" +(broker|in AWS|right) ", one):
        return sorted(said) == sorted(again) or "…" in said + again
    return said == again


@pytest.mark.parametrize("name", EVERY)
def test_another_width_or_encoding_says_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = report(name)
    usual = walks.shown(made)
    plain = walks.shown(made, encoding="ascii")
    assert plain.isascii()
    fitted = usual.translate(PLAIN).encode("ascii", "backslashreplace").decode()
    if name != "hostile-names":  # whose escapes are cut elsewhere
        assert "".join(plain.split()) == "".join(fitted.split())
    for columns in (100, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        keeps_to_the_width(made, walks.shown(made, detail="short"), columns)
        text = walks.shown(made)
        keeps_to_the_width(made, text, columns)
        pairs = zip(blocks(usual), blocks(text), strict=True)
        assert [pair for pair in pairs if not says_the_same(*pair)] == []
    keeps_to_the_width(made, plain, 80)


@pytest.mark.parametrize("name", COLOURED)
def test_terminal_colour(
    name: str, golden: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escapes are shown as ␛, for the reader of the golden."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert walks.shown(report(name)).replace("\x1b", "␛") == golden


@pytest.mark.parametrize("name", READ)
def test_json(name: str, snapshot: SnapshotAssertion) -> None:
    assert walks.shown(report(name), "json") == snapshot.use_extension(GoldenJson)


@pytest.mark.parametrize("name", WHOLE)
def test_junit(name: str, snapshot: SnapshotAssertion) -> None:
    assert walks.shown(report(name), "junit") == snapshot.use_extension(GoldenXml)


@pytest.mark.parametrize("name", WHOLE)
def test_markdown(name: str, snapshot: SnapshotAssertion) -> None:
    assert walks.shown(report(name), "markdown") == snapshot.use_extension(GoldenMarkdown)


@pytest.mark.parametrize("name", WHOLE)
def test_github(name: str, golden: SnapshotAssertion) -> None:
    assert walks.shown(report(name), "github") == golden


@pytest.mark.parametrize("name", METERED)
def test_openmetrics(name: str, golden: SnapshotAssertion) -> None:
    assert walks.shown(report(name), "openmetrics") == golden


@pytest.mark.parametrize("name", WHOLE)
def test_html(name: str, golden: SnapshotAssertion) -> None:
    """As an outline: what is said, in which elements. What it looks like, a browser is asked."""
    assert outline(walks.shown(report(name), "html")) == golden


def test_no_golden_is_left_over(request: pytest.FixtureRequest) -> None:
    """Of a scenario that is gone, or of a form."""
    expected = {f"{form}/{name}" for form, names in FORMS.items() for name in names}
    found = {str(path.relative_to(GOLDENS).with_suffix("")): path for path in GOLDENS.rglob("*.*")}
    if request.config.getoption("update_snapshots"):
        for name in found.keys() - expected:
            found.pop(name).unlink()
    assert found.keys() == expected

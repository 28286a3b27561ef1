"""Every scenario in every form, as files to be read and compared.

`--snapshot-update` rewrites tests/goldens; git then shows what has changed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation
from syrupy.types import SnapshotIndex

from kdiag.demo.scenarios import SCENARIOS
from kdiag.report.model import Report
from tests import walks
from tests.report.render import cases
from tests.report.render.pages import outline

GOLDENS = Path(__file__).parents[2] / "goldens"
EVERY = [*SCENARIOS, *cases.BY_HAND]
pytestmark = pytest.mark.filterwarnings("ignore:\\s*Can not relate snapshot")  # by our layout

READ = [name for name in EVERY if not name.startswith("crowd")]  # nobody reads 300 times the same
MEASURED = list(SCENARIOS)
COLOURED = ["healthy", "private-address", "wrong-broker", "under-replicated", "mixed-causes"]


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
    made = cases.BY_HAND.get(name)
    return walks.scrubbed(made() if made else walks.scenarios()[name])


@pytest.mark.parametrize("name", EVERY)
def test_terminal_80(name: str, golden: SnapshotAssertion) -> None:
    text = walks.shown(report(name))
    assert text == golden
    assert "\x1b" not in text


@pytest.mark.parametrize("name", EVERY)
def test_terminal_120(
    name: str, golden: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert walks.shown(report(name)) == golden


@pytest.mark.parametrize("name", EVERY)
def test_terminal_ascii(name: str, golden: SnapshotAssertion) -> None:
    text = walks.shown(report(name), encoding="ascii")
    assert text == golden
    assert text.isascii()


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


@pytest.mark.parametrize("name", READ)
def test_junit(name: str, snapshot: SnapshotAssertion) -> None:
    assert walks.shown(report(name), "junit") == snapshot.use_extension(GoldenXml)


@pytest.mark.parametrize("name", READ)
def test_markdown(name: str, snapshot: SnapshotAssertion) -> None:
    assert walks.shown(report(name), "markdown") == snapshot.use_extension(GoldenMarkdown)


@pytest.mark.parametrize("name", READ)
def test_github(name: str, golden: SnapshotAssertion) -> None:
    assert walks.shown(report(name), "github") == golden


@pytest.mark.parametrize("name", MEASURED)
def test_openmetrics(name: str, golden: SnapshotAssertion) -> None:
    assert walks.shown(report(name), "openmetrics") == golden


@pytest.mark.parametrize("name", READ)
def test_html(name: str, golden: SnapshotAssertion) -> None:
    """As an outline: what is said, in which elements. What it looks like, a browser is asked."""
    assert outline(walks.shown(report(name), "html")) == golden


def test_no_golden_is_left_over(request: pytest.FixtureRequest) -> None:
    """Of a scenario that is gone, or of a form."""
    forms = {"terminal-80": EVERY, "terminal-120": EVERY, "terminal-ascii": EVERY}
    forms |= dict.fromkeys(("json", "junit", "markdown", "github", "html"), READ)
    forms |= {"openmetrics": MEASURED}
    expected = {f"{form}/{name}" for form, names in forms.items() for name in names}
    expected |= {f"terminal-colour/{name}" for name in COLOURED}
    found = {str(path.relative_to(GOLDENS).with_suffix("")): path for path in GOLDENS.rglob("*.*")}
    if request.config.getoption("update_snapshots"):
        for name in found.keys() - expected:
            found.pop(name).unlink()
    assert found.keys() == expected

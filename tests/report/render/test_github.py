"""GitHub: workflow commands read as its runner reads them, and the job's summary."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests import walks
from tests.report.render.cases import report, shown
from tests.running import kdiag

COMMAND = re.compile(r"::(?P<name>[\w-]+)(?: (?P<properties>.*?))?::(?P<message>.*)")


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Name, properties and message of every line that the runner takes for a command."""
    found = []
    for line in text.splitlines():
        if "##[" in line.split("::", 1)[0] or line.strip().startswith("::"):
            command = COMMAND.fullmatch(line.strip())
            assert command, line
            given = (command["properties"] or "").split(",")
            pairs = (pair.partition("=") for pair in given if pair)
            properties = {key: unescaped(said, ":,") for key, _, said in pairs}
            found.append((command["name"], properties, unescaped(command["message"])))
    return found


def unescaped(said: str, more: str = "") -> str:
    for char in f"{more}\n\r%":
        said = said.replace(f"%{ord(char):02X}", char)
    return said


def an_annotation_for_each_cause(name: str) -> None:
    made = report(name)
    causes = [f for f in made.findings if not f.consequence_of and not f.ignored]
    causes.sort(key=lambda f: (f is not made.cause, f.severity != "error"))
    text = shown(name, "github")
    assert [(kind, p["title"]) for kind, p, _ in commands(text)] == [
        (f.severity.value, f"{f.code} {f.name}") for f in causes
    ]
    for (*_, message), finding in zip(commands(text), causes, strict=True):
        assert message.startswith(finding.message)
    assert text.splitlines()[-1].startswith(f"kdiag: {made.verdict} · ")


@pytest.mark.parametrize(
    "said",
    ["::error::x", "a\n::set-env name=PATH::x", "%0A::warning::x", "100%", "##[error]x", "a,b:c"],
)
def test_text_of_a_peer_is_no_command(said: str) -> None:
    made = report("unknown-topic")
    first = replace(made.findings[0], message=said, name=said, evidence=[said])
    ((kind, properties, message),) = commands(
        walks.shown(replace(made, findings=[first], target=[said.replace("\n", " ")]), "github")
    )
    assert kind == "error"
    assert properties == {"title": f"{first.code} {said}"}
    assert message.startswith(f"{said} (root cause, hop 2, metadata)\n- {said}\n")


def test_the_summary_gets_the_whole_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("# Another step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    made = report("private-address")
    walks.shown(made, "github", encoding="ascii")
    walks.shown(made, "github")
    whole = walks.shown(made, "markdown")
    assert summary.read_text("utf-8") == f"# Another step\n{whole}\n{whole}\n"


def test_a_summary_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    where = str(tmp_path / "none" / "summary.md")
    done = kdiag("demo", "refused", "-o", "github", GITHUB_STEP_SUMMARY=where)
    assert done.returncode == 2
    assert done.stderr == f"kdiag: cannot write {where}: No such file or directory\n"
    assert done.stdout.startswith("::error title=KD103 refused::")

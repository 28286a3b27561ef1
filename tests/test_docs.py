"""The pages: nothing derived has drifted, every link leads somewhere, every command parses."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from kdiag.cli.group import COMMANDS, cli
from kdiag.config import links
from kdiag.config.properties.names import KNOWN
from kdiag.rules.catalog import every_rule
from kdiag.walk.areas import EXIT_CODES
from tests.derived import ROOT, derived, output, pages, quoted_anew

RULES = every_rule()


DERIVED = list(derived())
PAGES = pages()
NAMES = {"kdiag", *(f"kdiag {name}" for name in COMMANDS)}

_FENCE = re.compile(r"^(`{3,}).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ANCHOR = re.compile(r'<a id="([^"]+)">')
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_COMMAND = re.compile(r"(?:^\$ |`|&& )(?:\.venv/bin/)?(kdiag(?: [^`\n]+)?)", re.MULTILINE)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(("path", "text"), DERIVED, ids=[named(path) for path, _ in DERIVED])
def test_what_is_derived_has_not_drifted(path: Path, text: Callable[[], str]) -> None:
    assert path.read_text("utf-8") == text(), "run python3 tests --rewrite, and read the diff"


def test_drift_is_seen(tmp_path: Path) -> None:
    """What stands between the marks gives way to what the command says now; the rest stays."""
    page = tmp_path / "page.md"
    page.write_text("# Old\n<!-- derived: kdiag explain KD301 -->\nstale\n<!-- end -->\nrest\n")
    text = quoted_anew(page)
    assert text.startswith("# Old\n")
    assert text.endswith("\n<!-- end -->\nrest\n")
    assert "stale" not in text
    assert "KD301 private-address (error)" in text
    page.write_text(text)
    assert quoted_anew(page) == text


def test_a_page_cannot_quote_a_command_that_fails() -> None:
    with pytest.raises(ValueError, match="exit code 2"):
        output("kdiag explain KD999")


def anchors(page: Path) -> set[str]:
    """Where a link into a page can lead: its headings, as a forge names them, and its own marks."""
    text = page.read_text("utf-8")
    headings = _HEADING.findall(_FENCE.sub("", text))
    slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
    return slugs | set(_ANCHOR.findall(text))


def broken_links(page: Path) -> list[str]:
    """The links of a page, to files and places of this repository, that lead nowhere."""
    broken = []
    for link in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n[a](page.md#a-page) [b](page.md#b) [c](gone.md) [d](#a-page)")
    assert broken_links(page) == ["page.md#b", "gone.md"]


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = {PAGES[0].resolve()}, [PAGES[0]]
    for page in ahead:  # grows as it goes
        for link in _LINK.findall(page.read_text("utf-8")):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in reached:
                reached.add(target)
                ahead.append(target)
    assert {page.resolve() for page in PAGES} == reached


def test_every_finding_has_its_anchor() -> None:
    """The link that a report prints leads to the place of its code."""
    findings = anchors(ROOT / "docs/findings.md")
    assert [
        rule.code for rule in RULES.values() if rule.url.partition("#")[2] not in findings
    ] == []
    assert {rule.url.partition("#")[0] for rule in RULES.values()} == {links.page("findings")}


def commands(page: Path) -> list[str]:
    """Every `kdiag ...` that a page tells to run, without what the shell does with it."""
    found = _COMMAND.findall(page.read_text("utf-8"))
    return [re.split(r"\s+(?:[|>#]|&&)", command)[0] for command in found]


def parsed(command: str) -> click.Context | None:
    """What click makes of a command line, without running it; None where it only prints help.

    Raises click.UsageError.
    """
    _, *words = shlex.split(command)
    try:
        context = cli.make_context("kdiag", words)
        name, chosen, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
        assert chosen
        return chosen.make_context(name, rest, parent=context)
    except click.exceptions.Exit as done:
        assert done.exit_code == 0
        return None


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_parses(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands(page):
        if command in NAMES:  # prose that names a command, and does not run it
            continue
        context = parsed(command)
        given = context.params.get("given", ()) if context else ()
        assert [text for text in given if text.partition("=")[0] not in KNOWN] == []


def test_the_pages_have_commands_and_a_wrong_one_is_found() -> None:
    assert "kdiag demo" in commands(ROOT / "README.md")
    assert "kdiag check broker.example.com:9094 -F client.properties" in commands(
        ROOT / "docs/quickstart.md"
    )
    for wrong in ("kdiag check --tpoic orders", "kdiag chek", "kdiag explain", "kdiag demo -x"):
        with pytest.raises(click.UsageError):
            parsed(wrong)


def test_the_exit_codes_are_those_of_the_code() -> None:
    text = (ROOT / "docs/usage.md").read_text("utf-8")
    for hop, code in EXIT_CODES.items():
        assert re.search(rf"^\| {code} \| .*`{hop}`", text, re.MULTILINE)


def locked() -> dict[NormalizedName, Requirement]:
    """The lock file's requirements by name, each checked to have a hash and no address."""
    text = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in text
    found = {}
    for entry in re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip()):
        line, *hashes = entry.replace("\\\n", "\n").splitlines()
        assert hashes, line
        assert all(re.fullmatch(r"\s+--hash=sha256:[0-9a-f]{64}\s*", h) for h in hashes)
        requirement = Requirement(line.strip())
        found[canonicalize_name(requirement.name)] = requirement
    return found


def wanted() -> list[Requirement]:
    """What pyproject.toml asks for: to run, to develop, and every extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = [
        project["project"]["dependencies"],
        *(
            [text for text in group if isinstance(text, str)]
            for group in project["dependency-groups"].values()
        ),
        *project["project"].get("optional-dependencies", {}).values(),
    ]
    return [Requirement(text) for group in groups for text in group]


def test_the_lock_file_satisfies_the_project() -> None:
    lock = locked()
    for requirement in wanted():
        found = lock.get(canonicalize_name(requirement.name))
        assert found, f"{requirement} is not locked: python3 tests --lock"
        (pin,) = found.specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), f"{found} is not {requirement}"


def test_the_build_backend_is_locked_too() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lock = locked()
    for text in project["build-system"]["requires"]:
        assert canonicalize_name(Requirement(text).name) in lock

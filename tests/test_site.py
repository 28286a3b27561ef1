"""The site that docs/ makes: built as it is published, every link of it followed."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from kdiag.config import links
from kdiag.rules.catalog import every_rule
from tests.derived import ROOT, pages
from tests.running import ENOUGH, environment

RULES = every_rule()


CONFIG = ROOT / ".github/mkdocs.yml"

_MARKED = re.compile(r"<!-- derived: .+? -->\n.*?<!-- end -->", re.DOTALL)
_CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.xdist_group("site")  # it is built once


class Page(HTMLParser):
    """The links of a page, what it loads, and the places in it that a link can lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if "id" in told:
            self.places.add(told["id"])
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        if tag in ("script", "img", "iframe", "source") and "src" in told:
            self.loads.append(told["src"])
        if tag == "link" and told.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.loads.append(told["href"])


def built(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """`mkdocs build --strict`."""
    mkdocs = str(Path(sys.executable).parent / "mkdocs")
    return subprocess.run(
        [mkdocs, "build", "--strict", "-f", str(config), "-d", str(folder)],
        capture_output=True,
        encoding="utf-8",
        env=environment(NO_MKDOCS_2_WARNING="1"),
        timeout=ENOUGH,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning."""
    folder = tmp_path_factory.mktemp("site")
    done = built(CONFIG, folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@cache
def parsed(path: Path) -> Page:
    return Page(path)


def broken_links(site: Path) -> list[str]:
    """What leads nowhere, as page and link."""
    broken = []
    for path in sorted(site.rglob("*.html")):
        if path.name == "404.html":
            continue
        for link in parsed(path).links:
            if urlsplit(link).scheme:
                continue
            name, place = urldefrag(link)
            target = (path.parent / unquote(name)).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            missing = place and target.suffix == ".html" and target.exists()
            if not target.exists() or (missing and unquote(place) not in parsed(target).places):
                broken.append(f"{path.relative_to(site)}: {link}")
    return broken


def test_every_link_leads_somewhere(site: Path) -> None:
    assert broken_links(site) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<p id="here"><a href="#here"><a href="#gone"><a href="gone/">'
    )
    assert broken_links(tmp_path) == ["index.html: #gone", "index.html: gone/"]


def test_each_page_is_in_it_once_built(site: Path) -> None:
    made = {path.relative_to(site).parent for path in site.rglob("index.html")}
    for page in pages():
        if page.is_relative_to(ROOT / "docs"):
            name = page.relative_to(ROOT / "docs").with_suffix("")
            wanted = name.parent if name.name in ("index", "README") else name
            assert wanted in made, page


def test_the_address_that_a_report_prints_is_there(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "SITE", f"{site}/")
    assert Path(links.page("findings"), "index.html").is_file()
    assert Path(links.page("aws"), "index.html").is_file()
    places = parsed(site / "findings" / "index.html").places
    assert [rule.code for rule in RULES.values() if rule.code.lower() not in places] == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        loads = [url for url in parsed(path).loads if urlsplit(url).netloc]
        assert loads == [], path


def test_strict_means_strict(tmp_path: Path) -> None:
    """A link that leads nowhere, to a page or to a place in one, stops the build."""
    (tmp_path / "pages").mkdir()
    config = tmp_path / "mkdocs.yml"
    text = CONFIG.read_text("utf-8").replace("../docs", "pages").replace("../site", "site")
    config.write_text(text.partition("\nnav:\n")[0] + "\n")
    page = tmp_path / "pages" / "index.md"
    for link, code in (("#a-heading", 0), ("#gone", 1), ("gone.md", 1)):
        page.write_text(f"# A heading\n[a]({link})\n")
        assert built(config, tmp_path / "site").returncode == code, link


def test_what_read_the_docs_is_told_is_valid() -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "check-jsonschema"),
            *("--builtin-schema", "vendor.readthedocs", ".github/.readthedocs.yaml"),
        ],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env=environment(),
        timeout=ENOUGH,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_output_is_quoted_by_the_code_alone(page: Path) -> None:
    """What a command prints is derived; a block that was written by hand has commands only."""
    for block in _CONSOLE.findall(_MARKED.sub("", page.read_text("utf-8"))):
        lines = [line for line in block.splitlines() if line.strip()]
        assert [line for line in lines if not line.startswith(("$ ", "> ", "  "))] == []

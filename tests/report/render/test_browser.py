"""The page in a real browser, headless Chromium: it asks for nothing, nothing is complained of, and
everybody can read it, on a phone, in the dark and on paper."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pypdf
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from kdiag.report.model import Report
from kdiag.report.render import render
from kdiag.report.several import Reports, together
from tests.lab import needs
from tests.report.render.cases import report
from tests.report.render.test_html import crowd

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SCREENS = {"desk": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
# One of each shape; the rest differs in words only.
SHOWN = ("healthy", "private-address", "security-group-blocks", "unmet")
BY_HAND = ("hostile-names", "mixed-causes")
SMALL = ("healthy", "private-address", "wrong-broker")
pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser with a profile of its own, which is gone afterwards."""
    needs.require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(ARGUMENTS)
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Opened:
    """A page that was opened, what it asked for beside itself, and what was complained of."""

    page: Page
    asked: list[str]
    complaints: list[str]


class Desk:
    """Opens pages; closes what it opened."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser, self.folder = browser, folder

    def open(
        self, made: Report | Reports, screen: str = "desk", scheme: str = "light", **more: Any
    ) -> Opened:
        width, height = SCREENS[screen]
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            **more,
        )
        page = context.new_page()
        opened = Opened(page, [], [])
        file = self.folder / "kdiag.html"
        with file.open("w", encoding="ascii") as stream:
            render("html", made, stream)
        page.on("request", lambda request: opened.asked.append(request.url))
        page.on("console", lambda message: opened.complaints.append(message.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.goto(file.as_uri())
        opened.asked.remove(file.as_uri())
        return opened

    def close(self) -> None:
        for context in self.browser.contexts:
            context.close()


@pytest.fixture
def desk(chromium: Browser, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(chromium, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("name", [*SHOWN, *BY_HAND])
def test_everybody_can_read_it(desk: Desk, name: str) -> None:
    """Contrast, headings, names, keyboard, as axe-core judges them; and no side is cut off."""
    for screen, scheme in (("desk", "light"), ("desk", "dark"), ("phone", "dark")):
        opened = desk.open(report(name), screen, scheme)
        judged = Axe().run(opened.page)
        assert judged.violations_count == 0, judged.generate_report()
        assert (opened.asked, opened.complaints) == ([], [])
        beyond = "document.documentElement.scrollWidth - window.innerWidth"
        assert opened.page.evaluate(beyond) <= 0
        desk.close()


def test_everybody_can_read_several(desk: Desk) -> None:
    """The page of several targets: as the page of one, and its list leads to each of them."""
    labels = ("prod", "staging <b>", "10.0.0.1:9092")
    made = together(
        dict(zip(labels, map(report, ("healthy", "unmet", "hostile-names")), strict=True)), "X.Y.Z"
    )
    for screen, scheme in (("desk", "light"), ("phone", "dark")):
        opened = desk.open(made, screen, scheme)
        judged = Axe().run(opened.page)
        assert judged.violations_count == 0, judged.generate_report()
        assert (opened.asked, opened.complaints) == ([], [])
        beyond = "document.documentElement.scrollWidth - window.innerWidth"
        assert opened.page.evaluate(beyond) <= 0
        for number, label in enumerate(labels, 1):
            opened.page.get_by_role("link", name=label, exact=True).click()
            assert opened.page.evaluate("location.hash") == f"#check-{number}"
        desk.close()


def test_the_accessibility_tool_can_say_no(desk: Desk) -> None:
    opened = desk.open(report("healthy"))
    opened.page.evaluate("document.querySelector('html').removeAttribute('lang')")
    assert Axe().run(opened.page).violations_count == 1


@pytest.mark.parametrize("screen", SCREENS)
def test_one_picture_is_shown_that_fits_the_screen(desk: Desk, screen: str) -> None:
    page = desk.open(report("private-address"), screen).page
    shown = page.locator("svg:visible")
    assert shown.count() == 1
    assert shown.get_attribute("class") == (
        "picture wide" if screen == "desk" else "picture narrow"
    )
    smallest = page.evaluate(
        """Math.min(...[...document.querySelectorAll('svg text')]
            .filter(text => text.checkVisibility())
            .map(text => text.getBoundingClientRect().height))"""
    )
    assert smallest >= 9  # pixels


def test_no_words_of_the_picture_leave_their_box(desk: Desk) -> None:
    """Each text between the edges of the picture, in every font that the browser may have."""
    for name in (*SHOWN, *BY_HAND):
        for screen in SCREENS:
            page = desk.open(report(name), screen).page
            outside = page.evaluate(
                """(() => { const svg = [...document.querySelectorAll('svg')]
                    .find(each => each.checkVisibility()).getBoundingClientRect();
                  return [...document.querySelectorAll('svg text')]
                    .filter(text => text.checkVisibility())
                    .map(text => [text.textContent, text.getBoundingClientRect()])
                    .filter(([, box]) => box.left < svg.left - 1 || box.right > svg.right + 1)
                    .map(([said]) => said); })()"""
            )
            assert outside == [], (name, screen)
            desk.close()


def test_colours_are_as_the_reader_has_them(desk: Desk) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    found = {s: desk.open(report("healthy"), scheme=s).page.evaluate(paper) for s in SCHEMES}
    assert found == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}


def test_the_button_copies_the_lines(desk: Desk) -> None:
    opened = desk.open(report("private-address"), permissions=["clipboard-read", "clipboard-write"])
    button = opened.page.get_by_role("button").first
    button.focus()
    opened.page.keyboard.press("Enter")
    button.get_by_text("Copied").wait_for()
    copied = opened.page.evaluate("navigator.clipboard.readText()")
    assert "advertised.listeners=<your other entries>,EXTERNAL://3.10.139.221:9094\n" in copied
    assert opened.complaints == []


def test_without_script_all_is_there_but_the_button(desk: Desk) -> None:
    opened = desk.open(report("private-address"), java_script_enabled=False)
    assert opened.page.get_by_role("button").count() == 0
    assert opened.page.get_by_text("advertisedHost: 3.10.139.221").is_visible()


def test_without_our_style_the_picture_still_has_its_colours(desk: Desk) -> None:
    """Where a page of somebody else shows it, whose policy allows none."""
    page = desk.open(report("private-address")).page
    page.evaluate("document.querySelector('style').remove()")
    ink = "getComputedStyle(document.querySelector('.arrow.fail line')).stroke"
    assert page.evaluate(ink) == "rgb(195, 27, 40)"


def test_what_is_folded_opens_by_keyboard(desk: Desk) -> None:
    page = desk.open(crowd(1000)).page
    summary = page.locator("summary").first
    assert page.get_by_text("198.51.4.1:9094").is_hidden()
    summary.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("198.51.4.1:9094").is_visible()


@pytest.mark.parametrize("name", SMALL)
def test_a_small_cluster_prints_on_one_page(desk: Desk, name: str) -> None:
    printed = desk.open(report(name)).page.pdf(format="A4", prefer_css_page_size=True)
    assert len(pypdf.PdfReader(io.BytesIO(printed)).pages) == 1


def test_a_thousand_brokers_open_at_once(desk: Desk) -> None:
    opened = desk.open(crowd(1000, broken=1000))
    assert (opened.asked, opened.complaints) == ([], [])
    height = opened.page.evaluate("document.body.scrollHeight")
    assert height < 8 * SCREENS["desk"][1]

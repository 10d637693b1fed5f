"""The page of the nights and the comparison on a run's page work in a real browser: light, dark, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from job.page.render import render_nights, render_page
from job.report.commands import PageLinks
from tests.page.test_browser import _brightness
from tests.page.test_nights import with_last_night
from tests.report.test_comparison import SECOND, Played
from tests.support.browser import Browser, open_browser
from tests.support.nights import Night
from tests.support.past import past_summaries

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("browser"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def index(tmp_path: Path) -> Path:
    file = tmp_path / "index.html"
    file.write_bytes(render_nights(with_last_night(past_summaries(60)), str(tmp_path), beside=True))
    return file


@pytest.fixture
def pages(index: Path, compared: Path) -> dict[str, Path]:
    return {"index": index, "compared": compared}


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    """The page of a run with many differences from the night before."""
    later = Played("2026-11-24", {("A", "b"): "denied", ("D", "a"): "status", ("B", "b"): "timeout"}, SECOND, "ABD")
    report, ledger = Night(["AAPL", "美联储"], ["news_card"]).build()
    file = tmp_path / "night" / "report.html"
    file.parent.mkdir()
    report = report.model_copy(update={"since_last_night": later.comparison})
    file.write_bytes(render_page(report, ledger, (), PageLinks("../index.html")))
    return file


@pytest.mark.parametrize("name", ["index", "compared"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_opens_from_disk_without_console_errors(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    browser.complaints.clear()
    browser.requests.clear()
    page = pages[name]
    browser.open(page, width, dark=dark)
    assert browser.value("document.documentElement.scrollWidth") <= width, "something sticks out"
    assert browser.value("document.scripts.length") == 0
    assert browser.complaints == []
    assert browser.requests == [page.as_uri()]
    browser.screenshot(page.with_suffix(".png"))
    text = browser.value("document.body.innerText")
    expected = ["1 of 2 cards is missing", "2026-11-24", "Card phase", "What failed most often", "All nights"]
    if name == "compared":
        expected = ["Compared with 2026-11-23", "new failure", "1 target removed: C", "1 target added: D", "mended"]
    for words in expected:
        assert words in text


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["index", "compared"])
def test_every_text_can_be_read_by_day_and_by_night(
    browser: Browser, pages: dict[str, Path], name: str, dark: bool
) -> None:
    browser.open(pages[name], dark=dark)
    assert (_brightness(browser, "body", "backgroundColor") < 0.1) == dark
    assert browser.faint() == []


@pytest.mark.parametrize("name", ["index", "compared"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nobody_is_shut_out(browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool) -> None:
    browser.open(pages[name], width, dark=dark)
    assert browser.shut_out() == []


def test_every_run_can_be_reached_by_keyboard(browser: Browser, index: Path) -> None:
    browser.open(index)
    shown, reached = browser.reachable()
    assert len(reached) == shown
    assert reached[:3] == ["A To the runs", "A b", "A What failed, and what to do"]
    browser.open(index)
    browser.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    shown, reached = browser.reachable()
    assert len(reached) == shown
    runs = sum(night.summary is not None for night in past_summaries(60).runs)
    assert sum(place.startswith("A cards-nightly-") for place in reached) == runs


def test_on_paper_everything_is_there(browser: Browser, index: Path) -> None:
    browser.open(index, dark=True, media="print")
    assert browser.value("document.querySelector('#often').getBoundingClientRect().height") > 200
    assert _brightness(browser, "body", "backgroundColor") > 0.9
    assert 1 <= browser.printed().count(b"/Type /Page\n") < 8


def test_a_click_leads_from_the_nights_to_a_run_and_back(browser: Browser, index: Path, compared: Path) -> None:
    browser.open(compared)
    assert browser.value("document.querySelector('nav a').href") == index.as_uri()
    browser.open(index)
    link = browser.value("document.querySelector('.nights a').href")
    assert link.startswith(index.parent.as_uri() + "/cards-nightly-")
    assert link.endswith("/report.html")

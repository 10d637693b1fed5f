"""Both pages work in a real browser: light, dark, on a phone, by keyboard, without a network."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from job.day.history import Nights
from job.outputs.pages import render_day, render_nights
from job.text.messages import ENGLISH, LANGUAGES, Language, Translator, translator
from tests.outputs.test_pages import hostile_view
from tests.support.browser import Browser, open_browser
from tests.support.days import DAY, SCENES, some_nights, view_of_latest

pytestmark = [pytest.mark.slow, pytest.mark.needs("browser")]
NOW = datetime.fromisoformat("2026-11-28T09:00:00+08:00")
PAGES = ["nights", "missing", "data", "refused", "hostile"]
PHONE = (390, 844)
END = {"good": "main", "data": "main", "seven": ".nights"}
"""The last of what is read in the morning, and not for a cause, or for another night."""
OPEN_ALL = "document.querySelectorAll('details').forEach(one => one.open = true)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pages(tmp_path_factory.mktemp("runs"), ENGLISH)


def write_pages(place: Path, to: Translator) -> dict[str, Path]:
    """The pages as files, where a start in a directory would write them."""
    links = str(place)
    scenes = {"good": "all made", "missing": "cards missing", "data": "data failed", "refused": "bad config"}
    views = {name: SCENES[scene]() for name, scene in scenes.items()}
    views |= {"hostile": hostile_view("<b>&" + "x" * 300)}
    days = {name: name for name in views} | {"missing": DAY}
    files = {name: place / day / "report.html" for name, day in days.items()}
    files |= {"nights": place / "index.html", "seven": place / "seven.html"}
    for name, view in views.items():
        files[name].parent.mkdir()
        files[name].write_bytes(render_day(view, links, NOW, has_table=True, translator=to))
    seven = Nights(some_nights().nights[:7])
    for name, nights, now in (("nights", some_nights(), NOW), ("seven", seven, NOW)):
        files[name].write_bytes(render_nights(nights, view_of_latest(nights, links, now), links, now, to))
    return files


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nobody_is_shut_out_nothing_sticks_out_and_every_text_can_be_read(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(pages[name], width, dark=dark)
    assert browser.value("document.documentElement.scrollWidth") <= width
    browser.value(OPEN_ALL)
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.scripts.length") == 0
    assert browser.requests == [pages[name].as_uri()]
    assert browser.complaints == []
    assert browser.shut_out() == []


@pytest.mark.parametrize(("name", "height"), [("good", 844), ("data", 900), ("seven", 980)])
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_read_in_the_morning_fits_a_phone(
    browser: Browser, tmp_path: Path, name: str, height: int, language: Language
) -> None:
    browser.open(write_pages(tmp_path, translator(language))[name], *PHONE)
    assert browser.value(f"document.querySelector('{END[name]}').getBoundingClientRect().bottom") <= height


@pytest.mark.parametrize("name", ["data", "seven"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_commands_and_facts_break_at_spaces(browser: Browser, tmp_path: Path, name: str, language: Language) -> None:
    browser.open(write_pages(tmp_path, translator(language))[name], *PHONE)
    browser.value(OPEN_ALL)
    lines = "[...document.querySelectorAll('code span, .facts span')].map(one => %s)"
    heights = browser.value(lines % "one.offsetHeight")
    assert len(heights) > 2
    assert max(heights) < 30, "two lines of text"


def test_one_touch_selects_a_whole_command(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["data"], *PHONE)
    browser.click("section code")
    (command, *_) = [step.below for step in SCENES["data failed"]().steps]
    assert browser.value("getSelection().toString()") == command


def test_in_chinese_nothing_sticks_out_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    for file in write_pages(tmp_path, translator("zh")).values():
        browser.open(file, 360)
        browser.value(OPEN_ALL)
        assert browser.value("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("name", ["nights", "missing"])
def test_links_and_folded_parts_can_be_reached_by_keyboard(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name])
    shown, reached = browser.reachable()
    assert len([place for place in reached if place.startswith(("A ", "SUMMARY "))]) == shown > 3

"""Both pages work in a real browser: light, dark, on a phone, on paper, by keyboard, without a network."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from job.day.advice import command_of
from job.day.attempt import Outcome
from job.outputs.pages import Links, render_day, render_nights
from job.records.nights import Night, Nights
from job.text.messages import ENGLISH, LANGUAGES, Language, Translator, translator
from tests.outputs.test_day_page import hostile_view, retried
from tests.support.browser import Browser, open_browser
from tests.support.days import DAY, SCENES, Day, some_nights

pytestmark = [pytest.mark.slow, pytest.mark.needs("browser")]
NOW = datetime.fromisoformat("2026-11-28T09:00:00+08:00")
PAGES = ["nights", "missing", "data", "refused", "hostile"]
PHONE = (390, 844)
OPEN_ALL = "document.querySelectorAll('details').forEach(one => one.open = true)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser(NOW) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _time(browser: Browser) -> None:
    browser.now = NOW


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pages(tmp_path_factory.mktemp("runs"), ENGLISH)


def write_pages(place: Path, to: Translator) -> dict[str, Path]:
    """The pages as files, where a start in a directory would write them."""
    links = Links(str(place))
    scenes = {"good": "all made", "missing": "cards missing", "data": "data failed", "refused": "bad config"}
    views = {name: SCENES[scene]() for name, scene in scenes.items()} | {"hostile": hostile_view("<b>&" + "x" * 300)}
    days = {"good": "good", "missing": DAY, "data": "data", "refused": "refused", "hostile": "hostile"}
    files = {name: place / day / "report.html" for name, day in days.items()}
    files |= {"nights": place / "index.html", "seven": place / "seven.html"}
    for name, view in views.items():
        files[name].parent.mkdir()
        files[name].write_bytes(render_day(view, links, has_table=True, translator=to))
    schedule = Day().start_of().days
    for name, nights in (("nights", some_nights()), ("seven", Nights(some_nights().nights[:7]))):
        files[name].write_bytes(render_nights(nights, links, schedule, None, NOW, to))
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
    assert browser.value("document.scripts.length") == 1
    assert browser.requests == [pages[name].as_uri()]
    assert browser.complaints == []
    assert browser.shut_out() == []


@pytest.mark.parametrize(("name", "height"), [("good", 844), ("data", 900), ("seven", 960)])
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_read_in_the_morning_fits_a_phone(
    browser: Browser, tmp_path: Path, name: str, height: int, language: Language
) -> None:
    browser.open(write_pages(tmp_path, translator(language))[name], *PHONE)
    assert browser.value("document.documentElement.getBoundingClientRect().height") <= height


@pytest.mark.parametrize("name", ["data", "seven"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_commands_and_facts_break_between_words_alone(
    browser: Browser, tmp_path: Path, name: str, language: Language
) -> None:
    browser.open(write_pages(tmp_path, translator(language))[name], *PHONE)
    lines = "[...document.querySelectorAll('code span, .facts span')].map(one => %s)"
    heights = browser.value(lines % "one.offsetHeight")
    assert len(heights) > 10
    assert max(heights) < 30, "two lines of text"


def test_one_touch_selects_a_whole_command(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["data"], *PHONE)
    browser.click("section code")
    command = command_of(SCENES["data failed"]().steps, "later")
    assert command is not None
    assert browser.value("getSelection().toString()") == command.text
    assert "--without" in command.text


def test_in_chinese_nothing_sticks_out_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    for file in write_pages(tmp_path, translator("zh")).values():
        browser.open(file, 360)
        browser.value(OPEN_ALL)
        assert browser.value("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("name", ["nights", "missing"])
def test_every_link_and_every_folded_part_can_be_reached_by_keyboard(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name])
    shown, reached = browser.reachable()
    assert len([place for place in reached if place.startswith(("A ", "SUMMARY "))]) == shown > 4


def test_paper_shows_also_what_is_folded_on_the_screen(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["missing"], dark=True, media="print")
    last = "[...document.querySelectorAll('details')].at(-1)"
    assert browser.value(f"{last}.open") is False
    assert browser.value(f"{last}.getBoundingClientRect().height") > 200
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


TICK = datetime.fromisoformat("2026-11-29T02:00:00+08:00")
STATES = {
    TICK - timedelta(seconds=1): ["fresh"],
    TICK: ["soon", "old"],
    TICK + timedelta(hours=1): ["late", "old"],
    TICK + timedelta(days=7): ["late", "old"],
}
"""Of each hour at which the page is read, the parts above the table that it shows."""
SHOWN = "[...document.querySelector('main').children].filter(one => one.checkVisibility()).map(one => one.className)"
EVENTS = ["timer[0]()", "dispatchEvent(new Event('pageshow'))", "document.dispatchEvent(new Event('visibilitychange'))"]


def parts(browser: Browser) -> list[str]:
    """Without the line of the nights that are left undone, which is always there."""
    shown: list[str] = browser.value(SHOWN)
    return shown[: shown.index("notes warn-text")]


@pytest.mark.parametrize("now", STATES)
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_nights_are_true_at_the_hour_at_which_they_are_read(
    browser: Browser, pages: dict[str, Path], now: datetime, width: int, dark: bool
) -> None:
    browser.complaints.clear()
    browser.now = now
    browser.open(pages["nights"], width, dark=dark)
    assert parts(browser) == STATES[now]
    titles = {
        "soon": "… No record yet for",
        "late": "! No record since",
        "fresh": "✗ 5 of 58 cards",
    }
    assert browser.value("document.title").startswith(titles[STATES[now][0]])
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.complaints == []
    assert browser.shut_out() == []


@pytest.mark.parametrize("event", EVENTS)
def test_a_tab_that_stays_open_becomes_true_again(browser: Browser, pages: dict[str, Path], event: str) -> None:
    browser.open(pages["nights"])
    assert browser.value("timer[1]") == 60_000
    fresh = browser.value("document.title")
    for now, expected in STATES.items():
        browser.later(now, event)
        assert parts(browser) == expected
        assert (browser.value("document.title") == fresh) is ("fresh" in expected)


def test_a_moment_that_cannot_be_read_hides_nothing(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "broken.html"
    file.write_text(pages["nights"].read_text().replace('data-from="1', 'data-from="x'))
    browser.open(file)
    assert parts(browser) == ["late", "soon", "fresh", "old"]


def test_where_scripts_are_blocked_the_words_stand_there(browser: Browser, pages: dict[str, Path]) -> None:
    browser.now = TICK + timedelta(days=7)
    browser.open(pages["nights"], *PHONE, scripts=False)
    assert parts(browser) == ["fresh", "notes"]
    assert browser.value("document.querySelector('main > .notes').getBoundingClientRect().bottom") < PHONE[1]
    assert browser.shut_out() == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_screen_of_a_phone_has_tonight_and_the_old_verdict_and_later_the_warning_and_its_command(
    browser: Browser, tmp_path: Path, language: Language
) -> None:
    file = write_pages(tmp_path, translator(language))["seven"]
    bottom = "document.querySelector('%s').getBoundingClientRect().bottom"
    browser.now = TICK
    browser.open(file, *PHONE)
    assert browser.value(bottom % ".soon") < PHONE[1] / 3
    assert browser.value(bottom % ".old") < PHONE[1]
    assert browser.value("document.querySelector('.soon code')") is None
    browser.now = TICK + timedelta(days=7)
    browser.open(file, *PHONE)
    assert browser.value(bottom % ".late h1") < browser.value(bottom % ".late code") < PHONE[1]
    assert browser.value(bottom % ".late") < PHONE[1]


@pytest.mark.parametrize(
    ("minutes", "sentence"), [(9, "Only if no message comes, start"), (11, "Once the cause is put right")]
)
def test_the_page_of_a_day_knows_for_ten_minutes_that_a_retry_comes(
    browser: Browser, tmp_path: Path, minutes: int, sentence: str
) -> None:
    view, file = retried(1), tmp_path / "report.html"
    file.write_bytes(render_day(view, Links(str(tmp_path)), has_table=False, translator=ENGLISH))
    browser.complaints.clear()
    browser.now = datetime.fromisoformat(view.report.ended or "") + timedelta(minutes=minutes)
    browser.open(file, *PHONE)
    steps = "[...document.querySelectorAll('.next')].filter(one => one.checkVisibility()).map(one => one.innerText)"
    shown = browser.value(steps)
    assert shown[0].startswith(
        "Cloud Run starts it again" if minutes < 10 else "First see whether Cloud Run's retry is at work: "
    )
    assert sentence in shown[-1]
    assert len(shown) == (2 if minutes < 10 else 1)
    assert browser.value("document.title").startswith("✗ ")
    assert browser.complaints == []


def test_an_old_verdict_has_no_colour(browser: Browser, tmp_path: Path) -> None:
    """It is green until the next tick, and where no script can tell whether that has come."""
    file = tmp_path / "good.html"
    nights, days = Nights([Night(DAY, Outcome.SUCCEEDED, SCENES["all made"]().report)]), Day().start_of().days
    written = days.after(DAY) - timedelta(hours=20)
    file.write_bytes(render_nights(nights, Links(str(tmp_path)), days, None, written, ENGLISH))
    h1 = "[...document.querySelectorAll('h1')].filter(one => one.checkVisibility()).at(-1)"
    colour, grey = f"getComputedStyle({h1}).color", "getComputedStyle(document.querySelector('.soft')).color"
    behind = f"getComputedStyle({h1}.closest('.headline')).backgroundColor"
    panel = "getComputedStyle(document.querySelector('.panel.inside')).backgroundColor"
    for seconds, scripts, is_grey in ((-1, True, False), (0, True, True), (0, False, False)):
        browser.now = days.after(DAY) + timedelta(seconds=seconds)
        browser.open(file, scripts=scripts)
        assert (browser.value(colour) == browser.value(grey)) is is_grey
        assert (browser.value(behind) == browser.value(panel)) is is_grey


@pytest.mark.parametrize("dark", [False, True])
def test_a_failed_card_catches_the_eye(browser: Browser, pages: dict[str, Path], dark: bool) -> None:
    browser.open(pages["missing"], *PHONE, dark=dark)
    behind = "getComputedStyle(document.querySelector('.marks %s')).backgroundColor"
    assert browser.value(behind % ".bad") != browser.value(behind % "tbody tr:nth-child(3) td") == "rgba(0, 0, 0, 0)"
    assert browser.value("document.querySelector('.marks .bad').offsetWidth") >= 20

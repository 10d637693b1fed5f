"""The page of a run works in a real browser: light, dark, on a phone, on paper, by keyboard, without a network."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from job.engines.catalog import ALL_ENGINES, EngineName
from job.ledger.ledger import Ledger
from job.report.commands import PageLinks
from job.report.inputs import without_plan
from job.report.outcome import Outcome
from job.report.report import ReportedFault
from job.text.messages import message, translator
from tests.page.test_render import HOSTILE, rendered, some_fail
from tests.support.browser import Browser, open_browser
from tests.support.cards import run
from tests.support.nights import Night
from tests.support.results import tried

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("browser"),
]
ALONE: dict[EngineName, int] = dict.fromkeys(ALL_ENGINES, 1)
NAMES = ["AAPL", "^GSPC", "美联储", "Rate vs Inflation"]
OTHERS = ["stopped", "cut", "refused"]
NIGHTS = {
    "good": Night(NAMES, ["news_card", "price_card"]),
    "failed": Night(NAMES, ["news_card", "price_card"], fate=some_fail),
    "large": Night([f"{number:05}.SS" for number in range(4000)], list("abcde"), fate=some_fail),
    "hostile": Night(HOSTILE, ["news_card"], fate=lambda _, number: ([], "denied", HOSTILE[number % 9], 200)),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def pages(tmp_path: Path) -> dict[str, Path]:
    files = {name: tmp_path / f"{name}.html" for name in [*NIGHTS, *OTHERS]}
    for name, night in NIGHTS.items():
        good = name == "good"
        recorded = night.build(*(() if good else ("cards_missing", 3, "Cards are missing.")), project="cards")
        files[name].write_bytes(rendered(*recorded))
    files["stopped"].write_bytes(rendered(*NIGHTS["good"].build("deadline", 4, "The run's deadline passed.")))
    night = Night(
        NAMES, ["news_card"], fate=lambda _, number: ([], "interrupted" if number % 2 else None, "cut off", None)
    )
    report, ledger = night.build("interrupted", 143, "The run was interrupted by SIGTERM.")
    files["cut"].write_bytes(rendered(report, ledger))
    fault = ReportedFault(
        where='card_targets.json: [3] ("' + "x" * 200 + '")', what="is not a card type", remedy="correct it"
    )
    refused = report.model_copy(update={"outcome": Outcome.BAD_CONFIG, "engines": {}, "faults": (fault,) * 3})
    files["refused"].write_bytes(rendered(refused, Ledger(without_plan())))
    return files


@pytest.mark.parametrize("name", NIGHTS)
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_opens_from_disk_without_console_errors(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(pages[name], width, dark=dark)
    text = browser.value("document.body.innerText")
    for words in ("planned", "not attempted", "Timeline", "Engines", "This run", "Calls in flight, and their limit"):
        assert words in text
    assert ("All 8 cards are there" in text) == (name == "good")
    assert ("What to do:" in text) == (name != "good")
    if name != "hostile":
        assert "barrier" in text
    assert browser.value("document.documentElement.scrollWidth") <= width, "something sticks out"
    assert browser.value("document.scripts.length") == 0
    assert browser.complaints == []
    assert browser.requests == [pages[name].as_uri()]


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_sticks_out_on_a_phone(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], 390)
    assert browser.value("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_a_page_in_chinese_fits_as_well(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    file = tmp_path / "chinese.html"
    file.write_bytes(
        rendered(
            *NIGHTS["failed"].build("cards_missing", 3, "x"),
            translator=translator("zh"),
            links=PageLinks(table="cards.csv"),
        )
    )
    browser.complaints.clear()
    browser.open(file, width, dark=dark)
    assert browser.value("document.documentElement.lang") == "zh-CN"
    text = browser.value("document.body.innerText")
    for words in (
        "缺 2 张图卡（共 8 张）",
        "未请求",
        "处理办法：",
        "时间线",
        "财务引擎",
        "并发请求数及其上限",
        "本次运行",
    ):
        assert words in text
    assert browser.value("document.documentElement.scrollWidth") <= width, "something sticks out"
    assert browser.complaints == []


@pytest.mark.parametrize("dark", [False, True])
def test_the_board_shows_all_cards_and_on_a_phone_only_what_is_missing(
    browser: Browser, tmp_path: Path, dark: bool
) -> None:
    types = "".join(chr(ord("一") + number) for number in range(24))
    file = tmp_path / "board.html"
    file.write_bytes(rendered(*run([("美联储", "topic", types)], {("美联储", types[0]): None}, set_aside=types[1])))
    shown = "document.querySelector('.board tbody').innerText"
    browser.open(file, 1280, dark=dark)
    assert "✓" in browser.value(shown)
    assert browser.value("document.documentElement.scrollWidth") <= 1280, "it scrolls by itself"
    browser.open(file, 390, dark=dark)
    assert "✓" not in browser.value(shown)
    label = f"getComputedStyle(document.querySelector('.board td[data-is={types[1]}]'), '::before').content"
    assert browser.value(label) == f'"{types[1]} "'
    assert "– type set aside" in browser.value(shown)
    assert browser.value("document.documentElement.scrollWidth") <= 390
    for kind in ("id", "open", "num"):
        text, panel = (
            _brightness(browser, f".board .{kind}", "color"),
            _brightness(browser, "#board", "backgroundColor"),
        )
        assert (max(text, panel) + 0.05) / (min(text, panel) + 0.05) >= 4.5, kind


def test_on_a_phone_a_made_card_is_shown_if_it_links_to_its_picture(browser: Browser, tmp_path: Path) -> None:
    report, ledger = run([("AAPL", "equity", "ab")], {("AAPL", "a"): None})
    file = tmp_path / "board.html"
    file.write_bytes(rendered(report.model_copy(update={"card_url": "https://cards.example.com/{ticker}"}), ledger))
    browser.open(file, 390)
    assert "✓" in browser.value("document.querySelector('.board tbody').innerText")
    assert browser.value("document.querySelector('.board a').href") == "https://cards.example.com/AAPL"
    label = "getComputedStyle(document.querySelector('.board td.made'), '::before').content"
    assert browser.value(label) == '"a "'
    assert browser.complaints == []


def _brightness(browser: Browser, selector: str, what: str) -> float:
    colour = browser.value(f"getComputedStyle(document.querySelector('{selector}')).{what}")
    parts = [part / 255 for part in _parts(colour)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def one_short(targets: int) -> Ledger:
    """The page of a night in which a card fails again, at once, right before the next call."""
    night = Night([f"T{n}" for n in range(targets)], ["a"], concurrency=ALONE)
    ledger, earlier = Ledger(night.plan()), 0.0
    for number, result in enumerate(night.results()):
        started, ended = result.started - earlier, result.ended - earlier
        changes: dict[str, Any] = {"started": started, "ended": ended}
        if number == targets * 3 // 2:
            earlier = ended - started - 0.01
            changes = {"started": started + 0.005, "ended": started + 0.01}
            changes |= {"done": False, "cause": "denied", "reason": message("no")}
            changes |= {"failed_attempts": tried((started, started + 0.005, "HTTP 503"))}
        ledger.add(replace(result, **changes))
    return ledger


@pytest.mark.parametrize("targets", [8, 2000])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_shortest_failure_is_seen_in_the_timeline(
    browser: Browser, tmp_path: Path, targets: int, width: int, dark: bool
) -> None:
    report, _ = NIGHTS["failed"].build("cards_missing", 3, "Cards are missing.")
    file = tmp_path / "short.html"
    file.write_bytes(rendered(report, one_short(targets)))
    browser.open(file, width, dark=dark)
    seen = browser.colours(".plot")
    for kind in ("k-r", "k-f"):
        colour = browser.value(f"getComputedStyle(document.querySelector('.legend .{kind}')).backgroundColor")
        assert sum(count for one, count in seen.items() if _is_near(one, colour)) >= 6, f"pixels of {kind}"


def _is_near(one: str, other: str) -> bool:
    """Whether two colours are nearly the same: a narrow shape is blended with its surroundings."""
    return all(abs(a - b) <= 30 for a, b in zip(_parts(one), _parts(other), strict=True))


def _parts(colour: str) -> list[float]:
    return [float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]


@pytest.mark.parametrize("name", ["good", "failed", "stopped"])
@pytest.mark.parametrize("dark", [False, True])
def test_the_icon_has_the_colour_of_the_headline(
    browser: Browser, pages: dict[str, Path], name: str, dark: bool
) -> None:
    browser.open(pages[name], dark=dark)
    shape, *strokes = browser.value(
        "[...document.querySelectorAll('.verdict svg > *')].map(part => getComputedStyle(part).fill)"
    )
    assert shape == browser.value("getComputedStyle(document.querySelector('h1')).color")
    assert strokes == ["none"]


@pytest.mark.parametrize("name", [*NIGHTS, *OTHERS])
@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read_by_day_and_by_night(
    browser: Browser, pages: dict[str, Path], name: str, dark: bool
) -> None:
    browser.open(pages[name], dark=dark)
    assert (_brightness(browser, "body", "backgroundColor") < 0.1) == dark
    assert browser.faint() == []


@pytest.mark.parametrize("name", ["failed", "cut", "refused"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nobody_is_shut_out(browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool) -> None:
    browser.open(pages[name], width, dark=dark)
    assert browser.shut_out() == []


def test_a_page_that_shuts_people_out_is_found(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["good"])
    browser.value("document.documentElement.lang = ''")
    assert [one.partition(":")[0] for one in browser.shut_out()] == ["html-has-lang"]


@pytest.mark.parametrize("name", ["failed", "stopped", "refused"])
def test_every_link_and_every_folded_part_can_be_reached_by_keyboard(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name])
    shown, reached = browser.reachable()
    assert len(reached) == shown
    if name != "refused":
        assert reached[0] == "A To the timeline"
        assert any(place.startswith("SUMMARY Every call") for place in reached)
    if name == "failed":
        assert any(place.startswith("A in Google's console") for place in reached)


def test_details_open_by_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["failed"])
    browser.value("[...document.querySelectorAll('summary')].at(-1).focus()")
    opened = "[...document.querySelectorAll('details')].at(-1).open"
    assert browser.value(opened) is False
    browser.press("Enter", 13, "\r")
    assert browser.value(opened) is True


def test_paper_shows_also_what_is_folded_on_the_screen(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["failed"], dark=True, media="print")
    last = "[...document.querySelectorAll('details')].at(-1)"
    assert browser.value(f"{last}.open") is False
    assert browser.value(f"{last}.getBoundingClientRect().height") > 300
    assert _brightness(browser, "body", "backgroundColor") > 0.9
    printed = browser.printed()
    assert printed.startswith(b"%PDF")
    browser.open(pages["large"])
    assert browser.printed().count(b"/Type /Page\n") < 40


def test_a_screenshot_is_not_blank(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    browser.open(pages["large"])
    browser.screenshot(tmp_path / "large.png")
    data = (tmp_path / "large.png").read_bytes()
    start = data.index(b"IDAT") + 4
    length = int.from_bytes(data[start - 8 : start - 4])
    assert len(set(zlib.decompressobj().decompress(data[start : start + length]))) > 20

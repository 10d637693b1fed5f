"""`make picture`: the READMEs' pictures of both pages, in both languages: a week of days in virtual time."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import trio
from trio.testing import MockClock

from job.report.format import NIGHTS_PAGE, PAGE
from job.text.messages import LANGUAGES
from tests.simulators import do, when
from tests.simulators.engines import varied
from tests.simulators.job import ROOT
from tests.simulators.service import Fault
from tests.simulators.world import World
from tests.support.browser import CHROMIUM, Browser, open_browser
from tests.support.world import VirtualWorld, open_virtual_world
from tests.tools.run_local import TROUBLES

PAGES = {"day": "main", "nights": ".charts"}
"""The pages, and the last part of each that its picture shows."""
WIDTH = 1000
CONFIG = {
    "ticker_list.json": ["AAPL", "MSFT", "NVDA", "TSLA", "0700.HK", "600519.SS"],
    "card_types.json": ["news_card", "price_card", "valuation_card", "outlook_card"],
    "card_targets.json": [
        {"id": "美联储", "target_type": "topic", "topic_key": "fed", "card_types": ["news_card", "outlook_card"]}
    ],
}
Trouble = Callable[[World], None]


def _some_trouble(world: World) -> None:
    """One card is not made; two are only made when they are requested again."""
    refusal = {"status": "failed", "error": "the model declined to give an outlook"}
    world.qa.script.append(Fault(when.both(when.ticker("TSLA"), when.card("outlook_card")), do.body(refusal)))
    busy = when.both(when.attempt(1), when.both(when.ticker("NVDA", "600519.SS"), when.card("price_card")))
    world.qa.script.append(Fault(busy, do.status(503, after=15.0)))


WEEK: Sequence[Trouble | None] = (
    None, None, TROUBLES["news"].cause, None, TROUBLES["cards"].cause, None, _some_trouble,
)  # fmt: skip
"""What goes wrong on each night."""
DAY_SECONDS = 86_400


def main() -> int:
    """Makes the pictures again."""
    if CHROMIUM is None:
        print("there is no chromium: apt-get install chromium", file=sys.stderr)
        return 2
    with open_browser() as browser:
        for language in LANGUAGES:
            with tempfile.TemporaryDirectory() as place:
                last = trio.run(_week, Path(place), language, clock=MockClock(autojump_threshold=0))
                for page, end in PAGES.items():
                    file = last if page == "day" else Path(place) / NIGHTS_PAGE
                    _take(browser, file, end, picture_of(page, language))
    return 0


def picture_of(page: str, language: str) -> Path:
    """The file with the picture of a page."""
    return ROOT / "tests" / "tools" / (f"{page}.png" if language == "en" else f"{page}.{language}.png")


def _take(browser: Browser, page: Path, last: str, picture: Path) -> None:
    """A picture of the page, up to the end of this part of it."""
    browser.open(page, WIDTH)
    height = browser.value(f"document.querySelector('{last}').getBoundingClientRect().bottom + 10")
    browser.open(page, WIDTH, round(height))
    browser.screenshot(picture)
    print(picture)


async def _week(place: Path, language: str) -> Path:
    """Writes the records of the week there. Returns the page of the last day."""
    async with trio.open_nursery() as nursery, open_virtual_world(nursery, CONFIG) as world:
        for number, trouble in enumerate(WEEK):
            await _night(world, language, trouble, number)
            await trio.sleep_until(DAY_SECONDS * (number + 1))
        recorded = world.recorded()
        for name, data in recorded.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
    return place / max(name for name in recorded if name.endswith(f"/{PAGE}"))


async def _night(world: VirtualWorld, language: str, trouble: Trouble | None, seed: int) -> None:
    world.financial.latency = varied(12.0, per_ticker=2.0, seed=seed)
    world.trading.latency = varied(14.0, per_ticker=2.0, seed=seed)
    world.news.latency = varied(18.0, seed=seed)
    world.qa.latency = varied(24.0, seed=seed)
    for engine in world.engines.values():
        engine.script.clear()
    if trouble is not None:
        trouble(world)
    variables = {
        "RUN_TIME_ZONE": "Asia/Shanghai",
        "REPORT_LANGUAGE": language,
        "CLOUD_RUN_JOB": "cards",
        "GOOGLE_CLOUD_PROJECT": "our-project",
        "QA_ENGINE_CONCURRENCY": "8",
    }
    outcome = await world.run_job(env=variables, seconds=DAY_SECONDS / 2)
    assert outcome.exit_code in {0, 1, 3}, outcome.stdout + outcome.stderr


if __name__ == "__main__":
    sys.exit(main())

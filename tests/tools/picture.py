"""`make picture`: the READMEs' pictures of both pages, in both languages: a week of days, without a run."""

import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from job.config.plan import Target
from job.day.history import Nights
from job.engines.calls import EngineName
from job.engines.failures import Cause, Failure
from job.outputs.pages import render_day, render_nights
from job.text.messages import LANGUAGES, said, translator
from tests.simulators.job import ROOT
from tests.support.browser import CHROMIUM, open_browser
from tests.support.days import NULL, REFUSED, Day, Fate, failing, well
from tests.support.fakes import target

PAGES = {"day": "main", "nights": ".legend"}
"""The pages, and the last part of each that its picture shows."""
WIDTH = 1000
TYPES = ["news_card", "price_card", "valuation_card", "outlook_card"]
TARGETS = [
    *(target(name, TYPES) for name in ("AAPL", "MSFT", "NVDA", "TSLA", "0700.HK", "600519.SS")),
    Target("美联储", "topic", "fed", None, ("news",), ("news_card", "outlook_card")),
]
DECLINED = Failure(Cause.DENIED, said("failed: the model declined to give an outlook"), 200)


def one_card(_engine: EngineName, name: str, card_type: str | None) -> Failure | None:
    """All that fails in the latest night."""
    return DECLINED if (name, card_type) == ("TSLA", "outlook_card") else None


WEEK: Sequence[tuple[int, Fate]] = (
    (4, well), (4, well), (5, failing(NULL, "news", "AAPL")), (5, well), (6, failing(REFUSED, "qa", "NVDA")),
    (7, well), (7, one_card),
)  # fmt: skip
"""Of each night, how many targets it has, and what fails."""
START = {"qa_attempts": 3}


def main() -> int:
    """Makes the pictures again."""
    if CHROMIUM is None:
        print("there is no chromium: apt-get install chromium", file=sys.stderr)
        return 2
    nights, links = Nights(), "/runs"
    days = [
        Day(f"2026-11-{day}", TARGETS[:count], start=START).play(fate) for day, (count, fate) in enumerate(WEEK, 24)
    ]
    for day in days[:-1]:
        nights = nights.with_report(day.view(None, *nights.reports).report)
    view = days[-1].view(None, *nights.reports)
    nights = nights.with_report(view.report)
    now = datetime.fromisoformat("2026-11-30T09:00:00+08:00")
    with open_browser() as browser, tempfile.TemporaryDirectory() as place:
        for language in LANGUAGES:
            to = translator(language)
            shown = {
                "day": render_day(view, links, now, has_table=True, translator=to),
                "nights": render_nights(nights, view, links, now, to),
            }
            for page, end in PAGES.items():
                file = Path(place) / f"{page}.html"
                file.write_bytes(shown[page])
                browser.open(file, WIDTH)
                height = browser.value(f"document.querySelector('{end}').getBoundingClientRect().bottom + 10")
                browser.open(file, WIDTH, round(height))
                picture = ROOT / "tests" / "tools" / (f"{page}.png" if language == "en" else f"{page}.{language}.png")
                browser.screenshot(picture)
                print(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())

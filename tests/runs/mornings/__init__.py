"""Mornings: nights that went wrong in their usual ways, and all that a person reads of each the next morning.

`python -m tests.runs.mornings` writes the texts that the test compares: read them as that person would, knowing nothing
of what happened, before they are committed.
"""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import trio

from job import __version__
from job.cli.verify import verify
from job.config.environment import Options, read_settings
from job.day.report import NIGHTS_PAGE
from tests.simulators import do, when
from tests.simulators.job import Outcome
from tests.simulators.service import Fault
from tests.support.parsed import Parsed
from tests.support.scene import Scene, open_scene
from tests.support.shell import arguments_in
from tests.support.world import START

TEXTS = Path(__file__).parent
TICKERS = ["AAPL", "MSFT", "NVDA", "TSLA", "0700.HK", "600519.SS"]
CARDS = ["news_card", "price_card", "valuation_card", "outlook_card"]
TOPIC = {"id": "美联储", "target_type": "topic", "topic_key": "fed", "card_types": ["news_card", "outlook_card"]}
CONFIG: Mapping[str, object] = {"ticker_list.json": TICKERS, "card_types.json": CARDS, "card_targets.json": [TOPIC]}
EVENING, MORNING = "30 22 * * 1-5", "30 6 * * 1-5"
PROJECT = {"CLOUD_RUN_JOB": "cards", "GOOGLE_CLOUD_PROJECT": "my-project", "GOOGLE_CLOUD_REGION": "asia-east1"}
ZONE = {"RUN_TIME_ZONE": "UTC"}
ONE_BY_ONE = {"NEWS_ENGINE_CONCURRENCY": "1", "QA_ENGINE_CONCURRENCY": "1"}
"""So that lists have the same order every time."""


@dataclass
class Night:
    """A story in progress: its scene, and the language and schedule of its starts."""

    scene: Scene
    language: str
    schedule: str = EVENING
    day: str = field(default="", init=False)
    """The latest night's."""
    executions: int = field(default=0, init=False)

    async def begins(self, day: str) -> None:
        """Until the tick of this day."""
        self.day = day
        minute, hour, *_ = self.schedule.split()
        await self.scene.until(day, f"{int(hour):02}:{int(minute):02}:05")

    @property
    def variables(self) -> dict[str, str | None]:
        """Of every start."""
        chat = self.scene.world.chat.env()
        return {
            **PROJECT,
            **ZONE,
            **ONE_BY_ONE,
            **chat,
            "RUN_SCHEDULE": self.schedule,
            "REPORT_LANGUAGE": self.language,
        }

    async def start(self, code: int, *arguments: str, **env: str) -> Outcome:
        """A whole start that ends with this code."""
        self.executions += 1
        return await self._try(0, code, arguments, env)

    async def tries(self, code: int, *arguments: str, **env: str) -> None:
        """A start, and Cloud Run's retry of it, which both end with this code."""
        await self.start(code, *arguments, **env)
        await self._try(1, code, arguments, env)

    async def verify(self, code: int, date: str | None = None, **env: str) -> str:
        """Its own job looks now whether the night is done, and ends with this code. Returns the message, if any."""
        chat = self.scene.world.chat
        count = len(chat.texts)
        own = {"CLOUD_RUN_JOB": "cards-verify", "JOB_TO_START": "cards", "RUN_DEADLINE_SECONDS": "240"}
        settings, faults = read_settings(self.scene.world.environment(**{**self.variables, **own, **env}))
        now = START + timedelta(seconds=trio.current_time())
        assert await verify(Options(settings, faults, now, time.monotonic()), date) == code
        return "\n".join(chat.texts[count:]).replace(self.scene.world.runs_uri, "RUNS")

    async def _try(self, attempt: int, code: int, arguments: Sequence[str], env: Mapping[str, str]) -> Outcome:
        own = {"CLOUD_RUN_EXECUTION": f"cards-{self.executions}", "CLOUD_RUN_TASK_ATTEMPT": str(attempt)}
        return await self.scene.start(code, *arguments, **{**self.variables, **own, **env})


async def _three_cards(night: Night) -> None:
    """The QA engine breaks at three cards, at both tries."""
    affected = when.both(when.ticker("NVDA", "TSLA", "0700.HK"), when.card("news_card"))
    night.scene.world.qa.script.append(Fault(affected, do.status(500)))
    await night.tries(3)
    night.scene.world.qa.script.clear()


async def _good_with_notes(night: Night) -> None:
    """After one with missing cards; with another ticker, and an outage of five minutes."""
    await night.begins("2026-11-24")
    await _three_cards(night)
    world = night.scene.world
    await world.configure("ticker_list.json", [{"TSLA": "AMZN"}.get(name, name) for name in TICKERS])
    await night.begins("2026-11-25")
    begin = trio.current_time() + 0.5
    world.qa.script.append(Fault(lambda _: begin <= trio.current_time() < begin + 300, do.status(503)))
    await night.start(0)


async def _cards_missing(night: Night) -> None:
    """Those of a Friday."""
    await night.begins("2026-11-26")
    await night.start(0)
    await night.begins("2026-11-27")
    await _three_cards(night)


async def _data_failed(night: Night) -> None:
    """For one ticker."""
    await night.begins("2026-11-24")
    night.scene.world.trading.script.append(Fault(when.ticker("MSFT"), do.failing("MSFT")))
    await night.tries(1)


async def _refused(night: Night) -> None:
    await night.begins("2026-11-24")
    await night.start(0)
    await night.scene.world.configure("card_types.json", b'["news_card" "price_card"]')
    await night.begins("2026-11-25")
    await night.tries(2)


Story = Callable[[Night], Awaitable[None]]
STORIES: Mapping[str, Story] = {
    "good-with-notes": _good_with_notes,
    "cards-missing": _cards_missing,
    "data-failed": _data_failed,
    "refused": _refused,
}
"""One of each kind of line, and no more: what else is said has its test in the module that says it."""
TEXTS_KEPT = [*((name, "en") for name in STORIES), ("cards-missing", "zh")]
"""`test_translated` knows that no sentence is left out in Chinese."""


@asynccontextmanager
async def play(name: str, language: str, nursery: trio.Nursery) -> AsyncIterator[Night]:
    """Plays a story; what it left behind may then be looked at."""
    async with open_scene(nursery, CONFIG) as scene:
        night = Night(scene, language)
        await STORIES[name](night)
        yield night


def text_of(night: Night) -> str:
    """All that a person reads the next morning, or once a later start has ended.

    These are the latest message, the page of the nights, and that of the latest day.
    """
    world = night.scene.world
    pages = {name: _shown(data) for name, data in world.recorded().items() if name.endswith(".html")}
    days = sorted(name for name in pages if name != NIGHTS_PAGE)
    parts = {
        "message": world.chat.texts[-1] if world.chat.texts else "none",
        "page of the nights": pages.get(NIGHTS_PAGE, "none"),
        "page of the day": pages[days[-1]] if days else "none",
    }
    text = "\n\n".join(f"=== {title} ===\n{shown}" for title, shown in parts.items()) + "\n"
    text = text.replace(world.runs_uri, "RUNS").replace(world.config_uri, "CONFIG").replace(__version__, "VERSION")
    for engine in world.engines.values():
        text = text.replace(engine.url, f"https://{engine.name}")
    text = re.sub(r"(took \d+ min|用时 \d+ 分钟) \d+ \w+", r"\1", text)  # waits are random
    return re.sub(r"\b[0-9a-f]{16}\b", "SPAN", re.sub(r"\b[0-9a-f]{32}\b", "TRACE", text))


def _shown(page: bytes) -> str:
    """What a page says, without the details of the day."""
    shown = "\n".join(Parsed(page.decode()).lines)
    return re.split(r"\n(?:This day|当天详情)\n", shown)[0]


def file_of(name: str, language: str) -> Path:
    """Where the texts of a morning are kept."""
    return TEXTS / f"{name}.{language}.txt"


def commands(text: str) -> Iterator[Sequence[str]]:
    """The arguments of each start that a text advises."""
    for line in dict.fromkeys(text.splitlines()):
        if line.startswith("gcloud run jobs execute cards"):
            yield arguments_in(line)[1:]

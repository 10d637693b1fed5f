"""Mornings: nights that went wrong in their usual ways, and all that a person reads of each the next morning.

`python -m tests.runs.mornings` writes the texts that the test compares: read them as that person would, knowing nothing
of what happened, before they are committed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from job import __version__
from job.day.attempt import NIGHTS_PAGE
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.support.parsed import Parsed
from tests.support.scene import Scene, open_scene
from tests.support.world import START

if TYPE_CHECKING:
    from tests.simulators.job import Outcome

TEXTS = Path(__file__).parent
TICKERS = ["AAPL", "MSFT", "NVDA", "TSLA", "0700.HK", "600519.SS"]
CARDS = ["news_card", "price_card", "valuation_card", "outlook_card"]
TOPIC = {"id": "美联储", "target_type": "topic", "topic_key": "fed", "card_types": ["news_card", "outlook_card"]}
CONFIG: Mapping[str, object] = {
    "ticker_list.json": TICKERS,
    "card_types.json": CARDS,
    "card_targets.json": [TOPIC],
}
EVENING, MORNING = "30 22 * * 1-5", "30 6 * * 1-5"
PROJECT = {"CLOUD_RUN_JOB": "cards", "GOOGLE_CLOUD_PROJECT": "my-project", "GOOGLE_CLOUD_REGION": "asia-east1"}
ZONE = {"RUN_TIME_ZONE": "UTC", "TASK_MAX_RETRIES": "1"}
ONE_BY_ONE = {"NEWS_ENGINE_CONCURRENCY": "1", "QA_ENGINE_CONCURRENCY": "1"}
"""So that lists have the same order every time."""
WITH_ERROR = {"status": "success", "error": "quota exceeded, no card"}
REFUSED = do.body({"status": "failed", "error": "the model declined"})


@dataclass
class Night:
    """A story in progress: its scene, and the language and schedule of its starts."""

    scene: Scene
    language: str
    schedule: str = EVENING
    day: str = field(default="", init=False)
    """The latest night's."""
    executions: int = field(default=0, init=False)
    read_at: datetime | None = field(default=None, init=False)
    """When it is read, if not the next morning."""

    async def begins(self, day: str) -> None:
        """Until the tick of this day."""
        self.day = day
        minute, hour, *_ = self.schedule.split()
        await self.scene.until(day, f"{int(hour):02}:{int(minute):02}:05")

    @property
    def variables(self) -> dict[str, str | None]:
        """Of every start."""
        chat = self.scene.world.chat.env("feishu")
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

    async def _try(self, attempt: int, code: int, arguments: Sequence[str], env: Mapping[str, str]) -> Outcome:
        own = {"CLOUD_RUN_EXECUTION": f"cards-{self.executions}", "CLOUD_RUN_TASK_ATTEMPT": str(attempt)}
        return await self.scene.start(code, *arguments, **{**self.variables, **own, **env})


async def _good(night: Night) -> None:
    await night.begins("2026-11-24")
    await night.start(0)


async def _never_began(night: Night) -> None:
    await _good(night)
    await night.begins("2026-11-25")


async def _three_cards_of_friday(night: Night) -> None:
    await night.begins("2026-11-26")
    await night.start(0)
    await night.begins("2026-11-27")
    night.scene.world.qa.script.append(
        Fault(when.both(when.ticker("NVDA", "TSLA", "0700.HK"), when.card("news_card")), do.status(500))
    )
    await night.tries(3)


async def _news_down(night: Night) -> None:
    await _good(night)
    await night.begins("2026-11-25")
    night.scene.world.news.script.append(Fault(when.always, do.status(503)))
    await night.tries(1)


async def _qa_out_for_a_while(night: Night) -> None:
    """Five minutes, from half a second after the start."""
    await _good(night)
    await night.begins("2026-11-25")
    begin = trio.current_time() + 0.5
    outage = Fault(lambda _: begin <= trio.current_time() < begin + 300, do.status(503))
    night.scene.world.qa.script.append(outage)
    await night.start(0)


async def _one_ticker(night: Night) -> None:
    await night.begins("2026-11-24")
    night.scene.world.trading.script.append(Fault(when.ticker("MSFT"), do.failing("MSFT")))
    await night.tries(1)


async def _mistyped_ticker(night: Night) -> None:
    await _good(night)
    world = night.scene.world
    await world.configure("ticker_list.json", [*TICKERS, "NVDAA"])
    world.financial.script.append(Fault(when.ticker("NVDAA"), do.status(404)))
    await night.begins("2026-11-25")
    await night.tries(1)


async def _success_with_errors(night: Night) -> None:
    await _good(night)
    await night.begins("2026-11-25")
    night.scene.world.qa.script.append(Fault(when.always, do.body(WITH_ERROR)))
    await night.start(0)


async def _qa_down(night: Night) -> None:
    await night.begins("2026-11-24")
    night.scene.world.qa.script.append(Fault(when.always, do.status(503)))
    await night.tries(3)


async def _unknown_model(night: Night) -> None:
    await night.begins("2026-11-24")
    night.scene.world.qa.script.append(Fault(when.card("outlook_card"), do.status(400, {"detail": "unknown model"})))
    await night.tries(3)


async def _ticker_that_became_a_topic(night: Night) -> None:
    world = night.scene.world
    targets = [TOPIC, {"id": "MSFT", "card_types": ["news_card", "price_card"]}]
    await world.configure("card_targets.json", targets)
    await night.begins("2026-11-24")
    await night.start(0)
    await world.configure("ticker_list.json", [name for name in TICKERS if name != "MSFT"])
    world.news.script.append(Fault(when.ticker("MSFT", "msft"), do.status(404)))
    await night.begins("2026-11-25")
    await night.tries(1)


async def _shrank(night: Night) -> None:
    await _good(night)
    await night.scene.world.configure("ticker_list.json", TICKERS[:2])
    await night.begins("2026-11-25")
    await night.start(0)


async def _swapped_tickers(night: Night) -> None:
    await _good(night)
    await night.scene.world.configure("ticker_list.json", [{"TSLA": "AMZN"}.get(name, name) for name in TICKERS])
    await night.begins("2026-11-25")
    await night.start(0)


async def _bad_config(night: Night) -> None:
    await _good(night)
    await night.scene.world.configure("card_types.json", b'["news_card" "price_card"]')
    await night.begins("2026-11-25")
    await night.tries(2)


async def _wrong_zone(night: Night) -> None:
    await _good(night)
    await night.begins("2026-11-25")
    await night.tries(2, RUN_TIME_ZONE="Asia/Shanghia")


async def _storage_down(night: Night) -> None:
    await _good(night)
    await night.begins("2026-11-25")
    night.scene.fails()
    await night.tries(75)
    night.scene.works()


async def _storage_refused(night: Night) -> None:
    await _good(night)
    await night.begins("2026-11-25")
    night.scene.fails("create", "_lease")
    night.scene.world.runs.lacks = "storage.objects.create"
    await night.tries(75)
    night.scene.works()


async def _not_yet(night: Night) -> None:
    await _good(night)
    night.read_at = datetime.fromisoformat("2026-11-25T22:40:00Z")


async def _killed_then_bad_config(night: Night) -> None:
    await _good(night)
    await night.begins("2026-11-25")
    night.scene.world.qa.latency = steady(1.0)
    night.executions += 1
    own = {"CLOUD_RUN_EXECUTION": "cards-2", "CLOUD_RUN_TASK_ATTEMPT": "0"}
    job = await night.scene.begin(**{**night.variables, **own})
    await night.scene.world.qa.until(lambda seen: len(seen) >= len(CARDS) * len(TICKERS) + 12)
    await night.scene.killed(job)
    await night.scene.world.configure("card_types.json", b'["news_card" "price_card"]')
    await night._try(1, 2, (), {})


async def _card_types_for_tickers(night: Night) -> None:
    await _good(night)
    await night.scene.world.configure("ticker_list.json", CARDS)
    await night.begins("2026-11-25")
    await night.tries(2)


async def _deadline_while_failing(night: Night) -> None:
    await night.begins("2026-11-24")
    night.scene.world.trading.script.append(Fault(when.always, do.status(503)))
    await night.tries(4, RUN_DEADLINE_SECONDS="240")


async def _storage_lost(night: Night) -> None:
    await night.begins("2026-11-24")
    night.scene.world.qa.latency = steady(1.0)
    night.executions += 1
    own = {"CLOUD_RUN_EXECUTION": "cards-1", "CLOUD_RUN_TASK_ATTEMPT": "1"}
    job = await night.scene.begin(**{**night.variables, **own})
    await night.scene.world.qa.until(lambda seen: len(seen) >= 4)
    night.scene.fails()
    outcome = await job.outcome()
    night.scene.works()
    await night.scene.end(job, outcome.exit_code)


async def _deadline(night: Night) -> None:
    await night.begins("2026-11-24")
    night.scene.world.trading.latency = steady(400.0)
    await night.tries(4, RUN_DEADLINE_SECONDS="900", TRADING_ENGINE_CONCURRENCY="1", TRADING_ENGINE_BATCH_SIZE="1")


async def _made_again(night: Night) -> None:
    await _good(night)
    await night.scene.until("2026-11-25", "08:30:00")
    await night.start(0, "--again=/news_card")


async def _again_failed(night: Night) -> None:
    await _good(night)
    await night.scene.until("2026-11-25", "08:30:00")
    night.scene.world.trading.script.append(Fault(when.ticker("TSLA"), do.failing("TSLA")))
    await night.tries(1, "--again=TSLA")


async def _left_out(night: Night) -> None:
    await night.begins("2026-11-24")
    night.scene.world.trading.script.append(Fault(when.ticker("MSFT"), do.failing("MSFT")))
    await night.tries(1)
    await night.scene.until("2026-11-25", "08:30:00")
    await night.start(0, "--without=MSFT")


async def _nothing_left(night: Night) -> None:
    await _left_out(night)
    await night.scene.until("2026-11-25", "09:00:00")
    await night.start(0, "--without=MSFT")


async def _news_off(night: Night) -> None:
    await _good(night)
    await night.scene.world.configure("engine_control.json", {"run_news_engine": False})
    await night.begins("2026-11-25")
    await night.start(0)


async def _news_put_back(night: Night) -> None:
    await _news_off(night)
    await night.scene.world.configure("engine_control.json", {"run_news_engine": True})
    await night.scene.until("2026-11-26", "08:30:00")
    await night.start(0)


async def _leftover_date(night: Night) -> None:
    dated = [{"id": name, "target_type": "equity", "date": "2026-11-20"} for name in ("NVDA", "TSLA")]
    await night.scene.world.configure("card_targets.json", [TOPIC, *dated])
    await night.begins("2026-11-24")
    await night.start(0)


async def _some_errors(night: Night) -> None:
    await night.begins("2026-11-24")
    for name, error in (("NVDA", "quota exceeded, no card"), ("TSLA", "the chart is empty")):
        fault = Fault(
            when.both(when.ticker(name), when.card("news_card", "price_card")), do.body(WITH_ERROR | {"error": error})
        )
        night.scene.world.qa.script.append(fault)
    await night.start(0)


async def _one_trading_error(night: Night) -> None:
    await night.begins("2026-11-24")
    late = do.edited(lambda answer: answer["results"]["MSFT"].update(error="prices of yesterday") or answer)
    night.scene.world.trading.script.append(Fault(when.ticker("MSFT"), late))
    await night.start(0)


async def _trading_removed(night: Night) -> None:
    await _good(night)
    await night.scene.until("2026-11-25", "08:30:00")
    night.scene.world.trading.script.append(Fault(when.always, do.status(404)))
    await night.tries(1, "--again=TSLA")


async def _no_record(night: Night) -> None:
    await _good(night)
    await night.begins("2026-11-26")
    await night.start(0)


async def _killed(night: Night) -> None:
    await _good(night)
    await night.begins("2026-11-25")
    job = await night.scene.begin(**night.variables)
    await night.scene.cards_in_flight(4)
    await trio.sleep(5)
    await night.scene.killed(job)
    await night.start(0, "--date=2026-11-24", "--again=TSLA/news_card")


Story = Callable[[Night], Awaitable[None]]
STORIES: Mapping[str, Story] = {
    "good": _good,
    "never-began": _never_began,
    "three-cards-of-friday": _three_cards_of_friday,
    "news-down": _news_down,
    "qa-out-for-a-while": _qa_out_for_a_while,
    "one-ticker": _one_ticker,
    "mistyped-ticker": _mistyped_ticker,
    "success-with-errors": _success_with_errors,
    "qa-down": _qa_down,
    "unknown-model": _unknown_model,
    "ticker-that-became-a-topic": _ticker_that_became_a_topic,
    "shrank": _shrank,
    "swapped-tickers": _swapped_tickers,
    "bad-config": _bad_config,
    "wrong-zone": _wrong_zone,
    "storage-down": _storage_down,
    "storage-lost": _storage_lost,
    "storage-refused": _storage_refused,
    "not-yet": _not_yet,
    "killed-then-bad-config": _killed_then_bad_config,
    "card-types-for-tickers": _card_types_for_tickers,
    "deadline-while-failing": _deadline_while_failing,
    "deadline": _deadline,
    "made-again": _made_again,
    "again-failed": _again_failed,
    "left-out": _left_out,
    "nothing-left": _nothing_left,
    "news-off": _news_off,
    "news-put-back": _news_put_back,
    "leftover-date": _leftover_date,
    "some-errors": _some_errors,
    "one-trading-error": _one_trading_error,
    "trading-removed": _trading_removed,
    "no-record": _no_record,
    "killed": _killed,
}


TEXTS_KEPT = [
    *((name, "en") for name in STORIES),
    *((name, "zh") for name in ("good", "three-cards-of-friday", "qa-down", "bad-config")),
]
"""In Chinese one of each kind: done, missing, down, refused. `test_translated` knows that no sentence is left out."""


@asynccontextmanager
async def play(name: str, language: str, nursery: trio.Nursery) -> AsyncIterator[Night]:
    """Plays a story; what it left behind may then be looked at."""
    async with open_scene(nursery, CONFIG) as scene:
        night = Night(scene, language)
        await STORIES[name](night)
        yield night


def text_of(night: Night) -> str:
    """All that a person reads at eight the next morning, or once a later start has ended.

    These are the latest message, the page of the nights, and that of the latest day.
    """
    world = night.scene.world
    now = START + timedelta(seconds=trio.current_time())
    morning = night.read_at or max(now, datetime.fromisoformat(f"{night.day}T08:00:00Z") + timedelta(days=1))
    pages = {name: _shown(data, morning) for name, data in world.recorded().items() if name.endswith(".html")}
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
    return re.sub(r"\b[0-9a-f]{16}\b", "SPAN", re.sub(r"\b[0-9a-f]{32}\b", "TRACE", text))


def _shown(page: bytes, morning: datetime) -> str:
    """What a page says on a morning, without the list of all calls."""
    shown = "\n".join(Parsed(page.decode(), morning).lines)
    return re.split(r"\n(?:Every call|全部请求)\n", shown)[0]


def file_of(name: str, language: str) -> Path:
    """Where the texts of a morning are kept."""
    return TEXTS / f"{name}.{language}.txt"


def commands(text: str) -> Iterator[Sequence[str]]:
    """The arguments of each start that a text advises."""
    for line in dict.fromkeys(text.splitlines()):
        if line.startswith("gcloud run jobs execute cards"):
            words = shlex.split(line)
            (given,) = [word.partition("=")[2] for word in words if word.startswith("--args=")] or [""]
            yield given.split(",")[1:] if given else ()

"""A scene: what happens to a day in virtual time, and at its end the promise is held against all of it."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from signal import SIGKILL
from typing import Any

import trio

from tests.runs.nights_by_chance import promise
from tests.simulators.engines import steady
from tests.simulators.job import Job, Outcome
from tests.simulators.seen import Seen
from tests.support.runs import QUICK, assert_clean
from tests.support.world import START, VirtualWorld, open_virtual_world

DAY, NEXT_DAY = "2026-11-24", "2026-11-25"
"""Virtual time begins at 22:30 of the first one."""
TICKERS = ["AAPL", "BRK.B"]
CARDS = ["news_card", "price_card"]
TOPIC = {"id": "美联储", "topic_key": "fed", "card_types": ["news_card"], "date": "2026-11-20"}
CONFIG: dict[str, object] = {
    "ticker_list.json": TICKERS,
    "card_types.json": CARDS,
    "card_targets.json": [TOPIC],
    "llm_config.json": {"default": {"backend": "local", "model_name": "small/1"}},
}
ALL = ["AAPL/news_card", "AAPL/price_card", "BRK.B/news_card", "BRK.B/price_card", "美联储/news_card"]
LEASE = "_lease.json"
CLOUD = {"CLOUD_RUN_EXECUTION": "nightly-1", "CLOUD_RUN_TASK_ATTEMPT": "0"}
RETRY = CLOUD | {"CLOUD_RUN_TASK_ATTEMPT": "1"}
OTHER = CLOUD | {"CLOUD_RUN_EXECUTION": "nightly-2"}


@dataclass
class Scene:
    """A world in which starts play their parts."""

    world: VirtualWorld

    async def start(self, code: int, *arguments: str, **env: str | None) -> Outcome:
        """A whole start that ends with this code."""
        return await self.end(await self.begin(*arguments, **env), code)

    async def begin(self, *arguments: str, **env: str | None) -> Job:
        """A start in progress. It makes two cards at a time."""
        return await self.world.start_job("run", *arguments, env={"QA_ENGINE_CONCURRENCY": "2", **env})

    async def end(self, job: Job, code: int) -> Outcome:
        """The end of a start."""
        with trio.fail_after(1e6):
            outcome = await job.outcome()
        assert outcome.exit_code == code, outcome.stdout
        if code >= 0 and outcome.events("run.finished"):
            assert_clean(self.world, outcome)
        return outcome

    async def killed(self, job: Job) -> None:
        """Kills a start."""
        job.send_signal(SIGKILL)
        await self.end(job, -SIGKILL)

    async def cards_in_flight(self, count: int = 1) -> None:
        """Until so many cards were requested. Each takes a second from now on."""
        self.world.qa.latency = steady(1.0)
        await self.world.qa.until(lambda seen: len(seen) >= count)

    async def until(self, day: str, time: str) -> None:
        """Until this time of that day."""
        await trio.sleep_until((datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=UTC) - START).total_seconds())

    @property
    def requests(self) -> list[Seen]:
        """What the engines were asked, in order."""
        return [one for one in self.world.seen if one.service in self.world.engines]

    def cards(self) -> Counter[str]:
        """How often each card was requested: `AAPL/news_card`."""
        return Counter(f"{one.tickers[0]}/{one.card}" for one in self.world.qa.requests if one.card)

    def keys(self) -> set[str]:
        """The different keys of all cards."""
        return {one.headers["idempotency-key"] for one in self.world.qa.requests}

    def names(self, part: str = "") -> list[str]:
        """The names of what is recorded, in order; with this in them."""
        return sorted(name for name in self.world.recorded() if part in name)

    def stored(self, name: str) -> Any:
        """An object that is recorded."""
        return json.loads(self.world.recorded()[name])

    def fails(self, verb: str = "", part: str = "") -> None:
        """From now on requests to RUNS_URI with this verb, for names with this part, fail."""
        self.world.runs.refuse = lambda asked, name: verb in asked and part in name

    def works(self) -> None:
        """From now on storage works."""
        self.world.runs.refuse = lambda _verb, _name: False

    async def reached(self, verb: str, part: str, act: Callable[[], object] = lambda: None) -> None:
        """Until a request to RUNS_URI is about to have its effect; this is done just before."""
        is_there = trio.Event()

        def refuse(asked: str, name: str) -> bool:
            if not is_there.is_set() and verb in asked and part in name:
                is_there.set()
                act()
            return False

        self.world.runs.refuse = refuse
        await is_there.wait()


@asynccontextmanager
async def open_scene(nursery: trio.Nursery, config: Mapping[str, object]) -> AsyncIterator[Scene]:
    """A scene, for a test that uses `autojump_clock`. At its end everything recorded is held against the promise."""
    async with open_virtual_world(nursery, config, latency=QUICK) as world:
        yield Scene(world)
        found = [*promise.broken(world), *await promise.broken_of_shown(world)]
        assert not found, found

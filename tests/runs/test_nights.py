"""From the second night on, a day is compared with the nights before, and goes on whatever is wrong with these."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock

from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.support.parsed import Parsed
from tests.support.places import latest_end
from tests.support.runs import QUICK, run
from tests.support.world import VirtualWorld, open_virtual_world

if TYPE_CHECKING:
    from tests.simulators.job import Outcome

CONFIG: dict[str, object] = {"ticker_list.json": ["AAPL", "MSFT", "GC=F"], "card_types.json": ["news_card"]}


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[VirtualWorld]:
    async with open_virtual_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


async def night(world: VirtualWorld, day: str, *failing: str) -> Outcome:
    """A start for a day, on which the cards of these tickers fail."""
    world.qa.script[:] = [Fault(when.ticker(ticker), do.status(422)) for ticker in failing]
    return await run(world, 3 if failing else 0, f"--date={day}", "--yes")


def compared(outcome: Outcome) -> list[str]:
    """What the last line says of other nights; it also says that the day is over."""
    over, *others = outcome.finished["notes"]
    assert "is over" in over
    return list(others)


async def test_what_is_new_and_what_is_still_missing_is_said_everywhere(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    first = await night(world, "2026-11-22", "AAPL", "MSFT")
    assert compared(first) == []
    await world.configure("ticker_list.json", ["AAPL", "MSFT", "NVDA"])
    second = await night(world, "2026-11-23", "MSFT", "NVDA")
    lines = ["New since 2026-11-22: NVDA", "Still missing, for 2 nights: MSFT/news_card"]
    assert compared(second) == lines
    shown = Parsed(world.recorded()["2026-11-23/report.html"].decode()).text
    assert all(line in shown for line in lines)
    missing = {group["targets"][0]: group for group in latest_end(world.recorded(), "2026-11-23")["missing"]}
    assert {name: (group["since"], group["nights"]) for name, group in missing.items()} == {
        "MSFT": ("2026-11-22", 2),
        "NVDA": ("2026-11-23", 1),
    }
    again = await night(world, "2026-11-23", "MSFT")
    assert compared(again) == lines[1:], "it is the same night"


async def test_the_page_of_the_nights_has_a_start_that_was_refused_meanwhile(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    """It waits for nobody; the one at work has read the nights before."""
    world.news.latency = steady(20.0)
    job = await world.start_job("run", "--date=2026-11-23", "--yes")
    await world.news.until(bool)
    await world.configure("ticker_list.json", b"[")
    await run(world, 2, "--date=2026-11-22", "--yes")
    assert (await job.outcome()).exit_code == 0
    shown = Parsed(world.recorded()["index.html"].decode()).text
    assert "2026-11-22" in shown
    assert "2026-11-23" in shown

"""Nobody has to read what a run prints: calls, signals, deadline and record go on without a reader.

The fault table has more of a pipe without a reader.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from signal import SIGINT, SIGTERM, Signals
from typing import TYPE_CHECKING, Any

import pytest
import trio

from job.execution.shutdown import LIMITS
from job.ledger.stop import ShutdownReason
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.places import latest_end, objects
from tests.support.runs import QUICK, at_once, until

if TYPE_CHECKING:
    from tests.simulators.job import Job

TICKERS = [f"T{number}" for number in range(16)]
CONFIG: dict[str, object] = {"ticker_list.json": TICKERS, "card_types.json": ["good", "bad"]}
ENV = {"FINANCIAL_ENGINE_BATCH_SIZE": "1", "TRADING_ENGINE_BATCH_SIZE": "1"}


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    """Half of the cards fail, so that a terminal, too, has more to show than it takes unread."""
    async with open_world(nursery, CONFIG, latency=QUICK) as world:
        world.qa.script.append(Fault(when.card("bad"), do.status(422)))
        yield world


async def start(world: World, terminal: bool = False, **env: str) -> Job:
    """A run whose output nobody reads before its end."""
    return await world.start_job("run", env={**ENV, **env}, terminal=terminal, reading=trio.Event())


async def gone(job: Job, seconds: float) -> tuple[int, float]:
    """The exit code of the run, and when it ended."""
    with trio.fail_after(seconds):
        outcome = await job.outcome()
    return outcome.exit_code, job.started + outcome.seconds


async def report(world: World) -> dict[str, Any]:
    """What the closed record says; the lease is released."""
    recorded = await objects(world)
    assert "_lease.json" not in recorded
    (day,) = {name.partition("/")[0] for name in recorded if "/" in name}
    return latest_end(recorded, day)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(
    ("terminal", "signal", "code"),
    [(False, SIGTERM, 143), (True, SIGINT, 130)],
    ids=["pipe SIGTERM", "terminal SIGINT"],
)
async def test_a_signal_ends_the_run_in_its_time(world: World, terminal: bool, signal: Signals, code: int) -> None:
    """All data calls but those of the news are done, and nobody has read of them; or all cards that fail."""
    if signal == SIGINT:
        world.qa.script.append(Fault(when.card("good"), do.hang()))
        job = await start(world, terminal, QA_ENGINE_CONCURRENCY="32")
        await until(lambda: len(world.qa.requests) == 2 * len(TICKERS))
    else:
        world.news.script.append(Fault(when.always, do.hang()))
        job = await start(world, terminal)
        await until(lambda: len(world.financial.requests) + len(world.trading.requests) == 2 * len(TICKERS))
    await trio.sleep(0.5)  # all of that is answered, and more than a pipe or a terminal takes is to be printed
    sent = time.monotonic()
    job.send_signal(signal)
    ended, moment = await gone(job, 10)
    assert ended == code
    assert moment - sent < LIMITS[ShutdownReason.SIGTERM].last_line + (2.0 if terminal else at_once(job))
    assert (await report(world))["exit_code"] == code

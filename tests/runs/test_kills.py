"""Killed at any moment, a run is continued: no card is missing, and none that is recorded is paid for twice."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import trio

from tests.runs.fault_table.row import CARDS, CONFIG, PLANNED, TICKERS
from tests.simulators.engines import varied
from tests.simulators.storage import emulator_binary
from tests.simulators.world import open_world
from tests.support.places import done_items, recorded_cards
from tests.support.runs import asked_cards, assert_clean, until

if TYPE_CHECKING:
    from tests.simulators.world import World

EMULATOR = emulator_binary()
ALL = {(ticker, card) for ticker in TICKERS for card in CARDS}
MOMENTS = 30
REQUESTS = 100
"""Of a whole run, to engines, token server and storage: a moment is the arrival of one, or soon after."""


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", range(MOMENTS))
async def test_a_run_that_was_killed_is_continued(nursery: trio.Nursery, seed: int) -> None:
    rng = random.Random(seed)
    async with open_world(nursery, CONFIG, latency=varied(0.1, seed=seed), emulator=EMULATOR) as world:
        kills = 1 if seed % 3 else 2
        for _ in range(kills):
            await killed(world, rng)
        recorded = await done_items(world, "night")
        paid = await recorded_cards(world, "night")
        asked = len(world.seen)

        outcome = await world.run_job(env=env_of(world))
        assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
        assert_clean(world, outcome)
        cards = outcome.finished["cards"]
        assert cards == {
            "planned": PLANNED, "generated": PLANNED - len(paid), "skipped": len(paid), "failed": 0, "not_attempted": 0,
            "left_out": 0,
        }  # fmt: skip

        again = [request for request in world.seen[asked:] if request.service in world.engines]
        repeated = {(r.service, ticker, r.card) for r in again for ticker in r.tickers} & recorded
        assert repeated == set(), "recorded as done, and asked for again"
        assert set(asked_cards(world)) == ALL
        assert set(await recorded_cards(world, "night")) == ALL
        assert max((await recorded_cards(world, "night")).values()) == 1, "recorded twice"
        assert_same_keys(world)


def env_of(world: World) -> dict[str, str]:
    return {
        "RUN_ID": "night",
        "RUNS_URI": world.runs_uri,
        "QA_ENGINE_CONCURRENCY": "4",
        "FINANCIAL_ENGINE_BATCH_SIZE": "2",
        "TRADING_ENGINE_BATCH_SIZE": "2",
    }


async def killed(world: World, rng: random.Random) -> None:
    """A run that is killed after a random number of requests; it may have ended before."""
    before, moment = len(world.seen), rng.randrange(REQUESTS)
    job = await world.start_job(env=env_of(world))
    await until(lambda: len(world.seen) - before >= moment or job.process.returncode is not None, 30)
    await trio.sleep(rng.random() * 0.05)
    await job.kill()


def assert_same_keys(world: World) -> None:
    """A request that is sent again has the same key, so that an engine can recognise it."""
    keys: dict[str, set[str]] = {}
    for request in world.qa.requests:
        keys.setdefault(request.target, set()).add(request.headers["idempotency-key"])
    assert Counter(len(found) for found in keys.values()) == {1: PLANNED}

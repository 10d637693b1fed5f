"""Real processes that are killed at any moment, and tried again until all is done."""

import json
import random
from signal import SIGKILL

import pytest
import trio

from tests.simulators.engines import varied
from tests.simulators.seen import Seen
from tests.simulators.storage import emulator_binary
from tests.simulators.world import World, open_world
from tests.support.runs import assert_clean, objects

TICKERS = ["AAPL", "BRK.B", "0700.HK", "^GSPC"]
CARDS = ["news_card", "price_card"]
CONFIG: dict[str, object] = {"ticker_list.json": TICKERS, "card_types.json": CARDS}
PLACES = ["directory", pytest.param("bucket", marks=pytest.mark.needs("emulator"))]
KILLS = 3
REQUESTS = 60
"""Of a whole start, to engines, token server and storage: a moment is the arrival of one, or soon after."""
pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", PLACES)
async def test_an_execution_that_is_killed_is_tried_again_until_all_is_done(nursery: trio.Nursery, place: str) -> None:
    rng = random.Random(f"{KILLS} {place}")
    emulator = emulator_binary() if place == "bucket" else None
    async with open_world(nursery, CONFIG, latency=varied(0.1, seed=KILLS), emulator=emulator) as world:
        code, recorded = -SIGKILL, dict[str, bytes]()
        for attempt in range(KILLS + 1):
            done, asked = _done(recorded), len(world.seen)
            moment = rng.randrange(REQUESTS) if attempt < KILLS else None
            code = await _tried(world, attempt, moment, rng.random() * 0.05)
            again = {item for request in world.seen[asked:] for item in _items(request)}
            assert not (again & done), "recorded as done, and requested again"
            recorded = await objects(world)
        assert code == 0
        cards = {(target, card) for engine, target, card in _done(recorded) if engine == "qa"}
        assert cards == {(ticker, card) for ticker in TICKERS for card in CARDS}


async def _tried(world: World, attempt: int, moment: int | None, seconds: float) -> int:
    """One try of the execution, killed so many requests and seconds after its start; it may have ended before."""
    env = {"QA_ENGINE_CONCURRENCY": "2", "FINANCIAL_ENGINE_BATCH_SIZE": "2"}
    env |= {"CLOUD_RUN_EXECUTION": "nightly-1", "CLOUD_RUN_TASK_ATTEMPT": str(attempt)}
    before = len(world.seen)
    job = await world.start_job("run", env=env)
    if moment is not None:
        while len(world.seen) - before < moment and job.process.returncode is None:  # noqa: ASYNC110  of any service
            await trio.sleep(0.005)
        await trio.sleep(seconds)
        await job.kill()
    outcome = await job.outcome()
    if outcome.exit_code >= 0:
        assert_clean(world, outcome)
    return outcome.exit_code


def _items(request: Seen) -> set[tuple[str, str, str | None]]:
    return {(request.service, ticker, request.card) for ticker in request.tickers}


def _done(recorded: dict[str, bytes]) -> set[tuple[str, str, str | None]]:
    """Engine, target and card type of everything that is recorded as done."""
    written = (data for name, data in recorded.items() if "/results/" in name)
    lines = [json.loads(line) for data in written for line in data.splitlines()[1:]]
    return {(line["engine"], target, line["card_type"]) for line in lines if line["done"] for target in line["targets"]}

"""Days that earlier images have recorded, each in the folder of its story, and what was meant to happen.

`python -m tests.records.recorded COMMIT` has recorded them: version 0.3.0 the batches, 0.2.0 all others. Nobody edits
them: a day that the job cannot read any more is one that somebody still has.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import trio

from job.day.attempt import CARDS as TABLE
from job.day.attempt import NIGHTS_PAGE, PAGE, REPORT
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.simulators.world import World

HERE = Path(__file__).parent
DAY = "2026-11-30"
"""That all of them have recorded."""
TICKERS = ["AAPL", "0700.HK", *(f"T{number}" for number in range(20))]
"""So many that a card type can be set aside before each of its cards was requested."""
CONFIG: dict[str, object] = {
    "ticker_list.json": TICKERS,
    "card_types.json": ["news_card", "price_card"],
    "card_targets.json": [{"id": "美联储", "target_type": "topic", "topic_key": "fed", "card_types": ["news_card"]}],
    "llm_config.json": {"default": {"backend": "local", "model_name": "small/1"}},
}
CONFIG_URI = "/cards/config"
"""The config of all recorded days: that of a machine is replaced by it."""
CARDS = [*(f"{ticker}/{card}" for ticker in TICKERS for card in ("news_card", "price_card")), "美联储/news_card"]
NOT_KEPT = (PAGE, NIGHTS_PAGE, TABLE, ".lock")
"""The ends of names that no job reads."""
SCHEDULE = "0 0 * * *"
"""Of a machine in UTC: the day is today."""
ENVIRONMENT = {
    "CLOUD_RUN_JOB": "batch-orchestrator",
    "CARD_URL": "https://cards.example.com/{date}/{ticker}/{card_type}.png",
    "GOOGLE_CLOUD_PROJECT": "my-project",
    "GOOGLE_CLOUD_REGION": "asia-east1",
    "RUN_SCHEDULE": SCHEDULE,
    "QA_ENGINE_CONCURRENCY": "2",
}

BATCHES_OF_10 = {"FINANCIAL_ENGINE_BATCH_SIZE": "10", "TRADING_ENGINE_BATCH_SIZE": "10"}


def _environment(world: World) -> dict[str, str]:
    execution = f"batch-orchestrator-{len(world.jobs)}"
    return ENVIRONMENT | {"CLOUD_RUN_EXECUTION": execution, "CLOUD_RUN_TASK_ATTEMPT": "0"}


async def _start(world: World, code: int, *script: Fault, **env: str) -> None:
    world.qa.script[:] = script
    outcome = await world.run_job(env=_environment(world) | env)
    assert outcome.exit_code == code, outcome.stdout + outcome.stderr


async def _done(world: World) -> None:
    """Calls of all engines are repeated, a batch is halved, and a success has an error besides."""
    first_of_one = when.both(when.ticker("AAPL"), when.attempt(1))
    with_error = do.body({"status": "success", "error": "quota exceeded"})
    world.news.script.append(Fault(first_of_one, do.status(500)))
    world.financial.script.append(Fault(first_of_one, do.status(500)))
    world.trading.script.append(Fault(first_of_one, do.lacking("AAPL")))
    of_another = when.both(when.ticker("0700.HK"), when.card("news_card"))
    await _start(world, 0, Fault(first_of_one, do.status(503)), Fault(of_another, with_error))


async def _set_aside(world: World) -> None:
    """A card type fails until it is set aside."""
    await _start(world, 3, Fault(when.card("price_card"), do.status(500)), QA_ENGINE_ATTEMPTS="1")


async def _killed(world: World) -> None:
    """A card has failed. Two others are to be made again: one of them is recorded when the start is killed."""
    await _start(world, 3, Fault(when.both(when.ticker("T0"), when.card("price_card")), do.status(422)))
    world.qa.script[:] = [Fault(when.no(when.ticker("AAPL")), do.hang())]
    job = await world.start_job("run", "--again", "AAPL/news_card", "0700.HK/news_card", env=_environment(world))
    runs = world.directory / "runs"
    while not [*runs.rglob("results/000002-*.jsonl")]:  # noqa: ASYNC110  a file
        await trio.sleep(0.1)
    await job.kill()
    next(runs.rglob(REPORT)).unlink()  # of the first start


async def _batches(world: World) -> None:
    """The batches are larger than by default."""
    await _start(world, 0, **BATCHES_OF_10)


async def _batches_killed(world: World) -> None:
    """One of three batches of the trading engine is recorded when the start is killed."""
    world.trading.script.append(Fault(when.no(when.ticker("AAPL")), do.hang()))
    job = await world.start_job("run", env=_environment(world) | BATCHES_OF_10)
    while not [*(world.directory / "runs").rglob("results/000001-*.jsonl")]:  # noqa: ASYNC110  a file
        await trio.sleep(0.1)
    await job.kill()


async def _refused(world: World) -> None:
    """The config has a fault."""
    await world.configure("card_types.json", ["news_card", 7])
    await _start(world, 2)
    next((world.directory / "runs").rglob(REPORT)).unlink()  # which has what the end has


STORIES: Mapping[str, Callable[[World], Awaitable[None]]] = {
    "done": _done,
    "set-aside": _set_aside,
    "killed": _killed,
    "refused": _refused,
    "batches": _batches,
    "batches-killed": _batches_killed,
}
LEFT: Mapping[str, list[str]] = {
    "done": [],
    "set-aside": [card for card in CARDS if card.endswith("price_card")],
    "killed": ["0700.HK/news_card", "T0/price_card"],
    "refused": CARDS,
    "batches": [],
    "batches-killed": CARDS,
}
"""The cards that are missing then."""


def objects_of(story: str) -> dict[str, bytes]:
    """The objects of a day, by their names below RUNS_URI."""
    place = HERE / story
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}

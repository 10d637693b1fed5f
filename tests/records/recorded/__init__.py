"""Days that images of earlier commits have recorded, each in a folder `COMMIT/STORY/`, and what was meant to happen.

`python -m tests.records.recorded COMMIT` has recorded them. Nobody edits them, nor records those of a commit again: a
day that the job cannot read any more is one that somebody still has.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import trio

from job.day.attempt import NIGHTS_PAGE, PAGE
from tests.simulators import do, when
from tests.simulators.service import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tests.simulators.world import World

HERE = Path(__file__).parent
COMMITS = sorted(place.name for place in HERE.iterdir() if place.is_dir() and place.name != "__pycache__")
CONFIG_URI = "/cards/config"
"""The config of all recorded days: that of a machine is replaced by it."""
CONFIG: dict[str, object] = {
    "ticker_list.json": ["AAPL", "0700.HK"],
    "card_types.json": ["news_card", "price_card"],
    "card_targets.json": [{"id": "美联储", "target_type": "topic", "topic_key": "fed", "card_types": ["news_card"]}],
    "llm_config.json": {"default": {"backend": "local", "model_name": "small/1"}},
}
CARDS = ["AAPL/news_card", "AAPL/price_card", "0700.HK/news_card", "0700.HK/price_card", "美联储/news_card"]
SCHEDULE = "0 0 * * *"
"""Of a machine in UTC: the day is today."""
ENVIRONMENT = {
    "CLOUD_RUN_JOB": "batch-orchestrator",
    "CARD_URL": "https://cards.example.com/{date}/{ticker}/{card_type}.png",
    "GOOGLE_CLOUD_PROJECT": "my-project",
    "GOOGLE_CLOUD_REGION": "asia-east1",
    "RUN_SCHEDULE": SCHEDULE,
}
NOT_KEPT = (PAGE, NIGHTS_PAGE, ".lock")
"""The ends of names that no job reads."""
WITH_ERROR = {"status": "success", "error": "quota exceeded"}


async def _start(world: World, code: int, *arguments: str) -> None:
    number = len(world.jobs)
    env = ENVIRONMENT | {"CLOUD_RUN_EXECUTION": f"batch-orchestrator-{number}", "CLOUD_RUN_TASK_ATTEMPT": "0"}
    outcome = await world.run_job(("run", *arguments), env=env)
    assert outcome.exit_code == code, outcome.stdout + outcome.stderr
    for service in world.services:
        service.script.clear()


async def _done(world: World) -> None:
    """Calls of all engines are repeated, a batch is halved, and a success has an error besides."""
    world.news.script.append(Fault(when.attempt(1), do.status(500)))
    world.financial.script.append(Fault(when.first(1), do.status(500)))
    world.trading.script.append(Fault(when.first(1), do.lacking("AAPL")))
    world.qa.script += [
        Fault(when.both(when.ticker("AAPL"), when.attempt(1)), do.status(503)),
        Fault(when.both(when.ticker("0700.HK"), when.card("news_card")), do.body(WITH_ERROR)),
    ]
    await _start(world, 0)


async def _unfinished(world: World) -> None:
    """A card fails."""
    world.qa.script.append(Fault(when.both(when.ticker("0700.HK"), when.card("price_card")), do.status(422)))
    await _start(world, 3)


async def _again(world: World) -> None:
    """A card is made again."""
    await _start(world, 0)
    await _start(world, 0, "--again", "AAPL/news_card")


async def _again_failed(world: World) -> None:
    """A card is to be made again, and fails."""
    await _start(world, 0)
    world.qa.script.append(Fault(when.always, do.status(422)))
    await _start(world, 3, "--again", "AAPL/news_card")


async def _killed(world: World) -> None:
    """Some cards are made and recorded, and others are not."""
    world.qa.script.append(Fault(when.card("price_card"), do.hang()))
    job = await world.start_job(env=ENVIRONMENT | {"CLOUD_RUN_EXECUTION": "batch-orchestrator-0"})
    place = world.directory / "runs"
    while not any(b'"qa"' in path.read_bytes() for path in place.rglob("results/*.jsonl")):  # noqa: ASYNC110  a file
        await trio.sleep(0.1)
    await job.kill()


async def _refused(world: World) -> None:
    """The config has a fault."""
    await world.configure("card_types.json", ["news_card", 7])
    await _start(world, 2)


STORIES: Mapping[str, Callable[[World], Awaitable[None]]] = {
    "done": _done,
    "unfinished": _unfinished,
    "again": _again,
    "again-failed": _again_failed,
    "killed": _killed,
    "refused": _refused,
}
"""What happens before the job of a commit has recorded a day."""
LEFT: Mapping[str, list[str]] = {
    "done": [],
    "unfinished": ["0700.HK/price_card"],
    "again": [],
    "again-failed": ["AAPL/news_card"],
    "killed": ["AAPL/price_card", "0700.HK/price_card"],
    "refused": CARDS,
}
"""The cards that are missing then."""


DAY = "2026-11-29"
"""That all of them have recorded."""
ALL = [f"{commit}/{story}" for commit in COMMITS for story in LEFT]


def objects_of(recorded: str) -> dict[str, bytes]:
    """The objects of one of `ALL`, by their names below RUNS_URI."""
    place = HERE / recorded
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}

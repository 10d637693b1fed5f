"""A day outlives its image: what an earlier one has recorded is listed, shown, verified, and gone on with."""

import os
from collections import Counter
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from job.records.lease import LEASE
from job.storage.store import StoredObject
from tests.cli.conftest import At, Command, at, command, runs
from tests.records.recorded import CARDS, CONFIG, CONFIG_URI, DAY, LEFT, SCHEDULE, TICKERS, objects_of
from tests.runs.nights_by_chance.promise import days_of
from tests.support.records import write
from tests.support.scene import Scene, open_scene

__all__ = ["at", "command", "runs"]

ENV = {"CONFIG_URI": CONFIG_URI, "RUN_SCHEDULE": SCHEDULE}
NEXT_DAY = "2026-12-01"
LISTED = {
    "done": "07:55",
    "set-aside": "22 of 45 cards are missing",
    "killed": "The record breaks off",
    "refused": "The configuration has 1 fault",
    "batches": "23:28",
    "batches-killed": "The record breaks off",
}


@pytest.fixture(params=LEFT)
def story(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def scene(autojump_clock: MockClock, nursery: trio.Nursery, story: str) -> AsyncIterator[Scene]:
    """Late on the day that is recorded, with the config that it had."""
    async with open_scene(nursery, CONFIG) as opened:
        world = opened.world
        world.stores[CONFIG_URI] = world.stores[world.config_uri]
        world.runs.objects |= {name: StoredObject(data, "1", 0.0) for name, data in objects_of(story).items()}
        await opened.until(DAY, "23:00:00")
        yield opened


async def test_exactly_what_is_missing_is_requested(scene: Scene, story: str) -> None:
    """With the trace of the day, and so with its key: an engine that has made it, and whose answer was lost, finds it
    by that.
    """
    before, traces = scene.world.recorded(), {day.trace for day in days_of(scene.world)}
    outcome = await scene.start(0, **ENV)
    assert (outcome.finished["day"], scene.cards()) == (DAY, Counter(LEFT[story]))
    if traces:
        assert {one.service for one in scene.requests} <= {"qa", *(["trading"] if story == "batches-killed" else [])}
        assert {one.headers["traceparent"].split("-")[1] for one in scene.requests} <= traces
    assert outcome.finished["cards"]["done"] == len(CARDS)
    if story in {"done", "batches"}:
        assert (scene.requests, {**scene.world.recorded(), LEASE: b""}) == ([], before | {LEASE: b""}), (
            "it stays closed"
        )
    if story == "batches-killed":
        left = [one.tickers for one in scene.world.trading.requests]
        assert sorted(map(len, left)) == [2, 5, 5], "what is left of larger batches is in those of today"
        assert sorted(chain(*left)) == sorted(f"T{number}" for number in range(8, 20))
    kept = {name for name in before if "/attempts/" in name or "/results/" in name}
    assert {name: scene.world.recorded()[name] for name in kept} == {name: before[name] for name in kept}


@pytest.mark.parametrize("story", ["killed"], indirect=True)
async def test_a_card_that_was_made_again_is_made_once_more(scene: Scene) -> None:
    await trio.sleep(1)
    del scene.world.runs.objects["_lease.json"]  # what asks for something waits for nobody: see `job.records.lease`
    outcome = await scene.start(0, "--again", "AAPL/news_card", **ENV)
    assert scene.cards() == Counter([*LEFT["killed"], "AAPL/news_card"])
    assert (outcome.finished["asked_again"], outcome.finished["made_again"]) == (2, 2)


async def test_the_next_night_is_compared_with_it(scene: Scene, story: str) -> None:
    await scene.until(NEXT_DAY, "00:00:00")
    await scene.world.configure("ticker_list.json", [*TICKERS, "NEW"])
    outcome = await scene.start(0, **ENV)
    new = f"New since {DAY}, 2 cards: NEW (2)"
    assert (new in outcome.finished.get("notes", [])) is (story in {"done", "set-aside", "batches"})
    assert "None" not in outcome.stdout, "an URL that was not recorded has not changed"
    assert outcome.finished["day"] == NEXT_DAY
    assert scene.cards().total() == len(CARDS) + 2


@pytest.fixture
def recorded(story: str, runs: Path, at: At) -> None:
    """The day is in a directory; it is the next morning."""
    write(runs, objects_of(story))
    for lease in runs.glob(LEASE):
        os.utime(lease, (0, 0))
    at("2026-12-01T07:55")


@pytest.mark.usefixtures("recorded")
def test_it_is_listed_verified_and_shown(story: str, command: Command) -> None:
    missing = [card.replace("/", "\t") for card in LEFT[story]]
    code, out, err = command("nights")
    assert (code, err) == (0, [])
    assert out[1].startswith(f"{DAY} {LISTED[story]}")
    assert (
        LISTED[story] in {"The record breaks off", "The configuration has 1 fault"}
        or f"{len(CARDS) - len(missing)}/{len(CARDS)}" in out[1]
    )
    code, out, err = command("verify", LOG_FORMAT="text")
    assert (code, err) == (1 if missing else 0, [])
    assert out[0].startswith(f"{DAY} is not done: " if missing else f"{DAY} is done")
    code, out, err = command("report")
    assert (code, out[0][:10], err) == (0, DAY, [])
    code, out, err = command("report", "--missing")
    assert (code, out, len(err)) == (2, [], 1) if story == "refused" else (code, out) == (0, missing)

"""A day outlives its image: with what an earlier one has recorded, a start makes exactly what is missing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import trio

from job.storage.store import StoredObject
from tests.records.recorded import ALL, CARDS, CONFIG, CONFIG_URI, DAY, LEFT, SCHEDULE, objects_of
from tests.support.places import results
from tests.support.scene import Scene, open_scene

ENV = {"CONFIG_URI": CONFIG_URI, "RUN_SCHEDULE": SCHEDULE}
NEXT_DAY = "2026-11-30"
BEGUN = [one for one in ALL if not one.endswith("/refused")]


@pytest.fixture(params=ALL)
def recorded(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def left(recorded: str) -> list[str]:
    """The cards that are missing."""
    return LEFT[recorded.partition("/")[2]]


@pytest.fixture
async def scene(nursery: trio.Nursery, recorded: str) -> AsyncIterator[Scene]:
    """Late on the day that is recorded, with the config that it had."""
    async with open_scene(nursery, CONFIG) as opened:
        world = opened.world
        world.stores[CONFIG_URI] = world.stores[world.config_uri]
        world.runs.objects |= {name: StoredObject(data, "1", 0.0) for name, data in objects_of(recorded).items()}
        await opened.until(DAY, "23:00:00")
        for folder in opened.promise.folders():
            opened.promise.made = {(folder.latest().trace_id, card) for card in folder.cards()}
        yield opened


async def test_exactly_what_is_missing_is_requested(scene: Scene, recorded: str, left: list[str]) -> None:
    before = scene.world.recorded()
    outcome = await scene.start(0, **ENV)
    data = {one.service for one in scene.requests} - {"qa"}
    assert (outcome.finished["day"], scene.cards()) == (DAY, Counter(left))
    assert data == ({"financial", "trading", "news"} if left == CARDS else set())
    assert outcome.finished["cards"]["done"] == len(CARDS)
    kept = {name for name in before if "/attempts/" in name or "/results/" in name}
    assert {name: scene.world.recorded()[name] for name in kept} == {name: before[name] for name in kept}


@pytest.mark.parametrize("recorded", BEGUN, indirect=True)
async def test_what_is_missing_is_of_the_trace_of_the_day(scene: Scene) -> None:
    """So that it keeps its key: an engine that has made it, and whose answer was lost, finds it by that."""
    (folder,) = scene.promise.folders()
    trace = folder.latest().trace_id
    await scene.start(0, **ENV)
    assert {one.headers["traceparent"].split("-")[1] for one in scene.requests} <= {trace}


@pytest.mark.parametrize("recorded", BEGUN, indirect=True)
async def test_a_card_of_it_is_made_again(scene: Scene, recorded: str, left: list[str]) -> None:
    if recorded.endswith("/killed"):  # what asks for something waits for nobody: see `job.records.lease`
        await trio.sleep(1)
        del scene.world.runs.objects["_lease.json"]
    outcome = await scene.start(0, "--again", "0700.HK/news_card", **ENV)
    assert scene.cards() == Counter([*left, "0700.HK/news_card"])
    asked = 1 + ("/again" in recorded)
    assert (outcome.finished["asked_again"], outcome.finished["made_again"]) == (asked, asked)


async def test_the_next_night_is_compared_with_it(scene: Scene, recorded: str) -> None:
    await scene.until(NEXT_DAY, "00:00:00")
    await scene.world.configure("ticker_list.json", ["AAPL"])
    outcome = await scene.start(0, **ENV)
    has_plan = not recorded.endswith(("/killed", "/refused"))
    gone = f"Gone since {DAY}, 2 cards: 0700.HK (2)"
    assert (gone in outcome.finished.get("notes", [])) is has_plan
    assert outcome.finished["day"] == NEXT_DAY
    assert scene.cards().total() == 3


@pytest.mark.parametrize("recorded", ["6841ff2/unfinished"], indirect=True)
async def test_a_day_of_a_newer_format_is_refused_alone_with_the_version_that_has_written_it(scene: Scene) -> None:
    newer = {
        name: StoredObject(stored.data.replace(b'"format":1', b'"format":2'), "2", 0.0)
        for name, stored in scene.world.runs.objects.items()
    }
    older, scene.world.runs.objects = scene.world.runs.objects, newer
    refused = await scene.start(2, **ENV)
    (fault,) = refused.events("config.faulty")
    assert fault["what"] == (
        f"{DAY}/attempts/000001.json has format 2, of version 0.1.0 6841ff282e2a5ec6ecdb1e7dd907393e1a9b7aeb; "
        "this version of the job knows 1"
    )
    assert fault["remedy"] == "an owner puts back the image of version 0.1.0"
    assert refused.finished["message"] == "This image is too old for the day: nothing was called"
    assert "start_command" not in refused.finished, "it would be refused again"
    assert refused.events("storage.failed") == []
    assert scene.requests == []
    await scene.until(NEXT_DAY, "00:00:00")
    await scene.start(0, **ENV)
    assert scene.cards() == Counter(CARDS)
    newer |= older  # what is recorded is held against the promise


@pytest.mark.parametrize("recorded", ["6841ff2/again-failed"], indirect=True)
async def test_what_is_written_has_the_names_that_it_had_then(scene: Scene) -> None:
    """So that the image that has begun a day can go on with it, too."""
    before = scene.world.recorded()
    await scene.start(0, **ENV)
    new = {name: data for name, data in scene.world.recorded().items() if before.get(name) != data}
    (line,) = results(new, DAY)
    assert line.keys() == results(before, DAY)[-1].keys() - {"reason"}
    for name, then in (("ends/000003.json", "ends/000002.json"), ("report.json", "report.json")):
        assert json.loads(before[f"{DAY}/{then}"]).keys() <= json.loads(new[f"{DAY}/{name}"]).keys()
        assert json.loads(new[f"{DAY}/{name}"])["made_again"] == 1

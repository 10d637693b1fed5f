"""Whatever goes wrong, a start ends as the fault table says, in time, with correct totals and without any secret."""

import json
from typing import Any

import pytest
import trio
import trio.testing

from tests.runs.fault_table import PAGE, ROWS, markdown
from tests.runs.fault_table.row import CONFIG, Case
from tests.simulators.job import Outcome
from tests.simulators.storage import emulator_binary
from tests.simulators.world import World, open_world
from tests.support.places import latest_end, objects
from tests.support.runs import QUICK, assert_clean, data_requests
from tests.support.world import open_virtual_world

ENV = {
    **{f"{name}_ENGINE_TIMEOUT": "1.5" for name in ("FINANCIAL", "TRADING", "NEWS", "QA")},
    **{f"{name}_ENGINE_BATCH_SIZE": "2" for name in ("FINANCIAL", "TRADING")},
}


def cases(*, virtual: bool) -> list[Any]:
    return [
        pytest.param(
            case, id=f"{row.key}: {case.name}", marks=[pytest.mark.needs("emulator")] if case.place == "bucket" else []
        )
        for row in ROWS
        for case in row.cases
        if case.is_virtual is virtual
    ]


@pytest.mark.parametrize("case", cases(virtual=True))
async def test_in_virtual_time_a_fault_ends_as_the_table_says(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, case: Case
) -> None:
    config = CONFIG | {"ticker_list.json": case.tickers}
    async with open_virtual_world(nursery, config, latency=QUICK) as world:
        await assert_it_ends_as_the_table_says(world, case)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(virtual=False))
async def test_a_process_ends_as_the_table_says(nursery: trio.Nursery, case: Case) -> None:
    config = CONFIG | {"ticker_list.json": case.tickers}
    emulator = emulator_binary() if case.place == "bucket" else None
    async with open_world(nursery, config, latency=QUICK, emulator=emulator) as world:
        await assert_it_ends_as_the_table_says(world, case)


async def assert_it_ends_as_the_table_says(world: World, case: Case) -> None:
    env = {**ENV, **case.env, **(case.arrange(world) or {})}
    # A machine may have other work, which virtual time does not count; but there an outage takes as long as it does.
    with trio.fail_after(7200 if case.is_virtual else 90):
        outcome = await case.play(world, env)
    finished = outcome.finished
    shown = f"{outcome.stdout}\n{outcome.stderr}"
    assert (finished["outcome"], outcome.exit_code) == (case.word, case.code), shown
    assert_clean(world, outcome)
    assert case.says in outcome.stdout, shown
    assert (outcome.stderr == "") is (case.code != 70), shown
    cards = finished["cards"]
    if case.cards is not None:
        assert (cards["done"], cards["failed"], cards["not_attempted"]) == case.cards
    elif case.word == "qa_engine_down":
        assert not cards["done"]
        assert cards["failed"]
        assert cards["not_attempted"]
    assert_the_barrier_held(world, case)
    await assert_the_record_says_the_same(world, case, outcome)
    case.check(world, outcome)


def assert_the_barrier_held(world: World, case: Case) -> None:
    """Every data call had succeeded when the first card was requested, and no data were requested after it."""
    if not world.qa.requests:
        return
    first = min(request.arrived for request in world.qa.requests)
    for engine in (world.financial, world.trading, world.news):
        before = [request for request in engine.requests if request.answered is not None and request.answered <= first]
        done = {ticker for request in before if request.status == 200 for ticker in request.tickers}
        assert done == set(case.tickers), engine.name
    assert all(request.arrived < first for request in data_requests(world))


async def assert_the_record_says_the_same(world: World, case: Case, outcome: Outcome) -> None:
    recorded = await objects(world)
    assert all(b"eyJ" not in content and b"Bearer" not in content for content in recorded.values())
    if case.record:
        day = outcome.finished["day"]
        report = json.loads(recorded[f"{day}/report.json"])
        for field in ("outcome", "exit_code", "engines"):
            assert latest_end(recorded, day)[field] == report[field] == outcome.finished[field]
        assert report["sentence"] == outcome.finished["message"]
        assert "_lease.json" not in recorded, "it was not released"


def test_the_page_shows_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "python -m tests.runs.fault_table writes it"

"""A run that is resumed with a corrected config does what is missing of the new plan, and nothing twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.simulators import do, when
from tests.simulators.job import Outcome
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.altered import altered
from tests.support.runs import QUICK, asked_cards, assert_clean, data_requests, until

CONFIG: dict[str, object] = {"ticker_list.json": ["AAPL", "MSFT"], "card_types.json": ["news_card", "price_card"]}
RESUME = ("resume", "night")
NEW = (*RESUME, "--new-config")


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


async def play(world: World, code: int, *arguments: str, **env: str | None) -> Outcome:
    fixed = {"RUN_ID": None if arguments else "night", "RUNS_URI": world.runs_uri, "RUN_DATE": "2026-11-24"}
    outcome = await world.run_job(arguments or ("run",), env={**fixed, **env})
    assert outcome.exit_code == code, outcome.stdout + outcome.stderr
    assert_clean(world, outcome)
    return outcome


def record(world: World, name: str) -> Path:
    return world.directory / "runs" / "night" / name


def report(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record(world, "report.json").read_bytes())
    return found


async def failed_for_msft(world: World) -> None:
    world.news.script.append(Fault(when.ticker("MSFT"), do.status(422)))
    await play(world, 1)


@pytest.mark.slow
async def test_a_ticker_that_was_taken_out_no_longer_fails_the_run(world: World) -> None:
    await failed_for_msft(world)
    assert (await play(world, 1, *RESUME)).finished["outcome"] == "data_engine_failed", "the recorded config"
    await world.configure("ticker_list.json", ["AAPL"])
    before = len(world.seen)
    outcome = await play(world, 0, *NEW)
    assert asked_cards(world) == {("AAPL", "news_card"): 1, ("AAPL", "price_card"): 1}
    assert all("MSFT" not in request.tickers for request in world.seen[before:])
    written = report(world)
    assert written["cards"] == {
        "planned": 2,
        "generated": 2,
        "skipped": 0,
        "failed": 0,
        "not_attempted": 0,
        "left_out": 0,
    }
    assert written["left_plan"] > 0
    assert written["failures"] == [], "what left the plan has not failed"
    assert "with the config that is at" in outcome.events("config.noticed")[-1]["message"]


async def test_no_card_before_the_data_of_a_ticker_that_was_added_after_the_barrier(world: World) -> None:
    world.qa.script.append(Fault(when.card("price_card"), do.status(422)))
    await play(world, 3)
    assert list(record(world, "").glob("barrier-*.json"))
    world.qa.script.clear()
    await world.configure("ticker_list.json", ["AAPL", "MSFT", "NVDA"])
    world.news.script.append(Fault(when.ticker("NVDA"), do.status(422)))
    cards = asked_cards(world)
    outcome = await play(world, 1, *NEW)
    assert outcome.finished["outcome"] == "data_engine_failed"
    assert asked_cards(world) == cards, "the barrier of the old plan opens nothing for the new one"
    assert len(list(record(world, "").glob("barrier-*.json"))) == 1
    world.news.script.clear()
    await play(world, 0, *RESUME)
    assert all(count == 1 for (_, card), count in asked_cards(world).items() if card == "news_card")
    assert report(world)["cards"]["generated"] == 6
    assert len(list(record(world, "").glob("barrier-*.json"))) == 2


@pytest.mark.slow
async def test_a_plain_resume_says_that_the_config_has_changed(world: World) -> None:
    await failed_for_msft(world)
    world.news.script.clear()
    await world.configure("ticker_list.json", ["AAPL"])
    outcome = await play(world, 0, *RESUME)
    assert "resume night --new-config" in outcome.events("config.noticed")[-1]["message"]
    assert report(world)["cards"]["generated"] == 4, "as it was recorded"


@pytest.mark.slow
async def test_a_plain_resume_goes_on_with_the_newest_recorded_config(world: World) -> None:
    await failed_for_msft(world)
    await world.configure("ticker_list.json", ["AAPL"])
    world.qa.script.append(Fault(when.card("news_card"), do.status(422)))
    await play(world, 3, *NEW)
    world.qa.script.clear()
    await world.configure("ticker_list.json", ["OTHER"])
    await play(world, 0, *RESUME)
    assert report(world)["cards"]["planned"] == 2
    assert {name for name, _ in asked_cards(world)} == {"AAPL"}


@pytest.mark.slow
async def test_news_that_were_requested_otherwise_are_requested_again_and_a_card_stays_made(world: World) -> None:
    await world.configure("card_targets.json", [{"id": "Fed", "topic_key": "wrong"}])
    world.qa.script.append(Fault(when.card("price_card"), do.status(422)))
    await play(world, 3)
    world.qa.script.clear()
    await world.configure("card_targets.json", [{"id": "Fed", "topic_key": "fed", "extra_params": {"tone": "dry"}}])
    before = len(world.seen)
    await play(world, 0, *NEW)
    news = [request.path for request in world.seen[before:] if request.service == "news"]
    assert news == ["/batch/process_topic/dynamic/fed"]
    assert asked_cards(world)["Fed", "news_card"] == 1, "it was made with other parameters, and stays made"
    written = report(world)
    assert written["outdated_cards"] == 1
    assert written["cards"]["generated"] == 6


@pytest.mark.slow
async def test_a_retry_of_the_execution_appends_no_config_again(world: World) -> None:
    await failed_for_msft(world)
    await world.configure("ticker_list.json", ["AAPL"])
    world.qa.script.append(Fault(when.always, do.status(422)))
    await play(world, 3, *NEW, CLOUD_RUN_EXECUTION="again", CLOUD_RUN_TASK_ATTEMPT="0")
    await world.configure("ticker_list.json", ["AAPL", "NVDA"])
    world.qa.script.clear()
    await play(world, 0, *NEW, CLOUD_RUN_EXECUTION="again", CLOUD_RUN_TASK_ATTEMPT="1")
    assert report(world)["cards"]["planned"] == 2, "the retry goes on with what its execution began with"
    assert [path.name for path in record(world, "").glob("inputs-*")] == ["inputs-000001.json"]


@pytest.mark.slow
async def test_a_config_that_is_the_same_is_not_recorded_again(world: World) -> None:
    await failed_for_msft(world)
    world.news.script.clear()
    await world.configure("ticker_list.json", ["AAPL", "MSFT"])
    await play(world, 0, *NEW)
    assert list(record(world, "").glob("inputs-*")) == []


@pytest.mark.parametrize(
    ("env", "config", "where"),
    [
        pytest.param({"CONFIG_URI": "/elsewhere"}, None, "CONFIG_URI", marks=pytest.mark.slow),
        pytest.param({"CONFIG_URI": None}, None, "CONFIG_URI", marks=pytest.mark.slow),
        pytest.param({"RUN_DATE": "2026-11-20"}, None, "RUN_DATE", marks=pytest.mark.slow),
        ({}, b"not even JSON", "ticker_list.json"),
    ],
)
async def test_what_contradicts_the_record_is_refused_and_nothing_is_written(
    world: World, env: dict[str, str | None], config: bytes | None, where: str
) -> None:
    await failed_for_msft(world)
    if config is not None:
        await world.configure("ticker_list.json", config)
    there = {path: path.read_bytes() for path in record(world, "").rglob("*") if path.is_file()}
    before = len(world.seen)
    outcome = await play(world, 2, *NEW, **env)
    assert any(fault["where"].startswith(where) for fault in outcome.events("config.faulty"))
    assert world.seen[before:] == []
    assert {path: path.read_bytes() for path in record(world, "").rglob("*") if path.is_file()} == there


@pytest.mark.slow
async def test_a_plain_resume_needs_no_place_of_the_config(world: World) -> None:
    await failed_for_msft(world)
    world.news.script.clear()
    await play(world, 0, *RESUME, CONFIG_URI=None)


LATE_LEASE = """
import trio
from pathlib import Path
from job import orchestrator
acquire = orchestrator.acquire
async def late(*arguments, **more):
    Path("{reached}").touch()
    while not Path("{go}").exists():
        await trio.sleep(0.01)
    return await acquire(*arguments, **more)
orchestrator.acquire = late
"""


@pytest.mark.slow
async def test_a_resume_that_gets_the_lease_after_another_config_was_brought_goes_on_with_that(
    world: World, tmp_path: Path
) -> None:
    """It has planned the config recorded before, and must not overwrite the report of the later config."""
    await failed_for_msft(world)
    reached, go = tmp_path / "reached", tmp_path / "go"
    late = altered(tmp_path, LATE_LEASE.format(reached=reached, go=go))
    job = await world.start_job(*RESUME, env={"RUNS_URI": world.runs_uri, "RUN_DATE": "2026-11-24", **late})
    await until(reached.exists)
    await world.configure("ticker_list.json", ["AAPL"])
    await play(world, 0, *NEW)
    asked = len(data_requests(world))
    go.touch()
    outcome = await job.outcome()
    assert outcome.exit_code == 0, outcome.stdout
    assert_clean(world, outcome)
    assert len(data_requests(world)) == asked
    assert report(world)["cards"]["planned"] == 2
    assert set(asked_cards(world)) == {("AAPL", "news_card"), ("AAPL", "price_card")}
    assert outcome.finished["cards"]["skipped"] == 2

"""Whole runs in virtual time: they are killed, resumed, interrupted, shut out, and cut off from their storage."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from signal import SIGINT, SIGTERM

import pytest
import trio
from trio.testing import MockClock

from tests.runs.fault_table.row import CONFIG, PLANNED
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.support.runs import QUICK, asked_cards, assert_clean
from tests.support.world import VirtualWorld, open_virtual_world


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[VirtualWorld]:
    async with open_virtual_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


def variables(world: VirtualWorld, **more: str) -> dict[str, str]:
    return {"RUNS_URI": world.runs_uri, "RUN_ID": "night", **more}


@pytest.mark.parametrize("requests", [1, 20, 30])
async def test_a_killed_run_has_no_further_effect_and_requests_no_recorded_card_again(
    autojump_clock: MockClock, world: VirtualWorld, requests: int
) -> None:
    world.qa.latency = steady(1.0)
    job = await world.start_job(env=variables(world, QA_ENGINE_CONCURRENCY="2"))
    await world.qa.until(lambda seen: len(seen) >= requests)
    await job.kill()
    before, asked = world.recorded(), asked_cards(world).total()
    await trio.sleep(300)
    assert (job.process.returncode, world.recorded(), asked_cards(world).total()) == (-9, before, asked)
    assert all(service.traffic.open_connections == 0 for service in world.services)
    recorded = sum(data.count(b'"engine":"qa"') for name, data in before.items() if "/results/" in name)
    resumed = await world.run_job(("resume", "night"), env=variables(world))
    assert resumed.exit_code == 0, resumed.stdout
    assert_clean(world, resumed)
    assert resumed.finished["cards"]["skipped"] == recorded
    assert recorded > 0 or requests == 1
    assert len(asked_cards(world)) == PLANNED
    assert asked_cards(world).total() == asked + PLANNED - recorded


async def test_a_signal_leaves_cards_their_grace_and_a_second_one_ends_the_process(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    world.qa.script.append(Fault(when.always, do.hang()))
    job = await world.start_job(env=variables(world))
    await world.qa.until(lambda seen: len(seen) >= 5)
    sent = time.monotonic()
    job.send_signal(SIGTERM)
    outcome = await job.outcome()
    assert outcome.exit_code == 143
    assert 5.0 <= time.monotonic() - sent < 6.0
    job = await world.start_job("resume", "night", env=variables(world))
    await world.qa.until(lambda seen: len(seen) >= 25)
    job.send_signal(SIGTERM)
    await trio.sleep(0.5)
    job.send_signal(SIGINT)
    ended = await job.outcome()
    assert (ended.exit_code, ended.events("run.finished")) == (130, [])


@pytest.mark.parametrize("patience", [600, 30])
async def test_of_two_starts_one_does_the_work_and_the_other_waits_for_its_end(
    autojump_clock: MockClock, world: VirtualWorld, patience: int
) -> None:
    """It waits for no longer than its own deadline."""
    world.news.latency = steady(100.0)
    env = {"RUNS_URI": world.runs_uri, "NEWS_ENGINE_TIMEOUT": "300"}
    first = await world.start_job(env=env)
    await world.news.until(bool)
    second = await world.run_job(env=env | {"RUN_DEADLINE_SECONDS": str(patience)}, seconds=700)
    if patience == 600:
        assert (second.finished["outcome"], second.exit_code) == ("succeeded", 0)
        assert second.finished["cards"]["skipped"] == PLANNED
        assert (await first.outcome()).finished["run"] == second.finished["run"]
        assert second.seconds > 90
    else:
        assert (second.finished["outcome"], second.exit_code) == ("deadline", 4)
        assert 30 <= second.seconds < 31
    outcome = await first.outcome()
    assert outcome.exit_code == 0
    assert outcome.finished["cards"]["generated"] == PLANNED
    assert asked_cards(world).total() == PLANNED
    assert outcome.seconds > 100


async def test_a_machine_that_died_is_known_by_its_lease(autojump_clock: MockClock, world: VirtualWorld) -> None:
    """In Cloud Run, another execution cannot see whether the process is there: it waits for a minute."""
    world.news.script.append(Fault(when.first(1), do.hang()))
    env = variables(world, CLOUD_RUN_EXECUTION="night-1")
    job = await world.start_job(env=env)
    await world.news.until(bool)
    await job.kill()
    resumed = await world.run_job(env=env | {"CLOUD_RUN_EXECUTION": "night-2"}, seconds=600)
    assert resumed.exit_code == 0, resumed.stdout
    assert 50 < resumed.seconds < 120


async def test_a_run_outlasts_an_outage_of_its_storage(autojump_clock: MockClock, world: VirtualWorld) -> None:
    world.qa.latency = steady(10.0)
    out = False
    world.runs.refuse = lambda _verb, _name: out
    job = await world.start_job(env=variables(world))
    await world.qa.until(bool)
    out = True
    await trio.sleep(15)
    out = False
    outcome = await job.outcome()
    assert outcome.exit_code == 0, outcome.stdout
    assert outcome.events("storage.failed")
    report = json.loads(world.recorded()["night/report.json"])
    assert report["cards"]["generated"] == PLANNED
    assert asked_cards(world).total() == PLANNED


async def test_half_an_hour_passes_in_seconds(autojump_clock: MockClock, world: VirtualWorld) -> None:
    for engine in world.engines.values():
        engine.latency = steady(600.0)
    waits = {f"{name}_ENGINE_TIMEOUT": "1200" for name in ("FINANCIAL", "TRADING", "NEWS", "QA")}
    began = time.process_time()
    outcome = await world.run_job(env=variables(world, **waits), seconds=1e6)
    assert outcome.exit_code == 0, outcome.stdout
    assert outcome.seconds > 1800
    assert time.process_time() - began < 10

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


async def test_the_deadline_counts_from_the_start_of_the_process(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    world.import_seconds = 20.0
    world.news.script.append(Fault(when.always, do.hang()))
    began = time.monotonic()
    outcome = await world.run_job(env=variables(world, RUN_DEADLINE_SECONDS="30"))
    assert outcome.exit_code == 4, outcome.stdout
    assert 10 <= time.monotonic() - began < 11


async def test_a_resume_with_larger_batches_sends_the_same_requests_with_the_same_keys(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    world.financial.script.append(Fault(when.nth(2, 3), do.hang()))
    world.qa.latency = steady(1.0)
    sizes = {"FINANCIAL_ENGINE_BATCH_SIZE": "2", "FINANCIAL_ENGINE_CONCURRENCY": "2", "QA_ENGINE_CONCURRENCY": "2"}
    job = await world.start_job(env=variables(world, **sizes))
    await trio.sleep(20)
    await job.kill()
    job = await world.start_job("resume", "night", env=variables(world, **sizes | {"FINANCIAL_ENGINE_BATCH_SIZE": "9"}))
    await world.qa.until(lambda seen: len(seen) >= 5)
    await job.kill()
    outcome = await world.run_job(("resume", "night"), env=variables(world))
    assert outcome.exit_code == 0, outcome.stdout
    assert [len(request.tickers) for request in world.financial.requests] == [2] * 7
    keys: dict[tuple[str, bytes], set[str]] = {}
    for request in world.seen:
        keys.setdefault((request.target, request.body), set()).add(request.headers["idempotency-key"])
    assert {len(found) for found in keys.values()} == {1}
    assert len(set.union(*keys.values())) == len(keys)
    assert max(asked_cards(world).values()) == 2, "a card was requested before the kill and after it"


async def test_a_resumed_run_counts_the_calls_and_retries_of_its_journal(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    world.news.script.append(Fault(when.nth(1, 3), do.status(503)))
    world.qa.script.append(Fault(when.nth(2), do.status(503)))
    world.qa.latency = steady(1.0)
    job = await world.start_job(env=variables(world, QA_ENGINE_CONCURRENCY="2"))
    await world.qa.until(lambda seen: len(seen) >= 20)
    await job.kill()
    assert (await world.run_job(("resume", "night"), env=variables(world))).exit_code == 0
    written = [data for name, data in world.recorded().items() if name.startswith("night/results/")]
    lines = [json.loads(line) for data in written for line in data.splitlines()[1:]]
    report = json.loads(world.recorded()["night/report.json"])
    for engine, totals in report["engines"].items():
        results = [line for line in lines if line["engine"] == engine]
        retries = sum(line.get("retries", 0) for line in results)
        assert (totals["calls"], totals["retries"]) == (len(results), retries), engine
    assert (report["engines"]["news"]["retries"], report["engines"]["qa"]["retries"]) == (2, 1)


@pytest.mark.parametrize(("date", "code"), [("2026-11-22", 2), ("2026-11-23", 0), (None, 0)])
async def test_a_resume_for_another_date_is_refused(
    autojump_clock: MockClock, world: VirtualWorld, date: str | None, code: int
) -> None:
    world.qa.script.append(Fault(when.nth(1), do.status(422)))
    assert (await world.run_job(env=variables(world, RUN_DATE="2026-11-23"))).exit_code == 3
    before = len(world.seen)
    env: dict[str, str | None] = {**variables(world), "RUN_DATE": date}
    outcome = await world.run_job(("resume", "night"), env=env)
    assert outcome.exit_code == code, outcome.stdout
    assert [fault["where"] for fault in outcome.events("config.faulty")] == ["RUN_DATE"] * (code == 2)
    assert [dict(request.query)["date_str"] for request in world.seen[before:]] == ["2026-11-23"] * (code == 0)


async def test_with_a_new_config_news_that_are_requested_otherwise_are_requested_again(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    await world.configure("card_targets.json", [{"id": "Fed", "topic_key": "wrong"}])
    world.qa.script.append(Fault(when.nth(1), do.status(422)))
    assert (await world.run_job(env=variables(world))).exit_code == 3
    await world.configure("card_targets.json", [{"id": "Fed", "topic_key": "fed"}])
    before, cards = len(world.seen), asked_cards(world)
    assert (await world.run_job(("resume", "night", "--new-config"), env=variables(world))).exit_code == 0
    news, _card = world.seen[before:]
    assert news.path == "/batch/process_topic/dynamic/fed"
    assert (asked_cards(world) - cards).total() == 1


async def test_without_storage_there_is_no_lease(autojump_clock: MockClock, world: VirtualWorld) -> None:
    world.runs.refuse = lambda _verb, name: name == "_lease.json"
    outcome = await world.run_job(env=variables(world), seconds=300)
    assert (outcome.finished["outcome"], outcome.exit_code) == ("no_lease", 75)
    assert world.seen == []


@pytest.mark.parametrize(("part", "severity"), [("report.json", "WARNING"), ("report.html", "INFO")])
async def test_the_last_line_of_a_run_that_is_not_recorded_is_a_warning(
    autojump_clock: MockClock, world: VirtualWorld, part: str, severity: str
) -> None:
    world.runs.refuse = lambda verb, name: verb != "read" and name.endswith(part)
    outcome = await world.run_job(env=variables(world), seconds=300)
    assert outcome.exit_code == 0, outcome.stdout
    assert outcome.finished["severity"] == severity

"""A signal ends the run in order: no call starts after it, data calls are cut off, cards have a grace period."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest
import trio

from job.report.format import unsealed
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.altered import altered
from tests.support.runs import QUICK, at_once, ended, until

CODES = {SIGTERM: 143, SIGHUP: 143, SIGINT: 130}
CONFIG: dict[str, object] = {"ticker_list.json": [f"T{number}" for number in range(20)], "card_types.json": ["a"]}
NO_DATA = {"run_financials_engine": False, "run_trading_engine": False, "run_news_engine": False}


@pytest.fixture
async def data(nursery: trio.Nursery) -> AsyncIterator[World]:
    """A world whose data engines never answer."""
    async with open_world(nursery, CONFIG, latency=QUICK) as world:
        for engine in (world.financial, world.trading, world.news):
            engine.script.append(Fault(when.always, do.hang()))
        yield world


@pytest.fixture
async def cards(nursery: trio.Nursery) -> AsyncIterator[World]:
    """A world of cards alone, which take a second each."""
    async with open_world(nursery, CONFIG | {"engine_control.json": NO_DATA}, latency=steady(1.0)) as world:
        yield world


@pytest.mark.alone
@pytest.mark.parametrize("signal", [SIGTERM, pytest.param(SIGINT, marks=pytest.mark.slow)])
async def test_data_calls_are_cut_off_at_once(data: World, signal: Signals) -> None:
    job = await data.start_job()
    await until(lambda: len(data.news.requests) == 8 and len(data.financial.requests) == 4)
    sent = time.monotonic()
    job.send_signal(signal)
    outcome, gone = await ended(data, job, CODES[signal])
    assert gone - sent < at_once(job)
    assert outcome.finished["outcome"] == "interrupted"
    assert outcome.finished["message"] == (f"The run was interrupted by {signal.name}; 0 of 20 cards are there.")
    assert outcome.finished["cards"] == {
        "planned": 20, "generated": 0, "skipped": 0, "failed": 0, "not_attempted": 20, "left_out": 0,
    }  # fmt: skip
    assert data.qa.requests == []
    assert {line["cause"] for line in outcome.events("call.finished")} == {"interrupted"}


@pytest.mark.alone
async def test_cards_in_flight_may_answer_and_no_other_starts(cards: World) -> None:
    job = await cards.start_job(env={"QA_ENGINE_CONCURRENCY": "4"})
    await until(lambda: len(cards.qa.requests) == 4)
    sent = time.monotonic()
    job.send_signal(SIGTERM)
    outcome, gone = await ended(cards, job, 143)
    assert 0.5 < gone - sent < 1.0 + at_once(job)
    assert len(cards.qa.requests) == 4
    assert [request.status for request in cards.qa.requests] == [200] * 4
    assert outcome.finished["cards"] == {
        "planned": 20, "generated": 4, "skipped": 0, "failed": 0, "not_attempted": 16, "left_out": 0,
    }  # fmt: skip


@pytest.mark.alone
@pytest.mark.slow
async def test_a_terminal_that_is_closed_ends_the_run_in_order(cards: World) -> None:
    env = {"QA_ENGINE_CONCURRENCY": "4", "RUN_ID": "night", "RUNS_URI": cards.runs_uri}
    job = await cards.start_job("run", env=env, terminal=True)
    await until(lambda: len(cards.qa.requests) == 8)
    job.send_signal(SIGHUP)
    outcome = await job.outcome()
    assert outcome.exit_code == CODES[SIGHUP]
    report = json.loads((cards.directory / "runs/night/report.json").read_bytes())
    assert (report["outcome"], report["cards"]["generated"]) == ("interrupted", 8)


@pytest.mark.slow
async def test_cards_that_do_not_answer_are_cut_off_after_the_grace(cards: World) -> None:
    cards.qa.script.append(Fault(when.always, do.hang()))
    job = await cards.start_job(env={"QA_ENGINE_CONCURRENCY": "3"})
    await until(lambda: len(cards.qa.requests) == 3)
    sent = time.monotonic()
    job.send_signal(SIGTERM)
    outcome, gone = await ended(cards, job, 143)
    assert 4.9 < gone - sent < 5.0 + at_once(job)
    assert outcome.finished["cards"] == {
        "planned": 20, "generated": 0, "skipped": 0, "failed": 3, "not_attempted": 17, "left_out": 0,
    }  # fmt: skip
    assert sorted(outcome.finished["failures"]) == [f"qa T{n} a: interrupted (1 attempt)" for n in range(3)]


@pytest.mark.alone
@pytest.mark.slow
async def test_sigint_cuts_off_cards_as_well(cards: World) -> None:
    cards.qa.script.append(Fault(when.always, do.hang()))
    job = await cards.start_job()
    await until(lambda: len(cards.qa.requests) == 16)
    sent = time.monotonic()
    job.send_signal(SIGINT)
    outcome, gone = await ended(cards, job, 130)
    assert gone - sent < at_once(job)
    assert outcome.finished["cards"]["failed"] == 16


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(SIGTERM, SIGTERM), (SIGTERM, SIGINT)])
@pytest.mark.parametrize("is_recorded", [True, False])
async def test_a_second_signal_ends_the_process_at_once(
    cards: World, first: Signals, second: Signals, is_recorded: bool
) -> None:
    cards.qa.script.append(Fault(when.always, do.hang()))
    env = {"QA_ENGINE_CONCURRENCY": "1", "RUN_ID": "night", "RUN_DATE": "today"}
    job = await cards.start_job(env=env | ({"RUNS_URI": cards.runs_uri} if is_recorded else {}))
    await until(lambda: len(cards.qa.requests) == 1)
    job.send_signal(first)
    await trio.sleep(0.3)  # the first one has been taken: two at the same time are one to the kernel
    sent = time.monotonic()
    job.send_signal(second)
    with trio.fail_after(5):
        outcome = await job.outcome()
    assert job.started + outcome.seconds - sent < at_once(job)
    assert outcome.exit_code == CODES[second]
    kept = "The run was ended at once, without a report. What it has recorded is kept; to go on with it: "
    if is_recorded:
        date = unsealed("", (Path(cards.runs_uri) / "night" / "inputs.json").read_bytes())["date"]
        assert outcome.stderr == f"{kept}RUN_DATE={date} RUNS_URI={cards.runs_uri} python -m job run\n"
    else:
        assert outcome.stderr == ""


@pytest.mark.alone
@pytest.mark.slow
async def test_a_card_between_two_attempts_is_not_requested_again(cards: World) -> None:
    cards.qa.script.append(Fault(when.always, do.status(503, retry_after="20")))
    job = await cards.start_job(env={"QA_ENGINE_CONCURRENCY": "1"})
    await job.seen("call.retried")
    sent = time.monotonic()
    job.send_signal(SIGTERM)
    outcome, gone = await ended(cards, job, 143)
    assert gone - sent < at_once(job)
    assert outcome.finished["cards"]["failed"] == 1
    assert outcome.finished["failures"][0].startswith("qa T0 a: interrupted, after: HTTP 503")


@pytest.mark.alone
@pytest.mark.parametrize("signal", [SIGTERM, pytest.param(SIGINT, marks=pytest.mark.slow)])
async def test_a_signal_while_the_config_is_read_ends_the_run(cards: World, signal: Signals) -> None:
    """A service that never answers plays the storage."""
    cards.oauth.script.append(Fault(when.always, do.hang()))
    env = {"CONFIG_URI": "gs://bucket/config", "STORAGE_EMULATOR_HOST": cards.oauth.url}
    job = await cards.start_job(env=env)
    await until(lambda: cards.oauth.requests)
    sent = time.monotonic()
    job.send_signal(signal)
    outcome, gone = await ended(cards, job, CODES[signal])
    assert gone - sent < at_once(job)
    assert outcome.finished["message"] == f"The run was interrupted by {signal.name}; nothing was called."
    assert outcome.stderr == ""
    assert {request.service for request in cards.seen} == {"oauth"}


@pytest.mark.slow
async def test_a_signal_after_the_last_request_does_not_change_the_outcome(cards: World) -> None:
    """All cards are in flight and answer within the grace: the work is whole, and so is the exit code."""
    job = await cards.start_job(env={"QA_ENGINE_CONCURRENCY": "20"})
    await until(lambda: len(cards.qa.requests) == 20)
    job.send_signal(SIGTERM)
    outcome, _ = await ended(cards, job, 0)
    assert outcome.finished["cards"]["generated"] == 20


@pytest.mark.parametrize(("code", "date"), [(0, "2026-11-24"), pytest.param(2, "never", marks=pytest.mark.slow)])
async def test_a_signal_after_the_last_line_changes_nothing(cards: World, code: int, date: str) -> None:
    """The process is signalled again and again, from when the line is seen until the process is gone."""
    cards.qa.latency = QUICK
    for signal in (SIGTERM, SIGINT):
        job = await cards.start_job(env={"RUN_DATE": date, "RUNS_URI": cards.runs_uri})
        last = await job.seen("run.finished")
        while job.process.returncode is None:
            job.send_signal(signal)
            await trio.sleep(0.001)
        outcome = await job.outcome()
        assert (outcome.exit_code, last["exit_code"], outcome.stderr) == (code, code, "")


@pytest.mark.alone
@pytest.mark.slow
async def test_a_hanging_token_does_not_hold_up_the_end(cards: World) -> None:
    cards.metadata.script.append(Fault(lambda seen: seen.path.endswith("/identity"), do.hang()))
    job = await cards.start_job()
    await until(lambda: any(request.path.endswith("/identity") for request in cards.metadata.requests))
    sent = time.monotonic()
    job.send_signal(SIGTERM)
    outcome, gone = await ended(cards, job, 143)
    assert gone - sent < at_once(job)
    assert outcome.finished["cards"]["not_attempted"] == 20


NO_BARRIER = """
from job.storage import directory
from job.storage.store import StorageError
from job.text.messages import Message
true_create = directory.DirectoryStore.create
def create(self, name, data):
    if "/{part}" in name:
        raise StorageError(Message("nothing can be written there"))
    return true_create(self, name, data)
directory.DirectoryStore.create = create
"""


@pytest.mark.parametrize("part", ["barrier-", "results/"])
async def test_no_card_before_the_data_and_the_crossing_are_durable(data: World, part: str) -> None:
    """Otherwise a kill could leave a record that has cards but lacks their data."""
    for engine in (data.financial, data.trading, data.news):
        engine.script.clear()
    env = {"RUNS_URI": data.runs_uri, "RUN_ID": "night", **altered(data.directory, NO_BARRIER.format(part=part))}
    job = await data.start_job(env=env)
    await job.seen("storage.failed")
    await until(lambda: sum(line["event"] == "call.finished" for line in job.lines) == 28)
    await trio.sleep(0.3)
    job.send_signal(SIGTERM)
    outcome, _ = await ended(data, job, 143)
    assert data.qa.requests == []
    assert "barrier.crossed" not in {line["event"] for line in outcome.lines}
    assert outcome.finished["cards"]["not_attempted"] == 20

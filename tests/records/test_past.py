"""Every reader of past runs agrees about each, within limits, whatever is wrong with some; none delays a run."""

from __future__ import annotations

import gc
import json
import os
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
import trio

from job.config.faults import Fault
from job.ledger.ledger import Ledger
from job.ledger.result import CallResult
from job.records import past as module
from job.records.attempts import AttemptEntry
from job.records.days import _prefix
from job.records.lease import LEASE
from job.records.past import (
    FAILED_READS,
    EndedRun,
    Past,
    PastNights,
    PastRun,
    counting,
    find_known,
    find_night_before,
    night_after,
    read_nights,
    read_past,
    read_run,
    summary_before,
    write_nights_page,
)
from job.records.record import Record
from job.records.verification import verify
from job.report.advice import advice, with_commands
from job.report.commands import Place
from job.report.format import NIGHTS_PAGE, REPORT, STARTED, SUMMARY, entry_of, name_of
from job.report.inputs import pack, without_plan
from job.report.outcome import Outcome, ending_of
from job.report.report import AttemptSummary, RunReport, read_report, report_of, summary_of
from job.report.summary import MissingGroup, NightBefore, RunSummary, pack_summary
from job.storage import store as store_module
from job.storage.store import StoredObject
from job.storage.uri import open_store
from job.text.messages import Message
from tests.records.test_record import INPUTS, PLAN
from tests.support.nights import Night
from tests.support.records import Recorded, refused
from tests.support.runs import until
from tests.support.stores import Memory, memory, open_bucket

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from job.storage.store import ObjectStore

__all__ = ["memory"]

BEGAN = datetime(2025, 1, 1, 2, tzinfo=UTC)
URI = "gs://cards/config"


def summary(run_id: str, day: str = "2026-11-24", **changes: Any) -> RunSummary:
    given: dict[str, Any] = {
        "run_id": run_id,
        "day": day,
        "date": day,
        "config_uri": URI,
        "started": f"{day}T02:00:00+08:00",
        "ended": f"{day}T02:20:00+08:00",
        "outcome": "succeeded",
        "exit_code": 0,
        "attempt": 1,
        "cards": {"planned": 20, "generated": 20},
        "engines": {},
    }
    return RunSummary.model_validate(given | changes)


def ended(run_id: str) -> EndedRun:
    """A run that has just ended."""
    return EndedRun(report_of(Recorded(run_id).inputs, Ledger(without_plan()), state=KILLED), Place())


def objects(count: int) -> dict[str, bytes]:
    """The summaries of so many nights, and what lists them; each has some missing cards."""
    found = {}
    for number in range(count):
        moment = BEGAN + timedelta(days=number)
        run_id, day = f"nightly-{number:04}", moment.date().isoformat()
        group = MissingGroup(
            engine="qa",
            card_type="news_card",
            state="failed",
            cause="status",
            since=day,
            targets=tuple(f"{n:06}.SS" for n in range(200)),
        )
        medians = {f"type_{n}": 20.0 + n for n in range(20)}
        found[name_of(run_id, SUMMARY)] = pack_summary(summary(run_id, day, missing=[group], card_seconds=medians))
        found[f"{STARTED}{moment:%Y%m%dT%H%M%SZ}_{run_id}"] = b"{}\n"
    return found


def put(place: Path, found: dict[str, bytes]) -> None:
    for name, data in found.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)


def broken(place: Path) -> None:
    """Corrupts three of the nights: one holds no summary, one is endless, one is not a file."""
    (place / "nightly-0398" / SUMMARY).write_bytes(b'{"run_id": "nightly-0398"')
    (place / "nightly-0300" / SUMMARY).write_bytes(b" " * 2**24)
    (place / "nightly-0010" / SUMMARY).unlink()
    (place / "nightly-0010" / SUMMARY).mkdir()


@pytest.mark.alone
async def test_400_nights_of_which_3_are_broken_take_little_time_and_memory(tmp_path: Path) -> None:
    put(tmp_path, objects(400))
    broken(tmp_path)
    store = open_store(str(tmp_path))
    began = time.monotonic()
    nights = await read_past(store, 400)
    took = time.monotonic() - began
    assert [night.run_id for night in nights.runs] == [f"nightly-{n:04}" for n in reversed(range(400)) if n != 10]
    assert {night.run_id for night in nights.runs if night.summary is None} == {"nightly-0398", "nightly-0300"}
    assert len(nights.problems) == 3
    assert all(any(name in problem for problem in nights.problems) for name in ("0398", "0300", "0010"))
    assert took < 2.0
    del nights
    gc.collect()
    tracemalloc.start()
    try:
        nights = await read_past(store, 400)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(nights.summaries) == 397
    assert peak < 30 * 2**20


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.needs("emulator")
async def test_60_nights_are_read_from_a_bucket(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_bucket(nursery, monkeypatch) as (store, _):
        found = objects(62)
        async with trio.open_nursery() as writers:
            for name, data in found.items():
                writers.start_soon(_create, store, name, data)
        began = time.monotonic()
        nights = await read_past(store)
        assert time.monotonic() - began < 5.0
        assert [one.run_id for one in nights.summaries] == [f"nightly-{n:04}" for n in reversed(range(2, 62))]


async def _create(store: ObjectStore, name: str, data: bytes) -> None:
    await store_module.in_thread(lambda: store.create(name, data))


async def test_a_limited_number_is_read_and_known_nights_are_not_read_again() -> None:
    store = Memory()
    for name, data in objects(10).items():
        store.create(name, data)
    nights = await read_past(store, 4)
    assert store.count("read", SUMMARY) == 4
    again = await read_past(store, 5, known={one.run_id: one for one in nights.summaries})
    assert store.count("read", SUMMARY) == 5
    assert [night.run_id for night in again.runs] == [f"nightly-{n:04}" for n in (9, 8, 7, 6, 5)]
    assert len(again.summaries) == 5


async def test_older_nights_are_kept_without_their_missing_items(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Memory()
    for name, data in objects(5).items():
        store.create(name, data)
    monkeypatch.setattr(module, "ITEMS_KEPT", 450)
    nights = await read_past(store)
    assert sum(len(group.targets) for one in nights.summaries for group in one.missing) == 400
    assert [one.missing_not_listed for one in nights.summaries].count(200) == 3


async def test_reading_past_nights_stops_when_storage_fails() -> None:
    store = Memory()
    for name, data in objects(50).items():
        store.create(name, data)
    store.refuse = lambda _, name: name.endswith(SUMMARY)
    nights = await read_past(store)
    assert nights.summaries == []
    assert len(nights.errors) >= FAILED_READS, "and each is reported"
    assert FAILED_READS <= store.count("read", SUMMARY) <= FAILED_READS + store_module.BACKGROUND_THREADS


async def test_the_reason_why_past_nights_cannot_be_read_is_reported_and_the_run_goes_on() -> None:
    said: list[Message] = []
    store, past = Memory(refuse=lambda verb, _: verb == "names"), PastNights(said.extend)
    await past.read(store, INPUTS, PLAN)
    (notice,) = said
    assert str(notice).startswith("past nights cannot be read, so this one is not compared with them: _started/")
    assert (past.nights, past.before) == (None, None)


async def test_reading_holds_up_no_other_request() -> None:
    """With real threads: storage answers nothing about past nights, and more of them wait than it has threads."""
    store, answers = Memory(clock=time.time), threading.Event()
    for name, data in objects(60).items():
        store.create(name, data)
    store.refuse = lambda verb, name: name.endswith(SUMMARY) and verb == "read" and answers.wait(30)
    async with trio.open_nursery() as nursery:
        for _ in range(store_module.THREADS):
            nursery.start_soon(PastNights(lambda _: None).read, store, INPUTS, PLAN)
        with trio.fail_after(10):
            await until(lambda: store.count("read") >= store_module.BACKGROUND_THREADS)
            await store_module.in_thread(lambda: None)
        answers.set()
        nursery.cancel_scope.cancel()


def nights_of(*summaries: RunSummary) -> Past:
    return Past(
        [
            PastRun(one.run_id, datetime.fromisoformat(one.started), one.day, one.outcome, summary=one)
            for one in summaries
        ]
    )


@pytest.mark.parametrize(
    ("day", "expected"), [("2026-11-25", "large"), ("2026-11-24", "early"), ("2026-11-20", None), (None, "large")]
)
def test_a_night_is_compared_with_the_run_of_the_latest_earlier_day_that_planned_most(
    day: str | None, expected: str | None
) -> None:
    nights = nights_of(
        summary("refused", outcome="bad_config", cards={"planned": 900}),
        summary("other", config_uri="gs://trial/config", cards={"planned": 900}),
        summary("small", cards={"planned": 1}),
        summary("large", cards={"planned": 20}),
        summary("older", cards={"planned": 20}),
        summary("early", "2026-11-20", cards={"planned": 500}),
    )
    found = summary_before(nights, URI + "/", day)
    assert (found and found.run_id) == expected
    anything = summary_before(nights, None, "2026-11-25")
    assert anything
    assert anything.run_id == "other"


async def test_the_plan_of_the_night_before_is_made_again_from_its_recorded_config() -> None:
    store = Memory()
    store.create(name_of("run", "inputs.json"), pack(INPUTS))
    before = await find_night_before(store, nights_of(summary("run")), URI, "2026-11-25")
    assert before
    assert before.plan == INPUTS.plan()
    store.objects.clear()
    store.create(name_of("run", "inputs.json"), b"corrupt")
    before = await find_night_before(store, nights_of(summary("run")), URI, "2026-11-25")
    assert before
    assert before.plan is None


def test_of_the_runs_of_a_day_that_counts_which_did_all_that_was_planned_or_else_the_latest() -> None:
    started = datetime.fromisoformat("2026-11-24T02:00:00+08:00")

    def past_run(run_id: str, outcome: Outcome, planned: int | None) -> PastRun:
        found = None if planned is None else summary(run_id, outcome=outcome, cards={"planned": planned})
        return PastRun(run_id, started, "2026-11-24", outcome, summary=found)

    whole, half = past_run("whole", SUCCEEDED, 20), past_run("half", SUCCEEDED, 10)
    lacking, refused = past_run("lacking", Outcome.CARDS_MISSING, 20), past_run("refused", Outcome.BAD_CONFIG, 0)
    killed = past_run("killed", KILLED, None)
    for runs in ([whole, refused], [whole, killed], [refused], [lacking, refused], [killed, lacking]):
        assert counting(runs) is runs[0]
    for earlier in (refused, killed, half):
        assert counting([earlier, whole]) is whole
    assert counting([half, lacking]) is half, "the latest: another planned more than it did"
    assert counting([lacking, half]) is lacking


async def test_the_night_after_is_the_next_run_of_the_config_that_has_ended_for_a_later_day() -> None:
    store, report = Memory(clock=time.time), ended("first").report

    def add(run_id: str, hours: int, day: str, config_uri: str | None = URI) -> None:
        moment = (datetime.fromisoformat(report.started) + timedelta(hours=hours)).astimezone(UTC)
        store.create(f"{STARTED}{moment:%Y%m%dT%H%M%SZ}_{run_id}", b"{}\n")
        if config_uri is not None:
            store.create(name_of(run_id, SUMMARY), pack_summary(summary(run_id, day, config_uri=config_uri)))

    add("first", 0, report.day)
    add("again", 1, report.day)
    add("trial", 2, "2026-11-25", "gs://trial/config")
    assert await night_after(store, report) is None
    add("latest", 50, "2026-11-26")
    add("next", 24, "2026-11-25")
    add("at-work", 23, "2026-11-25", None)
    found = await night_after(store, report)
    assert found
    assert found.run_id == "next"


def test_typical_seconds_are_those_of_the_latest_run_that_made_cards() -> None:
    nights = nights_of(
        summary("none"),
        summary("trial", config_uri="gs://trial/config", card_seconds={"a": 9.0}),
        summary("newer", card_seconds={"a": 3.0, "b": 2.0}),
        summary("older", card_seconds={"a": 1.0}),
    )
    assert PastNights(print, nights).typical_card_seconds(URI) == {"a": 3.0, "b": 2.0}
    assert PastNights(print, nights).typical_card_seconds("gs://new/config") == {}
    assert PastNights(print).typical_card_seconds(URI) == {}


SLOW: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "in one attempt": ({}, {}, True),
    "that was not complete, a deadline for example": ({}, {"outcome": Outcome.DEADLINE}, True),
    "after nights that were resumed": ({"attempts": 2}, {}, False),
    "after nights without all data": ({"outcome": "data_engine_failed"}, {}, False),
    "after nights of another config": ({"config_uri": "gs://trial/config"}, {}, False),
    "of which cards were made again": ({}, {"asked_again": 3}, False),
    "that is still at work": ({}, {"ended": None}, False),
}


@pytest.mark.parametrize(("before", "now", "is_slower"), SLOW.values(), ids=SLOW)
def test_a_slow_night(before: dict[str, Any], now: dict[str, Any], is_slower: bool) -> None:
    report, ledger = Night(["T"], ["a"]).build(config_uri=URI, **now)
    report = report.model_copy(update={"attempts": (report.attempts[0].model_copy(update={"seconds": 40.0}),)})
    given: dict[str, Any] = {"seconds": 20.0, "attempts": 1, **before}
    nights = nights_of(*(summary(f"night-{day}", f"2026-11-{day}", **given) for day in (23, 22)))
    past = PastNights(print, nights, NightBefore.of(nights.summaries[0], None))
    comparison = past.compare(report, ledger.items)
    assert comparison is not None
    assert (comparison.slower is not None) == is_slower
    if comparison.slower is not None:
        assert (comparison.slower.seconds, comparison.slower.usual, comparison.slower.nights) == (40.0, 20.0, 2)


def test_all_attempts_together_are_how_long_a_night_took() -> None:
    report, ledger = Night(["T"], ["a"]).build(config_uri=URI)
    attempt = report.attempts[0].model_copy(update={"seconds": 20.0})
    nights = nights_of(summary("before", "2026-11-23", seconds=20.0, attempts=1))
    past = PastNights(print, nights, NightBefore.of(nights.summaries[0], None))
    comparison = past.compare(report.model_copy(update={"attempts": (attempt,) * 2}), ledger.items)
    assert comparison is not None
    assert comparison.slower is not None
    assert comparison.slower.seconds == 40.0


@pytest.mark.parametrize(
    ("latest", "expected"),
    [
        ({}, ("2026-11-24", {"AAPL", "MSFT"})),
        ({"outcome": "data_engine_failed"}, ("2026-11-23", {"AAPL", "MSFT"})),
        ({"outcome": "cards_missing", "missing": "MSFT"}, ("2026-11-24", {"AAPL"})),
        ({"outcome": "cards_missing", "missing_not_listed": 3}, ("2026-11-23", {"AAPL", "MSFT"})),
        ({"config_uri": "gs://trial/config"}, ("2026-11-23", {"AAPL", "MSFT"})),
    ],
)
async def test_known_tickers_are_those_of_the_latest_complete_night(
    latest: dict[str, Any], expected: tuple[str, set[str]]
) -> None:
    store = Memory()
    for run_id in ("latest", "older"):
        store.create(name_of(run_id, "inputs.json"), pack(Recorded(run_id).inputs))
    if "missing" in latest:
        group = {"engine": "qa", "card_type": "news_card", "state": "failed", "cause": "status", "since": "2026-11-24"}
        latest = latest | {"missing": [group | {"targets": [latest["missing"]]}]}
    nights = nights_of(summary("latest", "2026-11-24", **latest), summary("older", "2026-11-23"))
    known = await find_known(store, nights, URI, "2026-11-25", None)
    assert known is not None
    assert (known.day, set(known.tickers)) == expected
    assert await find_known(store, nights, URI, "2026-11-23", None) is None


def test_a_summary_of_the_simplest_kind_can_be_read() -> None:
    assert json.loads(pack_summary(summary("a")))["format"] == 1


async def test_the_page_of_the_nights_is_written_from_what_is_there_now_and_what_was_known() -> None:
    store, shown = Memory(clock=time.time), []

    def render(nights: Past) -> bytes:
        shown.append([one.run_id for one in nights.summaries])
        verdicts.append(nights.last_night)
        return b"page %d" % len(shown)

    own, verdicts = ended("nightly-0003"), list[EndedRun | None]()
    for name, data in objects(3).items():
        store.create(name, data)
    known = await read_past(store)
    for name, data in objects(4).items():
        store.create(name, data)
    store.asked.clear()
    await write_nights_page(store, known, own, render, inf)
    assert shown == [["nightly-0003", "nightly-0002", "nightly-0001", "nightly-0000"]]
    assert store.count("read", SUMMARY) == 1
    await write_nights_page(store, None, own, render, inf)
    assert store.objects[NIGHTS_PAGE].data == b"page 2"
    assert (verdicts, store.count("read", REPORT)) == ([own, own], 0)


async def test_a_page_of_the_nights_that_another_run_has_written_meanwhile_is_left_to_it() -> None:
    store = Memory(clock=time.time)
    store.create(NIGHTS_PAGE, b"older")

    def render(_: Past) -> bytes:
        store.replace(NIGHTS_PAGE, b"another's", store.objects[NIGHTS_PAGE].generation)
        return b"ours"

    problem = await write_nights_page(store, None, ended("night"), render, trio.current_time() + 5)
    assert "the page of the nights is not written: " in str(problem)
    assert store.objects[NIGHTS_PAGE].data == b"another's"


async def test_a_page_of_the_nights_that_cannot_be_written_is_a_notice(
    memory: Memory, autojump_clock: MockClock
) -> None:
    memory.refuse = lambda verb, name: name == NIGHTS_PAGE and verb == "create"
    problem = await write_nights_page(memory, None, ended("night"), lambda _: b"", trio.current_time() + 5)
    assert str(problem) == "the page of the nights is not written: index.html: 503 from the fake"
    memory.seconds = 100.0
    began = trio.current_time()
    problem = await write_nights_page(memory, None, ended("night"), lambda _: b"", began + 5)
    assert str(problem) == "the page of the nights is not written: storage took too long"
    assert trio.current_time() == began + 5


# --- every reader agrees about a run ---


class Store(Memory):
    """A store whose objects have times as the lease of a real run has."""

    def __init__(self) -> None:
        super().__init__(clock=time.time)


NIGHT = Recorded("night", outcome=None)
RESULTS = NIGHT.results()
HALF = [result for result in RESULTS if result.engine != "qa"]
CARDS = [result for result in RESULTS if result.engine == "qa"]
DONE = [replace(result, done=True, cause=None, reason=None, status=200) for result in CARDS]
FAILED = next(result for result in CARDS if not result.done)


async def begun(store: Memory, owner: str, *results: CallResult, early: bool = False) -> Record:
    """An attempt at the night that records these results, and is killed unless it is closed.

    An `early` version of the job does not list its attempts.
    """
    inputs = NIGHT.inputs
    is_new = name_of("night", "inputs.json") not in store.objects
    record = Record(store, Ledger(inputs.plan()), inputs, owner, lambda _: None)
    if not early:
        await record.begin(AttemptEntry(owner=owner, started=inputs.started))
    if is_new:
        await record.create(inputs)
    await record.announce(inputs)
    await record.load()
    for result in results:
        record.ledger.add(result)
        record.journal.append(result)
    await record.journal.flush()
    return record


async def close(record: Record, *, documents: bool = True, early: bool = False) -> None:
    """Closes the record as the orchestrator does."""
    inputs, ledger = NIGHT.inputs, record.ledger
    this = AttemptSummary.of(ending_of(ledger, None), inputs, datetime.fromisoformat(inputs.started), 60.0)
    report = with_commands(report_of(inputs, ledger, [*record.attempts, this]), Place.of(inputs))
    written = await record.write_report(report, lambda: True)
    assert written
    if documents:
        await record.write_document(SUMMARY, lambda ledger: _summary(written, ledger, early=early))


def _summary(written: RunReport, ledger: Ledger, *, early: bool) -> bytes:
    data = pack_summary(summary_of(written, ledger, None))
    added = {"seconds", "attempts", "attempt", "journal"} if early else set()
    return json.dumps({name: value for name, value in json.loads(data).items() if name not in added}).encode()


def hold(store: Memory, owner: str, *, alive: bool) -> None:
    data = NIGHT.lease(owner=owner, pid=os.getpid() if alive else 2**22 + 1, execution=None)
    store.objects[LEASE] = StoredObject(data, "lease", time.time())


async def closed(store: Memory) -> None:
    await close(await begun(store, "one", *HALF, *DONE))


async def cards_missing(store: Memory) -> None:
    await close(await begun(store, "one", *HALF, *CARDS))


async def killed(store: Memory) -> None:
    await begun(store, "one", *HALF, DONE[0])
    hold(store, "one", alive=False)


async def killed_before_its_first_result(store: Memory) -> None:
    await begun(store, "one")


async def at_work(store: Memory) -> None:
    await begun(store, "one", *HALF, DONE[0])
    hold(store, "one", alive=True)


async def resumed_and_closed(store: Memory) -> None:
    await cards_missing(store)
    await close(await begun(store, "two", DONE[0]))


async def killed_in_a_resume(store: Memory) -> None:
    await cards_missing(store)
    await begun(store, "two", FAILED)


async def killed_in_a_resume_before_its_first_result(store: Memory) -> None:
    await cards_missing(store)
    await begun(store, "two")


async def at_work_on_a_resume(store: Memory) -> None:
    await cards_missing(store)
    await begun(store, "two")
    hold(store, "two", alive=True)


async def at_work_on_a_resume_before_its_entry(store: Memory) -> None:
    """It has the lease, and has written nothing yet."""
    await cards_missing(store)
    hold(store, "two", alive=True)


async def late_results(store: Memory) -> None:
    """A paused attempt has lost its lease, another one has done the rest and closed the record; then it wakes up."""
    paused = await begun(store, "one", *HALF)
    await close(await begun(store, "two", *DONE))
    paused.journal.append(DONE[0])
    await paused.journal.flush()


async def late_first_results(store: Memory) -> None:
    """The same, but the paused attempt had written no result before: no report knows it as an owner."""
    paused = await begun(store, "one")
    await close(await begun(store, "two", *HALF, *DONE))
    paused.journal.append(DONE[0])
    await paused.journal.flush()


async def late_failure(store: Memory) -> None:
    """The card that the paused attempt has just failed to make, another one has made."""
    paused = await begun(store, "one", *HALF)
    await close(await begun(store, "two", *DONE))
    paused.journal.append(FAILED)
    await paused.journal.flush()


async def summary_of_an_earlier_attempt(store: Memory) -> None:
    """The later attempt had no time left to write its own."""
    await cards_missing(store)
    await close(await begun(store, "two", DONE[0]), documents=False)


async def summary_that_comes_late(store: Memory) -> None:
    """A paused attempt overwrites the summary of the one that has followed it."""
    first = await begun(store, "one", *HALF, *DONE)
    await close(first)
    succeeded = store.objects[name_of("night", SUMMARY)]
    store.objects.clear()
    await begun(store, "one", *HALF, DONE[0])
    await close(await begun(store, "two", FAILED))
    store.objects[name_of("night", SUMMARY)] = succeeded


async def summary_of_a_killed_resume(store: Memory) -> None:
    """A success stays no success if a later attempt has begun, with another config for example."""
    await closed(store)
    await begun(store, "two")


async def without_a_summary(store: Memory) -> None:
    await close(await begun(store, "one", *HALF, *DONE), documents=False)


async def early_closed(store: Memory) -> None:
    await close(await begun(store, "one", *HALF, *DONE, early=True), early=True)


async def early_killed(store: Memory) -> None:
    await begun(store, "one", *HALF, early=True)


async def early_killed_in_a_resume(store: Memory) -> None:
    await close(await begun(store, "one", *HALF, *CARDS, early=True), early=True)
    await begun(store, "two", FAILED, early=True)


async def early_resumed_and_closed(store: Memory) -> None:
    await close(await begun(store, "one", *HALF, *CARDS, early=True), early=True)
    await close(await begun(store, "two", DONE[0]))


async def early_killed_in_a_resume_of_today(store: Memory) -> None:
    """Nothing shows that the attempt is later than a report without a number; either way, cards are missing."""
    await close(await begun(store, "one", *HALF, *CARDS, early=True), early=True)
    await begun(store, "two")


async def rolled_back_and_killed(store: Memory) -> None:
    """An early version of the job, to which the image was rolled back, has resumed the run, and was killed."""
    await cards_missing(store)
    await begun(store, "two", FAILED, early=True)


async def rolled_back_and_closed(store: Memory) -> None:
    await cards_missing(store)
    await close(await begun(store, "two", DONE[0], early=True), early=True)


SUCCEEDED, MISSING, KILLED, AT_WORK = (
    Outcome.SUCCEEDED, Outcome.CARDS_MISSING, Outcome.KILLED, Outcome.AT_WORK
)  # fmt: skip
STATES: Sequence[tuple[Callable[[Memory], Awaitable[None]], Outcome, int]] = [
    (closed, SUCCEEDED, 2),
    (cards_missing, MISSING, 1),
    (killed, KILLED, 1),
    (killed_before_its_first_result, KILLED, 0),
    (at_work, AT_WORK, 1),
    (resumed_and_closed, SUCCEEDED, 2),
    (killed_in_a_resume, KILLED, 1),
    (killed_in_a_resume_before_its_first_result, KILLED, 1),
    (at_work_on_a_resume, AT_WORK, 1),
    (at_work_on_a_resume_before_its_entry, AT_WORK, 1),
    (late_results, SUCCEEDED, 2),
    (late_first_results, SUCCEEDED, 2),
    (late_failure, SUCCEEDED, 2),
    (summary_of_an_earlier_attempt, SUCCEEDED, 2),
    (summary_that_comes_late, MISSING, 1),
    (summary_of_a_killed_resume, KILLED, 2),
    (without_a_summary, SUCCEEDED, 2),
    (early_closed, SUCCEEDED, 2),
    (early_killed, KILLED, 0),
    (early_killed_in_a_resume, KILLED, 1),
    (early_resumed_and_closed, SUCCEEDED, 2),
    (early_killed_in_a_resume_of_today, MISSING, 1),
    (rolled_back_and_killed, KILLED, 1),
    (rolled_back_and_closed, SUCCEEDED, 2),
]


@pytest.mark.parametrize(("make", "outcome", "made"), STATES, ids=[make.__name__ for make, _, _ in STATES])
async def test_every_reader_agrees_about_a_run(
    make: Callable[[Memory], Awaitable[None]], outcome: Outcome, made: int
) -> None:
    """`runs` and `nights` read `read_past`, `report` reads `read_run`, and `verify` asks about the day."""
    store = Store()
    await make(store)
    (listed,) = (await read_past(store)).runs
    assert listed.outcome is outcome
    assert (listed.summary is not None) is outcome.is_closed
    recorded = await read_run(store, "night")
    assert recorded
    assert recorded.report.outcome is outcome
    assert recorded.report.cards.made == made
    last_night = (await read_nights(store)).last_night
    assert last_night
    assert (last_night.report.outcome, last_night.report.cards) == (outcome, recorded.report.cards)
    for now in (datetime.fromisoformat(NIGHT.started), None):
        assert advice(last_night.report, last_night.place, now) == advice(recorded.report, recorded.place, now)
    assert bool(advice(recorded.report, recorded.place, datetime.fromisoformat(NIGHT.started))) is (
        outcome not in {SUCCEEDED, AT_WORK}
    )
    if listed.summary is not None:
        report = recorded.report
        assert (listed.sentence, listed.seconds) == (str(report.sentence), report.seconds)
        assert listed.attempts == len(report.attempts)
        assert listed.summary.cards.made == made
    verified = await verify(store, NIGHT.day, NIGHT.config_uri)
    assert verified.done is (outcome is SUCCEEDED)
    assert verified.done or f"run night: {outcome}" in verified.known


@pytest.mark.parametrize(("make", "outcome", "made"), STATES, ids=[make.__name__ for make, _, _ in STATES])
async def test_the_report_of_a_closed_run_follows_from_its_record(
    make: Callable[[Memory], Awaitable[None]], outcome: Outcome, made: int
) -> None:
    store = Store()
    await make(store)
    recorded = await read_run(store, "night")
    assert recorded
    if outcome.is_closed and not make.__name__.startswith("late"):
        written = read_report("report.json", store.objects[name_of("night", REPORT)].data)
        assert recorded.report.model_dump(mode="json") == written.model_dump(mode="json")
    assert recorded.report.cards.made == made


async def test_the_last_night_is_read_without_its_results_if_it_has_ended() -> None:
    store = Store()
    for name, data in Recorded("night", outcome="cards_missing", has_date=False).objects().items():
        store.create(name, data)
    first = (await read_nights(store)).last_night
    assert first
    assert first.report.is_latest
    store.create(name_of("night", SUMMARY), pack_summary(summary("night", attempt=None)))
    listed = await read_past(store)
    store.asked.clear()
    await read_past(store)
    needed = store.count("read", "/results/")
    entry: dict[str, Any] = {"run_id": "another", "date": None, "engines": {}}
    store.create(f"{_prefix('gs://cards/config', '2026-11-24')}000001", json.dumps(entry).encode())
    store.asked.clear()
    last_night = (await read_nights(store, known=listed)).last_night
    assert last_night
    assert store.count("read", "/results/") == 0 < needed
    assert not last_night.report.is_latest, "a start would not continue it"
    assert [step.kind for step in advice(last_night.report, last_night.place, None)] == ["resume", "start"]


async def test_a_refused_run_is_one_until_an_attempt_with_its_id_begins(tmp_path: Path) -> None:
    refused(tmp_path, "night", [Fault("a.json", Message("is not JSON"), Message("correct it"))], BEGAN)
    found, store = open_store(str(tmp_path)), Store()
    for name in found.names(""):
        stored = found.read(name)
        assert stored
        store.create(name, stored.data)
    for outcome in (Outcome.BAD_CONFIG, KILLED):
        (listed,) = (await read_past(store)).runs
        recorded = await read_run(store, "night")
        assert recorded
        assert listed.outcome is recorded.report.outcome is outcome
        assert len(recorded.report.attempts) == (outcome is Outcome.BAD_CONFIG)
        await begun(store, "one", *HALF)


async def test_a_run_without_inputs_is_unreadable() -> None:
    store = Store()
    store.create(entry_of("night", NIGHT.started), b"{}")
    past = await read_past(store)
    assert [one.outcome for one in past.runs] == [Outcome.UNREADABLE]
    assert past.problems == ["night/inputs.json is missing"]
    assert await read_nights(store) == past
    assert await read_run(store, "night") is None


async def test_times_are_in_the_zone_of_the_latest_run_whose_record_can_be_read() -> None:
    store = Store()
    await closed(store)
    store.create(f"{STARTED}20261124T180000Z_later", b"{}")
    past = await read_past(store)
    assert [one.run_id for one in past.runs] == ["later", "night"]
    assert past.zone == "UTC+08:00"
    assert past.runs[0].shown_day == "2026-11-25"


async def test_a_closed_run_takes_two_requests() -> None:
    """A list of the runs is read on a phone: it must not take a minute for a month of nights."""
    store, empty = Store(), Store()
    for number in range(5):
        for name, stored in (await _closed_objects()).items():
            store.objects[name.replace("night", f"night-{number}")] = replace(
                stored, data=stored.data.replace(b'"night"', b'"night-%d"' % number)
            )
    past = await read_past(store)
    await read_past(empty)
    assert [run.outcome for run in past.runs] == [SUCCEEDED] * 5
    lease = 1
    assert len(store.asked) == 5 * 2 + len(empty.asked) + lease


async def _closed_objects() -> dict[str, StoredObject]:
    store = Store()
    await resumed_and_closed(store)
    return store.objects

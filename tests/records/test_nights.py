"""Past nights are read within limits, whatever is wrong with some of them, and never delay or stop a run."""

from __future__ import annotations

import gc
import json
import os
import threading
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
import trio

from job.records import nights as nights_module
from job.records.format import NIGHTS_PAGE, REPORT, STARTED, SUMMARY, name_of
from job.records.inputs import pack
from job.records.lease import LEASE
from job.records.nights import (
    FAILED_READS,
    Night,
    Nights,
    PastNights,
    find_night_before,
    read_nights,
    summary_before,
    write_nights_page,
)
from job.records.overview import day_of
from job.records.summary import MissingGroup, RunSummary, pack_summary
from job.storage import store as store_module
from job.storage.uri import open_store
from job.text.messages import Message
from tests.records.test_record import INPUTS, PLAN
from tests.support.records import Recorded
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
        "cards": {"planned": 20, "generated": 20},
        "engines": {},
    }
    return RunSummary.model_validate(given | changes)


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


async def test_a_run_without_a_summary_is_at_work_or_was_killed_unless_it_has_a_report(memory: Memory) -> None:
    """The lease decides, as in the list of runs; the times are in the zone of the latest run that has a summary."""
    memory.objects.clear()
    memory.clock = time.time
    memory.create(LEASE, Recorded("at-work").lease(pid=os.getpid(), execution=None))
    for number, run_id in enumerate(["closed", "killed", "reported", "at-work"]):
        memory.create(f"{STARTED}20261124T{14 + number}0000Z_{run_id}", b"{}")
    memory.create(name_of("closed", SUMMARY), pack_summary(summary("closed")))
    memory.create(name_of("reported", REPORT), b"{}")
    nights = await read_nights(memory)
    assert {one.run_id: one.state for one in nights.runs} == {
        "at-work": "at work", "reported": None, "killed": "killed", "closed": None
    }  # fmt: skip
    assert (nights.zone, nights.problems) == ("UTC+08:00", [])
    assert day_of(nights.runs[0]) == "2026-11-25"


@pytest.mark.alone
async def test_400_nights_of_which_3_are_broken_take_little_time_and_memory(tmp_path: Path) -> None:
    put(tmp_path, objects(400))
    broken(tmp_path)
    store = open_store(str(tmp_path))
    began = time.monotonic()
    nights = await read_nights(store, 400)
    took = time.monotonic() - began
    assert [night.run_id for night in nights.runs] == [f"nightly-{n:04}" for n in reversed(range(400))]
    assert {night.run_id for night in nights.runs if night.summary is None} == {
        "nightly-0398", "nightly-0300", "nightly-0010"
    }  # fmt: skip
    assert len(nights.problems) == 3
    assert all(any(name in problem for problem in nights.problems) for name in ("0398", "0300", "0010"))
    assert took < 2.0
    del nights
    gc.collect()
    tracemalloc.start()
    try:
        nights = await read_nights(store, 400)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(nights.summaries) == 397
    assert peak < 30 * 2**20


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.needs("emulator")
async def test_60_nights_are_read_from_a_bucket(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_bucket(nursery, monkeypatch) as (store, _):
        found = objects(62)
        async with trio.open_nursery() as writers:
            for name, data in found.items():
                writers.start_soon(_create, store, name, data)
        began = time.monotonic()
        nights = await read_nights(store)
        assert time.monotonic() - began < 5.0
        assert [one.run_id for one in nights.summaries] == [f"nightly-{n:04}" for n in reversed(range(2, 62))]


async def _create(store: ObjectStore, name: str, data: bytes) -> None:
    await store_module.in_thread(lambda: store.create(name, data))


async def test_a_limited_number_is_read_and_known_nights_are_not_read_again() -> None:
    store = Memory()
    for name, data in objects(10).items():
        store.create(name, data)
    nights = await read_nights(store, 4)
    assert store.count("read") == 4
    again = await read_nights(store, 5, {one.run_id: one for one in nights.summaries})
    assert store.count("read") == 5
    assert [night.run_id for night in again.runs] == [f"nightly-{n:04}" for n in (9, 8, 7, 6, 5)]
    assert len(again.summaries) == 5


async def test_older_nights_are_kept_without_their_missing_items(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Memory()
    for name, data in objects(5).items():
        store.create(name, data)
    monkeypatch.setattr(nights_module, "ITEMS_KEPT", 450)
    nights = await read_nights(store)
    assert sum(len(group.targets) for one in nights.summaries for group in one.missing) == 400
    assert [one.missing_not_listed for one in nights.summaries].count(200) == 3


async def test_reading_past_nights_stops_when_storage_fails() -> None:
    store = Memory()
    for name, data in objects(50).items():
        store.create(name, data)
    store.refuse = lambda _, name: name.endswith(SUMMARY)
    nights = await read_nights(store)
    assert nights.summaries == []
    assert FAILED_READS <= store.count("read") <= FAILED_READS + store_module.BACKGROUND_THREADS


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


def nights_of(*summaries: RunSummary) -> Nights:
    return Nights([Night(one.run_id, datetime.fromisoformat(one.started), one) for one in summaries])


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


def test_a_summary_of_the_simplest_kind_can_be_read() -> None:
    assert json.loads(pack_summary(summary("a")))["format"] == 1


async def test_the_page_of_the_nights_is_written_from_what_is_there_now_and_what_was_known() -> None:
    store, shown = Memory(clock=time.time), []

    def render(nights: Nights) -> bytes:
        shown.append([one.run_id for one in nights.summaries])
        return b"page %d" % len(shown)

    for name, data in objects(3).items():
        store.create(name, data)
    known = await read_nights(store)
    for name, data in objects(4).items():
        store.create(name, data)
    store.asked.clear()
    await write_nights_page(store, known, "nightly-0003", render, inf)
    assert shown == [["nightly-0003", "nightly-0002", "nightly-0001", "nightly-0000"]]
    assert store.count("read", SUMMARY) == 1
    await write_nights_page(store, None, "nightly-0003", render, inf)
    assert store.objects[NIGHTS_PAGE].data == b"page 2"


async def test_a_page_of_the_nights_that_another_run_has_written_meanwhile_is_left_to_it() -> None:
    store = Memory(clock=time.time)
    store.create(NIGHTS_PAGE, b"older")

    def render(_: Nights) -> bytes:
        store.replace(NIGHTS_PAGE, b"another's", store.objects[NIGHTS_PAGE].generation)
        return b"ours"

    problem = await write_nights_page(store, None, "night", render, trio.current_time() + 5)
    assert "the page of the nights is not written: " in str(problem)
    assert store.objects[NIGHTS_PAGE].data == b"another's"


async def test_a_page_of_the_nights_that_cannot_be_written_is_a_notice(
    memory: Memory, autojump_clock: MockClock
) -> None:
    memory.refuse = lambda verb, name: name == NIGHTS_PAGE and verb == "create"
    problem = await write_nights_page(memory, None, "night", lambda _: b"", trio.current_time() + 5)
    assert str(problem) == "the page of the nights is not written: index.html: 503 from the fake"
    memory.seconds = 100.0
    began = trio.current_time()
    problem = await write_nights_page(memory, None, "night", lambda _: b"", began + 5)
    assert str(problem) == "the page of the nights is not written: storage took too long"
    assert trio.current_time() == began + 5

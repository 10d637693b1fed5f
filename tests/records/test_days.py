"""Which run is that of a day: an entry for each run, created once; of two starts at the same moment one creates it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trio

from job.config.environment import Settings, read_settings
from job.records.attempts import AttemptEntry, add_attempt
from job.records.days import Chosen, add_day, choose, work_of
from job.report.format import ATTEMPTS, DAYS, INPUTS, STARTED, RecordError
from tests.support.records import Recorded
from tests.support.stores import Memory, store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from job.storage.store import ObjectStore

__all__ = ["store"]

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
URLS = {f"{name}_ENGINE_URL": f"https://{name.lower()}.example/base" for name in ("FINANCIAL", "TRADING", "NEWS", "QA")}
DATED = {"RUN_DATE": "2026-11-24"}
SHANGHAI = {"RUN_TIME_ZONE": "Asia/Shanghai"}


def settings(variables: Mapping[str, str], now: datetime = NOW) -> Settings:
    given = {"CONFIG_URI": "gs://cards/config", **URLS, **variables}
    made, faults = read_settings(given, now)
    assert faults == []
    return made


def empty() -> Memory:
    return Memory(clock=time.time)


async def opened(
    store: ObjectStore, run_id: str, variables: Mapping[str, str], now: datetime = NOW, *, again: bool = False
) -> str:
    """The run that a start is about, whose entry is there then."""
    chosen = await choose(store, settings(variables, now), run_id, now, again=again)
    assert chosen.is_listed or await add_day(store, chosen)
    return chosen.run_id


# --- the work of a start ---


@pytest.mark.parametrize(
    ("variables", "same"),
    [
        ({"QA_ENGINE_URL": "https://QA.example:443/base/"}, True),
        ({"QA_ENGINE_URL": "https://qa.example/staging"}, False),
        ({"QA_ENGINE_URL": "https://qa.example/"}, False),
        ({"QA_ENGINE_AUDIENCE": f"https://other.example {URLS['QA_ENGINE_URL']}"}, True),
        ({"TRADING_ENGINE_BATCH_SIZE": "3", "NEWS_ENGINE_CONCURRENCY": "3"}, True),
        ({"QA_ENGINE_URL": "https://staging.example/base"}, False),
        ({"QA_ENGINE_URL": "https://qa.example:8443/base"}, False),
        ({"NEWS_ENGINE_URL": "http://localhost/base"}, False),
        ({"NEWS_ENGINE_URL": URLS["QA_ENGINE_URL"], "QA_ENGINE_URL": URLS["NEWS_ENGINE_URL"]}, False),
        ({"CONFIG_URI": "gs://cards/config/"}, True),
        ({"CONFIG_URI": "gs://cards/other"}, False),
        ({"RUN_DATE": "today"}, True),
        ({"RUN_DATE": "2026-11-23"}, False),
        ({"RUN_DATE": ""}, False),
        ({"RUN_ID": "other", "CLOUD_RUN_EXECUTION": "x", "NOTIFY_URL": "https://x.example"}, True),
    ],
)
async def test_starts_do_the_same_work_if_day_config_and_engines_are_the_same(
    variables: dict[str, str], same: bool
) -> None:
    """Without RUN_DATE each engine uses its own date, which may be another one."""
    one, two = settings(DATED), settings(DATED | variables)
    assert (work_of(one, one.day_of(NOW)) == work_of(two, two.day_of(NOW))) is same


def test_the_day_of_a_start_is_that_of_its_zone() -> None:
    late = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)
    there = settings(SHANGHAI | {"RUN_DATE": "today"}, late)
    assert there.day_of(late) == "2026-11-24"
    assert work_of(there, there.day_of(late)) == work_of(settings(DATED), "2026-11-24")


# --- which run a start is about ---


async def test_the_first_start_of_a_day_opens_a_run_that_later_ones_continue(store: ObjectStore) -> None:
    assert await opened(store, "a", DATED) == "a"
    assert await opened(store, "b", DATED) == "a"
    assert await opened(store, "c", {"RUN_DATE": "2026-11-25"}) == "c"
    assert await opened(store, "d", {}) == "d", "without a date"
    assert await opened(store, "e", {}) == "d"
    assert len(await trio.to_thread.run_sync(store.names, DAYS)) == 3


async def test_everything_anew_is_a_run_of_its_own_that_later_starts_continue(store: ObjectStore) -> None:
    assert await opened(store, "a", DATED) == "a"
    assert await opened(store, "b", DATED, again=True) == "b"
    assert await opened(store, "c", DATED) == "b"
    assert await opened(store, "d", DATED, again=True) == "d"
    assert await opened(store, "e", DATED) == "d"


async def test_a_retry_of_everything_anew_opens_no_third_run() -> None:
    store, execution = empty(), DATED | {"CLOUD_RUN_EXECUTION": "b"}
    await opened(store, "a", DATED)
    assert await opened(store, "b", execution, again=True) == "b"
    assert await opened(store, "b", execution | {"CLOUD_RUN_TASK_ATTEMPT": "1"}, again=True) == "b"
    assert len(store.names(DAYS)) == 2


async def test_a_run_id_asks_for_that_run_and_an_executions_name_does_not() -> None:
    store = empty()
    await opened(store, "a", DATED)
    assert await opened(store, "night", DATED | {"RUN_ID": "night"}) == "night"
    assert await opened(store, "x", DATED | {"CLOUD_RUN_EXECUTION": "x"}) == "night"


async def test_more_than_nine_runs_of_a_day_are_in_their_order() -> None:
    store = empty()
    for number in range(12):
        await opened(store, f"run-{number}", DATED, again=True)
    assert await opened(store, "x", DATED) == "run-11"


@pytest.mark.parametrize("runs", [1, 12])
async def test_the_run_of_a_day_is_found_with_two_requests(runs: int) -> None:
    store = empty()
    for number in range(runs):
        await opened(store, f"run-{number}", DATED, again=True)
    store.asked.clear()
    chosen = await choose(store, settings(DATED), "x", NOW, again=False)
    assert chosen == Chosen(f"run-{runs - 1}", chosen.work, runs, is_listed=True)
    assert [verb for verb, _ in store.asked] == ["names", "read"]


async def test_the_first_start_of_a_day_makes_two_requests_and_creates_its_entry() -> None:
    store = empty()
    await opened(store, "a", DATED)
    assert [verb for verb, _ in store.asked] == ["names", "names", "create"]


# --- the same instant ---


async def test_of_two_starts_at_the_same_moment_one_opens_the_run_of_the_day(store: ObjectStore) -> None:
    one, two = [await choose(store, settings(DATED), run_id, NOW, again=False) for run_id in "ab"]
    assert (await add_day(store, one), await add_day(store, two)) == (True, False)
    assert (await choose(store, settings(DATED), "b", NOW, again=False)).run_id == "a"


async def test_an_entry_whose_answer_was_lost_is_that_of_its_run() -> None:
    store = empty()
    chosen = await choose(store, settings(DATED), "a", NOW, again=False)
    assert await add_day(store, chosen)
    assert await add_day(store, chosen)


# --- after midnight ---

BEFORE, AFTER = datetime(2026, 11, 24, 23, 50, tzinfo=UTC), datetime(2026, 11, 25, 0, 10, tzinfo=UTC)
EXECUTION = {"CLOUD_RUN_EXECUTION": "cards-x7k2p"}
RETRY = EXECUTION | {"CLOUD_RUN_TASK_ATTEMPT": "1"}


async def recorded(store: Memory, run_id: str, execution: str, day: str) -> None:
    store.create(f"{run_id}/{INPUTS}", Recorded(run_id, day=day).objects()[f"{run_id}/{INPUTS}"])
    entry = AttemptEntry(owner=run_id, started=f"{day}T23:50:00+00:00", execution=execution)
    await add_attempt(store, run_id, entry, 0)


@pytest.mark.parametrize("date", [{}, {"RUN_DATE": "today"}])
@pytest.mark.parametrize("run_id", ["cards-x7k2p", "cards-first"])
async def test_a_retry_after_midnight_goes_on_with_the_run_of_its_execution(date: dict[str, str], run_id: str) -> None:
    """The run that the execution has opened, or that of the day before, which it has continued."""
    store = empty()
    await opened(store, run_id, date, BEFORE)
    await recorded(store, run_id, "cards-x7k2p", "2026-11-24")
    chosen = await choose(store, settings(date | RETRY, AFTER), "cards-x7k2p", AFTER, again=False)
    assert chosen.run_id == run_id


@pytest.mark.parametrize("date", [{}, {"RUN_DATE": "today"}])
@pytest.mark.parametrize(
    "variables", [{"CLOUD_RUN_EXECUTION": "cards-other", "CLOUD_RUN_TASK_ATTEMPT": "1"}, EXECUTION]
)
async def test_nothing_else_goes_on_with_the_run_of_the_day_before(
    date: dict[str, str], variables: dict[str, str]
) -> None:
    store = empty()
    await opened(store, "cards-first", date, BEFORE)
    await recorded(store, "cards-first", "cards-x7k2p", "2026-11-24")
    assert await opened(store, "new", date | variables, AFTER) == "new"


# --- records of early versions ---


def early(store: Memory, *runs: Recorded) -> None:
    """Writes records as an early version leaves them: without attempts, and without an entry of their day."""
    for run in runs:
        for name, data in run.objects().items():
            store.create(name, data)


@pytest.mark.parametrize(
    ("run", "date", "expected"),
    [
        (Recorded("old"), "2026-11-24", "old"),
        (Recorded("old"), "today", "old"),
        (Recorded("old", outcome=None), "2026-11-24", "old"),
        (Recorded("old", has_date=False), None, "old"),
        (Recorded("old", has_date=False), "2026-11-24", "new"),
        (Recorded("old", has_date=False), "today", "new"),
        (Recorded("old"), None, "new"),
        (Recorded("old", day="2026-11-20"), "2026-11-24", "new"),
        (Recorded("old", config_uri="gs://cards/other"), "2026-11-24", "new"),
        (Recorded("old", started="2026-11-23T12:00:00+00:00"), "2026-11-24", "new"),
    ],
)
async def test_a_record_of_an_early_version_is_found_by_the_list_of_runs(
    run: Recorded, date: str | None, expected: str
) -> None:
    store = empty()
    early(store, run)
    variables = SHANGHAI | ({} if date is None else {"RUN_DATE": date})
    assert await opened(store, "new", variables) == expected


async def test_of_several_records_of_early_versions_the_latest_counts() -> None:
    store = empty()
    early(store, Recorded("z", started="2026-11-24T07:00:00+08:00"), Recorded("a", started="2026-11-24T08:30:00+08:00"))
    assert await opened(store, "new", SHANGHAI | DATED) == "a"


async def test_a_run_of_other_engines_without_an_entry_for_this_work_is_no_early_one() -> None:
    store = empty()
    early(store, Recorded("staging"))
    await add_attempt(store, "staging", AttemptEntry(owner="a", started="2026-11-24T02:00:03+08:00"), 0)
    assert store.names(f"staging/{ATTEMPTS}")
    assert await opened(store, "new", SHANGHAI | DATED) == "new"


async def test_a_run_with_only_the_faults_of_its_config_is_not_continued() -> None:
    store = empty()
    store.create(f"{STARTED}20261124T000000Z_faulty", b"{}\n")
    store.create("faulty/report.json", b"{}")
    assert await opened(store, "new", DATED) == "new"


# --- entries that no run has written ---


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"run_id": "no/id"}', b'{"run_id": 5}', b"[" * 100_000])
async def test_a_foreign_entry_is_refused_by_name(data: bytes) -> None:
    store = empty()
    name = f"{DAYS}{work_of(settings(DATED), '2026-11-24')}_000001"
    store.create(name, data)
    with pytest.raises(RecordError, match=f"^{name} is not what a run writes"):
        await choose(store, settings(DATED), "x", NOW, again=False)


async def test_an_entry_with_another_name_is_refused() -> None:
    store = empty()
    await opened(store, "a", DATED)
    store.create(f"{DAYS}{work_of(settings(DATED), '2026-11-24')}_x", b'{"run_id": "b"}')
    with pytest.raises(RecordError, match="_x is not what a run writes"):
        await choose(store, settings(DATED), "x", NOW, again=False)

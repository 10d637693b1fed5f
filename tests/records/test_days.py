"""Which run is that of a day: an entry for each run, created once; of two starts at the same moment one creates it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trio

from job.config.environment import Settings, read_settings
from job.ledger.ledger import Ledger
from job.records.days import add_day, choose
from job.records.record import pack_report
from job.report.format import DAYS, REPORT, STARTED, RecordError
from job.report.outcome import Ending, ExitCode, Outcome
from job.report.report import AttemptSummary, report_of
from job.text.messages import message
from tests.support.records import Recorded
from tests.support.results import result_of
from tests.support.stores import Memory, store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from job.engines.catalog import EngineName
    from job.storage.store import ObjectStore

__all__ = ["store"]

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
URLS = {f"{name}_ENGINE_URL": f"https://{name.lower()}.example/base" for name in ("FINANCIAL", "TRADING", "NEWS", "QA")}
DAY = "2026-11-24"
DATED = {"RUN_DATE": DAY}
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
    given = settings(variables, now)
    chosen = await choose(store, given, run_id, now, again=again)
    assert chosen.is_listed or await add_day(store, chosen, chosen.dated(given).run_date)
    return chosen.run_id


# --- the work of a start ---


async def work_of(variables: Mapping[str, str], now: datetime = NOW) -> str | None:
    return (await choose(empty(), settings(variables, now), "own", now, again=False)).work


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
        ({"RUN_DATE": ""}, True),
        ({"RUN_ID": "other", "CLOUD_RUN_EXECUTION": "x", "NOTIFY_URL": "https://x.example"}, True),
    ],
)
async def test_starts_do_the_same_work_if_day_config_and_engines_are_the_same(
    variables: dict[str, str], same: bool
) -> None:
    assert (await work_of(DATED) == await work_of(DATED | variables)) is same


async def test_the_day_of_a_start_is_that_of_its_zone() -> None:
    late = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)
    chosen = await choose(empty(), settings(SHANGHAI | {"RUN_DATE": "today"}, late), "own", late, again=False)
    assert chosen.day == "2026-11-24"


# --- which run a start is about ---


async def test_the_first_start_of_a_day_opens_a_run_that_later_ones_continue(store: ObjectStore) -> None:
    assert await opened(store, "a", DATED) == "a"
    assert await opened(store, "b", DATED) == "a"
    assert await opened(store, "c", {"RUN_DATE": "2026-11-25"}) == "c"
    assert await opened(store, "d", {}) == "a", "without a date, on the same day"
    assert len(await trio.to_thread.run_sync(store.names, DAYS)) == 2


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
    assert len(store.names(f"{DAYS}2026")) == 2


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
    assert (chosen.run_id, chosen.number, chosen.is_listed) == (f"run-{runs - 1}", runs, True)
    assert [verb for verb, _ in store.asked] == ["names", "read"]


async def test_the_first_start_of_a_day_makes_two_requests_and_creates_its_entry() -> None:
    store = empty()
    await opened(store, "a", DATED)
    assert [verb for verb, _ in store.asked] == ["names", "names", "create"]


# --- the same instant ---


async def test_of_two_starts_at_the_same_moment_one_opens_the_run_of_the_day(store: ObjectStore) -> None:
    one, two = [await choose(store, settings(DATED), run_id, NOW, again=False) for run_id in "ab"]
    assert (await add_day(store, one, DAY), await add_day(store, two, DAY)) == (True, False)
    assert (await choose(store, settings(DATED), "b", NOW, again=False)).run_id == "a"


async def test_an_entry_whose_answer_was_lost_is_that_of_its_run() -> None:
    store = empty()
    chosen = await choose(store, settings(DATED), "a", NOW, again=False)
    assert await add_day(store, chosen, DAY)
    assert await add_day(store, chosen, DAY)


# --- other engines ---


def closed(store: Memory, run_id: str, engines: Sequence[EngineName]) -> None:
    """The report of a run in which these engines have done something."""
    inputs = Recorded(run_id).inputs
    ledger = Ledger(inputs.plan())
    for engine in engines:
        ledger.add(result_of(next(ledger.plan.calls(engine))))
    ending = Ending(Outcome.DATA_ENGINE_FAILED, ExitCode.FAILED, message("How it ended."))
    report = report_of(inputs, ledger, [AttemptSummary.of(ending, inputs, NOW, 5.0)])
    store.create(f"{run_id}/{REPORT}", pack_report(report))


@pytest.mark.parametrize(
    ("engines", "is_same"),
    [([], True), (["financial"], True), (["financial", "qa"], False), (None, False)],
    ids=["nothing", "another engine", "that engine", "it is not closed"],
)
async def test_a_url_is_corrected_until_its_engine_has_done_something(
    engines: list[EngineName] | None, is_same: bool
) -> None:
    store = empty()
    await opened(store, "a", DATED | {"QA_ENGINE_URL": "https://wrong.example"})
    if engines is not None:
        closed(store, "a", engines)
    assert await opened(store, "b", DATED) == ("a" if is_same else "b")


# --- after midnight ---

BEFORE, AFTER = datetime(2026, 11, 24, 23, 50, tzinfo=UTC), datetime(2026, 11, 25, 0, 10, tzinfo=UTC)
EXECUTION = {"CLOUD_RUN_EXECUTION": "cards-x7k2p"}
RETRY = EXECUTION | {"CLOUD_RUN_TASK_ATTEMPT": "1"}


@pytest.mark.parametrize("is_next_day_there", [False, True])
@pytest.mark.parametrize("date", [{}, {"RUN_DATE": "today"}])
@pytest.mark.parametrize("first", [None, "cards-first"])
async def test_a_retry_after_midnight_is_for_the_day_of_its_execution(
    first: str | None, date: dict[str, str], is_next_day_there: bool
) -> None:
    """Whether it has opened the run or continues it, and also if the next day has a run by then."""
    store = empty()
    if first is not None:
        await opened(store, first, date, BEFORE)
    run_id = await opened(store, "cards-x7k2p", date | EXECUTION, BEFORE)
    assert run_id == (first or "cards-x7k2p")
    if is_next_day_there:
        await opened(store, "next", date, AFTER)
    chosen = await choose(store, settings(date | RETRY, AFTER), "cards-x7k2p", AFTER, again=False)
    assert (chosen.run_id, chosen.day) == (run_id, "2026-11-24")


@pytest.mark.parametrize("date", [{}, {"RUN_DATE": "today"}])
@pytest.mark.parametrize("variables", [{"CLOUD_RUN_EXECUTION": "cards-other", "CLOUD_RUN_TASK_ATTEMPT": "1"}, {}])
async def test_nothing_else_is_for_the_day_before(date: dict[str, str], variables: dict[str, str]) -> None:
    store = empty()
    await opened(store, "cards-x7k2p", date | EXECUTION, BEFORE)
    assert await opened(store, "new", date | variables, AFTER) == "new"


async def test_a_run_without_a_date_is_not_continued_on_a_later_day() -> None:
    store = empty()
    await opened(store, "undated", {}, BEFORE)
    assert await opened(store, "new", DATED, AFTER) == "new"


@pytest.mark.parametrize("data", [b"", b"{}", b'{"day": "never"}'])
async def test_a_foreign_day_of_an_execution_is_refused_by_name(data: bytes) -> None:
    store = empty()
    store.create(f"{DAYS}execution_cards-x7k2p", data)
    with pytest.raises(RecordError, match=r"^_days/execution_cards-x7k2p is not what a run writes"):
        await choose(store, settings(RETRY, AFTER), "cards-x7k2p", AFTER, again=False)


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
        (Recorded("old", has_date=False), "2026-11-24", "old"),
        (Recorded("old", has_date=False), "today", "old"),
        (Recorded("old"), None, "old"),
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


async def test_a_run_with_only_the_faults_of_its_config_is_not_continued() -> None:
    store = empty()
    store.create(f"{STARTED}20261124T000000Z_faulty", b"{}\n")
    store.create("faulty/report.json", b"{}")
    assert await opened(store, "new", DATED) == "new"


# --- entries that no run has written ---


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"run_id": "no/id"}', b'{"run_id": 5}', b"[" * 100_000])
async def test_a_foreign_entry_is_refused_by_name(data: bytes) -> None:
    store = empty()
    name = f"{(await choose(store, settings(DATED), 'x', NOW, again=False)).prefix}000001"
    store.create(name, data)
    with pytest.raises(RecordError, match=f"^{name} is not what a run writes"):
        await choose(store, settings(DATED), "x", NOW, again=False)


async def test_an_entry_with_another_name_is_refused() -> None:
    store = empty()
    await opened(store, "a", DATED)
    prefix = (await choose(store, settings(DATED), "x", NOW, again=False)).prefix
    store.create(f"{prefix}x", b'{"run_id": "b"}')
    with pytest.raises(RecordError, match="_x is not what a run writes"):
        await choose(store, settings(DATED), "x", NOW, again=False)

"""The settings of tonight's run are those of the latest start by a schedule, unless the shell sets others."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from job.records.attempts import AttemptEntry, add_attempt
from job.records.past import Past, PastRun
from job.records.tonight import Start, find_latest_start, settings_of_tonight
from job.report.format import name_of
from job.report.inputs import pack
from job.report.outcome import Outcome
from job.storage.store import StorageError
from tests.support.records import Recorded
from tests.support.stores import Memory

URI = "gs://cards/config"
NOW = datetime(2026, 11, 26, 23, 30, tzinfo=UTC)
CONCURRENCY = {"financial": 2, "trading": 3, "news": 7, "qa": 32}


async def recorded(*nights: dict[str, Any]) -> tuple[Memory, Past]:
    """Runs, the newest first, each with how its first attempt began, and with the attempts that followed."""
    store, runs = Memory(clock=time.time), []
    for number, night in enumerate(nights):
        run = Recorded(f"night-{number}", day=f"2026-11-{25 - number}", config_uri=night.pop("uri", URI))
        later = night.pop("later", None)
        if not night.pop("is_early", False):
            given = {"run_date": "today", "zone": "Asia/Shanghai", "execution": "cards-x", "concurrency": CONCURRENCY}
            entry = AttemptEntry.model_validate({"owner": "a", "started": run.started, **given, **night})
            await add_attempt(store, run.run_id, entry, 0)
        if later:
            await add_attempt(store, run.run_id, AttemptEntry(owner="b", started=run.started, **later), 1)
        store.create(name_of(run.run_id, "inputs.json"), pack(run.inputs))
        runs.append(PastRun(run.run_id, datetime.fromisoformat(run.started), run.day, Outcome.KILLED))
    return store, Past(runs)


async def chosen(*nights: dict[str, Any], uri: str | None = URI) -> str | None:
    store, past = await recorded(*nights)
    start = await find_latest_start(store, past, uri)
    return None if start is None else start.run_id


RESUME = {"arguments": ("resume", "night"), "concurrency": {"qa": 1}}
FOUND = {
    "the latest": ([{}, {}], "night-0"),
    "not one with a date, which is a backfill": ([{"run_date": "2026-11-25"}, {}], "night-1"),
    "one without any date": ([{"run_date": None}, {}], "night-0"),
    "one that makes everything anew": ([{"arguments": ("run", "--again")}], "night-0"),
    "not one whose first attempt is a resume": ([RESUME, {}], "night-1"),
    "one that was resumed later": ([{"later": RESUME}, {}], "night-0"),
    "not one of another config": ([{"uri": "gs://trial/config"}, {}], "night-1"),
    "not one from a laptop, if others are from the cloud": ([{"execution": None}, {}], "night-1"),
    "one from a laptop, if there is no other": ([{"execution": None}, {"run_date": "2026-11-24"}], "night-0"),
    "none of an early version": ([{"is_early": True}], None),
    "none at all": ([], None),
}


@pytest.mark.parametrize(("nights", "expected"), FOUND.values(), ids=FOUND)
async def test_the_latest_start_by_a_schedule(nights: list[dict[str, Any]], expected: str | None) -> None:
    assert await chosen(*[dict(night) for night in nights]) == expected


async def test_without_a_config_any_start_counts() -> None:
    assert await chosen({"uri": "gs://trial/config"}, {}, uri=None) == "night-0"


async def test_a_start_has_what_its_first_attempt_was_given() -> None:
    store, past = await recorded({"later": RESUME})
    assert await find_latest_start(store, past, f"{URI}/") == Start(
        "night-0",
        "2026-11-25",
        {
            "RUN_DATE": "today",
            "RUN_TIME_ZONE": "Asia/Shanghai",
            "FINANCIAL_ENGINE_CONCURRENCY": "2",
            "TRADING_ENGINE_CONCURRENCY": "3",
            "NEWS_ENGINE_CONCURRENCY": "7",
            "QA_ENGINE_CONCURRENCY": "32",
            "FINANCIAL_ENGINE_BATCH_SIZE": "2",
            "TRADING_ENGINE_BATCH_SIZE": "2",
        },
    )


async def test_the_deadline_of_a_start_is_that_of_tonight() -> None:
    store, past = await recorded({"deadline": 10800.0})
    start = await find_latest_start(store, past, URI)
    settings, _ = settings_of_tonight(start, {}, NOW)
    assert settings.deadline == 10800.0


async def test_altered_records_are_passed_over_and_a_failure_of_storage_is_not() -> None:
    store, past = await recorded({}, {}, {})
    for name in ("night-0/attempts/000001.json", "night-1/inputs.json"):
        there = store.objects[name]
        store.replace(name, b"altered", there.generation)
    start = await find_latest_start(store, past, URI)
    assert start is not None
    assert start.run_id == "night-2"
    store.refuse = lambda verb, _: verb == "read"
    with pytest.raises(StorageError):
        await find_latest_start(store, past, URI)


START = Start(
    "night", "2026-11-26", {"RUN_DATE": "today", "RUN_TIME_ZONE": "Asia/Shanghai", "QA_ENGINE_CONCURRENCY": "32"}
)


def test_the_shell_comes_before_the_latest_start_and_that_before_the_defaults() -> None:
    environ = {"QA_ENGINE_CONCURRENCY": " ", "NEWS_ENGINE_CONCURRENCY": "3", "CONFIG_URI": URI}
    settings, origin = settings_of_tonight(START, environ, NOW)
    assert (settings.run_date, settings.run_date_is_explicit) == ("2026-11-27", False), "it is morning in Shanghai"
    assert {name: engine.concurrency for name, engine in settings.engines.items()} == {
        "financial": 4,
        "trading": 4,
        "news": 3,
        "qa": 32,
    }
    assert str(origin) == (
        "As in run night of 2026-11-26, since this shell does not set it: "
        "RUN_DATE=today, RUN_TIME_ZONE=Asia/Shanghai, QA_ENGINE_CONCURRENCY=32"
    )


def test_today_in_the_shell_is_a_day_of_the_runs_zone() -> None:
    settings, origin = settings_of_tonight(START, {"RUN_DATE": "today", "QA_ENGINE_CONCURRENCY": "5"}, NOW)
    assert settings.run_date == "2026-11-27"
    assert str(origin).endswith(" does not set it: RUN_TIME_ZONE=Asia/Shanghai")
    settings, _ = settings_of_tonight(START, {"RUN_TIME_ZONE": "UTC"}, NOW)
    assert settings.run_date == "2026-11-26"
    settings, _ = settings_of_tonight(START, {"RUN_DATE": "2026-01-02"}, NOW)
    assert (settings.run_date, settings.run_date_is_explicit) == ("2026-01-02", True)


def test_without_a_start_the_defaults_are_named() -> None:
    settings, origin = settings_of_tonight(None, {"QA_ENGINE_CONCURRENCY": "9"}, NOW)
    assert settings.run_date is None
    assert str(origin) == (
        "How a schedule starts this run is not known. Assumed: FINANCIAL_ENGINE_CONCURRENCY=4, "
        "FINANCIAL_ENGINE_BATCH_SIZE=5, TRADING_ENGINE_CONCURRENCY=4, TRADING_ENGINE_BATCH_SIZE=5, "
        "NEWS_ENGINE_CONCURRENCY=8"
    )


def test_what_no_run_can_have_been_started_with_is_not_used() -> None:
    altered = {"QA_ENGINE_CONCURRENCY": "1000000", "RUN_TIME_ZONE": "../etc/passwd", "FINANCIAL_ENGINE_BATCH_SIZE": "7"}
    settings, origin = settings_of_tonight(Start("night", "2026-11-26", altered), {}, NOW)
    assert settings.engines["qa"].concurrency == 16
    assert settings.time_zone.key == "UTC"
    assert str(origin).endswith(": FINANCIAL_ENGINE_BATCH_SIZE=7")


def test_a_shell_that_sets_everything_takes_nothing() -> None:
    _, origin = settings_of_tonight(START, {**START.variables, "RUN_DATE": "2026-11-01"}, NOW)
    assert str(origin) == "Every setting is this shell's own."

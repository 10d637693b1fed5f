"""A list of nights has a row for each day, read from its end alone; one that cannot be read spoils no other."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
import trio

from job.config.days import Days
from job.config.environment import read_settings
from job.day.attempt import Outcome
from job.day.history import Night, Nights
from job.records.lease import LEASE
from job.records.objects import RecordError
from job.records.past_nights import PastNights, read_nights
from job.records.record import Record
from tests.support.records import RecordedAttempt, lease_of, put, refusal, start_at
from tests.support.stores import Memory, memory

__all__ = ["memory"]
DAYS = [f"2026-11-{day}" for day in range(20, 27)]


def fill(store: Memory) -> None:
    """A day of each kind."""
    put(
        store,
        RecordedAttempt(DAYS[0]).record(),
        RecordedAttempt(DAYS[1], outcome="cards_missing", failed=["MSFT"]).record(),
        RecordedAttempt(DAYS[1], number=2).record(),
        RecordedAttempt(DAYS[2], outcome="cards_missing", failed=["MSFT"]).record(),
        RecordedAttempt(DAYS[2], number=2, outcome=None).record(),
        refusal(DAYS[3]),
        RecordedAttempt(DAYS[4]).record() | {f"{DAYS[4]}/ends/000001.json": b"?"},
        {f"{DAYS[5]}/x": b""},
        RecordedAttempt(DAYS[6], outcome=None).record(),
        {LEASE: lease_of(DAYS[6]), "index.html": b""},
        {f"{folder}/attempts/000001.json": b"" for folder in ("other", "2026-1-2", "9999-12-31")},
    )
    store.objects[LEASE] = replace(store.objects[LEASE], updated=1e9)


async def test_each_day_has_a_row_with_its_state(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1e9)
    fill(memory)
    nights = await read_nights(memory)
    assert [(one.day, one.outcome.value) for one in nights.nights] == [
        (DAYS[6], "at work"),
        (DAYS[4], "unreadable"),
        (DAYS[3], "bad_config"),
        (DAYS[2], "killed"),
        (DAYS[1], "succeeded"),
        (DAYS[0], "succeeded"),
    ], "the newest first; a day that was only waited for has not begun"
    assert [str(one.problem) for one in nights.nights if one.problem] == [
        f"{DAYS[4]}/ends/000001.json is not as the job wrote it"
    ]
    assert [report.day for report in nights.reports] == [DAYS[3], DAYS[1], DAYS[0]]


async def test_a_day_that_lacks_an_object_of_results_is_not_shown_as_done(memory: Memory) -> None:
    put(memory, {name: data for name, data in RecordedAttempt(DAYS[0]).record().items() if "/results/" not in name})
    (one,) = (await read_nights(memory)).nights
    assert one.outcome is Outcome.UNREADABLE
    assert str(one.problem) == f"{DAYS[0]}/results/000001-000000.jsonl is missing"


@pytest.mark.parametrize("gone", [("/attempts/",), ("/attempts/", "/ends/"), ("/attempts/", "-000000.jsonl")])
async def test_a_day_of_which_age_has_taken_the_attempts_is_in_no_list_and_goes_not_on(
    memory: Memory, gone: tuple[str, ...]
) -> None:
    old = RecordedAttempt(DAYS[0]).record()
    old |= {f"{DAYS[0]}/results/000001-000001.jsonl": b""}
    put(memory, {name: data for name, data in old.items() if not any(part in name for part in gone)})
    put(memory, RecordedAttempt(DAYS[1]).record())
    assert [one.day for one in (await read_nights(memory)).nights] == [DAYS[1]]
    with pytest.raises(RecordError, match=r"attempts/000001\.json is missing"):
        await Record.read(memory, DAYS[0])


def test_on_a_laptop_the_latest_start_has_the_schedule_whichever_day_it_was_for() -> None:
    """Also one that is at work; of a variable that is set, the variable counts."""
    later = start_at(DAYS[0], started="2027-01-01T09:00:00+08:00", schedule="0 9 * * *", zone="Europe/London")
    nights = Nights([night(RecordedAttempt(DAYS[1])), Night(DAYS[0], Outcome.AT_WORK, attempt=later)])
    assert nights.days(read_settings({})[0]) == Days(ZoneInfo("Europe/London"), "0 9 * * *")
    own, _ = read_settings({"RUN_TIME_ZONE": "UTC", "RUN_SCHEDULE": "0 1 * * *"})
    assert nights.days(own) == Days(ZoneInfo("UTC"), "0 1 * * *")
    assert Nights().days(read_settings({})[0]) == Days(ZoneInfo("UTC"))


def night(attempt: RecordedAttempt) -> Night:
    report = attempt.report()
    return Night(report.day, report.outcome, report)


# --- past nights, read beside an attempt ---


async def test_a_bug_in_reading_past_nights_ends_no_attempt(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    memory.folders = None  # type: ignore[method-assign,assignment]
    past = PastNights(lambda _: None)
    await past.read_beside(memory, "2026-11-30")
    assert "past nights are not read" in caplog.text
    caplog.clear()
    assert past.severity_before(DAYS[3]) is None


async def test_past_nights_can_be_waited_for(memory: Memory) -> None:
    put(memory, RecordedAttempt(DAYS[0]).record())
    memory.seconds, past = 1.0, PastNights(lambda _: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(past.read_beside, memory, DAYS[1])
        await past.wait_until_read()
        assert [one.day for one in past.before(DAYS[1])] == DAYS[:1]

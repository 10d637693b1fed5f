"""The day of a start is that of the schedule's latest tick: it never goes back, whatever the clocks of a zone do."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from job.config.days import EARLY, Days, is_schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

ZONES = [
    "UTC",
    "Asia/Shanghai",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Europe/London",
    "America/Santiago",
    "Pacific/Chatham",
]
SCHEDULES = {  # each with its time and its days of the week, Monday being 0
    "30 22 * * 1-5": (time(22, 30), range(5)),
    "30 6 * * 1-5": (time(6, 30), range(5)),
    "30 1 * * *": (time(1, 30), range(7)),
    "45 2 * * sun": (time(2, 45), (6,)),
    "0 0 * * *": (time(0), range(7)),
}
WEEKDAYS = Days(ZoneInfo("Asia/Shanghai"), "30 22 * * 1-5")
NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> datetime:
    """A time in Shanghai."""
    return datetime.fromisoformat(f"{text}+08:00")


def moments(zone: ZoneInfo, count: int) -> list[datetime]:
    """So many moments of two years, in order. Half of them are within hours of a change of the zone's clocks."""
    some = random.Random(zone.key)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    hours = [begin + timedelta(hours=number) for number in range(2 * 365 * 24)]
    offsets = [hour.astimezone(zone).utcoffset() for hour in hours]
    changes = [hour for hour, one, other in zip(hours, offsets, offsets[1:], strict=False) if one != other] or hours
    near = (some.choice(changes) + timedelta(seconds=some.randrange(-30_000, 30_000)) for _ in range(count // 2))
    return sorted([*near, *(some.choice(hours) + timedelta(seconds=some.randrange(3600)) for _ in range(count // 2))])


def tick(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """When the clocks first show that time of that day, or what follows if they leave it out."""
    shown = datetime.combine(day, clock, zone)
    while shown.astimezone(UTC).astimezone(zone) != shown:
        shown += timedelta(minutes=1)
    return shown.astimezone(UTC)


def expected(moment: datetime, clock: time, weekdays: Sequence[int], zone: ZoneInfo) -> str:
    day = moment.astimezone(zone).date()
    while day.weekday() not in weekdays or tick(day, clock, zone) > moment:
        day -= timedelta(days=1)
    return day.isoformat()


@pytest.mark.parametrize("zone", ZONES)
def test_the_current_day_is_that_of_the_latest_tick_and_never_goes_back(zone: str) -> None:
    latest = dict.fromkeys(SCHEDULES, "")
    for number, moment in enumerate(moments(ZoneInfo(zone), 1250)):
        schedule = [*SCHEDULES][number % len(SCHEDULES)]
        days, (clock, weekdays) = Days(ZoneInfo(zone), schedule), SCHEDULES[schedule]
        day = days.current(moment)
        assert day == expected(moment + EARLY, clock, weekdays, days.zone), (schedule, moment)
        assert day >= latest[schedule]
        latest[schedule] = day
        if number % 20 > 4:
            continue
        until = days.until(day).astimezone(UTC)
        assert moment < until
        assert days.current(until) > day
        assert days.current(until - timedelta(seconds=1)) == day


@pytest.mark.parametrize("zone", ZONES)
def test_without_a_schedule_it_is_the_calendars(zone: str) -> None:
    days = Days(ZoneInfo(zone))
    for moment in moments(days.zone, 100):
        day = days.current(moment)
        assert day == moment.astimezone(days.zone).date().isoformat()
        assert moment < days.until(day).astimezone(UTC)
        assert days.current(days.until(day).astimezone(UTC)) > day


def test_several_ticks_of_a_date_are_one_night_and_those_of_two_dates_are_two() -> None:
    both, over_midnight = (Days(WEEKDAYS.zone, cron) for cron in ("0 22,23 * * *", "30 22,0 * * *"))
    assert both.until("2026-11-24") == at("2026-11-25T21:50")
    assert over_midnight.until("2026-11-24") == at("2026-11-25T00:20")


def test_an_hour_that_comes_twice_begins_a_day_once_and_one_that_is_left_out_when_it_is_over() -> None:
    twice, left_out = Days(NEW_YORK, "30 1 * * *"), Days(NEW_YORK, "30 2 * * *")
    in_est = datetime(2026, 11, 1, 6, 10, tzinfo=UTC)  # 01:10 for the second time
    assert twice.current(in_est) == "2026-11-01"
    assert left_out.after("2026-03-07") == datetime(2026, 3, 8, 7, tzinfo=UTC)  # 03:00


def test_a_day_is_past_24_hours_after_it_began() -> None:
    for day, begins in (("2026-11-24", "22:30"), ("2026-11-28", "00:00")):  # a Saturday has no tick
        end = at(f"{day}T{begins}") + timedelta(hours=24)
        assert not WEEKDAYS.is_past(day, end - timedelta(seconds=1))
        assert WEEKDAYS.is_past(day, end)
    assert WEEKDAYS.is_past("0001-01-01", at("2026-11-24T09:00"))
    assert Days(WEEKDAYS.zone).is_past("2026-11-24", at("2026-11-25T00:00"))


def test_the_schedulers_own_start_comes_soon_after_a_tick() -> None:
    for clock, is_scheduled in (("22:28", False), ("22:29", True), ("22:59", True), ("23:00", False)):
        assert WEEKDAYS.is_scheduled(at(f"2026-11-24T{clock}")) is is_scheduled
    assert not WEEKDAYS.is_scheduled(at("2026-11-28T22:30"))
    assert not Days(WEEKDAYS.zone).is_scheduled(at("2026-11-24T00:00"))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("30 6 * * 1-5", True),
        ("0  22,23 1-7,15 */2 mon#1", True),
        ("0 0 29 2 *", True),
        ("every monday of month 09:00", False),
        ("0 6 * * FRI-MON", False),
        ("0 22-2 * * *", False),
        ("0 6 ? * *", False),
        ("0 0 6 * * *", False),
        ("0 0 30 2 *", False),
        ("@daily", False),
        ("0 0 29 2 1#6", False),
    ],
)
def test_a_schedule_is_what_has_ticks(text: str, is_one: bool) -> None:
    assert is_schedule(text) is is_one

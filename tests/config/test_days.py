"""The day of a start is that of the schedule's latest tick: it never goes back, whatever the clocks of a zone do."""

from bisect import bisect
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from job.config.days import EARLY, Days
from job.config.values import is_date

ZONES = {  # each with a year in which its clocks change, if they do
    "UTC": 2026,
    "America/New_York": 2026,
    "Antarctica/Troll": 2026,  # by two hours
    "Australia/Lord_Howe": 2026,  # by half an hour
    "Pacific/Chatham": 2026,  # at a quarter to
    "Pacific/Easter": 2026,  # in the evening
    "America/Santiago": 2026,  # at midnight
    "America/Havana": 2026,  # at midnight forth, an hour later back
    "America/St_Johns": 2010,  # at a minute past
    "Pacific/Apia": 2011,  # by a whole day
}
SCHEDULES = [
    *("30 22 * * 1-5", "30 6 * * 1-5", "30 1 * * *", "10 2 * * *", "40 1 * * *", "45 2 * * sun", "15 3 * * *"),
    *("0 0 * * *", "0 1 * * *", "30 0 * * *", "30 23 * * *", "30 23 * * 6", "59 23 * * *", "1 0 * * 0,7"),
    *("0 22,23 * * *", "30 22,0 * * *", "0,30 0-3 * * *", "50 2-4 * * *", "0 23,0 * * *", "5 */2 * * *"),
    *("*/15 2 * * *", "*/20 23 * * *", "*/30 0 * * sun", "0 * * * *", "7 3 * * 1,4"),
]
AROUND = timedelta(days=8)
"""Each of these has a tick within so much."""
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
WEEKDAYS = Days(ZoneInfo("Asia/Shanghai"), "30 22 * * 1-5")


def at(text: str) -> datetime:
    """A time in Shanghai."""
    return datetime.fromisoformat(f"{text}+08:00")


def utc(moment: datetime | None) -> datetime | None:
    """Python never calls a time that comes twice equal to one of another zone."""
    return moment and moment.astimezone(UTC)


def changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The hours of a year within which the clocks of a zone change; without any, one hour."""
    hours = [datetime(year, 1, 10, tzinfo=UTC) + timedelta(hours=number) for number in range(345 * 24)]
    offsets = [hour.astimezone(zone).utcoffset() for hour in hours]
    return [hour for hour, one, other in zip(hours, offsets, offsets[1:], strict=False) if one != other] or hours[:1]


def shown(zone: ZoneInfo, change: datetime, around: timedelta) -> Iterator[tuple[datetime, datetime, bool]]:
    """Each time that the clocks show, or leave out, as time goes on: the moment, the time, and whether it is shown.

    It is the first moment at which they show it, or show a later one.
    """
    moment, latest = change - around, (change - around - MINUTE).astimezone(zone).replace(tzinfo=None)
    while moment < change + around:
        clock = moment.astimezone(zone).replace(tzinfo=None)
        while latest < clock:
            latest += MINUTE
            yield moment, latest, latest == clock
        moment += MINUTE


def ticks(schedule: str, times: Sequence[tuple[datetime, datetime, bool]]) -> list[tuple[datetime, str]]:
    """The moment and the date of each tick. Those of `*` are never made up for."""
    (_, first, _), (_, last, _) = times[0], times[-1]
    clocks = {*takewhile(lambda clock: clock <= last, CronSim(schedule, first - MINUTE))}
    is_often = any(field.startswith("*") for field in schedule.split()[:2])
    return [
        (moment, clock.date().isoformat())
        for moment, clock, is_shown in times
        if clock in clocks and (is_shown or not is_often)
    ]


def check(days: Days, found: Sequence[tuple[datetime, str]], moments: Sequence[datetime]) -> int:
    """What holds at moments within these ticks. Returns how many moments these were."""
    early = EARLY if days.schedule else timedelta()
    latest = ""
    for moment in moments:
        what = (days, moment.isoformat())
        number = bisect(found, moment + early, key=lambda tick: tick[0])
        day = found[number - 1][1]
        assert days.current(moment) == day, what
        assert day >= latest, what
        assert days.current(moment, timedelta()) == found[bisect(found, moment, key=lambda tick: tick[0]) - 1][1], what
        following = next(tick for tick, date_ in found[number:] if date_ > day)
        assert utc(days.after(day)) == following, what
        assert utc(days.until(day)) == following - early, what
        assert utc(days.tick_of(day)) == next(tick for tick, date_ in found if date_ == day), what
        latest = day
    return len(moments)


def near(found: Sequence[tuple[datetime, str]], change: datetime, within: timedelta) -> list[datetime]:
    """Moments at which a day might begin or end too early or too late, so near to a change of the clocks."""
    edges = [change + timedelta(minutes=15) * number for number in range(-8, 9)]
    edges += [tick - early for tick, _ in found for early in (EARLY, timedelta())]
    return sorted({edge + off for edge in edges for off in (-SECOND, timedelta()) if abs(edge - change) < within})


@pytest.mark.parametrize("zone", ZONES)
def test_a_day_begins_with_its_first_tick_whatever_the_clocks_do(zone: str) -> None:
    order = [None, *SCHEDULES]
    for number, change in enumerate(changes(ZoneInfo(zone), ZONES[zone]), [*ZONES].index(zone)):
        times = [*shown(ZoneInfo(zone), change, AROUND)]
        for schedule in order[number % 8 :: 8]:
            found = ticks(schedule or "0 0 * * *", times)
            assert check(Days(ZoneInfo(zone), schedule), found, near(found, change, timedelta(hours=18))) > 20


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York"])
def test_the_first_date_and_the_last_have_a_day_after_them_in_every_zone(zone: str) -> None:
    days = Days(ZoneInfo(zone), "30 22 * * *")
    assert [f"{days.after(day):%m-%d %H:%M}" for day in ("0001-01-01", "8999-12-31")] == ["01-02 22:30", "01-01 22:30"]


def test_which_texts_are_dates() -> None:
    texts = [
        "2026-11-24",
        "0001-01-01",
        "8999-12-31",
        "9000-01-01",
        "2026-1-2",
        "20261124",
        "2026-W48-2",
        "2026-02-30",
        "",
    ]
    assert [*filter(is_date, texts)] == texts[:3]


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

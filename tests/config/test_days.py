"""The day of a start is that of the schedule's latest tick: it never goes back, whatever the clocks of a zone do."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from job.config.days import EARLY, Days
from job.config.values import is_date

SECOND = timedelta(seconds=1)
WEEKDAYS = Days(ZoneInfo("Asia/Shanghai"), "30 22 * * 1-5")


def at(text: str) -> datetime:
    """A time in Shanghai."""
    return datetime.fromisoformat(f"{text}+08:00")


def utc(moment: datetime | None) -> datetime | None:
    """Python never calls a time that comes twice equal to one of another zone."""
    return moment and moment.astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "schedule", "day", "tick"),
    [
        pytest.param("UTC", "0 22,23 * * *", "2026-11-24", "2026-11-24T22:00", id="no change"),
        pytest.param("UTC", None, "2026-11-24", "2026-11-24T00:00", id="no schedule"),
        pytest.param("America/New_York", None, "2026-11-02", "2026-11-02T05:00", id="no schedule, after a change"),
        pytest.param("America/New_York", "30 1 * * *", "2026-11-01", "2026-11-01T05:30", id="shown twice: the first"),
        pytest.param("America/New_York", "45 2 * * *", "2026-03-08", "2026-03-08T07:00", id="left out: at the end"),
        pytest.param("Antarctica/Troll", "10 2 * * *", "2026-10-25", "2026-10-25T00:10", id="two hours back"),
        pytest.param("Pacific/Chatham", "*/15 2 * * *", "2026-09-27", "2026-09-26T13:15", id="at a quarter to"),
        pytest.param("America/Santiago", "0 0 * * *", "2026-09-06", "2026-09-06T04:00", id="midnight is left out"),
        pytest.param("America/Santiago", "30 23 * * *", "2026-04-04", "2026-04-05T02:30", id="before midnight, twice"),
        pytest.param("America/St_Johns", "1 0 * * 0,7", "2010-11-07", "2010-11-07T03:31", id="a minute past"),
        pytest.param("Pacific/Apia", "30 22 * * *", "2011-12-31", "2011-12-31T08:30", id="a whole day forth"),
    ],
)
def test_a_day_begins_with_its_first_tick_by_any_clock(zone: str, schedule: str | None, day: str, tick: str) -> None:
    days, begins = Days(ZoneInfo(zone), schedule), datetime.fromisoformat(f"{tick}+00:00")
    early = EARLY if schedule else timedelta()
    before = days.current(begins - early - SECOND)
    assert before < day == days.current(begins - early) == days.current(begins, timedelta())
    assert days.current(begins - SECOND, timedelta()) == before
    assert utc(days.after(before)) == utc(days.tick_of(day)) == begins
    assert utc(days.until(before)) == begins - early


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York"])
def test_the_first_date_and_the_last_have_a_day_after_them_in_every_zone(zone: str) -> None:
    days = Days(ZoneInfo(zone), "30 22 * * *")
    assert [f"{days.after(day):%m-%d %H:%M}" for day in ("0001-01-01", "8999-12-31")] == ["01-02 22:30", "01-01 22:30"]


def test_which_texts_are_dates() -> None:
    dates = ["2026-11-24", "0001-01-01", "8999-12-31"]
    others = ["9000-01-01", "2026-1-2", "20261124", "2026-W48-2", "2026-02-30", ""]
    assert [*filter(is_date, dates + others)] == dates

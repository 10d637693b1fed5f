"""A day that was named is one that has begun; to make a whole one that nobody has started wants a confirmation."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from job.config.days import Days
from job.config.environment import Options, read_settings
from job.config.faults import FaultKind

SHANGHAI = ZoneInfo("Asia/Shanghai")
EVENING, MORNING, CALENDAR = Days(SHANGHAI, "30 22 * * 1-5"), Days(SHANGHAI, "30 6 * * 1-5"), Days(SHANGHAI)
ALL = "this makes, and pays for, all of it"


def request(now: str, date: str | None, *, yes: bool = False) -> Options:
    settings, _ = read_settings({})
    return Options(settings, [], datetime.fromisoformat(f"{now}+08:00"), 0.0, date, is_confirmed=yes)


@pytest.mark.parametrize(
    ("days", "now", "date", "day"),
    [
        (EVENING, "2026-11-24T18:00", None, "2026-11-23"),
        (EVENING, "2026-11-24T18:00", "2026-11-24", "2026-11-24"),
        (EVENING, "2026-11-24T18:00", "2026-11-20", "2026-11-20"),
        (EVENING, "2026-11-24T18:00", "2026-11-25", None),
        (MORNING, "2026-11-24T18:00", None, "2026-11-24"),
        (CALENDAR, "2026-11-24T00:00", "2026-11-25", None),
        (Days(SHANGHAI, "5 0 * * *"), "2026-11-24T23:55", "2026-11-25", "2026-11-25"),
    ],
)
def test_a_day_that_is_named_has_begun(days: Days, now: str, date: str | None, day: str | None) -> None:
    found, faults = request(now, date).day(days)
    if day is None:
        (fault,) = faults
        said = f"--date: {date} is still to come: today is 2026-11-24; write a day that has begun"
        assert str(fault) == said
        assert fault.kind is FaultKind.COMMAND
        assert found == days.current(request(now, None).now)
    else:
        assert (found, faults) == (day, [])


@pytest.mark.parametrize(
    ("days", "date", "said"),
    [
        (EVENING, None, None),
        (EVENING, "2026-11-23", None),
        (EVENING, "2026-11-20", f"nothing is recorded of 2026-11-20: {ALL}"),
        (EVENING, "2026-11-24", f"the night of 2026-11-24 begins at 22:30: {ALL} before"),
        (MORNING, "2026-11-24", None),
        (MORNING, "2026-11-23", f"nothing is recorded of 2026-11-23: {ALL}"),
        (Days(SHANGHAI, "30 22 * * 3"), "2026-11-24", f"nothing is recorded of 2026-11-24: {ALL}"),
    ],
)
def test_a_day_that_is_not_the_current_one_wants_a_record_or_a_confirmation(
    days: Days, date: str | None, said: str | None
) -> None:
    fault = request("2026-11-24T18:00", date).unconfirmed(days)
    assert (None if fault is None else str(fault)) == (said and f"--date: {said}; add --yes if that is meant")
    assert request("2026-11-24T18:00", date, yes=True).unconfirmed(days) is None

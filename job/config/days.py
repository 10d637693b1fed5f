"""Days: for which day a start is. The clock and the schedule alone decide that."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

EARLY = timedelta(minutes=10)
"""A start so long before a tick is for the day of that tick already: clocks differ, and people press early."""
LATE = timedelta(minutes=30)
"""The scheduler's own start comes within this after its tick."""
_SKEW = timedelta(minutes=1)
"""How far the scheduler's clock may be ahead of this machine's."""
_PUT_BACK = timedelta(hours=3)
"""More than a clock is ever put back."""
_MIDNIGHT = "0 0 * * *"


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a schedule. A tick is a moment of the schedule, and its day is its date in the `zone`.

    Without a schedule a day begins at midnight, and nobody is early. All moments that are returned are in the zone.
    """

    zone: ZoneInfo
    schedule: str | None = None
    """A cron expression of five fields."""

    def current(self, now: datetime, early: timedelta = EARLY) -> str:
        """The day of a start at `now`: that of the latest tick that is not later than `early` from `now`."""
        return _date(self._latest(now.astimezone(UTC) + early if self.schedule else now))

    def after(self, day: str) -> datetime:
        """The first tick of a later date."""
        return next(tick for tick in self._ticks_from(day) if _date(tick) > day)

    def until(self, day: str) -> datetime:
        """When the day ends: from then on, a start is for a later one."""
        early = EARLY if self.schedule else timedelta()
        return (self.after(day).astimezone(UTC) - early).astimezone(self.zone)

    def tick_of(self, day: str) -> datetime | None:
        """The first tick of a date; `None` without one."""
        tick = next(tick for tick in self._ticks_from(day) if _date(tick) >= day)
        return tick if _date(tick) == day else None

    def is_past(self, day: str, now: datetime) -> bool:
        """Whether the day began 24 hours ago or more, so that what is current now is not what was current then."""
        then = now.astimezone(UTC) - timedelta(hours=24)
        today = _date(then.astimezone(self.zone))
        if day != today:
            return day < today
        began = self.tick_of(day)
        return began is None or began.astimezone(UTC) <= then

    def is_scheduled(self, now: datetime) -> bool:
        """Whether a start at `now` may be the scheduler's own."""
        moment = now.astimezone(UTC)
        return self.schedule is not None and moment - self._latest(moment + _SKEW) < LATE

    def _latest(self, moment: datetime) -> datetime:
        """The latest tick that is not later than `moment`."""
        # If it begins within an hour that comes twice, cronsim's way back leaves out a tick of that hour.
        beyond = (moment.astimezone(UTC) + _PUT_BACK).astimezone(self.zone)
        ticks: Iterator[datetime] = CronSim(self.schedule or _MIDNIGHT, beyond, reverse=True)
        return next(tick for tick in ticks if tick.astimezone(UTC) <= moment)

    def _ticks_from(self, day: str) -> Iterator[datetime]:
        """All ticks from before a day begins."""
        noon = datetime.combine(date.fromisoformat(day), time(12), UTC)
        return CronSim(self.schedule or _MIDNIGHT, (noon - timedelta(hours=30)).astimezone(self.zone))


def _date(moment: datetime) -> str:
    return moment.date().isoformat()


def is_schedule(text: str) -> bool:
    """Whether a text is a cron expression of five fields that has ticks."""
    day = datetime(2026, 1, 1, tzinfo=UTC)
    try:
        return len(text.split()) == 5 and all(next(CronSim(text, day, reverse=back), None) for back in (False, True))
    except CronSimError:
        return False

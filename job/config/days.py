"""Days: for which day a start is. The clock and the schedule alone decide that."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

EARLY = timedelta(minutes=10)
"""A start so long before a tick is for the day of that tick already: clocks differ, and people press early."""
LATE = timedelta(minutes=15)
"""A start so long after a tick may not be the one of the schedule."""
_PUT_BACK = timedelta(hours=3)
"""More than a clock is ever put back."""


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a schedule. A tick is a moment of the schedule, and its day is the date for which that has it.

    Of a time that the clocks of the `zone` show twice it is the first. In an hour that they leave out it is at the end.
    Without a schedule a day begins at midnight, and nobody is early. All moments that are returned are in the zone.
    """

    zone: ZoneInfo
    schedule: str | None = None

    def current(self, now: datetime, early: timedelta = EARLY) -> str:
        """The day of a start at `now`: that of the latest tick that is not later than `early` from `now`."""
        moment = (now + early if self.schedule else now).astimezone(UTC)
        beyond = (moment + _PUT_BACK).astimezone(self.zone).replace(tzinfo=None)
        ticks = self._ticks(beyond, reverse=True)
        return next(shown for shown, tick in ticks if tick.astimezone(UTC) <= moment).date().isoformat()

    def after(self, day: str) -> datetime:
        """The first tick of a later date."""
        _, tick = self._first_after(date.fromisoformat(day))
        return tick

    def until(self, day: str) -> datetime:
        """When the day ends: from then on, a start is for a later one."""
        early = EARLY if self.schedule else timedelta()
        return (self.after(day).astimezone(UTC) - early).astimezone(self.zone)

    def tick_of(self, day: str) -> datetime | None:
        """The first tick of a date; `None` without one."""
        shown, tick = self._first_after(date.fromisoformat(day) - timedelta(days=1))
        return tick if shown.date().isoformat() == day else None

    def left_out(self, day: str) -> time | None:
        """The time of the first tick of a date, if the clocks do not show it on that day."""
        shown, tick = self._first_after(date.fromisoformat(day) - timedelta(days=1))
        return shown.time() if shown.date().isoformat() == day and tick.replace(tzinfo=None) != shown else None

    def is_early(self, day: str, now: datetime) -> bool:
        """Whether a start at `now` is too early to be for this day, unless that is named."""
        tick = self.tick_of(day)
        return tick is not None and now < tick.astimezone(UTC) - EARLY

    def is_late(self, day: str, now: datetime) -> bool:
        tick = self.tick_of(day)
        return tick is None or now > tick.astimezone(UTC) + LATE

    def is_to_come(self, day: str, now: datetime) -> bool:
        """Whether the day may not be started yet: it is later than the current one and the calendar's."""
        return day > max(self.current(now), now.astimezone(self.zone).date().isoformat())

    def _first_after(self, day: date) -> tuple[datetime, datetime]:
        return next(self._ticks(datetime.combine(day, time.max)))

    def _ticks(self, clock: datetime, *, reverse: bool = False) -> Iterator[tuple[datetime, datetime]]:
        """The ticks from a time of the clock on, each behind what the clock should show, without a zone."""
        # Without a zone, as cronsim may never end where a clock changes at a quarter to.
        for shown in CronSim(self.schedule or "0 0 * * *", clock, reverse):
            tick = shown.replace(tzinfo=self.zone)
            while tick.astimezone(UTC).astimezone(self.zone) != tick:  # no clock of the zone ever shows it
                tick += timedelta(minutes=1)
            yield shown, tick


def is_schedule(text: str) -> bool:
    """Whether a text is a cron expression of five fields that has ticks."""
    day = datetime(2026, 1, 1, tzinfo=UTC)
    try:
        return len(text.split()) == 5 and all(next(CronSim(text, day, reverse=back), None) for back in (False, True))
    except (CronSimError, ValueError):  # Python reads no number of 4,301 digits
        return False

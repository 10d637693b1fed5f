"""Options: what a start was asked, and the settings that it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from job.config.days import Days
from job.config.environment import Settings
from job.config.faults import Fault, FaultKind
from job.text.messages import message, template

DATE, AGAIN, WITHOUT = "--date", "--again", "--without"
NAMES_LIMIT = 64 * 1024
"""Bytes of the names of both options, as the record has them: twice in the end of an attempt, which has a limit."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a person or the scheduler asks for: that the cards of a day exist."""

    settings: Settings
    faults: Sequence[Fault]
    """The faults of the settings and of the command."""
    now: datetime
    started: float
    """When the process started, by `time.monotonic`."""
    date: str | None = None
    """The day, if it was named."""
    again: tuple[str, ...] = ()
    """What is made again, as in `job.config.selection`."""
    is_confirmed: bool = False
    """Whether many cards may be paid for again."""
    without: tuple[str, ...] = ()
    """Targets that are left out of this attempt."""

    @property
    def days(self) -> Days | None:
        """The days of the variables; `None` if these are faulty, or not set, as on a laptop."""
        return self.settings.days() if self.settings.says_days else None

    def day(self, days: Days) -> tuple[str, list[Fault]]:
        """The day of the start, and what is wrong with the one that was named."""
        current = days.current(self.now)
        if self.date is None or not days.is_to_come(self.date, self.now):
            return self.date or current, []
        today = self.now.astimezone(days.zone).date().isoformat()
        what = message("{date} is still to come: today is {today}", date=self.date, today=today)
        return current, [Fault(DATE, what, message("write a day that has begun"), FaultKind.COMMAND)]

    def unconfirmed(self, days: Days) -> Fault | None:
        """The fault of a named day if nothing is recorded of it: a mistyped one would be paid for."""
        current = days.current(self.now)
        if self.date is None or self.date == current or self.is_confirmed:
            return None
        what = message("nothing is recorded of {date}: this makes, and pays for, all of it", date=self.date)
        if self.date > current and (tick := days.tick_of(self.date)):
            text = template("the night of {date} begins at {time}: this makes, and pays for, all of it before")
            what = message(text, date=self.date, time=f"{tick:%H:%M}")
        return Fault(DATE, what, message("add --yes if that is meant"), FaultKind.COMMAND)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the command line that requests the same."""
        return (
            "run",
            *([f"--date={self.date}"] if self.date else []),
            *(f"--again={name}" for name in self.again),
            *(["--yes"] if self.is_confirmed else []),
            *(f"--without={name}" for name in self.without),
        )

"""Nights: the latest days, the newest first, each with the report with which it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from job.config.days import Days
from job.config.environment import Settings
from job.day.attempt import Outcome, Severity, Start
from job.day.report import Report
from job.engines.calls import ENGINES, EngineName
from job.text.messages import Message

NIGHTS_LOOKED_AT = 7
"""How many are read to find the latest start."""


@dataclass(frozen=True, slots=True)
class Night:
    day: str
    outcome: Outcome
    """How its latest attempt ended; or `AT_WORK`, `KILLED` or `UNREADABLE`."""
    report: Report | None = None
    """`None` if the latest attempt has not ended, or if its report cannot be used."""
    problem: Message | None = None
    attempt: Start | None = None
    """How its latest attempt began, if that has not ended."""

    @property
    def severity(self) -> Severity:
        return self.outcome.severity if self.report is None else self.report.severity

    @property
    def start(self) -> Start | None:
        return self.attempt if self.report is None else self.report.start


@dataclass(frozen=True, slots=True)
class Nights:
    """The latest days that have a record, the newest first."""

    nights: Sequence[Night] = ()

    @property
    def reports(self) -> list[Report]:
        return [night.report for night in self.nights if night.report is not None]

    @property
    def engines(self) -> Sequence[EngineName]:
        """The engines of a table of these nights: one that is off by default, only if a night used it."""
        used = {engine for report in self.reports for engine in report.engines}
        return [name for name, engine in ENGINES.items() if engine.is_on or name in used]

    @property
    def unrecorded(self) -> list[str]:
        """The days of the week before the latest night that have no record, though their schedule has them."""
        days = []
        for back in range(1, NIGHTS_LOOKED_AT + 1) if self.nights else ():
            day = (date.fromisoformat(self.nights[0].day) - timedelta(days=back)).isoformat()
            around = (
                next(night.start for night in reversed(self.nights) if night.day >= day),
                next((night.start for night in self.nights if night.day <= day), None),
            )
            if all(start and start.day != day and start.schedule and start.days.tick_of(day) for start in around):
                days.append(day)
        return days

    def next_tick(self, days: Days) -> datetime | None:
        """When the night after the latest begins; `None` without a schedule or a night."""
        return days.after(self.nights[0].day) if days.schedule and self.nights else None

    def with_report(self, report: Report) -> "Nights":
        others = [night for night in self.nights if night.day != report.day]
        nights = [*others, Night(report.day, report.outcome, report)]
        return Nights(sorted(nights, key=lambda night: night.day, reverse=True))

    @property
    def latest_start(self) -> Start | None:
        """The latest start, whichever day it was for."""
        starts = (night.start for night in self.nights if night.start is not None)
        return max(starts, key=lambda start: datetime.fromisoformat(start.started), default=None)

    def undone(self, besides: str) -> list[Night]:
        """Which of the latest `NIGHTS_LOOKED_AT` nights, except this one, are not done."""
        done = {Outcome.SUCCEEDED, Outcome.AT_WORK}
        return [one for one in self.nights[:NIGHTS_LOOKED_AT] if one.day != besides and one.outcome not in done]

    def days(self, settings: Settings) -> Days:
        """The days of the variables; of what is not set, as on a laptop, those of the latest start."""
        latest = self.latest_start
        return settings.days() if latest is None else settings.days(latest.days)

"""History: the latest days, each with the report with which it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from job.config.days import Days
from job.config.environment import Settings
from job.day.attempt import Outcome, Severity, Start
from job.day.report import Report
from job.engines.calls import ENGINES, EngineName
from job.text.messages import Message

NIGHTS_LOOKED_AT = 7


@dataclass(frozen=True, slots=True)
class Night:
    day: str
    outcome: Outcome
    """How its latest attempt ended; or `AT_WORK`, `KILLED` or `UNREADABLE`."""
    report: Report | None = None
    """`None` if the latest attempt has not ended, or if its report cannot be used."""
    problem: Message | None = None
    attempt: Start | None = None

    @property
    def severity(self) -> Severity:
        return self.outcome.severity if self.report is None else self.report.severity

    @property
    def start(self) -> Start | None:
        return self.attempt if self.report is None else self.report


@dataclass(frozen=True, slots=True)
class Nights:
    """The latest days that have a record, the newest first."""

    nights: Sequence[Night] = ()
    first_day: str | None = None
    """The first day of which anything is recorded: older ones are not kept."""

    @property
    def reports(self) -> list[Report]:
        return [night.report for night in self.nights if night.report is not None]

    @property
    def engines(self) -> Sequence[EngineName]:
        """The engines that these nights have used."""
        return [name for name in ENGINES if any(name in report.engines for report in self.reports)]

    def with_report(self, report: Report) -> "Nights":
        others = [night for night in self.nights if night.day != report.day]
        nights = [*others, Night(report.day, report.outcome, report)]
        return Nights(sorted(nights, key=lambda night: night.day, reverse=True))

    @property
    def latest_start(self) -> Start | None:
        starts = (night.start for night in self.nights if night.start is not None)
        return max(starts, key=lambda start: datetime.fromisoformat(start.started), default=None)

    def before(self, day: str) -> Report | None:
        """The latest night before a day that had a plan; `None` without one."""
        return next((report for report in self.reports if report.day < day and report.had_plan), None)

    def undone(self, besides: str) -> list[Night]:
        """Which of the latest `NIGHTS_LOOKED_AT` nights, except this one, are not done."""
        done = {Outcome.SUCCEEDED, Outcome.AT_WORK, Outcome.OTHER_FORMAT}
        return [one for one in self.nights[:NIGHTS_LOOKED_AT] if one.day != besides and one.outcome not in done]

    def days(self, settings: Settings) -> Days:
        """The days of the variables; of what is not set, as on a laptop, those of the latest start."""
        latest = self.latest_start
        return settings.days() if latest is None else settings.days(latest.days)

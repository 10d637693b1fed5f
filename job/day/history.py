"""History: the latest days, each with the report with which it ended; and what was made on the night before a day."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from job.config.days import Days
from job.config.environment import Settings
from job.config.faults import ConfigError
from job.config.plan import Plan
from job.day.attempt import Attempt, Outcome, Severity, Start
from job.day.report import MissingGroup, Report
from job.engines.calls import ENGINES, EngineName, Item
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

    def undone(self, besides: str) -> list[Night]:
        """Which of the latest `NIGHTS_LOOKED_AT` nights, except this one, are not done."""
        done = {Outcome.SUCCEEDED, Outcome.AT_WORK, Outcome.OTHER_FORMAT}
        return [one for one in self.nights[:NIGHTS_LOOKED_AT] if one.day != besides and one.outcome not in done]

    def days(self, settings: Settings) -> Days:
        """The days of the variables; of what is not set, as on a laptop, those of the latest start."""
        latest = self.latest_start
        return settings.days() if latest is None else settings.days(latest.days)


@dataclass(frozen=True, slots=True)
class NightBefore:
    """The latest night before a day that had a plan, as far as it is known."""

    report: Report
    missing: Mapping[Item, MissingGroup]
    plan: Plan | None
    is_other: bool
    """Whether it is not the plan of this day."""
    are_changes_told: bool
    """Whether an earlier attempt at this day has told that fewer cards are asked for, or with other data: told once."""

    @classmethod
    def of(
        cls,
        nights: Sequence[Report],
        attempt: Attempt | None,
        day: str,
        plan: Plan,
        earlier: Sequence[Report] = (),
    ) -> "NightBefore | None":
        """That of these `nights`, in any order. `attempt` is the latest one at it, `plan` that of this day, of which
        there are `earlier` reports.
        """
        report = night_before(nights, day)
        if report is None:
            return None
        missing = {item: group for group in report.missing for item in group.items}
        then, is_other = None, False
        if attempt is not None and attempt.day == report.day:
            is_other = attempt.plan != replace(plan, date=report.day).digest
            with suppress(ConfigError):  # this day can be shown without
                then = attempt.plan_again() if is_other else plan
        told = (change for one in earlier if one.done_at for change in one.loud_changes)
        return cls(
            report,
            missing,
            then,
            is_other=is_other,
            are_changes_told=any(change.kind != "moved" for change in told),
        )

    @property
    def day(self) -> str:
        return self.report.day

    def made(self, items: Iterable[Item]) -> bool:
        """Whether it is known that all of these were made then."""
        found = list(items)
        is_whole = not self.report.missing_not_listed and self.missing.keys().isdisjoint(found)
        return is_whole and all(map(self._planned, found))

    def _planned(self, item: Item) -> bool:
        target = None if self.plan is None else self.plan.by_id.get(item.target)
        return target is not None and (item.card_type in target.card_types or item.engine in target.engines)


def night_before(nights: Sequence[Report], day: str) -> Report | None:
    """The latest night before `day` that had a plan; `nights` are in any order."""
    return max(
        (night for night in nights if night.day < day and night.had_plan), key=lambda night: night.day, default=None
    )

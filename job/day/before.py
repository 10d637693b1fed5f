"""The night before: what was made then, as far as it is known."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from job.config.faults import ConfigError
from job.config.plan import Plan
from job.day.attempt import Attempt
from job.day.report import MissingGroup, Report
from job.engines.calls import Item


@dataclass(frozen=True, slots=True)
class NightBefore:
    """The latest night before a day that had a plan, as far as it is known."""

    report: Report
    missing: Mapping[Item, MissingGroup]
    plan: Plan | None
    """`None` if that is not known."""
    is_other: bool
    """Whether it is not the plan of this day."""
    is_told: bool
    """Whether an earlier attempt at this day has told what was changed since: that is told once."""

    @classmethod
    def of(
        cls, nights: Sequence[Report], attempt: Attempt | None, day: str, plan: Plan, earlier: Iterable[Report] = ()
    ) -> "NightBefore | None":
        """That of these `nights`, in any order. `attempt` is the latest one at it, `plan` that of this day, of which
        there are `earlier` reports.
        """
        report = night_before(nights, day)
        if report is None:
            return None
        missing = {item: group for group in report.missing for item in group.items}
        then, is_other = None, False
        if attempt is not None and attempt.start.day == report.day:
            is_other = attempt.plan != replace(plan, date=report.day).digest
            with suppress(ConfigError):  # this day can be shown without
                then = attempt.plan_again() if is_other else plan
        is_told = any(one.changed and one.done_at for one in earlier)
        return cls(report, missing, then, is_other=is_other, is_told=is_told)

    @property
    def day(self) -> str:
        return self.report.day

    @property
    def short_day(self) -> str:
        """As a reader of that day's messages knows it: `11-30`."""
        return self.report.day[5:]

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


def lacked(plan: Plan, items: Iterable[Item]) -> list[Item]:
    """Those of the items that a plan does not have; data that it has no target for."""
    types = {target.id: target.card_types for target in plan.targets}
    return [
        item
        for item in items
        if item.target not in types or (item.card_type is not None and item.card_type not in types[item.target])
    ]

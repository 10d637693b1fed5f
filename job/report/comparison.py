"""Comparison of a day with the nights before: what is new, what is still missing, whether it was slow."""

import statistics
from collections.abc import Iterator, Sequence

from job.engines.calls import WorkItem
from job.report.failures import names_of
from job.report.outcome import Outcome
from job.report.report import Report, missing_by_item
from job.text.messages import Message, duration, listed, message

SLOWER = 1.5
"""How many times the usual seconds a slow night takes, and at least `SLOWER_SECONDS` more."""
SLOWER_SECONDS = 10.0
NIGHTS_COMPARED = 7
"""Nights before whose median is the usual time."""
LEAST_NIGHTS = 3
"""From this many on there is a usual time."""


def night_before(nights: Sequence[Report], day: str) -> Report | None:
    """The latest night before `day` that had a plan; `nights` are in any order."""
    return max((one for one in nights if one.day < day and one.had_plan), key=lambda one: one.day, default=None)


def comparison_lines(report: Report, nights: Sequence[Report]) -> Iterator[Message]:
    """The comparison of a day with the nights before it, which may be in any order."""
    before = night_before(nights, report.day)
    if before is not None:
        yield from _failure_lines(report, before)
    past = sorted((one for one in nights if one.day < report.day), key=lambda one: one.day, reverse=True)
    whole = [one.seconds for one in past if one.seconds is not None and _is_whole(one)][:NIGHTS_COMPARED]
    if report.seconds is not None and _is_whole(report) and len(whole) >= LEAST_NIGHTS:
        usual = statistics.median(whole)
        if report.seconds > max(SLOWER * usual, usual + SLOWER_SECONDS):
            yield message(
                "Slower than usual: {took}, {times} times the median of {count} nights",
                took=duration(report.seconds),
                times=f"{report.seconds / usual:.1f}",
                count=len(whole),
            )


def _failure_lines(report: Report, before: Report) -> Iterator[Message]:
    then, is_whole = missing_by_item(before), not before.missing_not_listed
    new: list[WorkItem] = []
    still: dict[int, list[WorkItem]] = {}
    for group in report.missing:
        for target in group.targets if group.state == "failed" else ():
            known = then.get((group.engine, target, group.card_type))
            if known is not None:
                still.setdefault(known.nights + 1, []).append((target, group.card_type))
            elif is_whole:  # else it is not known
                new.append((target, group.card_type))
    if new:
        yield message("New since {day}: {names}", day=before.day, names=listed(names_of(new)))
    for count, items in sorted(still.items(), reverse=True):
        yield message("Still missing, for {count} nights: {names}", count=count, names=listed(names_of(items)))


def _is_whole(report: Report) -> bool:
    """Whether the attempt did all the work of its day, so that its time can be compared."""
    return report.outcome is Outcome.SUCCEEDED and report.number == 1

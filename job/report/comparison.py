"""Comparison of a day with the nights before: whether it shrank, what failed anew and is still missing, whether it was
slow; when the cards are usually there.
"""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from job.engines.calls import WorkItem
from job.ledger.ledger import Ledger
from job.planning.plan import Plan
from job.report.attempt import Attempt
from job.report.failures import failure_groups, names_of
from job.report.outcome import Outcome
from job.report.report import Report, missing_by_item
from job.text.messages import Message, colon, duration, listed, message, plural

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


def comparison_lines(
    report: Report, ledger: Ledger, nights: Sequence[Report], before: Attempt | None = None
) -> Iterator[Message]:
    """The comparison of a day with the nights before it, which may be in any order.

    `before` is how the latest attempt at the night before began, if that is known.
    """
    earlier = night_before(nights, report.day)
    if before is not None and (earlier is None or before.day != earlier.day):
        before = None
    if earlier is not None and report.had_plan:
        if before is not None and report.cards.planned < before.cards:
            yield from fewer_line(before.made_plan(), ledger.plan, before.day)
        yield from _failure_lines(report, ledger, earlier, before)
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


def fewer_line(then: Plan, now: Plan, day: str) -> Iterator[Message]:
    """How many cards fewer there are than on that day, and which of them, if there are fewer."""
    fewer = then.count("qa") - now.count("qa")
    if fewer > 0:
        left = {target.id: target.card_types for target in now.targets}
        gone = [item for item in then.items("qa") if item[1] not in left.get(item[0], ())]
        yield colon(_fewer(fewer, day), listed(names_of(gone)))


def shrank_line(report: Report, nights: Sequence[Report]) -> Message | None:
    """How many cards fewer a day has than the night before, as far as the reports of the `nights` have that."""
    earlier = night_before(nights, report.day)
    if earlier is None or not report.had_plan or report.cards.planned >= earlier.cards.planned:
        return None
    return _fewer(earlier.cards.planned - report.cards.planned, earlier.day)


def _fewer(count: int, day: str) -> Message:
    return plural("1 card fewer than on {day}", "{count} cards fewer than on {day}", count=count, day=day)


def _failure_lines(report: Report, ledger: Ledger, earlier: Report, before: Attempt | None) -> Iterator[Message]:
    """What failed, without what failed only because its whole engine did: the headline says that."""
    down = {group.engine for group in failure_groups(ledger) if group.is_down}
    if report.outcome is Outcome.QA_ENGINE_DOWN:
        down.add("qa")
    failed = [one for one in report.missing if one.state == "failed" and one.engine not in down]
    then = missing_by_item(earlier)
    still: dict[int, list[WorkItem]] = {}
    fresh: list[WorkItem] = []
    for engine, item in ((group.engine, (target, group.card_type)) for group in failed for target in group.targets):
        if (known := then.get((engine, *item))) is not None:
            still.setdefault(known.nights + 1, []).append(item)
        elif not earlier.missing_not_listed:  # else it is not known
            fresh.append(item)
    planned = {target.id for target in before.made_plan().targets} if fresh and before is not None else None
    new = [item for item in fresh if planned is not None and item[0] not in planned]
    known_then = fresh if planned is None else [item for item in fresh if item[0] in planned]
    yield from _fresh_lines(new, known_then, earlier.day, is_all=not (new or still or down))
    for count, items in sorted(still.items(), reverse=True):
        yield message("Still missing, for {count} nights: {names}", count=count, names=listed(names_of(items)))


def _fresh_lines(new: list[WorkItem], fresh: list[WorkItem], day: str, *, is_all: bool) -> Iterator[Message]:
    """`new` are items of targets that the night before did not have; `is_all`: nothing else failed than `fresh`."""
    if new:
        names = list(dict.fromkeys(name for name, _ in new))
        yield message("New since {day}, and failed: {names}", day=day, names=listed(names))
    if fresh and is_all:
        yield plural(
            "This failure is new: it was not there on {day}",
            "All {count} failures are new: none of them was there on {day}",
            count=len(fresh),
            day=day,
        )
    elif fresh:
        yield message("Failed, and did not on {day}: {names}", day=day, names=listed(names_of(fresh)))


def _is_whole(report: Report) -> bool:
    """Whether the attempt did all the work of its day, so that its time can be compared."""
    return report.outcome is Outcome.SUCCEEDED and report.number == 1


def usual_line(nights: Iterable[Report]) -> Message | None:
    """When the cards are usually there, from the latest nights that were done within 24 hours.

    `None` if these are fewer than three.
    """
    done = [(one, moment) for one in nights if (moment := one.done_at) and one.had_plan]
    own = sorted((one.day, moment) for one, moment in done if not one.days.is_past(one.day, moment))[-NIGHTS_COMPARED:]
    if len(own) < LEAST_NIGHTS:
        return None
    # From the day's own midnight on: what is done at 00:10 comes after 23:50.
    minutes = [
        (moment.date() - date.fromisoformat(day)).days * 1440 + moment.hour * 60 + moment.minute for day, moment in own
    ]
    usual, latest = (_clock(value) for value in (statistics.median(minutes), max(minutes)))
    if usual == latest:
        return message("Usually there by {usual}", usual=usual)
    return message("Usually there by {usual}, at the latest {latest}", usual=usual, latest=latest)


def _clock(minutes: float) -> str:
    hours, minutes = divmod(round(minutes), 60)
    return f"{hours % 24:02}:{minutes:02}"

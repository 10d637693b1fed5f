"""Comparison of a day with the nights before: what is new and gone, what failed anew and is still missing; when the
cards are usually there.
"""

import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

from job.config.plan import Plan
from job.day.attempt import Attempt
from job.day.failures import failure_groups, names_of
from job.day.ledger import Ledger
from job.day.outcome import Outcome
from job.day.report import Report, missing_by_item
from job.engines.calls import Item
from job.engines.catalog import Kind
from job.text.messages import Message, listed, message, plural, template

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
    if earlier is not None and report.had_plan:
        yield from _lines_since(report, ledger, earlier, before if before and before.day == earlier.day else None)


_CHANGED: Mapping[Kind, str] = {
    "equity": template("Equities now, which they were not on {day}: {names}"),
    "topic": template("Topics now, which they were not on {day}: {names}"),
    "person": template("Persons now, which they were not on {day}: {names}"),
}


def differences(then: Plan, now: Plan, failed: Collection[str] = ()) -> Iterator[Message]:
    """How a plan differs from an earlier one. The targets that `failed` are not called new: another line says that."""
    if new := [item for item in _lacked(then, now.items("qa")) if item.target not in failed]:
        yield plural(
            "New since {day}, 1 card: {names}",
            "New since {day}, {count} cards: {names}",
            count=len(new),
            day=then.date,
            names=listed(names_of(new)),
        )
    if gone := _lacked(now, then.items("qa")):
        yield plural(
            "Gone since {day}, 1 card: {names}",
            "Gone since {day}, {count} cards: {names}",
            count=len(gone),
            day=then.date,
            names=listed(names_of(gone)),
        )
    kinds = {target.id: target.kind for target in then.targets}
    for kind, text in _CHANGED.items():
        if changed := [target.id for target in now.targets if target.kind == kind != kinds.get(target.id, kind)]:
            yield message(text, day=then.date, names=listed(changed))


def _lacked(plan: Plan, items: Iterable[Item]) -> list[Item]:
    """Those of the items that a plan does not have; data that it has no target for."""
    types = {target.id: target.card_types for target in plan.targets}
    return [
        item
        for item in items
        if item.target not in types or (item.card_type is not None and item.card_type not in types[item.target])
    ]


def shrank_line(report: Report, nights: Sequence[Report]) -> Message | None:
    """How many cards fewer a day has than the night before, as far as the reports of the `nights` have that."""
    earlier = night_before(nights, report.day)
    if earlier is None or not report.had_plan or report.cards.planned >= earlier.cards.planned:
        return None
    return plural(
        "1 card fewer than on {day}",
        "{count} cards fewer than on {day}",
        count=earlier.cards.planned - report.cards.planned,
        day=earlier.day,
    )


def _lines_since(report: Report, ledger: Ledger, earlier: Report, before: Attempt | None) -> Iterator[Message]:
    """What is new and gone, and what failed, without what failed only because its whole engine did: the headline says
    that.
    """
    down = {group.engine for group in failure_groups(ledger) if group.is_down}
    if report.outcome is Outcome.QA_ENGINE_DOWN:
        down.add("qa")
    failed = [one for one in report.missing if one.state == "failed" and one.engine not in down]
    then = missing_by_item(earlier)
    still: dict[int, list[Item]] = {}
    fresh: list[Item] = []
    for item in (Item(group.engine, target, group.card_type) for group in failed for target in group.targets):
        if (known := then.get(item)) is not None:
            still.setdefault(known.nights + 1, []).append(item)
        elif not earlier.missing_not_listed:  # else it is not known
            fresh.append(item)
    new: dict[Item, None] = {}
    if before is not None and before.plan != replace(ledger.plan, date=before.day).digest():
        plan = before.made_plan()  # of a million cards, that takes seconds
        new = dict.fromkeys(_lacked(plan, fresh))
        yield from differences(plan, ledger.plan, {item.target for item in new})
    known_then = [item for item in fresh if item not in new]
    yield from _fresh_lines([*new], known_then, earlier.day, is_all=not (new or still or down))
    for count, items in sorted(still.items(), reverse=True):
        yield message("Still missing, for {count} nights: {names}", count=count, names=listed(names_of(items)))


def _fresh_lines(new: list[Item], fresh: list[Item], day: str, *, is_all: bool) -> Iterator[Message]:
    """`new` are items that the night before did not have; `is_all`: nothing else failed than `fresh`."""
    if new:
        yield message("New since {day}, and failed: {names}", day=day, names=listed(names_of(new)))
    if fresh and is_all:
        yield plural(
            "This failure is new: it was not there on {day}",
            "All {count} failures are new: none of them was there on {day}",
            count=len(fresh),
            day=day,
        )
    elif fresh:
        yield message("Failed, and did not on {day}: {names}", day=day, names=listed(names_of(fresh)))


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

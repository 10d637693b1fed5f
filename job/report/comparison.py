"""Comparison of a run with the night before: which failures are new, still there or mended, and since when. Pure."""

from collections.abc import Iterator, Mapping

from job.config.entries import Date
from job.config.fields import RunId
from job.engines.catalog import EngineName
from job.ledger.items import EngineItems, MissingItem, items_of
from job.ledger.totals import Count, Part
from job.report.plan_change import PlanChange
from job.report.summary import NightBefore
from job.text.messages import NAMED, Message, Value, listed, message, plural

LISTED = 1000
"""Items of each kind that are listed; further ones are only counted."""


class ComparedItem(Part):
    """A target of a data engine, or a card."""

    engine: EngineName
    target: str
    card_type: str | None
    cause: str | None = None
    """Why it failed now; `None` if it is done now."""
    cause_then: str | None = None
    """Why it failed on the night before; `None` if it did not fail, or was not attempted."""
    since: Date
    """The day since which it has been missing on every night."""
    nights: Count = 1

    def __str__(self) -> str:
        return f"{self.engine}: {self.target}" if self.card_type is None else f"{self.target} {self.card_type}"


class ComparedItems(Part):
    """The items of one kind, the first of them listed."""

    count: Count = 0
    items: tuple[ComparedItem, ...] = ()


class Comparison(Part):
    """A run compared with the night before."""

    run_id: RunId
    day: Date
    new: ComparedItems = ComparedItems()
    """Done then (on the night before), failed now."""
    added: ComparedItems = ComparedItems()
    """Not planned then, failed now."""
    still: ComparedItems = ComparedItems()
    """Missing then, failed now; those that are missing longest first."""
    mended: ComparedItems = ComparedItems()
    """Failed then, done now."""
    cut_off: Count = 0
    """Cards that the end of the run cut off now."""
    not_attempted: Count = 0
    """Cards that were not attempted now, without those that were cut off."""
    not_compared: Count = 0
    """Failed now; not known for then, since the list of that night was cut off."""
    gone: Count = 0
    """Failed then, not planned now."""
    plan: PlanChange | None = None
    """`None` if the plan has not changed, or if that night's plan is not known."""


def compare(
    day: str, items: Mapping[EngineName, EngineItems], before: NightBefore, change: PlanChange | None
) -> Comparison:
    """Compares the run of this day, with these items, with the night before. `change` is how the plan has changed."""
    planned = None if before.plan is None else items_of(before.plan)
    found: dict[str, list[ComparedItem]] = {"new": [], "added": [], "still": [], "mended": []}
    not_compared = 0
    for engine, item in ((engine, item) for engine, some in items.items() for item in some.failures()):
        key = (item.target, item.card_type)
        then = before.listed.get((engine, *key))
        if then is not None:
            found["still"].append(_compared(engine, item, (then.since, then.nights + 1), then.cause))
        elif planned is not None and not planned[engine].has(key):
            found["added"].append(_compared(engine, item, (day, 1), None))
        elif _made_nothing(before, engine):
            found["still"].append(_compared(engine, item, (before.summary.day, 2), None))
        elif before.summary.missing_not_listed:
            not_compared += 1
        else:
            found["new"].append(_compared(engine, item, (day, 1), None))
    found["still"].sort(key=lambda item: -item.nights)
    gone = 0
    for (engine, target, card_type), group in before.listed.items():
        if group.cause is None:
            continue
        if (target, card_type) in items[engine]:
            found["mended"].append(
                ComparedItem(
                    engine=engine,
                    target=target,
                    card_type=card_type,
                    cause_then=group.cause,
                    since=group.since,
                    nights=group.nights,
                )
            )
        elif not items[engine].has((target, card_type)):
            gone += 1
    cards = items["qa"].counts()
    return Comparison(
        run_id=before.summary.run_id,
        day=before.summary.day,
        cut_off=cards.cut_off,
        not_attempted=cards.not_attempted,
        not_compared=not_compared,
        gone=gone,
        plan=change,
        **{kind: ComparedItems(count=len(some), items=tuple(some[:LISTED])) for kind, some in found.items()},
    )


def _made_nothing(before: NightBefore, engine: EngineName) -> bool:
    """Whether no item of this engine was done: each of them was missing then, listed or not."""
    totals = before.summary.engines.get(engine)
    return totals is not None and totals.done + totals.skipped == 0


def _compared(engine: EngineName, item: MissingItem, since: tuple[str, int], cause_then: str | None) -> ComparedItem:
    return ComparedItem(
        engine=engine,
        target=item.target,
        card_type=item.card_type,
        cause=item.cause or "",
        cause_then=cause_then,
        since=since[0],
        nights=since[1],
    )


def comparison_lines(comparison: Comparison, reason: Message) -> Iterator[Message]:
    """The comparison in sentences; `reason` is why the run did not attempt what it did not attempt."""
    yield message("Compared with {day} (run {run}):", day=comparison.day, run=comparison.run_id)
    if comparison.new.count:
        yield plural(
            "1 new failure: {names}",
            "{count} new failures: {names}",
            count=comparison.new.count,
            names=_names_of(comparison.new),
        )
    elif comparison.added.count:
        yield message("no new failure of what was planned then")
    else:
        yield message("no new failure")
    if comparison.added.count:
        yield plural(
            "1 failure of what was not planned then: {names}",
            "{count} failures of what was not planned then: {names}",
            count=comparison.added.count,
            names=_names_of(comparison.added),
        )
    if comparison.still.count:
        yield plural(
            "1 still missing, for {nights} nights: {names}",
            "{count} still missing, the longest for {nights} nights: {names}",
            nights=comparison.still.items[0].nights,
            count=comparison.still.count,
            names=_names_of(comparison.still),
        )
        others = [item for item in comparison.still.items if item.cause_then not in {None, item.cause}]
        if others:
            yield plural(
                "1 of these now fails for another cause: {names}",
                "{count} of these now fail for another cause: {names}",
                count=len(others),
                names=listed([str(item) for item in others]),
            )
    if comparison.mended.count:
        yield plural(
            "1 mended: {names}",
            "{count} mended: {names}",
            count=comparison.mended.count,
            names=_names_of(comparison.mended),
        )
    yield from _not_attempted_lines(comparison, reason)
    if comparison.not_compared:
        yield plural(
            "1 failure is not compared: the list of that night was cut off",
            "{count} failures are not compared: the list of that night was cut off",
            count=comparison.not_compared,
        )
    if comparison.gone:
        yield plural(
            "1 that failed then is not planned any more",
            "{count} that failed then are not planned any more",
            count=comparison.gone,
        )


def _not_attempted_lines(comparison: Comparison, reason: Message) -> Iterator[Message]:
    if comparison.cut_off and comparison.not_attempted:
        yield plural(
            "1 card was cut off, {not_attempted} not attempted: {reason}",
            "{count} cards were cut off, {not_attempted} not attempted: {reason}",
            count=comparison.cut_off,
            not_attempted=comparison.not_attempted,
            reason=reason,
        )
    elif comparison.cut_off:
        yield plural(
            "1 card was cut off: {reason}",
            "{count} cards were cut off: {reason}",
            count=comparison.cut_off,
            reason=reason,
        )
    elif comparison.not_attempted:
        yield plural(
            "1 card was not attempted: {reason}",
            "{count} cards were not attempted: {reason}",
            count=comparison.not_attempted,
            reason=reason,
        )


def _names_of(some: ComparedItems) -> Value:
    return listed([str(item) for item in some.items[:NAMED]], some.count)

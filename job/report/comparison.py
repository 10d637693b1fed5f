"""Comparison of a run with the night before: how the plan has changed; which failures are new, still there, mended."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from job.config.entries import Date
from job.config.fields import RunId
from job.engines.catalog import DATA_ENGINES, TITLES, EngineName
from job.ledger.items import EngineItems, MissingItem, items_of
from job.ledger.totals import Count, EngineTotals, Part, Seconds
from job.planning.plan import Plan
from job.report.summary import NightBefore, RunSummary
from job.text.messages import NAMED, Message, Value, duration, listed, message, plural, template

NAMES_LISTED = 100
"""Maximum number of names in each list."""


class Names(Part):
    """Names that are in one plan and not in the other."""

    count: Count = 0
    names: tuple[str, ...] = ()

    @property
    def in_line(self) -> Value:
        """The first ten of them."""
        return listed(self.names, self.count)


class PlanChange(Part):
    """How the plan differs from that of the night before."""

    cards_then: Count
    cards_now: Count
    targets_left: Names = Names()
    targets_came: Names = Names()
    targets_of_another_kind: Names = Names()
    card_types_left: Names = Names()
    card_types_came: Names = Names()
    switched_off: tuple[EngineName, ...] = ()
    """Data engines that had planned items then and have none now."""
    switched_on: tuple[EngineName, ...] = ()
    other_cards_left: Count = 0
    """Cards whose target and card type are in both plans."""
    other_cards_came: Count = 0


def plan_change(then: Plan, now: Plan) -> PlanChange | None:
    """How the plan `now` differs from the plan `then` in targets, cards and engines; `None` if it does not."""
    before = {target.id: target.card_types for target in then.targets}
    after = {target.id: target.card_types for target in now.targets}
    kinds = {target.id: target.kind for target in then.targets}
    types_then, types_now = (dict.fromkeys(one for types in some.values() for one in types) for some in (before, after))
    left = came = 0
    for target, types in after.items():
        if before.get(target, types) != types:
            left += sum(one not in types and one in types_now for one in before[target])
            came += sum(one not in before[target] and one in types_then for one in types)
    change = PlanChange(
        cards_then=then.count("qa"),
        cards_now=now.count("qa"),
        targets_left=_names(before, after),
        targets_came=_names(after, before),
        targets_of_another_kind=_listed([one.id for one in now.targets if kinds.get(one.id, one.kind) != one.kind]),
        card_types_left=_names(types_then, types_now),
        card_types_came=_names(types_now, types_then),
        switched_off=tuple(engine for engine in DATA_ENGINES if then.count(engine) and not now.count(engine)),
        switched_on=tuple(engine for engine in DATA_ENGINES if now.count(engine) and not then.count(engine)),
        other_cards_left=left,
        other_cards_came=came,
    )
    same = PlanChange(cards_then=change.cards_now, cards_now=change.cards_now)
    return None if change == same else change


def _names(some: Mapping[str, object], others: Mapping[str, object]) -> Names:
    """The names that the others lack."""
    return _listed([name for name in some if name not in others])


def _listed(names: Sequence[str]) -> Names:
    return Names(count=len(names), names=tuple(names[:NAMES_LISTED]))


def plan_lines(change: PlanChange, day: str) -> Iterator[Message]:
    """How the plan has changed, in sentences."""
    if change.cards_then == change.cards_now:
        text = template("The plan has changed since {day}; it has as many cards as then, {now}.")
    else:
        text = template("The plan has changed since {day}: {then} cards then, {now} now.")
    yield message(text, day=day, then=change.cards_then, now=change.cards_now)
    yield from _target_lines(change)
    if change.card_types_left.count:
        yield plural(
            "1 card type removed: {names}",
            "{count} card types removed: {names}",
            count=change.card_types_left.count,
            names=change.card_types_left.in_line,
        )
    if change.card_types_came.count:
        yield plural(
            "1 card type added: {names}",
            "{count} card types added: {names}",
            count=change.card_types_came.count,
            names=change.card_types_came.in_line,
        )
    for engine in change.switched_off:
        yield message("{engine}: switched off", engine=TITLES[engine])
    for engine in change.switched_on:
        yield message("{engine}: switched on", engine=TITLES[engine])
    if change.other_cards_left:
        yield plural(
            "1 card removed whose target and card type are in both plans",
            "{count} cards removed whose targets and card types are in both plans",
            count=change.other_cards_left,
        )
    if change.other_cards_came:
        yield plural(
            "1 card added whose target and card type are in both plans",
            "{count} cards added whose targets and card types are in both plans",
            count=change.other_cards_came,
        )


def _target_lines(change: PlanChange) -> Iterator[Message]:
    if change.targets_left.count:
        yield plural(
            "1 target removed: {names}",
            "{count} targets removed: {names}",
            count=change.targets_left.count,
            names=change.targets_left.in_line,
        )
    if change.targets_came.count:
        yield plural(
            "1 target added: {names}",
            "{count} targets added: {names}",
            count=change.targets_came.count,
            names=change.targets_came.in_line,
        )
    if change.targets_of_another_kind.count:
        yield plural(
            "1 target is of another kind now: {names}",
            "{count} targets are of another kind now: {names}",
            count=change.targets_of_another_kind.count,
            names=change.targets_of_another_kind.in_line,
        )


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


SLOWER = 1.5
"""How many times the usual seconds a slow night takes, and at least `SLOWER_SECONDS` more."""
SLOWER_SECONDS = 10.0
NIGHTS_COMPARED = 7
"""Nights before whose median is the usual value."""


class Grown(Part):
    """A number that is larger than usual."""

    what: Literal["cards", "p50", "waits", "retries"]
    engine: EngineName = "qa"
    usual: Seconds
    now: Seconds


class Slower(Part):
    """A night that took much longer than usual, and what else was larger than usual."""

    seconds: Seconds
    usual: Seconds
    nights: Count
    """Number of the nights before whose median is the usual value."""
    grown: tuple[Grown, ...] = ()


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
    slower: Slower | None = None
    """`None` if it was not much slower than usual, or if that is not known."""
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
        elif item.target in before.left_out or _made_nothing(before, engine):
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


def slower(seconds: float, engines: Mapping[EngineName, EngineTotals], nights: Sequence[RunSummary]) -> Slower | None:
    """Whether a night of so many seconds, with these totals, was much slower than usual, and why.

    `nights` are those before, the latest first: whole nights of one attempt.
    """
    nights = [night for night in nights if night.seconds is not None][:NIGHTS_COMPARED]
    usual = _median(night.seconds for night in nights)
    if usual is None or seconds <= max(SLOWER * usual, usual + SLOWER_SECONDS):
        return None
    grown = [_grown("cards", "qa", engines, nights)]
    grown += [_grown(what, engine, engines, nights) for engine in engines for what in ("p50", "waits", "retries")]
    return Slower(
        seconds=round(seconds, 3), usual=usual, nights=len(nights), grown=tuple(one for one in grown if one is not None)
    )


_MUCH: Mapping[str, tuple[float, float]] = {
    "cards": (1.1, 1),
    "p50": (1.2, 0.1),
    "waits": (1.2, 3),
    "retries": (1.2, 3),
}
"""For each number: how many times the usual one a grown one is, and how much more it is at least."""


def _grown(
    what: Literal["cards", "p50", "waits", "retries"],
    engine: EngineName,
    engines: Mapping[EngineName, EngineTotals],
    nights: Sequence[RunSummary],
) -> Grown | None:
    """The number, if it has grown."""
    now = _number(what, engines.get(engine))
    usual = _median(_number(what, night.engines.get(engine)) for night in nights)
    if now is None or usual is None:
        return None
    times, more = _MUCH[what]
    has_grown = now >= times * usual and now - usual >= more
    return Grown(what=what, engine=engine, usual=usual, now=now) if has_grown else None


def _number(what: str, totals: EngineTotals | None) -> float | None:
    if totals is None:
        return None
    return {"cards": totals.planned, "p50": totals.p50_seconds, "waits": totals.waits, "retries": totals.retries}[what]


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 3) if known else None


def _slower_lines(slower: Slower) -> Iterator[Message]:
    yield plural(
        "It took {now}; the night before took {usual}.",
        "It took {now}; the median of the {count} nights before is {usual}.",
        count=slower.nights,
        now=duration(slower.seconds),
        usual=duration(slower.usual),
    )
    for one in slower.grown:
        if one.what == "p50":
            text = template("{engine}: half of the answers took more than {now}, usually {usual}")
            yield message(text, engine=TITLES[one.engine], now=duration(one.now), usual=duration(one.usual))
            continue
        text = {
            "cards": template("more cards: {now}, usually {usual}"),
            "waits": template("{engine}: more waits for room (429, 503): {now}, usually {usual}"),
            "retries": template("{engine}: more retries: {now}, usually {usual}"),
        }[one.what]
        yield message(text, engine=TITLES[one.engine], now=_whole(one.now), usual=_whole(one.usual))
    if not slower.grown:
        yield message("nothing that is recorded grew")


def _whole(value: float) -> int | float:
    return int(value) if value.is_integer() else value


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
    if comparison.slower is not None:
        yield from _slower_lines(comparison.slower)


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

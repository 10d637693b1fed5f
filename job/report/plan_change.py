"""Plan change: how a run's plan differs from that of the night before. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from job.engines.catalog import DATA_ENGINES, TITLES, EngineName
from job.ledger.totals import Count, Part
from job.planning.plan import Plan
from job.text.messages import Message, Value, listed, message, plural, template

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

"""Changes: what is not asked for as on the night before, or was made then."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace

from job.config.faults import ConfigError, Fault, FaultKind
from job.config.objects import CARD_TARGETS, TICKER_LIST
from job.config.plan import Plan
from job.day.attempt import Attempt, Start
from job.day.report import Change, Items, Report
from job.engines.calls import BATCHES, Item
from job.text.messages import listed, message
from job.text.shown import quoted, shortened

NightBefore = tuple[Report, Plan]
"""The report of the latest night before a day that had a plan, and this plan."""


def plan_then(attempt: Attempt, plan: Plan) -> Plan | None:
    """The plan of the attempt at the night before a day of this plan; `None` if it can no longer be made.

    It is this plan if that asks for the same: a million cards are not planned twice.
    """
    if attempt.plan == replace(plan, date=attempt.day).digest:
        return plan
    with suppress(ConfigError):
        return attempt.plan_again()
    return None


def changes_of(then: Plan, now: Plan) -> Iterator[Change]:
    """Which cards are no longer asked for, which targets are of another kind, and whether the models are others."""
    if then is now:
        return
    asked = {target.id: target.card_types for target in now.targets}
    gone = [item for item in then.items("qa") if item.card_type not in asked.get(item.target, ())]
    if gone:
        yield Change("gone", len(gone), Items.of(gone))
    kinds: dict[tuple[str, str], list[Item]] = {}
    for target in now.targets:
        before = then.by_id.get(target.id)
        if before is not None and before.kind != target.kind:
            kinds.setdefault((before.kind, target.kind), []).extend(now.items_of("qa", target))
    for (old, new), cards in kinds.items():
        yield Change("other_kind", len(cards), Items.of(cards), old, new)
    if then.models != now.models:
        yield Change("other_model", len(now.items("qa")), Items(), _models(then), _models(now))


def _models(plan: Plan) -> str:
    choices = (plan.models.default, *plan.models.tasks.values())
    names = {one.model_name or one.backend for one in choices}
    return shortened(", ".join(sorted(filter(None, names))), 100)


def changed_objects(then: Start, now: Start) -> Iterator[str]:
    """The config objects that were written, or are no longer there, since that start read them."""
    if then.config_uri != now.config_uri:
        yield "CONFIG_URI"
        return
    names = sorted({*then.generations, *now.generations})
    yield from (name for name in names if then.generations.get(name) != now.generations.get(name))


def lost_numbers(then: Plan, now: Plan) -> Iterator[Fault]:
    """A fault for each ticker that nothing names a ticker any more, though its cards would still be made, as those of a
    topic: without the numbers that they were made with.
    """
    for target in now.targets:
        before = then.by_id.get(target.id)
        if not target.is_taken_for_topic or before is None or not any(then.prepares(one, before) for one in BATCHES):
            continue
        if names := [name for name in target.card_types if name in before.card_types]:
            what = message(
                "is no ticker of {list} any more: these cards would lack the numbers that they had on {day}: {cards}",
                list=TICKER_LIST,
                day=then.date,
                cards=listed(names),
            )
            remedy = message("add it there again, remove it here, or give it a target_type", list=TICKER_LIST)
            yield Fault(f"{CARD_TARGETS}: {quoted(target.id, 40)}", what, remedy, FaultKind.OBJECT)


def were_made(items: Collection[Item], before: Report, then: Plan) -> bool:
    """Whether it is known that all of these were made on the night before, of this report and plan."""
    missing = {(group.engine, target, group.card_type) for group in before.missing for target in group.targets}
    is_whole = not before.missing_not_listed and missing.isdisjoint(items)
    return is_whole and all(_is_planned(then, item) for item in items)


def _is_planned(plan: Plan, item: Item) -> bool:
    target = plan.by_id.get(item.target)
    return target is not None and (item.card_type in target.card_types or item.engine in target.engines)

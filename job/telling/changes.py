"""Changes: what has changed since the night before, as far as the job itself knows it."""

from collections.abc import Iterable, Iterator
from itertools import chain

from job.config.environment import ENGINE_VARIABLES
from job.config.plan import Plan, Target, is_usual
from job.day.attempt import Outcome, Start
from job.day.ending import Ending
from job.day.failure_groups import failure_groups
from job.day.history import NightBefore
from job.day.ledger import Ledger
from job.engines.calls import ALL_ENGINES, DATA_ENGINES, ENGINES, Item
from job.telling.sentence import names_of
from job.text.messages import Message, listed, message, plural, template
from job.text.shown import excerpt, quoted


def changes_of(before: NightBefore, start: Start, ledger: Ledger) -> Iterator[Message]:
    """What was changed since the night before and makes other cards: engines that were switched, URLs, audiences.

    Nothing, unless this start, whose results are the ones without a number, has made cards so.
    """
    made = [item for item, card in ledger.items["qa"].items() if card is not None and card.done and not card.attempt]
    plan, then = ledger.plan, before.plan or ledger.plan
    for engine in DATA_ENGINES:
        is_off = engine in plan.switched_off
        if is_off is (engine in then.switched_off):
            continue
        targets = (plan.by_id[item.target] for item in made)
        affected = (one for one in targets if is_usual(engine, one.kind) and plan.prepares(engine, one) is not is_off)
        if (count := sum(1 for _ in affected)) and is_off:
            yield plural(
                "1 card was made without {engine} data; a plain start does not make it again",
                "{count} cards were made without {engine} data; a plain start does not make them again",
                count=count,
                engine=ENGINES[engine].label,
            )
        elif count:
            yield plural(
                "1 card was made with {engine} data, unlike on {day}; a plain start does not make it again",
                "{count} cards were made with {engine} data, unlike on {day}; a plain start does not make them again",
                count=count,
                engine=ENGINES[engine].label,
                day=before.short_day,
            )
    for change in moved(before.report.start, start, before.short_day) if made else ():
        yield message("{change}; a plain start does not make any card again", change=change)


def comparison_lines(ending: Ending, ledger: Ledger, before: NightBefore) -> Iterator[Message]:
    """Which cards are others than on the night before, and what has been missing since."""
    if before.plan is not None and before.is_other:
        yield from differences(before.plan, ledger.plan)  # of a million cards, that takes seconds
    # What failed only because its whole engine did, the headline says.
    down = {engine for group in failure_groups(ledger) if group.is_down for engine in group.engines}
    if ending.outcome is Outcome.QA_ENGINE_DOWN:
        down.add("qa")
    still: dict[int, list[Item]] = {}
    for status in chain.from_iterable(ledger.missing(engine) for engine in ALL_ENGINES if engine not in down):
        if status.state == "failed" and (then := before.missing.get(status.item)) is not None:
            still.setdefault(then.nights + 1, []).append(status.item)
    for count, items in sorted(still.items(), reverse=True):
        yield message("Still missing, for {count} nights: {names}", count=count, names=listed(names_of(items)))


def moved(then: Start, now: Start, day: str) -> Iterator[Message]:
    """Which engines have another URL or else another audience than on that day, if both are known."""
    places = (("url", then.engine_urls, now.engine_urls), ("audience", then.engine_audiences, now.engine_audiences))
    for engine in ALL_ENGINES:
        for field_name, was, is_now in places:
            old, new = was.get(engine), is_now.get(engine)
            if old is not None and new is not None and old != new:
                variable = ENGINE_VARIABLES[engine][field_name]
                text = template("{variable} changed since {day}: {before} → {after}")
                yield message(text, variable=variable, day=day, before=old, after=new)
                break  # an audience usually follows its URL


def differences(then: Plan, now: Plan) -> Iterator[Message]:
    if new := _lacked(then, (item for item in now.items("qa") if item.target not in now.left_out)):
        yield plural(
            "New since {day}, 1 card: {names}",
            "New since {day}, {count} cards: {names}",
            count=len(new),
            day=then.date,
            names=listed(names_of(new)),
        )
    if gone := _lacked(now, then.items("qa")):
        yield plural(
            "No longer asked for since {day}, 1 card: {names}",
            "No longer asked for since {day}, {count} cards: {names}",
            count=len(gone),
            day=then.date,
            names=listed(names_of(gone)),
        )
    old = {target.id: target for target in then.targets}
    yield from _made_otherwise(then, now, [(old[target.id], target) for target in now.targets if target.id in old])


def _lacked(plan: Plan, items: Iterable[Item]) -> list[Item]:
    """Those of the items that a plan does not have; data that it has no target for."""
    types = {target.id: target.card_types for target in plan.targets}
    return [
        item
        for item in items
        if item.target not in types or (item.card_type is not None and item.card_type not in types[item.target])
    ]


def _made_otherwise(then: Plan, now: Plan, kept: Iterable[tuple[Target, Target]]) -> Iterator[Message]:
    """What the same cards are made with otherwise; `kept` has each of their targets as it was and as it is."""
    all_changes: dict[str, dict[tuple[object, object], list[Item]]] = {}
    is_common = then.common() == now.common()
    for before, target in kept:
        if is_common and before == target:
            continue
        for card_type in (card_type for card_type in target.card_types if card_type in before.card_types):
            was, is_now = then.made_with(before, card_type), now.made_with(target, card_type)
            if before.kind != target.kind:  # all else follows from that
                was, is_now = {"target_type": before.kind}, {"target_type": target.kind}
            for name in was | is_now:
                if was.get(name) != is_now.get(name):
                    changes = all_changes.setdefault(name, {})
                    changes.setdefault((was.get(name), is_now.get(name)), []).append(Item("qa", target.id, card_type))
    for name, changes in all_changes.items():
        items = [item for some in changes.values() for item in some]
        yield plural(
            "{name} has changed since {day} ({changes}) for 1 card: {names}",
            "{name} has changed since {day} ({changes}) for {count} cards: {names}",
            count=len(items),
            day=then.date,
            name=name,
            changes=listed([" → ".join(excerpt(quoted(value, 40).encode()) for value in pair) for pair in changes]),
            names=listed(names_of(items)),
        )

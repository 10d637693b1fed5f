"""Changes: what has changed since the night before, as far as the job itself knows it; and between two plans."""

from collections.abc import Iterable, Iterator

from job.config.environment import ENGINE_VARIABLES
from job.config.plan import Plan, Target, is_usual
from job.day.attempt import Start
from job.day.history import NightBefore
from job.day.ledger import Ledger
from job.day.report import Change, ChangeKind, Items, ValueChange
from job.engines.calls import ALL_ENGINES, DATA_ENGINES, Item
from job.text.shown import excerpt, quoted


def changes_of(before: NightBefore, start: Start, ledger: Ledger) -> Iterator[Change]:
    """What has changed since the night before. The results of this start are the ones without a number."""
    made = [item for item, card in ledger.items["qa"].items() if card is not None and card.done and not card.attempt]
    if not before.are_changes_told:
        yield from _switched(before.plan or ledger.plan, ledger.plan, made)
    yield from _moved(before.report, start, ledger.counts("qa").done)
    if before.plan is not None and before.is_other:
        found = differences(before.plan, ledger.plan)  # of a million cards, that takes seconds
        yield from (change for change in found if change.kind != "gone" or not before.are_changes_told)


def changed_objects(then: Start, now: Start) -> Iterator[str]:
    """The config objects that were written, or are no longer there, since that start read them."""
    if then.config_uri != now.config_uri:
        yield "CONFIG_URI"
        return
    names = sorted({*then.generations, *now.generations})
    yield from (name for name in names if then.generations.get(name) != now.generations.get(name))


def _switched(then: Plan, plan: Plan, made: Iterable[Item]) -> Iterator[Change]:
    """The engines that were switched, if this start has made cards so."""
    for engine in DATA_ENGINES:
        is_off = engine in plan.switched_off
        if is_off is (engine in then.switched_off):
            continue
        targets = (plan.by_id[item.target] for item in made)
        affected = (one for one in targets if is_usual(engine, one.kind) and plan.prepares(engine, one) is not is_off)
        if count := sum(1 for _ in affected):
            yield Change("switched_off" if is_off else "switched_on", engine, count)


def _moved(then: Start, now: Start, cards: int) -> Iterator[Change]:
    """Which engines have another URL, or else another audience, than on that night, if both are known."""
    for engine in ALL_ENGINES:
        for field_name in ("url", "audience"):
            old, new = then.place(engine, field_name), now.place(engine, field_name)
            if old is not None and new is not None and old != new:
                yield Change("moved", ENGINE_VARIABLES[engine][field_name], cards, (ValueChange(old, new),))
                break  # an audience usually follows its URL


def differences(then: Plan, now: Plan) -> Iterator[Change]:
    """What the cards of two plans differ in."""
    new = _lacked(then, (item for item in now.items("qa") if item.target not in now.left_out))
    gone = _lacked(now, then.items("qa"))
    kinds: tuple[tuple[ChangeKind, list[Item]], ...] = (("new", new), ("gone", gone))
    yield from (Change(kind, "", len(items), items=Items.of(items)) for kind, items in kinds if items)
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


def _made_otherwise(then: Plan, now: Plan, kept: Iterable[tuple[Target, Target]]) -> Iterator[Change]:
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
        values = tuple(ValueChange(_shown(before), _shown(after)) for before, after in list(changes)[:VALUES_LISTED])
        yield Change("made_otherwise", name, len(items), values, Items.of(items))


VALUES_LISTED = 20


def _shown(value: object) -> str:
    return excerpt(quoted(value, 40))

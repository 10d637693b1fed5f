"""Every item that is not done is listed with its cause; one that is done stays done."""

import tracemalloc
from itertools import islice

import pytest

from job.day.ledger import EngineItems, ItemStatus
from job.day.result import Counts
from job.engines.calls import Item
from job.engines.failures import Cause
from tests.support.fakes import plan_of, target

PLAN = plan_of([target(name, ("news_card", "price_card")) for name in ("B", "A")])
ITEM = Item("qa", "A", "news_card")


def items() -> EngineItems:
    return EngineItems(PLAN, "qa")


def test_what_is_not_done_is_missing_in_the_order_of_the_plan_with_its_state_and_cause() -> None:
    found = items()
    found.mark(Item("qa", "A", "price_card"), cause=Cause.STATUS, ended=1.0)
    found.mark(Item("qa", "A", "news_card"), cause=Cause.INTERRUPTED, ended=1.0)
    found.mark(Item("qa", "B", "price_card"), cause=None, ended=1.0)
    assert list(found.missing()) == [
        ItemStatus(Item("qa", "B", "news_card"), "not_attempted", None),
        ItemStatus(Item("qa", "A", "news_card"), "cut_off", Cause.INTERRUPTED, 1, 1.0),
        ItemStatus(Item("qa", "A", "price_card"), "failed", Cause.STATUS, 1, 1.0),
    ]
    assert found.counts == Counts(planned=4, done=1, failed=2, not_attempted=1, cut_off=1)
    assert [found.has_failed(Item("qa", "A", name)) for name in ("news_card", "price_card")] == [True, True]
    assert [found.has_failed(Item("qa", "B", name)) for name in ("news_card", "price_card", "x")] == [
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(("tries", "kept"), [(3, 3), (70_000, 65_535)])
def test_an_item_knows_the_tries_that_it_took_and_when_they_ended(tries: int, kept: int) -> None:
    found = items()
    found.mark(ITEM, cause=Cause.STATUS, ended=1.5)
    found.mark(ITEM, cause=None, ended=1.0, tries=tries)
    found.mark(ITEM, cause=Cause.DENIED, ended=9.0)
    assert found.of("A") == [
        ItemStatus(Item("qa", "A", "news_card"), "done", None, kept, 1.0),
        ItemStatus(Item("qa", "A", "price_card"), "not_attempted", None, 0, 0.0),
    ]
    assert (found.done_of("A"), found.done_of("B"), found.done_of("none"), found.of("none")) == (1, 0, 0, [])


def test_what_is_done_with_an_error_besides_is_done_and_counted_until_a_later_answer_has_none() -> None:
    found = items()
    found.mark(ITEM, cause=None, ended=2.0, has_error=True)
    found.mark(ITEM, cause=None, ended=1.0)
    found.mark(ITEM, cause=Cause.DENIED, ended=9.0)
    assert (found.of("A")[0].state, found.of("A")[0].is_done, found.is_done(ITEM)) == ("with_error", True, True)
    assert found.counts == Counts(planned=4, done=1, not_attempted=3, with_error=1)
    assert (found.done_of("A"), len(list(found.missing())), found.has_failed(ITEM)) == (1, 3, False)
    assert (list(found.with_error()), found.has_error(ITEM), found.has_error(Item("qa", "B", "news_card"))) == (
        [ITEM],
        True,
        False,
    )
    found.mark(ITEM, cause=None, ended=3.0)
    assert found.counts == Counts(planned=4, done=1, not_attempted=3)
    found.mark(ITEM, cause=None, ended=4.0, has_error=True)
    assert found.counts.with_error == 1
    found.reopen(ITEM)
    assert (found.counts, list(found.with_error())) == (Counts.of(4), [])


def test_a_cause_that_is_not_known_is_a_failure() -> None:
    found = items()
    found.mark(ITEM, cause="unknown", ended=1.0)
    assert [one.state for one in found.of("A")] == ["failed", "not_attempted"]


def test_an_item_that_is_not_planned_cannot_be_marked() -> None:
    with pytest.raises(LookupError):
        items().mark(Item("qa", "A", "other_card"), cause=None, ended=1.0)


def test_a_million_items_are_not_listed_to_name_the_first() -> None:
    found = EngineItems(plan_of([target(f"T{n}", ("a", "b")) for n in range(5_000)]), "qa")
    assert [one.item.target for one in islice(found.missing(), 3)] == ["T0", "T0", "T1"]
    assert not isinstance(found.missing(), list)


def test_a_million_items_take_11_mb() -> None:
    plan = plan_of([target(f"T{n}", [f"c{m}" for m in range(1000)]) for n in range(1000)])
    tracemalloc.start()
    try:
        found = EngineItems(plan, "qa")
        found.mark(Item("qa", "T0", "c0"), cause=None, ended=1.0)
        size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.counts.planned == 1_000_000
    assert size < 11.1e6
    assert peak < 12.1e6

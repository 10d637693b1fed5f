"""An item knows what became of it, in few bytes."""

import tracemalloc

import pytest

from job.day.ledger import EngineItems, ItemStatus
from job.engines.calls import Item
from job.engines.failures import Cause
from tests.support.fakes import plan_of, target

PLAN = plan_of([target(name, ("news_card", "price_card")) for name in ("B", "A")])
ITEM = Item("qa", "A", "news_card")


@pytest.mark.parametrize(("tries", "kept"), [(3, 3), (70_000, 65_535)])
def test_an_item_knows_the_tries_that_it_took_and_when_they_ended(tries: int, kept: int) -> None:
    found = EngineItems(PLAN, "qa")
    found.mark(ITEM, cause=Cause.STATUS, ended=1.5)
    found.mark(ITEM, cause=None, ended=1.0, tries=tries)
    found.mark(ITEM, cause=Cause.DENIED, ended=9.0)
    assert found.of("A") == [
        ItemStatus(Item("qa", "A", "news_card"), "done", None, kept, 1.0),
        ItemStatus(Item("qa", "A", "price_card"), "not_attempted", None, 0, 0.0),
    ]
    assert (found.done_of("A"), found.done_of("B"), found.done_of("none"), found.of("none")) == (1, 0, 0, [])


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
    assert size < 11.2e6
    assert peak < 12.1e6

"""The numbers of an engine: of calls that are done alone, and each attempt once; an item takes few bytes."""

import tracemalloc

from job.day.ledger import CALLS_KEPT, EngineItems, Ledger
from job.day.result import Counts
from job.engines.calls import Item
from job.engines.failures import Cause, Failure
from job.text.messages import message
from tests.support.fakes import plan_of, target
from tests.support.results import result_of, tried

PLAN = plan_of([target(name, ["a"]) for name in ("A", "B", "C")])
NO = Failure(Cause.STATUS, message("no"), 422)


def test_the_median_is_of_the_calls_that_are_done() -> None:
    ledger, calls = Ledger(PLAN), list(PLAN.calls("qa"))
    assert ledger.totals()["qa"] == Counts(planned=3, not_attempted=3)
    ledger.add(result_of(calls[0], started=10.0, ended=12.0))
    ledger.add(result_of(calls[1], started=10.0, ended=15.0, retries=2, waits=1))
    ledger.add(result_of(calls[2], NO, started=0.0, ended=99.0, retries=3))
    assert ledger.totals()["qa"] == Counts(planned=3, done=2, failed=1, calls=3, retries=5, waits=1, p50_seconds=3.5)


def test_a_failed_attempt_at_a_batch_counts_once_though_all_its_parts_list_it() -> None:
    ledger, batch = Ledger(PLAN), next(PLAN.calls("financial"))
    shared, own = tried((2.0, 9.0, "too large")), tried((9.2, 9.8, "HTTP 503"))
    ledger.add(result_of(batch, targets=("A",), failed_tries=shared, retries=1))
    ledger.add(result_of(batch, targets=("B",), failed_tries=(*shared, *own), retries=1))
    ledger.add(result_of(batch, targets=("C",), failed_tries=shared, retries=0))
    assert sorted(ledger.calls["financial"].spans()) == [(2.0, 9.0), (9.2, 9.8), *[(10.0, 12.0)] * 3]


def test_a_warning_counts_for_the_targets_that_it_is_about() -> None:
    """If none is named, for all of the call."""
    ledger, batch = Ledger(PLAN), next(PLAN.calls("trading"))
    ledger.add(result_of(batch, warning=message("odd"), with_error=batch.targets[:1]))
    assert [item.target for item in ledger.items["trading"].with_error()] == [batch.targets[0]]
    ledger.add(result_of(batch, ended=13.0, warning=message("odd")))
    assert [item.target for item in ledger.items["trading"].with_error()] == [*batch.targets]


def test_the_first_errors_besides_a_success_are_kept_of_however_many_calls_as_long_as_they_count() -> None:
    ledger, (first, second, third) = Ledger(PLAN), list(PLAN.calls("qa"))
    for number in range(CALLS_KEPT + 1):
        ledger.add(result_of(first, traceparent=str(number)))
    assert [one.traceparent for one in ledger.calls["qa"].kept] == [str(number) for number in range(CALLS_KEPT)]
    assert ledger.errors == []
    ledger.add(result_of(second, warning=message("odd")))
    ledger.add(result_of(third, warning=message("also")))
    ledger.add(result_of(next(PLAN.calls("news")), warning=message("late")))
    assert list(map(str, ledger.errors)) == ["news A: late", "qa B a: odd", "qa C a: also"]
    ledger.add(result_of(first, ended=12.5, warning=message("also")))
    ledger.add(result_of(first, ended=12.6, warning=message("too many")))
    assert list(map(str, ledger.errors)) == ["news A: late", "qa B a: odd", "qa C a: also"], "each once, up to three"
    ledger.add(result_of(first, ended=12.7))
    ledger.add(result_of(second, ended=13.0))
    assert list(map(str, ledger.errors)) == ["news A: late", "qa C a: also"]
    for _ in range(2 * CALLS_KEPT):
        ledger.add(result_of(third, warning=message("also")))
    assert len(ledger.calls["qa"].kept) == 2 * CALLS_KEPT


def test_of_more_tries_than_an_item_can_hold_it_has_the_most_that_it_can() -> None:
    found = EngineItems(PLAN, "qa")
    found.mark(Item("qa", "A", "a"), cause=None, ended=1.0, tries=70_000)
    assert found.of("A")[0].tries == 65_535


def test_a_million_items_take_little_memory() -> None:
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

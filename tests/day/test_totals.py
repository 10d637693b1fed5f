"""The numbers of an engine: of calls that are done alone, and each try once."""

import tracemalloc

from job.day.ledger import Ledger
from job.day.result import Counts
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


def test_a_warning_counts_for_the_targets_that_it_is_about() -> None:
    """If none is named, for all of the call."""
    ledger, batch = Ledger(PLAN), next(PLAN.calls("trading"))
    ledger.add(result_of(batch, warning=message("odd"), with_error=batch.targets[:1]))
    assert [item.target for item in ledger.with_error("trading")] == [batch.targets[0]]
    ledger.add(result_of(batch, ended=13.0, warning=message("odd")))
    assert [item.target for item in ledger.with_error("trading")] == [*batch.targets]


def test_the_first_errors_besides_a_success_are_told_as_long_as_they_count() -> None:
    ledger, (first, second, third) = Ledger(PLAN), list(PLAN.calls("qa"))
    ledger.add(result_of(first))
    assert ledger.errors == []

    def told() -> list[str]:
        return [f"{call.label}: {call.warning}" for call in ledger.errors]

    ledger.add(result_of(third, warning=message("also")))
    ledger.add(result_of(second, warning=message("odd")))
    ledger.add(result_of(next(PLAN.calls("news")), warning=message("late")))
    assert told() == ["news A: late", "qa B a: odd", "qa C a: also"]
    ledger.add(result_of(first, ended=12.5, warning=message("also")))
    assert told() == ["news A: late", "qa A a: also", "qa B a: odd"], "each once"
    ledger.add(result_of(third, ended=12.6, warning=message("a fourth")))
    assert told() == ["news A: late", "qa A a: also", "qa B a: odd"], "up to three"
    ledger.add(result_of(first, ended=12.7))
    ledger.add(result_of(second, ended=13.0))
    assert told() == ["news A: late", "qa C a: a fourth"]


def test_the_failed_tries_of_a_result_are_not_kept_in_memory_and_are_counted() -> None:
    ledger, call = Ledger(PLAN), next(PLAN.calls("qa"))
    result = result_of(call, NO, tries=3, retries=2, failed_tries=tried((1.0, 2.0, "no"), (3.0, 4.0, "no")))
    ledger.add(result)
    assert [(one.failed_tries, one.tries) for one in (*ledger.calls["qa"], *ledger.failures)] == [((), 3)] * 2
    assert len(result.failed_tries) == 2, "the journal writes them"


def test_the_ledger_keeps_nothing_of_a_card_that_is_made_but_its_result() -> None:
    """A day may have a million of them."""
    plan = plan_of([target(f"T{number}", [f"type_{one}" for one in range(100)]) for number in range(100)])
    ledger, results = Ledger(plan), [result_of(call) for call in plan.calls("qa")]
    tracemalloc.start()
    try:
        for result in results:
            ledger.add(result)
        assert tracemalloc.get_traced_memory()[0] <= 16 * len(results)
    finally:
        tracemalloc.stop()
    assert len({id(result.targets) for result in ledger.calls["qa"]}) == len(plan.targets)

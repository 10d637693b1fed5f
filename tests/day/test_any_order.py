"""Results may be added in any order: the items, counts and failures are the same."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from job.config.objects import LlmConfig
from job.day.ledger import Ledger, Rerun
from job.day.result import CallResult, Counts
from job.engines.calls import ALL_ENGINES, Call, EngineName
from job.engines.failures import Cause, Failure
from job.text.messages import message
from tests.support.fakes import plan_of, target
from tests.support.results import result_of, tried

PLAN = plan_of([target("A", ["a", "b"]), target("B", ["a"], ["financial", "trading"]), target("C", [], ["financial"])])
OTHER = replace(
    PLAN,
    targets=(target("A", ["a", "z"]), target("C", ["a"]), target("Z")),
    models=LlmConfig.model_validate({"default": {"model_name": "large"}}),
)
"""The plan of another config: some items are the same, some cards are of another model, some items are others."""
CALLS: list[Call] = [call for engine in ALL_ENGINES for call in PLAN.calls(engine)]
OTHER_CALLS: list[Call] = [call for engine in ALL_ENGINES for call in OTHER.calls(engine)]
AGAIN = (
    Rerun("qa", "A", "a", "2026-11-24", 2),
    Rerun("qa", "A", "b", "2026-11-24", 3),
    Rerun("trading", "B", None, "", 2),
    Rerun("qa", "Z", "news_card", "2026-11-24", 2),
)
"""Also of an item that the plan lacks."""
CAUSES = (None, Cause.STATUS, Cause.DENIED, Cause.INTERRUPTED, "unknown")
"""Of a result; `None` if it is done."""
LATEST = 2
"""The number of the attempt that is told of; 0 is that of one that is at work."""
SPANS = count()
MOMENTS = st.integers(20, 23)
"""When a call ended: often at the same moment as another."""


@st.composite
def results(draw: st.DrawFn, calls: Sequence[Call] = CALLS) -> CallResult:
    call = draw(st.sampled_from(calls))
    some = draw(st.lists(st.sampled_from(call.targets), min_size=1, unique=True))
    cause = draw(st.sampled_from(CAUSES))
    changes: dict[str, Any] = {
        "targets": tuple(some),
        "done": cause is None,
        "cause": cause,
        "reason": None if cause is None else message("no"),
        "warning": message("odd") if cause is None and draw(st.booleans()) else None,
        "ended": float(draw(MOMENTS)),
        "tries": 3,
        "charged_tries": draw(st.integers(0, 3)),
        "again": draw(st.integers(0, 3)),
        "attempt": draw(st.sampled_from([0, 1, LATEST])),
        "traceparent": f"{next(SPANS):010}",
        "failed_tries": tried(*[(1.0, float(end), "x") for end in draw(st.lists(st.integers(2, 4), max_size=2))]),
    }
    return result_of(call, **changes)


def state(ledger: Ledger) -> dict[str, object]:
    """All that must not depend on the order of results."""
    return {
        "items": [
            (ledger.status(item).state, result and result.traceparent)
            for items in ledger.items.values()
            for item, result in items.items()
        ],
        "with error": {engine: list(ledger.with_error(engine)) for engine in ALL_ENGINES},
        "totals": ledger.totals(),
        "failures": sorted(result.line() for result in ledger.failures),
        "again": [(call.label, ledger.rerun_of(call)) for call in CALLS],
        "ready": (ledger.is_ready, ledger.is_complete),
        "made again": ledger.made_again,
        "charged": ledger.charged_tries,
    }


@settings(max_examples=50)
@given(
    own=st.lists(results(), max_size=8),
    others=st.lists(results(OTHER_CALLS), max_size=8),
    chance=st.randoms(use_true_random=False),
)
def test_results_of_any_plan_come_in_any_order(own: list[CallResult], others: list[CallResult], chance: Any) -> None:
    steps = [*((True, one) for one in own), *((False, one) for one in others)]
    found = []
    for _ in range(2):
        ledger = Ledger(PLAN, AGAIN)
        ledger.attempt = LATEST
        for is_own, result in steps:
            ledger.add(replace(result), is_of_plan=is_own)
        found.append(state(ledger))
        chance.shuffle(steps)
    assert found[0] == found[1]


@settings(max_examples=50)
@given(
    before=st.lists(results(), max_size=8), after=st.lists(results(), max_size=8), named=st.sets(st.sampled_from(AGAIN))
)
def test_a_ledger_in_which_something_is_asked_again_is_the_one_that_is_read_later(
    before: list[CallResult], after: list[CallResult], named: set[Rerun]
) -> None:
    live = Ledger(PLAN, AGAIN[:2])
    for result in before:
        live.add(result)
    live.rerun([one.item for one in named], 4)
    after = [replace(result, again=result.again + 2) for result in after]
    for result in after:
        live.add(result)
    read = Ledger(PLAN, live.reruns)
    for result in (*after, *before):
        read.add(result)
    assert state(read) == state(live)


def expected(engine: EngineName, seen: Sequence[CallResult]) -> Counts:
    """The counts of an engine, from the results of all attempts."""
    planned = list(PLAN.items(engine))
    counts = Counts(len(planned))
    for item in planned:
        mine = [result for result in seen if result.engine == engine and item in result.items]
        mine = [result for result in mine if result.done or result.attempt != 1]
        if done := [result for result in mine if result.done]:
            counts.done += 1
            counts.with_error += latest(done).warning is not None
        elif mine:
            counts.failed += 1
            counts.cut_off += latest(mine).cause == Cause.INTERRUPTED
        else:
            counts.not_attempted += 1
    return counts


def latest(results: Sequence[CallResult]) -> CallResult:
    return max(results, key=lambda one: (one.ended, one.traceparent))


@settings(max_examples=50)
@given(steps=st.lists(results(), max_size=14))
def test_what_was_planned_is_done_failed_or_not_attempted_at_any_time(steps: list[CallResult]) -> None:
    ledger = Ledger(PLAN)
    ledger.attempt = LATEST
    for at, step in enumerate(steps):
        ledger.add(step)
        for engine in PLAN.engines():
            counts, totals = ledger.counts(engine), ledger.totals()[engine]
            assert counts == expected(engine, steps[: at + 1])
            assert totals.calls == sum(result.engine == engine for result in steps[: at + 1])
            states = [item.state for item in ledger.missing(engine)]
            assert states.count("not_attempted") == counts.not_attempted
            assert states.count("cut_off") == counts.cut_off
            assert totals.done + totals.failed + totals.not_attempted == totals.planned
            assert min(totals.done, totals.failed, totals.not_attempted) >= 0


# --- the numbers of an engine ---

THREE = plan_of([target(name, ["a"]) for name in ("A", "B", "C")])
NO = Failure(Cause.STATUS, message("no"), 422)


def test_the_median_is_of_the_calls_that_are_done() -> None:
    ledger, calls = Ledger(THREE), list(THREE.calls("qa"))
    assert ledger.totals()["qa"] == Counts(planned=3, not_attempted=3)
    ledger.add(result_of(calls[0], started=10.0, ended=12.0))
    ledger.add(result_of(calls[1], started=10.0, ended=15.0, retries=2, waits=1))
    ledger.add(result_of(calls[2], NO, started=0.0, ended=99.0, retries=3))
    assert ledger.totals()["qa"] == Counts(planned=3, done=2, failed=1, calls=3, retries=5, waits=1, p50_seconds=3.5)


def test_a_warning_counts_for_the_targets_that_it_is_about() -> None:
    """If none is named, for all of the call."""
    ledger, batch = Ledger(THREE), next(THREE.calls("trading"))
    ledger.add(result_of(batch, warning=message("odd"), with_error=batch.targets[:1]))
    assert [item.target for item in ledger.with_error("trading")] == [batch.targets[0]]
    ledger.add(result_of(batch, ended=13.0, warning=message("odd")))
    assert [item.target for item in ledger.with_error("trading")] == [*batch.targets]


def test_the_first_errors_besides_a_success_are_told_as_long_as_they_count() -> None:
    ledger, (first, second, third) = Ledger(THREE), list(THREE.calls("qa"))
    ledger.add(result_of(first))
    assert ledger.errors == []

    def told() -> list[str]:
        return [f"{call.label}: {call.warning}" for call in ledger.errors]

    ledger.add(result_of(third, warning=message("also")))
    ledger.add(result_of(second, warning=message("odd")))
    ledger.add(result_of(next(THREE.calls("news")), warning=message("late")))
    assert told() == ["news A: late", "qa B a: odd", "qa C a: also"]
    ledger.add(result_of(first, ended=12.5, warning=message("also")))
    assert told() == ["news A: late", "qa A a: also", "qa B a: odd"], "each once"
    ledger.add(result_of(third, ended=12.6, warning=message("a fourth")))
    assert told() == ["news A: late", "qa A a: also", "qa B a: odd"], "up to three"
    ledger.add(result_of(first, ended=12.7))
    ledger.add(result_of(second, ended=13.0))
    assert told() == ["news A: late", "qa C a: a fourth"]


def test_the_failed_tries_of_a_result_are_not_kept_in_memory_and_are_counted() -> None:
    ledger, call = Ledger(THREE), next(THREE.calls("qa"))
    result = result_of(call, NO, tries=3, retries=2, failed_tries=tried((1.0, 2.0, "no"), (3.0, 4.0, "no")))
    ledger.add(result)
    assert [(one.failed_tries, one.request, one.tries) for one in ledger.calls["qa"] + ledger.failures] == [
        ((), "", 3)
    ] * 2
    assert len(result.failed_tries) == 2, "the journal writes them"
    assert len(result.request) == 16


def test_the_ledger_keeps_nothing_of_a_card_that_is_made_but_its_result() -> None:
    """A day may have a million of them."""
    plan = plan_of([target(f"T{number}", [f"type_{one}" for one in range(100)]) for number in range(100)])
    ledger, results = Ledger(plan), [result_of(call, request="") for call in plan.calls("qa")]
    tracemalloc.start()
    try:
        for result in results:
            ledger.add(result)
        assert tracemalloc.get_traced_memory()[0] <= 16 * len(results)
    finally:
        tracemalloc.stop()
    assert len({id(result.targets) for result in ledger.calls["qa"]}) == len(plan.targets)

"""Results may be added in any order and more than once: the items, counts and failures are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.engines.calls import Call, WorkItem
from job.engines.catalog import ALL_ENGINES, EngineName
from job.engines.failures import Cause, Failure
from job.ledger.items import Counts
from job.ledger.ledger import FAILURES_KEPT, Ledger
from job.ledger.result import CallResult
from job.text.messages import message
from tests.support.fakes import plan_of, settings_of, target
from tests.support.results import result_of, tried

PLAN = plan_of(
    [target("A", ["a", "b"]), target("B", ["a"], ["financial", "trading"]), target("C", [], ["financial"])],
    settings_of(),
)
CALLS: list[Call] = [call for engine in ALL_ENGINES for call in PLAN.calls(engine)]
CAUSES = (None, Cause.STATUS, Cause.DENIED, Cause.INTERRUPTED, "of another version")
"""Of a result; `None` if it is done."""
SPANS = count()
MOMENTS = st.integers(20, 23)
"""When a call ended: often at the same moment as another."""


@st.composite
def results(draw: st.DrawFn) -> CallResult:
    call = draw(st.sampled_from(CALLS))
    some = draw(st.lists(st.sampled_from(call.targets), min_size=1, unique=True))
    cause = draw(st.sampled_from(CAUSES))
    changes: dict[str, Any] = {
        "targets": tuple(some),
        "done": cause is None,
        "cause": cause,
        "reason": None if cause is None else message("no"),
        "ended": float(draw(MOMENTS)),
        "attempts": draw(st.integers(1, 3)),
        "traceparent": f"{next(SPANS):010}",
        "failed_attempts": tried(*[(1.0, float(end), "x") for end in draw(st.lists(st.integers(2, 4), max_size=2))]),
    }
    return result_of(call, **changes)


Journals = dict[str, list[list[CallResult]]]
"""The objects of the journal of each attempt, by its owner."""
JOURNALS = st.dictionaries(
    st.sampled_from(["first", "second", "third"]), st.lists(st.lists(results(), max_size=3), max_size=4), min_size=1
)


def state(ledger: Ledger) -> dict[str, object]:
    """All that must not depend on the order of results."""
    return {
        "items": {engine: [items.of(one.id) for one in PLAN.targets] for engine, items in ledger.items.items()},
        "missing": {engine: list(items.missing()) for engine, items in ledger.items.items()},
        "counts": [ledger.counts(engine, now=now) for engine in ALL_ENGINES for now in (False, True)],
        "totals": [ledger.totals(now=now) for now in (False, True)],
        "failures": sorted(result.line() for result in ledger.failures),
        "statuses": ledger.failed_statuses,
        "complete": (ledger.is_complete(), ledger.is_ready),
        "barrier": ledger.barrier,
        "journal": ledger.journal,
    }


def absorbed(journals: Journals, order: Iterable[str]) -> Ledger:
    """The ledger of these journals. `order` is whose object comes next, and is repeated if none is left."""
    ledger, read = Ledger(PLAN), dict.fromkeys(journals, 0)
    for owner in [*order, *(owner for owner, objects in journals.items() for _ in objects)]:
        if objects := journals[owner]:
            sequence = min(read[owner], len(objects) - 1)
            ledger.absorb(owner, sequence, objects[sequence])
            read[owner] = max(read[owner], sequence + 1)
            ledger.absorb(owner, 0, objects[0])
    return ledger


@given(journals=JOURNALS, data=st.data())
def test_a_journal_that_is_read_in_any_order_and_more_than_once_is_the_same_run(
    journals: Journals, data: st.DataObject
) -> None:
    order = data.draw(st.lists(st.sampled_from(sorted(journals)), max_size=12))
    once = Ledger(PLAN)
    for owner, objects in journals.items():
        for sequence, found in enumerate(objects):
            once.absorb(owner, sequence, found)
    assert state(absorbed(journals, order)) == state(once)


@given(before=st.lists(results(), max_size=6), after=st.lists(results(), max_size=6), data=st.data())
def test_the_order_within_an_attempt_does_not_matter(
    before: list[CallResult], after: list[CallResult], data: st.DataObject
) -> None:
    def made(*parts: Sequence[CallResult]) -> Ledger:
        ledger = Ledger(PLAN)
        for result in parts[0]:
            ledger.add(result)
        ledger.begin()
        for result in parts[1]:
            ledger.add(result)
        return ledger

    shuffled = [data.draw(st.permutations(part)) for part in (before, after)]
    assert state(made(*shuffled)) == state(made(before, after))


def expected(engine: EngineName, before: Sequence[CallResult], after: Sequence[CallResult]) -> tuple[Counts, Counts]:
    """The counts of an engine in all attempts and in this one, from the results before and after its begin."""
    planned = list(PLAN.items(engine))
    whole, now = Counts(len(planned)), Counts(len(planned))
    for item in planned:
        earlier = [result for result in before if result.engine == engine and item in result.items]
        later = [result for result in after if result.engine == engine and item in result.items]
        if any(result.done for result in [*earlier, *later]):
            whole.done += 1
            made_now = any(result.done for result in later)
            now.done += made_now
            now.skipped += not made_now
        elif earlier or later:
            is_cut_off = counting(item, [*earlier, *later]).cause == Cause.INTERRUPTED
            whole.failed, whole.cut_off = whole.failed + 1, whole.cut_off + is_cut_off
            if later:
                now.failed, now.cut_off = now.failed + 1, now.cut_off + is_cut_off
    return whole, now


def counting(item: WorkItem, failed: Sequence[CallResult]) -> CallResult:
    """The failure of an item that counts: the latest; of several, that with the cause that `Cause` lists last."""
    causes = ["of another version", *Cause]
    return max((one for one in failed if item in one.items), key=lambda one: (one.ended, causes.index(one.cause or "")))


@given(steps=st.lists(st.one_of(results(), st.none()), max_size=14))
def test_what_was_planned_is_done_skipped_failed_or_not_attempted_at_any_time(steps: list[CallResult | None]) -> None:
    """A step without a result begins an attempt."""
    ledger, before, after = Ledger(PLAN), list[CallResult](), list[CallResult]()
    for step in steps:
        if step is None:
            ledger.begin()
            before, after = [*before, *after], []
        else:
            ledger.add(step)
            after.append(step)
        for engine in ALL_ENGINES:
            whole, now = ledger.counts(engine), ledger.counts(engine, now=True)
            assert ledger.totals(now=True)[engine].calls == sum(result.engine == engine for result in after)
            assert (whole, now) == expected(engine, before, after)
            states = [item.state for item in ledger.items[engine].missing()]
            assert states.count("not_attempted") == whole.not_attempted
            assert states.count("cut_off") == whole.cut_off
            assert whole.skipped == 0
            for counts in (whole, now):
                assert min(counts.done, counts.skipped, counts.failed, counts.not_attempted) >= 0
                assert counts.done + counts.skipped + counts.failed + counts.not_attempted == counts.planned
                assert counts.cut_off <= counts.failed


def test_done_beats_failed_and_later_beats_earlier_and_ties_do_not_depend_on_the_order() -> None:
    (call,) = (call for call in CALLS if call.card_type == "b")
    early, late, other = (
        result_of(call, Failure(cause, message(word)), ended=ended, attempts=attempts, traceparent=word)
        for cause, word, ended, attempts in [
            (Cause.INTERRUPTED, "early", 12.0, 9),
            (Cause.STATUS, "late", 14.0, 3),
            (Cause.DENIED, "other", 14.0, 1),
        ]
    )
    done, longer = (result_of(call, ended=11.0, attempts=attempts) for attempts in (1, 2))
    for order in permutations([early, late, other]):
        ledger = Ledger(PLAN)
        for result in order:
            ledger.add(result)
        assert [str(failed.reason) for failed in ledger.failures] == ["other"]
        assert ledger.items["qa"].of("A")[1].cause == Cause.DENIED
    for order in permutations([early, late, done, longer]):
        ledger = Ledger(PLAN)
        for result in order:
            ledger.add(result)
        assert ledger.failures == []
        assert ledger.items["qa"].of("A")[1].attempts == 2
        assert ledger.counts("qa") == Counts(planned=3, done=1)


def test_a_failed_attempt_at_a_batch_counts_once_though_both_halves_list_it() -> None:
    ledger = Ledger(PLAN)
    for half in ("A", "B"):
        ledger.add(result_of(CALLS[0], targets=(half,), failed_attempts=tried((2.0, 9.0, "too large"))))
    assert sorted(ledger.lanes["financial"].seconds()) == [2.0, 2.0, 7.0]


@pytest.mark.parametrize("ended", [10.0, 12.0])
def test_a_failure_of_this_attempt_counts_for_it_whatever_the_clock_of_an_earlier_one_said(ended: float) -> None:
    """The machine of the earlier attempt may have been ahead."""
    (call,) = (call for call in CALLS if call.card_type == "b")
    ledger = Ledger(PLAN)
    ledger.add(result_of(call, Failure(Cause.STATUS, message("no")), ended=11.0))
    ledger.begin()
    assert ledger.counts("qa", now=True) == Counts(planned=3)
    ledger.add(result_of(call, Failure(Cause.STATUS, message("no")), ended=ended))
    assert ledger.counts("qa", now=True) == Counts(planned=3, failed=1)
    assert len(ledger.failures) == 1


def test_the_failures_of_this_attempt_are_listed_though_earlier_ones_had_more_than_are_kept() -> None:
    down, more = Failure(Cause.STATUS, message("down"), 503), Failure(Cause.STATUS, message("no"), 422)
    plan = plan_of([target(f"T{number}", engines=()) for number in range(FAILURES_KEPT + 10)], settings_of())
    ledger, calls = Ledger(plan), list(plan.calls("qa"))
    for call in calls[:-3]:
        ledger.add(result_of(call, down))
    ledger.begin()
    assert len(ledger.failures) == FAILURES_KEPT
    for call in [*calls[:2], *calls[-3:]]:
        ledger.add(result_of(call, more, ended=20.0))
    listed = [failed.targets for failed in ledger.failures if failed.status == 422]
    assert listed == [call.targets for call in [*calls[:2], *calls[-3:]]]
    assert len(ledger.failures) == FAILURES_KEPT + 3
    assert (ledger.failed_calls, ledger.failed_statuses) == (5, {422})
    for call in calls:
        ledger.add(result_of(call, more, ended=21.0))
    assert len(ledger.failed_now) == FAILURES_KEPT
    assert ledger.counts("qa", now=True).failed == len(calls)


def test_a_result_that_the_only_plan_lacks_is_refused() -> None:
    other = plan_of([target("Z")], settings_of())
    with pytest.raises(LookupError):
        Ledger(PLAN).add(result_of(next(other.calls("news"))))

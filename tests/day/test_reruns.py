"""What a person asks to have made again is missing until a result has its number; what was never made gets none."""

from collections.abc import Sequence

import pytest

from job.config.plan import Plan
from job.day.ledger import Ledger, Rerun
from job.day.result import Counts
from job.engines.calls import ALL_ENGINES, Call, EngineName, Item
from job.engines.failures import Cause, Failure
from job.text.messages import message
from tests.support.fakes import plan_of, target
from tests.support.results import result_of

PLAN = plan_of([target("A", ["a", "b"]), target("B", ["a"])])
NO = Failure(Cause.STATUS, message("no"), 422)
CARD = Item("qa", "A", "a")
DAY = "2026-11-24"


def call_of(item: Item) -> Call:
    return next(call for call in PLAN.calls(item.engine) if item in call.items)


def ledger_of(*engines: EngineName, plan: Plan = PLAN, asked: Sequence[Rerun] = ()) -> Ledger:
    """A ledger in which everything of these engines is done, for the first time."""
    ledger = Ledger(plan, asked)
    for engine in engines:
        for call in PLAN.calls(engine):
            ledger.add(result_of(call))
    return ledger


def test_what_is_asked_again_is_missing_until_a_done_result_has_its_number_or_a_higher_one() -> None:
    call = call_of(CARD)
    ledger = ledger_of(*ALL_ENGINES)
    assert ledger.is_complete
    ledger.rerun([CARD], 2)
    for result in (None, result_of(call, again=1), result_of(call), result_of(call, NO, again=1)):
        if result is not None:
            ledger.add(result)
        assert (ledger.counts("qa"), ledger.is_complete) == (Counts(planned=3, done=2, not_attempted=1), False)
        assert [(one.item.target, one.state, one.ended) for one in ledger.items["qa"].missing()] == [
            ("A", "not_attempted", 0.0)
        ]
        assert list(PLAN.calls("qa", ledger.items["qa"].is_done)) == [call]
    ledger.add(result_of(call, NO, again=2))
    assert ledger.counts("qa") == Counts(planned=3, done=2, failed=1)
    assert (ledger.made_again, ledger.to_make_again) == ([], [CARD])
    ledger.add(result_of(call, again=3))
    assert (ledger.is_complete, ledger.made_again) == (True, [CARD])
    assert ledger.rerun_of(call) == 2


def test_no_card_is_requested_before_data_that_is_prepared_again() -> None:
    ledger = ledger_of(*ALL_ENGINES)
    ledger.rerun([Item("trading", "B", None)], 2)
    assert not ledger.is_ready
    (batch,) = PLAN.calls("trading", ledger.items["trading"].is_done)
    assert (batch.targets, ledger.rerun_of(batch)) == (("B",), 2)
    ledger.add(result_of(batch, again=2))
    assert ledger.is_ready


def test_a_request_for_what_the_plan_lacks_is_kept_and_asks_for_nothing() -> None:
    asked = Rerun("qa", "Z", "a", DAY, 2)
    ledger = ledger_of(*ALL_ENGINES, asked=[asked])
    assert (ledger.reruns, ledger.is_complete, ledger.made_again) == ((asked,), True, [])


@pytest.mark.parametrize("ended", [10.0, 30.0])
def test_failures_of_before_the_item_was_done_are_not_listed_once_it_is_open_again(ended: float) -> None:
    """Even if the clock of another machine was ahead."""
    ledger = Ledger(PLAN)
    ledger.add(result_of(call_of(CARD), NO, ended=ended, traceparent="old"))
    ledger.add(result_of(call_of(CARD)))
    ledger.rerun([CARD], 2)
    assert ledger.failures == []
    ledger.add(result_of(call_of(CARD), NO, again=2, ended=20.0, traceparent="new"))
    assert [call.traceparent for call in ledger.failures] == ["new"]
    ledger.add(result_of(call_of(CARD), again=2, ended=40.0))
    assert ledger.failures == []

"""What a person asks to have made again gets a number of its own, once; what was never made gets none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from job.engines.calls import Call, WorkItem
from job.engines.catalog import ALL_ENGINES, EngineName
from job.engines.failures import Cause, Failure
from job.ledger.ledger import Ledger
from job.ledger.reruns import Rerun, RerunKey, Reruns
from job.text.messages import message
from tests.support.fakes import plan_of, target
from tests.support.results import result_of

PLAN = plan_of([target("A", ["a", "b"]), target("B", ["a"])])
NO = Failure(Cause.STATUS, message("no"), 422)
CARD: tuple[EngineName, WorkItem] = ("qa", ("A", "a"))
DAY = "2026-11-24"


def call_of(engine: EngineName, item: WorkItem) -> Call:
    return next(call for call in PLAN.calls(engine) if item in call.items)


def ledger_of(*engines: EngineName, asked: Sequence[Rerun] = ()) -> Ledger:
    """A ledger in which everything of these engines is done."""
    ledger = Ledger(PLAN, asked)
    for engine in engines:
        for call in PLAN.calls(engine):
            ledger.add(result_of(call))
    return ledger


def test_a_request_is_open_until_a_done_result_has_its_number_or_a_higher_one() -> None:
    call = call_of(*CARD)
    ledger = ledger_of(*ALL_ENGINES)
    assert not ledger.is_left
    ledger.ask_again([CARD], 2)
    assert (ledger.again_of(call), ledger.is_open(*CARD), ledger.is_left, ledger.left("qa")) == (2, True, True, 1)
    assert ledger.counts("qa").done == 3, "it is still there"
    assert not ledger.is_settled(*CARD)
    for result in (result_of(call, again=1), result_of(call, NO, again=2), result_of(call)):
        ledger.add(result)
        assert ledger.is_open(*CARD)
    ledger.add(result_of(call, again=3))
    assert (ledger.again_of(call), ledger.is_open(*CARD), ledger.is_left) == (0, False, False)
    assert ledger.asked("qa") == [CARD[1]], "that it was made again is still known"


def test_no_card_is_requested_before_data_that_is_prepared_again() -> None:
    ledger = ledger_of(*ALL_ENGINES)
    ledger.ask_again([("trading", ("B", None))], 2)
    assert not ledger.is_ready
    assert ledger.is_complete()
    batch = call_of("trading", ("B", None))
    assert ledger.again_of(batch) == 2
    ledger.add(result_of(batch, again=2))
    assert ledger.is_ready


def test_a_request_that_was_recorded_is_known_to_the_next_attempt_whatever_the_order_of_results() -> None:
    asked = [Rerun(*RerunKey("qa", "A", "a", DAY), 3)]
    for order in permutations(result_of(call_of(*CARD), again=number) for number in (0, 2, 3)):
        ledger = Ledger(PLAN, asked)
        assert ledger.is_open(*CARD)
        for result in order:
            ledger.add(result)
        assert not ledger.is_open(*CARD)


@pytest.mark.parametrize("absent", ["its target", "its date"])
def test_a_request_for_what_the_plan_lacks_is_kept_and_asks_for_nothing(absent: str) -> None:
    asked = Rerun("qa", "Z", "a", DAY, 2) if absent == "its target" else Rerun("qa", "A", "a", "2026-01-02", 2)
    ledger = ledger_of(*ALL_ENGINES, asked=[asked])
    assert list(ledger.reruns) == [asked]
    assert not ledger.is_left
    assert ledger.asked("qa") == []


def test_a_result_of_another_plan_closes_a_request_that_this_plan_lacks() -> None:
    other = replace(PLAN, targets=(target("Z", ["a"]),))
    ledger = Ledger(PLAN, [Rerun("qa", "Z", "a", DAY, 2)])
    ledger.absorb(result_of(next(other.calls("qa")), again=2))
    assert ledger.reruns.number(RerunKey("qa", "Z", "a", DAY)) == 0


def test_a_failure_is_listed_while_what_it_was_to_make_again_is_open() -> None:
    ledger = ledger_of(*ALL_ENGINES)
    ledger.ask_again([CARD], 2)
    ledger.add(result_of(call_of(*CARD), NO, again=2, ended=20.0))
    assert [call.targets for call in ledger.failures] == [("A",)]
    ledger.add(result_of(call_of(*CARD), again=2, ended=30.0))
    assert ledger.failures == []


def test_without_a_request_nothing_is_asked() -> None:
    assert not Reruns()
    assert ledger_of().again_of(call_of(*CARD)) == 0

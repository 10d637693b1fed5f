"""Failures with one remedy are one group; an engine that is wholly down is one line, and no target is blamed."""

from dataclasses import replace
from itertools import islice

import pytest

from job.day.attempt import Outcome
from job.day.failing import AT_FAULT_LIMIT, failure_groups, names_of, not_reached, shortest_names, targets_at_fault
from job.day.ledger import Ledger
from job.day.result import CallResult
from job.engines.calls import EngineName, Item
from job.engines.failures import CUT_OFF, Cause, Failure, Remedy
from job.text.messages import message
from tests.support.chinese import in_chinese
from tests.support.days import Day
from tests.support.fakes import plan_of, target
from tests.support.results import result_of

DENIED = Failure(Cause.DENIED, message("no"), 200)
REFUSED, BROKEN, AWAY, NOT_FOUND = (
    Failure(Cause.STATUS, message(f"HTTP {status}"), status) for status in (422, 500, 503, 404)
)
TIMEOUT = Failure(Cause.TIMEOUT, message("no answer in time"))
TWENTY = plan_of([target(f"T{number:02}", ["a", "b"]) for number in range(20)])


def ledger_of(engine: EngineName, *failures: Failure | None) -> Ledger:
    """The ledger after the first calls of an engine: done, or with this failure. They end in the opposite order."""
    ledger = Ledger(TWENTY)
    for call, failure in reversed([*zip(TWENTY.calls(engine), failures, strict=False)]):
        ledger.add(result_of(call, failure))
    return ledger


@pytest.mark.parametrize(
    ("items", "names"),
    [
        ([], []),
        ([("A", None), ("B", None)], ["A", "B"]),
        ([("A", "news")], ["A/news"]),
        ([("A", "x"), ("A", "y"), ("B", "x")], ["A (2)", "B/x"]),
        ([("A", "x"), ("B", "x")], ["/x: A", "B"]),
    ],
)
def test_names_for_people(items: list[tuple[str, str | None]], names: list[str]) -> None:
    assert names_of(Item("qa", *item) for item in items) == names


def test_cards_are_named_as_shortly_as_can_be() -> None:
    plan = plan_of([target(name, ["a", "b"]) for name in ("A", "B")])
    cards = list(plan.items("qa"))
    assert shortest_names(Ledger(plan), [*cards[::2], cards[1]]) == ["/a", "A/b"]
    assert shortest_names(Ledger(plan), cards[:2]) == ["A (2)"]


def test_calls_with_one_remedy_are_one_group_in_the_plans_order_and_the_largest_is_first() -> None:
    groups = failure_groups(ledger_of("qa", None, DENIED, AWAY, TIMEOUT, TIMEOUT, CUT_OFF))
    assert [(str(group.heading), group.names) for group in groups] == [
        ("QA engine: 2 cards failed; 2 tries may have been charged", ["T01/b", "T02/a"]),
        ("QA engine: 1 card failed; 1 try may have been charged", ["T00/b"]),
        ("QA engine: 1 card failed", ["T01/a"]),
    ]
    assert len({group.remedy for group in groups}) == 3


def test_the_tries_that_may_have_been_charged_are_those_of_all_attempts_at_a_missing_card() -> None:
    ledger, card = Ledger(TWENTY), next(TWENTY.calls("qa"))
    for attempt, charged in enumerate((15, None, 0, 1), 1):
        about = {"tries": 20, "charged_tries": charged, "attempt": attempt}
        ledger.add(result_of(card, AWAY if charged is None else TIMEOUT, ended=12.0 + attempt, **about))
    ledger.add(result_of([*TWENTY.calls("qa")][1]))
    (group,) = failure_groups(ledger)
    assert str(group.heading) == "QA engine: 1 card failed; 16 tries may have been charged"
    assert ledger.charged_tries == {card.items[0]: 16}
    ledger.add(result_of(card, ended=20.0))
    assert not ledger.charged_tries, "it is made"
    ledger.rerun(card.items, 5)
    ledger.add(result_of(card, REFUSED, ended=30.0, again=5))
    assert not ledger.charged_tries, "the picture that is wanted now was never charged"


@pytest.mark.parametrize(
    ("failure", "tries"),
    [(TIMEOUT, 3), (Failure(Cause.STATUS, message("HTTP 504"), 504), 3), (BROKEN, 0), (AWAY, 0), (CUT_OFF, 0)],
)
def test_a_result_that_does_not_say_how_many_tries_may_have_cost_money_is_read_as_it_was_then(
    failure: Failure, tries: int
) -> None:
    results = (
        result_of(next(calls), failure, tries=3, charged_tries=None)
        for calls in (TWENTY.calls("qa"), TWENTY.calls("news"))
    )
    assert [CallResult.parse(result.line()).perhaps_charged_tries for result in results] == [tries, 0]


def test_the_most_frequent_answers_of_a_group_are_shown() -> None:
    answers = ["b", "a", "b", "c", "a", "b", "d"]
    ledger = ledger_of("qa", None, *(Failure(Cause.DENIED, message(text), 200) for text in answers))
    (group,) = failure_groups(ledger)
    assert list(map(str, group.answers)) == ["b", "a", "c"]


@pytest.mark.parametrize(("engine", "known"), [("qa", "this card"), ("news", "this target")])
def test_what_an_engine_does_not_know_is_to_be_corrected_and_its_address_only_if_it_knows_nothing(
    engine: EngineName, known: str
) -> None:
    (group,) = failure_groups(ledger_of(engine, NOT_FOUND, None))
    assert str(group.what_to_do).startswith(f"The engine does not know {known}. Correct it")
    (group,) = failure_groups(ledger_of(engine, NOT_FOUND, NOT_FOUND))
    assert str(group.what_to_do).startswith("There is nothing at that address.")


@pytest.mark.parametrize(
    ("failures", "heading", "names"),
    [
        ([NOT_FOUND, CUT_OFF], "the only call that was answered failed", ["T00"]),
        ([AWAY, CUT_OFF, CUT_OFF], "1 target failed", ["T00"]),
        ([TIMEOUT, CUT_OFF], "1 target failed", ["T00"]),
        ([AWAY, replace(CUT_OFF, after=Cause.STATUS)], "every call failed", []),
        ([TIMEOUT, TIMEOUT], "every call failed", []),
        ([AWAY, None], "1 target failed", ["T00"]),
        ([REFUSED, REFUSED], "2 targets failed", ["T00", "T01"]),
    ],
    ids=["404", "503", "no answer in time", "the other had failed before", "both not in time", "done", "refused"],
)
def test_calls_that_were_cut_off_prove_nothing_of_the_engine(
    failures: list[Failure], heading: str, names: list[str]
) -> None:
    (group,) = failure_groups(ledger_of("news", *failures))
    assert (str(group.heading), group.names) == (f"News engine: {heading}", names)


def test_what_is_not_there_for_the_only_call_may_be_its_target_or_the_address() -> None:
    (group,) = failure_groups(ledger_of("financial", NOT_FOUND, CUT_OFF))
    assert "Correct the target in ticker_list.json" in str(group.what_to_do)
    assert "check FINANCIAL_ENGINE_URL" in str(group.what_to_do)


def test_what_was_not_reached_is_counted_and_nothing_of_it_is_a_failure() -> None:
    ledger = ledger_of("news", REFUSED, CUT_OFF)
    rest = not_reached(ledger, Outcome.DATA_ENGINE_FAILED)
    assert str(rest) == "Not finished, but nothing has to be put right: financial 20, trading 20, news 19, cards 40"
    assert in_chinese(rest) == "未完成（无需处理）：财务 20、交易 20、新闻 19、图卡 40"
    assert not_reached(Day().play().ledger, Outcome.SUCCEEDED) is None
    said = "Not requested because other cards of their type failed: /a (20), /b (20)"
    assert str(not_reached(ledger, Outcome.CARDS_MISSING)) == said
    assert [group.names for group in failure_groups(ledger)] == [["T00"]]


@pytest.mark.parametrize(
    ("failures", "names"),
    [
        pytest.param([REFUSED, REFUSED], ("T00", "T01"), id="refused"),
        pytest.param([REFUSED, CUT_OFF], ("T00",), id="and one cut off"),
        pytest.param([DENIED, BROKEN, None], ("T00", "T01"), id="denied, while another was done"),
        pytest.param([NOT_FOUND, None], ("T00",), id="not known, while another was"),
        pytest.param([NOT_FOUND, CUT_OFF], ("T00",), id="not known, and nothing else was answered"),
        pytest.param([TIMEOUT, None], ("T00",), id="too slow, while another was done"),
        pytest.param([TIMEOUT], (), id="it may be down, as nothing was answered"),
        pytest.param([TIMEOUT, replace(CUT_OFF, after=Cause.TIMEOUT), None], (), id="another was too slow as well"),
        pytest.param([NOT_FOUND] * 2, (), id="it may be another service"),
        pytest.param([DENIED] * 2, (), id="it may deny everything"),
        pytest.param([BROKEN] * 2, (), id="it may be down"),
        pytest.param([REFUSED, AWAY, None], (), id="one failed otherwise"),
        pytest.param([REFUSED] * 20, (), id="nothing would be left"),
        pytest.param([], (), id="nothing failed"),
    ],
)
def test_a_target_is_at_fault_only_if_the_engine_answered_and_failed_for_it_alone(
    failures: list[Failure | None], names: tuple[str, ...]
) -> None:
    assert targets_at_fault(ledger_of("news", *failures)) == names


def test_nobody_is_left_out_whose_cards_are_there_nor_if_no_other_card_is_missing() -> None:
    ledger = ledger_of("news", REFUSED, None, None)
    own = [call for call in ledger.plan.calls("qa") if call.targets == ("T00",)]
    assert targets_at_fault(ledger) == ("T00",)
    for call in ledger.plan.calls("qa"):
        if call not in own:
            ledger.add(result_of(call))
    assert targets_at_fault(ledger) == (), "all other cards are made"
    ledger = ledger_of("news", REFUSED, None, None)
    for call in own:
        ledger.add(result_of(call))
    assert targets_at_fault(ledger) == (), "its own card is made"


def test_many_targets_are_not_at_fault() -> None:
    plan = plan_of([target(f"T{number:02}") for number in range(2 * AT_FAULT_LIMIT + 2)])
    for count in (AT_FAULT_LIMIT, AT_FAULT_LIMIT + 1):
        ledger = Ledger(plan)
        for call in islice(plan.calls("news"), count):
            ledger.add(result_of(call, REFUSED))
        assert len(targets_at_fault(ledger)) == (count if count == AT_FAULT_LIMIT else 0)


@pytest.mark.parametrize(("others", "is_offered"), [(3, True), (2, False)])
def test_a_day_does_not_go_on_without_most_of_its_cards(others: int, is_offered: bool) -> None:
    plan = plan_of([target("A", ["a", "b", "c"]), *(target(f"T{number}", ["a"]) for number in range(others))])
    ledger = Ledger(plan)
    ledger.add(result_of(next(plan.calls("news")), REFUSED))
    assert targets_at_fault(ledger) == (("A",) if is_offered else ())


@pytest.mark.parametrize(
    ("calls", "remedy"),
    [
        ([(0, None, 1), (0, NOT_FOUND, 2)], Remedy.NOT_THERE),
        ([(0, None, 1), (1, NOT_FOUND, 1)], Remedy.TARGET_NOT_KNOWN),
        ([(0, None, 1), (1, NOT_FOUND, 1), (1, NOT_FOUND, 2)], Remedy.TARGET_NOT_KNOWN),
        ([(0, None, 1), (1, AWAY, 1), (1, NOT_FOUND, 2)], Remedy.NOT_THERE),
        ([(0, None, 1), (1, AWAY, 1), (1, NOT_FOUND, 2), (2, None, 2)], Remedy.TARGET_NOT_KNOWN),
    ],
    ids=["it was there once", "mistyped", "mistyped, in a retry", "never asked before", "others are there"],
)
def test_only_what_was_done_in_the_same_attempt_proves_that_the_address_of_what_is_not_found_is_right(
    calls: list[tuple[int, Failure | None, int]], remedy: Remedy
) -> None:
    """A service may have been removed since an earlier one."""
    ledger, news = Ledger(TWENTY), list(TWENTY.calls("news"))
    for at, (number, failure, attempt) in enumerate(calls):
        if failure and ledger.is_done(news[number].items[0]):
            ledger.rerun([Item("news", news[number].targets[0], None)], attempt)
        again = ledger.rerun_of(news[number])
        ledger.add(result_of(news[number], failure, ended=12.0 + at, attempt=attempt, again=again))
    (group,) = failure_groups(ledger)
    assert group.remedy is remedy
    assert str(group.heading) == "News engine: 1 target failed"


@pytest.mark.parametrize("ended", [10.0, 30.0])
def test_failures_of_before_the_item_was_done_are_not_listed_once_it_is_open_again(ended: float) -> None:
    """Even if the clock of another machine was ahead."""
    ledger, card = Ledger(TWENTY), next(TWENTY.calls("qa"))
    ledger.add(result_of(card, REFUSED, ended=ended, traceparent="old"))
    ledger.add(result_of(card))
    ledger.rerun(card.items, 2)
    assert ledger.failures == []
    ledger.add(result_of(card, REFUSED, again=2, ended=20.0, traceparent="new"))
    assert [call.traceparent for call in ledger.failures] == ["new"]
    ledger.add(result_of(card, again=2, ended=40.0))
    assert ledger.failures == []

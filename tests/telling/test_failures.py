"""What failed alike is one group; an engine of which every try failed is one line, and no target is blamed."""

from dataclasses import replace

import pytest

from job.config.plan import Plan
from job.day.attempt import Outcome
from job.day.changes import NightBefore
from job.day.ending import Ending
from job.day.failure_groups import AT_FAULT_LIMIT, failure_groups, targets_at_fault
from job.day.ledger import Ledger
from job.day.report import TARGETS_LISTED, Items, MissingGroup
from job.engines.calls import EngineName, Item
from job.engines.failures import CUT_OFF, Cause, Failure
from job.telling.failures import failure_lines
from job.telling.sentence import named
from job.telling.view import cost_line
from job.text.messages import message
from tests.support.days import Day
from tests.support.fakes import plan_of, target
from tests.support.records import report_at
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


def test_of_many_targets_the_first_are_listed_and_all_are_counted() -> None:
    many = Items.of(Item("qa", f"T{number}", card_type) for number in range(TARGETS_LISTED + 1) for card_type in "ab")
    assert (many.count, many.targets_count, len(many.targets)) == (2 * 51, 51, TARGETS_LISTED)
    assert str(named(many)).endswith("T8 (2), T9 (2) and 41 more")


def failed(ledger: Ledger, before: NightBefore | None = None) -> list[str]:
    """What is said to have failed, the largest group first."""
    report = report_at(Ending(Outcome.CARDS_MISSING), ledger, before=before)
    return [str(line.text) for line in failure_lines(report) if line.mark]


def test_calls_that_failed_alike_are_one_group_in_the_plans_order_and_the_largest_is_first() -> None:
    after = replace(CUT_OFF, status=503, after=Cause.STATUS)
    ledger = ledger_of("qa", None, DENIED, AWAY, TIMEOUT, TIMEOUT, TIMEOUT, CUT_OFF, after)
    assert failed(ledger) == [
        "QA engine: 3 cards failed: T01/b, T02 (2).",
        "QA engine: 1 card failed: T00/b.",
        "QA engine: 1 card failed: T01/a.",
        "QA engine: 1 card cut off after failed tries: T03/b.",
    ], "what was cut off had tries left"


def test_the_tries_that_may_have_been_charged_are_those_of_all_attempts_at_a_missing_card() -> None:
    ledger, card = Ledger(TWENTY), next(TWENTY.calls("qa"))
    for attempt, charged in enumerate((15, 0, 1), 1):
        about = {"tries": 20, "charged_tries": charged, "attempt": attempt}
        ledger.add(result_of(card, TIMEOUT if charged else AWAY, ended=12.0 + attempt, **about))
    ledger.add(result_of([*TWENTY.calls("qa")][1]))
    assert ledger.charged_tries == {card.items[0]: 16}
    ledger.add(result_of(card, ended=20.0))
    assert not ledger.charged_tries, "it is made"
    assert str(cost_line(ledger)) == "18 tries may have been charged."
    ledger.breaks_off = True
    assert str(cost_line(ledger)).startswith("At least 18 tries ")
    ledger.rerun(card.items, 5)
    ledger.add(result_of(card, REFUSED, ended=30.0, again=5))
    assert not ledger.charged_tries, "the picture that is wanted now was never charged"


def test_the_most_frequent_answers_of_a_group_are_shown() -> None:
    answers = ["b", "a", "b", "c", "a", "b", "d"]
    ledger = ledger_of("qa", None, *(Failure(Cause.DENIED, message(text), 200) for text in answers))
    (group,) = failure_groups(ledger, None)
    assert list(map(str, group.answers)) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("failures", "said"),
    [
        ([NOT_FOUND, CUT_OFF], "1 target failed: T00"),
        ([AWAY, CUT_OFF, CUT_OFF], "1 target failed: T00"),
        ([TIMEOUT, CUT_OFF], "1 target failed: T00"),
        ([AWAY, replace(CUT_OFF, status=503, after=Cause.STATUS)], "every try failed"),
        ([TIMEOUT, TIMEOUT], "every try failed"),
        ([AWAY, None], "1 target failed: T00"),
        ([REFUSED, REFUSED], "2 targets failed: T00, T01"),
    ],
    ids=["404", "503", "no answer in time", "the other had failed before", "both not in time", "done", "refused"],
)
def test_calls_that_were_cut_off_prove_nothing_of_the_engine(failures: list[Failure], said: str) -> None:
    assert failed(ledger_of("news", *failures)) == [f"News engine: {said}."]


def before(*missing: Item, plan: Plan = TWENTY) -> NightBefore:
    """The night before, on which this was missing."""
    groups = [MissingGroup(**one._asdict(), state="failed", targets=(one.target,)) for one in missing]
    return Day("2026-11-23").play().view().report.model_copy(update={"missing": tuple(groups)}), plan


LESS = plan_of([target("T00", ["a", "b"])])


@pytest.mark.parametrize(
    ("engine", "failures", "then", "said"),
    [
        ("qa", [REFUSED, None], before(), "1 card failed; it was made on 11-23"),
        ("qa", [REFUSED, REFUSED], before(), "2 cards failed; all were made on 11-23"),
        ("news", [None, DENIED], before(), "1 target failed; it was made on 11-23"),
        ("news", [None, *[DENIED] * 2], before(plan=LESS), "2 targets failed"),
        ("news", [DENIED, DENIED, None], before(plan=LESS), "2 targets failed"),
        ("qa", [REFUSED, REFUSED], before(Item("qa", "T00", "b")), "2 cards failed"),
        ("qa", [REFUSED], None, "1 card failed"),
        ("news", [AWAY, AWAY], before(), "every try failed; all were made on 11-23"),
    ],
)
def test_what_is_said_of_the_night_before_is_so_of_all_that_failed(
    engine: EngineName, failures: list[Failure | None], then: NightBefore | None, said: str
) -> None:
    (line,) = failed(ledger_of(engine, *failures), then)
    assert line.split(": ")[1].rstrip(".") == said


def test_of_a_night_before_whose_list_is_not_whole_nothing_is_known() -> None:
    report, plan = before()
    cut = report.model_copy(update={"missing_not_listed": 1})
    assert failed(ledger_of("qa", REFUSED), (cut, plan)) == ["QA engine: 1 card failed: T00/a."]


DENIED_BEFORE = replace(CUT_OFF, status=200, after=Cause.DENIED)


@pytest.mark.parametrize(
    ("failures", "names"),
    [
        pytest.param([REFUSED, DENIED, None], ("T00", "T01"), id="answered for them alone, and another was done"),
        pytest.param([REFUSED, None, CUT_OFF], ("T00",), id="of one that was cut off nothing is known"),
        pytest.param([DENIED, DENIED_BEFORE, None], (), id="one was cut off after a try that was denied"),
        pytest.param([REFUSED, CUT_OFF], (), id="none was done"),
        pytest.param([NOT_FOUND, None], (), id="not found"),
        pytest.param([TIMEOUT, None], (), id="too slow"),
        pytest.param([BROKEN, None], (), id="broken"),
        pytest.param([REFUSED, AWAY, None], (), id="one failed otherwise"),
        pytest.param([None], (), id="nothing failed"),
        pytest.param([*[REFUSED] * 10, None], tuple(f"T{number:02}" for number in range(10)), id="half of all"),
        pytest.param([*[REFUSED] * 11, None], (), id="most of all"),
    ],
)
def test_targets_may_be_left_out_only_if_the_engine_answered_for_each_alone_and_did_others(
    failures: list[Failure | None], names: tuple[str, ...]
) -> None:
    assert targets_at_fault(ledger_of("news", *failures)) == names


def test_a_batch_that_was_refused_blames_nobody_alone() -> None:
    ledger = Ledger(TWENTY)
    first, second, *_ = TWENTY.calls("trading")
    ledger.add(result_of(first, REFUSED, targets=("T00", "T01")))
    ledger.add(result_of(second))
    assert targets_at_fault(ledger) == ()


@pytest.mark.parametrize("count", [AT_FAULT_LIMIT, AT_FAULT_LIMIT + 1])
def test_many_targets_are_not_left_out(count: int) -> None:
    plan = plan_of([target(f"T{number:02}") for number in range(2 * AT_FAULT_LIMIT + 2)])
    ledger, (last, *calls) = Ledger(plan), [*plan.calls("news")]
    for call in calls[:count]:
        ledger.add(result_of(call, REFUSED))
    ledger.add(result_of(last))
    assert len(targets_at_fault(ledger)) == (count if count == AT_FAULT_LIMIT else 0)


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

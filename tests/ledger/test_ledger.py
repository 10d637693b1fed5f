"""After a change of the config the ledger keeps all that happened, but counts only what is still planned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from job.ledger.items import Counts
from job.ledger.ledger import Ledger
from job.ledger.result import CallResult
from job.page.run_page import plan_notes
from tests.support.nights import START, Night

NOW = START.timestamp()


def news_fail(engine: str, number: int) -> Any:
    failed = engine == "news" and number == 1
    return (["HTTP 503"], "status", "HTTP 422", 422) if failed else ([], None, None, 200)


BOTH, ONE = Night(["AAPL", "MSFT"], ["a", "b"], fate=news_fail, batch=1), Night(["AAPL"], ["a", "b"], batch=1)


def later(result: CallResult, seconds: float) -> CallResult:
    return replace(result, started=result.started + seconds, ended=result.ended + seconds)


def results() -> Iterator[CallResult]:
    """Two attempts in which the news of MSFT failed; an hour later one without MSFT, with only the cards left."""
    news = {"AAPL": "", "MSFT": ""} | {call.targets[0]: call.request for call in BOTH.plan().calls("news")}
    for result in BOTH.results():
        if result.engine == "qa":
            continue
        changed = replace(result, request=news[result.targets[0]]) if result.engine == "news" else result
        yield changed
        if not changed.done:
            yield later(changed, 900)
    for result in ONE.results():
        if result.engine == "qa":
            yield later(result, 3600)


def ledger() -> Ledger:
    found = Ledger(ONE.plan(), is_replanned=True)
    for result in results():
        found.add(result)
    return found


def test_each_item_that_left_the_plan_counts_once() -> None:
    assert ledger().left_plan == 3, "of each data engine, however often it was tried"


def test_calls_of_items_that_left_the_plan_are_drawn_but_not_counted() -> None:
    found = ledger()
    assert [len(found.lanes[engine]) for engine in ("financial", "trading", "news", "qa")] == [2, 2, 3, 2]
    assert found.lanes["news"].retries == 2
    assert [call.done for call in found.lanes["news"].kept].count(False) == 2
    assert found.failures == [], "and nothing has failed that is planned"
    assert {engine: found.counts(engine) for engine in found.items} == {
        "financial": Counts(1, 1), "trading": Counts(1, 1), "news": Counts(1, 1), "qa": Counts(2, 2),
    }  # fmt: skip


def test_a_failure_that_another_attempt_healed_is_not_listed_in_whatever_order_the_record_is_read() -> None:
    plan = BOTH.plan()
    (failed,) = (result for result in BOTH.results() if not result.done)
    healed = replace(failed, done=True, cause=None, status=200, reason=None)
    for order in ((failed, healed), (healed, failed)):
        found = Ledger(plan)
        for result in order:
            found.add(result)
        assert (found.failures, found.counts("news").failed) == ([], 0)


def test_the_barrier_is_that_of_the_newest_plan() -> None:
    found = ledger()
    assert found.barrier == min(found.lanes["qa"].started) > NOW + 3600


def test_cards_of_an_earlier_plan_do_not_show_that_the_barrier_was_passed() -> None:
    """The data calls of the new plan came after the last card."""
    found = Ledger(BOTH.plan())
    for result in BOTH.results():
        seconds = 3600 if result.engine == "news" and result.targets == ("MSFT",) else 0
        found.add(replace(later(result, seconds), failed_attempts=()))
    assert found.barrier is None


def test_the_page_says_what_is_no_longer_planned() -> None:
    report, _ = ONE.build()
    assert list(plan_notes(report)) == []
    (left, outdated) = plan_notes(report.model_copy(update={"left_plan": 3, "outdated_cards": 1}))
    assert str(left).startswith("3 items that were done or tried before are no longer planned: ")
    assert str(outdated).startswith("1 card was made with a model or parameters that the config has no longer.")

"""The sentence at the end of a run says correctly how the run ended."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from job.engines.catalog import ALL_ENGINES
from job.engines.failures import Cause, Failure
from job.execution.shutdown import ShutdownReason
from job.ledger.ledger import FAILURES_KEPT, Ledger
from job.report.outcome import ExitCode, Outcome, ending_of
from job.report.report import not_recorded
from job.text.messages import message
from tests.support.fakes import plan_of, settings_of, target
from tests.support.nights import Night
from tests.support.results import result_of


def complete() -> Ledger:
    """The ledger of a run that has done everything: one card."""
    ledger = Ledger(plan_of([target("AAPL")], settings_of()))
    for engine in ALL_ENGINES:
        for call in ledger.plan.calls(engine):
            ledger.add(result_of(call))
    return ledger


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (None, "Cards are missing: 1,200 of 12,000 cards are there, 10,800 failed."),
        (ShutdownReason.DEADLINE, "The run's deadline passed; 1,200 of 12,000 cards are there."),
    ],
)
def test_large_numbers_have_thousands_separators(reason: ShutdownReason | None, sentence: str) -> None:
    ledger = Ledger(plan_of([target(f"T{number}", engines=()) for number in range(12_000)], settings_of()))
    for number, call in enumerate(ledger.plan.calls("qa")):
        ledger.add(result_of(call, Failure(Cause.STATUS, message("no"), 500) if number >= 1_200 else None))
    assert str(ending_of(ledger, reason).sentence) == sentence


@pytest.mark.parametrize(
    ("statuses", "sentence"),
    [
        ([403, 403], "The QA engine refuses the job's calls: "),
        ([401, 403], "The QA engine refuses the job's calls: "),
        ([503, 403], "The QA engine is down: "),
        ([*[403] * FAILURES_KEPT, 503], "The QA engine is down: "),
        ([None], "The QA engine is down: "),
    ],
)
def test_an_engine_that_refuses_every_call_is_not_down(statuses: Sequence[int | None], sentence: str) -> None:
    ledger = Ledger(plan_of([target(f"T{number}") for number in range(len(statuses))], settings_of()))
    for status, call in zip(statuses, ledger.plan.calls("qa"), strict=True):
        ledger.add(result_of(call, Failure(Cause.STATUS, message("no"), status)))
    ending = ending_of(ledger, ShutdownReason.QA_DOWN)
    assert str(ending.sentence).startswith(f"{sentence}the run stopped requesting cards; ")
    assert (ending.outcome, int(ending.exit)) == ("qa_engine_down", 3)


def test_an_earlier_attempts_failure_does_not_hide_that_the_engine_refuses_every_call() -> None:
    ledger = Ledger(plan_of([target("A"), target("B")], settings_of()))
    first, second = ledger.plan.calls("qa")
    ledger.add(result_of(first, Failure(Cause.STATUS, message("no"), 503)))
    ledger.begin()
    ledger.add(result_of(second, Failure(Cause.STATUS, message("no"), 403)))
    assert "refuses the job's calls" in str(ending_of(ledger, ShutdownReason.QA_DOWN).sentence)


@pytest.mark.parametrize("has_plan", [True, False])
@pytest.mark.parametrize("not_renewed", ["_lease.json: No space left on device", None])
def test_a_lease_that_could_not_be_renewed_is_not_said_to_be_anothers(not_renewed: str | None, has_plan: bool) -> None:
    ledger = Ledger(plan_of([target("AAPL")], settings_of())) if has_plan else None
    ending = ending_of(ledger, ShutdownReason.LEASE_LOST, None, not_renewed)
    assert (ending.outcome, ending.exit) == ("lease_lost", ExitCode.BUSY)
    why = "The run lost its lease and stopped: another run may be at work"
    if not_renewed is not None:
        why = f"The lease could not be renewed: {not_renewed}. The run stopped"
    assert str(ending.sentence) == f"{why}; {'0 of 1 cards are there' if has_plan else 'nothing was called'}."
    assert "No space" not in str(ending_of(ledger, ShutdownReason.SIGTERM, None, not_renewed).sentence)


@pytest.mark.parametrize("reason", [None, *ShutdownReason])
def test_a_run_that_has_done_everything_has_succeeded_whatever_stopped_it(reason: ShutdownReason | None) -> None:
    """A signal or the deadline may come after the last card: nothing is left that a resume could do."""
    ending = ending_of(complete(), reason, not_renewed="no space left")
    assert (ending.outcome, int(ending.exit)) == (Outcome.SUCCEEDED, 0)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (None, ExitCode.CARDS_MISSING),
        (ShutdownReason.QA_DOWN, ExitCode.CARDS_MISSING),
        (ShutdownReason.DEADLINE, ExitCode.DEADLINE),
        (ShutdownReason.LEASE_LOST, ExitCode.BUSY),
        (ShutdownReason.SIGTERM, ExitCode.SIGTERM),
        (ShutdownReason.SIGINT, ExitCode.SIGINT),
    ],
)
def test_a_run_that_lacks_one_card_is_never_a_success(reason: ShutdownReason | None, code: ExitCode) -> None:
    ledger = Ledger(plan_of([target("AAPL", ["a", "b"])], settings_of()))
    for engine in ALL_ENGINES:
        call, *_ = ledger.plan.calls(engine)
        ledger.add(result_of(call))
    assert ending_of(ledger, reason).exit == code


@pytest.mark.parametrize(
    ("unrecorded", "more"),
    [
        (None, ""),
        (0, " Its report could not be written."),
        (1, " The record lacks 1 result: a resume would request it again."),
        (1200, " The record lacks 1,200 results: a resume would request them again."),
    ],
)
def test_a_run_whose_record_lacks_something_says_so_and_keeps_its_exit_code(unrecorded: int | None, more: str) -> None:
    """With another exit code Cloud Run would run it again, and the cards would be paid for twice."""
    closed, _ = Night(["AAPL"], ["a"]).build()
    report = not_recorded(closed, unrecorded)
    assert str(report.sentence) == f"{closed.sentence}{more}"
    assert (report.outcome, report.exit_code, report.unrecorded) == ("succeeded", 0, unrecorded)

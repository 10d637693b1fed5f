"""The sentence at the end of a run says correctly how the run ended."""

from __future__ import annotations

import pytest

from job.engines.failures import Cause, Failure
from job.execution.events import CallFinished
from job.execution.outcome import ExitCode, outcome_of, with_record
from job.execution.progress import FAILURES_KEPT, RunProgress
from job.execution.shutdown import ShutdownReason
from job.text.messages import message
from tests.support.fakes import plan_of, settings_of, target


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (None, "Cards are missing: 1,200 of 12,000 cards are there, 10,800 failed."),
        (ShutdownReason.DEADLINE, "The run's deadline passed; 1,200 of 12,000 cards are there."),
    ],
)
def test_large_numbers_have_thousands_separators(reason: ShutdownReason | None, sentence: str) -> None:
    progress = RunProgress(plan_of([target("AAPL")], settings_of()), {})
    progress.cards.planned, progress.cards.done, progress.cards.failed = 12_000, 1_200, 10_800
    assert str(outcome_of(progress, reason, None).sentence) == sentence


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
def test_an_engine_that_refuses_every_call_is_not_down(statuses: list[int | None], sentence: str) -> None:
    plan = plan_of([target(f"T{number}") for number in range(len(statuses))], settings_of())
    progress = RunProgress(plan, {})
    for status, call in zip(statuses, plan.calls("qa"), strict=True):
        failure = Failure(Cause.STATUS, message("no"), status)
        progress.on_event(CallFinished(call, failure, 1, 0.0, 1.0, status, "", 1))
    outcome = outcome_of(progress, ShutdownReason.QA_DOWN, None)
    assert str(outcome.sentence).startswith(f"{sentence}the run stopped requesting cards; ")
    assert (outcome.word, int(outcome.exit)) == ("qa_engine_down", 3)


@pytest.mark.parametrize("has_plan", [True, False])
@pytest.mark.parametrize("not_renewed", ["_lease.json: No space left on device", None])
def test_a_lease_that_could_not_be_renewed_is_not_said_to_be_anothers(not_renewed: str | None, has_plan: bool) -> None:
    progress = RunProgress(plan_of([target("AAPL")], settings_of()), {}) if has_plan else None
    outcome = outcome_of(progress, ShutdownReason.LEASE_LOST, None, not_renewed)
    assert (outcome.word, outcome.exit) == ("lease_lost", ExitCode.BUSY)
    why = "The run lost its lease and stopped: another run may be at work"
    if not_renewed is not None:
        why = f"The lease could not be renewed: {not_renewed}. The run stopped"
    assert str(outcome.sentence) == f"{why}; {'0 of 1 cards are there' if has_plan else 'nothing was called'}."
    assert "No space" not in str(outcome_of(progress, ShutdownReason.SIGTERM, None, not_renewed).sentence)


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
    progress = RunProgress(plan_of([target("AAPL")], settings_of()), {})
    for engine in progress.engines.values():
        engine.done = engine.planned
    outcome = with_record(outcome_of(progress, None, None), unrecorded)
    assert str(outcome.sentence) == f"Everything was done: 1 of 1 cards are there.{more}"
    assert (outcome.word, int(outcome.exit), outcome.unrecorded) == ("succeeded", 0, unrecorded)

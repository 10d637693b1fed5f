"""The sentence that says how a run ended."""

from __future__ import annotations

import pytest

from job.execution.outcome import outcome_of
from job.execution.progress import RunProgress
from job.execution.shutdown import ShutdownReason
from tests.support.fakes import plan_of, settings_of, target


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (None, "Cards are missing: 1,200 of 12,000 cards are there, 10,800 failed."),
        (ShutdownReason.DEADLINE, "The run's deadline passed; 1,200 of 12,000 cards are there."),
    ],
)
def test_large_numbers_have_their_thousands_apart(reason: ShutdownReason | None, sentence: str) -> None:
    progress = RunProgress(plan_of([target("AAPL")], settings_of()), {})
    progress.cards.planned, progress.cards.done, progress.cards.failed = 12_000, 1_200, 10_800
    assert str(outcome_of(progress, reason, None).sentence) == sentence

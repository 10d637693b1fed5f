"""How a run ended, in one word for machines, one sentence for people, and an exit code."""

from collections.abc import Sequence
from dataclasses import dataclass

from job.events import CallFinished
from job.exits import Exit
from job.halt import Reason
from job.tally import Ledger


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    word: str
    exit: Exit
    sentence: str


_HALTS = {
    Reason.SIGTERM: ("interrupted", Exit.SIGTERM, "The run was interrupted by SIGTERM"),
    Reason.SIGINT: ("interrupted", Exit.SIGINT, "The run was interrupted by SIGINT"),
    Reason.QA_DOWN: ("qa_engine_down", Exit.CARDS_MISSING, "The QA engine is down: the run stopped asking for cards"),
}


def outcome_of(ledger: Ledger | None, reason: Reason | None, error: str | None) -> Outcome:
    """The outcome of a run: `error` is what failed in phase 1, `reason` why it was halted.

    Without a ledger it was halted before it had a plan.
    """
    if ledger is None:
        return _halted(reason or Reason.SIGTERM, "nothing was called")
    cards = ledger.cards
    made = f"{cards.done + cards.skipped} of {cards.planned} cards are there"
    if error is not None:
        return Outcome("data_engine_failed", Exit.ENGINE_FAILED, f"No card was asked for: {error}.")
    if ledger.complete():
        return Outcome("succeeded", Exit.DONE, f"Everything was done: {made}.")
    if reason is not None:
        return _halted(reason, made)
    return Outcome("cards_missing", Exit.CARDS_MISSING, f"Cards are missing: {made}, {cards.failed} failed.")


def _halted(reason: Reason, made: str) -> Outcome:
    word, code, sentence = _HALTS[reason]
    return Outcome(word, code, f"{sentence}; {made}.")


def advice(failures: Sequence[CallFinished]) -> list[str]:
    """A line for each call that failed, with its targets, its attempts and the last answer."""
    return [
        f"{item.call.label}: {item.failure.text} ({item.attempts} attempt{'s' if item.attempts > 1 else ''})"
        for item in failures
        if item.failure is not None
    ]

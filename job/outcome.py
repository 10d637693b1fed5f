"""How a run ended, in one word for machines, one sentence for people, and an exit code."""

from dataclasses import dataclass, field

from job.exits import Exit
from job.halt import Reason
from job.lease import BusyError
from job.phases import EngineFailedError
from job.store import StorageError
from job.tally import Ledger


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    word: str
    exit: Exit
    sentence: str
    error: Exception | None = field(default=None, compare=False)
    """What made it fail, where there is one thing that did."""


_HALTS = {
    Reason.DEADLINE: ("deadline", Exit.DEADLINE, "The run's deadline passed"),
    Reason.LEASE_LOST: ("lease_lost", Exit.BUSY, "The run lost its lease and stopped: another run may be at work"),
    Reason.SIGTERM: ("interrupted", Exit.SIGTERM, "The run was interrupted by SIGTERM"),
    Reason.SIGINT: ("interrupted", Exit.SIGINT, "The run was interrupted by SIGINT"),
    Reason.QA_DOWN: ("qa_engine_down", Exit.CARDS_MISSING, "The QA engine is down: the run stopped asking for cards"),
}


def outcome_of(ledger: Ledger | None, reason: Reason | None, error: EngineFailedError | None) -> Outcome:
    """The outcome of a run: `error` is what failed in phase 1, `reason` why it was halted.

    Without a ledger it was halted before it had a plan.
    """
    if ledger is None:
        return _halted(reason or Reason.SIGTERM, "nothing was called")
    cards = ledger.cards
    made = f"{cards.done + cards.skipped} of {cards.planned} cards are there"
    if error is not None:
        return Outcome("data_engine_failed", Exit.ENGINE_FAILED, f"No card was asked for: {error}.", error)
    if ledger.complete():
        return Outcome("succeeded", Exit.DONE, f"Everything was done: {made}.")
    if reason is not None:
        return _halted(reason, made)
    return Outcome("cards_missing", Exit.CARDS_MISSING, f"Cards are missing: {made}, {cards.failed} failed.")


def bad_config(faults: int) -> Outcome:
    """The configuration cannot be used."""
    what = "1 fault" if faults == 1 else f"{faults} faults"
    return Outcome("bad_config", Exit.USAGE, f"The configuration has {what}: nothing was called.")


def busy(error: BusyError) -> Outcome:
    """Another run is alive: one with the same plan will do this one's work."""
    if error.same_plan:
        sentence = f"This run stands back: another with the same plan is at work, {error}. Nothing was called."
        return Outcome("superseded", Exit.DONE, sentence)
    return Outcome("busy", Exit.BUSY, f"Another run is at work: {error}. Nothing was called; try again later.", error)


def no_lease(error: StorageError) -> Outcome:
    """Nobody can tell whether another run is alive."""
    return Outcome("no_lease", Exit.BUSY, f"The lease cannot be had: RUNS_URI: {error}. Nothing was called.", error)


UNFORESEEN = Outcome("unforeseen", Exit.UNFORESEEN, "The job has a bug: its traceback is on standard error.")


def _halted(reason: Reason, made: str) -> Outcome:
    word, code, sentence = _HALTS[reason]
    return Outcome(word, code, f"{sentence}; {made}.")

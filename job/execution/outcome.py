"""What the exit code of a run says."""

from dataclasses import dataclass, field
from enum import IntEnum

from job.execution.phases import EngineFailedError
from job.execution.progress import RunProgress
from job.execution.shutdown import ShutdownReason


class ExitCode(IntEnum):
    """The codes are a contract with schedulers and people: they are never given another meaning."""

    DONE = 0
    ENGINE_FAILED = 1
    """A data engine failed: no card was asked for."""
    USAGE = 2
    """Configuration or usage is wrong: nothing was called."""
    CARDS_MISSING = 3
    DEADLINE = 4
    """The run's own deadline passed; the same run can be continued."""
    UNFORESEEN = 70
    """A bug (`EX_SOFTWARE` of sysexits.h); its traceback is on standard error."""
    BUSY = 75
    """Another run is alive, or the lease was not to be had or was lost (`EX_TEMPFAIL`)."""
    SIGINT = 130
    SIGTERM = 143


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    word: str
    exit: ExitCode
    sentence: str
    error: Exception | None = field(default=None, compare=False)
    """What made it fail, where there is one thing that did."""


_HALTS = {
    ShutdownReason.DEADLINE: ("deadline", ExitCode.DEADLINE, "The run's deadline passed"),
    ShutdownReason.LEASE_LOST: (
        "lease_lost",
        ExitCode.BUSY,
        "The run lost its lease and stopped: another run may be at work",
    ),
    ShutdownReason.SIGTERM: ("interrupted", ExitCode.SIGTERM, "The run was interrupted by SIGTERM"),
    ShutdownReason.SIGINT: ("interrupted", ExitCode.SIGINT, "The run was interrupted by SIGINT"),
    ShutdownReason.QA_DOWN: (
        "qa_engine_down",
        ExitCode.CARDS_MISSING,
        "The QA engine is down: the run stopped asking for cards",
    ),
}


def outcome_of(progress: RunProgress | None, reason: ShutdownReason | None, error: EngineFailedError | None) -> Outcome:
    """The outcome of a run: `error` is what failed in phase 1, `reason` why it was halted.

    Without a ledger it was halted before it had a plan.
    """
    if progress is None:
        return _halted(reason or ShutdownReason.SIGTERM, "nothing was called")
    cards = progress.cards
    made = f"{cards.done + cards.skipped:,} of {cards.planned:,} cards are there"
    if error is not None:
        return Outcome("data_engine_failed", ExitCode.ENGINE_FAILED, f"No card was asked for: {error}.", error)
    if progress.complete():
        return Outcome("succeeded", ExitCode.DONE, f"Everything was done: {made}.")
    if reason is not None:
        return _halted(reason, made)
    return Outcome("cards_missing", ExitCode.CARDS_MISSING, f"Cards are missing: {made}, {cards.failed:,} failed.")


def bad_config(faults: int) -> Outcome:
    """The configuration cannot be used."""
    what = "1 fault" if faults == 1 else f"{faults} faults"
    return Outcome("bad_config", ExitCode.USAGE, f"The configuration has {what}: nothing was called.")


def busy(error: Exception, *, same_plan: bool) -> Outcome:
    """Another run is alive: one with the same plan will do this one's work."""
    if same_plan:
        sentence = f"This run stands back: another with the same plan is at work, {error}. Nothing was called."
        return Outcome("superseded", ExitCode.DONE, sentence)
    return Outcome(
        "busy", ExitCode.BUSY, f"Another run is at work: {error}. Nothing was called; try again later.", error
    )


def no_lease(error: Exception) -> Outcome:
    """Nobody can tell whether another run is alive."""
    return Outcome("no_lease", ExitCode.BUSY, f"The lease cannot be had: RUNS_URI: {error}. Nothing was called.", error)


UNFORESEEN = Outcome("unforeseen", ExitCode.UNFORESEEN, "The job has a bug: its traceback is on standard error.")


def _halted(reason: ShutdownReason, made: str) -> Outcome:
    word, code, sentence = _HALTS[reason]
    return Outcome(word, code, f"{sentence}; {made}.")

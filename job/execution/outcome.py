"""Outcome: how a run ended, as a word for machines, a sentence for people, and an exit code."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from job.execution.phases import EngineFailedError
from job.execution.progress import EngineProgress, RunProgress
from job.execution.shutdown import ShutdownReason
from job.text.messages import Message, Value, message, plural, template


class ExitCode(IntEnum):
    """The exit codes. They are a contract with schedulers and people: the meaning of a code never changes."""

    DONE = 0
    FAILED = 1
    """A run: a data engine failed, so no card was requested. `check`, `verify` and `notify`: the answer is no."""
    USAGE = 2
    """Configuration or usage is wrong: nothing was called."""
    CARDS_MISSING = 3
    DEADLINE = 4
    """The run's own deadline passed; the same run can be resumed."""
    UNFORESEEN = 70
    """A bug (`EX_SOFTWARE` of sysexits.h); its traceback is on standard error."""
    BUSY = 75
    """Another run is alive, or the lease could not be acquired or was lost (`EX_TEMPFAIL`)."""
    SIGINT = 130
    SIGTERM = 143


@dataclass(frozen=True, slots=True)
class NextStep:
    """A command for a person, and the sentence that introduces it."""

    sentence: Message
    command: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    word: str
    exit: ExitCode
    sentence: Message
    unrecorded: int | None = None
    """How many results the record lacks, if it could not be closed; `None` if it is complete or there is no record."""
    instead: NextStep | None = None
    """What to do in place of starting this run again, if that would not help."""


@dataclass(frozen=True, slots=True)
class _Stop:
    """The outcome of a run that stopped early."""

    word: str
    exit: ExitCode
    at_work: str
    """The sentence if the run had a plan."""
    before: str
    """The sentence if it had none yet."""


_STOPS: Mapping[ShutdownReason, _Stop] = {
    ShutdownReason.DEADLINE: _Stop(
        "deadline",
        ExitCode.DEADLINE,
        template("The run's deadline passed; {made} of {planned} cards are there."),
        template("The run's deadline passed; nothing was called."),
    ),
    ShutdownReason.LEASE_LOST: _Stop(
        "lease_lost",
        ExitCode.BUSY,
        template(
            "The run lost its lease and stopped: another run may be at work; {made} of {planned} cards are there."
        ),
        template("The run lost its lease and stopped: another run may be at work; nothing was called."),
    ),
    ShutdownReason.SIGTERM: _Stop(
        "interrupted",
        ExitCode.SIGTERM,
        template("The run was interrupted by SIGTERM; {made} of {planned} cards are there."),
        template("The run was interrupted by SIGTERM; nothing was called."),
    ),
    ShutdownReason.SIGINT: _Stop(
        "interrupted",
        ExitCode.SIGINT,
        template("The run was interrupted by SIGINT; {made} of {planned} cards are there."),
        template("The run was interrupted by SIGINT; nothing was called."),
    ),
    ShutdownReason.QA_DOWN: _Stop(
        "qa_engine_down",
        ExitCode.CARDS_MISSING,
        template("The QA engine is down: the run stopped requesting cards; {made} of {planned} cards are there."),
        template("The QA engine is down; nothing was called."),
    ),
}

_NOT_RENEWED = replace(
    _STOPS[ShutdownReason.LEASE_LOST],
    at_work=template("The lease could not be renewed: {error}. The run stopped; {made} of {planned} cards are there."),
    before=template("The lease could not be renewed: {error}. The run stopped; nothing was called."),
)

QA_REFUSES = template(
    "The QA engine refuses the job's calls: the run stopped requesting cards; {made} of {planned} cards are there."
)
"""The sentence of `qa_engine_down` if the engine answers, and refuses all calls."""

_MISSING = template("Cards are missing: {made} of {planned} cards are there, {failed} failed.")
_MISSING_AND_LEFT = template(
    "Cards are missing: {made} of {planned} cards are there, {failed} failed, {left} were not attempted."
)
"""The sentence if card types were set aside."""

SUPERSEDED = "superseded"
"""The word of a run that calls nothing because another run with the same plan is at work."""
UNFORESEEN = Outcome(
    "unforeseen", ExitCode.UNFORESEEN, message("The job has a bug: its traceback is on standard error.")
)


def outcome_of(
    progress: RunProgress | None,
    reason: ShutdownReason | None,
    error: EngineFailedError | None,
    not_renewed: Value | None = None,
) -> Outcome:
    """The outcome of a run. `error` is the failure of the data phase, `reason` is why the run was shut down.

    `progress` is `None` if the run was shut down before it had a plan. `not_renewed` is as in `Shutdown`.
    """
    stop, why = _STOPS[reason or ShutdownReason.SIGTERM], {}
    if reason is ShutdownReason.LEASE_LOST and not_renewed is not None:
        stop, why = _NOT_RENEWED, {"error": not_renewed}
    if progress is None:
        return Outcome(stop.word, stop.exit, message(stop.before, **why))
    cards = progress.cards
    made, planned = cards.done + cards.skipped, cards.planned
    if error is not None:
        sentence = message("No card was requested: {reason}", reason=error.reason)
        return Outcome("data_engine_failed", ExitCode.FAILED, sentence)
    if progress.is_complete():
        sentence = message("Everything was done: {made} of {planned} cards are there.", made=made, planned=planned)
        return Outcome("succeeded", ExitCode.DONE, sentence)
    if reason is not None:
        if reason is ShutdownReason.QA_DOWN and progress.failed_statuses <= {401, 403}:
            return Outcome(stop.word, stop.exit, message(QA_REFUSES, made=made, planned=planned))
        return Outcome(stop.word, stop.exit, message(stop.at_work, made=made, planned=planned, **why))
    text = _MISSING_AND_LEFT if cards.not_attempted else _MISSING
    sentence = message(text, made=made, planned=planned, failed=cards.failed, left=cards.not_attempted)
    return Outcome("cards_missing", ExitCode.CARDS_MISSING, sentence)


def totals_of(outcome: Outcome, progress: RunProgress | None) -> Mapping[str, object]:
    """How this attempt at the run ended, and its totals, for machines."""
    totals = {name: engine.totals() for name, engine in progress.engines.items()} if progress else {}
    cards = totals["qa"] if "qa" in totals else EngineProgress(0).totals()
    return {
        "outcome": outcome.word,
        "exit_code": int(outcome.exit),
        "cards": cards.cards().model_dump(),
        "engines": {name: engine.model_dump() for name, engine in totals.items()},
    }


def with_record(outcome: Outcome, unrecorded: int | None) -> Outcome:
    """The outcome of a recorded run; `unrecorded` is how many results could not be recorded, `None` if it was closed.

    The sentence then says what the record lacks. The exit code stays the same: if all cards were made, a failure would
    make Cloud Run try again, and the cards would be paid for twice.
    """
    if unrecorded is None:
        return outcome
    sentence = message("{outcome} Its report could not be written.", outcome=outcome.sentence)
    if unrecorded:
        sentence = plural(
            "{outcome} The record lacks 1 result: a resume would request it again.",
            "{outcome} The record lacks {count} results: a resume would request them again.",
            count=unrecorded,
            outcome=outcome.sentence,
        )
    return replace(outcome, sentence=sentence, unrecorded=unrecorded)


def bad_config(faults: int) -> Outcome:
    """The configuration cannot be used."""
    sentence = plural(
        "The configuration has 1 fault: nothing was called.",
        "The configuration has {count} faults: nothing was called.",
        count=faults,
    )
    return Outcome("bad_config", ExitCode.USAGE, sentence)


def no_record(run_id: str, list_command: str) -> Outcome:
    """There is no run of this id that could be resumed. The command lists those that there are."""
    sentence = message("Run {run} cannot be resumed: it has no record. Nothing was called.", run=run_id)
    step = NextStep(message("This lists the runs that are recorded:"), list_command)
    return Outcome("bad_config", ExitCode.USAGE, sentence, instead=step)


def never_began(run_id: str, start_command: str | None) -> Outcome:
    """The run to be resumed had ended as `bad_config`. The command, if it is known, starts a new run."""
    sentence = message(
        "Run {run} cannot be resumed: its config was faulty, so it called nothing. Start a new run.", run=run_id
    )
    if start_command is None:
        return Outcome("bad_config", ExitCode.USAGE, sentence)
    step = NextStep(message("Once its config is corrected, this starts a new run:"), start_command)
    return Outcome("bad_config", ExitCode.USAGE, sentence, instead=step)


def twin_succeeded(holder: Message) -> Outcome:
    """Another run with the same plan released the lease, and has done this run's work."""
    sentence = message(
        "A run with the same plan has just done all its work: {holder}. Nothing was called.", holder=holder
    )
    return Outcome(SUPERSEDED, ExitCode.DONE, sentence)


def twin_failed(holder: Message, outcome: str, command: str) -> Outcome:
    """Another run with the same plan released the lease, and has not done all its work. The command resumes it."""
    sentence = message(
        "A run with the same plan has just ended as {outcome}: {holder}. Nothing was called. This goes on with that "
        "run: {command}",
        outcome=message(outcome),
        holder=holder,
        command=command,
    )
    step = NextStep(message("This goes on with the other run:"), command)
    return Outcome("busy", ExitCode.BUSY, sentence, instead=step)


def busy_before(holder: Message) -> Outcome:
    """Another run released the lease, and has not done this run's work."""
    sentence = message(
        "A run was at work until just now: {holder}. Nothing was called; start this run again.", holder=holder
    )
    return Outcome("busy", ExitCode.BUSY, sentence)


def busy(holder: Message, *, same_plan: bool, same_run: bool) -> Outcome:
    """Another run is alive, or this run in another process. If it has the same plan, it does this run's work."""
    if same_run and same_plan:
        sentence = message("This run is at work already: {holder}. Nothing was called.", holder=holder)
        return Outcome(SUPERSEDED, ExitCode.DONE, sentence)
    if same_run:
        sentence = message(
            "This run is at work already: {holder}. Nothing was called; try again when it has ended.", holder=holder
        )
        return Outcome("busy", ExitCode.BUSY, sentence)
    if same_plan:
        sentence = message("Another run with the same plan is at work: {holder}. Nothing was called.", holder=holder)
        return Outcome(SUPERSEDED, ExitCode.DONE, sentence)
    sentence = message("Another run is at work: {holder}. Nothing was called; try again later.", holder=holder)
    return Outcome("busy", ExitCode.BUSY, sentence)


def no_lease(problem: Value) -> Outcome:
    """The lease could not be acquired because storage failed: it is not known whether another run is alive."""
    sentence = message("Could not get the lease: RUNS_URI: {error}. Nothing was called.", error=problem)
    return Outcome("no_lease", ExitCode.BUSY, sentence)

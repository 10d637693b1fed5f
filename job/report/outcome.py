"""Outcome: how a run ended, as a word for machines, an exit code, and sentences for people. `ABOUT` has it all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Literal

from job.execution.phases import EngineFailedError
from job.execution.shutdown import ShutdownReason
from job.ledger.ledger import Ledger
from job.text.messages import Message, Value, listed, message, plural, template

Severity = Literal["good", "warn", "bad"]


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


class Outcome(StrEnum):
    """How a run ended, or in which state it is. The value is the word in records, logs and messages."""

    SUCCEEDED = "succeeded"
    CARDS_MISSING = "cards_missing"
    DATA_ENGINE_FAILED = "data_engine_failed"
    QA_ENGINE_DOWN = "qa_engine_down"
    DEADLINE = "deadline"
    INTERRUPTED = "interrupted"
    LEASE_LOST = "lease_lost"
    NO_LEASE = "no_lease"
    BUSY = "busy"
    BAD_CONFIG = "bad_config"
    """The run had no plan: its record has a report and no inputs."""
    UNFORESEEN = "unforeseen"
    AT_WORK = "at work"
    """A state: the run has not closed its record, and according to the lease it is at work. Else it was killed."""
    KILLED = "killed"
    UNREADABLE = "unreadable"
    """A state: the record cannot be used."""

    @property
    def about(self) -> "About":
        """What is fixed for this outcome."""
        return ABOUT[self]

    @property
    def is_closed(self) -> bool:
        """Whether it is the outcome of a run that has ended, not the state of one that has not closed its record."""
        return self not in {Outcome.AT_WORK, Outcome.KILLED, Outcome.UNREADABLE}


@dataclass(frozen=True, slots=True)
class About:
    """What is fixed for an outcome. The sentences are templates."""

    word: str
    """The outcome's word, marked for translation."""
    exit: ExitCode | None
    """`None` if it depends on the signal, and for a state."""
    severity: Severity = "bad"
    headline: str | None = None
    """For the page, with a place for what is `missing`; `None` if that alone says it."""
    sentence: str = ""
    """How the run ended, if it had a plan."""
    nothing_called: str = ""
    """How the run ended, if it had no plan yet."""
    unquoted: str | None = None
    """The sentence for channels to which no answer of an engine or of storage may get."""
    resume: str = template("Once the cause is put right, this requests only what is missing:")
    """The sentence before the command that resumes the run."""


_GO_ON = template("Go on with what is missing:")
_LOST = template(
    "The lease was lost, or could not be renewed, so the run stopped; {made} of {planned} cards are there."
)
_LOST_BEFORE = template("The lease was lost, or could not be renewed, so the run stopped; nothing was called.")
_MISSING = template("Cards are missing: {made} of {planned} cards are there, {failed} failed.")
_MISSING_AND_LEFT = template(
    "Cards are missing: {made} of {planned} cards are there, {failed} failed, {left} were not attempted."
)
"""The sentence if card types were set aside."""
_INTERRUPTED: Mapping[ShutdownReason, tuple[str, str]] = {
    ShutdownReason.SIGTERM: (
        template("The run was interrupted by SIGTERM; {made} of {planned} cards are there."),
        template("The run was interrupted by SIGTERM; nothing was called."),
    ),
    ShutdownReason.SIGINT: (
        template("The run was interrupted by SIGINT; {made} of {planned} cards are there."),
        template("The run was interrupted by SIGINT; nothing was called."),
    ),
}
"""The sentences with and without a plan."""
_NOT_RENEWED = (
    template("The lease could not be renewed: {error}. The run stopped; {made} of {planned} cards are there."),
    template("The lease could not be renewed: {error}. The run stopped; nothing was called."),
)
"""The same, if storage did not answer: it is not known then whether another run has the lease."""
QA_REFUSES = template(
    "The QA engine refuses the job's calls: the run stopped requesting cards; {made} of {planned} cards are there."
)
"""The sentence of `qa_engine_down` if the engine answers, and refuses all calls."""

ABOUT: Mapping[Outcome, About] = {
    Outcome.SUCCEEDED: About(
        template("succeeded"),
        ExitCode.DONE,
        "good",
        sentence=template("Everything was done: {made} of {planned} cards are there."),
    ),
    Outcome.CARDS_MISSING: About(template("cards missing"), ExitCode.CARDS_MISSING, sentence=_MISSING),
    Outcome.DATA_ENGINE_FAILED: About(
        template("data engine failed"),
        ExitCode.FAILED,
        sentence=template("No card was requested: {reason}"),
        unquoted=template("No card was requested, as a data engine failed; {made} of {planned} cards are there."),
    ),
    Outcome.QA_ENGINE_DOWN: About(
        template("QA engine down"),
        ExitCode.CARDS_MISSING,
        headline=template("The QA engine is down: {missing}"),
        sentence=template(
            "The QA engine is down: the run stopped requesting cards; {made} of {planned} cards are there."
        ),
        nothing_called=template("The QA engine is down; nothing was called."),
    ),
    Outcome.DEADLINE: About(
        template("deadline passed"),
        ExitCode.DEADLINE,
        "warn",
        headline=template("The deadline passed: {missing}"),
        sentence=template("The run's deadline passed; {made} of {planned} cards are there."),
        nothing_called=template("The run's deadline passed; nothing was called."),
        resume=_GO_ON,
    ),
    Outcome.INTERRUPTED: About(
        template("interrupted"), None, "warn", headline=template("Interrupted: {missing}"), resume=_GO_ON
    ),
    Outcome.LEASE_LOST: About(
        template("lease lost"),
        ExitCode.BUSY,
        "warn",
        headline=template("Stopped: the lease was lost: {missing}"),
        sentence=template(
            "The run lost its lease and stopped: another run may be at work; {made} of {planned} cards are there."
        ),
        nothing_called=template("The run lost its lease and stopped: another run may be at work; nothing was called."),
        unquoted=_LOST,
        resume=template("Once no other run is at work and storage can be written, this requests only what is missing:"),
    ),
    Outcome.NO_LEASE: About(
        template("no lease"),
        ExitCode.BUSY,
        nothing_called=template("Could not get the lease: RUNS_URI: {error}. Nothing was called."),
        unquoted=template("Storage failed. Nothing was called."),
        resume=template("Once storage can be reached, this requests only what is missing:"),
    ),
    Outcome.BUSY: About(
        template("busy"),
        ExitCode.BUSY,
        resume=template("Once the other run has ended, this requests only what is missing:"),
    ),
    Outcome.BAD_CONFIG: About(template("config faulty"), ExitCode.USAGE),
    Outcome.UNFORESEEN: About(
        template("bug in the job"),
        ExitCode.UNFORESEEN,
        headline=template("The job has a bug: {missing}"),
        sentence=template("The job has a bug: its traceback is on standard error."),
    ),
    Outcome.AT_WORK: About(
        template("at work"),
        None,
        "warn",
        headline=template("At work: {missing}"),
        sentence=template("According to its lease, the run is at work; {made} of {planned} cards are there."),
        resume=_GO_ON,
    ),
    Outcome.KILLED: About(
        template("killed"),
        None,
        "warn",
        headline=template("Killed: {missing}"),
        sentence=template(
            "The run was killed: {made} of {planned} cards are recorded, but perhaps not those of its last seconds."
        ),
        resume=_GO_ON,
    ),
    Outcome.UNREADABLE: About(template("unreadable"), None),
}


@dataclass(frozen=True, slots=True)
class Instead:
    """What to do in place of starting this run again, if that would not help: a sentence and a command."""

    sentence: Message
    command: str
    kind: Literal["resume", "start", "look", "again"]
    """As in `job.report.advice`."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt at a run ended."""

    outcome: Outcome
    exit: ExitCode
    sentence: Message
    instead: Instead | None = None


UNFORESEEN = Ending(
    Outcome.UNFORESEEN, ExitCode.UNFORESEEN, message("The job has a bug: its traceback is on standard error.")
)
_STOPS: Mapping[ShutdownReason, tuple[Outcome, ExitCode]] = {
    ShutdownReason.QA_DOWN: (Outcome.QA_ENGINE_DOWN, ExitCode.CARDS_MISSING),
    ShutdownReason.DEADLINE: (Outcome.DEADLINE, ExitCode.DEADLINE),
    ShutdownReason.LEASE_LOST: (Outcome.LEASE_LOST, ExitCode.BUSY),
    ShutdownReason.SIGTERM: (Outcome.INTERRUPTED, ExitCode.SIGTERM),
    ShutdownReason.SIGINT: (Outcome.INTERRUPTED, ExitCode.SIGINT),
}


def ending_of(
    ledger: Ledger | None,
    reason: ShutdownReason | None,
    error: EngineFailedError | None = None,
    not_renewed: Value | None = None,
) -> Ending:
    """How an attempt ended. `error` is the failure of the data phase, `reason` is why the run was shut down.

    `ledger` is `None` if the run was shut down before it had a plan. `not_renewed` is as in `Shutdown`.
    """
    if ledger is None:
        return _stopped(reason or ShutdownReason.SIGTERM, None, not_renewed)
    ending = _with_remakes(_ending(ledger, reason, error, not_renewed), ledger)
    return _with_left_out(_with_outdated_cards(ending, ledger), ledger)


def _with_remakes(ending: Ending, ledger: Ledger) -> Ending:
    """The ending with how many of the cards were made again that this attempt was to make again."""
    asked, left = ledger.remakes.counts()
    if not asked or ending.outcome is Outcome.DATA_ENGINE_FAILED:  # that no card was requested says it
        return ending
    if left and ending.outcome is Outcome.SUCCEEDED:
        sentence = message("All cards are there; not made again: {left} of {asked}.", left=left, asked=asked)
        return Ending(Outcome.CARDS_MISSING, ExitCode.CARDS_MISSING, sentence)
    if left:
        text = message("{outcome} Not made again: {left} of {asked}.", left=left, asked=asked, outcome=ending.sentence)
    else:
        text = plural(
            "{outcome} 1 card was made again this time.",
            "{outcome} {count} cards were made again this time.",
            count=asked,
            outcome=ending.sentence,
        )
    return replace(ending, sentence=text)


_SAY_WHAT_IS_LEFT_OUT = {Outcome.SUCCEEDED, Outcome.CARDS_MISSING}


def _with_left_out(ending: Ending, ledger: Ledger) -> Ending:
    names = [target.id for target in ledger.plan.left_out]
    if not names or ending.outcome not in _SAY_WHAT_IS_LEFT_OUT:
        return ending
    text = template("{outcome} Left out by hand: {names}.")
    return replace(ending, sentence=message(text, outcome=ending.sentence, names=listed(names)))


def left_out_line(names: Sequence[str], said_for: Outcome | None = None) -> Message | None:
    """What a person has left out; `None` without anything, or if the sentence of the outcome `said_for` says it."""
    if not names or said_for in _SAY_WHAT_IS_LEFT_OUT:
        return None
    return message("Left out by hand: {names}.", names=listed(names))


def _with_outdated_cards(ending: Ending, ledger: Ledger) -> Ending:
    outdated = [f"{target} {card_type}" for target, card_type in ledger.outdated_cards]
    if not outdated:
        return ending
    sentence = plural(
        "{outcome} 1 card was made with another model or other parameters than the config has now: {names}.",
        "{outcome} {count} cards were made with another model or other parameters than the config has now: {names}.",
        count=len(outdated),
        outcome=ending.sentence,
        names=listed(outdated),
    )
    return replace(ending, sentence=sentence)


def _ending(
    ledger: Ledger, reason: ShutdownReason | None, error: EngineFailedError | None, not_renewed: Value | None
) -> Ending:
    if error is not None:
        sentence = message(Outcome.DATA_ENGINE_FAILED.about.sentence, reason=error.reason)
        return Ending(Outcome.DATA_ENGINE_FAILED, ExitCode.FAILED, sentence)
    cards = ledger.counts("qa")
    if ledger.is_complete() and (reason is None or not ledger.is_left):
        text = message(
            "Everything was done: {made} of {planned} cards are there.", made=cards.done, planned=cards.planned
        )
        return Ending(Outcome.SUCCEEDED, ExitCode.DONE, text)
    if reason is not None:
        return _stopped(reason, ledger, not_renewed)
    text = message(
        _MISSING_AND_LEFT if cards.not_attempted else _MISSING,
        made=cards.done,
        planned=cards.planned,
        failed=cards.failed,
        left=cards.not_attempted,
    )
    return Ending(Outcome.CARDS_MISSING, ExitCode.CARDS_MISSING, text)


def _stopped(reason: ShutdownReason, ledger: Ledger | None, not_renewed: Value | None) -> Ending:
    outcome, code = _STOPS[reason]
    values: dict[str, Value] = {}
    texts = _INTERRUPTED.get(reason) or (outcome.about.sentence, outcome.about.nothing_called)
    if reason is ShutdownReason.LEASE_LOST and not_renewed is not None:
        texts, values = _NOT_RENEWED, {"error": not_renewed}
    if reason is ShutdownReason.QA_DOWN and ledger is not None and ledger.failed_statuses <= {401, 403}:
        texts = (QA_REFUSES, "")
    if ledger is not None:
        values |= {"made": ledger.counts("qa").done, "planned": ledger.counts("qa").planned}
    return Ending(outcome, code, message(texts[0 if ledger is not None else 1], **values))


def lacking(sentence: Message, unrecorded: int | None) -> Message:
    """The sentence of a run, followed by what its record lacks: so many results; `None` if the record was closed."""
    if unrecorded is None:
        return sentence
    if not unrecorded:
        return message("{outcome} Its report could not be written.", outcome=sentence)
    return plural(
        "{outcome} The record lacks 1 result: a resume would request it again.",
        "{outcome} The record lacks {count} results: a resume would request them again.",
        count=unrecorded,
        outcome=sentence,
    )


def unquoted(outcome: Outcome, sentence: Message, made: int, planned: int) -> Message:
    """The sentence of a run without what an engine or storage has answered."""
    text = outcome.about.unquoted
    if text is None:
        return sentence
    return message(_LOST_BEFORE if text == _LOST and not planned else text, made=made, planned=planned)


def bad_config(faults: int, *, of_command: bool = False) -> Ending:
    """The configuration cannot be used, or the command."""
    sentence = plural(
        "The configuration has 1 fault: nothing was called.",
        "The configuration has {count} faults: nothing was called.",
        count=faults,
    )
    if of_command:
        sentence = plural(
            "The command has 1 fault: nothing was called.",
            "The command has {count} faults: nothing was called.",
            count=faults,
        )
    return Ending(Outcome.BAD_CONFIG, ExitCode.USAGE, sentence)


def no_record(run_id: str, list_command: str) -> Ending:
    """There is no run of this id that could be resumed. The command lists those that there are."""
    sentence = message("Run {run} cannot be resumed: it has no record. Nothing was called.", run=run_id)
    step = Instead(message("This lists the runs that are recorded:"), list_command, "look")
    return Ending(Outcome.BAD_CONFIG, ExitCode.USAGE, sentence, step)


def began_elsewhere(run_id: str, job: str, command: str) -> Ending:
    """A run that began as a Cloud Run job cannot be resumed here, as the engines are not set. The command does it."""
    sentence = message(
        "Run {run} began as the Cloud Run job {job}, and the engines are not set here. Nothing was called.",
        run=run_id,
        job=job,
    )
    return Ending(
        Outcome.BAD_CONFIG, ExitCode.USAGE, sentence, Instead(message("This resumes it there:"), command, "resume")
    )


def never_began(run_id: str, start_command: str | None) -> Ending:
    """The run to be resumed had ended as `bad_config`. The command, if it is known, starts a new run."""
    sentence = message(
        "Run {run} cannot be resumed: its config was faulty, so it called nothing. Start a new run.", run=run_id
    )
    if start_command is None:
        return Ending(Outcome.BAD_CONFIG, ExitCode.USAGE, sentence)
    step = Instead(message("Once its config is corrected, this starts a new run:"), start_command, "start")
    return Ending(Outcome.BAD_CONFIG, ExitCode.USAGE, sentence, step)


def not_remade(run_id: str, command: str, *, is_closed: bool) -> Ending:
    """Nothing of the run can be made again before it is resumed, by this command."""
    text = template("Run {run} has not prepared all data, so no card is made again. Nothing was called.")
    if not is_closed:
        text = template(
            "Run {run} was ended before it closed its record, so no card is made again. Nothing was called."
        )
    step = Instead(message("This resumes it first:"), command, "resume")
    return Ending(Outcome.BAD_CONFIG, ExitCode.USAGE, message(text, run=run_id), step)


def not_confirmed(command: str | None) -> Ending:
    """A person was asked whether to pay again, and did not say yes."""
    sentence = message("No card is made again, since nobody has said yes. Nothing was called.")
    step = None if command is None else Instead(message("This asks again:"), command, "again")
    return Ending(Outcome.BAD_CONFIG, ExitCode.USAGE, sentence, step)


def busy(holder: Message) -> Ending:
    """A run with other work is alive."""
    sentence = message("Another run is at work: {holder}. Nothing was called; try again later.", holder=holder)
    return Ending(Outcome.BUSY, ExitCode.BUSY, sentence)


def nothing_missing(run_id: str, ledger: Ledger) -> Ending:
    """The run of the day has done everything already."""
    sentence = message("Everything is there already (run {run}): nothing was called.", run=run_id)
    ending = Ending(Outcome.SUCCEEDED, ExitCode.DONE, sentence)
    return _with_left_out(_with_outdated_cards(ending, ledger), ledger)


def no_lease(problem: Value) -> Ending:
    """The lease could not be acquired because storage failed: it is not known whether another run is alive."""
    sentence = message("Could not get the lease: RUNS_URI: {error}. Nothing was called.", error=problem)
    return Ending(Outcome.NO_LEASE, ExitCode.BUSY, sentence)


UNREAD_CONFIG = template("The config could not be read: CONFIG_URI: {error}. Nothing was called.")
"""The sentence of `no_lease` if storage failed while the config was read: whether it is valid is not known."""


def unread_config(problem: Value) -> Ending:
    """Storage failed while the config was read."""
    return Ending(Outcome.NO_LEASE, ExitCode.BUSY, message(UNREAD_CONFIG, error=problem))

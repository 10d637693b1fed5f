"""Outcome: how an attempt ended, as a word for machines, an exit code, and a sentence for people. `ABOUT` has it all.

A sentence quotes no answer of an engine or of storage: an `Ending` has that as its detail.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Literal

from job.engines.catalog import DATA_ENGINES, ENGINES, EngineName
from job.ledger.ledger import Ledger
from job.ledger.stop import EngineFailedError, ShutdownReason
from job.planning.plan import Plan
from job.text.messages import Message, Value, listed, message, plural, template

Severity = Literal["good", "warn", "bad"]
SIGNS: Mapping[Severity, str] = {"good": "✓", "warn": "!", "bad": "✗"}
"""What a title begins with."""


class ExitCode(IntEnum):
    """The exit codes. They are a contract with schedulers and people: the meaning of a code never changes."""

    DONE = 0
    FAILED = 1
    """A run: a data engine failed, so no card was requested. `check`, `verify` and `notify`: the answer is no."""
    USAGE = 2
    """Configuration or usage is wrong: nothing was called."""
    CARDS_MISSING = 3
    DEADLINE = 4
    """The job's own deadline passed."""
    UNFORESEEN = 70
    """A bug (`EX_SOFTWARE` of sysexits.h); its traceback is on standard error."""
    BUSY = 75
    """Another start is at work or has taken over, or storage failed (`EX_TEMPFAIL`)."""
    SIGINT = 130
    SIGTERM = 143


class Outcome(StrEnum):
    """How an attempt ended, or in which state it is. The value is the word in records, logs and messages."""

    SUCCEEDED = "succeeded"
    CARDS_MISSING = "cards_missing"
    DATA_ENGINE_FAILED = "data_engine_failed"
    QA_ENGINE_DOWN = "qa_engine_down"
    DEADLINE = "deadline"
    INTERRUPTED = "interrupted"
    BUSY = "busy"
    """Another start is at work, and this one does not wait for it; or another one has taken over."""
    STORAGE_FAILED = "storage_failed"
    BAD_CONFIG = "bad_config"
    UNFORESEEN = "unforeseen"
    AT_WORK = "at work"
    """A state: the latest attempt has not ended, and according to the lease it is at work. Else it was killed."""
    KILLED = "killed"
    UNREADABLE = "unreadable"
    """A state: the record cannot be used."""

    @property
    def about(self) -> "About":
        """What is fixed for this outcome."""
        return ABOUT[self]


@dataclass(frozen=True, slots=True)
class About:
    """What is fixed for an outcome."""

    word: Message
    """For tables of nights."""
    exit: ExitCode | None
    """`None` if it depends on the signal, and for a state."""
    severity: Severity
    sentence: str = ""
    """How the attempt ended: a template with a place for what is there of the `cards`."""
    next: str | None = None
    """The template of the sentence before the command that starts the job again, with a place for the `terms` of that;
    `None` if nothing is to be done.
    """


_PUT_RIGHT = template("Once the cause is put right, this does only what is left{terms}:")
_GO_ON = template("This does only what is left{terms}:")

ABOUT: Mapping[Outcome, About] = {
    Outcome.SUCCEEDED: About(message("succeeded"), ExitCode.DONE, "good"),
    Outcome.CARDS_MISSING: About(
        message("not all made"), ExitCode.CARDS_MISSING, "bad", template("{cards}"), _PUT_RIGHT
    ),
    Outcome.DATA_ENGINE_FAILED: About(message("data engine failed"), ExitCode.FAILED, "bad", next=_PUT_RIGHT),
    Outcome.QA_ENGINE_DOWN: About(
        message("QA engine down"), ExitCode.CARDS_MISSING, "bad", template("The QA engine is down: {cards}"), _PUT_RIGHT
    ),
    Outcome.DEADLINE: About(
        message("deadline passed"), ExitCode.DEADLINE, "warn", template("The deadline passed: {cards}"), _GO_ON
    ),
    Outcome.INTERRUPTED: About(
        message("interrupted"), None, "warn", template("Interrupted by {signal}: {cards}"), _GO_ON
    ),
    Outcome.BUSY: About(
        message("busy"),
        ExitCode.BUSY,
        "warn",
        template("Another start may have taken over: {cards}"),
        _GO_ON,
    ),
    Outcome.STORAGE_FAILED: About(
        message("storage failed"),
        ExitCode.BUSY,
        "bad",
        template("Storage failed: {cards}"),
        template("Once storage can be reached, this starts it again{terms}:"),
    ),
    Outcome.BAD_CONFIG: About(
        message("config faulty"),
        ExitCode.USAGE,
        "bad",
        next=template("Once that is corrected, this starts it again{terms}:"),
    ),
    Outcome.UNFORESEEN: About(
        message("bug in the job"), ExitCode.UNFORESEEN, "bad", template("The job has a bug: {cards}"), _PUT_RIGHT
    ),
    Outcome.AT_WORK: About(message("at work"), None, "warn", template("At work: {cards}")),
    Outcome.KILLED: About(message("killed"), None, "warn", template("Killed: {cards}"), _GO_ON),
    Outcome.UNREADABLE: About(message("unreadable"), None, "bad"),
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended."""

    outcome: Outcome
    exit: ExitCode | None
    """`None` for a state."""
    sentence: Message
    detail: Message | None = None
    """The answer behind it; not for chats."""
    notes: tuple[Message, ...] = ()


NOTICES_LISTED = 3
NOTHING_CALLED = message("nothing was called")
LEFT_OUT = template("Left out by hand: {names}.")
_FAILED: Mapping[int, str] = {
    1: template("The {engine} engine failed: {cards}"),
    2: template("The {engine} and the {other} engine failed: {cards}"),
    3: template("All three data engines failed: {cards}"),
}
"""How many data engines failed."""
_SLOW: Mapping[int, str] = {
    1: template("The deadline passed before the {engine} engine was done: {cards}"),
    2: template("The deadline passed before the {engine} and the {other} engine were done: {cards}"),
    3: template("The deadline passed before any data engine was done: {cards}"),
}
"""How many data engines had work left when the deadline passed."""
_STOPS: Mapping[ShutdownReason, tuple[Outcome, ExitCode]] = {
    ShutdownReason.QA_DOWN: (Outcome.QA_ENGINE_DOWN, ExitCode.CARDS_MISSING),
    ShutdownReason.DEADLINE: (Outcome.DEADLINE, ExitCode.DEADLINE),
    ShutdownReason.LEASE_LOST: (Outcome.BUSY, ExitCode.BUSY),
    ShutdownReason.BUG: (Outcome.UNFORESEEN, ExitCode.UNFORESEEN),
    ShutdownReason.SIGTERM: (Outcome.INTERRUPTED, ExitCode.SIGTERM),
    ShutdownReason.SIGINT: (Outcome.INTERRUPTED, ExitCode.SIGINT),
}


def ending_of(
    ledger: Ledger | None,
    reason: ShutdownReason | None,
    error: EngineFailedError | None = None,
    not_renewed: Value | None = None,
) -> Ending:
    """How an attempt ended. `error` is the failure of the data phase, `reason` is why the start was shut down.

    `ledger` is `None` if it was shut down before it had a plan. `not_renewed` is as in `Shutdown`.
    """
    cards = NOTHING_CALLED if ledger is None else cards_line(ledger)
    notes = () if ledger is None else tuple(_notes(ledger))
    if error is not None:
        failed = [engine for engine in DATA_ENGINES if engine == error.result.engine or _has_failed(ledger, engine)]
        sentence = message(_FAILED[len(failed)], **_named(failed), cards=cards)
        return Ending(Outcome.DATA_ENGINE_FAILED, ExitCode.FAILED, sentence, error.reason, notes)
    if ledger is not None and not ledger.is_left:
        return Ending(Outcome.SUCCEEDED, ExitCode.DONE, _all_there(ledger), None, notes)
    if ledger is not None and reason is None:
        sentence = message(Outcome.CARDS_MISSING.about.sentence, cards=_missing_line(ledger))
        return Ending(Outcome.CARDS_MISSING, ExitCode.CARDS_MISSING, sentence, None, notes)
    outcome, code = _STOPS[reason or ShutdownReason.SIGTERM]
    detail = None
    if reason is ShutdownReason.LEASE_LOST and not_renewed is not None:
        outcome, detail = Outcome.STORAGE_FAILED, message("the lease was not renewed: {error}", error=not_renewed)
    text, named = outcome.about.sentence, dict[str, Message]()
    if outcome is Outcome.DEADLINE and ledger is not None and not ledger.is_ready:
        slow = [engine for engine in DATA_ENGINES if ledger.left(engine)]
        text, named = _SLOW[len(slow)], _named(slow)
    if reason is ShutdownReason.QA_DOWN and ledger is not None and _is_refused(ledger):
        text = template("The QA engine refuses the job's calls: {cards}")
    signal = (reason or ShutdownReason.SIGTERM).name
    return Ending(outcome, code, message(text, **named, cards=cards, signal=signal), detail, notes)


def _has_failed(ledger: Ledger | None, engine: EngineName) -> bool:
    """Whether an item of the engine failed, and was not only cut off."""
    return ledger is not None and ledger.counts(engine).failed > ledger.counts(engine).cut_off


def _named(engines: Sequence[EngineName]) -> dict[str, Message]:
    """The engines as sentences about one or two have them."""
    return dict(zip(("engine", "other"), (ENGINES[engine].word for engine in engines), strict=False))


def as_it_stands(outcome: Outcome, sentence: Message, ledger: Ledger) -> Ending:
    """How a day stands whose results are others than those with which its latest attempt ended, so, with this sentence.

    The exit code is that of the outcome, if it has one.
    """
    notes = tuple(_notes(ledger))
    if not ledger.is_left:
        return Ending(Outcome.SUCCEEDED, ExitCode.DONE, _all_there(ledger), None, notes)
    cards = _missing_line(ledger) if outcome is Outcome.CARDS_MISSING else cards_line(ledger)
    sentence = replace(sentence, values={**sentence.values, "cards": cards})
    return Ending(outcome, outcome.about.exit, sentence, None, notes)


def unended(ledger: Ledger, outcome: Outcome) -> Ending:
    """The state of an attempt that has not ended: `AT_WORK` or `KILLED`."""
    sentence = message(outcome.about.sentence, cards=cards_line(ledger))
    return Ending(outcome, None, sentence, None, tuple(_notes(ledger)))


def cards_line(ledger: Ledger) -> Message:
    """What is there of the cards, as the end of a sentence."""
    cards = ledger.counts("qa")
    if not cards.done and cards.planned:
        return message("no card was made")
    if cards.missing:
        return _missing_line(ledger)
    return _without_line(ledger) if cards.left_out else message("all cards are there")


def _missing_line(ledger: Ledger) -> Message:
    cards = ledger.counts("qa")
    if missing := cards.missing:
        return plural(
            "1 of {planned} cards is missing",
            "{count} of {planned} cards are missing",
            count=missing,
            planned=cards.planned,
        )
    return plural("1 card was not made again", "{count} cards were not made again", count=ledger.open_reruns(["qa"]))


def _without_line(ledger: Ledger) -> Message:
    return plural(
        "1 card is there, without {names}",
        "{count} cards are there, without {names}",
        count=ledger.counts("qa").done,
        names=listed(ledger.left_out),
    )


def _all_there(ledger: Ledger) -> Message:
    cards = ledger.counts("qa")
    count = cards.done
    if not cards.planned:
        return message("All data is ready")
    if cards.left_out:
        return _without_line(ledger)
    return plural("The card is there", "All {count} cards are there", count=count)


def _is_refused(ledger: Ledger) -> bool:
    """Whether the QA engine answers, and refuses all calls."""
    return {call.status for call in ledger.failures if call.engine == "qa"} <= {401, 403}


def _notes(ledger: Ledger) -> list[Message]:
    """What a person has to know besides."""
    notes = []
    if names := ledger.left_out:
        notes.append(message(LEFT_OUT, names=listed(names)))
    notes += _again_notes(ledger)
    if outdated := [f"{target}/{card}" for target, card in ledger.outdated_cards]:
        notes.append(
            plural(
                "1 card was made with another model or other parameters than the config has now: {names}",
                "{count} cards were made with another model or other parameters than the config has now: {names}",
                count=len(outdated),
                names=listed(outdated),
            )
        )
    return notes


def _again_notes(ledger: Ledger) -> Iterator[Message]:
    """What was made again of what people asked for, and what was not."""
    asked = [(item, f"{item[0]}/{item[1]}") for item in ledger.asked("qa")]
    made = [name for item, name in asked if not ledger.is_open("qa", item)]
    now = [name for item, name in asked if not ledger.is_open("qa", item) and ledger.is_asked_now("qa", item)]
    left = [name for item, name in asked if ledger.is_open("qa", item)]
    if now and len(now) < len(made):
        yield plural(
            "1 card was made again: {names}. Of this day, {total} were.",
            "{count} cards were made again: {names}. Of this day, {total} were.",
            count=len(now),
            names=listed(now),
            total=len(made),
        )
    elif made:
        yield plural(
            "1 card of this day was made again: {names}",
            "{count} cards of this day were made again: {names}",
            count=len(made),
            names=listed(made),
        )
    if left:
        yield plural(
            "1 card was to be made again, and was not: {names}",
            "{count} cards were to be made again, and were not: {names}",
            count=len(left),
            names=listed(left),
        )


def nothing_missing(ledger: Ledger, done: str, next_night: Message | None) -> Ending:
    """Everything was there already; `done` says since when, `next_night` when the next night begins, if it is known."""
    text = template("Everything of {day} was there already, since {time}: nothing was called.")
    if ledger.left_out:
        text = template("Everything of {day} was there already but for {names}, since {time}: nothing was called.")
    notes = [message(text, day=ledger.plan.date, time=done, names=listed(ledger.left_out))]
    if next_night is not None:
        notes.append(message("The next night begins: {time}.", time=next_night))
    notes += _notes(ledger)
    return Ending(Outcome.SUCCEEDED, ExitCode.DONE, _all_there(ledger), None, tuple(notes))


def bad_config(faults: int, *, of_command: bool) -> Ending:
    """The configuration cannot be used, or the command."""
    if of_command:
        sentence = plural(
            "The command has 1 fault: nothing was called",
            "The command has {count} faults: nothing was called",
            count=faults,
        )
    else:
        sentence = plural(
            "The configuration has 1 fault: nothing was called",
            "The configuration has {count} faults: nothing was called",
            count=faults,
        )
    return Ending(Outcome.BAD_CONFIG, ExitCode.USAGE, sentence)


def busy(holder: Message | None, sentence: Message | None = None) -> Ending:
    """Another start is alive, and this one does not wait for it; or what the `sentence` says."""
    sentence = sentence or message("Another start is at work: nothing was called")
    return Ending(Outcome.BUSY, ExitCode.BUSY, sentence, holder)


def storage_failed(problem: Value) -> Ending:
    """Storage failed before anything was called."""
    sentence = message(Outcome.STORAGE_FAILED.about.sentence, cards=NOTHING_CALLED)
    return Ending(Outcome.STORAGE_FAILED, ExitCode.BUSY, sentence, message("{error}", error=problem))


def unforeseen(ledger: Ledger | None) -> Ending:
    """The job has a bug."""
    cards = NOTHING_CALLED if ledger is None else cards_line(ledger)
    return Ending(Outcome.UNFORESEEN, ExitCode.UNFORESEEN, message(Outcome.UNFORESEEN.about.sentence, cards=cards))


def notices_of(plan: Plan) -> list[Message]:
    """What is odd about the config, at most `NOTICES_LISTED` lines and one that counts the others."""
    notices = list(plan.notices[:NOTICES_LISTED])
    if (more := len(plan.notices) - NOTICES_LISTED) > 0:
        notices.append(
            plural("And 1 more notice about the config", "And {count} more notices about the config", count=more)
        )
    return notices


def unrecorded_note(results: int, *, is_done: bool) -> Message:
    """What the record lacks if it could not be written to the end: so many results; and what to do about that.

    `is_done` is whether all the work of the day is done.
    """
    if not results:
        return message(
            "The end could not be recorded. All results are: the next start finds them, and records the end."
        )
    if is_done:
        return plural(
            "All work is done, so do not start it again. The record lacks 1 result, which a start would request again; "
            "so verify and its alert will report this day as not done: ignore that.",
            "All work is done, so do not start it again. The record lacks {count} results, which a start would request "
            "again; so verify and its alert will report this day as not done: ignore that.",
            count=results,
        )
    return plural(
        "The record lacks 1 result: the next start requests it again.",
        "The record lacks {count} results: the next start requests them again.",
        count=results,
    )


def past_day_notice(day: str) -> Message:
    """What is not as on that day, for a start of a day that is over."""
    return message(
        "{day} is over: the financial and the trading engine take no date, and prepare what is current when called",
        day=day,
    )

"""Ending: how a start has ended, in a sentence for people, and what they have to know besides.

A sentence quotes no answer of an engine or of storage: an `Ending` has that as its detail.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from job.engines.catalog import DATA_ENGINES, ENGINES, EngineName
from job.ledger.ledger import Ledger
from job.ledger.stop import EngineFailedError, ShutdownReason
from job.report.attempt import Start
from job.report.outcome import ExitCode, Outcome
from job.text.display import clock
from job.text.messages import Message, Value, dated_time, listed, message, plural, template


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


NOTHING_CALLED = message("nothing was called")
LEFT_OUT_NAMED = 3
"""Names of what was left out, in a line that is never cut."""
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
    """What is there of the cards, as the end of a sentence; and what a person has left out."""
    cards = ledger.counts("qa")
    if not cards.done and cards.planned:
        return _with_left_out(ledger, message("no card was made"))
    if cards.missing:
        return _missing_line(ledger)
    return _without_line(ledger) if cards.left_out else _with_left_out(ledger, message("all cards are there"))


def _missing_line(ledger: Ledger) -> Message:
    cards = ledger.counts("qa")
    line = plural("1 card was not made again", "{count} cards were not made again", count=ledger.open_reruns(["qa"]))
    if missing := cards.missing:
        line = plural(
            "1 of {planned} cards is missing",
            "{count} of {planned} cards are missing",
            count=missing,
            planned=cards.planned,
        )
    return _with_left_out(ledger, line)


def _with_left_out(ledger: Ledger, cards: Message) -> Message:
    names = listed(ledger.left_out, LEFT_OUT_NAMED)
    return message("{cards} (left out by hand: {names})", cards=cards, names=names) if names else cards


def _without_line(ledger: Ledger) -> Message:
    return plural(
        "1 card is there, without {names}",
        "{count} cards are there, without {names}",
        count=ledger.counts("qa").done,
        names=listed(ledger.left_out, LEFT_OUT_NAMED),
    )


def _all_there(ledger: Ledger) -> Message:
    cards = ledger.counts("qa")
    if cards.left_out:
        return _without_line(ledger)
    if not cards.planned:
        return _with_left_out(ledger, message("All data is ready"))
    return _with_left_out(ledger, plural("The card is there", "All {count} cards are there", count=cards.done))


def _is_refused(ledger: Ledger) -> bool:
    """Whether the QA engine answers, and refuses all calls."""
    return {call.status for call in ledger.failures if call.engine == "qa"} <= {401, 403}


def _notes(ledger: Ledger) -> list[Message]:
    """What a person has to know besides."""
    notes = list(_again_notes(ledger))
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


def nothing_left(start: Start, ledger: Ledger, ended: datetime, now: datetime) -> Ending:
    """How a start ends `now` for which nothing is left to be done since the latest attempt has `ended`."""
    notes = [message("This was there already, since {time}: nothing was called.", time=clock(ended, start.day))]
    if start.days.schedule:
        next_night = dated_time(start.days.after(start.days.current(now)))
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

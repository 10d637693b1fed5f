"""Ending: how a start has ended, in a sentence for people, and what they have to know besides.

A sentence quotes no answer of an engine or of storage: an `Ending` has that as its detail.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice

from pydantic import BaseModel, ConfigDict

from job.day.attempt import Start
from job.day.failures import names_of
from job.day.items import EngineItems
from job.day.ledger import FAILURES_KEPT, Ledger
from job.day.outcome import ExitCode, Outcome
from job.day.stop import EngineFailedError, ShutdownReason
from job.engines.catalog import DATA_ENGINES, ENGINES, EngineName
from job.text.display import clock
from job.text.messages import Message, both, colon, dated_time, listed, message, plural, template

LEFT_OUT_NAMED = 3
"""Names of what was left out, in a line that is never cut."""
_STOPS: Mapping[ShutdownReason, tuple[Outcome, ExitCode]] = {
    ShutdownReason.QA_DOWN: (Outcome.QA_ENGINE_DOWN, ExitCode.CARDS_MISSING),
    ShutdownReason.DEADLINE: (Outcome.DEADLINE, ExitCode.DEADLINE),
    ShutdownReason.LEASE_LOST: (Outcome.BUSY, ExitCode.BUSY),
    ShutdownReason.BUG: (Outcome.UNFORESEEN, ExitCode.UNFORESEEN),
    ShutdownReason.SIGTERM: (Outcome.INTERRUPTED, ExitCode.SIGTERM),
    ShutdownReason.SIGINT: (Outcome.INTERRUPTED, ExitCode.SIGINT),
}


class Ending(BaseModel):
    """How an attempt ended, or in which state it is: what its `Report` says of that."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    exit_code: ExitCode | None
    """`None` for a state."""
    sentence: Message
    detail: Message | None = None
    """The answer behind it; not for chats."""
    notes: tuple[Message, ...] = ()

    @classmethod
    def worded(
        cls,
        outcome: Outcome,
        ledger: Ledger | None,
        why: Message | None = None,
        *,
        exit_code: ExitCode | None = None,
        detail: Message | None = None,
    ) -> "Ending":
        """An ending in one sentence: a clause, a colon, and what is there of the cards.

        `ledger` is `None` if nothing was called. `why` is the clause, if it is not the usual one of the outcome.
        """
        code = outcome.about.exit if exit_code is None else exit_code
        if outcome is Outcome.INTERRUPTED and code is not None:
            why = message("Interrupted by {signal}", signal=code.name)
        if ledger is None:
            sentence = colon(why or outcome.about.beginning, message("nothing was called"))
        elif outcome is Outcome.SUCCEEDED:
            sentence = _all_there(ledger)
        elif outcome is Outcome.CARDS_MISSING:
            sentence = _missing_line(ledger)
        else:
            sentence = colon(why or _why(outcome, ledger), cards_line(ledger))
        notes = () if ledger is None else _notes(ledger)
        return cls(outcome=outcome, exit_code=code, sentence=sentence, detail=detail, notes=notes)


def ending_of(
    ledger: Ledger | None,
    reason: ShutdownReason | None,
    error: EngineFailedError | None = None,
    not_renewed: Message | None = None,
) -> Ending:
    """How an attempt ended. `error` is the failure of the data phase, `reason` is why the start was shut down.

    `ledger` is `None` if it was shut down before it had a plan. `not_renewed` is as in `Shutdown`.
    """
    if error is not None and ledger is not None:
        return Ending.worded(Outcome.DATA_ENGINE_FAILED, ledger, detail=error.reason)
    if ledger is not None and ledger.is_complete:
        return Ending.worded(Outcome.SUCCEEDED, ledger)
    if ledger is not None and reason is None:
        return Ending.worded(Outcome.CARDS_MISSING, ledger)
    if reason is ShutdownReason.LEASE_LOST and not_renewed is not None:
        return Ending.worded(Outcome.STORAGE_FAILED, ledger, detail=not_renewed)
    outcome, code = _STOPS[reason or ShutdownReason.SIGTERM]
    return Ending.worded(outcome, ledger, exit_code=code)


def _why(outcome: Outcome, ledger: Ledger) -> Message:
    """How it ended, as the beginning of its sentence."""
    counts = {engine: ledger.counts(engine) for engine in DATA_ENGINES}
    failed = [engine for engine, count in counts.items() if count.failed > count.cut_off]
    if outcome is Outcome.DATA_ENGINE_FAILED and failed:
        return plural(
            "The {engines} engine failed", "The {engines} engines failed", count=len(failed), engines=_named(failed)
        )
    slow = [engine for engine, count in counts.items() if count.missing]
    if outcome is Outcome.DEADLINE and slow:
        return plural(
            "The deadline passed before the {engines} engine was done",
            "The deadline passed before the {engines} engines were done",
            count=len(slow),
            engines=_named(slow),
        )
    # Whether the QA engine answers, and refuses all calls.
    statuses = {call.status for call in ledger.failures if call.engine == "qa"}
    if outcome is Outcome.QA_ENGINE_DOWN and statuses <= {401, 403}:
        return message("The QA engine refuses the job's calls")
    return outcome.about.beginning


def _named(engines: Sequence[EngineName]) -> Message:
    return both([ENGINES[engine].label for engine in engines])


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
    line = plural(
        "1 of {planned} cards is missing",
        "{count} of {planned} cards are missing",
        count=cards.missing,
        planned=cards.planned,
    )
    return _with_left_out(ledger, line)


def _with_left_out(ledger: Ledger, cards: Message) -> Message:
    names = listed(ledger.left_out, LEFT_OUT_NAMED)
    return message("{cards} (left out by hand: {names})", cards=cards, names=names) if names else cards


def _without_line(ledger: Ledger) -> Message:
    return plural(
        "1 card is there, without {names} (left out by hand)",
        "{count} cards are there, without {names} (left out by hand)",
        count=ledger.counts("qa").done,
        names=listed(ledger.left_out, LEFT_OUT_NAMED),
    )


def _all_there(ledger: Ledger) -> Message:
    cards = ledger.counts("qa")
    if cards.left_out:
        line = _without_line(ledger)
    else:
        line = plural("The card is there", "All {count} cards are there", count=cards.done)
        line = _with_left_out(ledger, line if cards.planned else message("All data is ready"))
    if any(items.counts.with_error for items in ledger.items.values()):
        return message("{sentence}, but an engine reported errors", sentence=line)
    return line


def _notes(ledger: Ledger) -> tuple[Message, ...]:
    """What a person has to know besides."""
    notes = [_error_note(engine, items) for engine, items in ledger.items.items() if items.counts.with_error]
    if made := ledger.made_again:
        notes.append(message("Made again: {names}", names=listed(names_of(made))))
    if missing := ledger.to_make_again:
        notes.append(message("To be made again, and missing until then: {names}", names=listed(names_of(missing))))
    if outdated := [f"{item.target}/{item.card_type}" for item in ledger.outdated_cards]:
        notes.append(
            plural(
                "1 card was made with another model or other parameters than the config has now: {names}",
                "{count} cards were made with another model or other parameters than the config has now: {names}",
                count=len(outdated),
                names=listed(outdated),
            )
        )
    return tuple(notes)


def _error_note(engine: EngineName, items: EngineItems) -> Message:
    count = items.counts.with_error
    cards, targets = plural("1 card", "{count} cards", count=count), plural("1 target", "{count} targets", count=count)
    return message(
        "For {items} the {engine} engine said success, and reported an error besides. Look at {names}",
        items=cards if engine == "qa" else targets,
        engine=ENGINES[engine].label,
        names=listed(names_of(islice(items.with_error(), FAILURES_KEPT))),
    )


def nothing_left(start: Start, ledger: Ledger, ended: datetime, now: datetime) -> Ending:
    """How a start ends `now` for which nothing is left to be done since the latest attempt has `ended`."""
    text = template("Everything of {day} was there already, since {time}: nothing was called.")
    if ledger.left_out:
        text = template("Everything of {day} was there already but for {names}, since {time}: nothing was called.")
    names = listed(ledger.left_out, LEFT_OUT_NAMED)
    notes = [message(text, day=start.day, time=clock(ended, start.day), names=names)]
    if start.days.schedule:
        notes.append(message("Next night: {time}", time=dated_time(start.days.after(start.days.current(now)))))
    return Ending(
        outcome=Outcome.SUCCEEDED,
        exit_code=ExitCode.DONE,
        sentence=_all_there(ledger),
        notes=(*notes, *_notes(ledger)),
    )


def bad_config(faults: int, *, of_command: bool) -> Ending:
    """The configuration cannot be used, or the command."""
    why = plural("The configuration has 1 fault", "The configuration has {count} faults", count=faults)
    if of_command:
        why = plural("The command has 1 fault", "The command has {count} faults", count=faults)
    return Ending.worded(Outcome.BAD_CONFIG, None, why)

"""Ending: how a start ended, in a sentence for people, and what is odd about it, its config and its record.

A sentence quotes no answer of an engine or of storage: an `Ending` has that as its detail.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import reduce

from pydantic import BaseModel, ConfigDict

from job.config.objects import ENGINE_CONTROL
from job.config.plan import Plan, is_usual
from job.day.attempt import ExitCode, Outcome, Start
from job.day.failing import names_of
from job.day.ledger import Ledger
from job.day.result import EngineFailedError, ShutdownReason
from job.engines.calls import ALL_ENGINES, DATA_ENGINES, ENGINES, EngineName, Item, counted
from job.text.messages import Message, both, colon, dated_time, duration, listed, message, plural, semicolon, template
from job.text.shown import clock

LEFT_OUT_NAMED = 3
"""Names of what was left out, in a line that is never cut; also of card types, and of what is at work."""
_STOPS: Mapping[ShutdownReason, Outcome] = {
    ShutdownReason.QA_DOWN: Outcome.QA_ENGINE_DOWN,
    ShutdownReason.DEADLINE: Outcome.DEADLINE,
    ShutdownReason.LEASE_LOST: Outcome.BUSY,
    ShutdownReason.BUG: Outcome.UNFORESEEN,
}
"""A signal interrupts."""


_OF_QA = {Outcome.CARDS_MISSING, Outcome.QA_ENGINE_DOWN}


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
    changed: tuple[Message, ...] = ()
    """What was changed since the night before and has made the cards of this attempt other ones: told once a day."""

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
        """An ending in a sentence. `ledger` is `None` if nothing was called; `why` replaces its usual clause."""
        code = outcome.exit if exit_code is None else exit_code
        if outcome is Outcome.INTERRUPTED and code is not None:
            why = message("Interrupted by {signal}", signal=code.name)
        if ledger is None:
            sentence = colon(why or outcome.label, message("nothing was called"))
        elif outcome is Outcome.SUCCEEDED:
            sentence = _all_there(ledger)
        elif outcome is Outcome.CARDS_MISSING:
            none = not ledger.counts("qa").done
            sentence = colon(_why(outcome, ledger), cards_line(ledger)) if none else _missing_line(ledger)
        else:
            sentence = colon(why or _why(outcome, ledger), cards_line(ledger))
        notes = () if ledger is None else tuple(notes_of(ledger))
        return cls(outcome=outcome, exit_code=code, sentence=sentence, detail=detail, notes=notes)


def ending_of(
    ledger: Ledger | None,
    reason: ShutdownReason | None,
    error: EngineFailedError | None = None,
    not_renewed: Message | None = None,
    deadline: float | None = None,
    waited_for: Message | None = None,
) -> Ending:
    """How an attempt ended. `error` is the failure of the data phase, `reason` is why the start was shut down.

    `ledger` is `None` if it was shut down before it had a plan, perhaps while it `waited_for` another start.
    `not_renewed` is as in `Shutdown`, `deadline` as in `Start`.
    """
    if error is not None and ledger is not None:
        return Ending.worded(Outcome.DATA_ENGINE_FAILED, ledger, detail=error.reason)
    if ledger is not None and ledger.is_complete:
        return Ending.worded(Outcome.SUCCEEDED, ledger)
    if ledger is not None and reason is None:
        return Ending.worded(Outcome.QA_ENGINE_DOWN if _made_none(ledger) else Outcome.CARDS_MISSING, ledger)
    if reason is ShutdownReason.LEASE_LOST and not_renewed is not None:
        return Ending.worded(Outcome.STORAGE_FAILED, ledger, detail=not_renewed)
    reason = reason or ShutdownReason.SIGTERM
    outcome = _STOPS.get(reason, Outcome.INTERRUPTED)
    code = ExitCode[reason.name] if outcome is Outcome.INTERRUPTED else None
    why = None if deadline is None or outcome is not Outcome.DEADLINE else _passed(deadline, ledger, waited_for)
    return Ending.worded(outcome, ledger, why, exit_code=code)


def _made_none(ledger: Ledger) -> bool:
    """Whether every card was tried and none was made, though the QA engine refused none of them."""
    cards = ledger.counts("qa")
    has_refused = any(call.engine == "qa" and call.is_refusal for call in ledger.failures)
    return not cards.done and cards.failed - cards.cut_off == cards.missing > 0 and not has_refused


def unended(start: Start, ledger: Ledger, outcome: Outcome, *, is_again: bool = False) -> Ending:
    """How an attempt without an end stands. `is_again` is whether the attempt before has no end either."""
    began = datetime.fromisoformat(start.started)
    if outcome is Outcome.AT_WORK:
        at_work = message("At work since {time}", time=clock(began, start.day))
        sentence = colon(at_work, _so_far_line(ledger))
        return Ending(outcome=outcome, exit_code=None, sentence=sentence, notes=tuple(notes_of(ledger)))
    last = max(began, datetime.fromtimestamp(ledger.last, began.tzinfo))
    why = message("The record breaks off at {time}", time=clock(last, start.day))
    notes = [
        message(
            "The start was killed, or could no longer write; its calls in flight may have been charged too. If it sent "
            "a message, believe the message."
        )
    ]
    if is_again:
        text = template(
            "The start before it ended so too: if the execution says memory, an owner first raises {variable}."
        )
        notes.append(message(text, variable="job.memory_mib"))
    ending = Ending.worded(outcome, ledger, why)
    return ending.model_copy(update={"notes": (*notes, *ending.notes)})


def _passed(deadline: float, ledger: Ledger | None, waited_for: Message | None) -> Message:
    passed = message("The deadline of {time} passed", time=duration(deadline))
    if waited_for is not None:
        return message("{passed} while it waited for {start}", passed=passed, start=waited_for)
    slow = [
        message(
            "{engine}: {done} of {planned} ready, without {names}",
            engine=ENGINES[engine].label,
            done=ledger.counts(engine).done,
            planned=ledger.counts(engine).planned,
            names=listed(names_of(one.item for one in ledger.missing(engine)), LEFT_OUT_NAMED),
        )
        for engine in DATA_ENGINES
        if ledger is not None and ledger.counts(engine).missing
    ]
    left = message(" ({terms})", terms=reduce(semicolon, slow)) if slow else ""
    return Message("{passed}{left}", {"passed": passed, "left": left})


def _why(outcome: Outcome, ledger: Ledger) -> Message:
    """How it ended, as the beginning of its sentence."""
    failing = {call.engine for call in ledger.failures if call.has_failed}
    failed = [engine for engine in DATA_ENGINES if engine in failing]
    if outcome is Outcome.DATA_ENGINE_FAILED and failed:
        return plural(
            "The {engines} engine failed", "The {engines} engines failed", count=len(failed), engines=_named(failed)
        )
    # Whether the QA engine answers, and refuses all calls.
    cards = [call for call in ledger.failures if call.engine == "qa"]
    if outcome in _OF_QA and all(call.is_refusal or call.status in {401, 403} for call in cards):
        return message("The QA engine refuses the job's calls")
    return outcome.label


def _named(engines: Sequence[EngineName]) -> Message:
    return both([ENGINES[engine].label for engine in engines])


def cards_line(ledger: Ledger) -> Message:
    """What is there of the cards, as the end of a sentence; and what a person has left out."""
    cards = ledger.counts("qa")
    if not cards.done and cards.planned:
        return _with_left_out(ledger, message("no card was made"))
    if cards.missing:
        return _missing_line(ledger)
    return _without_line(ledger) if cards.left_out else _with_left_out(ledger, message("all cards are made"))


def _so_far_line(ledger: Ledger) -> Message:
    cards = ledger.counts("qa")
    return plural(
        "1 of {planned} cards is made so far",
        "{count} of {planned} cards are made so far",
        count=cards.done,
        planned=cards.planned,
    )


def _missing_line(ledger: Ledger) -> Message:
    cards = ledger.counts("qa")
    line = plural(
        "1 of {planned} cards is missing",
        "{count} of {planned} cards are missing",
        count=cards.missing,
        planned=cards.planned,
    )
    return _with_left_out(ledger, line)


def _missing(ledger: Ledger) -> Iterator[Item]:
    return (card.item for card in ledger.missing("qa") if card.state != "left_out")


def _with_left_out(ledger: Ledger, cards: Message) -> Message:
    names = listed(ledger.left_out, LEFT_OUT_NAMED)
    return message("{cards} (left out: {names})", cards=cards, names=names) if names else cards


def _without_line(ledger: Ledger) -> Message:
    return plural(
        "1 card is made; left out: {names}",
        "{count} cards are made; left out: {names}",
        count=ledger.counts("qa").done,
        names=listed(ledger.left_out, LEFT_OUT_NAMED),
    )


def _all_there(ledger: Ledger) -> Message:
    cards = ledger.counts("qa")
    if cards.left_out:
        line = _without_line(ledger)
    else:
        line = plural("The card is made", "All {count} cards are made", count=cards.done)
        line = _with_left_out(ledger, line if cards.planned else message("All data is ready"))
    if any(ledger.counts(engine).with_error for engine in ALL_ENGINES):
        return message("{sentence}, but an engine reported errors", sentence=line)
    return line


def plan_notes(plan: Plan) -> Iterator[Message]:
    """What is not as on other nights about the cards of a plan: data that they lack, and their date."""
    for engine in plan.switched_off:
        lacking = (target for target in plan.targets if engine not in target.engines and is_usual(engine, target.kind))
        if count := sum(len(target.card_types) for target in lacking):
            off = template("{object}: the {engine} engine is switched off. Cards without its data: {count}")
            yield message(off, object=ENGINE_CONTROL, engine=ENGINES[engine].label, count=count)
    if other := [target for target in plan.targets if target.card_types and target.date not in {None, plan.date}]:
        yield plural(
            "1 card is for another date: {names}",
            "{count} cards are for another date: {names}",
            count=sum(len(target.card_types) for target in other),
            names=listed([f"{target.id} ({target.date})" for target in other]),
        )


def notes_of(ledger: Ledger) -> Iterator[Message]:
    for engine in ALL_ENGINES:
        if count := ledger.counts(engine).with_error:
            yield message(
                "The {engine} engine reported success for {items}, but also an error. Look at {names}",
                items=counted(engine, count),
                engine=ENGINES[engine].label,
                names=listed(names_of(ledger.with_error(engine))),
            )
    yield from plan_notes(ledger.plan)
    if made := ledger.made_again:
        yield message("Made again: {names}", names=listed(names_of(made)))
    if missing := ledger.to_make_again:
        yield message("To be made again, and missing until then: {names}", names=listed(names_of(missing)))
    if outdated := ledger.outdated_cards:
        yield plural(
            "1 card was made with another model or other parameters than the last attempt wants: {names}",
            "{count} cards were made with another model or other parameters than the last attempt wants: {names}",
            count=len(outdated),
            names=listed(names_of(outdated)),
        )


def nothing_left(start: Start, ledger: Ledger, ended: datetime, now: datetime) -> Ending:
    """How a start ends `now` for which nothing is left to be done since the latest attempt has `ended`."""
    since = clock(ended, start.day)
    notes = [message("Nothing was left to do: {day} has been done since {time}", day=start.day, time=since)]
    if start.days.schedule:
        notes.append(message("Next night: {time}", time=dated_time(start.days.after(start.days.current(now)))))
    return Ending(
        outcome=Outcome.SUCCEEDED,
        exit_code=ExitCode.DONE,
        sentence=semicolon(_all_there(ledger), message("nothing was called")),
        notes=(*notes, *notes_of(ledger)),
    )


def bad_config(faults: int, *, of_command: bool, of_image: bool = False, ledger: Ledger | None = None) -> Ending:
    """The configuration cannot be used, or the command or the image. `ledger` has what is there, if anything may be."""
    why = plural("The configuration has 1 fault", "The configuration has {count} faults", count=faults)
    if of_command:
        why = plural("The command has 1 fault", "The command has {count} faults", count=faults)
    if of_image:
        why = message("This image is too old for the day")
    ending = Ending.worded(Outcome.BAD_CONFIG, None, why)
    if ledger is None:
        return ending
    return ending.model_copy(update={"sentence": semicolon(ending.sentence, _so_far_line(ledger))})


NOTICES_LISTED = 3


def opening_notice(start: Start, ledger: Ledger) -> Message:
    """What a person should know of an attempt that begins after another one."""
    return message("Going on with {day}, so far: {cards}", day=start.day, cards=cards_line(ledger))


def notices_of(plan: Plan) -> list[Message]:
    """What is odd about the config, at most `NOTICES_LISTED` lines and one that counts the others."""
    notices = list(plan.notices[:NOTICES_LISTED])
    if (more := len(plan.notices) - NOTICES_LISTED) > 0:
        notices.append(message("and {count} more", count=more))
    return notices


def unrecorded_notes(results: int, cards: int, *, is_done: bool) -> Iterator[Message]:
    """What the record lacks if it could not be written to the end: `results`, of which some are made `cards`."""
    if results and is_done:
        yield plural(
            "Do not start it again: all work is done, but 1 result is not recorded, and a start would request it "
            "again. If verify and its alert say that this day is not done, ignore that.",
            "Do not start it again: all work is done, but {count} results are not recorded, and a start would request "
            "them again. If verify and its alert say that this day is not done, ignore that.",
            count=results,
        )
    elif cards:
        yield plural(
            "1 card was made, but not recorded: the next start makes it again, and it may be charged twice.",
            "{count} cards were made, but not recorded: the next start makes them again, and they may be charged "
            "twice.",
            count=cards,
        )


def past_day_notice(day: str) -> Message:
    """What is not as on that day, for a start of a day that is over."""
    return message(
        "{day} is over: its cards get the financial and trading data of now, since these engines take no date",
        day=day,
    )

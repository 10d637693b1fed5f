"""Sentence: how a start has ended or stands, and what is there of the cards; and the names of items.

It quotes no answer of an engine or of storage: a report has that as its detail.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from job.config.faults import Fault, FaultKind
from job.day.attempt import Outcome, Start
from job.day.ending import Ending
from job.day.ledger import Ledger
from job.engines.calls import ALL_ENGINES, DATA_ENGINES, ENGINES, Item
from job.text.messages import Message, both, colon, duration, listed, message, plural, semicolon
from job.text.shown import clock

NAMED = 3
"""Names of what was left out, in a line that is never cut; also of data that was not ready."""
LABELS: Mapping[Outcome, Message] = {
    Outcome.CARDS_MISSING: message("Not all made"),
    Outcome.DATA_ENGINE_FAILED: message("Data engine failed"),
    Outcome.QA_ENGINE_DOWN: message("The QA engine is down"),
    Outcome.DEADLINE: message("Deadline passed"),
    Outcome.INTERRUPTED: message("Interrupted"),
    Outcome.BUSY: message("Another start may have taken over"),
    Outcome.STORAGE_FAILED: message("Storage failed"),
    Outcome.BAD_CONFIG: message("Config faulty"),
    Outcome.UNFORESEEN: message("The job has a bug"),
    Outcome.AT_WORK: message("At work"),
    Outcome.KILLED: message("Killed"),
    Outcome.UNREADABLE: message("Unreadable"),
}
"""For tables of nights, and the beginning of the sentence about it, if nothing more is known; of no success."""
NOTHING_CALLED = message("nothing was called")
_OF_QA = {Outcome.CARDS_MISSING, Outcome.QA_ENGINE_DOWN}


def sentence_of(start: Start, ending: Ending, ledger: Ledger, faults: Sequence[Fault] = ()) -> Message:
    """How a start has ended, or the state it is in. `faults` are all of a config that could not be used."""
    outcome, cards = ending.outcome, ledger.counts("qa")
    if outcome is Outcome.SUCCEEDED:
        there = _all_there(ledger)
        return there if ending.done_since is None else semicolon(there, NOTHING_CALLED)
    why = _why(start, ending, ledger, faults)
    if not start.number or not ledger.plan.targets:
        sentence = colon(why, NOTHING_CALLED)
        return semicolon(sentence, _so_far_line(ledger)) if ledger.plan.targets else sentence
    if outcome is Outcome.AT_WORK:
        return colon(why, _so_far_line(ledger))
    if outcome is Outcome.KILLED and cards.missing:
        return colon(why, _unrecorded_line(ledger))
    if outcome is Outcome.CARDS_MISSING and cards.done:
        return _missing_line(ledger)
    return colon(why, cards_line(ledger))


def _why(start: Start, ending: Ending, ledger: Ledger, faults: Sequence[Fault]) -> Message:
    """How it ended, as the beginning of its sentence."""
    outcome, began = ending.outcome, datetime.fromisoformat(start.started)
    if ending.signal is not None:
        return message("Interrupted by {signal}", signal=ending.signal.name)
    if outcome is Outcome.DEADLINE and start.deadline is not None:
        return _passed(start.deadline, ledger, ending.why)
    if outcome is Outcome.BAD_CONFIG:
        return _refused(faults)
    if outcome is Outcome.AT_WORK:
        return message("At work since {time}", time=clock(began, start.day))
    if outcome is Outcome.KILLED:
        last = max(began, datetime.fromtimestamp(ledger.last, began.tzinfo))
        return message("The record breaks off at {time}", time=clock(last, start.day))
    failing = {call.engine for call in ledger.failures if call.has_failed}
    failed = [engine for engine in DATA_ENGINES if engine in failing]
    if outcome is Outcome.DATA_ENGINE_FAILED and failed:
        named = both([ENGINES[engine].label for engine in failed])
        return plural("The {engines} engine failed", "The {engines} engines failed", count=len(failed), engines=named)
    # Whether the QA engine answers, and refuses all calls.
    cards = [call for call in ledger.failures if call.engine == "qa"]
    if outcome in _OF_QA and all(call.is_refusal or call.status in {401, 403} for call in cards):
        return message("The QA engine refuses the job's calls")
    return ending.why or LABELS[outcome]


def _refused(faults: Sequence[Fault]) -> Message:
    kinds = {fault.kind for fault in faults}
    if FaultKind.IMAGE in kinds:
        return message("This image is too old for the day")
    if kinds == {FaultKind.COMMAND}:
        return plural("The command has 1 fault", "The command has {count} faults", count=len(faults))
    return plural("The configuration has 1 fault", "The configuration has {count} faults", count=len(faults))


def _passed(deadline: float, ledger: Ledger, waited_for: Message | None) -> Message:
    passed = message("The deadline of {time} passed", time=duration(deadline))
    if waited_for is not None:
        return message("{passed} while it waited for {start}", passed=passed, start=waited_for)
    if slow := waited_for_data(ledger):
        return Message("{passed}{slow}", {"passed": passed, "slow": message(" ({terms})", terms=slow)})
    return passed


def waited_for_data(ledger: Ledger) -> str:
    """The data engines that the cards wait for, and how much of their data is done."""
    counts = {engine: ledger.counts(engine) for engine in DATA_ENGINES}
    return ", ".join(f"{engine} {one.done}/{one.planned}" for engine, one in counts.items() if one.missing)


def cards_line(ledger: Ledger) -> Message:
    """What is there of the cards, as the end of a sentence; and what a person has left out."""
    cards = ledger.counts("qa")
    if not cards.done and cards.planned:
        return _with_left_out(ledger, message("no card was made"))
    return _missing_line(ledger) if cards.missing else _made_line(ledger)


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


def _unrecorded_line(ledger: Ledger) -> Message:
    """As `_missing_line`, after a record that breaks off: they may be there."""
    cards = ledger.counts("qa")
    line = plural(
        "1 of {planned} cards is not recorded",
        "{count} of {planned} cards are not recorded",
        count=cards.missing,
        planned=cards.planned,
    )
    return _with_left_out(ledger, line)


def _with_left_out(ledger: Ledger, cards: Message) -> Message:
    names = listed(ledger.left_out, NAMED)
    return message("{cards} (left out: {names})", cards=cards, names=names) if names else cards


def _made_line(ledger: Ledger) -> Message:
    cards = ledger.counts("qa")
    line = plural("the card is made", "all {count} cards are made", count=cards.done)
    if cards.left_out:
        line = plural("1 card is made", "{count} cards are made", count=cards.done)
    return _with_left_out(ledger, line)


def _all_there(ledger: Ledger) -> Message:
    has_cards = ledger.counts("qa").planned
    line = _made_line(ledger) if has_cards else _with_left_out(ledger, message("All data is ready"))
    if any(ledger.counts(engine).with_error for engine in ALL_ENGINES):
        return message("{Sentence}, but an engine reported errors", Sentence=line)
    return Message("{Sentence}", {"Sentence": line})


def names_of(items: Iterable[Item]) -> list[str]:
    """Items for people: `AAPL`, `TSLA/news_card`, `NVDA (5)`; cards of one type: `/news_card: NVDA, TSLA`."""
    by_target: dict[str, list[str | None]] = {}
    for _, target, card_type in items:
        by_target.setdefault(target, []).append(card_type)
    types = {card_type for some in by_target.values() for card_type in some}
    if len(by_target) > 1 and len(types) == 1 and None not in types:
        first, *others = by_target
        return [f"/{types.pop()}: {first}", *others]
    return [
        target if some == [None] else f"{target}/{some[0]}" if len(some) == 1 else f"{target} ({len(some)})"
        for target, some in by_target.items()
    ]

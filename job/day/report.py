"""Report: how a day stands after an attempt, in words and numbers. `ends/` stores it, and every output shows it.

It has how the start has ended, in a sentence for people, and what they have to know besides; the failed calls of an
engine in groups that have the same remedy; and what is odd about a start, its config and its record. A sentence quotes
no answer of an engine or of storage: an `Ending` has that as its detail.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from functools import reduce
from itertools import chain, islice
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from job.config.faults import Fault, FaultKind
from job.config.objects import ENGINE_CONTROL
from job.config.plan import Plan, is_usual
from job.config.values import Date
from job.day.attempt import Attempt, ExitCode, Outcome, Severity, Stamp, Start, altered, end_name, read_start
from job.day.ledger import ANSWERS_SHOWN, FAILURES_KEPT, EngineItems, ItemStatus, Ledger, busy_stretches
from job.day.result import CUT_OFF, CallResult, Count, Counts, EngineFailedError, MissingState, Seconds, ShutdownReason
from job.engines.calls import ALL_ENGINES, DATA_ENGINES, ENGINES, EngineName, Item
from job.engines.failures import Cause, Remedy
from job.text.messages import (
    Message,
    Value,
    both,
    colon,
    dated_time,
    duration,
    joined,
    listed,
    message,
    plural,
    said,
    semicolon,
    template,
)
from job.text.shown import clock, shortened

AT_FAULT_LIMIT = 20
"""So many targets may be at fault; of more, the engine is."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The calls of one engine that failed and that have the same remedy."""

    engine: EngineName
    remedy: Remedy
    calls: Sequence[CallResult]
    is_down: bool
    """Whether the engine did nothing at all and is at fault itself: then no target is."""
    is_alone: bool
    """Whether no other call was answered: it is not known then which of the two is at fault."""
    tries: int
    """Of all attempts, if each may cost money; else 0."""

    @property
    def items(self) -> list[Item]:
        """What failed."""
        return [item for call in self.calls for item in call.items]

    @property
    def heading(self) -> Message:
        """What failed: the engine, and the number of items; and of tries, if these are more."""
        if self.tries > len(self.items):
            return message("{failed}, {count} tries so far", failed=self._failed, count=self.tries)
        return self._failed

    @property
    def _failed(self) -> Message:
        title = ENGINES[self.engine].title
        if self.is_down:
            return message("{engine}: every call failed", engine=title)
        status = self.calls[0].status
        if self.is_alone and status is not None and status <= 500:  # above, nothing says that the engine answered
            return message("{engine}: the only call that was answered failed", engine=title)
        if self.engine == "qa":
            return plural("{engine}: 1 card failed", "{engine}: {count} cards failed", len(self.items), engine=title)
        return plural("{engine}: 1 target failed", "{engine}: {count} targets failed", len(self.items), engine=title)

    @property
    def what_to_do(self) -> Message:
        """The remedy, as a sentence."""
        return self.remedy.of(self.engine)

    @property
    def names(self) -> list[str]:
        """Which ones; empty if the engine is down."""
        return [] if self.is_down else names_of(self.items)

    @property
    def answers(self) -> Sequence[Message]:
        """The most frequent last answers."""
        counts = Counter(call.reason for call in self.calls if call.reason is not None)
        return [reason for reason, _ in counts.most_common(ANSWERS_SHOWN)]


def names_of(items: Iterable[Item]) -> list[str]:
    """Items for people, the cards of a target together: `AAPL`, `TSLA/news_card`, `NVDA (5)`.

    If all are cards of one type, and there are several: `/news_card: NVDA, TSLA`, as one name.
    """
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


def shortest_names(ledger: Ledger, cards: Sequence[Item]) -> list[str]:
    """Cards for people, as `names_of`; all cards of a type by that alone: `/news_card`."""
    whole = Counter(item.card_type for item in ledger.plan.items("qa"))
    types = [name for name, count in Counter(card.card_type for card in cards).items() if count == whole[name] > 1]
    return [*(f"/{name}" for name in types), *names_of(card for card in cards if card.card_type not in types)]


def failure_groups(ledger: Ledger) -> list[FailureGroup]:
    """Groups the failed calls by remedy, without those that were only cut off. The largest group is first; in
    each is the plan's order.
    """
    groups: dict[tuple[EngineName, Remedy], list[CallResult]] = {}
    tries: Counter[Item] = Counter()
    """Of each card, in all attempts."""
    not_found: dict[Item, set[int]] = {}
    """In which attempts the engine answered that there is nothing at the address of an item."""
    for call in ledger.failed:
        tries.update(dict.fromkeys(call.items, call.tries) if ENGINES[call.engine].is_costly else {})
        for item in call.items if call.status == 404 else ():
            not_found.setdefault(item, set()).add(call.attempt)
    order = {target.id: at for at, target in enumerate(ledger.plan.targets)}
    failures = ledger.failures
    has_done = _has_done(ledger, failures)
    for call in sorted(failures, key=lambda call: (ALL_ENGINES.index(call.engine), order[call.targets[0]])):
        if call.state != CUT_OFF:
            is_there, attempts = has_done[call.engine], not_found.get(call.items[0], set())
            if is_there and call.status == 404 and attempts.isdisjoint(ledger.calls[call.engine].done_in):
                is_there = None  # what was done in another attempt does not prove that the address is still right
            remedy = call.remedy(has_done=is_there)
            groups.setdefault((call.engine, remedy), []).append(call)
    grouped = [
        FailureGroup(
            engine,
            remedy,
            calls,
            is_down=has_done[engine] is False and not any(_is_about_target(call, has_done=False) for call in calls),
            is_alone=has_done[engine] is None,
            tries=sum(tries[item] for call in calls for item in call.items),
        )
        for (engine, remedy), calls in groups.items()
    ]
    return sorted(grouped, key=lambda group: -len(group.items))


def _has_done(ledger: Ledger, failures: Iterable[CallResult]) -> Mapping[EngineName, bool | None]:
    """Whether each engine has done a call; `None` if a single one has failed, which proves nothing of the engine. One
    that was cut off at its first try proves nothing either.
    """
    failed = Counter(call.engine for call in failures if call.state != CUT_OFF or call.interrupted_after is not None)
    return {
        engine: True if calls.done_seconds else None if failed[engine] == 1 else False
        for engine, calls in ledger.calls.items()
    }


def not_reached(ledger: Ledger, outcome: Outcome | None) -> Message | None:
    """What was not made because of the failures of others; `None` if there is nothing.

    Where only cards are missing, a card was not requested since the others of its type failed: the types are named.
    """
    if outcome is Outcome.CARDS_MISSING:
        left = Counter(card.item.card_type for card in ledger.items["qa"].missing() if card.state == "not_attempted")
        names = listed([f"/{card_type} ({count:,})" for card_type, count in left.items()])
        return message("Not requested, since others of their type failed: {names}", names=names) if left else None
    counts = {engine: total.not_reached for engine, total in ledger.totals().items()}
    parts = [
        message("cards {count}", count=count)
        if engine == "qa"
        else Message("{engine} {count}", {"engine": ENGINES[engine].label, "count": count})
        for engine, count in counts.items()
        if count
    ]
    return message("Not reached, with nothing to put right: {counts}", counts=joined(parts)) if parts else None


def targets_at_fault(ledger: Ledger) -> tuple[str, ...]:
    """The targets without which the cards of the others could be made, for all that is known: the engines answered, and
    failed for these alone. Empty if an engine failed otherwise, if they are too many or have more than half of the
    cards, if their own are there, or if no card of another is missing.
    """
    failures = ledger.failures
    has_done = _has_done(ledger, failures)
    failed = [call for call in failures if call.engine != "qa" and call.state != CUT_OFF]
    if not all(_is_about_target(call, has_done=has_done[call.engine]) for call in failed):
        return ()
    # If others waited for the engine too, it is the engine that broke.
    waiting = {call.engine for call in failures if call.interrupted_after is not None}
    if any((call.status or 0) >= 500 and call.engine in waiting for call in failed):
        return ()
    names = {target for call in failed for target in call.targets}
    targets = [target for target in ledger.plan.targets if target.id in names]
    cards = ledger.items["qa"]
    missing = {target.id: len(target.card_types) - cards.done_of(target.id) for target in targets}
    if len(targets) > AT_FAULT_LIMIT or any(target.card_types and not missing[target.id] for target in targets):
        return ()
    if 2 * sum(len(target.card_types) for target in targets) > cards.counts.planned:
        return ()
    return tuple(missing) if ledger.counts("qa").missing > sum(missing.values()) else ()


def _is_about_target(call: CallResult, *, has_done: bool | None) -> bool:
    """Whether the engine may fail for the target, and not be down."""
    may_be = call.remedy(has_done=has_done).is_in_config or call.cause == Cause.DENIED or call.status == 500
    return call.status in {400, 422} or (has_done is not False and may_be)


LEFT_OUT_NAMED = 3
"""Names of what was left out, in a line that is never cut."""
_STOPS: Mapping[ShutdownReason, tuple[Outcome, ExitCode]] = {
    ShutdownReason.QA_DOWN: (Outcome.QA_ENGINE_DOWN, ExitCode.CARDS_MISSING),
    ShutdownReason.DEADLINE: (Outcome.DEADLINE, ExitCode.DEADLINE),
    ShutdownReason.LEASE_LOST: (Outcome.BUSY, ExitCode.TEMPFAIL),
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
            sentence = colon(why or outcome.about.label, message("nothing was called"))
        elif outcome is Outcome.SUCCEEDED:
            sentence = _all_there(ledger)
        elif outcome is Outcome.CARDS_MISSING:
            sentence = _missing_line(ledger)
        else:
            sentence = colon(why or _why(outcome, ledger), cards_line(ledger))
        notes = () if ledger is None else notes_of(ledger)
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
        return Ending.worded(Outcome.CARDS_MISSING, ledger)
    if reason is ShutdownReason.LEASE_LOST and not_renewed is not None:
        return Ending.worded(Outcome.STORAGE_FAILED, ledger, detail=not_renewed)
    outcome, code = _STOPS[reason or ShutdownReason.SIGTERM]
    why = None if deadline is None or outcome is not Outcome.DEADLINE else _passed(deadline, ledger, waited_for)
    return Ending.worded(outcome, ledger, why, exit_code=code)


def unended(start: Start, ledger: Ledger, outcome: Outcome, *, is_again: bool = False) -> Ending:
    """How an attempt without an end stands. If it is not at work, nobody knows more than that its record breaks off.

    `is_again` is whether the attempt before has no end either.
    """
    began = datetime.fromisoformat(start.started)
    if outcome is Outcome.AT_WORK:
        sentence = colon(message("At work since {time}", time=clock(began, start.day)), _so_far_line(ledger))
        return Ending(outcome=outcome, exit_code=None, sentence=sentence, notes=notes_of(ledger))
    last = max(began, datetime.fromtimestamp(ledger.last, began.tzinfo))
    why = message("The record breaks off at {time}", time=clock(last, start.day))
    notes = [message("It was killed, or could not write any more. If that start sent a message, believe the message.")]
    if is_again:
        text = template("So was the one before it: if the execution says memory, an owner first raises {variable}.")
        notes.append(message(text, variable="job.memory_mib"))
    ending = Ending.worded(outcome, ledger, why)
    return ending.model_copy(update={"notes": (*notes, *ending.notes)})


def _passed(deadline: float, ledger: Ledger | None, waited_for: Message | None) -> Message:
    """That the deadline passed, and before what was done."""
    passed = message("The deadline of {time} passed", time=duration(deadline))
    if waited_for is not None:
        return message("{passed} while it waited for {start}", passed=passed, start=waited_for)
    slow = []
    for engine, items in ledger.items.items() if ledger is not None else ():
        if engine != "qa" and items.counts.missing:
            slow.append(
                message(
                    "{engine}: {done} of {planned} ready, without {names}",
                    engine=ENGINES[engine].label,
                    done=items.counts.done,
                    planned=items.counts.planned,
                    names=listed(names_of(one.item for one in items.missing()), LEFT_OUT_NAMED),
                )
            )
    left = message(" ({terms})", terms=reduce(semicolon, slow)) if slow else ""
    return Message("{passed}{left}", {"passed": passed, "left": left})


def _why(outcome: Outcome, ledger: Ledger) -> Message:
    """How it ended, as the beginning of its sentence."""
    counts = {engine: ledger.counts(engine) for engine in DATA_ENGINES}
    failed = [engine for engine, count in counts.items() if count.failed > count.cut_off]
    if outcome is Outcome.DATA_ENGINE_FAILED and failed:
        return plural(
            "The {engines} engine failed", "The {engines} engines failed", count=len(failed), engines=_named(failed)
        )
    # Whether the QA engine answers, and refuses all calls.
    statuses = {call.status for call in ledger.failures if call.engine == "qa"}
    if outcome is Outcome.QA_ENGINE_DOWN and statuses <= {401, 403}:
        return message("The QA engine refuses the job's calls")
    return outcome.about.label


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


def _so_far_line(ledger: Ledger) -> Message:
    cards = ledger.counts("qa")
    return plural(
        "1 of {planned} cards is there so far",
        "{count} of {planned} cards are there so far",
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


def notes_of(ledger: Ledger) -> tuple[Message, ...]:
    """What a person has to know besides."""
    notes = [_error_note(engine, items) for engine, items in ledger.items.items() if items.counts.with_error]
    notes.extend(plan_notes(ledger.plan))
    if made := ledger.made_again:
        notes.append(message("Made again: {names}", names=listed(names_of(made))))
    if missing := ledger.to_make_again:
        notes.append(message("To be made again, and missing until then: {names}", names=listed(names_of(missing))))
    if outdated := [*ledger.outdated_cards]:
        notes.append(
            plural(
                "1 card was made with another model or other parameters than the last attempt wants: {names}",
                "{count} cards were made with another model or other parameters than the last attempt wants: {names}",
                count=len(outdated),
                names=listed(shortest_names(ledger, outdated)),
            )
        )
    if last := Counter(engine for _, engine in ledger.older_cards()):
        notes.append(
            plural(
                "1 card was made before the {engines} data of its target: {names}",
                "{count} cards were made before the {engines} data of their targets: {names}",
                count=last.total(),
                engines=_named([engine for engine in DATA_ENGINES if engine in last]),
                names=listed(names_of(card[0] for card in islice(ledger.older_cards(), FAILURES_KEPT))),
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
    since = clock(ended, start.day)
    notes = [message("Everything of {day} was there already, since {time}", day=start.day, time=since)]
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
NOTED_SECONDS = 60.0
"""An engine that was out for less in all is not noted."""


def waiting_notices(start: Start, now: datetime) -> Sequence[Message]:
    """What has changed while a start waited for another one, until `now`."""
    current = start.days.current(now)
    if start.names_day or current == start.day:
        return []
    text = template("{day} ended while this start waited: it is for {day} all the same, a new one is for {current}")
    return [message(text, day=start.day, current=current)]


def opening_notices(start: Start, ledger: Ledger, latest: Attempt | None) -> Sequence[Message]:
    """What a person should know of an attempt that begins. `latest` is the attempt before, if any."""
    if latest is None:
        return []
    notices = [message("Going on with {day}, so far: {cards}", day=start.day, cards=cards_line(ledger))]
    if (planned := ledger.counts("qa").planned) != latest.cards:
        notices.append(
            message(
                "Cards that the config asks for: {planned}; at the last attempt: {before}",
                planned=planned,
                before=latest.cards,
            )
        )
    return notices


def notices_of(plan: Plan) -> list[Message]:
    """What is odd about the config, at most `NOTICES_LISTED` lines and one that counts the others."""
    notices = list(plan.notices[:NOTICES_LISTED])
    if (more := len(plan.notices) - NOTICES_LISTED) > 0:
        notices.append(message("and {count} more", count=more))
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
            "Do not start it again: all work is done, but storage failed. The record lacks 1 result, which a start "
            "would request again; so verify and its alert will report this day as not done: ignore that.",
            "Do not start it again: all work is done, but storage failed. The record lacks {count} results, which a "
            "start would request again; so verify and its alert will report this day as not done: ignore that.",
            count=results,
        )
    return plural(
        "The record lacks 1 result: a start asks for it again, with the same key, so that an engine that honours keys "
        "is not paid twice.",
        "The record lacks {count} results: a start asks for them again, with the same keys, so that an engine that "
        "honours keys is not paid twice.",
        count=results,
    )


def outage_notes(outages: Mapping[EngineName, tuple[int, float, bool]]) -> list[Message]:
    """Which engines did no call for a while: their outages, of so many seconds in all, and whether they were down."""
    notes = []
    for engine, (count, seconds, is_down) in outages.items():
        values = {"engine": ENGINES[engine].label, "time": duration(seconds)}
        if is_down:
            notes.append(
                message("The {engine} engine was down at the end: out for {time}, all of its patience", **values)
            )
        elif seconds >= NOTED_SECONDS:
            once = "The {engine} engine was out once, for {time}: its calls waited"
            often = "The {engine} engine was out {count} times, for {time} in all: its calls waited"
            notes.append(plural(once, often, count=count, **values))
    return notes


def deadline_notes(ledger: Ledger) -> Iterator[Message]:
    """Which engines failed when the deadline passed."""
    if failing := dict.fromkeys(call.engine for call in ledger.failures if call.interrupted_after is not None):
        yield message("When the deadline passed, calls were failing: {engines}", engines=_named([*failing]))


def broken_off_notes(start: Start, attempts: Iterable[int], ledger: Ledger) -> Iterator[Message]:
    """When earlier attempts at its day broke off, of which none has an end."""
    for number in sorted(attempts):
        if (last := ledger.last_of.get(number)) is not None:
            time = clock(datetime.fromtimestamp(last, start.offset), start.day)
            yield message("Attempt {number} broke off at {time}", number=number, time=time)


def past_day_notice(day: str) -> Message:
    """What is not as on that day, for a start of a day that is over."""
    return message(
        "{day} is over: the financial and the trading engine take no date, and prepare what is current when called",
        day=day,
    )


SOON = timedelta(minutes=10)
"""Cloud Run may take so long until it starts a task again."""
END_LIMIT = 256 * 1024
"""Maximum bytes of a report: lists of nights read many."""
FAULTS_LISTED = 50
FAULT_LIMIT = 500
"""Maximum number of characters of each text of a fault."""
_GROUP_BYTES = 300
"""Maximum bytes of a group without its targets."""
_ATTEMPT_BYTES = 20
"""Maximum bytes of an attempt in `journal`."""
_CLOSING_BYTES = 300
"""Maximum bytes of what else is known only once the record is closed: `not_written`, and `missing_not_listed`."""
COMPARED_BYTES = 8_000
"""Maximum bytes of the comparison with the night before: a longer one is not noted."""

Phase = Literal["data", "cards"]
PHASES: Mapping[Phase, tuple[EngineName, ...]] = {"data": DATA_ENGINES, "cards": ("qa",)}
Word = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]


class MissingGroup(BaseModel):
    """Items that are not done and that have these values in common."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    engine: EngineName
    card_type: str | None = None
    state: MissingState
    cause: Word | None = None
    """Why they failed last; `None` if they did not."""
    since: Date
    """The day since which they have been missing on every night."""
    nights: Count = 1
    """The number of these nights, this one included."""
    targets: tuple[str, ...]


class Report(Ending, Start):
    """How a day stands after an attempt. Totals and lists are those of all attempts at the day together."""

    ended: Stamp | None
    """`None` for a state."""
    seconds: Seconds | None
    """How long the attempt took."""
    faults: tuple[Fault, ...] = ()
    """Why nothing was called, if the configuration could not be used."""
    faults_not_listed: Count = 0
    set_aside: tuple[dict[str, Any], ...] = ()
    """Empty. Older versions listed card types here."""
    journal: dict[int, Count] = Field(default_factory=dict)
    """How many objects of results there are of each attempt, by its number."""
    not_written: tuple[str, ...] = ()
    """The documents that could not be written: the next start writes them."""
    engines: dict[EngineName, Counts] = Field(default_factory=dict)
    """Those that the plan uses; empty without a plan."""
    asked_again: Count = 0
    """Number of cards that people have asked to have made again; `made_again` of them were."""
    made_again: Count = 0
    perhaps_charged: Count = 0
    """Number of missing cards of which an answer was lost: they may be made, and paid for."""
    at_fault: tuple[str, ...] = ()
    """The targets whose data failed, if nothing else did: without them the day could go on."""
    phases: dict[Phase, Seconds] = Field(default_factory=dict)
    """The seconds in which calls of the phase were in flight; without phases that had no call."""
    missing: tuple[MissingGroup, ...] = ()
    """Failed items first."""
    missing_not_listed: Count = 0

    @property
    def cards(self) -> Counts:
        """The totals of the cards."""
        return self.engines.get("qa", Counts())

    @property
    def severity(self) -> Severity:
        """How grave it is: a success is good only if no engine reported an error besides."""
        severity = self.outcome.about.severity
        return "warn" if severity == "good" and any(counts.with_error for counts in self.engines.values()) else severity

    @property
    def had_plan(self) -> bool:
        """Whether the attempt had a plan."""
        return bool(self.engines)

    @property
    def is_of_command(self) -> bool:
        """Whether the command itself was faulty: only who gave it can correct it, and is told at once."""
        return any(fault.kind is FaultKind.COMMAND for fault in self.faults)

    @property
    def done_at(self) -> datetime | None:
        """When the attempt ended that found everything done; `None` if something is missing."""
        return datetime.fromisoformat(self.ended) if self.ended and self.outcome is Outcome.SUCCEEDED else None

    @property
    def when(self) -> Message:
        """When it ended, or began if it has not ended."""
        time = clock(datetime.fromisoformat(self.ended or self.started), self.day)
        if not self.done_at or not self.number:  # it was done before
            return message("Ended at {time}", time=time) if self.ended else message("began at {time}", time=time)
        tick = self.days.tick_of(self.day) if self.schedule else None
        if tick is None or self.done_at >= tick:
            return message("Done at {time}", time=time)
        return message("Made at {time}, before the night's time {tick}", time=time, tick=f"{tick:%H:%M}")

    @property
    def retry_over(self) -> float | None:
        """When Cloud Run would have started the task again, in seconds since 1970; `None` if it has not ended."""
        return None if self.ended is None else (datetime.fromisoformat(self.ended) + SOON).timestamp()

    def retry_comes(self, now: datetime) -> bool:
        """Whether Cloud Run starts the task again by itself, for all that is known; not once it would have."""
        over = self.retry_over
        if self.max_retries is None or self.execution is None or over is None:
            return False
        return now.timestamp() < over and self.task_attempt < self.max_retries

    def to_json(self) -> bytes:
        """The bytes of its object under `ends/`."""
        return self.model_dump_json().encode() + b"\n"

    def as_text(self) -> bytes:
        """The bytes of `report.json`, for other programs: each message is its English text."""

        def plain(value: object) -> object:
            if isinstance(value, Message):
                return str(value)
            if isinstance(value, BaseModel):
                return {
                    name: plain(getattr(value, name))
                    for name, field in type(value).model_fields.items()
                    if not field.exclude
                }
            if isinstance(value, Counts | Fault):
                return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
            if isinstance(value, dict):
                return {name: plain(member) for name, member in value.items()}
            return [plain(element) for element in value] if isinstance(value, tuple) else value

        return json.dumps(plain(self), ensure_ascii=False, indent=1).encode()


def report_of(
    start: Start,
    ledger: Ledger,
    ending: Ending,
    *,
    seconds: float | None = None,
    faults: Sequence[Fault] = (),
    before: Report | None = None,
) -> Report:
    """The report of an attempt that has ended after `seconds`, or that is in a state.

    An attempt without a plan has the ledger of an empty plan. `before` is the report of the night before, which knows
    since when an item has been missing.
    """
    totals, made_again = ledger.totals(), ledger.made_again
    ended = None
    if seconds is not None:
        moment = datetime.fromisoformat(start.started) + timedelta(seconds=seconds)
        ended = moment.isoformat(timespec="seconds")
    report = Report(
        **{**dict(start), "without": ledger.left_out},
        **{**dict(ending), "notes": (*_of_past_day(start, ledger), *ending.notes)},
        ended=ended,
        seconds=None if seconds is None else round(seconds, 3),
        faults=tuple(_limited(fault) for fault in faults[:FAULTS_LISTED]),
        faults_not_listed=max(0, len(faults) - FAULTS_LISTED),
        engines=totals,
        asked_again=len(made_again) + len(ledger.to_make_again),
        made_again=len(made_again),
        perhaps_charged=len(ledger.lost),
        at_fault=targets_at_fault(ledger) if ending.outcome is Outcome.DATA_ENGINE_FAILED else (),
        phases=_phases(ledger),
    )
    left = END_LIMIT - len(report.to_json()) - _CLOSING_BYTES - COMPARED_BYTES - _ATTEMPT_BYTES * start.number
    groups, not_listed = _missing_groups(start.day, ledger, before, left)
    return report.model_copy(update={"missing": groups, "missing_not_listed": not_listed})


def _limited(fault: Fault) -> Fault:
    """A fault for the report; a text that is too long is shortened, and stays English."""

    def limited(text: Value) -> Message:
        whole = str(text)
        is_short = isinstance(text, Message) and len(whole) <= FAULT_LIMIT
        return said(text) if is_short else Message(shortened(whole, FAULT_LIMIT))

    return Fault(limited(fault.where), limited(fault.what), limited(fault.remedy), fault.kind)


def _of_past_day(start: Start, ledger: Ledger) -> Iterator[Message]:
    """What is not as on that day, if the attempt has had data prepared of a past one."""
    began = datetime.fromisoformat(start.started)
    calls = chain(ledger.calls["financial"].started, ledger.calls["trading"].started)
    if start.days.is_past(start.day, began) and any(moment >= began.timestamp() for moment in calls):
        yield past_day_notice(start.day)


def totals_of(report: Report) -> Mapping[str, object]:
    """How a start ended, and the totals, for programs: in the last line of the log and in the message."""
    return {
        "outcome": report.outcome,
        "exit_code": report.exit_code,
        "ended": report.ended,
        "cards": asdict(report.cards),
        "engines": {name: asdict(engine) for name, engine in report.engines.items()},
        **({"asked_again": report.asked_again, "made_again": report.made_again} if report.asked_again else {}),
        **({"without": report.without} if report.without else {}),
    }


def read_report(day: str, number: int, data: bytes) -> Report:
    """The report in the object of this number under `ends/`. Raises `RecordError`."""
    name = end_name(day, number)
    report = read_start(Report, name, day, number, data)
    is_done = report.exit_code is ExitCode.DONE
    if report.exit_code is None or is_done is not (report.outcome is Outcome.SUCCEEDED):
        raise altered(name)
    return report


def missing_by_item(report: Report) -> Mapping[Item, MissingGroup]:
    """The group of each missing item that a report lists."""
    return {Item(group.engine, name, group.card_type): group for group in report.missing for name in group.targets}


def _missing_groups(day: str, ledger: Ledger, before: Report | None, left: int) -> tuple[tuple[MissingGroup, ...], int]:
    """The missing items in groups, as many as fit into `left` bytes, and the number of further ones."""
    then = missing_by_item(before) if before is not None else {}
    groups: dict[tuple[object, ...], list[str]] = {}
    listed = 0
    failed = (status for status in _missing(ledger) if status.state == "failed")
    for status in chain(failed, (status for status in _missing(ledger) if status.state != "failed")):
        item, earlier = status.item, then.get(status.item)
        since, nights = (earlier.since, earlier.nights + 1) if earlier else (day, 1)
        key = (item.engine, item.card_type, status.state, status.cause, since, nights)
        left -= len(to_json(item.target)) + 1 + (0 if key in groups else _GROUP_BYTES)
        if left < 0:
            break
        groups.setdefault(key, []).append(item.target)
        listed += 1
    names = ("engine", "card_type", "state", "cause", "since", "nights")
    made = (
        MissingGroup.model_validate({**dict(zip(names, key, strict=True)), "targets": tuple(targets)})
        for key, targets in groups.items()
    )
    return tuple(made), sum(engine.planned - engine.done for engine in ledger.totals().values()) - listed


def _missing(ledger: Ledger) -> Iterator[ItemStatus]:
    return (status for engine in ledger.plan.engines() for status in ledger.items[engine].missing())


def _phases(ledger: Ledger) -> dict[Phase, float]:
    phases = {}
    for phase, engines in PHASES.items():
        spans = chain.from_iterable(ledger.calls[engine].spans() for engine in engines)
        if seconds := sum(ended - began for began, ended in busy_stretches(spans)):
            phases[phase] = round(seconds, 3)
    return phases

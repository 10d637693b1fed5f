"""Sentence: how a start has ended or stands, and what is there of the cards in numbers; and the names of items.

It quotes no answer of an engine or of storage: a report has that as its detail.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import reduce

from job.day.attempt import ExitCode, Outcome
from job.day.report import Items, Report, TargetItems
from job.day.result import Counts
from job.engines.calls import DATA_ENGINES, ENGINES, EngineName, Item
from job.text.messages import Message, colon, duration, listed, message, plural, semicolon, template
from job.text.shown import clock

NAMED = 3
"""Names of what was left out, in a line that is never cut."""
LABELS: Mapping[Outcome, Message] = {
    Outcome.SUCCEEDED: message("Done"),
    Outcome.BUSY: message("Another start is at work, or has taken over"),
    Outcome.STORAGE_FAILED: message("Storage failed"),
    Outcome.UNFORESEEN: message("The job has a bug"),
    Outcome.AT_WORK: message("At work"),
    Outcome.KILLED: message("The record breaks off"),
    Outcome.UNREADABLE: message("The record cannot be read"),
    Outcome.OTHER_FORMAT: message("Made by another version"),
}
"""The clauses that say nothing more than an outcome. The others are of a report alone."""
NOTHING_CALLED = message("nothing was called")


def outcome_of(report: Report) -> Message:
    """How a start has ended, or in which state it is: the first of what is told of a day."""
    outcome = report.outcome
    if outcome is Outcome.AT_WORK:
        return message("At work since {time}", time=clock(datetime.fromisoformat(report.started), report.day))
    if outcome is Outcome.INTERRUPTED:
        return message("Interrupted by {signal}", signal=(report.exit_code or ExitCode.SIGTERM).name)
    if outcome is Outcome.DEADLINE:
        return message("The deadline of {time} passed", time=duration(report.deadline or 0))
    if outcome is Outcome.BAD_CONFIG and report.is_of_command:
        return message("The command was refused")
    if outcome is Outcome.BAD_CONFIG:
        count = len(report.faults) + report.faults_not_listed
        return plural("The configuration has 1 fault", "The configuration has {count} faults", count=count)
    if outcome is Outcome.DATA_ENGINE_FAILED:  # the first one has cut off the others
        failed = (engine for engine, counts in report.engines.items() if engine != "qa" and counts.state == "bad")
        return _failed(next(failed, DATA_ENGINES[0]))
    is_of_all = outcome is Outcome.CARDS_MISSING and report.cards.failed and not report.cards.done
    if outcome is Outcome.QA_ENGINE_DOWN or (is_of_all and not report.is_made_but_again):
        return _failed("qa")
    if outcome is Outcome.CARDS_MISSING:
        return plural("1 card is missing", "{count} cards are missing", count=report.cards.missing)
    return LABELS[outcome]


def _failed(engine: EngineName) -> Message:
    return message("The {engine} engine failed", engine=ENGINES[engine].label)


def numbers_of(report: Report, unrecorded: int = 0) -> Message | None:
    """What is there and what is not, always in this order; `None` if nothing is known of it.

    Of the cards that are made so many are `unrecorded`. What is made, missing and made but not recorded adds up to what
    was asked for, which is all but what a person has left out.
    """
    numbers = [*_card_numbers(report, unrecorded)]
    if data := waited_for_data(report.engines, with_all=not report.cards.planned):
        numbers.append(message("data: {terms}", terms=data))
    if report.cards.left_out or report.without:
        names = listed(report.without, NAMED)
        numbers.append(message("{count} left out: {names}", count=report.cards.left_out, names=names))
    if report.is_repeated or (not report.number and report.outcome is not Outcome.OTHER_FORMAT):
        numbers.append(NOTHING_CALLED)
    return reduce(semicolon, numbers) if numbers else None


def _card_numbers(report: Report, unrecorded: int) -> Iterator[Message]:
    cards = report.cards
    if not cards.planned:
        return
    asked = cards.planned - cards.left_out
    yield message("{made} of {asked} cards made", made=cards.done - unrecorded, asked=asked)
    if cards.missing:
        missing = message("{count} missing", count=cards.missing)
        groups = (group for group in report.missing if group.engine == "qa")
        items = (Item("qa", target, group.card_type) for group in groups for target in group.targets)
        is_known = cards.done and not cards.not_reached and not report.missing_not_listed
        yield colon(missing, named(Items.of(items))) if is_known else missing
    if cards.failed and cards.not_reached:
        yield message(
            "{failed} failed, {cut_off} cut off, {left} not tried",
            failed=cards.failed - cards.cut_off,
            cut_off=cards.cut_off,
            left=cards.missing - cards.failed,
        )
    if unrecorded:
        text = template("{count} more made and not recorded: the next start makes {all}")
        yield message(text, count=unrecorded, all=cards.missing + unrecorded)


def sentence_of(report: Report, unrecorded: int = 0) -> Message:
    """Both in one: what stands where there is room for one line."""
    outcome, numbers = outcome_of(report), numbers_of(report, unrecorded)
    return outcome if numbers is None else colon(outcome, numbers)


def waited_for_data(engines: Mapping[EngineName, Counts], *, with_all: bool = False) -> str:
    """The data engines that the cards wait for, or all, and how much of their data is done."""
    counts = {engine: engines[engine] for engine in DATA_ENGINES if engine in engines}
    shown = ((engine, data) for engine, data in counts.items() if with_all or data.missing)
    return ", ".join(f"{engine} {data.done}/{data.planned}" for engine, data in shown)


def when(report: Report) -> Message | None:
    """When it ended, if it has; of what this start has done, also how long that took."""
    if report.breaks_off is not None:
        return message("As of {time}", time=clock(report.breaks_off, report.day))
    if report.ended is None:
        return None
    time, seconds = clock(datetime.fromisoformat(report.ended), report.day), report.seconds or 0.0
    if not report.done_at or not report.number:  # it was done before
        return message("As of {time}", time=time)
    return message("Done at {time}, after {took}", time=time, took=_rounded(seconds))


def _rounded(seconds: float) -> Message:
    """A duration in minutes, or below one in seconds."""
    return duration(seconds if seconds < 60 else 60 * round(seconds / 60))


def named(items: Items) -> str | Message:
    """Items for people: `AAPL`, `TSLA/news_card`, `NVDA (5)`; cards of one type: `/news_card: NVDA, TSLA`."""
    types = {card_type for target in items.targets for card_type in target.card_types}
    names = [_name(target) for target in items.targets]
    if len(names) > 1 and len(types) == 1 and all(target.card_types for target in items.targets):
        names = [target.target for target in items.targets]
        names[0] = f"/{types.pop()}: {names[0]}"
    return listed(names, count=items.targets_count)


def _name(target: TargetItems) -> str:
    if not target.card_types:
        return target.target
    return (
        f"{target.target}/{target.card_types[0]}"
        if len(target.card_types) == 1
        else f"{target.target} ({len(target.card_types)})"
    )

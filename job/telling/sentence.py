"""Sentence: how a start has ended or stands, and what is there of the cards; and the names of items.

It quotes no answer of an engine or of storage: a report has that as its detail.
"""

from collections.abc import Mapping
from datetime import datetime

from job.config.faults import FaultKind
from job.day.attempt import Outcome
from job.day.report import Items, Report, TargetItems
from job.day.result import Counts
from job.engines.calls import DATA_ENGINES, ENGINES, EngineName
from job.text.messages import Message, colon, duration, listed, message, plural, semicolon, template
from job.text.shown import clock

NAMED = 3
"""Names of what was left out, in a line that is never cut; also of data that was not ready."""
LABELS: Mapping[Outcome, Message] = {
    Outcome.CARDS_MISSING: message("The QA engine failed"),
    Outcome.DATA_ENGINE_FAILED: message("A data engine failed"),
    Outcome.QA_ENGINE_DOWN: message("The QA engine failed"),
    Outcome.DEADLINE: message("Deadline passed"),
    Outcome.INTERRUPTED: message("Interrupted"),
    Outcome.BUSY: message("Another start may have taken over"),
    Outcome.STORAGE_FAILED: message("Storage failed"),
    Outcome.UNFORESEEN: message("The job has a bug"),
    Outcome.AT_WORK: message("At work"),
    Outcome.KILLED: message("The record breaks off"),
    Outcome.UNREADABLE: message("Unreadable"),
    Outcome.OTHER_FORMAT: message("Made by another version"),
}
"""How it ended, if nothing more is known; of no success, and of no refusal, which has its faults."""
NOTHING_CALLED = message("nothing was called")
_OF_QA = {Outcome.CARDS_MISSING, Outcome.QA_ENGINE_DOWN}


def sentence_of(report: Report) -> Message:
    """How a start has ended, or the state it is in."""
    if not report.is_repeated:
        return _day_sentence(report)
    text = template("Cloud Run's retry: nothing to do, since attempt {number} has ended: {continued}")
    return message(text, number=report.number, continued=_day_sentence(report))


def _day_sentence(report: Report) -> Message:
    """How the attempt of a report has ended, or the state it is in."""
    outcome, cards = report.outcome, report.cards
    if outcome is Outcome.SUCCEEDED:
        there = _all_there(report)
        return there if report.done_since is None else semicolon(there, NOTHING_CALLED)
    why = fact_of(report)
    if not report.number or not report.had_plan:
        sentence = colon(why, NOTHING_CALLED)
        return semicolon(sentence, _so_far_line(cards)) if report.had_plan else sentence
    if outcome is Outcome.AT_WORK:
        return colon(why, _so_far_line(cards))
    return why if _tried_all(report) else colon(why, cards_line(report))


def fact_of(report: Report) -> Message:
    """What has happened, in the words with which its sentence begins: a row of a table says just that."""
    if not _tried_all(report):
        return _why(report)
    if report.outcome is Outcome.CARDS_MISSING:
        return cards_line(report)
    line = plural(
        "The QA engine failed for the card that was left",
        "The QA engine failed for all {count} cards that were left",
        count=report.cards.missing,
    )
    return _with_left_out(report, line)


def _tried_all(report: Report) -> bool:
    """Whether cards are made, and all others were tried: then it says of the cards how many are missing."""
    cards = report.cards
    if report.outcome is Outcome.CARDS_MISSING:
        return cards.done > 0 or report.is_made_but_again
    return (
        report.outcome is Outcome.QA_ENGINE_DOWN and cards.done > 0 and not (cards.not_reached or _is_refused(report))
    )


def _is_refused(report: Report) -> bool:
    """Whether the QA engine answers, and refuses all calls."""
    cards = [group for group in report.failures if "qa" in group.engines]
    return bool(cards) and all(group.is_refused for group in cards)


def _why(report: Report) -> Message:
    """How it ended, as the beginning of its sentence."""
    outcome = report.outcome
    if outcome is Outcome.INTERRUPTED and report.exit_code is not None:
        return message("Interrupted by {signal}", signal=report.exit_code.name)
    if outcome is Outcome.DEADLINE and report.deadline is not None:
        return _passed(report.deadline, report)
    if outcome is Outcome.BAD_CONFIG:
        return _refused(report)
    if outcome is Outcome.AT_WORK:
        return message("At work since {time}", time=clock(datetime.fromisoformat(report.started), report.day))
    if outcome is Outcome.KILLED and report.breaks_off is not None:
        return message("The record breaks off at {time}", time=clock(report.breaks_off, report.day))
    failed = [engine for engine in DATA_ENGINES if engine in report.engines and report.engines[engine].state == "bad"]
    if outcome is Outcome.DATA_ENGINE_FAILED and failed:  # the first one has cut off the others
        return message("The {engine} engine failed", engine=ENGINES[failed[0]].label)
    if outcome in _OF_QA and _is_refused(report):
        return message("The QA engine refuses the job's calls")
    if report.cards.not_reached and report.qa_failed_seconds:
        return message("The QA engine failed for {time}", time=_rounded(report.qa_failed_seconds))
    return report.why or LABELS[outcome]


def _refused(report: Report) -> Message:
    kinds, count = {fault.kind for fault in report.faults}, len(report.faults) + report.faults_not_listed
    if FaultKind.IMAGE in kinds:
        return message("Another version of the job has begun this day")
    if kinds == {FaultKind.COMMAND}:
        return plural("The command has 1 fault", "The command has {count} faults", count=count)
    return plural("The configuration has 1 fault", "The configuration has {count} faults", count=count)


def _passed(deadline: float, report: Report) -> Message:
    passed = message("The deadline of {time} passed", time=duration(deadline))
    if slow := waited_for_data(report.engines):
        return Message("{passed}{slow}", {"passed": passed, "slow": message(" ({terms})", terms=slow)})
    return passed


def waited_for_data(engines: Mapping[EngineName, Counts]) -> str:
    """The data engines that the cards wait for, and how much of their data is done."""
    counts = {engine: engines[engine] for engine in DATA_ENGINES if engine in engines}
    return ", ".join(f"{engine} {data.done}/{data.planned}" for engine, data in counts.items() if data.missing)


def cards_line(report: Report) -> Message:
    """What is there of the cards, as the end of a sentence; and what a person has left out."""
    cards, outcome = report.cards, report.outcome
    planned, missing = cards.planned, cards.missing
    if outcome is Outcome.DEADLINE and cards.failed:
        line = _apart_line(report)
    elif outcome is Outcome.KILLED and missing:  # they may be there
        line = plural(
            "1 of {planned} cards is not recorded",
            "{count} of {planned} cards are not recorded",
            count=missing,
            planned=planned,
        )
    elif report.is_made_but_again:
        line = plural(
            "1 of {planned} cards is not made again yet",
            "{count} of {planned} cards are not made again yet",
            count=missing,
            planned=planned,
        )
    elif planned and not cards.done:
        line = message("no card was made")
    elif missing:
        line = plural(
            "1 of {planned} cards is missing", "{count} of {planned} cards are missing", count=missing, planned=planned
        )
    elif cards.left_out:
        line = plural("1 card is made", "{count} cards are made", count=cards.done)
    else:
        line = plural("the card is made", "all {count} cards are made", count=cards.done)
    return _with_left_out(report, line)


def _apart_line(report: Report) -> Message:
    """What a deadline has left: what was cut off had tries left."""
    cards = report.cards
    return message(
        "of {planned} cards {done} made, {failed} failed, {cut_off} cut off, {left} not tried",
        planned=cards.planned,
        done=cards.done,
        failed=cards.failed - cards.cut_off,
        cut_off=cards.cut_off,
        left=cards.missing - cards.failed,
    )


def _so_far_line(cards: Counts) -> Message:
    return plural(
        "1 of {planned} cards is made so far",
        "{count} of {planned} cards are made so far",
        count=cards.done,
        planned=cards.planned,
    )


def _with_left_out(report: Report, cards: Message) -> Message:
    names = listed(report.without, NAMED)
    return message("{cards} (left out: {names})", cards=cards, names=names) if names else cards


def _all_there(report: Report) -> Message:
    line = cards_line(report) if report.cards.planned else _with_left_out(report, message("All data is ready"))
    if any(counts.with_error for counts in report.engines.values()):
        return message("{Sentence}, but an engine reported errors", Sentence=line)
    return Message("{Sentence}", {"Sentence": line})


def when(report: Report) -> Message | None:
    """When it ended, if it has; of what this start has done, also how long that took."""
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

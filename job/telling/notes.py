"""Notes: what else a person should know of a day, its config and its record."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic_core import to_json

from job.config.objects import ENGINE_CONTROL
from job.config.plan import Plan, is_usual
from job.day.attempt import ExitCode, Outcome, Start
from job.day.ending import Ending
from job.day.history import NightBefore
from job.day.ledger import Ledger
from job.day.report import Report
from job.engines.calls import ALL_ENGINES, BATCHES, ENGINES, counted
from job.telling.changes import comparison_lines, moved
from job.telling.sentence import names_of
from job.text.messages import Message, dated_time, listed, message, plural, template
from job.text.shown import clock

NOTICES_LISTED = 3
COMPARED_BYTES = 8_000
"""Maximum bytes of the comparison with the night before: a longer one is not noted."""


def notes_of(
    start: Start,
    ending: Ending,
    ledger: Ledger,
    before: NightBefore | None,
    changed: Sequence[Message],
) -> Iterator[Message]:
    """All notes of a report. `changed` is what it says of that by itself."""
    began = datetime.fromisoformat(start.started)
    is_past = start.days.is_past(start.day, began)
    if is_past and any(call.started >= began.timestamp() for engine in BATCHES for call in ledger.calls[engine]):
        yield past_day_notice(start.day)
    if ending.outcome is Outcome.KILLED:
        text = template(
            "The start was killed, or could no longer write; its calls in flight may have been charged too. If the "
            "execution says memory, an owner raises {variable}."
        )
        yield message(text, variable="job.memory_mib")
    if ending.done_since is not None:
        since = clock(ending.done_since, start.day)
        yield message("Nothing was left to do: {day} has been done since {time}", day=start.day, time=since)
        if start.days.schedule:
            yield message("Next night: {time}", time=dated_time(start.days.after(start.days.current(began))))
    yield from ledger_notes(ledger)
    if before is not None and ledger.plan.engines():
        compared = [*comparison_lines(ending, ledger, before)]
        if not changed:
            compared = [*moved(before.report.start, start, before.short_day), *compared]
        yield from compared if len(to_json(compared)) <= COMPARED_BYTES else ()


def ledger_notes(ledger: Ledger) -> Iterator[Message]:
    """What is odd about the results of a day, and the cards of its plan."""
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


def plan_notes(plan: Plan) -> Iterator[Message]:
    """What is not as on other nights about the cards of a plan: data that they lack, and their date."""
    for engine in (engine for engine in plan.switched_off if ENGINES[engine].is_on):
        lacking = (one for one in plan.targets if is_usual(engine, one.kind) and not plan.prepares(engine, one))
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


def notices_of(plan: Plan) -> list[Message]:
    """What is odd about the config, at most `NOTICES_LISTED` lines and one that counts the others."""
    notices = list(plan.notices[:NOTICES_LISTED])
    if (more := len(plan.notices) - NOTICES_LISTED) > 0:
        notices.append(message("and {count} more", count=more))
    return notices


def unrecorded_notes(report: Report, results: int, cards: int) -> Iterator[Message]:
    """What the record lacks if it could not be written to the end: `results`, of which some are made `cards`."""
    if results and report.exit_code == ExitCode.DONE:
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
    if report.start.execution and report.exit_code:
        yield message("Its end is not recorded: if Cloud Run starts it once more, that start has as many tries again.")


def past_day_notice(day: str) -> Message:
    """What is not as on that day, for a start of a day that is over."""
    return message(
        "{day} is over: its cards get the financial and trading data of now, since these engines take no date",
        day=day,
    )

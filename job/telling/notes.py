"""Notes: what else a person should know of a day, its config and its record."""

from collections.abc import Iterator
from datetime import datetime

from job.config.objects import ENGINE_CONTROL
from job.config.plan import Plan, Target, is_usual
from job.day.attempt import Outcome
from job.day.ledger import Ledger
from job.day.report import Items, Report
from job.engines.calls import ALL_ENGINES, BATCHES, ENGINES, counted
from job.telling.changes import change_of
from job.telling.sentence import named
from job.text.messages import Message, dated_time, listed, message, template
from job.text.shown import clock


def notes_of(report: Report, ledger: Ledger) -> Iterator[Message]:
    """All notes of a day."""
    began = datetime.fromisoformat(report.started)
    is_past = report.day < report.days.current(began)
    if is_past and any(call.started >= began.timestamp() for engine in BATCHES for call in ledger.calls[engine]):
        yield past_day_notice(report.day)
    if report.outcome is Outcome.KILLED:
        text = template(
            "The start was killed, or could no longer write; its calls in flight may have been charged too. If the "
            "execution says memory, an owner raises {variable}."
        )
        yield message(text, variable="job.memory_mib")
    if report.done_since is not None:
        since = clock(report.done_since, report.day)
        yield message("{day} has been done since {time}", day=report.day, time=since)
        if report.days.schedule:
            yield message("Next night: {time}", time=dated_time(report.days.after(report.days.current(began))))
    yield from ledger_notes(ledger)
    for change in report.changes:
        if change not in report.loud_changes:
            yield change_of(change, report.compared_with or report.day)


def ledger_notes(ledger: Ledger) -> Iterator[Message]:
    """What is odd about the results of a day, and the cards of its plan."""
    for engine in ALL_ENGINES:
        count = ledger.counts(engine).with_error
        if count > 1:  # of a single one, the line with its error names it
            yield message(
                "Look at {items} of the {engine} engine: {names}",
                items=counted(engine, count),
                engine=ENGINES[engine].label,
                names=named(Items.of(ledger.with_error(engine))),
            )
    yield from plan_notes(ledger.plan)
    if made := ledger.made_again:
        yield message("Made again: {names}", names=named(Items.of(made)))


def plan_notes(plan: Plan) -> Iterator[Message]:
    """What is not as on other nights about the cards of a plan: data that they lack, and their date."""
    for engine in (engine for engine in plan.switched_off if ENGINES[engine].is_on and engine in plan.batch_sizes):
        lacking = (
            target for target in plan.targets if is_usual(engine, target.kind) and not plan.prepares(engine, target)
        )
        if count := sum(len(target.card_types) for target in lacking):
            off = template("{object}: the {engine} engine is switched off. Cards without its data: {count}")
            yield message(off, object=ENGINE_CONTROL, engine=ENGINES[engine].label, count=count)
    if other := for_another_date(plan):
        cards = counted("qa", sum(len(target.card_types) for target in other))
        names = listed([f"{target.id} ({target.date})" for target in other])
        yield message("{cards} for another date: {names}", cards=cards, names=names)


def for_another_date(plan: Plan) -> list[Target]:
    """The targets whose cards are for another date than the plan's."""
    return [target for target in plan.targets if target.card_types and target.date not in {None, plan.date}]


def put_back(report: Report) -> Message | None:
    """What of the config has changed since the night before, if a change is loud; what to do if nobody meant that."""
    if report.compared_with is None or not report.changed_objects or not report.loud_changes:
        return None
    text = template(
        "Changed or written again since {day}: {names}. If that is not meant, put back what was, then start."
    )
    return message(text, day=report.compared_with[5:], names=listed(report.changed_objects))


def was_early(report: Report) -> Message:
    """That a day was done before its own time, which the schedule has now."""
    tick, done = report.days.tick_of(report.day), report.done_since
    if tick is None or done is None:
        raise AssertionError("this day was not done too early")
    text = template(
        "It was done at {done}, before its time, {time}: by the data of then, since the schedule was another one"
    )
    return message(text, done=clock(done, report.day), time=clock(tick, report.day))


def past_day_notice(day: str) -> Message:
    """What is not as on that day, for a start of a day that is over."""
    return message(
        "{day} is over: its cards get the financial and trading data of now, since these engines take no date",
        day=day,
    )

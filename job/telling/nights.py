"""Nights in words: what is said of each in a table, and of those that are not done."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from job.config.days import Days
from job.day.attempt import Severity
from job.day.history import Night, Nights
from job.day.report import Report
from job.day.result import Counts, EngineState
from job.engines.calls import EngineName, counted
from job.telling.sentence import LABELS, outcome_of
from job.text.messages import Message, dated, joined, listed, message, said, template

MARKS: Mapping[EngineState, tuple[Severity | Literal["soft"], str]] = {
    "good": ("good", "✓"),
    "odd": ("warn", "!"),
    "warn": ("warn", "–"),
    "bad": ("bad", "✗"),
    "none": ("soft", "·"),
}
NO_NIGHT = message("no night is recorded")


def why_not_begun(day: str, nights: Nights, days: Days, now: datetime) -> Message | None:
    """Why nobody is to begin a day of which nothing is there; `None` if it only was not begun."""
    tick = days.tick_of(day)
    if days.is_to_come(day, now) or (tick is not None and tick > now):
        return message("The night of {day} is still to come", day=day)
    if nights.first_day is not None and day < nights.first_day:
        return message("The record begins with {first}: nothing is known of {day}", first=nights.first_day, day=day)
    return next((night.problem for night in nights.nights if night.day == day), None)


def not_begun(day: str, days: Days) -> Message:
    """That a night which was to begin has left nothing."""
    time = days.left_out(day)
    if time is None:
        return message("No start of {day} has begun. Is the schedule paused?", day=day)
    text = template("No start of {day} has begun: the clocks left out {time} on that day")
    return message(text, day=day, time=f"{time:%H:%M}")


def done_at(night: Night) -> Message:
    """When everything of a day was done, and without which targets; else what happened, as its sentence says it."""
    moment = night.report.done_at if night.report is not None else None
    if night.report is None or moment is None:
        return fact_of_night(night)
    pattern = "%H:%M" if moment.date().isoformat() == night.day else "%m-%d %H:%M"
    time = f"{moment:{pattern}}"
    if night.report.without:
        return message("{time}, without {names}", time=time, names=listed(night.report.without))
    return said(time)


def fact_of_night(night: Night) -> Message:
    return LABELS[night.outcome] if night.report is None else outcome_of(night.report)


def marks_of(report: Report | None, columns: Sequence[EngineName]) -> list[tuple[Severity | Literal["soft"], str]]:
    """The kind and the mark of each of these engines, in a table of nights."""
    engines = report.engines if report else {}
    return [MARKS[engines.get(engine, Counts()).state] for engine in columns]


def undone_lines(nights: Nights, besides: Report | Night) -> tuple[Message, ...]:
    """Which nights besides this one are not done."""
    undone = []
    for night in nights.undone(besides.day):
        cards = night.report.cards.missing if night.report else 0
        missing = counted("qa", cards) if cards else fact_of_night(night)
        undone.append(Message("{day} ({missing})", {"day": dated(night.day, night.day[5:]), "missing": missing}))
    return (message("Not recorded as done: {nights}", nights=joined(undone)),) if undone else ()

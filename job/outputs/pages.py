"""Page of the nights, as words and numbers: a row for each night, and two charts."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from job.config.days import Days
from job.day.advice import late_steps, nothing_since
from job.day.commands import Links
from job.day.counts import Counts, EngineState
from job.day.failures import names_of
from job.day.outcome import Outcome
from job.day.report import Report
from job.engines.calls import Item
from job.engines.catalog import ALL_ENGINES, DATA_ENGINES
from job.outputs.day import Headline, executions_link, job_of
from job.records.nights import NIGHTS_LOOKED_AT, Night, Nights, done_at
from job.text.display import zone_of
from job.text.messages import Message, Value, dated_time, duration, listed, message, plural, template

MARKS: Mapping[EngineState, tuple[str, str]] = {
    "good": ("good", "✓"),
    "odd": ("warn", "!"),
    "warn": ("warn", "–"),
    "bad": ("bad", "✗"),
    "none": ("soft", "·"),
}
WIDTH, TALL = 1000.0, 100.0
"""Of a chart, in its own units."""
LEAST = 4.0
"""Minimum height of what is missing: a single card of thousands must be visible."""
LEAST_BARS = 7
"""A chart has room for at least so many nights."""
FAILURES_NAMED = 3
DUE_SECONDS = 3600.0
"""How long a night may take without a deadline before the page warns that it has left nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One night in the table."""

    day: str
    link: str | None
    """The link to its page; `None` if it may have none."""
    result: Message
    """When everything was done, or how it ended."""
    kind: str
    engines: Sequence[tuple[str, str]]
    """The kind and the mark of each engine."""
    cards: tuple[int, int] | None
    """How many are there, of how many; `None` if this is not known, or if none is planned."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A night in a chart: how much of the height is good, and how much of it, above that, is missing."""

    left: float
    good: float
    bad: float = 0.0


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar for each night, the oldest on the left."""

    title: Message
    note: Message
    bars: Sequence[Bar]
    width: float
    """Width of a bar."""
    dates: Sequence[str]
    """Of the oldest night and, if there are several, of the newest."""
    extent: float
    """Up to where there are nights; beyond, a week would have more."""


def row_of(night: Night, links: Links) -> Row:
    """The row of a night."""
    report = night.report
    totals = {} if report is None else report.engines
    cards = totals.get("qa")
    return Row(
        day=night.day,
        link=None if report is None else links.day(night.day),
        result=done_at(night),
        kind=night.severity,
        engines=[MARKS[totals.get(engine, Counts()).state] for engine in ALL_ENGINES],
        cards=(cards.done, cards.planned) if cards else None,
    )


def cause_of(report: Report) -> tuple[Message | None, Value]:
    """The heading on the page of the day of what went wrong, and the first names that are at fault, if any."""
    if report.faults:
        return message("What is wrong, and what to do"), report.faults[0].where
    failed = [group for group in report.missing if group.state == "failed"]
    if not failed:
        return None, ""
    down = {engine for engine, totals in report.engines.items() if not totals.done}
    if report.outcome is Outcome.QA_ENGINE_DOWN:
        down.add("qa")
    items = (
        Item(group.engine, name, group.card_type)
        for group in failed
        for name in group.targets
        if group.engine not in down or name in report.at_fault
    )
    return message("What failed, and what to do"), listed(names_of(items), FAILURES_NAMED)


def undone_of(nights: Sequence[Night], links: Links) -> Sequence[tuple[str, str | None, Message]]:
    """The nights before the latest one, of the latest `NIGHTS_LOOKED_AT`, whose work is not done: the day, the link to
    its page, and what is missing.
    """
    found = []
    for night in nights[1:NIGHTS_LOOKED_AT]:
        cards = night.report.cards.missing if night.report else 0
        missing = plural("1 card", "{count} cards", count=cards) if cards else night.outcome.about.label
        if night.outcome not in {Outcome.SUCCEEDED, Outcome.AT_WORK}:
            found.append((night.day, links.day(night.day) if night.report else None, missing))
    return found


@dataclass(frozen=True, slots=True)
class NextNight:
    """The night after the latest one: what the page shows if that has left nothing. Moments are seconds since 1970."""

    tick: int
    due: int
    """When its first try is over."""
    passed: Message
    """What is true from its tick on, and is shown too where no script can tell whether that has come."""
    late: Headline
    """The warning once it is due."""


def next_night_of(nights: Nights, links: Links, days: Days, deadline: float | None) -> NextNight | None:
    """The night after the latest; `None` without a schedule or a night. `deadline` is that of a start, in seconds."""
    tick, start = nights.next_tick(days), nights.latest_start
    if tick is None:
        return None
    passed = template("If {time} {zone} has passed, that night has left nothing here.")
    return NextNight(
        tick=int(tick.timestamp()),
        due=int(tick.timestamp() + (deadline or DUE_SECONDS)),
        passed=message(passed, time=dated_time(tick), zone=zone_of(tick)),
        late=Headline(
            "warn",
            nothing_since(tick),
            day=None,
            job=job_of(start),
            steps=late_steps(start, links.runs_uri, days, tick),
            bookmark=links.bookmark,
            executions=None if start is None else executions_link(start),
        ),
    )


def charts_of(nights: Sequence[Night]) -> Sequence[Chart]:
    """The charts of the nights, which are the newest first. That of the data phase has the nights that completed it."""
    nights = nights[::-1]
    reports = [night.report for night in nights if night.report]
    found = []
    if most := max((one.cards.planned for one in reports), default=0):
        note = message("{count} at most", count=most)
        found.append(_chart(message("Cards"), note, nights, lambda one, left: _cards(one, left, most)))
    if seconds := [took for one in reports if (took := _data_seconds(one)) is not None]:
        note = message("median {median}", median=duration(statistics.median(seconds)))
        longest = max(seconds)
        found.append(_chart(message("Data phase"), note, nights, lambda one, left: _data_phase(one, left, longest)))
    return found


def _cards(report: Report, left: float, most: int) -> Bar | None:
    cards = report.cards
    missing = max(cards.missing / most * TALL, LEAST) if cards.missing else 0.0
    wanted = cards.planned - cards.left_out
    return Bar(left, wanted / most * TALL - missing, missing) if wanted else None


def _data_phase(report: Report, left: float, longest: float) -> Bar | None:
    seconds = _data_seconds(report)
    return None if seconds is None else Bar(left, seconds / longest * TALL)


def _data_seconds(report: Report) -> float | None:
    """How long the data phase took; `None` if data is missing, or if nothing was called for it."""
    missing = any(report.engines[engine].missing for engine in DATA_ENGINES if engine in report.engines)
    return None if missing else report.phases.get("data")


def _chart(title: Message, note: Message, nights: Sequence[Night], bar: Callable[[Report, float], Bar | None]) -> Chart:
    step = WIDTH / max(len(nights), LEAST_BARS)
    bars = (bar(night.report, place * step) for place, night in enumerate(nights) if night.report is not None)
    dates = list(dict.fromkeys(night.day[5:] for night in (nights[0], nights[-1])))
    return Chart(title, note, [one for one in bars if one is not None], step * 0.8, dates, step * (len(nights) - 0.2))

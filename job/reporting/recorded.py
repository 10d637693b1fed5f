"""Recorded runs as tables for a terminal."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.table import Table

from job.engines.catalog import ALL_ENGINES
from job.records.format import AT_WORK, KILLED
from job.records.history import PastRun
from job.records.nights import Night, Nights
from job.records.overview import (
    MARKS,
    NO_SUMMARY,
    EngineState,
    by_day,
    day_of,
    done_line,
    more_often_line,
    most_often,
    period_line,
    state_of,
)
from job.records.summary import PHASES
from job.reporting.screen import Screen
from job.text.display import zone_of
from job.text.messages import ENGLISH, Message, Translator, duration, message, plural


def runs_table(runs: Sequence[PastRun], translator: Translator = ENGLISH) -> str:
    """A table of recorded runs. Ids are in the last column and never shortened, so that they can be copied."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    screen = Screen(translator, width=1000)  # the terminal wraps long lines
    for heading in (message("date"), message("started"), message("outcome")):
        table.add_column(screen.shown(heading), no_wrap=True)
    for heading in (message("took"), message("attempt")):
        table.add_column(screen.shown(heading), no_wrap=True, justify="right")
    table.add_column(screen.shown(message("run")), no_wrap=True)
    zone = runs[0].started.tzinfo if runs else UTC
    for past in runs:
        took = "" if past.seconds is None else screen.shown(_roughly(past.seconds))
        colour = {"succeeded": "green", AT_WORK: "yellow"}.get(past.outcome, "red")
        words = message(past.outcome)
        started = _time(past.started.astimezone(zone), past.day)
        outcome = f"[{colour}]{screen.shown(words)}[/]"
        table.add_row(past.day or "?", started, outcome, took, str(past.attempts or ""), past.run_id)
    with screen.capture() as captured:
        screen.print(table)
        if any(past.outcome in {AT_WORK, KILLED} for past in runs):
            note = message("at work or killed: judged by the lease, which a run at work renews every few seconds")
            screen.print_line(note)
        if runs:
            screen.print_line(message("all times {zone}", zone=zone_of(runs[0].started)))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _time(started: datetime, day: str | None) -> str:
    """The time of day, with the date if that is not the day of the run."""
    return f"{started:%H:%M}" if f"{started:%Y-%m-%d}" == day else f"{started:%m-%d %H:%M}"


def _roughly(seconds: float) -> Message:
    if seconds < 60:
        return message("{seconds} s", seconds=f"{seconds:.0f}")
    return message("{minutes} min", minutes=f"{seconds / 60:.0f}")


_COLOURS: Mapping[EngineState, str] = {"good": "green", "warn": "yellow", "bad": "red", "none": "default"}


def nights_table(nights: Nights, translator: Translator = ENGLISH) -> str:
    """A table of the latest runs, grouped by date; then what failed most often."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    screen = Screen(translator, width=1000)
    for heading in (message("date"), message("started"), message("outcome"), *ALL_ENGINES):
        table.add_column(screen.shown(heading), no_wrap=True)
    for heading in (message("cards"), message("data phase"), message("card phase")):
        table.add_column(screen.shown(heading), no_wrap=True, justify="right")
    table.add_column(screen.shown(message("run")), no_wrap=True)
    for day, some in by_day(nights):
        for place, night in enumerate(some):
            table.add_row("" if place else day, *_night(night, screen))
    with screen.capture() as captured:
        screen.print(table)
        period, done = period_line(nights), done_line(nights)
        screen.print_line(message("{period}; {done} (all times {zone})", period=period, done=done, zone=nights.zone))
        often, more = most_often(nights.summaries)
        for item in often:
            text = plural(
                "{item}: failed on 1 night, on {last}",
                "{item}: failed on {count} nights, the last on {last}",
                count=item.nights,
                item=item.name,
                last=item.last,
            )
            screen.print_line(text)
        if more:
            screen.print_line(more_often_line(more))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _night(night: Night, screen: Screen) -> list[str]:
    summary, started = night.summary, _time(night.started, day_of(night))
    if summary is None:
        words = message(night.state or NO_SUMMARY)
        return [started, screen.shown(words), *[""] * (len(ALL_ENGINES) + 3), night.run_id]
    colour, outcome = "green" if summary.outcome == "succeeded" else "red", message(summary.outcome)
    states = [state_of(summary.engines.get(engine)) for engine in ALL_ENGINES]
    cards = f"{summary.cards.generated:,}/{summary.cards.planned:,}" if summary.cards.planned else ""
    phases = [summary.phases.get(phase) for phase in PHASES]
    return [
        started,
        f"[{colour}]{screen.shown(outcome)}[/]",
        *(f"[{_COLOURS[state]}]{MARKS[state]}[/]" for state in states),
        cards,
        *("" if seconds is None else screen.shown(duration(seconds)) for seconds in phases),
        summary.run_id,
    ]

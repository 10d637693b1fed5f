"""Recorded runs on a terminal, a line each."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from job.engines.catalog import ALL_ENGINES
from job.messages import message, plural
from job.records.history import AT_WORK, KILLED, PastRun
from job.records.nights import Night, Nights
from job.records.overview import MARKS, EngineState, by_day, done_line, most_often, period_line, state_of
from job.records.summary import PHASES
from job.text import duration, printable


def runs_table(runs: Sequence[PastRun]) -> str:
    """Recorded runs, a line each. Ids are last and whole: they are what is copied."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    for heading in ("date", "started", "outcome"):
        table.add_column(heading, no_wrap=True)
    for heading in ("took", "attempt"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("run", no_wrap=True)
    for past in runs:
        took = "" if past.seconds is None else _roughly(past.seconds)
        colour = {"succeeded": "green", AT_WORK: "yellow"}.get(past.outcome, "red")
        outcome = f"[{colour}]{past.outcome}[/]"
        table.add_row(past.day or "?", _started(past), outcome, took, str(past.attempts or ""), past.run_id)
    console = Console(highlight=False, emoji=False, width=1000)  # a longer line is for the terminal to wrap
    with console.capture() as captured:
        console.print(table)
        if any(past.outcome in {AT_WORK, KILLED} for past in runs):
            note = message("at work, killed: as far as the lease tells, which a run at work renews every few seconds")
            console.print(str(note))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _started(past: PastRun) -> str:
    """When a run started: its time of day, and the date if that is not the one that the run is for."""
    pattern = "%H:%M" if f"{past.started:%Y-%m-%d}" == past.day else "%m-%d %H:%M"
    return f"{past.started:{pattern}}"


def _roughly(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"


_COLOURS: Mapping[EngineState, str] = {"good": "green", "warn": "yellow", "bad": "red", "none": "default"}


def nights_table(nights: Nights) -> str:
    """The latest runs, a line each and those of a date together; then what failed most often."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    for heading in ("date", "started", "outcome", *ALL_ENGINES):
        table.add_column(heading, no_wrap=True)
    for heading in ("cards", "data phase", "card phase"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("run", no_wrap=True)
    for day, some in by_day(nights):
        for place, night in enumerate(some):
            table.add_row("" if place else day, *_night(night))
    console = Console(highlight=False, emoji=False, width=1000)
    with console.capture() as captured:
        console.print(table)
        console.print(f"{period_line(nights)}; {done_line(nights)}")
        for item in most_often(nights.summaries):
            text = plural(
                "{item}: failed on 1 night, on {last}",
                "{item}: failed on {count} nights, the last on {last}",
                count=item.nights,
                item=item.name,
                last=item.last,
            )
            console.print(escape(printable(text)))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _night(night: Night) -> list[str]:
    summary = night.summary
    if summary is None:
        return [f"{night.started:%H:%M} UTC", "not closed", *[""] * (len(ALL_ENGINES) + 3), night.run_id]
    colour = "green" if summary.outcome == "succeeded" else "red"
    states = [state_of(summary.engines.get(engine)) for engine in ALL_ENGINES]
    cards = f"{summary.cards.generated:,}/{summary.cards.planned:,}" if summary.cards.planned else ""
    phases = [summary.phases.get(phase) for phase in PHASES]
    return [
        f"{datetime.fromisoformat(summary.started):%H:%M}",
        f"[{colour}]{summary.outcome}[/]",
        *(f"[{_COLOURS[state]}]{MARKS[state]}[/]" for state in states),
        cards,
        *("" if seconds is None else duration(seconds) for seconds in phases),
        summary.run_id,
    ]

"""Screen: a console that prints messages in one language, and the tables that are printed on it.

It interprets no markup or control characters in what it prints.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import IO, Literal

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from job.engines.catalog import ALL_ENGINES, EngineName
from job.ledger.totals import EngineTotals
from job.records.past import Past, PastRun
from job.report.outcome import Outcome
from job.report.summary import MARKS, PHASES, EngineState, more_often_line, most_often, state_of
from job.text.display import printable, zone_of
from job.text.messages import ENGLISH, Message, Translator, duration, message, plural, template

Mark = Literal["✗", "!", " "]
"""Before a line: a failure, a warning, or more about the line before."""
_COLOURS: Mapping[Mark, str] = {"✗": "red", "!": "yellow", " ": "default"}


class Screen(Console):
    """A console of rich for messages."""

    def __init__(self, translator: Translator, file: IO[str] | None = None, width: int | None = None) -> None:
        # Without emoji, rich does not replace `:100:` in an id or an answer.
        super().__init__(file=file, width=width, highlight=False, emoji=False)
        self.translator = translator

    def shown(self, text: object) -> str:
        """The translated text with control characters and rich's markup escaped."""
        return escape(printable(self.translator.text(text)))

    def print_line(self, text: object, mark: Mark | None = None, style: str | None = None) -> None:
        """Prints a line, after its mark if it has one."""
        before = "" if mark is None else f"[{_COLOURS[mark]}]{mark}[/] "
        self.print(before + self.shown(text), style=style, soft_wrap=True)


_WIDEST = 1000
_DROPPED = ((), ("p50", "p95"), ("p50", "p95", "retries"), ("p50", "p95", "retries", "calls"))
"""The columns that are left out, step by step, until the table fits the terminal."""


def print_table(screen: Screen, engines: Mapping[EngineName, EngineTotals]) -> None:
    """Prints a row for each engine, with as many columns as fit; if not even the totals fit, a line for each engine."""
    for dropped in _DROPPED:
        table = _table(engines, dropped, screen)
        if Measurement.get(screen, screen.options.update(max_width=_WIDEST), table).maximum <= screen.width:
            screen.print(table)
            return
    for name, engine in engines.items():
        text = message(
            "{engine}: {done} done, {failed} failed, {cut_off} cut off, {not_attempted} not attempted",
            engine=name,
            done=engine.done + engine.skipped,
            failed=engine.failed - engine.cut_off,
            cut_off=engine.cut_off,
            not_attempted=engine.not_attempted,
        )
        screen.print_line(text)


def _table(engines: Mapping[EngineName, EngineTotals], dropped: Sequence[str], screen: Screen) -> Table:
    table = Table(box=None, padding=(0, 1), collapse_padding=True, pad_edge=False, header_style="bold")
    table.add_column(screen.shown(message("engine")), no_wrap=True)
    columns: dict[str, list[str]] = {}

    def add(heading: Message, value: str) -> None:
        if heading.id not in dropped:
            columns.setdefault(screen.shown(heading), []).append(value)

    is_cut_off = any(engine.cut_off for engine in engines.values())
    for engine in engines.values():
        add(message("calls"), f"{engine.calls:,}")
        add(message("retries"), f"{engine.retries:,}")
        add(message("done"), f"{engine.done + engine.skipped:,}")
        add(message("failed"), f"{engine.failed - engine.cut_off:,}")
        if is_cut_off:
            add(message("cut off"), f"{engine.cut_off:,}")
        add(message("not attempted"), f"{engine.not_attempted:,}")
        for heading, value in ((message("p50"), engine.p50_seconds), (message("p95"), engine.p95_seconds)):
            add(heading, "-" if value is None else screen.shown(message("{seconds} s", seconds=f"{value:,.2f}")))
    for shown in columns:
        table.add_column(shown, justify="right", no_wrap=True)
    for name, *values in zip(engines, *columns.values(), strict=True):
        table.add_row(name, *values)
    return table


def runs_table(runs: Sequence[PastRun], translator: Translator = ENGLISH) -> str:
    """A table of recorded runs. Ids are in the last column and never shortened, so that they can be copied."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    screen = Screen(translator, width=1000)  # the terminal wraps long lines
    for heading in (message("date"), message("started"), message("outcome")):
        table.add_column(screen.shown(heading), no_wrap=True)
    for heading in (message("took"), message("attempt")):
        table.add_column(screen.shown(heading), no_wrap=True, justify="right")
    table.add_column(screen.shown(message("run")), no_wrap=True)
    for past in runs:
        took = "" if past.seconds is None else screen.shown(_roughly(past.seconds))
        colour, words = _colour(past), past.word
        started = _time(past.started, past.day)
        outcome = f"[{colour}]{screen.shown(words)}[/]"
        table.add_row(past.day or "?", started, outcome, took, str(past.attempts or ""), past.run_id)
    with screen.capture() as captured:
        screen.print(table)
        if any(past.outcome in {Outcome.AT_WORK, Outcome.KILLED} for past in runs):
            note = message("at work or killed: judged by the lease, which a run at work renews every 15 seconds")
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


_STATE_COLOURS: Mapping[EngineState, str] = {"good": "green", "warn": "yellow", "bad": "red", "none": "default"}


def nights_table(past: Past, translator: Translator = ENGLISH) -> str:
    """A table of the latest runs, grouped by date; then what failed most often."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    screen = Screen(translator, width=1000)
    for heading in (message("date"), message("started"), message("outcome"), *ALL_ENGINES):
        table.add_column(screen.shown(heading), no_wrap=True)
    for heading in (message("cards"), message("data phase"), message("card phase")):
        table.add_column(screen.shown(heading), no_wrap=True, justify="right")
    table.add_column(screen.shown(message("run")), no_wrap=True)
    for day, runs in past.by_day():
        for place, run in enumerate(runs):
            table.add_row("" if place else day, *_night(run, screen))
    with screen.capture() as captured:
        screen.print(table)
        period, done = past.period_line(), past.done_line()
        screen.print_line(message("{period}; {done} (all times {zone})", period=period, done=done, zone=past.zone))
        often, more = most_often(past.summaries)
        repeated = [item for item in often if item.nights > 1]
        for item in repeated:
            text = template("{item}: failed on {count} nights, the last on {last}")
            screen.print_line(message(text, count=item.nights, item=item.name, last=item.last))
        if once := len(often) - len(repeated):
            screen.print_line(
                plural(
                    "1 item failed on one night only: the page of its run names it.",
                    "{count} items failed on one night only: the page of each run names what failed.",
                    once + more,
                )
            )
        elif more:
            screen.print_line(more_often_line(more))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _night(run: PastRun, screen: Screen) -> list[str]:
    summary, started = run.summary, _time(run.started, run.shown_day)
    outcome = f"[{_colour(run)}]{screen.shown(run.word)}[/]"
    if summary is None:
        return [started, outcome, *[""] * (len(ALL_ENGINES) + 3), run.run_id]
    states = [state_of(summary.engines.get(engine)) for engine in ALL_ENGINES]
    cards = f"{summary.cards.made:,}/{summary.cards.planned:,}" if summary.cards.planned else ""
    phases = [summary.phases.get(phase) for phase in PHASES]
    return [
        started,
        outcome,
        *(f"[{_STATE_COLOURS[state]}]{MARKS[state]}[/]" for state in states),
        cards,
        *("" if seconds is None else screen.shown(duration(seconds)) for seconds in phases),
        run.run_id,
    ]


def _colour(run: PastRun) -> str:
    if run.is_done:
        return "green"
    return "yellow" if run.outcome is Outcome.AT_WORK else "red"

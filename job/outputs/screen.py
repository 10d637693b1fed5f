"""Screen: a console that prints messages in one language, and the tables that are printed on it.

It interprets no markup or control characters in what it prints.
"""

from collections.abc import Mapping
from typing import IO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from job.day.comparison import usual_line
from job.day.counts import Counts, EngineState
from job.day.outcome import Mark
from job.engines.catalog import ALL_ENGINES, EngineName
from job.records.nights import Nights, done_at
from job.text.display import printable
from job.text.messages import ENGLISH, Translator, message

_COLOURS: Mapping[Mark, str] = {"✓": "green", "✗": "red", "!": "yellow", " ": "default"}


class Screen(Console):
    """A console of rich for messages."""

    def __init__(self, translator: Translator, file: IO[str] | None = None, width: int | None = None) -> None:
        # Without emoji, rich does not replace `:100:` in an id or an answer.
        super().__init__(file=file, width=width, highlight=False, emoji=False)
        self.translator = translator

    def shown(self, text: object) -> str:
        """The translated text with control characters and rich's markup escaped."""
        return escape(printable(self.translator.text(text)))

    def print_line(self, text: object, mark: Mark = "", style: str | None = None) -> None:
        """Prints a line, after its mark if it has one."""
        before = f"[{_COLOURS[mark]}]{mark}[/] " if mark else ""
        self.print(before + self.shown(text), style=style, soft_wrap=True)


def print_table(screen: Screen, engines: Mapping[EngineName, Counts]) -> None:
    """Prints a row for each engine."""
    table = Table(box=None, padding=(0, 1), collapse_padding=True, pad_edge=False, header_style="bold")
    table.add_column(screen.shown(message("Engine")), no_wrap=True)
    for heading in (message("done"), message("failed"), message("not reached")):
        table.add_column(screen.shown(heading), justify="right", no_wrap=True)
    for name, engine in engines.items():
        table.add_row(name, f"{engine.done:,}", f"{engine.failed - engine.cut_off:,}", f"{engine.not_reached:,}")
    screen.print(table)


_MARKS: Mapping[EngineState, str] = {
    "good": "[green]✓[/]",
    "odd": "[yellow]![/]",
    "warn": "[yellow]–[/]",
    "bad": "[red]✗[/]",
    "none": "·",
}


def nights_table(nights: Nights, translator: Translator = ENGLISH) -> str:
    """A table of the latest days; then when they are usually done."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    screen = Screen(translator, width=1000)  # the terminal wraps long lines
    for heading in (message("Day"), message("Done at"), *ALL_ENGINES):
        table.add_column(screen.shown(heading), no_wrap=True)
    table.add_column(screen.shown(message("Cards")), no_wrap=True, justify="right")
    for night in nights.nights:
        report = night.report
        engines = report.engines if report else {}
        states = [_MARKS[engines.get(engine, Counts()).state] for engine in ALL_ENGINES]
        cards = f"{report.cards.done:,}/{report.cards.planned:,}" if report and report.cards.planned else ""
        colour = {"good": "green", "warn": "yellow", "bad": "red"}[night.severity]
        table.add_row(night.day, f"[{colour}]{screen.shown(done_at(night))}[/]", *states, cards)
    with screen.capture() as captured:
        if nights.nights:
            screen.print(table)
        screen.print_line(nights.period)
        if (usual := usual_line(nights.reports)) is not None:
            screen.print_line(usual)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())

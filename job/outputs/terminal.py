"""Terminal: a start as text for a person, with progress bars; also recorded days, and the table of nights.

Messages are printed in one language. No markup or control characters are interpreted in what is printed.
"""

import time
from collections.abc import Iterable, Mapping
from io import TextIOBase

import trio
from rich.console import Console, Group
from rich.live import Live as LiveDisplay
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from job.day.history import Nights
from job.execution.progress import Progress
from job.outputs.log import LogLine, LogSeverity, elapsed_time
from job.outputs.stdout import OutputQueue, QueuedText
from job.telling.lines import SIGNS, Line, Mark
from job.telling.nights import NO_NIGHT, done_at, marks_of
from job.telling.sentence import when
from job.telling.view import View, day_lines
from job.text.messages import ENGLISH, Translator, colon, message, template
from job.text.shown import printable

_COLOURS = {"✓": "green", "✗": "red", "!": "yellow", "–": "yellow"}


class Screen(Console):
    def __init__(self, translator: Translator, file: TextIOBase | None = None, width: int | None = None) -> None:
        # Without emoji, rich does not replace `:100:` in an id or an answer.
        super().__init__(file=file, width=width, highlight=False, emoji=False)  # type: ignore[arg-type]
        self.translator = translator

    def shown(self, text: object) -> str:
        """The translated text with control characters and rich's markup escaped."""
        return escape(printable(self.translator.text(text)))

    def print_line(self, text: object, mark: Mark = "", style: str | None = None) -> None:
        before = f"{_marked(mark)} " if mark else ""
        self.print(before + self.shown(text), style=style, soft_wrap=True)


def _marked(mark: str) -> str:
    return f"[{_COLOURS[mark]}]{mark}[/]" if mark in _COLOURS else mark


def nights_table(nights: Nights, translator: Translator = ENGLISH) -> str:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    screen = Screen(translator, width=1000)  # the terminal wraps long lines
    for heading in (message("Day"), message("Done at"), *nights.engines):
        table.add_column(screen.shown(heading), no_wrap=True)
    table.add_column(screen.shown(message("Cards")), no_wrap=True, justify="right")
    for night in nights.nights:
        report = night.report
        marks = [_marked(mark) for _, mark in marks_of(report, nights.engines)]
        cards = f"{report.cards.done:,}/{report.cards.planned:,}" if report and report.cards.planned else ""
        colour = _COLOURS[SIGNS[night.severity]]
        table.add_row(night.day, f"[{colour}]{screen.shown(done_at(night))}[/]", *marks, cards)
    with screen.capture() as captured:
        if nights.nights:
            screen.print(table)
        else:
            screen.print_line(NO_NIGHT)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


_MARKS: Mapping[LogSeverity, Mark] = {"ERROR": "✗", "WARNING": "!", "NOTICE": "!"}


class Terminal:
    """Draws the progress a few times a second, and prints failures when they happen.

    If its output is a file or a pipe, it prints a line about the progress each minute instead, and uses no colours.
    A stopped terminal (Ctrl-S) does not delay the run.
    """

    def __init__(self, translator: Translator = ENGLISH) -> None:
        self.output = OutputQueue()
        self._screen = Screen(translator, QueuedText(self.output))
        self._bars: LiveDisplay | None = None

    def write(self, line: LogLine) -> None:
        """Prints what is shown of an event, but no progress that the bars show."""
        if line.shown is not None and not (line.event == "run.progress" and self._bars):
            style = "bold" if line.event == "run.started" else None
            self._screen.print_line(line.shown, _MARKS.get(line.severity, ""), style)

    def begin(self, progress: Progress) -> None:
        """Draws the bars, if this is a terminal."""
        if self._screen.is_terminal:
            offset = trio.current_time() - time.monotonic()
            # Standard output is not redirected, since nothing else writes to it.
            self._bars = LiveDisplay(
                get_renderable=lambda: Group(
                    _bars(progress, self._screen), self._screen.shown(elapsed_time(progress, time.monotonic() + offset))
                ),
                console=self._screen,
                refresh_per_second=8,
                redirect_stdout=False,
            )
            self._bars.start()

    def end(self, view: View) -> None:
        """Prints the failures by cause, what to do next, and how the start ended."""
        if self._bars is not None:
            self._bars.stop()
        _print_view(self._screen, view, (line for line in day_lines(view) if not line.is_of_config))


def as_text(view: View, translator: Translator = ENGLISH) -> str:
    """A recorded day as text, as its terminal showed it at its end; first what is at work, if anything is."""
    screen = Screen(translator)
    with screen.capture() as captured:
        at = when(view.report)
        screen.print_line(view.report.day if at is None else colon(view.report.day, at), style="bold")
        _print_view(screen, view, day_lines(view))
    return captured.get().rstrip("\n")


def _print_view(screen: Screen, view: View, lines: Iterable[Line]) -> None:
    screen.print_line(view.outcome, style=_COLOURS[SIGNS[view.severity]])
    for line in lines:
        screen.print_line(line.text, line.mark)
        if line.below is not None:
            screen.print_line(f"  {line.below}")


def _bars(progress: Progress, screen: Screen) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, engine in progress.engines.items():
        counts = progress.ledger.counts(name)
        planned, made = counts.planned - counts.left_out, counts.done
        in_flight = message("{count} of {limit} in flight", count=engine.in_flight, limit=engine.limit)
        table.add_row(
            name,
            ProgressBar(total=planned, completed=made + engine.counts.failed, width=30),
            screen.shown(message("{done}/{planned} done", done=made, planned=planned)),
            _counted(template("{count} failed"), engine.counts.failed, "red", screen),
            _counted(template("{count} retried"), engine.counts.retries, "yellow", screen),
            screen.shown(in_flight) if engine.in_flight else "",
        )
    return table


def _counted(template: str, count: int, colour: str, screen: Screen) -> str:
    shown = screen.shown(message(template, count=count))
    return f"[{colour}]{shown}[/]" if count else shown

"""Terminal: a start as text for a person, with progress bars on a terminal. Also prints recorded days."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

import trio
from rich.console import Group
from rich.live import Live as LiveDisplay
from rich.progress_bar import ProgressBar
from rich.table import Table

from job.execution.progress import Progress
from job.ledger.ledger import SetAside
from job.output.reporter import LogLine, LogSeverity, time_status
from job.output.screen import Mark, Screen, print_table
from job.output.stdout import OutputQueue, queued_text
from job.report.advice import Step
from job.report.cards import complete_line
from job.report.failures import FailureGroup, failure_groups, not_reached
from job.report.report import Report
from job.report.view import View
from job.text.display import clock, shortened
from job.text.messages import ENGLISH, Message, Translator, colon, listed, message, plural, said

SHOWN_LIMIT = 500
_MARKS: Mapping[LogSeverity, Mark] = {"ERROR": "✗", "WARNING": "!", "NOTICE": "!"}


class Terminal:
    """Draws the progress a few times a second, and prints failures when they happen.

    If its output is a file or a pipe, it prints a line about the progress each minute instead, and uses no colours.
    A stopped terminal (Ctrl-S) does not delay the run: the bars are not drawn until it has caught up, and while 8 MiB
    wait for it, failures and warnings of single calls are counted and not printed.
    """

    def __init__(self, translator: Translator = ENGLISH) -> None:
        self.translator, self.output = translator, OutputQueue()
        self._screen = Screen(translator, queued_text(self.output))
        self._bars: LiveDisplay | None = None

    def write(self, line: LogLine) -> None:
        """Prints what is shown of an event, but no progress that the bars show."""
        is_shown = line.shown is not None and not (line.event == "run.progress" and self._bars)
        if is_shown and (not line.may_be_dropped or self.output.has_room()):
            style = "bold" if line.event == "run.started" else None
            self._screen.print_line(line.shown, _MARKS.get(line.severity), style)

    def begin(self, progress: Progress) -> None:
        """Draws the bars, if this is a terminal."""
        if self._screen.is_terminal:
            offset = trio.current_time() - time.monotonic()
            self._bars = _Bars(progress, self._screen, self.output, lambda: time.monotonic() + offset)
            self._bars.start()

    def end(self, view: View) -> None:
        """Prints the totals, the failures by cause, what to do next, and how the start ended."""
        if self._bars is not None:
            self._bars.stop()
        if self.output.dropped:
            text = plural(
                "1 call that failed or has a warning was not shown when it ended: the terminal had stopped",
                "{count} calls that failed or have a warning were not shown when they ended: the terminal had stopped",
                count=self.output.dropped,
            )
            self._screen.print_line(text, "!")
        _print_view(self._screen, view)


class _Bars(LiveDisplay):
    """The progress bars. They are not drawn while the terminal is behind, since it would show old states."""

    def __init__(self, progress: Progress, screen: Screen, output: OutputQueue, clock: Callable[[], float]) -> None:
        """`clock` returns trio's time in any thread."""
        self._output = output
        # Standard output is not redirected, since nothing else writes to it.
        super().__init__(
            get_renderable=lambda: Group(_bars(progress, screen), screen.shown(time_status(progress, clock()))),
            console=screen,
            refresh_per_second=8,
            redirect_stdout=False,
        )

    def refresh(self) -> None:
        # When they are stopped, they are drawn a last time in any case.
        if not (self.is_started and self._output.is_behind):
            super().refresh()


def as_text(view: View, translator: Translator = ENGLISH) -> str:
    """A recorded day as text, as its terminal showed it at its end."""
    screen, report = Screen(translator), view.report
    with screen.capture() as captured:
        screen.print_line(_head(report), style="bold")
        for fault in report.faults:
            screen.print_line(fault.sentence, "✗")
        if report.faults_not_listed:
            screen.print_line(message("and {count} more", count=report.faults_not_listed))
        _print_view(screen, view)
    return captured.get().rstrip("\n")


def _print_view(screen: Screen, view: View) -> None:
    report = view.report
    if any(engine.calls for engine in report.engines.values()):
        print_table(screen, report.engines)
    for mark, line in _lines(view, screen.translator):
        screen.print_line(line, mark)
    if report.detail is not None and not failure_groups(view.ledger):  # else the answers are above
        screen.print_line(report.detail, style=_colour(view))
    sentence = report.sentence
    if report.exit_code is not None:
        sentence = message("{sentence} (exit code {code})", sentence=sentence, code=report.exit_code)
    screen.print_line(sentence, style=_colour(view))


def _lines(view: View, translator: Translator) -> Iterator[tuple[Mark | None, Message]]:
    """All that is known of a day, but for its totals and the sentence."""
    report = view.report
    if (complete := complete_line(view.ledger)) is not None:
        yield None, complete
    groups = failure_groups(view.ledger)
    yield from failure_lines(groups, report.set_aside, translator)
    if groups and (counts := not_reached(view.ledger)) is not None:
        yield None, message("Not reached because of this, with nothing to put right: {counts}", counts=counts)
    yield from (("!", line) for line in (*report.notes, *view.ledger.first_errors, *view.comparison))
    if groups:
        yield None, colon(message("trace id"), report.trace_id)
    if view.page is not None:
        yield None, message("Page: {page}", page=view.page)
    yield from ((None, line) for line in step_lines(view.steps))


def step_lines(steps: Iterable[Step]) -> Iterator[Message]:
    """What to do, and the commands for it; those for later are left out, as what is printed is read now."""
    for step in steps:
        if step.kind != "later":
            yield step.sentence
            if step.command is not None:
                yield said(f"  {step.command.text}")


def failure_lines(
    groups: Iterable[FailureGroup], set_aside: Iterable[SetAside] = (), translator: Translator = ENGLISH
) -> Iterator[tuple[Mark, Message]]:
    """For each group: what failed, the last answers and what to do. Then each card type that was set aside.

    Answers are translated before they are shortened.
    """
    for group in groups:
        if group.names:
            yield "✗", colon(group.heading, listed(group.names))
        else:
            yield "✗", group.heading
        for answer in group.answers:
            yield " ", message("Last answer: {answer}", answer=shortened(translator.text(answer), SHOWN_LIMIT))
        yield " ", colon(message("What to do"), group.what_to_do)
    for one in set_aside:
        yield "✗", one.reason


def _colour(view: View) -> str:
    severity = view.report.severity
    if severity == "good":
        return "green" if view.unrecorded is None else "yellow"
    return "red" if severity == "bad" else "yellow"


def _head(report: Report) -> Message:
    started = clock(datetime.fromisoformat(report.started), report.day)
    if report.ended is None:
        return message("{day}, started {started}", day=report.day, started=started)
    ended = clock(datetime.fromisoformat(report.ended), report.day)
    return message("{day}: started {started}, ended {ended}", day=report.day, started=started, ended=ended)


def _bars(progress: Progress, screen: Screen) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, gauge in progress.gauges.items():
        counts = progress.ledger.counts(name)
        planned, made = counts.planned - counts.left_out, counts.done
        in_flight = message("none in flight")
        if gauge.in_flight:
            in_flight = message("{count} of {limit} in flight", count=gauge.in_flight, limit=gauge.limit)
        table.add_row(
            name,
            ProgressBar(total=planned, completed=made + gauge.counts.failed, width=30),
            screen.shown(message("{done}/{planned} done", done=made, planned=planned)),
            _coloured(message("{count} failed", count=gauge.counts.failed), "red", screen),
            _coloured(message("{count} retried", count=gauge.counts.retries), "yellow", screen),
            screen.shown(in_flight),
        )
    return table


def _coloured(text: Message, colour: str, screen: Screen) -> str:
    shown = screen.shown(text)
    return f"[{colour}]{shown}[/]" if text.values.get("count") else shown

"""The terminal reporter: a bar for each engine of a run that somebody watches, then a table. Also for recorded runs."""

from collections.abc import Iterable, Mapping
from typing import IO

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from job.config.faults import Fault
from job.engines.catalog import EngineName
from job.execution.events import CallFinished, Event
from job.execution.outcome import Outcome
from job.execution.progress import EngineTotals, RunProgress
from job.identity import RunIdentity
from job.messages import Message, message, plural
from job.records.history import RecordedRun
from job.records.report import UNFINISHED, RunReport
from job.reporting.stdout import OutputQueue, queued_text
from job.text import duration, listed, printable, shortened

FAILURES_SHOWN = 50
"""Failures at the end; the rest is counted."""
REASON_LIMIT = 500


class TerminalReporter:
    """Draws the progress a few times a second, and prints what fails as it fails.

    A terminal that takes nothing (Ctrl-S) never stops the run: it is not drawn on until it has caught up, and while
    8 MiB wait for it, the failures of single calls are not printed but counted.
    """

    def __init__(self, run: RunIdentity) -> None:
        self._run = run
        self._output = OutputQueue()
        self._dropped = 0
        self._console = _console(queued_text(self._output))
        self._live: Live | None = None

    def on_faults(self, faults: Iterable[Fault]) -> None:
        """The configuration has faults; nothing will be called."""
        for fault in faults:
            self._print("[red]✗[/]", fault)

    def on_notices(self, notices: Iterable[Message]) -> None:
        """What the user may not have meant, though it can be done."""
        for notice in notices:
            self._print("[yellow]![/]", notice)

    def on_start(self, date: str | None, progress: RunProgress) -> None:
        """The run is about to call the data engines."""
        cards = progress.cards.planned
        head = plural("run {run}: 1 card", "run {run}: {count} cards", count=cards, run=self._run.id)
        if date:
            head = plural(
                "run {run} for {date}: 1 card",
                "run {run} for {date}: {count} cards",
                count=cards,
                run=self._run.id,
                date=date,
            )
        self._console.print(f"[bold]{_shown(head)}[/]", soft_wrap=True)
        self._live = _Bars(progress, self._console, self._output)
        self._live.start()

    def on_storage(self, text: Message, is_fault: bool) -> None:
        """Storage fails, or works again."""
        self._console.print(f"[{'red' if is_fault else 'green'}]{_shown(text)}[/]", soft_wrap=True)

    def on_barrier(self, _: RunProgress) -> None:
        """All data is ready; the cards follow."""
        self._console.print(str(message("all data is ready; generating cards")))

    def on_event(self, event: Event) -> None:
        """Prints the calls that failed for good, and those with a warning."""
        if isinstance(event, CallFinished) and event.warning is not None:
            self._print("[yellow]![/]", f"{event.call.label}: {event.warning}")
        if isinstance(event, CallFinished) and event.failure is not None:
            if self._output.is_full:
                self._dropped += 1
                return
            mark = "[yellow]![/]" if event.failure.is_interruption else "[red]✗[/]"
            self._print(mark, f"{event.call.label}: {event.failure.reason}")

    def on_finish(self, outcome: Outcome, progress: RunProgress | None) -> None:
        """The table, what failed, and the outcome."""
        if self._live is not None:
            self._live.stop()
        if progress is not None:
            self._console.print(_table({name: engine.totals() for name, engine in progress.engines.items()}))
            for failure in progress.failures[:FAILURES_SHOWN]:
                self._print("[red]✗[/]", failure.summary)
            if len(progress.failures) > FAILURES_SHOWN:
                self._console.print(str(_more(len(progress.failures) - FAILURES_SHOWN)))
        if self._dropped:
            text = plural(
                "1 failed call was not shown when it failed: the terminal had stopped",
                "{count} failed calls were not shown when they failed: the terminal had stopped",
                count=self._dropped,
            )
            self._print("[yellow]![/]", text)
        colour = "green" if outcome.exit == 0 else "red"
        self._console.print(_ending(str(outcome.sentence), int(outcome.exit), colour), soft_wrap=True)

    async def drain(self, seconds: float) -> None:
        """Waits until the terminal has taken everything, for so many seconds at most."""
        await self._output.drain(seconds)

    def _print(self, mark: str, text: object) -> None:
        self._console.print(f"{mark} {_shown(text)}", soft_wrap=True)


class _Bars(Live):
    """The bars. A terminal that is behind is not drawn on: it would show the past."""

    def __init__(self, progress: RunProgress, console: Console, output: OutputQueue) -> None:
        self._output = output
        # It never redirects standard output: nothing else is written there.
        super().__init__(
            get_renderable=lambda: _bars(progress), console=console, refresh_per_second=8, redirect_stdout=False
        )

    def refresh(self) -> None:
        # The last time, when they are stopped, they are drawn in any case.
        if not (self.is_started and self._output.is_behind):
            super().refresh()


def as_text(recorded: RecordedRun, page: str | None) -> str:
    """A recorded run as its own terminal showed it, with what to do about each failure, and where its page is."""
    console = _console()
    with console.capture() as captured:
        _print_run(recorded, console)
        if page is not None:
            console.print(_shown(message("its page is {path}", path=page)), soft_wrap=True)
    return captured.get().rstrip("\n")


def _print_run(recorded: RecordedRun, console: Console) -> None:
    report = recorded.report
    console.print(f"[bold]{_shown(_head(report))}[/]", soft_wrap=True)
    if report.engines:
        console.print(_table(report.engines))
    calls = recorded.timeline.failures
    for call in calls[:FAILURES_SHOWN]:
        card = f" {call.card_type}" if call.card_type else ""
        line = plural(
            "{call}: {reason} (1 attempt). {remedy}",
            "{call}: {reason} ({count} attempts). {remedy}",
            count=call.attempts,
            call=f"{call.engine} {listed(call.targets)}{card}",
            reason=shortened(call.reason or "", REASON_LIMIT),
            remedy=call.remedy,
        )
        console.print(f"[red]✗[/] {_shown(line)}", soft_wrap=True)
    if len(calls) > FAILURES_SHOWN:
        console.print(str(_more(len(calls) - FAILURES_SHOWN)))
    colour = "green" if report.outcome == "succeeded" else "yellow" if report.outcome == UNFINISHED else "red"
    console.print(_ending(report.sentence, report.exit_code, colour), soft_wrap=True)


def _console(file: IO[str] | None = None) -> Console:
    # `:100:` in an id or an answer is no emoji.
    return Console(file=file, highlight=False, emoji=False)


def _shown(text: object) -> str:
    """Text from anywhere as it may be printed: neither the terminal nor rich finds anything in it to obey."""
    return escape(printable(text))


def _head(report: RunReport) -> Message:
    values = {"run": report.run_id, "day": report.day, "started": report.started}
    if report.seconds is None:
        return message("run {run} for {day}, started {started}", **values)
    took = duration(report.seconds)
    if report.continued:
        return message("run {run} for {day}, started {started}, the last attempt took {took}", took=took, **values)
    return message("run {run} for {day}, started {started}, took {took}", took=took, **values)


def _ending(sentence: str, code: int | None, colour: str) -> str:
    text = f"[{colour}]{_shown(sentence)}[/]"
    return text if code is None else f"{text} ({message('exit code {code}', code=code)})"


def _more(count: int) -> Message:
    return message("and {count} more", count=count)


def _bars(progress: RunProgress) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, engine in progress.engines.items():
        done, planned = engine.done + engine.skipped, engine.planned
        in_flight = message("none in flight")
        if engine.in_flight:
            in_flight = message("{count} of {limit} in flight", count=engine.in_flight, limit=engine.limit)
        table.add_row(
            name,
            ProgressBar(total=planned, completed=done + engine.failed, width=30),
            str(message("{done}/{planned} done", done=done, planned=planned)),
            _coloured(message("{count} failed", count=engine.failed), "red"),
            _coloured(message("{count} retried", count=engine.retries), "yellow"),
            str(in_flight),
        )
    return table


def _table(engines: Mapping[EngineName, EngineTotals]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column(str(message("engine")), no_wrap=True)
    headings = ("calls", "retries", "done", "failed", "not attempted", "p50", "p95")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, engine in engines.items():
        numbers = (engine.calls, engine.retries, engine.done + engine.skipped, engine.failed, engine.not_attempted)
        seconds = (engine.p50_seconds, engine.p95_seconds)
        table.add_row(name, *map(str, numbers), *("-" if value is None else f"{value:.2f} s" for value in seconds))
    return table


def _coloured(text: Message, colour: str) -> str:
    return f"[{colour}]{text}[/]" if text.values.get("count") else str(text)

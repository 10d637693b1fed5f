"""The view of a run that somebody watches: a bar for each engine, then one table."""

from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from job.config.faults import Fault
from job.engines.failures import Cause
from job.execution.events import CallFinished, Event, summary_of
from job.execution.outcome import Outcome
from job.execution.progress import EngineProgress, RunProgress
from job.identity import RunIdentity
from job.records.history import RecordedRun
from job.records.report import UNFINISHED, RunReport
from job.text import counted, duration, shortened

LISTED = 50
"""Failures at the end; the rest is counted."""


class TerminalReporter:
    """Draws what the ledger says, a few times a second, and prints what fails as it fails."""

    def __init__(self, run: RunIdentity, console: Console | None = None) -> None:
        self._run = run
        # `:100:` in an id or an answer is no emoji.
        self._console = console or Console(highlight=False, emoji=False)
        self._live: Live | None = None

    def on_faults(self, faults: Iterable[Fault]) -> None:
        """The configuration is at fault; nothing will be called."""
        for fault in faults:
            self._console.print(f"[red]✗[/] {escape(str(fault))}", soft_wrap=True)

    def on_notices(self, notices: Iterable[str]) -> None:
        """What the user may not have meant, though it can be done."""
        for notice in notices:
            self._console.print(f"[yellow]![/] {escape(notice)}", soft_wrap=True)

    def on_start(self, date: str | None, progress: RunProgress) -> None:
        """The run is about to call the data engines."""
        day = f" for {date}" if date else ""
        self._console.print(f"[bold]run {escape(self._run.id)}[/]{day}: {progress.cards.planned} cards", soft_wrap=True)
        # It never redirects standard output: nothing else is written there.
        self._live = Live(
            get_renderable=lambda: _bars(progress), console=self._console, refresh_per_second=8, redirect_stdout=False
        )
        self._live.start()

    def on_storage(self, text: str, wrong: bool) -> None:
        """Storage is in trouble, or works again."""
        self._console.print(f"[{'red' if wrong else 'green'}]{escape(text)}[/]", soft_wrap=True)

    def on_barrier(self, _: RunProgress) -> None:
        """All data are there; the cards follow."""
        self._console.print("all data are prepared; the cards follow")

    def on_event(self, event: Event) -> None:
        """Prints the calls that failed for good."""
        if isinstance(event, CallFinished) and event.failure is not None:
            mark = "[yellow]![/]" if event.failure.cause is Cause.INTERRUPTED else "[red]✗[/]"
            text = f"{event.call.label}: {event.failure.text}"
            self._console.print(f"{mark} {escape(text)}", soft_wrap=True)

    def on_finish(self, outcome: Outcome, progress: RunProgress | None) -> None:
        """The table, what failed, and the outcome."""
        if self._live is not None:
            self._live.stop()
        if progress is not None:
            self._console.print(_progress_table(progress))
            for failure in progress.failures[:LISTED]:
                self._console.print(f"[red]✗[/] {escape(summary_of(failure))}", soft_wrap=True)
            if len(progress.failures) > LISTED:
                self._console.print(f"and {len(progress.failures) - LISTED} more")
        colour = "green" if outcome.exit == 0 else "red"
        self._console.print(f"[{colour}]{escape(outcome.sentence)}[/] (exit code {outcome.exit.value})", soft_wrap=True)


def _bars(progress: RunProgress) -> Table:
    table = Table.grid(padding=(0, 2))
    for engine, account in progress.engines.items():
        ended = account.done + account.skipped + account.failed
        table.add_row(
            engine,
            ProgressBar(total=account.planned, completed=ended, width=30),
            f"{account.done + account.skipped}/{account.planned} done",
            _count(account.failed, "failed", "red"),
            _count(account.retries, "retried", "yellow"),
            f"{account.in_flight} of {account.limit} in flight" if account.limit else "none in flight",
        )
    return table


def _progress_table(progress: RunProgress) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("engine", no_wrap=True)
    for heading in ("calls", "retries", "done", "failed", "not attempted", "p50", "p95"):
        table.add_column(heading, justify="right", no_wrap=True)
    for engine, account in progress.engines.items():
        table.add_row(engine, *_row(account))
    return table


def _row(account: EngineProgress) -> list[str]:
    numbers = (account.calls, account.retries, account.done + account.skipped, account.failed, account.not_attempted)
    return [*map(str, numbers), _seconds(account.percentile(50)), _seconds(account.percentile(95))]


def _count(number: int, word: str, colour: str) -> str:
    return f"[{colour}]{number} {word}[/]" if number else f"0 {word}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


FAILURES_SHOWN = 50


def as_text(told: RecordedRun, console: Console) -> None:
    """The run as its own terminal showed it, with what to do about each failure."""
    report = told.report
    last = "the last attempt took " if report.continued else ""
    took = f", {last}{duration(report.seconds)}" if report.seconds is not None else ""
    head = f"[bold]run {escape(report.run_id)}[/] for {report.day}, started {escape(report.started)}{took}"
    console.print(f"{head}: {report.cards.planned} cards", soft_wrap=True)
    if report.engines:
        console.print(_table(report))
    calls = told.timeline.failures
    for call in calls[:FAILURES_SHOWN]:
        card = f" {call.card_type}" if call.card_type else ""
        what = f"{call.engine} {', '.join(call.targets)}{card}: {shortened(call.reason or '', 500)}"
        attempts = counted(call.attempts, "attempt")
        console.print(f"[red]✗[/] {escape(what)} ({attempts}). {escape(call.remedy)}", soft_wrap=True)
    if len(calls) > FAILURES_SHOWN:
        console.print(f"and {len(calls) - FAILURES_SHOWN} more")
    colour = "green" if report.outcome == "succeeded" else "yellow" if report.outcome == UNFINISHED else "red"
    code = "" if report.exit_code is None else f" (exit code {report.exit_code})"
    console.print(f"[{colour}]{escape(report.sentence)}[/]{code}", soft_wrap=True)


def _table(report: RunReport) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("engine", no_wrap=True)
    for heading in ("calls", "retries", "done", "failed", "not attempted", "p50", "p95"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, engine in report.engines.items():
        numbers = (engine.calls, engine.retries, engine.done + engine.skipped, engine.failed, engine.not_attempted)
        seconds = (engine.p50_seconds, engine.p95_seconds)
        table.add_row(name, *map(str, numbers), *("-" if value is None else f"{value:.2f} s" for value in seconds))
    return table

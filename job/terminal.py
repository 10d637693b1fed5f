"""The view of a run that somebody watches: a bar for each engine, then one table."""

from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from job.answers import Cause
from job.events import CallFinished, Event
from job.faults import Fault
from job.outcome import Outcome
from job.plan import Plan
from job.report import advice
from job.tally import Ledger, Tally
from job.trace import Run

LISTED = 50
"""Failures at the end; the rest is counted."""


class Terminal:
    """Draws what the ledger says, a few times a second, and prints what fails as it fails."""

    def __init__(self, run: Run, console: Console | None = None) -> None:
        self._run = run
        # `:100:` in an id or an answer is no emoji.
        self._console = console or Console(highlight=False, emoji=False)
        self._live: Live | None = None

    def faults(self, faults: Iterable[Fault]) -> None:
        """The configuration is at fault; nothing will be called."""
        for fault in faults:
            self._console.print(f"[red]✗[/] {escape(str(fault))}", soft_wrap=True)

    def notices(self, notices: Iterable[str]) -> None:
        """What the user may not have meant, though it can be done."""
        for notice in notices:
            self._console.print(f"[yellow]![/] {escape(notice)}", soft_wrap=True)

    def started(self, plan: Plan, ledger: Ledger) -> None:
        """The run is about to call the data engines."""
        day = f" for {plan.date}" if plan.date else ""
        self._console.print(f"[bold]run {escape(self._run.id)}[/]{day}: {ledger.cards.planned} cards", soft_wrap=True)
        # It never redirects standard output: nothing else is written there.
        self._live = Live(
            get_renderable=lambda: _bars(ledger), console=self._console, refresh_per_second=8, redirect_stdout=False
        )
        self._live.start()

    def storage(self, text: str, wrong: bool) -> None:
        """Storage is in trouble, or works again."""
        self._console.print(f"[{'red' if wrong else 'green'}]{escape(text)}[/]", soft_wrap=True)

    def barrier(self, _: Ledger) -> None:
        """All data are there; the cards follow."""
        self._console.print("all data are prepared; the cards follow")

    def watch(self, event: Event) -> None:
        """Prints the calls that failed for good."""
        if isinstance(event, CallFinished) and event.failure is not None:
            mark = "[yellow]![/]" if event.failure.cause is Cause.INTERRUPTED else "[red]✗[/]"
            text = f"{event.call.label}: {event.failure.text}"
            self._console.print(f"{mark} {escape(text)}", soft_wrap=True)

    def finished(self, outcome: Outcome, ledger: Ledger | None) -> None:
        """The table, what failed, and the outcome."""
        if self._live is not None:
            self._live.stop()
        if ledger is not None:
            self._console.print(_table(ledger))
            for failure in ledger.failures[:LISTED]:
                self._console.print(f"[red]✗[/] {escape(advice(failure))}", soft_wrap=True)
            if len(ledger.failures) > LISTED:
                self._console.print(f"and {len(ledger.failures) - LISTED} more")
        colour = "green" if outcome.exit == 0 else "red"
        self._console.print(f"[{colour}]{escape(outcome.sentence)}[/] (exit code {outcome.exit.value})", soft_wrap=True)


def _bars(ledger: Ledger) -> Table:
    table = Table.grid(padding=(0, 2))
    for engine, tally in ledger.engines.items():
        ended = tally.done + tally.skipped + tally.failed
        table.add_row(
            engine,
            ProgressBar(total=tally.planned, completed=ended, width=30),
            f"{tally.done + tally.skipped}/{tally.planned} done",
            _count(tally.failed, "failed", "red"),
            _count(tally.retries, "retried", "yellow"),
            f"{tally.in_flight} of {tally.bound} in flight" if tally.bound else "none in flight",
        )
    return table


def _table(ledger: Ledger) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("engine", no_wrap=True)
    for heading in ("calls", "retries", "done", "failed", "not attempted", "p50", "p95"):
        table.add_column(heading, justify="right", no_wrap=True)
    for engine, tally in ledger.engines.items():
        table.add_row(engine, *_row(tally))
    return table


def _row(tally: Tally) -> list[str]:
    numbers = (tally.calls, tally.retries, tally.done + tally.skipped, tally.failed, tally.not_attempted)
    return [*map(str, numbers), _seconds(tally.percentile(50)), _seconds(tally.percentile(95))]


def _count(number: int, word: str, colour: str) -> str:
    return f"[{colour}]{number} {word}[/]" if number else f"0 {word}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"

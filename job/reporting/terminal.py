"""The terminal of a run that somebody watches: a bar for each engine, then one table. Also of a recorded run."""

from collections.abc import Iterable, Mapping, Sequence

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
from job.records.history import AT_WORK, KILLED, PastRun, RecordedRun
from job.records.report import UNFINISHED, RunReport
from job.text import duration, listed, shortened

FAILURES_SHOWN = 50
"""Failures at the end; the rest is counted."""
REASON_LIMIT = 500


class TerminalReporter:
    """Draws the progress a few times a second, and prints what fails as it fails."""

    def __init__(self, run: RunIdentity, console: Console | None = None) -> None:
        self._run = run
        # `:100:` in an id or an answer is no emoji.
        self._console = console or Console(highlight=False, emoji=False)
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
        self._console.print(f"[bold]{escape(str(head))}[/]", soft_wrap=True)
        # It never redirects standard output: nothing else is written there.
        self._live = Live(
            get_renderable=lambda: _bars(progress), console=self._console, refresh_per_second=8, redirect_stdout=False
        )
        self._live.start()

    def on_storage(self, text: Message, is_fault: bool) -> None:
        """Storage fails, or works again."""
        self._console.print(f"[{'red' if is_fault else 'green'}]{escape(str(text))}[/]", soft_wrap=True)

    def on_barrier(self, _: RunProgress) -> None:
        """All data is ready; the cards follow."""
        self._console.print(str(message("all data is ready; generating cards")))

    def on_event(self, event: Event) -> None:
        """Prints the calls that failed for good."""
        if isinstance(event, CallFinished) and event.failure is not None:
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
        colour = "green" if outcome.exit == 0 else "red"
        self._console.print(_ending(str(outcome.sentence), int(outcome.exit), colour), soft_wrap=True)

    def _print(self, mark: str, text: object) -> None:
        self._console.print(f"{mark} {escape(str(text))}", soft_wrap=True)


def as_text(recorded: RecordedRun, page: str | None) -> str:
    """A recorded run as its own terminal showed it, with what to do about each failure, and where its page is."""
    console = Console(highlight=False, emoji=False)
    with console.capture() as captured:
        _print_run(recorded, console)
        if page is not None:
            console.print(escape(str(message("its page is {path}", path=page))), soft_wrap=True)
    return captured.get().rstrip("\n")


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


def _print_run(recorded: RecordedRun, console: Console) -> None:
    report = recorded.report
    console.print(f"[bold]{escape(str(_head(report)))}[/]", soft_wrap=True)
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
        console.print(f"[red]✗[/] {escape(str(line))}", soft_wrap=True)
    if len(calls) > FAILURES_SHOWN:
        console.print(str(_more(len(calls) - FAILURES_SHOWN)))
    colour = "green" if report.outcome == "succeeded" else "yellow" if report.outcome == UNFINISHED else "red"
    console.print(_ending(report.sentence, report.exit_code, colour), soft_wrap=True)


def _head(report: RunReport) -> Message:
    values = {"run": report.run_id, "day": report.day, "started": report.started}
    if report.seconds is None:
        return message("run {run} for {day}, started {started}", **values)
    took = duration(report.seconds)
    if report.continued:
        return message("run {run} for {day}, started {started}, the last attempt took {took}", took=took, **values)
    return message("run {run} for {day}, started {started}, took {took}", took=took, **values)


def _ending(sentence: str, code: int | None, colour: str) -> str:
    text = f"[{colour}]{escape(sentence)}[/]"
    return text if code is None else f"{text} ({message('exit code {code}', code=code)})"


def _more(count: int) -> Message:
    return message("and {count} more", count=count)


def _bars(progress: RunProgress) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, engine in progress.engines.items():
        done, planned = engine.done + engine.skipped, engine.planned
        in_flight = message("none in flight")
        if engine.limit:
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

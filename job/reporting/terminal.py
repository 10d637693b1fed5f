"""Terminal reporter: progress bars for a run on a terminal, then the totals. Also prints recorded runs."""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import trio
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from job.config.faults import Fault
from job.engines.identity import RunIdentity
from job.execution.events import CallFinished, CardTypeSetAside, Event
from job.execution.outcome import Outcome
from job.execution.progress import EngineProgress, RunProgress
from job.records.commands import page_address, ways_on
from job.records.comparison import Comparison, comparison_lines
from job.records.groups import FailureGroup, failure_groups, then_of
from job.records.history import RecordedRun
from job.records.inputs import RunInputs
from job.records.plan_change import plan_lines
from job.records.report import REFUSED, UNFINISHED, RunReport
from job.records.results import CallResult
from job.records.set_aside import SetAsideType, set_aside_types
from job.reporting.ending import LAST_WORDS_SECONDS, NextSteps, cut_short, failure_lines, next_step_lines
from job.reporting.engine_table import print_table
from job.reporting.screen import Screen
from job.reporting.status import barrier_message, run_heading, time_status
from job.reporting.stdout import OutputQueue, queued_text, say_error_within
from job.text.display import clock
from job.text.messages import ENGLISH, Message, Translator, duration, message, plural

LIVE_FAILURES = 20
"""Failed calls that are printed when they fail; the bars count further ones, and the end lists all by cause."""


class TerminalReporter:
    """Draws the progress a few times a second, and prints failures when they happen.

    A stopped terminal (Ctrl-S) does not delay the run: the bars are not drawn until it has caught up, and while 8 MiB
    wait for it, failures and warnings of single calls are counted and not printed.
    """

    def __init__(self, run: RunIdentity, runs_uri: str | None = None, translator: Translator = ENGLISH) -> None:
        self._run = run
        self._runs_uri = runs_uri
        self._inputs: RunInputs | None = None
        self._comparison: Comparison | None = None
        self._has_page = False
        self._failed = 0
        self._output = OutputQueue()
        self._dropped = 0
        self._screen = Screen(translator, queued_text(self._output))
        self._live: Live | None = None

    def on_faults(self, faults: Iterable[Fault]) -> None:
        """The configuration has faults; nothing will be called."""
        for fault in faults:
            self._screen.print_line(fault, "✗")

    def on_notices(self, notices: Iterable[Message]) -> None:
        """Warnings about likely mistakes."""
        for notice in notices:
            self._screen.print_line(notice, "!")

    def on_record(self, inputs: RunInputs) -> None:
        """The run has a record, and these are its inputs."""
        self._inputs = inputs

    def on_start(self, date: str | None, progress: RunProgress) -> None:
        """The run is about to call the data engines."""
        self._screen.print_line(run_heading(self._run.id, date, progress.cards.planned), style="bold")
        offset = trio.current_time() - time.monotonic()
        self._live = _Bars(progress, self._screen, self._output, lambda: time.monotonic() + offset)
        self._live.start()

    def on_storage(self, text: Message, is_fault: bool) -> None:
        """Storage fails or works again."""
        self._screen.print_line(text, style="red" if is_fault else "green")

    def on_barrier(self, progress: RunProgress) -> None:
        """All data is ready; the cards follow."""
        self._screen.print_line(barrier_message(progress))

    def on_progress(self, progress: RunProgress, now: float) -> None:
        """Does nothing, as the bars show the progress."""

    def on_event(self, event: Event) -> None:
        """Prints the first calls that failed for good, and calls with a warning."""
        if isinstance(event, CardTypeSetAside):
            self._screen.print_line(event.reason, "✗")
        if not isinstance(event, CallFinished) or (event.failure is None and event.warning is None):
            return
        if self._output.is_full:
            self._dropped += 1
            return
        if event.warning is not None:
            self._screen.print_line(message("{call}: {reason}", call=event.call.label, reason=event.warning), "!")
        if event.failure is not None:
            self._failed += 1
            if self._failed <= LIVE_FAILURES:
                text = message("{call}: {reason}", call=event.call.label, reason=event.failure.reason)
                self._screen.print_line(text, "!" if event.failure.is_interruption else "✗")
            elif self._failed == LIVE_FAILURES + 1:
                text = message("further failures are counted in the bars, and listed by cause at the end")
                self._screen.print_line(text, "✗")

    def on_closed(self, comparison: Comparison | None, *, has_page: bool) -> None:
        """The run has ended, was compared with the night before if there is one, and its record is closed."""
        self._comparison, self._has_page = comparison, has_page

    def on_second_signal(self) -> None:
        """The process is about to end at once: says on standard error how to go on with a recorded run."""
        if self._inputs is not None:
            say_error_within(self._screen.translator.text(cut_short(self._inputs)), LAST_WORDS_SECONDS)

    def on_finish(self, outcome: Outcome, progress: RunProgress | None) -> None:
        """Prints the table, the failures by cause, how to resume, and the outcome."""
        if self._live is not None:
            self._live.stop()
        groups: Sequence[FailureGroup] = ()
        if progress is not None:
            print_table(self._screen, {name: engine.totals() for name, engine in progress.engines.items()})
            calls = [CallResult.of(event, 0.0) for event in progress.failures]
            groups = failure_groups(calls)
            more = progress.failed_calls - len(calls)
            _print_failures(self._screen, groups, more, set_aside_types(progress.set_aside))
        if self._dropped:
            text = plural(
                "1 call that failed or has a warning was not shown when it ended: the terminal had stopped",
                "{count} calls that failed or have a warning were not shown when they ended: the terminal had stopped",
                count=self._dropped,
            )
            self._screen.print_line(text, "!")
        if self._comparison is not None:
            _print_comparison(self._screen, self._comparison, outcome.sentence)
        if outcome.exit != 0 and (progress is not None or self._inputs is not None):
            _print_next_steps(self._screen, groups, self._next_steps(outcome, progress, groups))
        done = "green" if outcome.unrecorded is None else "yellow"
        _print_ending(self._screen, outcome.sentence, int(outcome.exit), done if outcome.exit == 0 else "red")

    def on_notification_failed(self, text: Message) -> None:
        """The message about the run was not sent."""
        self._screen.print_line(text, "✗")

    async def drain(self, seconds: float) -> None:
        """Waits until everything is written to the terminal, at most `seconds`."""
        await self._output.drain(seconds)

    def _next_steps(self, outcome: Outcome, progress: RunProgress | None, groups: Sequence[FailureGroup]) -> NextSteps:
        cards = progress.cards if progress is not None else EngineProgress(0)
        inputs, page, command, start = self._inputs, None, None, None
        if inputs is not None:
            command, start = ways_on(inputs, then_of(groups), datetime.now(UTC))
            if self._has_page and self._runs_uri is not None:
                page = page_address(self._runs_uri, self._run.id)
        return NextSteps(
            run_id=self._run.id,
            outcome=outcome.word,
            cards=cards.planned,
            missing=cards.planned - cards.done - cards.skipped,
            trace_id=self._run.trace_id,
            page=page,
            command=command,
            start=start,
            day=inputs.day if inputs is not None else "",
            runs_uri=inputs.runs_uri if inputs is not None else None,
        )


class _Bars(Live):
    """The progress bars. They are not drawn while the terminal is behind, since it would show old states."""

    def __init__(self, progress: RunProgress, screen: Screen, output: OutputQueue, clock: Callable[[], float]) -> None:
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


def as_text(recorded: RecordedRun, page: str | None, translator: Translator = ENGLISH) -> str:
    """A recorded run as text: what failed, what to do, and how to resume. `page` is where its page is."""
    screen = Screen(translator)
    with screen.capture() as captured:
        _print_run(recorded, screen, page)
    return captured.get().rstrip("\n")


def _print_run(recorded: RecordedRun, screen: Screen, page: str | None) -> None:
    report = recorded.report
    screen.print_line(_head(report), style="bold")
    if report.engines:
        print_table(screen, report.engines)
    groups = failure_groups(recorded.timeline.failures)
    _print_failures(screen, groups, report.failures_not_listed, report.set_aside)
    if report.since_last_night is not None:
        _print_comparison(screen, report.since_last_night, report.sentence_message or report.sentence)
    if report.outcome == REFUSED or (report.resume_command is None and report.start_command is None):
        if page is not None:
            screen.print_line(message("page: {page}", page=page))
    else:
        steps = NextSteps(
            run_id=report.run_id,
            outcome=report.outcome,
            cards=report.cards.planned,
            missing=report.cards.planned - report.cards.generated,
            trace_id=report.trace_id,
            page=page,
            command=report.resume_command,
            start=report.start_command,
            day=report.day,
            runs_uri=report.runs_uri,
        )
        _print_next_steps(screen, groups, steps)
    colour = "green" if report.outcome == "succeeded" else "yellow" if report.outcome == UNFINISHED else "red"
    _print_ending(screen, report.sentence_message or report.sentence, report.exit_code, colour)


def _print_failures(
    screen: Screen, groups: Sequence[FailureGroup], not_listed: int, set_aside: Iterable[SetAsideType]
) -> None:
    for mark, line in failure_lines(groups, not_listed, set_aside, screen.translator):
        screen.print_line(line, mark)


def _print_comparison(screen: Screen, comparison: Comparison, reason: Message | str) -> None:
    heading, *lines = comparison_lines(comparison, reason)
    if comparison.plan is not None:
        lines += plan_lines(comparison.plan, comparison.day)
    screen.print_line(heading)
    for line in lines:
        screen.print_line(line, " ")


def _print_next_steps(screen: Screen, groups: Sequence[FailureGroup], steps: NextSteps) -> None:
    for line in next_step_lines(groups, steps):
        screen.print_line(line)


def _head(report: RunReport) -> Message:
    started = clock(datetime.fromisoformat(report.started), report.day)
    values = {"run": report.run_id, "day": report.day, "started": started}
    if report.seconds is None:
        return message("run {run} for {day}, started {started}", **values)
    took = duration(report.seconds)
    if report.continued:
        return message("run {run} for {day}, started {started}, the last attempt took {took}", took=took, **values)
    return message("run {run} for {day}, started {started}, took {took}", took=took, **values)


def _print_ending(screen: Screen, sentence: Message | str, code: int | None, colour: str) -> None:
    if code is not None:
        sentence = message("{sentence} (exit code {code})", sentence=sentence, code=code)
    screen.print_line(sentence, style=colour)


def _bars(progress: RunProgress, screen: Screen) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, engine in progress.engines.items():
        done, planned = engine.done + engine.skipped, engine.planned
        in_flight = message("none in flight")
        if engine.in_flight:
            in_flight = message("{count} of {limit} in flight", count=engine.in_flight, limit=engine.limit)
        table.add_row(
            name,
            ProgressBar(total=planned, completed=done + engine.failed, width=30),
            screen.shown(message("{done}/{planned} done", done=done, planned=planned)),
            _coloured(message("{count} failed", count=engine.failed - engine.cut_off), "red", screen),
            _coloured(message("{count} retried", count=engine.retries), "yellow", screen),
            screen.shown(in_flight),
        )
    return table


def _coloured(text: Message, colour: str, screen: Screen) -> str:
    shown = screen.shown(text)
    return f"[{colour}]{shown}[/]" if text.values.get("count") else shown

"""Terminal reporter: a run as text for a person, with progress bars on a terminal. Also prints recorded runs."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import trio
from rich.console import Group
from rich.live import Live as LiveDisplay
from rich.progress_bar import ProgressBar
from rich.table import Table

from job.config.faults import Fault
from job.engines.identity import RunIdentity
from job.execution.events import Event
from job.execution.gauge import Live
from job.execution.shutdown import Budget
from job.ledger.ledger import Ledger, SetAside
from job.ledger.result import CUT_OFF, CallResult
from job.report.advice import Step, command_of
from job.report.cards import complete_line
from job.report.commands import missing_command
from job.report.comparison import comparison_lines, plan_lines
from job.report.failures import FailureGroup, failure_groups
from job.report.outcome import Outcome, left_out_line
from job.report.report import RunReport, remade_lines
from job.reporting.screen import Mark, Screen, print_table
from job.reporting.status import barrier_message, progress_message, run_heading, time_status
from job.reporting.stdout import OutputQueue, queued_text, say_error_within
from job.text.display import clock, printable, shortened
from job.text.messages import ENGLISH, NAMED, Message, Translator, duration, message, plural

ANSWERS_SHOWN = 3
"""Last answers that are shown of a group; further ones are only counted."""
ANSWER_LIMIT = 500
LIVE_FAILURES = 20
"""Failed calls that are printed when they fail; the bars count further ones, and the end lists all by cause."""


class TerminalReporter:
    """Draws the progress a few times a second, and prints failures when they happen.

    If its output is a file or a pipe, it prints a line about the progress each minute instead, and uses no colours.
    A stopped terminal (Ctrl-S) does not delay the run: the bars are not drawn until it has caught up, and while 8 MiB
    wait for it, failures and warnings of single calls are counted and not printed.
    """

    def __init__(self, run: RunIdentity, translator: Translator = ENGLISH) -> None:
        self._run = run
        self._failed = 0
        self._output = OutputQueue()
        self._dropped = 0
        self._screen = Screen(translator, queued_text(self._output))
        self._bars: LiveDisplay | None = None

    def on_faults(self, faults: Iterable[Fault]) -> None:
        """The configuration has faults; nothing will be called."""
        for fault in faults:
            self._screen.print_line(fault.sentence, "✗")

    def on_notices(self, notices: Iterable[Message]) -> None:
        """Warnings about likely mistakes."""
        for notice in notices:
            self._screen.print_line(notice, "!")

    async def confirm(self, what: Message) -> bool:
        """Asks the person at the terminal whether to do that. No answer is a no."""
        question = message("{what}. Do that? Only yes is a yes: ", what=what)
        shown = printable(self._screen.translator.text(question))
        await self._output.drain(Budget.LAST_LINE)
        try:
            answer = await trio.to_thread.run_sync(input, shown, abandon_on_cancel=True)
        except EOFError:
            return False
        return answer.strip().lower() in {"yes", "是"}

    def on_identity(self, run: RunIdentity) -> None:
        """This is an attempt at a run that another start has opened."""
        self._run = run

    def on_start(self, live: Live) -> None:
        """The run is about to call the data engines."""
        self._screen.print_line(run_heading(self._run.id, live.ledger), style="bold")
        if not self._screen.is_terminal:
            return
        offset = trio.current_time() - time.monotonic()
        self._bars = _Bars(live, self._screen, self._output, lambda: time.monotonic() + offset)
        self._bars.start()

    def on_storage(self, text: Message, is_fault: bool) -> None:
        """Storage fails or works again."""
        self._screen.print_line(text, style="red" if is_fault else "green")

    def on_barrier(self, live: Live) -> None:
        """All data is ready; the cards follow."""
        self._screen.print_line(barrier_message(live.ledger))

    def on_progress(self, live: Live, now: float) -> None:
        """Called once a minute: prints the progress, unless the bars show it."""
        if self._bars is None:
            self._screen.print_line(progress_message(live, now))

    def on_event(self, event: Event) -> None:
        """Prints the first calls that failed for good, and calls with a warning."""
        if isinstance(event, SetAside):
            self._screen.print_line(event.reason, "✗")
        if not isinstance(event, CallResult) or (event.done and event.warning is None):
            return
        if self._output.is_full:
            self._dropped += 1
            return
        if event.warning is not None:
            self._screen.print_line(message("{call}: {reason}", call=event.label, reason=event.warning), "!")
        if not event.done:
            self._failed += 1
            if self._failed <= LIVE_FAILURES:
                text = message("{call}: {reason}", call=event.label, reason=event.reason or "")
                self._screen.print_line(text, "!" if event.state == CUT_OFF else "✗")
            elif self._failed == LIVE_FAILURES + 1:
                text = message("further failures are counted in the bars, and listed by cause at the end")
                self._screen.print_line(text, "✗")

    def on_second_signal(self, text: Message | None) -> None:
        """The process is about to end at once: says on standard error how to go on, if there is a way."""
        if text is not None:
            say_error_within(self._screen.translator.text(text), Budget.LAST_WORDS)

    def on_finish(self, report: RunReport, ledger: Ledger, steps: Sequence[Step]) -> None:
        """Prints the totals, the failures by cause, what to do next, and how the run ended."""
        if self._bars is not None:
            self._bars.stop()
        if self._dropped:
            text = plural(
                "1 call that failed or has a warning was not shown when it ended: the terminal had stopped",
                "{count} calls that failed or have a warning were not shown when they ended: the terminal had stopped",
                count=self._dropped,
            )
            self._screen.print_line(text, "!")
        _print_run(self._screen, report, ledger, steps)

    def on_notification_failed(self, text: Message) -> None:
        """The message about the run was not sent."""
        self._screen.print_line(text, "✗")

    async def drain(self, seconds: float) -> None:
        """Waits until everything is written to the terminal, at most `seconds`."""
        await self._output.drain(seconds)


class _Bars(LiveDisplay):
    """The progress bars. They are not drawn while the terminal is behind, since it would show old states."""

    def __init__(self, live: Live, screen: Screen, output: OutputQueue, clock: Callable[[], float]) -> None:
        """`clock` returns trio's time in any thread."""
        self._output = output
        # Standard output is not redirected, since nothing else writes to it.
        super().__init__(
            get_renderable=lambda: Group(_bars(live, screen), screen.shown(time_status(live, clock()))),
            console=screen,
            refresh_per_second=8,
            redirect_stdout=False,
        )

    def refresh(self) -> None:
        # When they are stopped, they are drawn a last time in any case.
        if not (self.is_started and self._output.is_behind):
            super().refresh()


def as_text(report: RunReport, ledger: Ledger, steps: Sequence[Step], translator: Translator = ENGLISH) -> str:
    """A recorded run as text, as its terminal showed it at its end."""
    screen = Screen(translator)
    with screen.capture() as captured:
        screen.print_line(_head(report), style="bold")
        for fault in report.faults:
            screen.print_line(fault.sentence, "✗")
        if report.faults_not_listed:
            screen.print_line(message("and {count} more", count=report.faults_not_listed))
        _print_run(screen, report, ledger, steps)
        if not report.failures and command_of(steps, "resume") is None and command_of(steps, "start") is None:
            screen.print_line(message("trace id: {trace}", trace=report.trace_id))
    return captured.get().rstrip("\n")


def _print_run(screen: Screen, report: RunReport, ledger: Ledger, steps: Sequence[Step]) -> None:
    if report.engines:
        print_table(screen, report.engines)
    if (complete := complete_line(ledger)) is not None:
        screen.print_line(complete)
    groups = failure_groups(ledger.failures)
    for mark, line in failure_lines(groups, report.failures_not_listed, report.set_aside, screen.translator):
        screen.print_line(line, mark)
    for line in remade_lines(report):
        screen.print_line(line)
    _print_since(screen, report)
    for line in _next_lines(report, groups, steps):
        screen.print_line(line)
    if (left_out := left_out_line(report.left_out, report.outcome)) is not None:
        screen.print_line(left_out)
    sentence = report.sentence
    if report.exit_code is not None:
        sentence = message("{sentence} (exit code {code})", sentence=sentence, code=report.exit_code)
    screen.print_line(sentence, style=_colour(report))


def _print_since(screen: Screen, report: RunReport) -> None:
    """What has changed since the night before, if that is known."""
    since = report.since_last_night
    if since is None:
        return
    heading, *lines = comparison_lines(since, report.sentence)
    if since.plan is not None:
        lines += plan_lines(since.plan, since.day)
    screen.print_line(heading)
    for line in lines:
        screen.print_line(line, " ")


def _next_lines(report: RunReport, groups: Sequence[FailureGroup], steps: Sequence[Step]) -> Iterator[Message]:
    """Where to look further, and what to do next."""
    named = sum(min(group.items, NAMED) for group in groups if group.engine == "qa")
    if report.is_recorded and report.had_plan and report.cards.missing > named:
        yield plural(
            "1 card is missing; its name: {command}",
            "{count} cards are missing; their names: {command}",
            count=report.cards.missing,
            command=missing_command(report.run_id, report.runs_uri),
        )
    if groups:
        yield message("trace id: {trace}", trace=report.trace_id)
    if report.page:
        yield message("page: {page}", page=report.page)
    for step in steps:
        if step.kind == "look" and report.cards.missing <= named:
            continue  # those that are missing are named above
        yield step.sentence
        if step.command is not None:
            yield message("  {command}", command=step.command)


def failure_lines(
    groups: Sequence[FailureGroup],
    not_listed: int = 0,
    set_aside: Iterable[SetAside] = (),
    translator: Translator = ENGLISH,
) -> Iterator[tuple[Mark, Message]]:
    """For each group: what failed, and if something is to be done, the last answers and what to do.

    Then each card type that was set aside. `not_listed` is the number of further failures. Answers are translated
    before they are shortened.
    """
    for group in groups:
        yield "!" if group.is_cut_off else "✗", group.heading
        if group.needs_nothing:
            continue
        answers = group.answers
        for answer, count in answers[:ANSWERS_SHOWN]:
            text = shortened(translator.text(answer), ANSWER_LIMIT)
            if len(answers) == 1:
                yield " ", message("last answer: {answer}", answer=text)
            else:
                yield " ", message("last answer for {count}: {answer}", count=count, answer=text)
        if len(answers) > ANSWERS_SHOWN:
            yield " ", message("other last answers: {count}", count=len(answers) - ANSWERS_SHOWN)
        yield " ", message("what to do: {remedy}", remedy=group.remedy)
    if not_listed:
        yield "✗", plural("1 more failed", "{count} more failed", count=not_listed)
    for one in set_aside:
        yield "✗", one.reason
        yield " ", message("what to do: {remedy}", remedy=one.remedy)


def _colour(report: RunReport) -> str:
    if report.outcome is Outcome.SUCCEEDED:
        return "green" if report.unrecorded is None else "yellow"
    return "red" if report.outcome.is_closed else "yellow"


def _head(report: RunReport) -> Message:
    started = clock(datetime.fromisoformat(report.started), report.day)
    values = {"run": report.run_id, "day": report.day, "started": started}
    if report.seconds is None:
        return message("run {run} for {day}, started {started}", **values)
    took = duration(report.seconds)
    if report.continued:
        return message("run {run} for {day}, started {started}, the last attempt took {took}", took=took, **values)
    return message("run {run} for {day}, started {started}, took {took}", took=took, **values)


def _bars(live: Live, screen: Screen) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, gauge in live.gauges.items():
        counts = live.ledger.counts(name, now=True)
        planned, made = counts.planned, counts.made
        asked, left = live.ledger.remakes.counts()
        if name == "qa" and asked and counts.made == counts.planned:
            planned, made = asked, asked - left
        in_flight = message("none in flight")
        if gauge.in_flight:
            in_flight = message("{count} of {limit} in flight", count=gauge.in_flight, limit=gauge.limit)
        table.add_row(
            name,
            ProgressBar(total=planned, completed=made + counts.failed, width=30),
            screen.shown(message("{done}/{planned} done", done=made, planned=planned)),
            _coloured(message("{count} failed", count=counts.failed - counts.cut_off), "red", screen),
            _coloured(message("{count} retried", count=gauge.retries), "yellow", screen),
            screen.shown(in_flight),
        )
    return table


def _coloured(text: Message, colour: str, screen: Screen) -> str:
    shown = screen.shown(text)
    return f"[{colour}]{shown}[/]" if text.values.get("count") else shown

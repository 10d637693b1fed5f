"""Orchestrator: one whole start. Config, lease, data phase, barrier, card phase, record, message."""

import gc
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import trio

from job.config.environment import Options
from job.config.faults import ConfigError, Fault
from job.config.read import UnreadConfigError, read_config
from job.day.attempt import ExitCode, Outcome, Start
from job.day.before import NightBefore
from job.day.ending import Ending, ending_of
from job.day.ledger import Ledger
from job.day.nights import Nights
from job.day.result import EngineFailedError, ShutdownReason
from job.execution.phases import Phases
from job.execution.progress import Event, Progress, report_each_minute
from job.execution.shutdown import NIGHTS_SHARE, Shutdown, ShutdownError, at_deadline, on_signals
from job.outputs.log import Reporter
from job.outputs.message import Notifier
from job.outputs.pages import documents
from job.records.lease import BusyError, Holder, acquire
from job.records.nights import PastNights, ended_for_good
from job.records.record import read_day, record_refusal
from job.records.session import Opened, Session, StorageAlarm, faults_of_record, open_session, resolve_day
from job.storage.store import StorageError, error_text
from job.storage.uri import open_store
from job.telling.advice import Commands
from job.telling.nights import undone_lines
from job.telling.notes import opening_notice, plan_notes
from job.telling.report import report_of
from job.telling.view import View
from job.text.messages import Message, colon, message, not_written

REFUSAL_SECONDS = 3.0
LAST_LINE_SECONDS = 1.0
"""How long whoever reads what the job prints may take for its end."""
FAILURE_SECONDS = 0.5
"""The same for the line which says that the message was not sent."""


async def run_phases(phases: Phases, cross_barrier: Callable[[], Awaitable[None]]) -> None:
    """Prepares all data, and only then has every card generated.

    The first data engine that fails cuts off its siblings and ends the run: its `EngineFailedError` is raised, and no
    card is requested. A shutdown ends the data phase at once, and gives cards in flight some seconds.
    """
    shutdown, error = phases.context.shutdown, None
    with suppress(ShutdownError), shutdown.interruptible():
        try:
            async with trio.open_nursery() as data_phase:  # if one of its tasks fails, the others are cancelled
                for engine in phases.data_engines:
                    data_phase.start_soon(phases.prepare, engine, name=engine)
        except* EngineFailedError as failed:
            error = failed.exceptions[0]  # two may fail at the same moment
        if error is None and shutdown.reason is None:
            await cross_barrier()  # all results so far are durable then
    if error is not None:
        raise error
    if shutdown.reason is None:
        with shutdown.cards:
            await phases.generate()  # raises unless all data is ready


class _Run:
    """One start, from its config until its record is closed and its lease is released.

    What looks at all items does so in a thread: of a million that takes 2 s, in which the lease is renewed.
    """

    def __init__(self, options: Options, reporter: Reporter) -> None:
        self.shutdown = Shutdown()
        self._options = options
        self._reporter = reporter
        self._known = Start.of(options, options.days)
        """What is known of the start before it is opened."""
        self._opened: Opened | None = None
        self._closed: View | None = None
        """How this start has ended, once its record was closed."""
        self._waited_for: Message | None = None
        """The start for which this one waits, if that is known."""
        self._past = PastNights(self._notice)
        self.is_repeated = False
        """Whether Cloud Run repeats a start that has ended for good, of which nobody is told twice."""

    async def run(self) -> View:
        """The whole start. Raises only for a bug."""
        settings = self._options.settings
        async with trio.open_nursery() as helpers:
            if settings.deadline is not None:
                helpers.start_soon(at_deadline, self.shutdown, settings.deadline - self._seconds, name="deadline")
            async with AsyncExitStack() as stack:  # releases the lease, whatever happens after it was acquired
                begun = await self._begin(stack, helpers)
                view = begun if isinstance(begun, View) else await self._attempt(begun, helpers)
            helpers.cancel_scope.cancel()
        return view

    def after_bug(self) -> View:
        """How a start ended that ended by a bug. It does not raise, even if the ledger has what it must not have."""
        if self._closed is not None:
            return self._closed
        try:
            return self._view(Ending(Outcome.UNFORESEEN))
        except Exception:  # noqa: BLE001  the bug itself is reported already
            return self._view(Ending(Outcome.UNFORESEEN), ledger=Ledger.empty(self._start.day))

    def _notice(self, notices: Iterable[Message]) -> None:
        for notice in notices:
            self._reporter.on_message("config.noticed", notice)

    def _on_wait(self, notice: Message, holder: Message | None) -> None:
        self._waited_for = holder
        self._notice([notice])

    def _on_storage(self, text: Message, is_fault: bool) -> None:
        self._reporter.on_message("storage.failed" if is_fault else "storage.recovered", text)

    async def _begin(self, stack: AsyncExitStack, helpers: trio.Nursery) -> Session | View:
        """Opens the day for an attempt; or returns how the start has ended if it makes none."""
        ending: Ending | None = None
        faults: Sequence[Fault] = ()
        try:
            with suppress(ShutdownError), self.shutdown.interruptible():
                if (ended := await ended_for_good(self._options)) is not None:
                    self.is_repeated, self._known = True, ended.start
                    self._reporter.on_day(ended.start)
                    return View.of(ended, self._ledger, None, self._commands)
                self._opened = await self._open(stack, helpers)
        except ConfigError as error:
            faults = error.faults
        except UnreadConfigError as error:
            ending = Ending(Outcome.STORAGE_FAILED, answer=colon("CONFIG_URI", error.reason))
        except BusyError as error:
            ending = Ending(Outcome.BUSY, why=error.why, answer=error.holder)
        except StorageError as error:
            ending = Ending(Outcome.STORAGE_FAILED, answer=colon("RUNS_URI", error.text))
        if faults:  # not above, where the error holds the record, which is read again
            self._reporter.on_faults(faults)
            return await self._refuse(faults)
        if self._opened is None:
            reason, not_renewed = self.shutdown.reason, self.shutdown.not_renewed
            return self._view(ending or ending_of(None, reason, None, not_renewed, self._waited_for))
        start, record, session = self._opened
        self._reporter.on_day(start)
        self._notice([*record.ledger.plan.notices, *plan_notes(record.ledger.plan)])
        if session is None:
            done_since = (record.ended and record.ended.done_at) or self._options.now
            nothing_left = Ending(Outcome.SUCCEEDED, done_since=done_since)
            view = await trio.to_thread.run_sync(partial(self._view, nothing_left))
            with self.shutdown.closing(NIGHTS_SHARE):
                await self._past.read_beside(open_store(self._options.settings.runs_uri or ""), start.day)
            undone = undone_lines(self._past.nights or Nights(), view.report)
            return replace(view, undone=undone).with_page(self._options.settings.runs_uri)
        if record.latest is not None:
            self._notice([opening_notice(start, record.ledger)])
        helpers.start_soon(session.journal.run, name="journal")
        return session

    async def _open(self, stack: AsyncExitStack, helpers: trio.Nursery) -> Opened:
        """Gets the lease, reads what the day has, and adds this attempt to it, unless nothing is left to be done."""
        options = self._options
        self._notice(options.settings.notices)
        if options.settings.runs_uri is None:
            await read_config(options, self._start.day)  # raises this fault, and those of the config
        store = open_store(options.settings.runs_uri or "", make=True)
        resolved = await resolve_day(options, store)
        self._known = resolved.start
        self._reporter.on_day(resolved.start)
        day = resolved.start.day
        alarm = StorageAlarm(self._on_storage)
        with faults_of_record(day):
            config = await read_config(replace(options, faults=resolved.faults), day)
            waits = not options.again  # who asks for something again looks first at what the other one makes
            acquired = acquire(store, Holder.of(resolved.start), self._on_wait, waits=waits)
            lease = await stack.enter_async_context(acquired)
            self._waited_for = None
            helpers.start_soon(lease.renew_forever, self.shutdown, partial(alarm, "lease"), name="lease")
            if lease.has_waited:
                config = await read_config(options, day)
            helpers.start_soon(self._past.read_beside, store, day, name="past nights")
            start = resolved.start.with_config(config)
            opened = await open_session(lease, start, config, alarm, resolved.listing)
        gc.freeze()  # looking for cycles among a million objects of plan and record takes 0.7 s, and stops all threads
        return opened

    async def _call(self, session: Session, helpers: trio.Nursery) -> Ending:
        progress = Progress.of(session.record.ledger, trio.current_time() - self._seconds)
        helpers.start_soon(report_each_minute, progress, self._reporter.on_progress, name="progress")

        def emit(event: Event) -> None:
            session.on_event(event)
            self._reporter.on_event(event)

        async def cross_barrier() -> None:
            await session.journal.flush()
            self._reporter.on_barrier(progress)

        self._reporter.on_start(progress)
        error: EngineFailedError | None = None
        try:
            trace_id, settings = self._start.trace_id, self._options.settings
            phases = Phases.of(progress, settings, trace_id, self.shutdown, helpers, emit)
            await run_phases(phases, cross_barrier)
        except EngineFailedError as failed:
            error = failed
        ledger, shutdown = session.record.ledger, self.shutdown
        how = partial(ending_of, ledger, shutdown.reason, error, shutdown.not_renewed)
        return await trio.to_thread.run_sync(how)

    async def _refuse(self, faults: Sequence[Fault]) -> View:
        """Records the faults if the day has no attempt; else says what is there. Never raises."""
        settings, ending = self._options.settings, Ending(Outcome.BAD_CONFIG)
        view = self._view(ending, faults)
        is_unknown = not self._start.knows_days or "RUNS_URI" in {fault.variable for fault in faults}
        if view.report.is_of_command or settings.runs_uri is None or is_unknown:
            return view
        try:
            with trio.fail_after(REFUSAL_SECONDS):
                store = open_store(settings.runs_uri, make=True)
                if not await record_refusal(store, view.report):
                    recorded = await read_day(store, self._start.day)
                    ledger = None if recorded is None else recorded[1].ledger
                    return self._view(ending, faults, ledger)
                if self._past.nights is None:
                    await self._past.read_beside(store, self._start.day)
                for document in documents(view, self._past, settings):
                    await document.write(store, view.report.start)
        except Exception as error:  # noqa: BLE001  see above
            problem = error_text(error) or message("no answer within {seconds} s", seconds=REFUSAL_SECONDS)
            self._on_storage(not_written(f"{self._start.day}/", problem), True)
            return view
        return view.with_page(settings.runs_uri)

    def _view(self, ending: Ending, faults: Sequence[Fault] = (), ledger: Ledger | None = None) -> View:
        past, day, ledger = self._past, self._start.day, ledger or self._ledger
        earlier = () if self._opened is None else self._opened.record.reports.values()
        before = NightBefore.of(past.before(day), past.attempt, day, ledger.plan, earlier)
        report = report_of(self._start, ledger, ending, seconds=self._seconds, faults=faults, before=before)
        undone = () if past.nights is None else undone_lines(past.nights, report)
        return View.of(report, ledger, before, self._commands, undone)

    @property
    def _start(self) -> Start:
        return self._known if self._opened is None else self._opened.start

    @property
    def _ledger(self) -> Ledger:
        return Ledger.empty(self._start.day) if self._opened is None else self._opened.record.ledger

    @property
    def _commands(self) -> Commands:
        return Commands.of(self._start, self._options.settings.runs_uri or "", self._start.days, datetime.now(UTC))

    @property
    def _seconds(self) -> float:
        """Since the process started."""
        return time.monotonic() - self._options.started

    async def _attempt(self, session: Session, helpers: trio.Nursery) -> View:
        """Makes the calls and closes the record, also after a bug."""
        try:
            ending = await self._call(session, helpers)
        except BaseException:  # also if a helper has failed: this task is cancelled then
            self.shutdown.request(ShutdownReason.BUG)
            ending = Ending(Outcome.UNFORESEEN)
            self._closed = await self._close(ending, session)  # noqa: ASYNC102  see `closing`
            raise
        return await self._close(ending, session)

    async def _close(self, ending: Ending, session: Session) -> View:
        """Closes the record, whether or not both phases have succeeded. `run` goes on with the end of the start."""
        with self.shutdown.closing(NIGHTS_SHARE):
            await self._past.wait_until_read(session.lease.store, self._start.day)
        with trio.CancelScope(shield=True):
            view = await trio.to_thread.run_sync(self._view, ending)
        made = documents(view, self._past, self._options.settings)
        report = view.report.model_copy(update={"not_written": self._past.not_made})
        report = await session.close(report, made, self.shutdown)
        severity_before = session.record.severity or self._past.severity_before(report.day)
        view = replace(view, report=report, severity_before=severity_before).with_page(self._options.settings.runs_uri)
        if session.is_ended:
            return view
        return view.unended(session.journal.unwritten, session.journal.unwritten_cards, self._commands)


async def run(options: Options, reporter: Reporter) -> ExitCode:
    """Does what is missing of a day, and reports the end once. Raises only for a bug.

    It ends in this order, also after a bug: the record is closed, the lease is released, the last line is printed, the
    message is sent. The outcome is final before that line is printed: no later signal changes it or the exit code.
    """
    start = _Run(options, reporter)
    shutdown, bug = start.shutdown, None
    async with trio.open_nursery() as listener:
        await listener.start(on_signals, shutdown)
        try:
            view = await start.run()
        except Exception as error:  # noqa: BLE001  it is raised again once the start has ended in this order
            view, bug = start.after_bug(), error
        shutdown.is_final = True
        reporter.on_finish(view)
        await reporter.drain(min(LAST_LINE_SECONDS, shutdown.seconds_left))
        problem = None if start.is_repeated else await Notifier(options.settings).send(view, shutdown)
        if problem is not None:
            reporter.on_message("notification.failed", problem)
            await reporter.drain(min(FAILURE_SECONDS, shutdown.seconds_left))
        listener.cancel_scope.cancel()
    if bug is not None:
        raise bug
    return view.report.exit_code or ExitCode.DONE

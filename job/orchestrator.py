"""Orchestrator: one whole start. Config, lease, data phase, barrier, card phase, record, message."""

import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import trio

from job.config.environment import Options
from job.config.faults import ConfigError, Fault
from job.config.read import UnreadConfigError, read_config
from job.day.attempt import ExitCode, Outcome, Start
from job.day.ending import Ending, ending_of
from job.day.history import NightBefore, Nights
from job.day.ledger import Ledger
from job.day.result import EngineFailedError, ShutdownReason
from job.day.summary import report_of
from job.execution.phases import Phases
from job.execution.progress import Event, Progress, report_each_minute
from job.execution.shutdown import Shutdown, ShutdownError, at_deadline, on_signals
from job.outputs.log import Reporter
from job.outputs.message import Notifier
from job.outputs.pages import documents
from job.records.earlier import end_json
from job.records.lease import BusyError, Holder, acquire
from job.records.objects import end_name
from job.records.past_nights import PastNights, ended_for_good, is_final, refused_before
from job.records.record import Record, read_day, write_without_lease
from job.records.session import ChangedError, Opened, Session, StorageAlarm, faults_of_record, open_session, resolve_day
from job.storage.store import StorageError, error_text
from job.storage.uri import open_store
from job.telling.advice import Commands, changed_fault
from job.telling.nights import undone_lines
from job.telling.notes import plan_notes
from job.telling.view import View
from job.text.messages import Message, colon, message, not_written

REFUSAL_SECONDS = 3.0
LAST_LINE_SECONDS = 1.0
"""How long whoever reads what the job prints may take for its end."""
FAILURE_SECONDS = 0.5
"""The same for the line which says that the message was not sent."""


async def run_phases(phases: Phases, cross_barrier: Callable[[], Awaitable[None]]) -> None:
    """Prepares all data, and only then has every card generated.

    A data engine has failed when a call of it has failed for good: at once if that is refused, after its patience for
    all else. The first one that fails cuts off its siblings at once, and ends the run once it has tried what it had not
    tried, for a minute at most: its `EngineFailedError` is raised, and no card is requested. A shutdown ends the data
    phase at once, and gives cards in flight some seconds.
    """
    shutdown, error = phases.context.shutdown, None
    with suppress(ShutdownError), shutdown.interruptible():
        try:
            async with trio.open_nursery() as data_phase:  # if one of its tasks fails, the others are cancelled
                for engine in phases.data_engines:
                    data_phase.start_soon(phases.prepare, engine, name=engine)
        except* EngineFailedError as failed:
            error = failed.exceptions[0]  # the only one
        if error is None and shutdown.reason is None:
            await cross_barrier()  # all results so far are durable then
    if error is not None:
        raise error
    if shutdown.reason is None:
        with shutdown.cards:
            await phases.generate()  # raises unless all data is ready


@dataclass(slots=True)
class SoFar:
    """A start, and what is known of its day so far: also after a bug, a person is told that.

    What looks at all items does so in a thread: of a million that takes 2 s, in which the lease is renewed.
    """

    options: Options
    reporter: Reporter
    shutdown: Shutdown
    past: PastNights
    start: Start
    record: Record | None = None
    """That of its day, once it is read."""
    waits_for: Message | None = None
    """The start for which this one waits, if that is known."""
    closed: View | None = None
    """How this start has ended, once its record is closed."""

    @property
    def seconds(self) -> float:
        """Since the process started."""
        return time.monotonic() - self.options.started

    @property
    def runs_uri(self) -> str | None:
        return self.options.settings.runs_uri

    @property
    def commands(self) -> Commands:
        return Commands.of(self.start, self.runs_uri or "", self.start.days, datetime.now(UTC))

    @classmethod
    def of(cls, options: Options, reporter: Reporter) -> "SoFar":
        past = PastNights(reporter.on_notices)
        return cls(options, reporter, Shutdown(), past, Start.of(options, options.days))

    def on_wait(self, notice: Message, holder: Message | None) -> None:
        self.waits_for = holder
        self.reporter.on_notices([notice])

    def on_storage(self, text: Message, is_fault: bool) -> None:
        self.reporter.on_message("storage.failed" if is_fault else "storage.recovered", text)

    def view(self, ending: Ending, faults: Sequence[Fault] = (), ledger: Ledger | None = None) -> View:
        """The day as it stands now; `ledger` is that of its record, if this start has not read it."""
        past, start, record = self.past, self.start, self.record
        ledger = ledger or (Ledger.empty(start.day) if record is None else record.ledger)
        earlier = () if record is None else record.reports.values()
        before = NightBefore.of(past.before(start.day), past.attempt, start.day, ledger.plan, earlier)
        report = report_of(start, ledger, ending, seconds=self.seconds, faults=faults, before=before)
        undone = () if past.nights is None else undone_lines(past.nights, report)
        is_retried = start.has_retry and not is_final(report, self.options.settings)
        return View.of(report, ledger, self.commands, undone, is_retried=is_retried)


async def open_day(known: SoFar, stack: AsyncExitStack, helpers: trio.Nursery) -> Session | View:
    """Opens the day for an attempt; or returns how the start has ended if it makes none."""
    opened: Opened | None = None
    ending: Ending | None = None
    faults: Sequence[Fault] = ()
    try:
        with suppress(ShutdownError), known.shutdown.interruptible():
            if (ended := await ended_for_good(known.options)) is not None:
                known.start = ended.start
                known.reporter.on_day(ended.start)
                view = View.of(ended, Ledger.empty(ended.day), known.commands)
                return replace(view, was_sent=True)
            opened = await _opened(known, stack, helpers)
    except ConfigError as error:
        faults = error.faults
    except ChangedError as error:
        faults = [changed_fault(error.start, error.changes, error.missing, error.added, error.asked)]
    except UnreadConfigError as error:
        ending = Ending(Outcome.STORAGE_FAILED, answer=colon("CONFIG_URI", error.reason))
    except BusyError as error:
        ending = Ending(Outcome.BUSY, why=error.why, answer=error.holder)
    except StorageError as error:
        ending = Ending(Outcome.STORAGE_FAILED, answer=colon("RUNS_URI", error.text))
    if faults:  # not above, where the error holds the record, which is read again
        known.reporter.on_faults(faults)
        return await _refused(known, faults)
    if opened is None:
        reason, not_renewed = known.shutdown.reason, known.shutdown.not_renewed
        return known.view(ending or ending_of(None, reason, None, not_renewed, known.waits_for))
    known.start, known.record, session = opened
    start, ledger = known.start, known.record.ledger
    known.reporter.on_day(start)
    known.reporter.on_notices([*ledger.plan.notices, *plan_notes(ledger.plan)])
    if session is None:
        done_since = (known.record.ended and known.record.ended.done_at) or known.options.now
        nothing_left = Ending(Outcome.SUCCEEDED, done_since=done_since)
        view = await trio.to_thread.run_sync(known.view, nothing_left)
        known.shutdown.begin_closing()
        with known.shutdown.nights:
            await known.past.read_beside(open_store(known.runs_uri or ""), start.day)
        undone = undone_lines(known.past.nights or Nights(), view.report)
        return replace(view, undone=undone).with_page(known.runs_uri)
    helpers.start_soon(session.journal.run, name="journal")
    return session


async def _opened(known: SoFar, stack: AsyncExitStack, helpers: trio.Nursery) -> Opened:
    """Gets the lease, reads what the day has, and adds this attempt to it, unless nothing is left to be done."""
    options = known.options
    known.reporter.on_notices(options.settings.notices)
    if known.runs_uri is None:
        await read_config(options, known.start.day)  # raises this fault, and those of the config
    store = open_store(known.runs_uri or "", make=True)
    resolved = await resolve_day(options, store)
    known.start = resolved.start
    known.reporter.on_day(resolved.start)
    day = resolved.start.day
    alarm = StorageAlarm(known.on_storage)
    with faults_of_record(day):
        config = await read_config(replace(options, faults=resolved.faults), day)
        waits = not options.again  # who asks for something again looks first at what the other one makes
        acquired = acquire(store, Holder.of(resolved.start), known.on_wait, waits=waits)
        lease = await stack.enter_async_context(acquired)
        known.waits_for = None
        helpers.start_soon(lease.renew_forever, known.shutdown, partial(alarm, "lease"), name="lease")
        if lease.has_waited:
            config = await read_config(options, day)
        helpers.start_soon(known.past.read_beside, store, day, name="past nights")
        start = resolved.start.with_config(config)
        opened = await open_session(lease, start, config, alarm, resolved.listing)
    gc.freeze()  # looking for cycles among a million objects of plan and record takes 0.7 s, and stops all threads
    return opened


async def _refused(known: SoFar, faults: Sequence[Fault]) -> View:
    """Records the faults if the day has no attempt; else says what is there. Never raises."""
    ending, day = Ending(Outcome.BAD_CONFIG), known.start.day
    view = known.view(ending, faults)
    is_unknown = not known.start.knows_days or "RUNS_URI" in {fault.variable for fault in faults}
    if view.report.is_of_command or known.runs_uri is None or is_unknown:
        return view
    try:
        with trio.fail_after(REFUSAL_SECONDS):
            store = open_store(known.runs_uri, make=True)
            view = replace(view, was_sent=await refused_before(store, view.report, known.options.settings))
            if not await write_without_lease(store, day, {end_name(day, 0): partial(end_json, view.report)}):
                recorded = await read_day(store, day)
                return known.view(ending, faults, None if recorded is None else recorded[1].ledger)
            if known.past.nights is None:
                await known.past.read_beside(store, day)
            await write_without_lease(store, day, documents(view, known.past, known.options.settings))
    except Exception as error:  # noqa: BLE001  see above
        problem = error_text(error) or message("no answer within {seconds} s", seconds=REFUSAL_SECONDS)
        known.on_storage(not_written(f"{day}/", problem), True)
        return view
    return view.with_page(known.runs_uri)


async def work(known: SoFar, session: Session, helpers: trio.Nursery) -> Ending:
    """Makes the calls of both phases; returns how they have ended."""
    ledger, reporter, shutdown = session.record.ledger, known.reporter, known.shutdown
    progress = Progress.of(ledger, trio.current_time() - known.seconds)
    helpers.start_soon(report_each_minute, progress, reporter.on_progress, name="progress")

    def emit(event: Event) -> None:
        session.on_event(event)
        reporter.on_event(event)

    async def cross_barrier() -> None:
        await session.journal.flush()
        reporter.on_barrier(progress)

    reporter.on_start(progress)
    error: EngineFailedError | None = None
    try:
        phases = Phases.of(progress, known.options.settings, known.start.trace_id, shutdown, helpers, emit)
        await run_phases(phases, cross_barrier)
    except EngineFailedError as failed:
        error = failed
    return await trio.to_thread.run_sync(partial(ending_of, ledger, shutdown.reason, error, shutdown.not_renewed))


async def close(known: SoFar, session: Session, ending: Ending) -> View:
    """Closes the record, whether or not both phases have succeeded. `run` goes on with the end of the start."""
    past, settings = known.past, known.options.settings
    known.shutdown.begin_closing()
    with known.shutdown.nights:
        await past.wait_until_read()
    with trio.CancelScope(shield=True):
        view = await trio.to_thread.run_sync(known.view, ending)
    made = documents(view, past, settings)
    report = view.report.model_copy(update={"not_written": past.not_made})
    report = await session.close(report, made, known.shutdown)
    severity_before = session.record.severity or past.severity_before(report.day)
    view = replace(view, report=report, severity_before=severity_before).with_page(known.runs_uri)
    if session.is_ended:
        return view
    return view.unended(session.journal.unwritten, session.journal.unwritten_cards, known.commands)


async def _whole(known: SoFar) -> View:
    """The whole start, until its lease is released. Raises only for a bug."""
    async with trio.open_nursery() as helpers:
        if (deadline := known.options.settings.deadline) is not None:
            helpers.start_soon(at_deadline, known.shutdown, deadline - known.seconds, name="deadline")
        async with AsyncExitStack() as stack:  # releases the lease, whatever happens after it was acquired
            begun = await open_day(known, stack, helpers)
            if isinstance(begun, Session):
                try:
                    ending = await work(known, begun, helpers)
                except BaseException:  # also if a helper has failed: this task is cancelled then
                    known.shutdown.request(ShutdownReason.BUG)
                    known.closed = await close(known, begun, Ending(Outcome.UNFORESEEN))  # noqa: ASYNC102  see `closing`
                    raise
                begun = await close(known, begun, ending)
        helpers.cancel_scope.cancel()
    return begun


def after_bug(known: SoFar) -> View:
    """How a start ended that ended by a bug. It does not raise, even if the ledger has what it must not have."""
    if known.closed is not None:
        return known.closed
    try:
        return known.view(Ending(Outcome.UNFORESEEN))
    except Exception:  # noqa: BLE001  the bug itself is reported already
        return known.view(Ending(Outcome.UNFORESEEN), ledger=Ledger.empty(known.start.day))


async def run(options: Options, reporter: Reporter) -> ExitCode:
    """Does what is missing of a day, and reports the end once. Raises only for a bug.

    It ends in this order, also after a bug: the record is closed, the lease is released, the last line is printed, the
    message is sent. The outcome is final before that line is printed: no later signal changes it or the exit code.
    """
    known = SoFar.of(options, reporter)
    shutdown, bug = known.shutdown, None
    async with trio.open_nursery() as listener:
        await listener.start(on_signals, shutdown)
        try:
            view = await _whole(known)
        except Exception as error:  # noqa: BLE001  it is raised again once the start has ended in this order
            view, bug = after_bug(known), error
        shutdown.is_final = True
        reporter.on_finish(view)
        await reporter.drain(min(LAST_LINE_SECONDS, shutdown.seconds_left))
        problem = await Notifier(options.settings).send(view, shutdown)
        if problem is not None:
            reporter.on_message("notification.failed", problem)
            await reporter.drain(min(FAILURE_SECONDS, shutdown.seconds_left))
        listener.cancel_scope.cancel()
    if bug is not None:
        raise bug
    return view.report.exit_code or ExitCode.DONE

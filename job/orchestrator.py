"""Orchestrator: one whole start. It opens its day, runs both phases, closes the record, and tells how it has ended."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import trio

from job.config.environment import Options
from job.day.attempt import ExitCode
from job.day.ending import ending_of
from job.day.ledger import Ledger
from job.day.report import NIGHTS_PAGE
from job.day.result import EngineFailedError
from job.day.summary import report_at_work
from job.execution.phases import Phases
from job.execution.progress import Event, Progress, report_each_minute
from job.execution.shutdown import ShutdownError, at_deadline, on_signals
from job.opening import DayStatus, open_day
from job.outputs.log import Reporter
from job.outputs.message import Notifier
from job.outputs.pages import documents, pages
from job.records.session import Session
from job.telling.view import View

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
            async with trio.open_nursery() as data_phase:
                for engine in phases.data_engines:
                    data_phase.start_soon(phases.prepare, engine, data_phase.cancel_scope, name=engine)
        except* EngineFailedError as failed:
            error = failed.exceptions[0]  # the only one
        if error is None and shutdown.reason is None:
            await cross_barrier()  # all results so far are durable then
    if error is not None:
        raise error
    if shutdown.reason is None:
        with shutdown.cards:
            await phases.generate()  # raises unless all data is ready


async def run(options: Options, reporter: Reporter) -> ExitCode:
    """Does what is missing of a day, and reports the end once.

    It ends in this order, also after a bug: the record is closed, the lease is released, the last line is printed, the
    message is sent. The outcome is final before that line is printed: no later signal changes it or the exit code.
    """
    status = DayStatus.of(options, reporter)
    shutdown = status.shutdown
    async with trio.open_nursery() as listener:
        await listener.start(shutdown.watch, on_signals, shutdown)
        view = await shutdown.watch(start, status) or status.view_after_bug()
        shutdown.is_final = True
        try:
            reporter.on_finish(view)
        except Exception:
            # The day is as the view has it, and whoever reads messages is told so.
            logging.getLogger(__name__).exception("the end is not printed as it should be")
        await reporter.drain(min(LAST_LINE_SECONDS, shutdown.seconds_left))
        problem = await Notifier(options.settings).send(view, shutdown)
        if problem is not None:
            reporter.on_message("notification.failed", problem)
            await reporter.drain(min(FAILURE_SECONDS, shutdown.seconds_left))
        listener.cancel_scope.cancel()
    return ExitCode.UNFORESEEN if view.report.exit_code is None else view.report.exit_code


async def start(status: DayStatus) -> View:
    """The whole start, until its lease is released."""
    shutdown, deadline = status.shutdown, status.options.settings.deadline
    async with trio.open_nursery() as helpers:
        if deadline is not None:
            helpers.start_soon(shutdown.watch, at_deadline, shutdown, deadline - status.seconds, name="deadline")
        async with AsyncExitStack() as stack:  # releases the lease, whatever happens after it was acquired
            opened = await open_day(status, stack, helpers)
            if isinstance(opened, Session):
                error = await shutdown.watch(work, status, opened, helpers)
                opened = await close(status, opened, error)
        helpers.cancel_scope.cancel()
    return opened


async def work(status: DayStatus, session: Session, helpers: trio.Nursery) -> EngineFailedError | None:
    """Makes the calls of both phases; returns which data engine has failed, if one has."""
    reporter, shutdown = status.reporter, status.shutdown
    progress = Progress.of(session.record.ledger, trio.current_time() - status.seconds)
    at_barrier, error = trio.Event(), None

    def emit(event: Event) -> None:
        session.on_event(event)
        reporter.on_event(event)

    async def cross_barrier() -> None:
        await session.journal.flush()
        reporter.on_barrier(progress)
        at_barrier.set()

    reporter.on_start(progress)
    async with trio.open_nursery() as beside:
        beside.start_soon(shutdown.watch, report_each_minute, progress, reporter.on_progress, name="progress")
        beside.start_soon(keep_pages, status, session, at_barrier, name="pages")
        try:
            phases = Phases.of(progress, status.options.settings, status.start.trace_id, shutdown, helpers, emit)
            await run_phases(phases, cross_barrier)
        except EngineFailedError as failed:
            error = failed
        beside.cancel_scope.cancel()
    return error


PAGES_SECONDS = 300.0


async def keep_pages(status: DayStatus, session: Session, at_barrier: trio.Event) -> None:
    """Writes both pages as the day stands: now, at the barrier, and every five minutes, until it is cancelled.

    Nothing waits for it, and a bug in it is seen on standard error and ends no start.
    """
    start, settings, ledger = status.start, status.options.settings, session.record.ledger
    try:
        await status.past_nights.wait_until_read()
        while True:
            view = View.of(report_at_work(start, ledger), Ledger.empty(start.day), status.commands)
            await session.show(pages(view, status.past_nights, settings))
            with trio.move_on_after(PAGES_SECONDS):
                await at_barrier.wait()
                at_barrier = trio.Event()
    except Exception:
        logging.getLogger(__name__).exception("the pages are not written while the start is at work")


async def close(status: DayStatus, session: Session, error: EngineFailedError | None) -> View:
    """Closes the record, however both phases have ended. `run` goes on with the end of the start."""
    past_nights, settings, shutdown = status.past_nights, status.options.settings, status.shutdown
    ledger = session.record.ledger
    ending = await trio.to_thread.run_sync(ending_of, ledger, shutdown.reason, error, shutdown.not_renewed)
    shutdown.begin_closing()
    with shutdown.nights:
        await past_nights.wait_until_read()
    # A bug in what is told of the day keeps no result from being written.
    view = await shutdown.watch(trio.to_thread.run_sync, status.view, ending) or status.view_after_bug()
    to_write = documents(view, past_nights, settings)
    report = view.report.model_copy(update={"not_written": (NIGHTS_PAGE,) if past_nights.nights is None else ()})
    report = await session.close(report, to_write, shutdown)
    severity_before = session.record.severity or past_nights.severity_before(report.day)
    view = replace(view, report=report, severity_before=severity_before).with_page(status.runs_uri)
    if session.is_ended:
        return view
    unwritten = session.journal.unwritten
    return view.unended(len(unwritten), sum(one.done and one.engine == "qa" for one in unwritten), status.commands)

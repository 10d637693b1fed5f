"""Orchestrator: one whole start. Config, lease, data phase, barrier, card phase, record, message."""

import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import trio

from job.config.environment import DAY_VARIABLES
from job.config.faults import CommandFault, ConfigError, Fault
from job.engines.catalog import ENGINES
from job.engines.id_tokens import IdTokens
from job.engines.identity import RunIdentity, new_trace_id
from job.engines.tls import tls_context
from job.execution.events import Event
from job.execution.executor import RunContext
from job.execution.gauge import Live, report_each_minute
from job.execution.phases import EngineFailedError, Phases
from job.execution.shutdown import Shutdown, at_deadline, on_signals
from job.ledger.ledger import Ledger, SetAside
from job.ledger.result import CallResult
from job.ledger.stop import ShutdownReason
from job.notification.sender import Notifier
from job.page.documents import documents
from job.planning.plan import Plan
from job.planning.prepare import Prepared, UnreadConfigError, prepare
from job.planning.request import RunRequest
from job.records.day import Listing, record_refusal
from job.records.lease import BusyError, Holder, Lease, acquire
from job.records.nights import PastNights, known_days
from job.records.session import Session, StorageAlarm, open_session
from job.report.advice import Retry, Step, advice, last_words
from job.report.attempt import Entry, Start
from job.report.commands import Commands, page_address
from job.report.comparison import comparison_lines, night_before
from job.report.format import NIGHTS_PAGE, PAGE, RecordError
from job.report.outcome import (
    LEFT_OUT,
    Ending,
    ExitCode,
    Outcome,
    bad_config,
    busy,
    cards_line,
    ending_of,
    more_cards_notice,
    nothing_missing,
    past_day_notice,
    storage_failed,
    unforeseen,
    unrecorded_note,
)
from job.report.report import Report, report_of
from job.report.view import View
from job.storage.store import ObjectStore, StorageError, UnusableError, words_of
from job.storage.uri import open_store
from job.text.display import clock
from job.text.messages import Message, dated_time, listed, message, template, translator

REFUSAL_SECONDS = 3.0
"""Time limit for recording the faults of a configuration."""


async def run_phases(phases: Phases, cross_barrier: Callable[[], Awaitable[None]]) -> None:
    """Prepares all data, and only then has every card generated.

    The first data engine that fails cuts off its siblings and ends the run: its `EngineFailedError` is raised, and no
    card is requested. A shutdown ends the data phase at once, and gives cards in flight some seconds.
    """
    shutdown, error = phases.context.shutdown, None
    with shutdown.stage("prepare"):
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
        with shutdown.stage("cards"):
            await phases.generate()  # raises unless all data is ready


class Reporter(Protocol):
    """Reports a start to its user while it is in progress, and its end."""

    def on_faults(self, faults: Iterable[Fault]) -> None: ...
    def on_notices(self, notices: Iterable[Message]) -> None: ...
    def on_storage(self, text: Message, is_fault: bool) -> None: ...
    def on_day(self, start: Start) -> None: ...
    def on_start(self, live: Live) -> None: ...
    def on_barrier(self, live: Live) -> None: ...
    def on_progress(self, live: Live, now: float) -> None: ...
    def on_event(self, event: Event) -> None: ...
    def on_second_signal(self, text: Message | None) -> None: ...
    def on_finish(self, view: View) -> None: ...
    def on_notification_failed(self, text: Message) -> None: ...
    async def drain(self, seconds: float) -> None: ...


async def run(request: RunRequest, reporter: Reporter) -> ExitCode:
    """Does what is missing of a day, and reports the end once. Raises only for a bug.

    It ends in this order, also after a bug: the record is closed, the lease is released, the last line is printed, the
    message is sent. The outcome is final before that line is printed: no later signal changes it or the exit code.
    """
    this = _Run(request, reporter)
    shutdown, bug = this.shutdown, None
    async with trio.open_nursery() as listener:
        await listener.start(on_signals, shutdown, this.on_second_signal)
        try:
            view = await this.run()
        except Exception as error:  # noqa: BLE001  it is raised again once the start has ended in this order
            view, bug = this.after_bug(), error
        shutdown.is_final = True
        reporter.on_finish(view)
        with shutdown.stage("last_line") as seconds:
            await reporter.drain(seconds)
        told = replace(view, steps=this.steps(view.report, Retry.of(request.settings)))
        if problem := await Notifier(request.settings).send(told, shutdown):
            reporter.on_notification_failed(problem)
            with shutdown.stage("failure") as seconds:
                await reporter.drain(seconds)
        listener.cancel_scope.cancel()
    if bug is not None:
        raise bug
    return ExitCode(view.report.exit_code or 0)


class _Run:
    """One start, from its config to its end."""

    def __init__(self, request: RunRequest, reporter: Reporter) -> None:
        settings = request.settings
        self.shutdown = Shutdown()
        self._request = request
        self._reporter = reporter
        self._trace_id = new_trace_id()
        self._days = settings.days()
        self._start = self._start_for(request.day(self._days)[0])
        self._ledger = Ledger(Plan.empty(self._start.day))
        """That of the empty plan, until it is known what the day has."""
        self._session: Session | None = None
        self._is_of_command = False
        """Whether the command itself is at fault, so that it must not be given again."""
        self._closed: View | None = None
        """How this start has ended, once its record was closed."""
        self._past = PastNights(reporter.on_notices)
        self._translator = translator(settings.language)

    async def run(self) -> View:
        """The whole start, until its record is closed and the lease is released."""
        request = self._request
        async with trio.open_nursery() as helpers:
            if request.settings.deadline is not None:
                left = request.settings.deadline - (time.monotonic() - request.started)
                helpers.start_soon(at_deadline, self.shutdown, left, name="deadline")
            view = await self._run(helpers)
            helpers.cancel_scope.cancel()
        return view

    def after_bug(self) -> View:
        """How a start ended that ended by a bug. It does not raise, even if the ledger has what it must not have."""
        if self._closed is not None:
            return self._closed
        try:
            return self._view(self._report(unforeseen(self._ledger if self._session is not None else None)))
        except Exception:  # noqa: BLE001  the bug itself is reported already
            self._ledger = Ledger(Plan.empty(self._start.day))
            return self._view(self._report(unforeseen(None)))

    def on_second_signal(self) -> None:
        """The process is about to end at once."""
        words = last_words(self._start, self._commands) if self._session is not None else None
        self._reporter.on_second_signal(words)

    def steps(self, report: Report, retry: Retry = Retry.UNKNOWN) -> tuple[Step, ...]:
        """What a person does next."""
        return () if self._is_of_command else advice(report, self._commands, retry)

    async def _run(self, helpers: trio.Nursery) -> View:
        self._reporter.on_notices(self._request.settings.notices)
        async with AsyncExitStack() as stack:  # releases the lease, whatever happens after it was acquired
            ending: Ending | None = None
            try:
                with self.shutdown.stage("prepare"):
                    ending = await self._open(stack, helpers)
            except ConfigError as error:
                self._reporter.on_faults(error.faults)
                return await self._refuse(error.faults)
            except UnreadConfigError as error:
                ending = storage_failed(message("CONFIG_URI: {error}", error=error.reason))
            except BusyError as error:
                ending = busy(error.holder, error.sentence)
            except StorageError as error:
                ending = storage_failed(message("RUNS_URI: {error}", error=words_of(error)))
            session = self._session
            if session is None:
                ending = ending or ending_of(None, self.shutdown.reason, None, self.shutdown.not_renewed)
                if ending.outcome is not Outcome.SUCCEEDED:
                    return self._view(self._report(ending))
                address = page_address(self._request.settings.runs_uri or "", self._start.day)
                return replace(self._view(self._report(ending)), is_news=self._was_asked, page=address)
            try:
                ending = await self._call(session, helpers)
            except BaseException:  # also if a helper has failed: this task is cancelled then
                self.shutdown.request(ShutdownReason.BUG)
                self._closed = await self._close(unforeseen(self._ledger), session)  # noqa: ASYNC102  see `stage`
                raise
            return await self._close(ending, session)

    async def _open(self, stack: AsyncExitStack, helpers: trio.Nursery) -> Ending | None:
        """Gets the lease, reads what the day has, and adds this attempt to it.

        Returns how the start ends if nothing is left to be done.
        """
        settings, notify = self._request.settings, self._reporter.on_storage
        if self._request.faults or settings.runs_uri is None:
            await prepare(self._request, self._start.day)  # raises them, and those of the config
        store = open_store(settings.runs_uri or "", make=True)
        try:
            await self._settle_day(store)
            request = self._request
            prepared = await prepare(request, self._start.day)
            holder = self._holder()
            waits = not request.again  # who asks for something again looks first at what the other one makes
            lease = await stack.enter_async_context(acquire(store, holder, self._on_waiting, waits=waits))
            helpers.start_soon(lease.renew_forever, self.shutdown, StorageAlarm(notify), name="lease")
            if lease.has_waited:
                self._reporter.on_notices(self._notices_of_waiting())
                prepared = await prepare(request, self._start.day)
            helpers.start_soon(self._past.read, store, self._start.day, name="past nights")
            return await self._open_day(lease, prepared, helpers)
        except RecordError as error:
            remedy = message(
                "restore it, or move the folder {day} away: all its cards are then made, and paid for, again",
                day=self._start.day,
            )
            raise ConfigError([Fault("RUNS_URI", error.what, error.remedy or remedy)]) from error
        except UnusableError as error:
            raise ConfigError([Fault("RUNS_URI", error.what, error.remedy or message("correct it"))]) from error

    async def _open_day(self, lease: Lease, prepared: Prepared, helpers: trio.Nursery) -> Ending | None:
        request = self._request
        generations = {name: stored.generation for name, stored in sorted(prepared.objects.items())}
        start = self._start.model_copy(update={"generations": generations, "without": request.without})
        opened = await open_session(lease, start, prepared, self._reporter.on_storage)
        self._ledger = opened.record.ledger
        self._take(opened.start)
        self._reporter.on_notices(prepared.plan.notices)
        if opened.session is None:
            before = opened.record.ended
            ended = datetime.fromisoformat(before.ended or "") if before else request.now
            next_night = dated_time(self._days.after(self._days.current(request.now))) if self._days.schedule else None
            return nothing_missing(self._ledger, clock(ended, start.day), next_night)
        self._session = opened.session
        self._reporter.on_notices(self._notices(opened.record.latest))
        helpers.start_soon(opened.session.journal.run, name="journal")
        return None

    def _start_for(self, day: str) -> Start:
        request = self._request
        return Start.of(request.settings, self._days, day, request.now, self._trace_id, request.arguments)

    async def _settle_day(self, store: ObjectStore) -> None:
        """Decides for which day this start is. Raises `ConfigError`, `RecordError` and `StorageError`."""
        self._days = await known_days(self._request.settings, store)
        day, faults = self._request.day(self._days)
        self._take(self._start_for(day))
        if faults:
            await prepare(replace(self._request, faults=faults), day)  # raises them, and those of the config
        fault = self._request.unconfirmed(self._days)
        if fault is not None and not (await Listing.of(store, day)).is_recorded:
            await prepare(replace(self._request, faults=[fault]), day)  # as above

    def _take(self, start: Start) -> None:
        """From here on, this is a start for that day, and perhaps an attempt."""
        self._start = start
        if not self._ledger.plan.targets:
            self._ledger = Ledger(Plan.empty(start.day))
        self._reporter.on_day(start)

    def _holder(self) -> Holder:
        """This start as a holder of the lease."""
        settings = self._request.settings
        return Holder(
            owner=secrets.token_hex(8),
            day=self._start.day,
            since=datetime.now(self._days.zone).isoformat(timespec="seconds"),
            execution=settings.execution,
            task_attempt=settings.task_attempt,
        )

    def _on_waiting(self, notice: Message) -> None:
        self._reporter.on_notices([notice])

    def _notices_of_waiting(self) -> Sequence[Message]:
        """What has changed while this start waited for another one."""
        current = self._days.current(datetime.now(UTC))
        if self._request.date is not None or current == self._start.day:
            return []
        text = template("{day} ended while this start waited: it is for {day} all the same, a new one is for {current}")
        return [message(text, day=self._start.day, current=current)]

    def _notices(self, latest: Entry | None) -> Sequence[Message]:
        """What a person should know of this attempt before it makes calls. `latest` is the attempt before, if any."""
        start, ledger = self._start, self._ledger
        notices = []
        asks = ledger.left("financial") or ledger.left("trading")
        if asks and self._days.is_past(start.day, self._request.now):
            notices.append(past_day_notice(start.day))
        if latest is not None:
            text = template("Going on with {day}: {cards}")
            notices.append(message(text, day=start.day, cards=cards_line(ledger)))
            notices += more_cards_notice(ledger.counts("qa").planned - latest.cards, start.day)
        if names := ledger.left_out:
            notices.append(message(LEFT_OUT, names=listed(names)))
        return notices

    async def _call(self, session: Session, helpers: trio.Nursery) -> Ending:
        """Both phases."""
        from job.engines.http_connection import HttpConnection, Network  # noqa: PLC0415  httpx takes 0.02 s to import

        settings = self._request.settings
        network = Network(tls_context(settings.authorities))
        began = trio.current_time() - (time.monotonic() - self._request.started)
        live = Live.of(self._ledger, began)
        helpers.start_soon(report_each_minute, live, self._reporter.on_progress, name="progress")

        def emit(event: Event) -> None:
            if isinstance(event, CallResult):
                self._ledger.add(event)
                session.journal.append(event)
            elif isinstance(event, SetAside):
                self._ledger.set_aside.append(event)
            self._reporter.on_event(event)

        async def cross_barrier() -> None:
            await session.journal.flush()
            self._reporter.on_barrier(live)

        context = RunContext(
            run=RunIdentity(self._start.trace_id),
            tokens=IdTokens(helpers, settings.impersonate),
            connect=lambda engine: HttpConnection(
                network, settings.engines[engine].url or "", kept=ENGINES[engine].keeps_connections
            ),
            shutdown=self.shutdown,
            emit=emit,
            epoch=time.time() - trio.current_time(),
            gauges=live.gauges,
            again_of=self._ledger.again_of,
        )
        self._reporter.on_start(live)
        error: EngineFailedError | None = None
        try:
            await run_phases(Phases(self._ledger, settings.engines, context), cross_barrier)
        except EngineFailedError as failed:
            error = failed
        return ending_of(self._ledger, self.shutdown.reason, error, self.shutdown.not_renewed)

    async def _close(self, ending: Ending, session: Session) -> View:
        """Closes the record, whether or not both phases have succeeded: the end is written last of all."""
        with self.shutdown.stage("nights"):
            await self._past.wait()
        nights = self._past.nights
        view = self._view(self._report(ending))
        made = documents(view, nights, self._request.settings.runs_uri or "", datetime.now(UTC), self._translator)
        not_made = () if nights is not None else (NIGHTS_PAGE,)
        report = view.report.model_copy(update={"not_written": not_made})
        report = await session.close(report, made, self.shutdown)
        if not session.is_ended:
            unrecorded = session.journal.unwritten
            notes = (*report.notes, unrecorded_note(unrecorded, is_done=not self._ledger.is_left))
            report = report.model_copy(update={"notes": notes})
            view = replace(view, unrecorded=unrecorded)
        has_page = f"{report.day}/{PAGE}" not in report.not_written
        page = page_address(self._request.settings.runs_uri or "", report.day) if has_page else None
        return replace(view, report=report, page=page, is_news=self._is_news(ending, session))

    @property
    def _was_asked(self) -> bool:
        """Whether somebody waits to hear that there was nothing to do: a person, or who was told of a first try."""
        request = self._request
        is_plain = request.arguments == ("run",)
        return request.settings.task_attempt > 0 or not (is_plain and self._days.is_scheduled(request.now))

    def _is_news(self, ending: Ending, session: Session) -> bool:
        """Whether a message is sent about this attempt."""
        if self._request.settings.notify_only == "all" or ending.exit != ExitCode.DONE:
            return True
        record = session.record
        if record.was_killed or record.listing.is_refused or self._request.settings.task_attempt:
            return True  # the first try may have told that it failed
        if record.ended is None:
            return self._past.follows_failure(self._start.day)
        return record.ended.outcome is not Outcome.SUCCEEDED

    async def _refuse(self, faults: Sequence[Fault]) -> View:
        """Records the faults if nothing else is recorded of the day. A failure to do so changes nothing."""
        settings = self._request.settings
        self._is_of_command = any(isinstance(fault, CommandFault) for fault in faults)
        of_command = all(isinstance(fault, CommandFault) for fault in faults)
        ending = bad_config(len(faults), of_command=of_command)
        view = self._view(self._report(ending, faults=faults))
        if self._is_of_command:
            return replace(view, is_news=False)  # only who gave the command can correct it, and is told at once
        if settings.runs_uri is None or (DAY_VARIABLES | {"RUNS_URI"}) & {fault.where for fault in faults}:
            return view
        try:
            with trio.fail_after(REFUSAL_SECONDS):
                store = open_store(settings.runs_uri, make=True)
                if self._past.nights is None:
                    await self._past.read(store, self._start.day)
                made = documents(view, self._past.nights, settings.runs_uri, datetime.now(UTC), self._translator)
                is_recorded = await record_refusal(store, view.report, made)
        except Exception as error:  # noqa: BLE001  see above
            problem = words_of(error) or message("there was no answer within {seconds} s", seconds=REFUSAL_SECONDS)
            text = template("storage: the faults of the configuration are not recorded: {error}")
            self._reporter.on_storage(message(text, error=problem), True)
            return view
        return replace(view, page=page_address(settings.runs_uri, view.report.day)) if is_recorded else view

    def _report(self, ending: Ending, faults: Sequence[Fault] = ()) -> Report:
        """The report of this start, which ends now."""
        return report_of(
            self._start,
            self._ledger,
            ending,
            seconds=time.monotonic() - self._request.started,
            faults=faults,
            before=night_before(self._past.before(self._start.day), self._start.day),
        )

    def _view(self, report: Report) -> View:
        """What is shown of a report of this start."""
        nights = self._past.before(report.day)
        comparison = tuple(comparison_lines(report, self._ledger, nights, self._past.entry))
        return View(report, self._ledger, self.steps(report), comparison)

    @property
    def _commands(self) -> Commands:
        """The commands for whoever reads about this start now."""
        return Commands.of(self._start, self._request.settings.runs_uri, self._days, datetime.now(UTC))

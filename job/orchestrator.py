"""Orchestrator: one whole run. Config, lease, data phase, barrier, card phase, record, report."""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import trio

from job.config.environment import Settings
from job.config.faults import NOT_SET, CommandFault, ConfigError, Fault
from job.engines.catalog import ENGINES
from job.engines.http_connection import HttpConnection, Network
from job.engines.id_tokens import IdTokens
from job.engines.identity import RunIdentity
from job.execution.events import Event
from job.execution.executor import RunContext
from job.execution.gauge import Live, report_each_minute
from job.execution.phases import EngineFailedError, Phases
from job.execution.request import RemakeOptions, RunRequest
from job.execution.shutdown import Budget, Shutdown, at_deadline, on_signals
from job.ledger.ledger import Ledger, SetAside
from job.ledger.remakes import Remake
from job.ledger.result import CallResult
from job.notification.sender import Notifier
from job.page.documents import documents, nights_page
from job.planning.prepare import Prepared, UnreadConfigError, prepare
from job.records.attempts import AttemptEntry
from job.records.days import Chosen, add_day, choose, is_latest
from job.records.lease import BusyError, Lease, acquire
from job.records.left_out import less_left_out, still_left_out
from job.records.past import EndedRun, PastNights, write_nights_page
from job.records.record import find_latest_inputs
from job.records.refusal import NotResumableError, contradictions, elsewhere, not_resumable, record_refusal
from job.records.remaking import check_data, confirmation, remakes_of, still_asked_for, what_is_paid, with_remakes
from job.records.session import RecordSession, acquire_if, going_without, lease_holder, over_midnight, resuming
from job.report.advice import Retry, Step, advice, last_words, with_commands
from job.report.commands import Place, page_address
from job.report.format import RecordError
from job.report.inputs import RunInputs, without_plan
from job.report.outcome import (
    UNFORESEEN,
    Ending,
    ExitCode,
    bad_config,
    busy,
    ending_of,
    no_lease,
    not_confirmed,
    nothing_missing,
    unread_config,
)
from job.report.report import AttemptSummary, RunReport, not_recorded, report_of
from job.storage.store import ObjectStore, StorageError, UnusableError, words_of
from job.storage.uri import open_store
from job.text.messages import Message, message, template, translator

REFUSAL_SECONDS = 3.0
"""Time limit for recording the faults of a configuration."""
UNRECORDED = message("RUNS_URI is not set: this run is not recorded, cannot be resumed, and does not see another one")


async def run_phases(phases: Phases, cross_barrier: Callable[[], Awaitable[None]]) -> None:
    """Prepares all data, and only then has every card generated.

    The first data engine that fails cuts off its siblings and ends the run: its `EngineFailedError` is raised, and no
    card is requested. A shutdown ends the data phase at once and the card phase after its grace period.
    """
    shutdown, error = phases.context.shutdown, None
    with shutdown.phase(graceful=False):
        try:
            async with trio.open_nursery() as data_phase:  # if one of its tasks fails, the others are cancelled
                for engine in phases.data_engines:
                    data_phase.start_soon(phases.prepare, engine, name=engine)
        except* EngineFailedError as failed:
            error = failed.exceptions[0]  # two may fail at the same moment
        if error is None and shutdown.reason is None:
            await cross_barrier()  # all results so far are durable then, and the crossing itself
    if error is not None:
        raise error
    if shutdown.reason is None:
        with shutdown.phase(graceful=True):
            await phases.generate()  # raises unless all data is ready


class Reporter(Protocol):
    """Reports a run to its user while it is in progress, and its end."""

    def on_faults(self, faults: Iterable[Fault]) -> None: ...
    def on_notices(self, notices: Iterable[Message]) -> None: ...
    def on_storage(self, text: Message, is_fault: bool) -> None: ...
    def on_identity(self, run: RunIdentity) -> None: ...
    def on_start(self, live: Live) -> None: ...
    def on_barrier(self, live: Live) -> None: ...
    def on_progress(self, live: Live, now: float) -> None: ...
    def on_event(self, event: Event) -> None: ...
    def on_second_signal(self, text: Message | None) -> None: ...
    def on_finish(self, report: RunReport, ledger: Ledger, steps: Sequence[Step]) -> None: ...
    async def confirm(self, what: Message) -> bool: ...
    def on_notification_failed(self, text: Message) -> None: ...
    async def drain(self, seconds: float) -> None: ...


async def run(request: RunRequest, reporter: Reporter) -> ExitCode:
    """Does the run, and reports its end once. Raises only for a bug.

    It ends in this order, also after a bug: the record is closed, the lease is released, the last line is printed, the
    message is sent. The outcome is final before that line is printed: no later signal changes it or the exit code.
    """
    this = _Run(request, reporter)
    budget, bug = Budget(), None
    async with trio.open_nursery() as listener:
        await listener.start(on_signals, this.shutdown, budget, this.on_second_signal)
        try:
            report = await this.run()
        except Exception as error:  # noqa: BLE001  it is raised again once the run has ended in this order
            report, bug = this.after_bug(), error
        budget.make_final()
        now = datetime.now(UTC)
        reporter.on_finish(report, this.ledger, advice(report, this.place, now))
        await reporter.drain(budget.seconds(Budget.LAST_LINE))
        steps = advice(report, this.place, now, Retry.of(request.settings))
        if problem := await Notifier(request.settings).send(report, this.ledger, steps, budget):
            reporter.on_notification_failed(problem)
            await reporter.drain(max(0.1, budget.seconds(Budget.FAILURE)))
        listener.cancel_scope.cancel()
    if bug is not None:
        raise bug
    return ExitCode(report.exit_code or 0)


class _Run:
    """One run from its config to its report."""

    def __init__(self, request: RunRequest, reporter: Reporter) -> None:
        self.shutdown = Shutdown()
        self.ledger = Ledger(without_plan())
        """That of the empty plan, until the run may make calls."""
        self._request = request
        self._reporter = reporter
        self._identity = request.identity
        self._inputs = RunInputs.unread(request.settings, request.identity.id, request.now)
        self._is_recorded = False
        """Whether the run has a record from which it can be resumed, and this attempt is no resume in vain."""
        self._is_latest = True
        """Whether it is the latest run of its day, which a start continues."""
        self._closed: RunReport | None = None
        """The report of this attempt, once its record was closed."""
        self._earlier: Sequence[AttemptSummary] = ()
        self._remakes: Sequence[Remake] = ()
        """What is made again, if that was asked for and confirmed."""
        self._past = PastNights(reporter.on_notices)
        self._translator = translator(request.settings.language)

    @property
    def place(self) -> Place:
        """Where commands for this run are to be given."""
        return Place.of(self._inputs, self._request.arguments, self._request.settings.run_date)

    async def run(self) -> RunReport:
        """The whole run, until its record is closed and the lease is released."""
        request = self._request
        async with trio.open_nursery() as helpers:
            if request.settings.deadline is not None:
                left = request.settings.deadline - (time.monotonic() - request.started)
                helpers.start_soon(at_deadline, self.shutdown, left, name="deadline")
            report = await self._run(helpers)
            helpers.cancel_scope.cancel()
        return report

    def after_bug(self) -> RunReport:
        """The report of a run that ended by a bug. It does not raise, even if the ledger has what it must not have."""
        if self._closed is not None:
            return self._closed
        try:
            return self._report(UNFORESEEN)
        except Exception:  # noqa: BLE001  the bug itself is reported already
            self.ledger = Ledger(without_plan())
            return self._report(UNFORESEEN)

    def on_second_signal(self) -> None:
        """The process is about to end at once."""
        is_recorded = self._is_recorded and self.ledger.plan.targets
        words = last_words(self._inputs, self.ledger, self.place, datetime.now(UTC)) if is_recorded else None
        self._reporter.on_second_signal(words)

    async def _run(self, helpers: trio.Nursery) -> RunReport:
        opened: tuple[Live | None, RecordSession | None] | None = None
        self._reporter.on_notices(self._request.settings.notices)
        try:
            with self.shutdown.phase(graceful=False):
                opened = await self._open(helpers)
        except ConfigError as error:
            self._reporter.on_faults(error.faults)
            return await self._refuse(error.faults)
        except UnreadConfigError as error:
            return self._report(unread_config(error.reason))
        except NotResumableError as error:
            self._reporter.on_faults(error.faults)
            return self._report(error.ending, faults=error.faults)
        except BusyError as error:
            return self._report(busy(error.holder))
        except StorageError as error:
            return self._report(no_lease(words_of(error)))
        if opened is None:
            return self._report(ending_of(None, self.shutdown.reason, None, self.shutdown.not_renewed))
        live, session = opened
        if live is None:
            report = self._report(nothing_missing(self._identity.id, self.ledger))
            return report.model_copy(update={"is_news": False})
        if session is None:
            return self._report(await self._call(live, None, helpers))
        try:
            ending = await self._call(live, session, helpers)
        except BaseException:  # also if a helper has failed: this task is cancelled then
            with trio.CancelScope(shield=True):
                self._closed = await self._close(UNFORESEEN, session, at_once=True)
            raise
        return await self._close(ending, session, at_once=False)

    async def _open(self, helpers: trio.Nursery) -> tuple[Live | None, RecordSession | None]:
        """The run, ready to make its calls; and if runs are recorded, the session that has the lease and the record.

        If nothing is left to be done, the run is `None`.
        """
        request, settings = self._request, self._request.settings
        if settings.runs_uri is None:
            faults = list(request.faults)
            if request.resume:
                remedy = message("set it to where the run is recorded")
                faults.append(Fault("RUNS_URI", message(NOT_SET), remedy))
            prepared = await prepare(settings, faults)
            self._reporter.on_notices([*prepared.notices, UNRECORDED])
            self._inputs = RunInputs.of(settings, self._identity.id, prepared, request.now)
            self.ledger = Ledger(prepared.plan)
            return self._start_helpers(helpers, None), None
        try:
            store = open_store(settings.runs_uri, make=True)
            return await self._open_recorded(store, helpers)
        except RecordError as error:
            remedy = message("restore it or remove that record, or start a run of another RUN_ID")
            raise ConfigError([Fault("RUNS_URI", error.what, remedy)]) from error
        except UnusableError as error:
            faults = [*request.faults, Fault("RUNS_URI", error.what, error.remedy or message("correct it"))]
            if not request.resume:
                await prepare(settings, faults)  # noqa: ASYNC120  raises, with the faults of the config beside these
            raise ConfigError(faults) from error

    async def _open_recorded(
        self, store: ObjectStore, helpers: trio.Nursery
    ) -> tuple[Live | None, RecordSession | None]:
        request = self._request
        lease, recorded, inputs, prepared = await self._acquire(store)
        self._reporter.on_notices(prepared.notices)
        self._inputs, self._is_recorded = inputs, True
        self.ledger = Ledger(prepared.plan, is_replanned=inputs.number > 0)
        session = RecordSession.of(lease, self.ledger, inputs, self._reporter.on_storage)
        live = self._start_helpers(helpers, session)
        amend = partial(with_remakes, remakes=self._remakes, inputs=inputs) if request.remake is not None else None
        is_left = await session.open(self._entry(lease.holder.owner), new=inputs is not recorded, amend=amend)
        self._earlier = session.record.attempts
        self._is_latest = not request.resume or await is_latest(store, inputs.run_id, inputs.config_uri, inputs.day)
        if not is_left:
            return None, None
        if recorded is not None and request.remake is None:
            is_retry = recorded.is_brought_by(request.settings.execution)
            asked = not is_retry and (request.new_config or not request.resume)
            left_out = [target.id for target in prepared.plan.left_out]
            self._reporter.on_notices([await resuming(recorded, inputs, new_config=asked, left_out=left_out)])
            self._reporter.on_notices(still_asked_for(self.ledger))
            self._reporter.on_notices(going_without(inputs, left_out))
            self._reporter.on_notices(over_midnight(recorded, request.now, request.settings.time_zone.key))
        return live, session

    async def _acquire(self, store: ObjectStore) -> tuple[Lease, RunInputs | None, RunInputs, Prepared]:
        """The lease for the run that this start is about, its recorded inputs and its present ones, and its plan."""
        request, settings = self._request, self._request.settings
        while True:  # once, unless another start changes the record before this one has the lease
            chosen = await self._choose(store)
            recorded = await find_latest_inputs(store, chosen.run_id)
            if recorded is None and request.resume:
                raise await not_resumable(store, settings.runs_uri or "", chosen.run_id)
            self._take(chosen.run_id, recorded)
            prepared, inputs = await self._prepare(store, recorded, chosen.dated(settings))
            if request.remake is not None:
                remakes = remakes_of(prepared.plan, inputs, request.remake, settings, request.now)
                await check_data(store, inputs)
                await self._confirm(remakes, request.remake)
            holder, notices = lease_holder(settings, inputs, None if request.again else chosen.work), list[Message]()
            on_waiting = partial(self._on_waiting, notices)
            lease = await acquire(store, holder, on_waiting, follows=request.remake is None)
            if await acquire_if(partial(self._is_current, store, chosen, recorded, is_new=not notices), lease):
                return lease, recorded, inputs, prepared

    async def _confirm(self, remakes: Sequence[Remake], options: RemakeOptions) -> None:
        """Says what will be paid for again, and asks whether to do it if a person is there. Raises what bars it."""
        if remakes == self._remakes:  # it was confirmed before the lease was waited for
            return
        what = what_is_paid(remakes)
        fault = confirmation(remakes, options, self._request.settings)
        is_asked = fault is None and options.can_ask and not options.is_confirmed
        if not is_asked:
            self._reporter.on_notices([what])
        if fault is not None:
            raise ConfigError([fault])
        if is_asked and not await self._reporter.confirm(what):
            raise NotResumableError(None, not_confirmed(self.place.again()))
        self._remakes = remakes

    def _on_waiting(self, notices: list[Message], notice: Message) -> None:
        notices.append(notice)
        self._reporter.on_notices([notice])

    async def _is_current(
        self, store: ObjectStore, chosen: Chosen, recorded: RunInputs | None, *, is_new: bool
    ) -> bool:
        """Whether the run still has these inputs, and the present config is new: not from before a wait for the lease.

        A new run becomes the latest of its day, unless another has; so does one of an early version, without an entry.
        """
        if not is_new or await find_latest_inputs(store, chosen.run_id) != recorded:
            return False
        has_entry = chosen.day is None or chosen.is_listed or (recorded is not None and chosen.number > 0)
        if has_entry or (recorded is not None and recorded.day != chosen.day):
            return True
        return await add_day(
            store, chosen, recorded.date if recorded else chosen.dated(self._request.settings).run_date
        )

    async def _choose(self, store: ObjectStore) -> Chosen:
        """Which run this start is about. Raises `RecordError` and `StorageError`."""
        request, settings = self._request, self._request.settings
        if request.resume:
            return Chosen(request.identity.id)
        return await choose(store, settings, request.identity.id, request.now, again=request.again)

    def _take(self, run_id: str, recorded: RunInputs | None) -> None:
        """From here on, this is an attempt at that run."""
        request = self._request
        self._is_recorded = recorded is not None and not request.resume
        if run_id != self._identity.id:
            self._identity = RunIdentity(run_id)
            self._reporter.on_identity(self._identity)
        self._inputs = recorded or RunInputs.unread(request.settings, run_id, request.now)

    def _start_helpers(self, helpers: trio.Nursery, session: RecordSession | None) -> Live:
        """Starts what runs beside the phases until the run has ended."""
        began = trio.current_time() - (time.monotonic() - self._request.started)
        live = Live.of(self.ledger, began)
        helpers.start_soon(report_each_minute, live, self._reporter.on_progress, name="progress")
        if session is not None:
            store, lease = session.lease.store, session.lease
            helpers.start_soon(lease.renew_forever, self.shutdown, session.alarm, name="lease")
            helpers.start_soon(session.record.journal.run, name="journal")
            helpers.start_soon(self._past.read, store, session.inputs, self.ledger.plan, name="past nights")
        return live

    async def _prepare(
        self, store: ObjectStore, recorded: RunInputs | None, settings: Settings
    ) -> tuple[Prepared, RunInputs]:
        """The plan and its inputs: from the current config, or from the recorded one."""
        request = self._request
        faults = request.faults
        if recorded is None:
            prepared = await prepare(settings, faults)
            return prepared, RunInputs.of(settings, self._identity.id, prepared, request.now)
        error = elsewhere(recorded, settings, new_config=request.new_config, without=request.without)
        if error is not None:
            raise error
        if (request.resume and not request.new_config) or recorded.is_brought_by(settings.execution):
            # The recorded config is used, so CONFIG_URI is not read.
            faults = [fault for fault in faults if fault.where != "CONFIG_URI"]
            faults += await contradictions(store, recorded, settings, request.now, is_resumed=request.resume)
            return await less_left_out(store, recorded, request.without, settings, faults)
        faults = [
            *faults,
            *await contradictions(store, recorded, settings, request.now, is_resumed=request.resume, place=True),
        ]
        prepared = await prepare(settings.model_copy(update={"run_date": recorded.date}), faults)
        if not request.new_config:
            prepared = await still_left_out(store, recorded, prepared)
        return prepared, recorded.with_config(prepared, settings)

    def _entry(self, owner: str) -> AttemptEntry:
        request, settings = self._request, self._request.settings
        return AttemptEntry(
            owner=owner,
            started=request.now.astimezone(settings.time_zone).isoformat(timespec="seconds"),
            execution=settings.execution,
            task_attempt=settings.task_attempt,
            arguments=tuple(request.arguments),
            zone=settings.time_zone.key,
            run_date=settings.run_date if settings.run_date_is_explicit or not settings.run_date else "today",
            concurrency={name: engine.concurrency for name, engine in settings.engines.items()},
            deadline=settings.deadline,
            card_url=settings.card_url,
            without=tuple(target.id for target in self.ledger.plan.left_out),
            config=self._inputs.digest,
        )

    async def _refuse(self, faults: Sequence[Fault]) -> RunReport:
        """Records a report and a page if this is the first attempt at the run. A failure does not affect the run."""
        request, settings = self._request, self._request.settings
        of_command = all(isinstance(fault, CommandFault) for fault in faults)
        report = self._report(bad_config(len(faults), of_command=of_command), faults=faults)
        is_unnamed = {"RUNS_URI", "RUN_ID"} & {fault.where for fault in faults}
        if request.resume or self._is_recorded or settings.runs_uri is None or is_unnamed:
            return report
        try:
            with trio.fail_after(REFUSAL_SECONDS) as scope:
                store = open_store(settings.runs_uri, make=True)
                steps = advice(report, self.place, datetime.now(UTC))
                made = documents(report, steps, None, settings.runs_uri, self._translator)
                is_recorded = await record_refusal(store, report, made, self.ledger)
        except Exception as error:  # noqa: BLE001  see above
            problem = words_of(error) or message("there was no answer within {seconds} s", seconds=REFUSAL_SECONDS)
            text = template("storage: the faults of the configuration are not recorded: {error}")
            self._reporter.on_storage(message(text, error=problem), True)
            return report.model_copy(update={"page": ""})
        if is_recorded:
            await self._leave_nights(store, report, scope.deadline)
        # The page is that of this attempt, or of an earlier one.
        return report.model_copy(update={"page": page_address(settings.runs_uri, report.run_id)})

    async def _call(self, live: Live, session: RecordSession | None, helpers: trio.Nursery) -> Ending:
        """Both phases."""
        settings, network = self._request.settings, Network()
        journal = session.record.journal if session else None

        def emit(event: Event) -> None:
            if isinstance(event, CallResult):
                self.ledger.add(event)
                if journal is not None:
                    journal.append(event)
            elif isinstance(event, SetAside):
                self.ledger.set_aside.append(event)
            self._reporter.on_event(event)

        async def cross_barrier() -> None:
            if session is not None:
                await session.record.mark_barrier()
            self._reporter.on_barrier(live)

        context = RunContext(
            run=self._identity,
            tokens=IdTokens(helpers, settings.impersonate),
            connect=lambda engine: HttpConnection(network, kept=ENGINES[engine].keeps_connections),
            shutdown=self.shutdown,
            emit=emit,
            epoch=time.time() - trio.current_time(),
            gauges=live.gauges,
            remake_of=self.ledger.remake_of,
        )
        self._reporter.on_start(live)
        error: EngineFailedError | None = None
        try:
            await run_phases(Phases(self.ledger, settings.engines, context), cross_barrier)
        except EngineFailedError as failed:
            error = failed
        return ending_of(self.ledger, self.shutdown.reason, error, self.shutdown.not_renewed)

    async def _close(self, ending: Ending, session: RecordSession, *, at_once: bool) -> RunReport:
        """Closes the record, whether or not both phases have succeeded."""
        runs_uri = self._request.settings.runs_uri or ""
        report = self._report(ending)
        report = report.model_copy(update={"since_last_night": self._past.compare(report, self.ledger.items)})
        steps = advice(report, self.place, datetime.now(UTC))
        made = partial(documents, steps=steps, before=self._past.before, runs_uri=runs_uri, translator=self._translator)
        until = await session.close(report, made, self.shutdown, at_once=at_once)
        if until is not None:
            await self._leave_nights(session.lease.store, report, until)
        report = not_recorded(report, session.unrecorded)
        page = page_address(runs_uri, report.run_id) if session.has_page else ""
        return report.model_copy(update={"page": page, "is_news": self._is_news(ending, session)})

    def _is_news(self, ending: Ending, session: RecordSession) -> bool:
        """Whether a message is sent about this attempt."""
        if self._request.settings.notify_only == "all" or ending.exit != ExitCode.DONE:
            return True
        follows = session.record.follows_failure
        if follows is None:
            return self._past.may_follow_failure(self._identity.id, self._inputs.config_uri)
        return follows

    def _report(self, ending: Ending, faults: Sequence[Fault] = ()) -> RunReport:
        """The report of this attempt, which ends now."""
        request, settings = self._request, self._request.settings
        seconds = time.monotonic() - request.started
        this = AttemptSummary.of(ending, self._inputs, request.now, seconds, self.ledger.set_aside)
        report = report_of(
            self._inputs,
            self.ledger,
            (*self._earlier, this),
            faults=faults,
            zone=settings.time_zone.key,
            project=settings.project or self._inputs.project,
            execution=settings.execution,
            is_recorded=self._is_recorded,
            is_latest=self._is_latest,
            instead=ending.instead,
            deadline=settings.deadline,
            card_url=settings.card_url,
        )
        return with_commands(report, self.place)

    async def _leave_nights(self, store: ObjectStore, report: RunReport, until: float) -> None:
        own = EndedRun(report, self.place)
        render = nights_page(self._request.settings.runs_uri or "", self._translator)
        if problem := await write_nights_page(store, self._past.nights, own, render, until):
            self._reporter.on_notices([problem])

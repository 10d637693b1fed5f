"""Orchestrator: one whole run. Config, lease, data phase, barrier, card phase, record, outcome."""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

import trio

from job.config.faults import ConfigError, Fault
from job.engines.catalog import ENGINES
from job.engines.http_connection import HttpConnection, tls_context
from job.engines.id_tokens import IdTokens
from job.execution.events import Event
from job.execution.executor import RunContext
from job.execution.outcome import UNFORESEEN, ExitCode, Outcome, bad_config, no_lease, outcome_of, with_record
from job.execution.phases import EngineFailedError, Phases
from job.execution.progress import RunProgress, report_each_minute
from job.execution.request import RunRequest
from job.execution.shutdown import Shutdown, at_deadline
from job.execution.signals import LAST_SECONDS, Ending, on_signals
from job.notification.run_end import RunEnd
from job.notification.sender import Notifier
from job.page.documents import documents, nights_page
from job.planning.plan import Plan
from job.planning.prepare import Prepared, prepare
from job.records.comparison import Comparison
from job.records.format import RecordError
from job.records.inputs import RunInputs
from job.records.nights import PastNights, write_nights_page
from job.records.record import find_latest_inputs
from job.records.refusal import NotResumableError, contradictions, not_resumable, record_refusal, refused_report
from job.records.report import AttemptSummary, build_report
from job.records.session import (
    RecordSession,
    StoodBackError,
    StorageAlarm,
    acquire_for,
    lease_holder,
    open_session,
    over_midnight,
    resuming,
)
from job.records.set_aside import set_aside_types
from job.storage.store import ObjectStore, StorageError, UnusableError, words_of
from job.storage.uri import open_store
from job.text.messages import Message, message, template, translator

FAILURE_SECONDS = 0.5
"""For writing the line which says that the message was not sent."""
REFUSAL_SECONDS = 3.0
"""Time limit for recording the faults of a configuration."""
UNRECORDED = message("RUNS_URI is not set: this run is not recorded, cannot be resumed, and does not see another one")


class Reporter(Protocol):
    """Reports a run to its user while it is in progress."""

    def on_faults(self, faults: Iterable[Fault]) -> None: ...
    def on_notices(self, notices: Iterable[Message]) -> None: ...
    def on_storage(self, text: Message, is_fault: bool) -> None: ...
    def on_record(self, inputs: RunInputs) -> None: ...
    def on_start(self, date: str | None, progress: RunProgress) -> None: ...
    def on_barrier(self, progress: RunProgress) -> None: ...
    def on_progress(self, progress: RunProgress, now: float) -> None: ...
    def on_event(self, event: Event) -> None: ...
    def on_closed(self, comparison: Comparison | None, *, has_page: bool) -> None: ...
    def on_second_signal(self) -> None: ...
    def on_finish(self, outcome: Outcome, progress: RunProgress | None) -> None: ...
    def on_notification_failed(self, text: Message) -> None: ...
    async def drain(self, seconds: float) -> None: ...


async def run(request: RunRequest, reporter: Reporter) -> ExitCode:
    """Does the run, and reports its outcome once. Raises only for a bug.

    It ends in this order, also after a bug: the record is closed, the lease is released, the last line is printed, the
    message is sent. The outcome is final before that line is printed: no later signal changes it or the exit code.
    """
    orchestration = _Orchestration(request, reporter)
    bug: Exception | None = None
    ending = Ending()
    async with trio.open_nursery() as listener:
        await listener.start(on_signals, orchestration.shutdown, ending, reporter.on_second_signal)
        try:
            outcome = await orchestration.run()
        except Exception as error:  # noqa: BLE001  it is raised again once the run has ended in this order
            outcome, bug = UNFORESEEN, error
        orchestration.end.outcome, orchestration.end.progress = outcome, orchestration.progress
        ending.make_final()
        reporter.on_finish(outcome, orchestration.progress)
        await reporter.drain(ending.seconds(LAST_SECONDS))
        if problem := await Notifier(request.settings).send(orchestration.end, ending):
            reporter.on_notification_failed(problem)
            await reporter.drain(max(0.1, ending.seconds(FAILURE_SECONDS)))
        listener.cancel_scope.cancel()
    if bug is not None:
        raise bug
    return outcome.exit


class _Orchestration:
    """One run from its config to its outcome."""

    def __init__(self, request: RunRequest, reporter: Reporter) -> None:
        self.shutdown = Shutdown()
        self.progress: RunProgress | None = None
        self.past = PastNights(reporter.on_notices)
        self.end = RunEnd(request)
        self._request = request
        self._reporter = reporter
        self._translator = translator(request.settings.language)

    async def run(self) -> Outcome:
        """The whole run, until its record is closed and the lease is released."""
        request = self._request
        async with trio.open_nursery() as helpers:
            if request.settings.deadline is not None:
                left = request.settings.deadline - (time.monotonic() - request.started)
                helpers.start_soon(at_deadline, self.shutdown, left, name="deadline")
            outcome = await self._run(helpers)
            helpers.cancel_scope.cancel()
        return outcome

    async def _run(self, helpers: trio.Nursery) -> Outcome:
        opened: tuple[Plan, RecordSession | None] | None = None
        self._reporter.on_notices(self._request.settings.notices)
        try:
            with self.shutdown.phase(graceful=False):
                opened = await self._open(helpers)
        except ConfigError as error:
            self.end.faults = error.faults
            self._reporter.on_faults(error.faults)
            outcome = bad_config(len(error.faults))
            await self._record_faults(error.faults, outcome)
            return outcome
        except NotResumableError as error:
            self._reporter.on_faults([error.fault])
            return error.outcome  # noqa: ASYNC910  the record was awaited
        except StoodBackError as error:
            return error.outcome  # noqa: ASYNC910  as above
        except StorageError as error:
            return no_lease(words_of(error))  # noqa: ASYNC910  the config was awaited
        if opened is None:
            return self._outcome()
        plan, session = opened
        began = trio.current_time() - (time.monotonic() - self._request.started)
        self.progress = RunProgress(plan, session.done if session else {}, began)
        helpers.start_soon(report_each_minute, self.progress, self._reporter.on_progress, name="progress")
        if session is None:
            return await self._call(plan, None, self.progress, helpers)
        return await self._call_recorded(plan, session, self.progress, helpers)

    async def _open(self, helpers: trio.Nursery) -> tuple[Plan, RecordSession | None]:
        """The plan; and if runs are recorded, the session that holds the lease and the record."""
        request, settings = self._request, self._request.settings
        if settings.runs_uri is None:
            faults = list(request.faults)
            if request.resume:
                faults.append(Fault("RUNS_URI", "is not set", "set it to where the run is recorded"))
            prepared = await prepare(settings, faults)
            self._reporter.on_notices([*prepared.notices, UNRECORDED])
            return prepared.plan, None
        store, notify = open_store(settings.runs_uri, make=True), self._reporter.on_storage
        try:
            while True:  # once, unless another attempt records another config before this one has the lease
                recorded = await find_latest_inputs(store, request.identity.id)
                self.end.inputs = recorded
                if recorded is None and request.resume:
                    raise await not_resumable(store, settings.runs_uri, request.identity.id)
                prepared, inputs = await self._prepare(recorded)
                holder = lease_holder(settings, prepared.plan, inputs)
                lease = await acquire_for(recorded, store, holder, lambda notice: self._reporter.on_notices([notice]))
                if lease is not None:
                    break
            self._reporter.on_notices(prepared.notices)
            helpers.start_soon(self.past.read, store, inputs, prepared.plan, name="past nights")
            helpers.start_soon(lease.renew_forever, self.shutdown, StorageAlarm(notify), name="lease")
            session = await open_session(lease, prepared.plan, inputs, notify, new=inputs is not recorded)
        except RecordError as error:
            remedy = "restore it or remove that record, or start a run of another RUN_ID"
            raise ConfigError([Fault("RUNS_URI", str(error), remedy)]) from error
        except UnusableError as error:
            faults = [*request.faults, Fault("RUNS_URI", error.what, error.remedy or "correct it")]
            if not request.resume:
                await prepare(settings, faults)  # noqa: ASYNC120  raises, with the faults of the config beside these
            raise ConfigError(faults) from error
        self._reporter.on_record(inputs)
        if recorded is not None:
            asked = request.new_config and not recorded.is_brought_by(settings.execution)
            self._reporter.on_notices([await resuming(recorded, inputs, new_config=asked)])
            self._reporter.on_notices(over_midnight(recorded, request.now))
        return prepared.plan, session

    async def _prepare(self, recorded: RunInputs | None) -> tuple[Prepared, RunInputs]:
        """The plan and its inputs: from the current config, or from the recorded one."""
        request, settings = self._request, self._request.settings
        faults = request.faults
        if recorded is None:
            prepared = await prepare(settings, faults)
            return prepared, RunInputs.of(settings, request.identity.id, prepared, request.now)
        if not request.new_config or recorded.is_brought_by(settings.execution):
            # The recorded config is used, so CONFIG_URI is not read.
            faults = [fault for fault in faults if fault.where != "CONFIG_URI"]
            faults += contradictions(recorded, settings, request.now)
            return recorded.prepare(settings, faults), recorded  # noqa: ASYNC910  the record was awaited
        faults = [*faults, *contradictions(recorded, settings, request.now, place=True)]
        prepared = await prepare(settings.model_copy(update={"run_date": recorded.date}), faults)
        return prepared, recorded.with_config(prepared, settings)

    async def _record_faults(self, faults: Sequence[Fault], outcome: Outcome) -> None:  # noqa: ASYNC910  best effort
        """Records a report and a page if this is the first attempt at the run. A failure does not affect the run."""
        request, settings = self._request, self._request.settings
        if request.resume or settings.runs_uri is None or {"RUNS_URI", "RUN_ID"} & {fault.where for fault in faults}:
            return  # noqa: ASYNC910  the config was awaited
        seconds = time.monotonic() - request.started
        self.end.report = report = refused_report(settings, request.identity.id, faults, outcome, request.now, seconds)
        try:
            with trio.fail_after(REFUSAL_SECONDS) as scope:
                store = open_store(settings.runs_uri, make=True)
                made = documents(report, None, settings.runs_uri, self._translator)
                is_recorded = await record_refusal(store, report, made)
        except Exception as error:  # noqa: BLE001  see above
            problem = words_of(error) or message("there was no answer within {seconds} s", seconds=REFUSAL_SECONDS)
            text = template("storage: the faults of the configuration are not recorded: {error}")
            self._reporter.on_storage(message(text, error=problem), True)
            return  # noqa: ASYNC910  storage was awaited
        self.end.has_page = True  # that of this attempt, or of an earlier one
        if is_recorded:
            await self._leave_nights(store, scope.deadline)

    async def _call_recorded(
        self, plan: Plan, session: RecordSession, progress: RunProgress, helpers: trio.Nursery
    ) -> Outcome:
        """Both phases, and then the closing of the record, whether or not they succeed."""
        helpers.start_soon(session.record.journal.run, name="journal")
        try:
            outcome = await self._call(plan, session, progress, helpers)
        except BaseException:  # also if a helper has failed: this task is cancelled then
            with trio.CancelScope(shield=True):
                await self._close(UNFORESEEN, plan, session, at_once=True)
            raise
        cut_short = self.shutdown.reason is not None or outcome.exit is ExitCode.FAILED
        await self._close(outcome, plan, session, at_once=cut_short)
        return with_record(outcome, session.unrecorded)

    async def _call(
        self, plan: Plan, session: RecordSession | None, progress: RunProgress, helpers: trio.Nursery
    ) -> Outcome:
        """Both phases."""
        handlers = [progress.on_event, self._reporter.on_event, *([session.record.on_event] if session else [])]

        def emit(event: Event) -> None:
            for handler in handlers:
                handler(event)

        tls, settings = tls_context(), self._request.settings
        context = RunContext(
            run=self._request.identity,
            tokens=IdTokens(helpers, settings.impersonate),
            connect=lambda engine: HttpConnection(tls, kept=ENGINES[engine].keeps_connections),
            shutdown=self.shutdown,
            emit=emit,
        )
        medians = partial(self.past.typical_card_seconds, session.inputs.config_uri if session else "")
        phases = Phases(plan, session.done if session else {}, settings.engines, context, progress, medians)
        self._reporter.on_start(plan.date, progress)
        try:
            await phases.run_data_phase()
        except EngineFailedError as error:
            return self._outcome(error)  # noqa: ASYNC910  both phases were awaited
        if self.shutdown.reason is None and session:
            with self.shutdown.phase(graceful=False):
                await session.record.mark_barrier()
        if self.shutdown.reason is None:
            self._reporter.on_barrier(progress)
            await phases.run_card_phase()
        return self._outcome()

    def _outcome(self, error: EngineFailedError | None = None) -> Outcome:
        return outcome_of(self.progress, self.shutdown.reason, error, self.shutdown.not_renewed)

    async def _close(self, outcome: Outcome, plan: Plan, session: RecordSession, *, at_once: bool) -> None:
        request, inputs = self._request, session.inputs
        seconds = time.monotonic() - request.started
        zone = datetime.fromisoformat(inputs.started).tzinfo
        set_aside = set_aside_types(self.progress.set_aside if self.progress else ())
        ended = AttemptSummary.of(outcome, zone, request.now, seconds, set_aside)
        self.end.comparison = comparison = self.past.compare(inputs.day, session.done)
        self.end.recorded = session.record.timeline.failures
        attempts = (*session.record.attempts, ended)
        place = {"project": request.settings.project, "execution": request.settings.execution}
        self.end.report = report = build_report(
            inputs, plan, session.record.timeline, attempts, closed=True, since=comparison, **place
        )
        made = documents(report, self.past.before, request.settings.runs_uri or "", self._translator)
        until = await session.close(report, made, self.shutdown, at_once=at_once)
        self.end.has_page = session.has_page
        self._reporter.on_closed(comparison, has_page=session.has_page)
        if until is not None:
            await self._leave_nights(session.lease.store, until)

    async def _leave_nights(self, store: ObjectStore, until: float) -> None:
        request, known = self._request, self.past.nights
        render = nights_page(request.settings.runs_uri or "", self._translator)
        if problem := await write_nights_page(store, known, request.identity.id, render, until):
            self._reporter.on_notices([problem])

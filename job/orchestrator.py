"""A whole run: signals and deadline, config, lease and record, both phases, outcome."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

import trio

from job.config.environment import Settings
from job.config.faults import ConfigError, Fault
from job.engines.http_connection import HttpConnection, tls_context
from job.engines.id_tokens import IdTokens
from job.execution.events import Event
from job.execution.executor import RunContext
from job.execution.outcome import UNFORESEEN, ExitCode, Outcome, bad_config, busy, no_lease, outcome_of
from job.execution.phases import EngineFailedError, Phases
from job.execution.progress import RunProgress
from job.execution.shutdown import Shutdown, at_deadline, on_signals
from job.identity import RunIdentity
from job.page.render import render_page
from job.planning.plan import Plan
from job.planning.prepare import prepare
from job.records.format import RecordError
from job.records.inputs import RunInputs
from job.records.lease import BusyError, acquire
from job.records.record import find_inputs
from job.records.report import Circumstances, RunReport, build_report
from job.records.session import RecordSession, StorageAlarm, lease_holder, open_session
from job.storage.store import StorageError
from job.storage.uri import open_store

UNRECORDED = "RUNS_URI is not set: this run is not recorded, cannot be resumed, and does not see another one"


class Reporter(Protocol):
    """Who tells the user of the run."""

    def on_faults(self, faults: Iterable[Fault]) -> None: ...
    def on_notices(self, notices: Iterable[str]) -> None: ...
    def on_storage(self, text: str, wrong: bool) -> None: ...
    def on_start(self, date: str | None, progress: RunProgress) -> None: ...
    def on_barrier(self, progress: RunProgress) -> None: ...
    def on_event(self, event: Event) -> None: ...
    def on_finish(self, outcome: Outcome, progress: RunProgress | None) -> None: ...


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is asked for: a run of these settings. One that has a record is continued."""

    settings: Settings
    faults: list[Fault]
    """Of the settings."""
    identity: RunIdentity
    now: datetime
    started: float
    """When the process started, by `time.monotonic`."""
    resume: bool = False
    """Whether there must be a record to continue."""


async def run(order: RunRequest, reporter: Reporter) -> ExitCode:
    """Does the run, and reports its outcome once. Raises only what is a bug."""
    orchestration = _Orchestration(order, reporter)
    outcome: Outcome | None = None
    try:
        async with trio.open_nursery() as helpers:
            await helpers.start(on_signals, orchestration.shutdown)
            if order.settings.deadline is not None:
                left = order.settings.deadline - (time.monotonic() - order.started)
                helpers.start_soon(at_deadline, orchestration.shutdown, left, name="deadline")
            outcome = await orchestration.run(helpers)
            reporter.on_finish(outcome, orchestration.progress)  # while signals are still heard
            helpers.cancel_scope.cancel()
    except Exception:
        if outcome is None:
            reporter.on_finish(UNFORESEEN, orchestration.progress)
        raise
    return outcome.exit


@dataclass(frozen=True, slots=True)
class _Ready:
    plan: Plan
    session: RecordSession | None


class _Orchestration:
    """One run from its config to its outcome."""

    def __init__(self, order: RunRequest, reporter: Reporter) -> None:
        self.shutdown = Shutdown()
        self.progress: RunProgress | None = None
        self._order = order
        self._reporter = reporter

    async def run(self, helpers: trio.Nursery) -> Outcome:
        ready: _Ready | None = None
        try:
            with self.shutdown.phase(graceful=False):
                ready = await self._make_ready(helpers)
        except ConfigError as error:
            self._reporter.on_faults(error.faults)
            return bad_config(len(error.faults))  # noqa: ASYNC910  the config was awaited
        except BusyError as error:
            return busy(error, same_plan=error.is_twin)  # noqa: ASYNC910  the config was awaited
        except StorageError as error:
            return no_lease(error)  # noqa: ASYNC910  the config was awaited
        if ready is None:
            return outcome_of(None, self.shutdown.reason, None)
        self.progress = RunProgress(ready.plan, ready.session.done if ready.session else {})
        return await self._conduct(ready, self.progress, helpers)

    async def _make_ready(self, helpers: trio.Nursery) -> _Ready:
        """The plan, and where runs are recorded the lease and the record."""
        order, settings = self._order, self._order.settings
        if settings.runs_uri is None:
            prepared = await prepare(settings, self._faults(resumable=False))
            self._reporter.on_notices([*prepared.notices, UNRECORDED])
            return _Ready(prepared.plan, None)
        store, say = open_store(settings.runs_uri, make=True), self._reporter.on_storage
        try:
            inputs = await find_inputs(store, order.identity.id)
            faults = self._faults(resumable=inputs is not None)
            fresh = inputs is None
            prepared = await prepare(settings, faults) if inputs is None else inputs.prepare(settings, faults)
            inputs = inputs or RunInputs.of(settings, order.identity.id, prepared, order.now)
            self._reporter.on_notices(prepared.notices)
            holder = lease_holder(settings, prepared.plan, inputs)
            lease = await acquire(store, holder, lambda notice: self._reporter.on_notices([notice]))
            helpers.start_soon(lease.renew_forever, self.shutdown, StorageAlarm(say), name="lease")
            session = await open_session(lease, prepared.plan, inputs, say, fresh=fresh)
            if not fresh:
                self._reporter.on_notices(
                    [f"run {inputs.run_id} of {inputs.day} is continued, with its recorded config"]
                )
        except RecordError as error:
            remedy = "remove that record, or start a run of another RUN_ID"
            raise ConfigError([Fault("RUNS_URI", str(error), remedy)]) from error
        return _Ready(prepared.plan, session)

    def _faults(self, *, resumable: bool) -> list[Fault]:
        order = self._order
        if not order.resume or resumable:
            return order.faults
        fault = Fault("RUNS_URI", "is not set", "set it to where the run is recorded")
        if order.settings.runs_uri:
            what = f"has no record of run {order.identity.id}"
            fault = Fault("RUNS_URI", what, "`python -m job runs` lists what is recorded there")
        return [*order.faults, fault]

    async def _conduct(self, ready: _Ready, progress: RunProgress, helpers: trio.Nursery) -> Outcome:
        """Both phases in custody: whatever comes, the record is closed."""
        session = ready.session
        if session is None:
            return await self._call(ready, progress, helpers)
        helpers.start_soon(session.record.journal.run, name="journal")
        try:
            outcome = await self._call(ready, progress, helpers)
        except BaseException:  # also where a helper has failed: this task is cancelled then
            with trio.CancelScope(shield=True):
                await self._close(UNFORESEEN, progress, session, at_once=True)
            raise
        cut_short = self.shutdown.reason is not None or outcome.exit is ExitCode.ENGINE_FAILED
        await self._close(outcome, progress, session, at_once=cut_short)
        return outcome

    async def _call(self, ready: _Ready, progress: RunProgress, helpers: trio.Nursery) -> Outcome:
        plan, session = ready.plan, ready.session
        handlers = [progress.on_event, self._reporter.on_event, *([session.record.on_event] if session else [])]

        def emit(event: Event) -> None:
            for handler in handlers:
                handler(event)

        tls = tls_context()
        settings = self._order.settings
        context = RunContext(
            run=self._order.identity,
            tokens=IdTokens(helpers, settings.impersonate),
            connect=lambda: HttpConnection(tls),
            shutdown=self.shutdown,
            emit=emit,
        )
        phases = Phases(plan, session.done if session else {}, settings.engines, context, progress)
        self._reporter.on_start(plan.date, progress)
        try:
            await phases.run_data_phase()
        except EngineFailedError as error:
            return outcome_of(progress, self.shutdown.reason, error)  # noqa: ASYNC910  both phases were awaited
        if self.shutdown.reason is None and session:
            with self.shutdown.phase(graceful=False):
                await session.record.mark_barrier()
        if self.shutdown.reason is None:
            self._reporter.on_barrier(progress)
            await phases.run_card_phase()
        return outcome_of(progress, self.shutdown.reason, None)

    async def _close(self, outcome: Outcome, progress: RunProgress, session: RecordSession, *, at_once: bool) -> None:
        report = self._report(outcome, progress, session)
        await session.close(report, partial(render_page, report), self.shutdown, at_once=at_once)

    def _report(self, outcome: Outcome, progress: RunProgress, session: RecordSession) -> RunReport:
        order = self._order
        at = Circumstances(
            inputs=session.inputs,
            started=order.now,
            seconds=time.monotonic() - order.started,
            earlier=tuple(session.record.attempts),
            project=order.settings.project,
            execution=order.settings.execution,
        )
        return build_report(outcome, progress, at)

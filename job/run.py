"""A whole run: signals and deadline, config, lease and record, both phases, outcome."""

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import trio

from job.closing import Circumstances, Report, closing_report
from job.connection import Connection, tls_context
from job.custody import Custody, Trouble, holder, new_inputs, take
from job.events import Event
from job.exits import Exit
from job.faults import ConfigError, Fault
from job.halt import GRACE_SECONDS, Halt, Reason
from job.identity import Tokens
from job.inputs import RecordError
from job.lease import BusyError, obtain
from job.means import Means
from job.outcome import UNFORESEEN, Outcome, bad_config, busy, no_lease, outcome_of
from job.phases import EngineFailedError, Phases
from job.plan import Plan
from job.prepare import prepare, prepare_again
from job.record import find_inputs
from job.settings import Settings
from job.storage import open_store
from job.store import StorageError
from job.tally import Ledger
from job.trace import Run

UNRECORDED = "RUNS_URI is not set: this run is not recorded, cannot be resumed, and does not see another one"


class Reporter(Protocol):
    """Who tells the user of the run."""

    def faults(self, faults: Iterable[Fault]) -> None: ...
    def notices(self, notices: Iterable[str]) -> None: ...
    def storage(self, text: str, wrong: bool) -> None: ...
    def started(self, plan: Plan, ledger: Ledger) -> None: ...
    def barrier(self, ledger: Ledger) -> None: ...
    def watch(self, event: Event) -> None: ...
    def finished(self, outcome: Outcome, ledger: Ledger | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for: a run of these settings. One that has a record is continued."""

    settings: Settings
    faults: list[Fault]
    """Of the settings."""
    identity: Run
    now: datetime
    started: float
    """When the process started, by `time.monotonic`."""
    resume: bool = False
    """Whether there must be a record to continue."""


async def run(order: Order, reporter: Reporter) -> Exit:
    """Does the run, and reports its outcome once. Raises only what is a bug."""
    course = _Course(order, reporter)
    outcome: Outcome | None = None
    try:
        async with trio.open_nursery() as helpers:
            await helpers.start(_obey_signals, course.halt)
            if order.settings.deadline is not None:
                left = order.settings.deadline - (time.monotonic() - order.started)
                helpers.start_soon(_obey_deadline, course.halt, left, name="deadline")
            outcome = await course.run(helpers)
            reporter.finished(outcome, course.ledger)  # while signals are still heard
            helpers.cancel_scope.cancel()
    except Exception:
        if outcome is None:
            reporter.finished(UNFORESEEN, course.ledger)
        raise
    return outcome.exit


@dataclass(frozen=True, slots=True)
class _Ready:
    plan: Plan
    custody: Custody | None


class _Course:
    """One run from its config to its outcome."""

    def __init__(self, order: Order, reporter: Reporter) -> None:
        self.halt = Halt()
        self.ledger: Ledger | None = None
        self._order = order
        self._reporter = reporter

    async def run(self, helpers: trio.Nursery) -> Outcome:
        ready: _Ready | None = None
        try:
            with self.halt.phase(graceful=False):
                ready = await self._make_ready(helpers)
        except ConfigError as error:
            self._reporter.faults(error.faults)
            return bad_config(len(error.faults))  # noqa: ASYNC910  the config was awaited
        except BusyError as error:
            return busy(error)  # noqa: ASYNC910  the config was awaited
        except StorageError as error:
            return no_lease(error)  # noqa: ASYNC910  the config was awaited
        if ready is None:
            return outcome_of(None, self.halt.reason, None)
        self.ledger = Ledger(ready.plan, ready.custody.done if ready.custody else {})
        return await self._conduct(ready, self.ledger, helpers)

    async def _make_ready(self, helpers: trio.Nursery) -> _Ready:
        """The plan, and where runs are recorded the lease and the record."""
        order, settings = self._order, self._order.settings
        if settings.runs_uri is None:
            prepared = await prepare(settings, self._faults(resumable=False))
            self._reporter.notices([*prepared.notices, UNRECORDED])
            return _Ready(prepared.plan, None)
        store, say = open_store(settings.runs_uri, make=True), self._reporter.storage
        try:
            inputs = await find_inputs(store, order.identity.id)
            faults = self._faults(resumable=inputs is not None)
            fresh = inputs is None
            prepared = await prepare(settings, faults) if inputs is None else prepare_again(settings, faults, inputs)
            inputs = inputs or new_inputs(settings, order.identity.id, prepared, order.now)
            self._reporter.notices(prepared.notices)
            lease = await obtain(store, holder(settings, prepared.plan, inputs))
            helpers.start_soon(lease.keep, self.halt, Trouble(say), name="lease")
            custody = await take(lease, prepared.plan, inputs, say, fresh=fresh)
            if not fresh:
                self._reporter.notices([f"run {inputs.run_id} of {inputs.day} is continued, with its recorded config"])
        except RecordError as error:
            remedy = "remove that record, or start a run of another RUN_ID"
            raise ConfigError([Fault("RUNS_URI", str(error), remedy)]) from error
        return _Ready(prepared.plan, custody)

    def _faults(self, *, resumable: bool) -> list[Fault]:
        order = self._order
        if not order.resume or resumable:
            return order.faults
        fault = Fault("RUNS_URI", "is not set", "set it to where the run is recorded")
        if order.settings.runs_uri:
            what = f"has no record of run {order.identity.id}"
            fault = Fault("RUNS_URI", what, "`python -m job runs` lists what is recorded there")
        return [*order.faults, fault]

    async def _conduct(self, ready: _Ready, ledger: Ledger, helpers: trio.Nursery) -> Outcome:
        """Both phases in custody: whatever comes, the record is closed."""
        custody = ready.custody
        if custody is None:
            return await self._call(ready, ledger, helpers)
        helpers.start_soon(custody.record.journal.keep, name="journal")
        try:
            outcome = await self._call(ready, ledger, helpers)
        except BaseException:  # also where a helper has failed: this task is cancelled then
            with trio.CancelScope(shield=True):
                await custody.close(self._report(UNFORESEEN, ledger, custody), self.halt, at_once=True)
            raise
        cut_short = self.halt.reason is not None or outcome.exit is Exit.ENGINE_FAILED
        await custody.close(self._report(outcome, ledger, custody), self.halt, at_once=cut_short)
        return outcome

    async def _call(self, ready: _Ready, ledger: Ledger, helpers: trio.Nursery) -> Outcome:
        plan, custody = ready.plan, ready.custody
        watchers = [ledger.watch, self._reporter.watch, *([custody.record.watch] if custody else [])]

        def watch(event: Event) -> None:
            for watcher in watchers:
                watcher(event)

        tls = tls_context()
        settings = self._order.settings
        means = Means(
            run=self._order.identity,
            tokens=Tokens(helpers, settings.impersonate),
            connect=lambda: Connection(tls),
            halt=self.halt,
            watch=watch,
        )
        phases = Phases(plan, custody.done if custody else {}, settings.engines, means, ledger)
        self._reporter.started(plan, ledger)
        try:
            await phases.prepare()
        except EngineFailedError as error:
            return outcome_of(ledger, self.halt.reason, error)  # noqa: ASYNC910  both phases were awaited
        if self.halt.reason is None and custody:
            with self.halt.phase(graceful=False):
                await custody.record.cross()
        if self.halt.reason is None:
            self._reporter.barrier(ledger)
            await phases.generate()
        return outcome_of(ledger, self.halt.reason, None)

    def _report(self, outcome: Outcome, ledger: Ledger, custody: Custody) -> Report:
        order = self._order
        at = Circumstances(
            inputs=custody.inputs,
            started=order.now,
            seconds=time.monotonic() - order.started,
            earlier=tuple(custody.record.attempts),
            project=order.settings.project,
            execution=order.settings.execution,
        )
        return closing_report(outcome, ledger, at)


async def _obey_deadline(halt: Halt, seconds: float) -> None:
    await trio.sleep(max(0.0, seconds))
    halt.ask(Reason.DEADLINE, GRACE_SECONDS)


async def _obey_signals(halt: Halt, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """The first signal stops the run in order, a second one ends the process as it stands."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        task_status.started()
        async for number in received:
            if halt.reason in {Reason.SIGTERM, Reason.SIGINT}:
                os._exit(128 + number)  # the default action would not end a process that is PID 1
            if number == signal.SIGTERM:
                halt.ask(Reason.SIGTERM, GRACE_SECONDS)
            else:
                halt.ask(Reason.SIGINT, 0.0)

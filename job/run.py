"""A whole run: signals, config, both phases, outcome."""

import os
import signal
from collections.abc import Iterable
from typing import Protocol

import trio

from job.connection import Connection, tls_context
from job.events import Event
from job.executor import Means
from job.exits import Exit
from job.faults import ConfigError, Fault
from job.halt import GRACE_SECONDS, Halt, Reason
from job.identity import Tokens
from job.outcome import Outcome, outcome_of
from job.phases import EngineFailedError, Phases
from job.plan import Plan
from job.prepare import prepare
from job.settings import Settings
from job.tally import Ledger
from job.trace import Run


class Reporter(Protocol):
    """Who tells the user of the run."""

    def faults(self, faults: Iterable[Fault]) -> None: ...
    def notices(self, notices: Iterable[str]) -> None: ...
    def started(self, plan: Plan, ledger: Ledger) -> None: ...
    def barrier(self, ledger: Ledger) -> None: ...
    def watch(self, event: Event) -> None: ...
    def finished(self, outcome: Outcome, ledger: Ledger | None) -> None: ...


async def run(settings: Settings, faults: list[Fault], identity: Run, reporter: Reporter) -> Exit:
    """Does the run that the settings ask for, and reports its outcome once. Raises only what is a bug."""
    course = _Course(settings, identity, reporter)
    async with trio.open_nursery() as helpers:
        await helpers.start(_obey_signals, course.halt)
        try:
            outcome = await course.run(faults, helpers)
        except Exception:
            outcome = Outcome("unforeseen", Exit.UNFORESEEN, "The job has a bug: its traceback is on standard error.")
            reporter.finished(outcome, course.ledger)
            raise
        helpers.cancel_scope.cancel()
    reporter.finished(outcome, course.ledger)
    return outcome.exit


class _Course:
    """One run from its config to its outcome."""

    def __init__(self, settings: Settings, identity: Run, reporter: Reporter) -> None:
        self.halt = Halt()
        self.ledger: Ledger | None = None
        self._settings = settings
        self._identity = identity
        self._reporter = reporter

    async def run(self, faults: list[Fault], helpers: trio.Nursery) -> Outcome:
        plan: Plan | None = None
        try:
            with self.halt.phase(graceful=False):
                plan = await self._prepare(faults)
        except ConfigError as error:
            self._reporter.faults(error.faults)
            count = len(error.faults)
            what = "1 fault" if count == 1 else f"{count} faults"
            return Outcome("bad_config", Exit.USAGE, f"The configuration has {what}: nothing was called.")
        if plan is None:
            return outcome_of(None, self.halt.reason, None)
        return await self._call(plan, helpers)

    async def _prepare(self, faults: list[Fault]) -> Plan:
        prepared = await prepare(self._settings, faults)
        self._reporter.notices(prepared.notices)
        return prepared.plan

    async def _call(self, plan: Plan, helpers: trio.Nursery) -> Outcome:
        ledger = self.ledger = Ledger(plan)
        reporter = self._reporter

        def watch(event: Event) -> None:
            ledger.watch(event)
            reporter.watch(event)

        tls = tls_context()
        means = Means(
            run=self._identity,
            tokens=Tokens(helpers, self._settings.impersonate),
            connect=lambda: Connection(tls),
            halt=self.halt,
            watch=watch,
        )
        phases = Phases(plan, self._settings.engines, means, ledger)
        reporter.started(plan, ledger)
        try:
            await phases.prepare()
        except EngineFailedError as error:
            return outcome_of(ledger, self.halt.reason, str(error))
        if self.halt.reason is None:
            reporter.barrier(ledger)
            await phases.generate()
        return outcome_of(ledger, self.halt.reason, None)


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

"""Phases: the work of the data phase and of the card phase. `job.orchestrator` puts them together."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import trio

from job.config.environment import EngineSettings, Settings
from job.day.ledger import Ledger
from job.day.result import CallResult, EngineFailedError, ShutdownReason
from job.engines.calls import EngineName
from job.engines.failures import Failure
from job.engines.id_tokens import IdTokens
from job.engines.identity import RunIdentity
from job.engines.tls import tls_context
from job.execution.executor import Executor, RunContext
from job.execution.progress import EventHandler, Progress
from job.execution.shutdown import Shutdown

FAILED_SECONDS = 60.0
"""For so long after its first failure, a data engine tries what was not tried."""


@dataclass(frozen=True, slots=True)
class Phases:
    ledger: Ledger
    """Has what earlier attempts have done, and gets the results of this one through `context.emit`."""
    engines: Mapping[EngineName, EngineSettings]
    context: RunContext

    @classmethod
    def of(
        cls,
        progress: Progress,
        settings: Settings,
        trace_id: str,
        shutdown: Shutdown,
        helpers: trio.Nursery,
        emit: EventHandler,
    ) -> "Phases":
        """The work of an attempt with this trace id, with clients of its own. Tokens are fetched in `helpers`."""
        from job.engines.http import HttpClient, Network, Resolver  # noqa: PLC0415  httpcore takes 0.02 s to import

        trio.socket.set_custom_hostname_resolver(Resolver())
        network = Network(tls_context(settings.authorities))
        context = RunContext(
            run=RunIdentity(trace_id),
            tokens=IdTokens(helpers, settings.impersonate),
            client_of=lambda engine: HttpClient(network, settings.engines[engine].url or ""),
            shutdown=shutdown,
            emit=emit,
            call_of=progress.ledger.plan.call,
            epoch=time.time() - trio.current_time(),
            progress=progress.engines,
            rerun_of=progress.ledger.rerun_of,
        )
        return cls(progress.ledger, settings.engines, context)

    @property
    def data_engines(self) -> list[EngineName]:
        return [engine for engine in self.ledger.plan.engines() if engine != "qa"]

    async def prepare(self, engine: EngineName, data_phase: trio.CancelScope) -> None:
        """Makes the calls of a data engine that are not done yet. Raises `EngineFailedError` if one has failed.

        The first engine of which one has failed cancels the data phase, but for itself: what it has not tried by then
        it still tries, so that all that fails is known at once. Returns early if the run shuts down.
        """
        failed: list[EngineFailedError] = []

        def on_finished(result: CallResult, failure: Failure | None) -> None:
            if failure is None or failure.is_interruption or data_phase.cancel_called:
                return
            own.shield = True
            data_phase.cancel()
            failed.append(EngineFailedError(result))
            executor.stop(FAILED_SECONDS)

        work = self.ledger.plan.work(engine, self.ledger.is_done)
        executor, own = Executor(self.engines[engine], self.context, work, on_finished), trio.CancelScope()
        with self.context.shutdown.until_request(own):
            await executor.run()
        if failed:
            raise failed[0]

    async def generate(self) -> None:
        """Requests every card that is not made yet. A failed card stops no others, unless the engine is down.

        Raises `AssertionError` if the data is not ready.
        """
        if not self.ledger.is_ready:
            raise AssertionError("the barrier is closed")
        if not self.ledger.counts("qa").planned:
            return
        # In a thread: of 100,000 cards it takes 0.1 s.
        work = await trio.to_thread.run_sync(self.ledger.plan.work, "qa", self.ledger.is_done)
        is_still_out = await trio.to_thread.run_sync(self.ledger.is_qa_still_out)
        executor = Executor(self.engines["qa"], self.context, work, lambda _, __: None, is_still_out=is_still_out)
        if await executor.run():
            self.context.shutdown.request(ShutdownReason.QA_DOWN)

"""The two phases of a run and the barrier between them: no card is asked for before all data are there."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import inf

import trio

from job.config.environment import EngineSettings
from job.engines.calls import WorkItem
from job.engines.catalog import DATA_ENGINES, EngineName
from job.engines.failures import Cause
from job.execution.circuit_breaker import CircuitBreaker
from job.execution.events import CallFinished
from job.execution.executor import Executor, RunContext
from job.execution.progress import RunProgress
from job.execution.shutdown import ShutdownReason
from job.planning.plan import Plan
from job.text import listed


class EngineFailedError(Exception):
    """A data engine has failed: one of its calls did, for good. Has the call."""

    def __init__(self, finished: CallFinished) -> None:
        self.finished = finished
        call, failure = finished.call, finished.failure
        attempts = f"{finished.attempts} attempt{'s' if finished.attempts > 1 else ''}"
        answer = failure.text.rstrip(".") if failure else ""
        super().__init__(f"the {call.engine} engine failed for {listed(call.targets)} after {attempts}: {answer}")


@dataclass(frozen=True, slots=True)
class Phases:
    """A run's phases, ready to start."""

    plan: Plan
    done: Mapping[EngineName, AbstractSet[WorkItem]]
    """What earlier attempts at the run have done."""
    engines: Mapping[EngineName, EngineSettings]
    context: RunContext
    progress: RunProgress

    async def run_data_phase(self) -> None:
        """Phase 1: all data engines at the same time. Raises `EngineFailedError` once one has failed.

        The calls in flight are cut off at once then, as well as where the run is halted.
        """
        try:
            with self.context.shutdown.phase(graceful=False):
                async with trio.open_nursery() as nursery:
                    for engine in self._data_engines():
                        nursery.start_soon(self._run, engine, _fail, name=engine)
        except BaseExceptionGroup as group:
            failed, other = group.split(EngineFailedError)
            if failed is None or other is not None:
                raise
            raise _first(failed) from None

    def barrier_is_open(self) -> bool:
        """Whether every data call of the plan has succeeded. The one way into phase 2."""
        tallies = [self.progress.engines[engine] for engine in self._data_engines()]
        return all(account.done + account.skipped == account.planned for account in tallies)

    async def run_card_phase(self) -> None:
        """Phase 2: every card. One that fails stops no other, unless the engine itself is down."""
        if not self.barrier_is_open():
            raise AssertionError("the barrier is closed")
        breaker = CircuitBreaker()

        def on_finished(finished: CallFinished) -> None:
            interrupted = finished.failure is not None and finished.failure.cause is Cause.INTERRUPTED
            if not interrupted and breaker.record(finished.failure):
                self.context.shutdown.request(ShutdownReason.QA_DOWN, grace_seconds=float("inf"))

        with self.context.shutdown.phase(graceful=True):
            await self._run("qa", on_finished, breaker.max_in_flight)

    def _data_engines(self) -> list[EngineName]:
        return [engine for engine in DATA_ENGINES if engine in self.progress.engines]

    async def _run(
        self,
        engine: EngineName,
        on_finished: Callable[[CallFinished], None],
        max_in_flight: Callable[[], float] = lambda: inf,
    ) -> None:
        await Executor(self.engines[engine], self.context, on_finished, max_in_flight).run(
            self.plan.calls(engine, self.done.get(engine, frozenset()))
        )


def _fail(finished: CallFinished) -> None:
    if finished.failure is not None and finished.failure.cause is not Cause.INTERRUPTED:
        raise EngineFailedError(finished)


def _first(group: BaseExceptionGroup[EngineFailedError]) -> EngineFailedError:
    """Two engines can fail at the same moment; one of them is enough to tell."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

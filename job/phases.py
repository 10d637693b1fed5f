"""The two phases of a run and the barrier between them: no card is asked for before all data are there."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import inf

import trio

from job.answers import Cause
from job.breaker import Breaker
from job.engines import DATA_ENGINES, EngineName, Item, named
from job.events import CallFinished
from job.executor import Executor
from job.halt import Reason
from job.means import Means
from job.plan import Plan
from job.settings import EngineSettings
from job.tally import Ledger


class EngineFailedError(Exception):
    """A data engine has failed: one of its calls did, for good. Has the call."""

    def __init__(self, finished: CallFinished) -> None:
        self.finished = finished
        call, failure = finished.call, finished.failure
        attempts = f"{finished.attempts} attempt{'s' if finished.attempts > 1 else ''}"
        answer = failure.text.rstrip(".") if failure else ""
        super().__init__(f"the {call.engine} engine failed for {named(call.targets)} after {attempts}: {answer}")


@dataclass(frozen=True, slots=True)
class Phases:
    """A run's phases, ready to start."""

    plan: Plan
    done: Mapping[EngineName, AbstractSet[Item]]
    """What earlier attempts at the run have done."""
    engines: Mapping[EngineName, EngineSettings]
    means: Means
    ledger: Ledger

    async def prepare(self) -> None:
        """Phase 1: all data engines at the same time. Raises `EngineFailedError` once one has failed.

        The calls in flight are cut off at once then, as well as where the run is halted.
        """
        try:
            with self.means.halt.phase(graceful=False):
                async with trio.open_nursery() as nursery:
                    for engine in self._data_engines():
                        nursery.start_soon(self._run, engine, _fail, name=engine)
        except BaseExceptionGroup as group:
            failed, other = group.split(EngineFailedError)
            if failed is None or other is not None:
                raise
            raise _first(failed) from None

    def barrier(self) -> bool:
        """Whether every data call of the plan has succeeded. The one way into phase 2."""
        tallies = [self.ledger.engines[engine] for engine in self._data_engines()]
        return all(tally.done + tally.skipped == tally.planned for tally in tallies)

    async def generate(self) -> None:
        """Phase 2: every card. One that fails stops no other, unless the engine itself is down."""
        if not self.barrier():
            raise AssertionError("the barrier is closed")
        breaker = Breaker()

        def settled(finished: CallFinished) -> None:
            interrupted = finished.failure is not None and finished.failure.cause is Cause.INTERRUPTED
            if not interrupted and breaker.count(finished.failure):
                self.means.halt.ask(Reason.QA_DOWN, grace_seconds=float("inf"))

        with self.means.halt.phase(graceful=True):
            await self._run("qa", settled, breaker.room)

    def _data_engines(self) -> list[EngineName]:
        return [engine for engine in DATA_ENGINES if engine in self.ledger.engines]

    async def _run(
        self, engine: EngineName, settled: Callable[[CallFinished], None], room: Callable[[], float] = lambda: inf
    ) -> None:
        await Executor(self.engines[engine], self.means, settled, room).run(
            self.plan.calls(engine, self.done.get(engine, frozenset()))
        )


def _fail(finished: CallFinished) -> None:
    if finished.failure is not None and finished.failure.cause is not Cause.INTERRUPTED:
        raise EngineFailedError(finished)


def _first(group: BaseExceptionGroup[EngineFailedError]) -> EngineFailedError:
    """Two engines can fail at the same moment; one of them is enough to tell."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

"""Phases: data phase, barrier, card phase. No card is requested before all data is ready."""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from math import inf

import trio

from job.config.environment import EngineSettings
from job.engines.calls import Call, WorkItem
from job.engines.catalog import DATA_ENGINES, ENGINES, EngineName
from job.execution.card_circuits import CardCircuits
from job.execution.events import CallFinished
from job.execution.executor import Executor, RunContext
from job.execution.progress import RunProgress
from job.execution.shutdown import ShutdownReason
from job.planning.card_order import CardOrder
from job.planning.plan import Plan
from job.text.messages import Message, Value, listed, message, plural, template


class EngineFailedError(Exception):
    """A data engine has failed: one of its calls failed for good. Has the reason and the call."""

    def __init__(self, finished: CallFinished, limit: int, ended: int | None) -> None:
        """`limit` is how often a call may fail; `ended` is the number of all attempts if the engine failed them all."""
        self.reason = _reason(finished, limit, ended)
        super().__init__(str(self.reason))
        self.finished = finished


def _reason(finished: CallFinished, limit: int, ended: int | None) -> Message:
    values: dict[str, Value] = {
        "engine": ENGINES[finished.call.engine].word,
        "targets": listed(finished.call.targets),
        "reason": finished.failure.reason if finished.failure else "",
    }
    if ended is not None and ended > finished.attempts:
        text = template("the {engine} engine failed every one of {count} attempts, the last for {targets}: {reason}")
        return message(text, count=ended, **values)
    if finished.attempts > limit:
        text = template(
            "the {engine} engine failed for {targets} after {count} attempts ({limit} that count; the others were in "
            "larger batches, or answered with 429 or 401): {reason}"
        )
        return message(text, count=finished.attempts, limit=limit, **values)
    return plural(
        "the {engine} engine failed for {targets} after 1 attempt: {reason}",
        "the {engine} engine failed for {targets} after {count} attempts: {reason}",
        count=finished.attempts,
        **values,
    )


@dataclass(frozen=True, slots=True)
class Phases:
    """The phases of a run, ready to start."""

    plan: Plan
    done: Mapping[EngineName, Container[WorkItem]]
    """The items that earlier attempts at the run have done."""
    engines: Mapping[EngineName, EngineSettings]
    context: RunContext
    progress: RunProgress
    medians: Callable[[], Mapping[str, float]] = dict
    """Returns the median seconds of each card type in an earlier run; empty until they are known."""

    async def run_data_phase(self) -> None:
        """Runs all data engines concurrently. Raises `EngineFailedError` as soon as one has failed.

        The calls in flight are cut off then, and also when the run shuts down.
        """
        try:
            with self.context.shutdown.phase(graceful=False):
                async with trio.open_nursery() as nursery:
                    for engine in self._data_engines():
                        calls = self.plan.calls(engine, self.done.get(engine, frozenset()))
                        nursery.start_soon(self._run, engine, calls, self._fail, name=engine)
        except BaseExceptionGroup as group:
            failed, other = group.split(EngineFailedError)
            if failed is None or other is not None:
                raise
            raise _first(failed) from None

    def barrier_is_open(self) -> bool:
        """Whether every data call of the plan has succeeded. The card phase cannot start otherwise."""
        engines = [self.progress.engines[engine] for engine in self._data_engines()]
        return all(engine.done + engine.skipped == engine.planned for engine in engines)

    async def run_card_phase(self) -> None:
        """Requests every card. A failed card stops no others, unless its card type or the engine keeps failing.

        Raises `AssertionError` if the barrier is closed.
        """
        if not self.barrier_is_open():
            raise AssertionError("the barrier is closed")
        order = CardOrder(self.plan, self.done.get("qa", frozenset()), self.medians)
        circuits = CardCircuits(order, self.context.emit)

        def on_finished(finished: CallFinished) -> None:
            if not _is_interrupted(finished) and circuits.record(finished):
                self.context.shutdown.request(ShutdownReason.QA_DOWN, grace_seconds=float("inf"))

        with self.context.shutdown.phase(graceful=True):
            await self._run("qa", circuits, on_finished, circuits.max_in_flight)

    def _data_engines(self) -> list[EngineName]:
        return [engine for engine in DATA_ENGINES if engine in self.progress.engines]

    def _fail(self, finished: CallFinished) -> None:
        failure = finished.failure
        if failure is not None and not failure.is_interruption:
            engine = finished.call.engine
            progress = self.progress.engines[engine]
            # A refusal or a denial may be caused by the target, so it is not counted as a failure of the engine.
            is_of_engine = failure.is_transient and not failure.is_denial and not progress.done
            ended = len(progress.latencies) if is_of_engine else None
            raise EngineFailedError(finished, self.engines[engine].attempts, ended)

    async def _run(
        self,
        engine: EngineName,
        calls: Iterable[Call],
        on_finished: Callable[[CallFinished], None],
        max_in_flight: Callable[[], float] = lambda: inf,
    ) -> None:
        await Executor(self.engines[engine], self.context, on_finished, max_in_flight).run(calls)


def _is_interrupted(finished: CallFinished) -> bool:
    return finished.failure is not None and finished.failure.is_interruption


def _first(group: BaseExceptionGroup[EngineFailedError]) -> EngineFailedError:
    """The first error of a group: two engines can fail at the same moment, and one is reported."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

"""The accounts of a run: what was planned is done, skipped, failed or not attempted, always."""

import statistics
from array import array
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field

from job.answers import Cause
from job.engines import EngineName
from job.events import AttemptEnded, AttemptStarted, CallFinished, Event
from job.plan import Plan


@dataclass(slots=True)
class Tally:
    """The account of one engine. Its items are cards for qa, targets for the others."""

    planned: int
    done: int = 0
    skipped: int = 0
    """Done by an earlier attempt of the same run."""
    failed: int = 0
    calls: int = 0
    """Calls that have finished, either way; the parts of a batch that ended apart count each."""
    retries: int = 0
    in_flight: int = 0
    bound: int = 0
    """How many calls the engine gets at a time, as it stands."""
    latencies: "array[float]" = field(default_factory=lambda: array("f"))
    """Seconds of each attempt that was not cut off."""

    @property
    def not_attempted(self) -> int:
        """What was planned and never asked for, or asked for and still under way."""
        return self.planned - self.done - self.skipped - self.failed

    def watch(self, event: Event) -> None:
        """Takes an event of this engine into account."""
        match event:
            case AttemptStarted(bound=bound):
                self.in_flight += 1
                self.bound = bound
            case AttemptEnded(started=started, ended=ended, failure=failure, wait=wait, bound=bound):
                self.in_flight -= 1
                self.bound = bound
                self.retries += wait is not None
                if failure is None or failure.cause is not Cause.INTERRUPTED:
                    self.latencies.append(ended - started)
            case CallFinished(call=call, failure=failure):
                self.calls += 1
                if failure is None:
                    self.done += len(call.targets)
                else:
                    self.failed += len(call.targets)

    def percentile(self, percent: int) -> float | None:
        """Seconds that so many of a hundred attempts took at most; `None` where there was none."""
        if len(self.latencies) < 2:
            return self.latencies[0] if self.latencies else None
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


class Ledger:
    """The accounts of all engines of a plan, and the calls that failed for good."""

    def __init__(self, plan: Plan, done: Mapping[EngineName, Sized]) -> None:
        """`done` is what earlier attempts at the run have done."""
        self.engines: Mapping[EngineName, Tally] = {
            engine: Tally(plan.count(engine), skipped=len(done.get(engine, ()))) for engine in plan.engines()
        }
        self.failures: list[CallFinished] = []

    def watch(self, event: Event) -> None:
        """Takes an event into account."""
        self.engines[event.call.engine].watch(event)
        if isinstance(event, CallFinished) and event.failure is not None:
            self.failures.append(event)

    @property
    def cards(self) -> Tally:
        """The account of the cards; empty where the plan has none."""
        return self.engines.get("qa", Tally(0))

    def complete(self) -> bool:
        """Whether all that was planned is done."""
        return all(tally.done + tally.skipped == tally.planned for tally in self.engines.values())

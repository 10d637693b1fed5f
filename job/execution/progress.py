"""Progress: what happens to the calls of a run, and what the engines do at this moment. No total is made of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from job.day.ledger import Ledger
from job.day.result import CallResult, Counts
from job.engines.calls import Call, EngineName
from job.text.messages import Message

REPORT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CallRetried:
    """A try failed, and another one follows after `wait` seconds at the earliest.

    `limit` is the engine's concurrency limit.
    """

    call: Call
    reason: Message
    wait: float
    limit: int
    traceparent: str


@dataclass(frozen=True, slots=True)
class EngineFailing:
    """An engine does no call, and is tried for `patience` seconds at least. Comes again while this lasts.

    Times are in seconds since 1970.
    """

    engine: EngineName
    reason: Message
    """Its latest answer."""
    patience: float
    since: float
    """When it failed first."""
    seconds: float
    """For how long it has failed."""
    charged_tries: int
    """How many tries have failed since then that may have been charged."""
    fails_by: float
    """When it has failed at the latest if it stays out: the start ends then."""


@dataclass(frozen=True, slots=True)
class EngineRecovered:
    """An engine that was failing works again, after so many seconds."""

    engine: EngineName
    seconds: float


Event = CallResult | CallRetried | EngineFailing | EngineRecovered
EventHandler = Callable[[Event], None]
"""Handles what happens to calls: the ledger, the journal and the reporter do."""


@dataclass(slots=True)
class EngineProgress:
    """One engine at this moment. Its executor writes it."""

    began: float | None = None
    """When its calls began, by trio's clock."""
    in_flight: int = 0
    limit: int = 0
    counts: Counts = field(default_factory=Counts)
    """Of the items that were to be requested when it began."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A run in progress."""

    ledger: Ledger
    began: float
    """When this attempt began, by trio's clock."""
    engines: Mapping[EngineName, EngineProgress]
    """One for each engine that the plan uses."""

    @classmethod
    def of(cls, ledger: Ledger, began: float = 0.0) -> "Progress":
        left = {engine: ledger.counts(engine).missing for engine in ledger.plan.engines()}
        counts = {engine: Counts(count, not_attempted=count) for engine, count in left.items()}
        return cls(ledger, began, {engine: EngineProgress(counts=one) for engine, one in counts.items()})

    def seconds_left(self, engine: EngineName, now: float) -> float | None:
        """How long the rest of an engine's items takes at its pace so far, by trio's clock.

        `None` if nothing is left, while nothing was done, or before one round of calls has finished.
        """
        progress = self.engines.get(engine)
        if progress is None or progress.began is None:
            return None
        left = progress.counts.not_attempted
        finished = progress.counts.done + progress.counts.failed
        if not left or not progress.counts.done or finished < progress.in_flight:
            return None
        return left * (now - progress.began) / finished


async def report_each_minute(progress: Progress, report: Callable[[Progress, float], None]) -> None:
    """Reports the run once a minute, with the time by trio's clock, until it is cancelled."""
    while True:
        await trio.sleep(REPORT_SECONDS)
        report(progress, trio.current_time())

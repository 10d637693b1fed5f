"""Gauges: what the engines are doing at this moment, for the reports of a run in progress. No total is made of them."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from job.engines.catalog import EngineName
from job.ledger.ledger import Ledger

REPORT_SECONDS = 60.0
SAMPLES = 30
SAMPLE_SECONDS = 5.0


@dataclass(slots=True)
class Pace:
    """Counts the items that finished in the last two and a half minutes, or in the last 30 calls if that is longer."""

    _samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def start(self, now: float) -> None:
        """The first call starts. Later starts change nothing."""
        if not self._samples:
            self._samples.append((now, 0))

    def update(self, now: float, finished: int) -> None:
        """`finished` is how many items have finished since the first call started."""
        if self._samples and now - self._samples[-1][0] >= SAMPLE_SECONDS:
            self._samples.append((now, finished))

    def seconds(self, items: int, now: float, finished: int) -> float | None:
        """How many seconds `items` more items take; `None` if that cannot be estimated."""
        since, before = self._samples[0] if self._samples else (now, finished)
        return items * (now - since) / (finished - before) if finished > before and now > since else None


@dataclass(slots=True)
class Gauge:
    """One engine at this moment. Its executor writes it."""

    in_flight: int = 0
    limit: int = 0
    """The concurrency limit."""
    retries: int = 0
    answered: int = 0
    """Attempts that have ended and were not cut off."""
    planned: int = 0
    """Items that were to be requested when it began."""
    done: int = 0
    """Items that are done since then."""
    failed: int = 0
    """Items that have failed for good since then."""
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Live:
    """A run in progress."""

    ledger: Ledger
    began: float
    """When this attempt began, by trio's clock."""
    gauges: Mapping[EngineName, Gauge]
    """One for each engine that the plan uses."""

    @classmethod
    def of(cls, ledger: Ledger, began: float = 0.0) -> "Live":
        """A run that is about to make its calls."""
        return cls(ledger, began, {engine: Gauge(planned=ledger.left(engine)) for engine in ledger.plan.engines()})

    def seconds_left(self, engine: EngineName, now: float) -> float | None:
        """How long the rest of an engine's items takes at the present pace, by trio's clock.

        `None` if all is done, while nothing was done, or before one round of calls has finished.
        """
        gauge = self.gauges.get(engine)
        if gauge is None:
            return None
        finished = gauge.done + gauge.failed
        left = gauge.planned - finished
        if left <= 0 or not gauge.done or finished < gauge.in_flight:
            return None
        return gauge.pace.seconds(left, now, finished)


async def report_each_minute(live: Live, report: Callable[[Live, float], None]) -> None:
    """Reports the run once a minute, with the time by trio's clock, until it is cancelled."""
    while True:
        await trio.sleep(REPORT_SECONDS)
        report(live, trio.current_time())

"""Gauges: what the engines are doing at this moment, for the reports of a run in progress. No total is made of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import trio

from job.engines.catalog import EngineName
from job.ledger.ledger import Ledger

REPORT_SECONDS = 60.0


@dataclass(slots=True)
class Gauge:
    """One engine at this moment. Its executor writes it."""

    began: float | None = None
    """When its calls began, by trio's clock."""
    in_flight: int = 0
    limit: int = 0
    """The concurrency limit."""
    retries: int = 0
    answered: int = 0
    """Attempts that have ended and were not cut off."""
    finished: int = 0
    """Items of calls that are done or have failed for good."""


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
        return cls(ledger, began, {engine: Gauge() for engine in ledger.plan.engines()})

    def seconds_left(self, engine: EngineName, now: float) -> float | None:
        """How long the rest of an engine's items takes at its pace so far, by trio's clock.

        `None` if all is done, while nothing was done, or before one round of calls has finished.
        """
        counts, gauge = self.ledger.counts(engine, now=True), self.gauges.get(engine)
        if gauge is None or gauge.began is None or not counts.not_attempted or not counts.done:
            return None
        if gauge.finished < gauge.in_flight:
            return None
        return counts.not_attempted * (now - gauge.began) / gauge.finished


async def report_each_minute(live: Live, report: Callable[[Live, float], None]) -> None:
    """Reports the run once a minute, with the time by trio's clock, until it is cancelled."""
    while True:
        await trio.sleep(REPORT_SECONDS)
        report(live, trio.current_time())

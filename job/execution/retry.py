"""Retry policy: how long to wait after a failed try, or whether to give up. Pure; the jitter is passed in."""

from collections.abc import Callable
from dataclasses import dataclass

from job.config.environment import EngineSettings
from job.engines.catalog import ENGINES
from job.engines.failures import Failure

INITIAL_SECONDS = 0.5
MAX_SECONDS = 30.0


@dataclass(slots=True)
class RetryState:
    """The failures of one call so far."""

    engine: EngineSettings
    used: int = 0
    """Tries that failed. Rejections (429) do not count: they never reached the engine."""
    costs: int = 0
    """Failures that may have cost money."""
    backoffs: int = 0
    token_renewed: bool = False
    rejected_since: float | None = None

    def next_delay(self, failure: Failure, started: float, now: float, jitter: Callable[[], float]) -> float | None:
        """Seconds to wait before the next try; `None` if the call has failed for good.

        `started` and `now` are when the try began and ended; `jitter` gives numbers from 0 to 1 (full jitter), so
        that calls which failed together do not come back together.
        """
        engine = self.engine
        if failure.is_unauthorized and not self.token_renewed:
            self.token_renewed = True
            return 0.0
        if failure.is_rejection:
            self.rejected_since = started if self.rejected_since is None else self.rejected_since
            left = self.rejected_since + engine.timeout - now
            return None if left <= 0 else min(self.backoff(failure, jitter), left)
        self.rejected_since = None
        self.used += 1
        self.costs += failure.may_have_cost
        is_paid_twice = ENGINES[engine.name].is_costly and self.costs > 1
        if not failure.is_transient or self.used >= engine.attempts or is_paid_twice:
            return None
        return self.backoff(failure, jitter)

    def backoff(self, failure: Failure, jitter: Callable[[], float]) -> float:
        """Seconds to wait before the call is made again: on average, twice as long each time."""
        delay = jitter() * min(MAX_SECONDS, INITIAL_SECONDS * 2.0 ** min(self.backoffs, 10))
        self.backoffs += 1
        return max(delay, min(failure.retry_after or 0.0, MAX_SECONDS))

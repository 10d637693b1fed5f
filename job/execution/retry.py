"""What follows a failed attempt: pure, but for the dice."""

from collections.abc import Callable
from dataclasses import dataclass

from job.engines.failures import Cause, Failure, is_transient

INITIAL_SECONDS = 0.5


MAX_SECONDS = 30.0


@dataclass(slots=True)
class RetryState:
    """What one call has been through."""

    max_attempts: int
    """Attempts that the engine may spoil."""
    rejection_timeout: float
    """Seconds for which an engine may answer 429 and nothing else."""
    is_costly: bool
    """Whether each success costs money, so that an answer which says no is believed the second time."""
    used: int = 0
    denials: int = 0
    backoffs: int = 0
    token_renewed: bool = False
    rejected_since: float | None = None

    def next_delay(self, failure: Failure, started: float, now: float, jitter: Callable[[], float]) -> float | None:
        """Seconds to wait before the next attempt, or `None` where the call has failed for good.

        `started` and `now` are the attempt's beginning and end; `jitter` gives numbers from 0 to 1 (full jitter), so
        that calls which failed together do not come back together.
        """
        if failure.status == 401 and not self.token_renewed:
            self.token_renewed = True
            return 0.0
        if failure.status == 429:
            # It never reached the engine, so it spoils no attempt.
            self.rejected_since = started if self.rejected_since is None else self.rejected_since
            left = self.rejected_since + self.rejection_timeout - now
            return None if left <= 0 else min(self.backoff(failure, jitter), left)
        self.rejected_since = None
        self.used += 1
        self.denials += failure.cause is Cause.DENIED
        if self.used >= self.max_attempts or not is_transient(failure) or (self.is_costly and self.denials > 1):
            return None
        return self.backoff(failure, jitter)

    def backoff(self, failure: Failure, jitter: Callable[[], float]) -> float:
        """Seconds to wait before whatever comes next for this call: twice as many, on average, each time."""
        wait = jitter() * min(MAX_SECONDS, INITIAL_SECONDS * 2.0 ** min(self.backoffs, 10))
        self.backoffs += 1
        return max(wait, min(failure.retry_after or 0.0, MAX_SECONDS))

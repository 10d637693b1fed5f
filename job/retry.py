"""What follows a failed attempt: pure, but for the dice."""

from collections.abc import Callable
from dataclasses import dataclass

from job.answers import Cause, Failure

BASE_SECONDS = 0.5
CAP_SECONDS = 30.0
_PASSING = {500, 502, 503, 504}
_AGAIN = {Cause.TRANSPORT, Cause.TIMEOUT, Cause.IDENTITY, Cause.UNREADABLE, Cause.DENIED}


@dataclass(slots=True)
class Tries:
    """What one call has been through."""

    limit: int
    """Attempts that the engine may spoil."""
    patience: float
    """Seconds for which an engine may answer 429 and nothing else."""
    costly: bool
    """Whether each success costs money, so that an answer which says no is believed the second time."""
    spoilt: int = 0
    denied: int = 0
    pauses: int = 0
    token_renewed: bool = False
    rejected_since: float | None = None

    def after(self, failure: Failure, started: float, now: float, dice: Callable[[], float]) -> float | None:
        """Seconds to wait before the next attempt, or `None` where the call has failed for good.

        `started` and `now` are the attempt's beginning and end; `dice` gives numbers from 0 to 1: full jitter, so that
        calls which failed together do not come back together.
        """
        if failure.status == 401 and not self.token_renewed:
            self.token_renewed = True
            return 0.0
        if failure.status == 429:
            # It never reached the engine, so it spoils no attempt.
            self.rejected_since = started if self.rejected_since is None else self.rejected_since
            left = self.rejected_since + self.patience - now
            return None if left <= 0 else min(self.pause(failure, dice), left)
        self.rejected_since = None
        self.spoilt += 1
        self.denied += failure.cause is Cause.DENIED
        if self.spoilt >= self.limit or not _is_passing(failure) or (self.costly and self.denied > 1):
            return None
        return self.pause(failure, dice)

    def pause(self, failure: Failure, dice: Callable[[], float]) -> float:
        """Seconds to wait before whatever comes next for this call: twice as many, on average, each time."""
        wait = dice() * min(CAP_SECONDS, BASE_SECONDS * 2.0 ** min(self.pauses, 10))
        self.pauses += 1
        return max(wait, min(failure.retry_after or 0.0, CAP_SECONDS))


def is_halved(failure: Failure) -> bool:
    """Whether a batch is to be asked again in halves: it may be too large, or hold a ticker that breaks the engine."""
    if failure.cause is Cause.STATUS:
        return failure.status in _PASSING
    return failure.cause in {Cause.TRANSPORT, Cause.TIMEOUT}


def _is_passing(failure: Failure) -> bool:
    return failure.status in _PASSING if failure.cause is Cause.STATUS else failure.cause in _AGAIN

"""What follows a failed attempt: pure, but for the dice."""

from collections.abc import Callable
from dataclasses import dataclass

from job.answers import Cause, Failure

BASE_SECONDS = 0.5
CAP_SECONDS = 30.0
_PASSING = {429, 500, 502, 503, 504}
_AGAIN = {Cause.TRANSPORT, Cause.TIMEOUT, Cause.IDENTITY, Cause.UNREADABLE, Cause.DENIED}


@dataclass(slots=True)
class Tries:
    """What one call has been through."""

    limit: int
    costly: bool
    """Whether each success costs money, so that an answer which says no is believed the second time."""
    attempts: int = 0
    """Attempts that count against the limit."""
    denied: int = 0
    token_renewed: bool = False

    def after(self, failure: Failure, dice: Callable[[], float]) -> float | None:
        """Seconds to wait before the next attempt, or `None` where the call has failed for good.

        `dice` gives numbers from 0 to 1: full jitter, so that calls which failed together do not come back together.
        """
        if failure.status == 401 and not self.token_renewed:
            self.token_renewed = True
            return 0.0
        self.attempts += 1
        self.denied += failure.cause is Cause.DENIED
        if self.attempts >= self.limit or not _is_passing(failure) or (self.costly and self.denied > 1):
            return None
        wait = dice() * min(CAP_SECONDS, BASE_SECONDS * 2.0 ** (self.attempts - 1))
        return max(wait, min(failure.retry_after or 0.0, CAP_SECONDS))


def _is_passing(failure: Failure) -> bool:
    return failure.status in _PASSING if failure.cause is Cause.STATUS else failure.cause in _AGAIN

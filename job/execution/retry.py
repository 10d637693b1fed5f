"""Retry policy: how long a call waits after a failed try, or whether to give up. Pure; the jitter is passed in."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from job.config.environment import EngineSettings
from job.engines.catalog import ENGINES
from job.engines.failures import Cause, Failure

INITIAL_SECONDS = 0.5
MAX_SECONDS = 30.0
COSTLY_SECONDS = 10.0
"""How long a try that may have cost money waits at first for another call to be done, which shows that more is no
waste.
"""
LOST_LIMIT = 3
"""Tries of a costly call whose work may be paid for without a usable answer."""


@dataclass(slots=True)
class RetryState:
    """The failures of one call so far.

    Whether a failed try uses up one of `attempts` depends on who is at fault. A try that the engine has denied does. An
    outage does only if the engine is known to work: it *is blamed*, as it has meanwhile done another call. A try that
    may have cost money always does.
    """

    engine: EngineSettings
    used: int = 0
    """Tries that are used up."""
    costs: int = 0
    """Tries whose work may be paid for."""
    backoffs: int = 0
    token_renewed: bool = False
    waits_for_another: bool = False
    """Whether the next try may come before its time, once another call is done."""
    waiting_since: float | None = None
    """When the first try in a row began that was answered with 409 or 429, which the engine may soon do."""

    def next_delay(
        self,
        failure: Failure,
        started: float,
        now: float,
        jitter: Callable[[], float],
        *,
        sent: bool = True,
        is_blamed: bool = True,
    ) -> float | None:
        """Seconds to wait before the next try; `None` if the call has failed for good.

        It is infinite if only another call that is done may bring one. `started` and `now` are when the try began and
        ended, `sent` whether the request left. `jitter` gives numbers from 0 to 1 (full jitter), so that calls which
        failed together do not come back together.
        """
        self.waits_for_another = False
        if failure.is_unauthorized and not self.token_renewed:
            self.token_renewed = True
            return 0.0
        if failure.is_refusal:
            return None
        attempts, is_costly = self.engine.attempts, ENGINES[self.engine.name].is_costly
        seconds = self.backoff(failure, jitter)
        if is_costly and sent and (failure.lost_work or failure.is_crash):
            self.used += 1
            self.costs += failure.lost_work
            seconds = max(seconds, min(MAX_SECONDS, COSTLY_SECONDS * 2.0 ** (self.used - 1)))
            is_final, self.waits_for_another = self.costs >= LOST_LIMIT, True
        elif not failure.is_outage:
            self.used += 1
            self.costs += failure.cause is Cause.DENIED
            is_final = is_costly and failure.cause is Cause.DENIED and self.costs > 1
        else:
            self.used += self._is_used_up(failure, started, now, is_blamed=is_blamed)
            is_final = False
        if is_final or self.used >= attempts:
            return None
        if is_costly and self.costs == LOST_LIMIT - 1:
            self.waits_for_another, seconds = True, inf
        return seconds

    def _is_used_up(self, failure: Failure, started: float, now: float, *, is_blamed: bool) -> bool:
        """Whether an outage uses up the try."""
        if failure.is_rejection or failure.is_conflict:
            self.waiting_since = started if self.waiting_since is None else self.waiting_since
            if now < self.waiting_since + self.engine.timeout:
                return False
        else:
            self.waiting_since = None
        return is_blamed

    def backoff(self, failure: Failure, jitter: Callable[[], float]) -> float:
        """Seconds to wait before the call is made again: on average, twice as long each time."""
        delay = jitter() * min(MAX_SECONDS, INITIAL_SECONDS * 2.0 ** min(self.backoffs, 10))
        self.backoffs += 1
        return max(delay, min(failure.retry_after or 0.0, MAX_SECONDS))

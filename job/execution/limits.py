"""Limits: how many calls to one engine are in flight."""

import trio

from job.engines.failures import Failure
from job.execution.retry import INITIAL_SECONDS, MAX_SECONDS
from job.execution.shutdown import Shutdown


class ConcurrencyLimiter:
    """A limit on calls in flight that starts at its maximum and adapts to the engine's answers (AIMD).

    - Increase: by one per round trip, while the limit is reached and tries succeed.
    - Decrease: by half, once per round trip, when the engine is overloaded (502, 503, 504, timeout, no connection).
    - After a 429 the limit is the number of our calls that the engine still works on, at least one. Halving would be
      worse: rejections come at once and many together, so the free slots would fill and be rejected again.

    Unlike a rate limit (token bucket), it does not count calls per second.
    """

    def __init__(self, maximum: int, rejection_timeout: float) -> None:
        """An engine that rejects every call is called less and less often, for `rejection_timeout` seconds."""
        self._maximum = maximum
        self._rejection_timeout = rejection_timeout
        self._limit = float(maximum)
        self._fell_at = float("-inf")
        self._limiter = trio.CapacityLimiter(maximum)
        self._rejecting_since: float | None = None
        self._backoff = INITIAL_SECONDS
        self._closed_until = float("-inf")

    @property
    def limit(self) -> int:
        """The limit as it is now."""
        return int(self._limiter.total_tokens)

    @property
    def in_flight(self) -> int:
        """How many calls hold a slot."""
        return self._limiter.borrowed_tokens

    def is_rejecting(self) -> bool:
        """Whether the engine has answered only 429, to all calls, for `rejection_timeout` seconds."""
        return (
            self._rejecting_since is not None and trio.current_time() - self._rejecting_since >= self._rejection_timeout
        )

    async def acquire(self, shutdown: Shutdown) -> None:
        """Waits for a slot and takes it. Raises `ShutdownError` if the run stops first."""
        shutdown.raise_if_requested()
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._limiter.acquire_nowait()  # acquire would let every other task run first
            has_slot = True
        except trio.WouldBlock:
            has_slot = False
        if has_slot and trio.current_time() >= self._closed_until:
            return
        try:
            with shutdown.interruptible():
                if not has_slot:
                    await self._limiter.acquire()
                    has_slot = True
                await trio.sleep_until(self._closed_until)
        except BaseException:
            if has_slot:
                self.release()
            raise

    def release(self) -> None:
        """Gives the slot back."""
        self._limiter.release()

    def update(self, failure: Failure | None, started: float) -> None:
        """Adapts to a try that has just ended and still holds its slot. `started` is trio's time."""
        now = trio.current_time()
        if failure is not None and failure.is_rejection:
            if self._rejecting_since is None:
                self._rejecting_since = started
            if self.in_flight == 1 and not self.is_rejecting():  # the engine accepts not even one call
                self._closed_until = now + self._backoff
                self._backoff = min(2 * self._backoff, MAX_SECONDS)
            self._set(min(self._limit, self.in_flight - 1))
            return
        self._rejecting_since, self._backoff = None, INITIAL_SECONDS
        if failure is None:
            if self._limit < self._maximum and self.in_flight >= self.limit:
                self._set(self._limit + 1 / self._limit)
        elif failure.is_overload and started >= self._fell_at:
            self._fell_at = now
            self._set(self._limit / 2)

    def _set(self, limit: float) -> None:
        self._limit = min(max(limit, 1.0), float(self._maximum))
        self._limiter.total_tokens = int(self._limit)

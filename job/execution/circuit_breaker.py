"""Circuit breaker: whether one engine works, by its answers; while it does not, one call at a time is tried."""

from enum import Enum
from math import inf

from job.engines.failures import Failure, FailureKind
from job.execution.limits import ConcurrencyLimiter
from job.execution.retry_policy import COUNTED_SECONDS, INITIAL_SECONDS, MAX_SECONDS, RetryPolicy, Try

OPENS_SECONDS = 60.0
"""While calls are in flight, it does not open before nothing was done for so long."""
WORKS_SECONDS = 120.0
"""An engine works for so long after it has done a call, and at least for twice as long as its longest call took."""
LATE_TRIES, LATE_ROUNDS = (8, 16), 3
"""Once the patience is over, so many rounds of the limit decide, or so many calls, at least and at most."""


class State(Enum):
    CLOSED = "closed"
    PROBING = "probing"
    LATE = "late"


class CircuitBreaker:
    """Whether one engine works, by first tries alone: a retry may fail for a reason of its own.

    - *Closed*: calls may begin. Each that failed at its first try takes a place until another call is done.
    - *Probing*, once half of the places are taken so: at once if nothing else is in flight; else when nothing was done
      for a minute, or for twice as long as the longest call took. One call at a time begins, after pauses of 0.5 s at
      first and twice as long each time, up to 30 s; 10 s at least if the failed call may have cost money; none after a
      refusal.
    - *Late*, once its patience is over: a few calls decide. If all fail that were not tried before, it is down.

    A call that is done closes it, if it began after the first failure; one that began before gives one place back. A
    409 is like a call that is done. A refusal does not count; a 429 while others are in flight counts only once it is
    late. All times are by trio's clock.
    """

    def __init__(self, policy: RetryPolicy, limiter: ConcurrencyLimiter) -> None:
        self._policy, self.limiter = policy, limiter
        self.worked_at = -inf
        """When a call was done last."""
        self.longest = 0.0
        """How long a call took at most that is done."""
        self.failed = 0
        """How many places are taken by first tries that failed."""
        self.failing_since = inf
        """When the first of these failed; infinity if there is none."""
        self._opened = inf
        self._late_failures = 0
        """How many calls have failed at their first try that began once it was late."""
        self._pause = INITIAL_SECONDS
        self._pause_ends = -inf
        self._probe: Try | None = None
        """The latest probe, if it is in flight."""

    @property
    def works_until(self) -> float:
        """Until when the engine works, for all that is known, if no further call is done."""
        return self.worked_at + max(WORKS_SECONDS, 2 * self.longest)

    @property
    def opens(self) -> float:
        """When it opens, if no call is done by then; infinity if it is open, or too few have failed."""
        if self._opened < inf or 2 * self.failed < self.limiter.limit:
            return inf
        return max(self.failing_since, self.worked_at) + max(OPENS_SECONDS, 2 * self.longest)

    @property
    def over(self) -> float:
        """When the engine's patience is over; infinity while it is closed."""
        return max(self._opened, self.worked_at) + self._policy.settings.patience

    def state(self, now: float) -> State:
        if now >= self.opens:
            self._open(now)
        if self._opened == inf:
            return State.CLOSED
        return State.PROBING if now < self.over else State.LATE

    def not_before(self) -> float:
        """When the next probe may begin."""
        return self._pause_ends if self._probe is None else inf

    @property
    def failures_to_go(self) -> int:
        """How many calls have yet to fail that were not tried, once it is late, until the engine is down."""
        least, most = LATE_TRIES
        return min(most, max(least, LATE_ROUNDS * self.limiter.limit)) - self._late_failures

    def begin(self, latest: Try) -> None:
        """A try begins, which ends in `succeed` or `fail`."""
        if self.state(latest.started) is State.PROBING and self.not_before() <= latest.started:
            self._probe = latest

    def succeed(self, latest: Try, *, is_done: bool) -> bool:
        """A try has ended that shows that the engine works: it did the call, or a part of it, or answered 409.

        Returns whether this closes it.
        """
        if is_done:
            self.worked_at, self._late_failures = latest.ended, 0
            self.longest = max(self.longest, latest.ended - latest.started)
        if latest.started < self.failing_since < inf:
            self.failed = max(0, self.failed - 1)
            if not self.failed and self._opened == inf:
                self.failing_since = inf
            return False
        was_open = self._opened < inf
        self.failed = 0
        self.failing_since = self._opened = inf
        return was_open

    def fail(self, failure: Failure, latest: Try, *, is_first: bool, others: int) -> None:
        """A try has failed, the first of its call or not, while `others` are in flight.

        A 429 says that the engine's instances are at work: on these others, if there are any.
        """
        now, kind = latest.ended, self._policy.kind_of(failure, latest)
        is_refusal, is_late = kind is FailureKind.FINAL, latest.started >= self.over
        counts = is_first and not is_refusal and (is_late or not others or not failure.is_full)
        if counts:
            self.failed += 1
            self.failing_since = min(self.failing_since, now)
            self._late_failures += is_late
        opens = counts and not others and self.opens < inf
        if opens:
            self._open(now)
        if opens or latest is self._probe:
            self._probe, self._pause_ends = None, now
            if not is_refusal:
                least = COUNTED_SECONDS if kind is FailureKind.COUNTED else 0.0
                pause = min(max(self._pause, least, failure.retry_after or 0.0), MAX_SECONDS)
                self._pause = min(2 * pause, MAX_SECONDS)
                self._pause_ends = now + pause

    def _open(self, now: float) -> None:
        self._opened, self._pause, self._pause_ends, self._probe = now, INITIAL_SECONDS, now, None

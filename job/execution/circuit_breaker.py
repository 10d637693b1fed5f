"""Circuit breaker: whether one engine works, by its answers; while it does not, one call at a time is tried."""

from enum import Enum
from math import inf

from job.engines.failures import Failure, FailureKind
from job.execution.retry_policy import COUNTED_SECONDS, INITIAL_SECONDS, MAX_SECONDS, RetryPolicy, Try

LATE_TRIES, LATE_ROUNDS = 16, 3
"""So many calls that were not tried decide over an engine whose patience is over, or so many rounds of its limit."""


class State(Enum):
    CLOSED = "closed"
    PROBING = "probing"
    LATE = "late"


class CircuitBreaker:
    """Whether one engine works, by first tries alone: a retry may fail for a reason of its own.

    - *Closed*: calls may begin. Each that failed at its first try takes a place until another call is done.
    - *Probing*, once half as many as may be in flight have failed: one call at a time begins, after pauses of 0.5 s at
      first and twice as long each time, up to 30 s; 10 s at least if the failed call may have cost money; none after a
      refusal.
    - *Late*, once its patience is over: a few calls decide. If all fail that were not tried before, it is down.

    It closes once a call is done that began after the first failure, or is answered with 409. A refusal does not count;
    a 429 while others are in flight counts only once it is late. All times are by trio's clock.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self.worked_at = -inf
        """When a call was done last."""
        self.failed = 0
        """How many calls have failed at their first try, since another one was done."""
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
    def over(self) -> float:
        """When the engine's patience is over; infinity while it is closed."""
        return max(self._opened, self.worked_at) + self._policy.settings.patience

    def state(self, now: float) -> State:
        if self._opened == inf:
            return State.CLOSED
        return State.PROBING if now < self.over else State.LATE

    def not_before(self) -> float:
        """When the next probe may begin."""
        return self._pause_ends if self._probe is None else inf

    @property
    def failures_to_go(self) -> int:
        """How many calls have yet to fail that were not tried, once it is late, until the engine is down."""
        return min(LATE_TRIES, LATE_ROUNDS * self._policy.settings.concurrency) - self._late_failures

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
        if latest.started < self.failing_since < inf:
            return False
        was_open = self._opened < inf
        self.failed = 0
        self.failing_since = self._opened = inf
        return was_open

    def fail(self, failure: Failure, latest: Try, *, is_first: bool, others: int, limit: int) -> None:
        """A try has failed, the first of its call or not, while `others` are in flight, of as many as may be.

        A 429 says that the engine's instances are at work: on these others, if there are any.
        """
        now, kind = latest.ended, self._policy.kind_of(failure, latest)
        is_refusal, is_late = kind is FailureKind.FINAL, latest.started >= self.over
        counts = is_first and not is_refusal and (is_late or not others or not failure.is_rejection)
        if counts:
            self.failed += 1
            self.failing_since = min(self.failing_since, now)
            self._late_failures += is_late
        opens = counts and self._opened == inf and 2 * self.failed >= limit
        if opens:
            self._opened, self._pause = now, INITIAL_SECONDS
        if opens or latest is self._probe:
            self._probe, self._pause_ends = None, now
            if not is_refusal:
                least = COUNTED_SECONDS if kind is FailureKind.COUNTED else 0.0
                pause = min(max(self._pause, least, failure.retry_after or 0.0), MAX_SECONDS)
                self._pause = min(2 * pause, MAX_SECONDS)
                self._pause_ends = now + pause

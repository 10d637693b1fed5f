"""Circuit breaker: whether one engine works, by its answers; while it does not, one call at a time is tried."""

from enum import Enum
from math import inf

from job.config.environment import EngineSettings
from job.engines.failures import FailureKind
from job.execution.limits import ConcurrencyLimiter
from job.execution.pending_call import Try
from job.execution.retry_policy import COUNTED_SECONDS, INITIAL_SECONDS, MAX_SECONDS

SILENT_SECONDS = 120.0
"""An engine is silent that did nothing for so long, or for twice as long as its longest call took."""
LATE_TRIES, LATE_ROUNDS = (8, 16), 3
"""Once the patience is over, so many rounds of the limit decide, or so many calls, at least and at most."""


class State(Enum):
    CLOSED = "closed"
    PROBING = "probing"
    LATE = "late"


class CircuitBreaker:
    """Whether one engine works, by first tries alone: a retry may fail for a reason of its own.

    - *Closed*: calls may begin. Each that failed at its first try takes a place until another call is done.
    - *Probing*, once half of the places are taken so: at once if nothing else is in flight; else once the engine is
      silent. One call at a time begins, after pauses of 0.5 s at first and twice as long each time, up to 30 s; 10 s at
      least if the failed call may have cost money; none after a refusal.
    - *Late*, once its patience is over: a few calls decide. If all fail that were not tried before, it is down.

    A call that is done closes it, if it began after the first failure; one that began before gives one place back. A
    refusal does not count. All times are by trio's clock.
    """

    def __init__(self, settings: EngineSettings, limiter: ConcurrencyLimiter) -> None:
        self._patience, self._limiter = settings.patience, limiter
        self.worked_at = -inf
        """When a call was done last."""
        self.longest = 0.0
        """How long a call took at most that is done."""
        self._late_failures = 0
        """How many calls have failed at their first try that began once it was late."""
        self._close()

    def _close(self) -> None:
        self.failed = 0
        """How many places are taken by first tries that failed."""
        self.failing_since = inf
        """When the first of these failed; infinity if there is none."""
        self.opens = inf
        """When it opens, or has opened; infinity if too few have failed."""
        self._pause, self._pause_ends = INITIAL_SECONDS, -inf
        self._probe: Try | None = None
        """The latest probe, if it is in flight."""

    def silent_from(self, since: float) -> float:
        """When the engine is silent, if it does nothing from then on."""
        return since + max(SILENT_SECONDS, 2 * self.longest)

    @property
    def over(self) -> float:
        """When the engine's patience is over; infinity while too few have failed."""
        return max(self.opens, self.worked_at) + self._patience

    def state(self, now: float) -> State:
        if now < self.opens:
            return State.CLOSED
        return State.PROBING if now < self.over else State.LATE

    @property
    def not_before(self) -> float:
        """When the next probe may begin."""
        return self._pause_ends if self._probe is None else inf

    @property
    def failures_to_go(self) -> int:
        """How many calls have yet to fail that were not tried, once it is late, until the engine is down."""
        least, most = LATE_TRIES
        return min(most, max(least, LATE_ROUNDS * self._limiter.limit)) - self._late_failures

    def places(self, state: State, *, has_untried: bool) -> int:
        """How many calls may be in flight. Late, no more begin that were not tried than decide."""
        limit = self._limiter.limit
        match state:
            case State.CLOSED:
                return max(1, limit - self.failed)
            case State.LATE if has_untried:
                return min(limit, self.failures_to_go)
        return limit

    def begin(self, latest: Try) -> None:
        """A try begins, which ends in `succeed` or `fail`."""
        if self.state(latest.started) is State.PROBING and self.not_before <= latest.started:
            self._probe = latest

    def succeed(self, latest: Try) -> bool:
        """A try has done its call, or a part of it. Returns whether this ends an outage."""
        was_open = latest.ended >= self.opens
        self.worked_at, self._late_failures = latest.ended, 0
        self.longest = max(self.longest, latest.ended - latest.started)
        if latest.started >= self.failing_since or (self.failed <= 1 and not was_open):
            self._close()
            return was_open
        self.failed = max(0, self.failed - 1)
        self._look(latest.ended)
        return False

    def fail(self, latest: Try, *, others: int) -> None:
        """A try has failed, while `others` are in flight."""
        now, is_refusal = latest.ended, latest.kind is FailureKind.FINAL
        counts = latest.is_first and not is_refusal
        if counts:
            self._late_failures += latest.started >= self.over
            self.failed += 1
            self.failing_since = min(self.failing_since, now)
        self._look(now)
        opens = counts and not others and now < self.opens < inf
        if opens:
            self.opens = now
        if opens or latest is self._probe:
            self._probe, self._pause_ends = None, now
            if not is_refusal and latest.failure is not None:
                least = COUNTED_SECONDS if latest.kind is FailureKind.COUNTED else 0.0
                pause = min(max(self._pause, least, latest.failure.retry_after or 0.0), MAX_SECONDS)
                self._pause = min(2 * pause, MAX_SECONDS)
                self._pause_ends = now + pause

    def _look(self, now: float) -> None:
        """Unless it is open, it opens once the engine is silent, if half of the places are taken."""
        if now < self.opens:
            is_half = 2 * self.failed >= self._limiter.limit
            self.opens = self.silent_from(max(self.failing_since, self.worked_at)) if is_half else inf

"""Circuit breaker: whether one engine works, by its answers; while it does not, one call at a time is tried."""

from math import inf

from job.config.environment import EngineSettings
from job.engines.failures import FailureKind
from job.execution.limits import ConcurrencyLimiter
from job.execution.pending_call import Try
from job.execution.retry_policy import CHARGED_SECONDS, INITIAL_SECONDS, MAX_SECONDS

LATE_TRIES = 8
"""Once the patience is over, so many failed tries decide."""
MAX_CHARGED_SECONDS = 60.0
"""The longest pause after a try that may have been charged."""
LONG_LIFE = 4
"""A try that lives so many times as long as another took to fail may be at work."""


class CircuitBreaker:
    """Whether one engine works: rules 4 to 6 of `job/engines/README.md`. All times are by trio's clock.

    While the engine is not out, each call that failed at its first try takes a place. One that is done gives one back;
    if it began after the first failure, all. It also ends an outage.
    """

    def __init__(self, settings: EngineSettings, limiter: ConcurrencyLimiter, *, is_still_out: bool = False) -> None:
        """With `is_still_out` the engine was out when an earlier start ended, and is taken to be so until a call is
        done.
        """
        self._patience, self._concurrency, self._limiter = settings.patience, settings.concurrency, limiter
        self.worked_at = -inf
        """When a call was done last."""
        self.begun_well = -inf
        """When the latest call began that was done."""
        self._close()
        if is_still_out:
            self._out_since = -inf

    def _close(self) -> None:
        self.failed = 0
        """How many places are taken by first tries that failed."""
        self.failing_since = inf
        """When the first of these failed; infinity if there is none."""
        self.charged = 0
        """How many tries have failed since then that may have been charged."""
        self.failures_to_go = LATE_TRIES
        """How many tries have yet to fail, once the patience is over, until the engine has failed."""
        self._out_since = inf
        self._shortest, self._longest = inf, 0.0
        """How soon, and how late, a try has failed."""
        self._pause, self._pause_ends = INITIAL_SECONDS, -inf
        self._last_began = -inf
        """When a call began last."""

    @property
    def is_out(self) -> bool:
        return self._out_since < inf

    @property
    def may_be_out(self) -> bool:
        """Whether half as many calls have failed at their first try as may be in flight, and none was done since."""
        return self.is_out or 2 * self.failed >= self._concurrency

    @property
    def is_still_out(self) -> bool:
        """Whether the engine was out when an earlier start ended, and no answer of this one shows otherwise."""
        return self._out_since == -inf

    @property
    def has_failed(self) -> bool:
        return self.failures_to_go <= 0

    @property
    def over(self) -> float:
        """When the engine's patience is over; infinity while it is not out."""
        return max(self._out_since, self.worked_at) + self._patience

    def fails_by(self, now: float) -> float:
        """When it has failed at the latest, if it stays out as it is; infinity while it is not out."""
        return max(self.over, now) + self.failures_to_go * MAX_CHARGED_SECONDS + self._longest

    @property
    def places(self) -> int:
        """How many calls may be in flight. Once the patience is over, no more than decide."""
        limit = self._limiter.limit
        if self.is_out:
            return min(limit, self.failures_to_go)
        return 1 if self.may_be_out else limit

    @property
    def not_before(self) -> float:
        """When the next call may begin."""
        if not self.is_out or not self._limiter.in_flight:
            return self._pause_ends
        long_life = max(CHARGED_SECONDS, LONG_LIFE * self._shortest)
        late = max(self.over, self._last_began + CHARGED_SECONDS)
        return max(self._pause_ends, min(self._last_began + long_life, late))

    def begin(self, latest: Try) -> None:
        self._last_began = latest.started

    def succeed(self, latest: Try) -> bool:
        """A try has done its call, or a part of it. Returns whether this ends an outage."""
        was_out = self.is_out
        self.worked_at, self.begun_well = latest.ended, max(self.begun_well, latest.started)
        if was_out or latest.started >= self.failing_since or self.failed <= 1:
            self._close()
        else:
            self.failed -= 1
        return was_out

    def fail(self, latest: Try, left: int) -> None:
        """A try has failed, of so many calls that are left, with those in flight. It is still one of these."""
        now, is_refusal = latest.ended, latest.kind is FailureKind.REFUSED
        if not is_refusal:
            self.failed += latest.is_first
            if latest.is_first or self.is_out:
                self.failing_since = min(self.failing_since, now)
            self.charged += latest.kind is FailureKind.CHARGED
            self._shortest = min(self._shortest, now - latest.started)
            self._longest = max(self._longest, now - latest.started)
        if self.is_still_out and latest.kind is FailureKind.FREE:
            self._out_since = now
        if not self.is_out and 2 * self.failed >= min(self._concurrency, left) and len(self._limiter.in_flight) == 1:
            self._out_since = now
        if self.is_out and not is_refusal:
            self.failures_to_go -= now >= self.over
            self._begin_pause(latest)

    def _begin_pause(self, latest: Try) -> None:
        """It runs from when the failed try began, or from its end if the engine has asked for it."""
        is_charged = latest.kind is FailureKind.CHARGED
        least, most = (CHARGED_SECONDS, MAX_CHARGED_SECONDS) if is_charged else (INITIAL_SECONDS, MAX_SECONDS)
        pause = min(max(self._pause, least), most, max(self._patience, INITIAL_SECONDS))
        self._pause = min(2 * pause, MAX_CHARGED_SECONDS)
        asked_for = min(latest.failure.retry_after or 0.0, MAX_SECONDS) if latest.failure else 0.0
        self._pause_ends = max(latest.started + pause, latest.ended + asked_for)

"""Circuit breaker: whether one engine works, by its answers; while it does not, few calls are tried."""

from enum import Enum
from math import inf

from job.config.environment import EngineSettings
from job.engines.failures import FailureKind
from job.execution.limits import ConcurrencyLimiter
from job.execution.pending_call import Try
from job.execution.retry_policy import CHARGED_SECONDS, INITIAL_SECONDS, MAX_SECONDS

LATE_TRIES = 8
"""Once the patience is over, so many calls decide."""
LONG_LIFE = 4
"""A probe that lives so many times as long as another call took to fail may be at work."""


class State(Enum):
    CLOSED = "closed"
    PROBING = "probing"
    LATE = "late"


class CircuitBreaker:
    """Whether one engine works, by first tries alone: rules 3 to 5 of `job/engines/README.md`.

    Closed, each call that failed at its first try takes a place. One that is done gives one back; if it began after the
    first failure, all, and an outage is over. All times are by trio's clock.
    """

    def __init__(self, settings: EngineSettings, limiter: ConcurrencyLimiter) -> None:
        self._patience, self._limiter = settings.patience, limiter
        self.worked_at = -inf
        """When a call was done last."""
        self.failures_to_go = LATE_TRIES
        """How many calls have yet to fail that were not tried, once it is late, until the engine is down."""
        self._failed_first: dict[str | None, float] = {}
        """When each card type failed first; infinity once a call of it was done."""
        self._begun_well = -inf
        """When the latest call began that was done."""
        self._close()

    def _close(self) -> None:
        self.failed = 0
        """How many places are taken by first tries that failed."""
        self.failing_since = inf
        """When the first of these failed; infinity if there is none."""
        self._out_since = inf
        self._shortest = inf
        """How soon a call has failed."""
        self._pause, self._pause_ends = INITIAL_SECONDS, -inf
        self._probes: list[float] = []
        """When calls began after the pause, if none of them has failed."""

    def is_outlier(self, card_type: str | None) -> bool:
        """Whether a card type fails while others do not: none of it was ever done, and it had failed before a call
        began that was done."""
        return self._failed_first.get(card_type, inf) < self._begun_well

    def has_worked(self, card_type: str | None) -> bool:
        return self._failed_first.get(card_type) == inf

    @property
    def has_outlier_in_flight(self) -> bool:
        return any(self.is_outlier(one.card_type) for one in self._limiter.in_flight)

    @property
    def over(self) -> float:
        """When the engine's patience is over; infinity while it is not out."""
        return max(self._out_since, self.worked_at) + self._patience

    def state(self, now: float) -> State:
        if now < self._out_since:
            return State.CLOSED
        return State.PROBING if now < self.over else State.LATE

    @property
    def not_before(self) -> float:
        """When the next probe may begin."""
        if not self._probes:
            return self._pause_ends
        return self._probes[0] + self.long_life * len(self._probes).bit_length()

    @property
    def long_life(self) -> float:
        """A call that lives so long may be at work, by how soon one has failed since the engine did any."""
        return max(CHARGED_SECONDS, LONG_LIFE * self._shortest)

    def places(self, state: State, *, has_untried: bool) -> int:
        """How many calls may be in flight. Late, no more begin that were not tried than decide."""
        limit = self._limiter.limit
        if state is State.CLOSED:
            return max(1, limit - self.failed)
        return min(limit, self.failures_to_go) if state is State.LATE and has_untried else limit

    def begin(self, latest: Try) -> None:
        if self.state(latest.started) is State.PROBING:
            self._probes.append(latest.started)

    def succeed(self, latest: Try) -> bool:
        """A try has done its call, or a part of it. Returns whether this ends an outage."""
        was_out = latest.ended >= self._out_since
        self.worked_at, self.failures_to_go = latest.ended, LATE_TRIES
        self._failed_first[latest.card_type] = inf
        self._begun_well = max(self._begun_well, latest.started)
        if latest.started >= self.failing_since or (self.failed <= 1 and not was_out):
            self._close()
            return was_out
        self.failed = max(0, self.failed - 1)
        return False

    def fail(self, latest: Try) -> None:
        """A try has failed, which is still one of those in flight."""
        now, is_refusal = latest.ended, latest.kind is FailureKind.REFUSED
        self._failed_first.setdefault(latest.card_type, now)
        if not is_refusal and not self.is_outlier(latest.card_type):
            self._shortest = min(self._shortest, now - latest.started)
            if latest.is_first:
                self.failures_to_go -= latest.started >= self.over
                self.failed += 1
                self.failing_since = min(self.failing_since, now)
        opens = now < self._out_since and 2 * self.failed >= self._limiter.limit and self._is_alone(latest)
        if opens:
            self._out_since = now
        if opens or (self._probes and latest.started >= self._probes[0]):
            self._probes, self._pause_ends = [], now
            if not is_refusal and latest.failure is not None:
                least = CHARGED_SECONDS if latest.kind is FailureKind.CHARGED else 0.0
                pause = min(max(self._pause, least, latest.failure.retry_after or 0.0), MAX_SECONDS)
                self._pause = min(2 * pause, MAX_SECONDS)
                self._pause_ends = now + pause

    def _is_alone(self, latest: Try) -> bool:
        """Whether no other call is in flight but outliers."""
        return all(one is latest or self.is_outlier(one.card_type) for one in self._limiter.in_flight)

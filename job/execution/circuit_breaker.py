"""Circuit breaker: whether one engine works, by its answers; while it does not, one call at a time is tried."""

from math import inf

from job.engines.calls import Call, EngineName
from job.engines.failures import Failure, FailureKind
from job.execution.progress import EngineFailing, EngineProgress, EngineRecovered, EventHandler
from job.execution.retry_policy import COUNTED_SECONDS, INITIAL_SECONDS, MAX_SECONDS, FailingSince, RetryPolicy, Try
from job.text.messages import colon

LONG_SECONDS = 60.0
"""While a probe has no answer for so long, another one begins; and what fails for so long is no single call."""
DOWN_AFTER = 20
"""Failures in a row after which an engine without patience may be down."""
TELL_SECONDS = 5.0
"""An outage that is shorter is not worth a word."""
TELL_AGAIN_SECONDS = 600.0
"""Of an engine that fails again and again, people are told this often at most."""


class CircuitBreaker:
    """Whether one engine works.

    - *Closed*: calls may begin; each that fails at its first try takes a place, until another shows that it works.
    - *Open*, once half as many as may be in flight have failed in a row, or one with no other in flight. Nothing begins
      until its pause is over, 0.5 s at first and twice as long each time, up to 30 s; 10 s at least if the failed call
      may have cost money.
    - *Half-open*: then one call begins, the probe, and another each minute while it hangs.

    It closes once a call that began after the first failure is done, is refused, or is answered with 409. The engine is
    *down* once a call has failed that began after its patience was over. All times are by trio's clock.
    """

    def __init__(self, policy: RetryPolicy, progress: EngineProgress, emit: EventHandler) -> None:
        self._policy = policy
        self._engine: EngineName = policy.settings.name
        self._progress = progress
        self._emit = emit
        self.is_open = False
        """Whether it is open or half-open."""
        self.closed_at = -inf
        self.failures = 0
        """How many first tries failed in a row."""
        self._failing = FailingSince()
        """Since the first of these, or since the only call in flight failed."""
        self._over = inf
        """When the engine's patience is over."""
        self._pause = INITIAL_SECONDS
        self._pause_ends = -inf
        self._probe: Try | None = None
        """The latest probe, if it is in flight."""
        self._failed_in_a_row = 0
        """How many tries failed in a row, retries too."""
        self._is_outage = False
        """Whether what fails is the engine, and not just one call among others."""
        self._is_told = False
        self._told_at = -inf
        """When people were last told that it fails."""

    @property
    def failing_since(self) -> float:
        """Since when it fails; infinity if it works."""
        return self._failing.first

    @property
    def not_before(self) -> float:
        """When the next call may begin, while it is open."""
        if self._probe is None:
            return self._pause_ends
        if self._probe.started >= self._over:
            return inf  # if it fails, the engine is down
        return max(self._pause_ends, min(self._probe.started + LONG_SECONDS, self._over))

    def is_patience_over(self, now: float) -> bool:
        """Whether the engine is down if a call fails that begins now."""
        return self.is_open and now >= self._over

    def begin(self, latest: Try) -> None:
        """A try begins, which ends in `succeed` or `fail`."""
        if self.is_open:
            self._probe = latest

    def succeed(self, latest: Try) -> bool:
        """A try has ended that shows that the engine works, even if it was refused. Returns whether it closes."""
        self._failed_in_a_row = 0
        if latest.started < self._failing.first:
            return False
        was_open = self.is_open
        if self._is_told:
            self._emit(EngineRecovered(self._engine, latest.started - self._failing.first))
        self.note_outage(latest.started)
        self.is_open = self._is_outage = self._is_told = False
        self.failures = 0
        self._failing, self._probe = FailingSince(), None
        if was_open:
            self.closed_at = latest.ended
        return was_open

    def fail(self, failure: Failure, latest: Try, call: Call, *, is_retry: bool, others: int, limit: int) -> None:
        """A try has failed, while `others` are in flight, of as many as may be.

        A retry's failure says more of its call than of the engine, and a 429 that its instances are at work: these
        neither open it nor take a place, unless no other call is in flight.
        """
        now, kind = latest.ended, self._policy.kind_of(failure, latest)
        self._failed_in_a_row += 1
        is_counted = not is_retry and not (failure.is_rejection and others)
        if not is_counted and others and self._failing.first == inf:
            return
        self._failing.add(kind, now)
        self._over = self._policy.over(self._failing, failure, kind)
        self.failures += is_counted
        is_enough = is_counted and (2 * self.failures >= limit or not others)
        opens = is_enough and not self.is_open and self._policy.settings.patience > 0
        if opens:
            self.is_open, self._pause = True, INITIAL_SECONDS
        if opens or latest is self._probe:
            self._probe = None
            self._begin_pause(now, max(failure.retry_after or 0.0, COUNTED_SECONDS * (kind is FailureKind.COUNTED)))
        self._is_outage = self._is_outage or is_enough or not others or now >= self._failing.first + LONG_SECONDS
        is_due = now >= max(self._failing.first + TELL_SECONDS, self._told_at + TELL_AGAIN_SECONDS)
        if self._is_outage and is_due and not self._is_told:
            self._is_told, self._told_at = True, now
            # If no other call has failed, it is named.
            reason = failure.reason if self.failures > 1 else colon(call.label, failure.reason)
            self._emit(EngineFailing(self._engine, reason, self._policy.settings.patience))

    def is_down(self, latest: Try, *, is_final: bool) -> bool:
        """Whether the engine is down, after this try has failed; `is_final` is whether the call has failed for good."""
        if not self._policy.settings.patience:
            return is_final and self._failed_in_a_row >= DOWN_AFTER
        return self.is_patience_over(latest.started)

    def _begin_pause(self, now: float, least: float) -> None:
        """Nothing begins for a while; but the first call after the patience begins as soon as it is over."""
        pause = min(max(self._pause, least), MAX_SECONDS)
        self._pause = min(2 * pause, MAX_SECONDS)
        self._pause_ends = now + pause
        if now < self._over:
            self._pause_ends = min(self._pause_ends, self._over)

    def note_outage(self, until: float) -> None:
        """Counts an outage, unless it was too short or only one call failed among others."""
        seconds = until - self._failing.first
        if self._is_outage and seconds >= TELL_SECONDS:
            self._progress.outages += 1
            self._progress.seconds_out += seconds

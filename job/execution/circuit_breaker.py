"""Circuit breaker: whether one engine works, by its answers; while it does not, one call at a time is tried."""

from math import inf

from job.engines.calls import Call
from job.engines.failures import Failure, FailureKind
from job.execution.progress import Outages
from job.execution.retry_policy import COUNTED_SECONDS, INITIAL_SECONDS, MAX_SECONDS, RetryPolicy, RetryState, Try
from job.text.messages import colon

LONG_SECONDS = 60.0
"""While a probe has no answer for so long, another one begins. An outage that is as long costs a call no patience."""
DOUBT, DOUBTED = 3, 100
"""An engine is down once so many times as many new calls have failed in a row as ever before, or so many."""


class CircuitBreaker:
    """Whether one engine works.

    A failure counts against the engine, unless another call was done since its own call failed last: then the call
    fails for a reason of its own.

    - *Closed*: calls may begin. Each that counts takes a place until another call is done.
    - *Open*, once half as many different calls as may be in flight count, or one with no other in flight. Nothing
      begins until a pause is over, 0.5 s at first and twice as long each time, up to 30 s; 10 s at least if the failed
      call may have cost money.
    - *Half-open*: then one call begins, the probe, and another each minute while it hangs.

    It closes once a call that began after the first failure is done, or is answered with 409. A refusal does not count,
    and closes nothing. If it does not close within the engine's patience, all that has failed has a last try: if none
    is done, the engine is down. All times are by trio's clock.
    """

    def __init__(self, policy: RetryPolicy, outages: Outages) -> None:
        self._policy = policy
        self._outages = outages
        self.is_open = False
        """Whether it is open or half-open."""
        self.over = inf
        """When the engine's patience is over; infinity while it is closed."""
        self._worked_at = -inf
        """When a call was done last."""
        self._has_failed_last = False
        """Whether a try has failed that began after the patience."""
        self._in_a_row = self._most_in_a_row = 0
        """How many calls have failed at their first try, since another one was done; and how many at most before."""
        self.failed: set[int] = set()
        """The numbers of the calls whose failures count."""
        self.failing_since = inf
        """When the first of these failed; infinity if there is none."""
        self._is_brief = True
        """Whether all of these failures are brief."""
        self._opened = inf
        self._seconds_out = 0.0
        self._pause = INITIAL_SECONDS
        self._pause_ends = -inf
        self._probe: Try | None = None
        """The latest probe, if it is in flight."""

    def seconds_out(self, now: float) -> float:
        """For how long it has been out so far, without the outages that were short."""
        return self._seconds_out + max(0.0, now - self._opened)

    def not_before(self, now: float) -> float:
        """When the next call may begin, while it is open. Once the patience is over, all may begin."""
        if now >= self.over:
            return now
        if self._probe is None:
            return min(self._pause_ends, self.over)
        return min(max(self._pause_ends, self._probe.started + LONG_SECONDS), self.over)

    def is_patience_over(self, now: float) -> bool:
        """Whether it is open, and what fails that begins now has had its last try."""
        return now >= self.over

    @property
    def failures_to_go(self) -> int:
        """How many new calls have to fail after the patience until the engine is down, if nothing waits for a last try.

        Where many calls failed before another one was done, it takes more of them.
        """
        in_doubt = min(DOUBT * self._most_in_a_row, DOUBTED) - self._in_a_row
        return max(in_doubt, 0 if self._has_failed_last else 1)

    def begin(self, latest: Try) -> None:
        """A try begins, which ends in `succeed` or `fail`."""
        if self.is_open:
            self._probe = latest

    def succeed(self, latest: Try) -> bool:
        """A try has ended that shows that the engine works. Returns whether this closes it."""
        self._worked_at = latest.ended
        if latest.started < self.failing_since < inf:
            return False
        was_open, self._most_in_a_row = self.is_open, max(self._most_in_a_row, self._in_a_row)
        if was_open:
            seconds = latest.started - self._opened
            if seconds >= min(LONG_SECONDS, self._policy.settings.patience / 10):
                self._seconds_out += seconds
            self._outages.end(self.failing_since, latest.started)
        self.is_open = self._has_failed_last = False
        self.failed.clear()
        self._in_a_row = 0
        self.over = self.failing_since = self._opened = inf
        self._is_brief, self._probe = True, None
        return was_open

    def fail(self, failure: Failure, latest: Try, call: Call, retry: RetryState, *, others: int, limit: int) -> bool:
        """A try has failed, while `others` are in flight, of as many as may be. Returns whether it counts.

        `retry` has the failures of its call before this one. A 429 says that the engine's instances are at work: it
        counts only if no other call is in flight.
        """
        now, kind = latest.ended, self._policy.kind_of(failure, latest)
        is_refusal = kind is FailureKind.FINAL
        is_own = retry.latest <= self._worked_at or (failure.is_rejection and others > 0)
        counts = not is_own and not is_refusal
        if counts:
            self.failing_since = min(self.failing_since, now)
            self.failed.add(retry.number)
            self._in_a_row += retry.first == inf
            self._is_brief = self._is_brief and kind is FailureKind.BRIEF
            self._has_failed_last = self._has_failed_last or latest.started >= self.over
        opens = counts and not self.is_open and (2 * len(self.failed) >= limit or not others)
        if opens:
            self.is_open, self._opened, self._pause = True, now, INITIAL_SECONDS
        if opens or latest is self._probe:
            self._probe = None
            least = COUNTED_SECONDS * (kind is FailureKind.COUNTED)
            self._begin_pause(now, max(failure.retry_after or 0.0, least), is_refusal=is_refusal)
        if self.is_open and counts:
            self.over = self._opened + self._policy.patience(is_brief=self._is_brief)
            # If no other call has failed, it is named.
            self._outages.go_on(
                self.failing_since, now, failure.reason if len(self.failed) > 1 else colon(call.label, failure.reason)
            )
        return counts

    def _begin_pause(self, now: float, least: float, *, is_refusal: bool) -> None:
        """Nothing begins for a while; after a refusal, the next probe begins at once."""
        if is_refusal:
            self._pause_ends = now
            return
        pause = min(max(self._pause, least), MAX_SECONDS)
        self._pause = min(2 * pause, MAX_SECONDS)
        self._pause_ends = now + pause

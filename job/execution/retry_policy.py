"""Retry policy: whether a call whose try has failed is tried again, and when."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from job.config.environment import EngineSettings
from job.engines.answers import Verdict
from job.engines.failures import Failure, FailureKind

INITIAL_SECONDS = 0.5
MAX_SECONDS = 30.0
SHORT_SECONDS = 5.0
"""A wait that is longer may be cut to so much by the end of the patience."""
COUNTED_SECONDS = 10.0
"""A call whose try may have cost money waits so long at least; four times as long each time."""
BRIEF_SECONDS = 60.0
"""For how long a call is repeated that was answered that it cannot be done."""


@dataclass(slots=True)
class Try:
    """One try at a call, by trio's clock. It joins its call once it was answered, or may have been sent."""

    started: float
    sent: bool = False
    """Whether the request may have been sent, after the token and the connection were there."""
    ended: float = 0.0
    status: int | None = None
    verdict: Verdict | None = None


@dataclass(slots=True)
class RetryState:
    """The failures of one call so far, by trio's clock."""

    number: int = 0
    """Of the call. The parts of a batch have the number of the batch: they count as one call until one is done."""
    first: float = inf
    """When it failed first; infinity if it has not."""
    brief: float = inf
    """Since when all of its failures are brief."""
    latest: float = inf
    """When it failed last."""
    out: float = 0.0
    """For how long the engine had been out when the call failed first, as `CircuitBreaker.seconds_out` says."""
    failures: int = 0
    counted: int = 0
    """How many of its failures count towards `attempts`."""
    token_renewed: bool = False
    is_last: bool = False
    """Whether it has one try left, which waits for the end of the patience."""

    def fail(self, kind: FailureKind, now: float, seconds_out: float) -> None:
        """Adds a failure."""
        if self.first == inf:
            self.first, self.out = now, seconds_out
        self.brief = min(self.brief, now) if kind is FailureKind.BRIEF else inf
        self.latest = now

    def extend(self, seconds: float) -> None:
        """Does not count some time, in which the call waited for its turn."""
        self.first += seconds
        self.brief += seconds


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When the calls of one engine are tried again: by the kinds of their failures (`FailureKind`).

    A call's patience runs from its first failure. It stands still while the engine is out.
    """

    settings: EngineSettings
    random: Callable[[], float]
    """Gives numbers from 0 to 1, for waits (full jitter: calls that failed together do not come back together)."""

    def kind_of(self, failure: Failure, latest: Try) -> FailureKind:
        return failure.kind(self.settings.name, sent=latest.sent)

    def patience(self, *, is_brief: bool) -> float:
        """Seconds for which a call, or an engine, may fail; `is_brief` is whether all of its failures are brief."""
        return min(BRIEF_SECONDS, self.settings.patience) if is_brief else self.settings.patience

    def over(self, call: RetryState, seconds_out: float, least: float = 0.0) -> float:
        """When the time for tries is over: what fails that began later fails for good. It lasts `least` seconds."""
        stood_still = max(0.0, seconds_out - call.out)
        if call.brief < inf:
            return call.brief + self.patience(is_brief=True) + stood_still
        return call.first + max(self.patience(is_brief=False), least) + stood_still

    def last_try(self, call: RetryState, seconds_out: float, deadline: float) -> float:
        """When the last try of a call may begin: at the end of its patience, or in time for the run's deadline."""
        return min(self.over(call, seconds_out), deadline - self.settings.timeout)

    def next_try(
        self, call: RetryState, failure: Failure, latest: Try, seconds_out: float, deadline: float, *, others: int
    ) -> float | None:
        """When a call may be tried again whose latest try has failed, by trio's clock; `None` if it failed for good.

        The engine has been out for `seconds_out`, and the run ends at `deadline`. A 429 while `others` are in flight
        costs no patience: the engine is at work on these.
        """
        now, kind = latest.ended, self.kind_of(failure, latest)
        if call.is_last and kind is not FailureKind.COUNTED:  # its last try is still to come, and has patience anew
            call.is_last, call.first = False, inf
        if failure.is_rejection and others:
            return now + self._backoff(call, failure)
        call.fail(kind, now, seconds_out)
        if failure.is_unauthorized and not call.token_renewed:
            call.token_renewed = True
            return now
        if kind is FailureKind.FINAL:
            return None
        due = now + self._backoff(call, failure)
        soonest = min(due, now + max(SHORT_SECONDS, failure.retry_after or 0.0))
        # After a 409, an earlier try is at work, for up to the timeout.
        over = self.over(call, seconds_out, self.settings.timeout if failure.status == 409 else 0.0)
        is_counted, attempts = kind is FailureKind.COUNTED, self.settings.attempts
        call.counted += is_counted
        if latest.started >= over or (is_counted and call.counted >= attempts):
            return None
        if not is_counted:
            return max(soonest, min(due, over))
        due = max(due, now + COUNTED_SECONDS * 4.0 ** (call.counted - 1))
        call.is_last = call.counted == attempts - 1 or due > over
        if call.is_last:
            due = max(min(due, over), self.last_try(call, seconds_out, deadline))
        return max(now, due)

    def _backoff(self, call: RetryState, failure: Failure) -> float:
        """Seconds to wait: on average twice as long each time."""
        delay = self.random() * min(MAX_SECONDS, INITIAL_SECONDS * 2.0 ** min(call.failures, 10))
        call.failures += 1
        return max(delay, min(failure.retry_after or 0.0, MAX_SECONDS))

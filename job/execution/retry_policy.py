"""Retry policy: whether a call whose try has failed is tried again, and when."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from job.config.environment import EngineSettings
from job.engines.answers import Verdict
from job.engines.failures import Failure, FailureKind

INITIAL_SECONDS = 0.5
MAX_SECONDS = 30.0
COUNTED_SECONDS = 10.0
"""A call whose try may have cost money waits so long at least; four times as long each time."""
LAST = inf
"""When a call is due that has one try left which may cost money: at the end of its patience, which may still move."""


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

    failures: int = 0
    first: float = inf
    """When it failed first; infinity if it has not. A 429 while others are in flight does not count."""
    latest: float = -inf
    """When it failed last."""
    counted: int = 0
    """How many of its failures count towards `attempts`."""
    is_renewed: bool = False
    """Whether its patience has begun anew, since its last try had cost nothing."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When the calls of one engine are tried again: by the kinds of their failures (`FailureKind`).

    A call's patience runs from its first failure, or from when its engine did any call last, whichever is later. A
    failure that cost nothing is repeated until a try has failed that began after it. One that may have cost money is
    repeated up to `attempts` times: 10 s after the first, four times as long after each other, and the last once the
    patience is over, or in time for the deadline; a wait that would end later is that one. If the last try costs
    nothing, it is still to come, with patience anew, once.
    """

    settings: EngineSettings
    random: Callable[[], float]
    """Gives numbers from 0 to 1, for waits (full jitter: calls that failed together do not come back together)."""

    def kind_of(self, failure: Failure, latest: Try) -> FailureKind:
        return failure.kind(self.settings.name, sent=latest.sent)

    def last_try(self, call: RetryState, worked_at: float, deadline: float) -> float:
        """When the last try of a call may begin whose engine did any call last at `worked_at`."""
        return max(min(self._over(call, worked_at), deadline - self.settings.timeout), call.latest + COUNTED_SECONDS)

    def next_try(
        self, call: RetryState, failure: Failure, latest: Try, worked_at: float, deadline: float, *, others: int
    ) -> float | None:
        """When a call is due whose latest try has failed, by trio's clock, or `LAST`; `None` if it failed for good.

        The engine did any call last at `worked_at`, and the run ends at `deadline`. A 429 while `others` are in flight
        costs no patience: the engine is at work on these.
        """
        kind, attempts = self.kind_of(failure, latest), self.settings.attempts
        call.latest = latest.ended
        if kind is FailureKind.FINAL:
            return None
        due = latest.ended + self._backoff(call, failure)
        if failure.is_rejection and others:
            return due
        if kind is FailureKind.FREE:
            if call.counted == attempts - 1 and not call.is_renewed:
                call.first, call.is_renewed = inf, True
            call.first = min(call.first, latest.ended)
            # After a 409, an earlier try is at work, for up to the timeout.
            least = self.settings.timeout if failure.status == 409 else 0.0
            return due if latest.started < self._over(call, worked_at, least) else None
        call.first = min(call.first, latest.ended)
        call.counted += 1
        if call.counted >= attempts:
            return None
        due = max(due, latest.ended + COUNTED_SECONDS * 4.0 ** (call.counted - 1))
        if due > self.last_try(call, worked_at, deadline):
            call.counted = attempts - 1
        return LAST if call.counted == attempts - 1 else due

    def _over(self, call: RetryState, worked_at: float, least: float = 0.0) -> float:
        """When the patience of a call is over, which lasts `least` seconds."""
        return max(call.first, worked_at) + max(self.settings.patience, least)

    def _backoff(self, call: RetryState, failure: Failure) -> float:
        """Seconds to wait: on average twice as long each time."""
        delay = self.random() * min(MAX_SECONDS, INITIAL_SECONDS * 2.0 ** min(call.failures, 10))
        call.failures += 1
        return max(delay, min(failure.retry_after or 0.0, MAX_SECONDS))

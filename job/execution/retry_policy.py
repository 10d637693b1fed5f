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


@dataclass(slots=True)
class Try:
    """One try at a call, by trio's clock. It joins its call once it was answered, or may have been sent."""

    started: float
    number: int = 0
    """Its number among all tries at its engine."""
    room: int = 0
    """How many were in flight when it began, and rejected before."""
    sent: bool = False
    """Whether the request may have been sent, after the token and the connection were there."""
    ended: float = 0.0
    status: int | None = None
    verdict: Verdict | None = None


@dataclass(slots=True)
class RetryState:
    """The failures of one call so far, by trio's clock. A 429 while others are in flight is none of them."""

    failures: int = 0
    first: float = inf
    """When it failed first; infinity if it has not."""
    free_since: float = inf
    """When it failed first since its last try that may have cost money."""
    counted: int = 0
    """How many of its failures count towards `attempts`."""
    is_last: bool = False
    """Whether one more of these is its end."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When the calls of one engine are tried again: by the kinds of their failures (`FailureKind`).

    A failure that cost nothing is repeated until a try has failed that began after the patience, which runs from the
    first of them, or from when the engine did any call last, whichever is later. One that may have cost money is
    repeated up to `attempts` times: 10 s after the first, four times as long after each other, and the last once a
    patience has passed since the call failed first, or in time for the deadline; a wait that would end later is that
    one. If the last try costs nothing, it is still to come.
    """

    settings: EngineSettings
    random: Callable[[], float]
    """Gives numbers from 0 to 1, for waits (full jitter: calls that failed together do not come back together)."""

    def kind_of(self, failure: Failure, latest: Try) -> FailureKind:
        return failure.kind(self.settings.name, sent=latest.sent)

    def next_try(
        self, call: RetryState, failure: Failure, latest: Try, worked_at: float, deadline: float, *, others: int
    ) -> float | None:
        """When a call is due whose latest try has failed, by trio's clock; `None` if it failed for good.

        The engine did any call last at `worked_at`, and the run ends at `deadline`. A 429 while `others` are in flight
        costs no patience: the engine is at work on these.
        """
        kind, settings, now = self.kind_of(failure, latest), self.settings, latest.ended
        if kind is FailureKind.FINAL:
            return None
        due = now + self._backoff(call, failure)
        if failure.is_full and others:
            return due
        call.first = min(call.first, now)
        if kind is FailureKind.FREE:
            call.free_since = min(call.free_since, now)
            # After a 409, an earlier try is at work, for up to the timeout.
            patience = max(settings.patience, settings.timeout if failure.status == 409 else 0.0)
            return due if latest.started < max(call.free_since, worked_at) + patience else None
        call.free_since = inf
        call.counted += 1
        if call.is_last or call.counted >= settings.attempts:
            return None
        due = max(due, now + COUNTED_SECONDS * 4.0 ** (call.counted - 1))
        last = max(min(call.first + settings.patience, deadline - settings.timeout), now + COUNTED_SECONDS)
        call.is_last = call.counted == settings.attempts - 1 or due > last
        return last if call.is_last else due

    def _backoff(self, call: RetryState, failure: Failure) -> float:
        """Seconds to wait: on average twice as long each time."""
        delay = self.random() * min(MAX_SECONDS, INITIAL_SECONDS * 2.0 ** min(call.failures, 10))
        call.failures += 1
        return max(delay, min(failure.retry_after or 0.0, MAX_SECONDS))

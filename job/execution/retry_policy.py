"""Retry policy: whether a call whose try has failed is tried again, and when."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from job.config.environment import EngineSettings
from job.engines.answers import Verdict
from job.engines.failures import Failure, FailureKind

INITIAL_SECONDS = 0.5
MAX_SECONDS = 30.0
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
class FailingSince:
    """Since when a call, or an engine, has been failing, by trio's clock; infinity if it does not."""

    first: float = inf
    brief: float = inf
    """Since when all of its failures are brief."""

    def add(self, kind: FailureKind, now: float) -> None:
        self.first = min(self.first, now)
        self.brief = min(self.brief, now) if kind is FailureKind.BRIEF else inf

    def exclude(self, seconds: float) -> None:
        """Does not count some time, in which the call waited for its turn."""
        self.first += seconds
        self.brief += seconds


@dataclass(slots=True)
class RetryState:
    """The failures of one call so far."""

    failing: FailingSince = field(default_factory=FailingSince)
    failures: int = 0
    counted: int = 0
    """How many of them count towards `attempts`."""
    token_renewed: bool = False


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When the calls of one engine are tried again: by the kinds of their failures (`FailureKind`).

    Without patience, every failure counts towards `attempts`, but for 409 and 429, and no wait is longer than the
    backoff.
    """

    settings: EngineSettings
    jitter: Callable[[], float]
    """Gives numbers from 0 to 1 (full jitter), so that calls which failed together do not come back together."""

    def kind_of(self, failure: Failure, latest: Try) -> FailureKind:
        return failure.kind(self.settings.name, sent=latest.sent)

    def over(self, failing: FailingSince, failure: Failure, kind: FailureKind) -> float:
        """When the time for tries is over: what fails that began later fails for good."""
        timeout, patience = self.settings.timeout, self.settings.patience
        if kind is FailureKind.BRIEF:
            return failing.brief + min(BRIEF_SECONDS, patience)
        # An earlier try is at work, for up to the timeout. Without patience, a free instance is awaited for as long.
        is_longer = failure.status == 409 or (failure.is_rejection and not patience)
        return failing.first + (max(patience, timeout) if is_longer else patience)

    def next_try(self, call: RetryState, failure: Failure, latest: Try, deadline: float) -> float | None:
        """When a call may be tried again whose latest try has failed, by trio's clock; `None` if it failed for good.

        The run ends at `deadline`.
        """
        now, kind = latest.ended, self.kind_of(failure, latest)
        call.failing.add(kind, now)
        if failure.is_unauthorized and not call.token_renewed:
            call.token_renewed = True
            return now
        if kind is FailureKind.FINAL:
            return None
        due, over = now + self._backoff(call, failure), self.over(call.failing, failure, kind)
        attempts, patience = self.settings.attempts, self.settings.patience
        counts = kind is FailureKind.COUNTED if patience else failure.status not in {409, 429}
        call.counted += counts
        if (counts and call.counted >= attempts) or (latest.started >= over and (patience or not counts)):
            return None
        if not counts:
            return max(now, min(due, over))
        if not patience:
            return due
        due = max(due, now + COUNTED_SECONDS * 4.0 ** (call.counted - 1))
        if call.counted == attempts - 1 or due > over:  # the last one
            due = max(min(due, over), min(over, deadline - self.settings.timeout))
        return max(now, due)

    def _backoff(self, call: RetryState, failure: Failure) -> float:
        """Seconds to wait: on average twice as long each time."""
        delay = self.jitter() * min(MAX_SECONDS, INITIAL_SECONDS * 2.0 ** min(call.failures, 10))
        call.failures += 1
        return max(delay, min(failure.retry_after or 0.0, MAX_SECONDS))

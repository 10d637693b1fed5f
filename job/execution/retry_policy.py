"""Retry policy: whether a call whose try has failed is tried again, and when."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from job.config.environment import EngineSettings
from job.engines.failures import FailureKind
from job.execution.pending_call import PendingCall, Try

INITIAL_SECONDS = 0.5
MAX_SECONDS = 30.0
CHARGED_SECONDS = 10.0
"""A call whose try may have cost money waits so long at least; four times as long each time."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When the calls of one engine are tried again, by their failures: rule 2 of `job/engines/README.md`."""

    settings: EngineSettings
    random: Callable[[], float]
    """Gives numbers from 0 to 1, for waits (full jitter: calls that failed together do not come back together)."""

    def next_try(
        self, call: PendingCall, latest: Try, deadline: float, worked_at: float = -inf, *, is_still_out: bool = False
    ) -> float | None:
        """When a call is due whose latest try has failed, by trio's clock; `None` if it failed for good.

        The run ends at `deadline`. The engine did any call last at `worked_at`; `is_still_out` is as in
        `CircuitBreaker`: its patience is over for what may have been charged.
        """
        failure, settings, now = latest.failure, self.settings, latest.ended
        if failure is None or latest.kind is FailureKind.REFUSED:
            return None
        wait = self.random() * min(MAX_SECONDS, INITIAL_SECONDS * 2.0 ** min(call.failures, 10))
        due = now + max(wait, min(failure.retry_after or 0.0, MAX_SECONDS))
        call.failures += 1
        call.failing_since = min(call.failing_since, now)
        if latest.kind is FailureKind.FREE:
            return due if latest.started < max(call.failing_since, worked_at) + settings.patience else None
        if call.is_last or call.charged_tries >= settings.attempts:
            return None
        patience_over = now if is_still_out else call.failing_since + settings.patience
        last = max(min(patience_over, deadline - settings.timeout), now + CHARGED_SECONDS)
        due = max(due, now + CHARGED_SECONDS * 4.0 ** (call.charged_tries - 1))
        call.is_last = call.charged_tries == settings.attempts - 1 or due > last
        if not call.is_last:
            return due
        call.failing_since = inf
        return last

"""Events: what happens to the calls of a run. Their handlers are the progress, the reporter and the record."""

from collections.abc import Callable
from dataclasses import dataclass

from job.engines.calls import Call
from job.engines.failures import Failure
from job.text.messages import Message, message, plural


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """An attempt starts. `limit` is the engine's concurrency limit."""

    call: Call
    limit: int


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt was answered, failed or was cut off. Times are trio's, in seconds.

    `wait` is the delay in seconds before the next attempt; `None` if none follows.
    """

    call: Call
    started: float
    ended: float
    failure: Failure | None
    wait: float | None
    limit: int
    traceparent: str


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that failed and was followed by another."""

    started: float
    ended: float
    reason: Message


@dataclass(frozen=True, slots=True)
class CallFinished:
    """The targets of a call are done, or have failed for good. Times are trio's, in seconds.

    If only some targets of a batch were done, it finishes for these, and the others go on as another call.
    """

    call: Call
    failure: Failure | None
    attempts: int
    started: float
    """When the last attempt started; `ended` is when it ended."""
    ended: float
    status: int | None
    """The HTTP status of the last answer, if there was one."""
    traceparent: str
    limit: int
    retries: int = 0
    """Attempts that were followed by another. Those that the halves of a batch share are counted in one half only."""
    failed_attempts: tuple[FailedAttempt, ...] = ()
    """The latest attempts before the last."""
    warning: Message | None = None
    """What is odd about a successful answer."""

    @property
    def summary(self) -> Message:
        """The failed call in one line: its targets, the last answer and the number of attempts."""
        reason = self.failure.reason if self.failure else message("done")
        return plural(
            "{call}: {reason} (1 attempt)",
            "{call}: {reason} ({count} attempts)",
            count=self.attempts,
            call=self.call.label,
            reason=reason,
        )


@dataclass(frozen=True, slots=True)
class CardTypeSetAside:
    """The remaining cards of a type are not requested, since too many of its cards failed."""

    card_type: str
    reason: Message
    remedy: Message


Event = AttemptStarted | AttemptEnded | CallFinished | CardTypeSetAside
EventHandler = Callable[[Event], None]

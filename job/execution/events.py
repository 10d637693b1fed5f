"""Events: what happens to the calls of a run, for everybody who handles them: progress, reporter, record."""

from collections.abc import Callable
from dataclasses import dataclass

from job.engines.calls import Call
from job.engines.failures import Failure
from job.text.messages import Message, message, plural


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A request is about to leave. `limit` is the engine's concurrency limit."""

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

    A batch of which some targets were done finishes for these, and goes on with the others as another call.
    """

    call: Call
    failure: Failure | None
    attempts: int
    started: float
    """Of the last attempt, as is `ended`."""
    ended: float
    status: int | None
    """Of the last answer, if there was one."""
    traceparent: str
    limit: int
    retries: int = 0
    """Attempts that were followed by another, and that no other result has counted: halves of a batch share some."""
    failed_attempts: tuple[FailedAttempt, ...] = ()
    """The attempts before the last, the latest few of them."""
    warning: Message | None = None
    """What is odd about an answer that is a success."""

    @property
    def summary(self) -> Message:
        """A line on a call that failed: its targets, the last answer and the number of attempts."""
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
    """The rest of the cards of a type is not requested, since too many of them failed."""

    card_type: str
    reason: Message
    remedy: Message


Event = AttemptStarted | AttemptEnded | CallFinished | CardTypeSetAside
EventHandler = Callable[[Event], None]

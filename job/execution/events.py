"""What happens in a run, as those who watch it are told: log, terminal, ledger."""

from collections.abc import Callable
from dataclasses import dataclass

from job.engines.calls import Call
from job.engines.failures import Failure


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A request is about to leave; `limit` is how many the engine gets at a time."""

    call: Call
    limit: int


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt was answered, failed or was cut off. Times are trio's, in seconds.

    `wait` is the pause in seconds before the next attempt, `None` if none follows.
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
    reason: str


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
    failed_attempts: tuple[FailedAttempt, ...] = ()
    """The attempts before the last, the latest few of them."""


Event = AttemptStarted | AttemptEnded | CallFinished


EventHandler = Callable[[Event], None]


def summary_of(finished: CallFinished) -> str:
    """A line on a call that failed: its targets, its attempts and the last answer."""
    attempts = f"{finished.attempts} attempt{'s' if finished.attempts > 1 else ''}"
    return f"{finished.call.label}: {finished.failure.text if finished.failure else 'done'} ({attempts})"

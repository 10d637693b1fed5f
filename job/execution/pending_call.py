"""Pending call: the state of a call between its attempts."""

from dataclasses import dataclass

from job.engines.calls import Call
from job.engines.failures import Failure
from job.execution.events import FailedAttempt
from job.execution.retry import RetryState
from job.text.messages import Message

FAILED_ATTEMPTS_KEPT = 10
"""Maximum number of failed attempts that a result lists: a rejected call may have hundreds."""


@dataclass(slots=True)
class PendingCall:
    """A call in progress: its retries, its timing, its last failure."""

    call: Call
    retry: RetryState
    traceparent: str
    attempts: int = 0
    """How often its targets were requested, also as part of larger batches."""
    retries: int = 0
    """As in `CallFinished`."""
    must_connect: bool = False
    """Whether the latest attempt opens a connection."""
    sent: bool = False
    """Whether the latest attempt had its token and its connection, so that the request may have been sent."""
    started: float = 0.0
    ended: float = 0.0
    status: int | None = None
    wait: float = 0.0
    """Seconds before the next attempt."""
    rejected: str | None = None
    """The token that the engine refused."""
    last: Failure | None = None
    warning: Message | None = None
    """As in `CallFinished`."""
    failed_attempts: tuple[FailedAttempt, ...] = ()

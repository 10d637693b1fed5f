"""What happens in a run, as those who watch it are told: log, terminal, ledger."""

from collections.abc import Callable
from dataclasses import dataclass

from job.answers import Failure
from job.engines import Call


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A request is about to leave."""

    call: Call


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt was answered, failed or was cut off.

    `wait` is the pause in seconds before the next one, `None` if none follows.
    """

    call: Call
    seconds: float
    failure: Failure | None
    wait: float | None


@dataclass(frozen=True, slots=True)
class CallFinished:
    """The targets of a call are done, or have failed for good.

    A batch of which some targets were done finishes for these, and goes on with the others as another call.
    """

    call: Call
    failure: Failure | None
    attempts: int
    seconds: float
    """Of the last attempt."""
    status: int | None
    """Of the last answer, if there was one."""
    traceparent: str


Event = AttemptStarted | AttemptEnded | CallFinished
Watch = Callable[[Event], None]

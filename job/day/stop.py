"""Stop: why an attempt ends early."""

from enum import IntEnum

from job.day.result import CallResult
from job.engines.catalog import ENGINES
from job.errors import JobError
from job.text.messages import listed, plural


class ShutdownReason(IntEnum):
    """Why a run stops early. If there are several reasons, the highest one counts."""

    QA_DOWN = 1
    DEADLINE = 2
    LEASE_LOST = 3
    BUG = 4
    SIGTERM = 5
    SIGINT = 6


class EngineFailedError(JobError):
    """A data engine has failed: one of its calls failed for good. Has the result of that call, and the reason."""

    def __init__(self, result: CallResult) -> None:
        self.reason = plural(
            "the {engine} engine failed for {targets} after 1 attempt: {reason}",
            "the {engine} engine failed for {targets} after {count} attempts: {reason}",
            count=result.tries,
            engine=ENGINES[result.engine].label,
            targets=listed(result.targets),
            reason=result.reason or "",
        )
        super().__init__(str(self.reason))
        self.result = result

"""When to stop asking an engine that is down."""

from dataclasses import dataclass
from math import inf

from job.answers import Cause, Failure

IN_A_ROW = 20
AT_LEAST = 50
_DOWN = {Cause.TRANSPORT, Cause.TIMEOUT, Cause.IDENTITY}


@dataclass(slots=True)
class Breaker:
    """Counts calls that failed because the engine could not be reached, and tells when that is the rule.

    An answer that was read does not count, so one broken card type stops nothing.
    """

    finished: int = 0
    failed: int = 0
    in_a_row: int = 0

    def room(self) -> float:
        """How many calls may be under way: where the last ones failed, as many as it takes to tell, and no more."""
        return IN_A_ROW - self.in_a_row if self.in_a_row else inf

    def count(self, failure: Failure | None) -> bool:
        """Takes a call that finished into account; whether to stop asking."""
        self.finished += 1
        if failure is not None and _is_down(failure):
            self.failed += 1
            self.in_a_row += 1
        else:
            self.in_a_row = 0
        return self.in_a_row >= IN_A_ROW or (self.finished >= AT_LEAST and self.failed * 2 > self.finished)


def _is_down(failure: Failure) -> bool:
    if failure.cause is Cause.STATUS:
        status = failure.status or 0
        return status in {401, 403, 429} or status >= 500
    return failure.cause in _DOWN

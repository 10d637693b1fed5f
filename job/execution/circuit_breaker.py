"""When to stop asking an engine that is down."""

from dataclasses import dataclass
from math import inf

from job.engines.failures import Failure, is_outage

IN_A_ROW = 20


AT_LEAST = 50


@dataclass(slots=True)
class CircuitBreaker:
    """Counts calls that failed because the engine could not be reached, and tells when that is the rule.

    An answer that was read does not count, so one broken card type stops nothing.
    """

    finished: int = 0
    failed: int = 0
    in_a_row: int = 0

    def max_in_flight(self) -> float:
        """How many calls may be under way: where the last ones failed, as many as it takes to tell, and no more."""
        return IN_A_ROW - self.in_a_row if self.in_a_row else inf

    def record(self, failure: Failure | None) -> bool:
        """Takes a call that finished into account; whether to stop asking."""
        self.finished += 1
        if failure is not None and is_outage(failure):
            self.failed += 1
            self.in_a_row += 1
        else:
            self.in_a_row = 0
        return self.in_a_row >= IN_A_ROW or (self.finished >= AT_LEAST and self.failed * 2 > self.finished)

"""Circuit breaker: when to stop calling an engine that is down, or requesting cards of one type."""

from dataclasses import dataclass
from math import inf

from job.engines.failures import Failure

IN_A_ROW = 20
AT_LEAST = 50


@dataclass(slots=True)
class CircuitBreaker:
    """Counts calls that failed because the engine could not be reached. It opens once, and never closes again.

    An answer that was read does not count.
    """

    finished: int = 0
    failed: int = 0
    in_a_row: int = 0

    @property
    def was_reached(self) -> bool:
        """Whether the engine gave any answer that was read."""
        return self.finished > self.failed

    def max_in_flight(self) -> float:
        """How many calls may be in flight: after failures in a row, only as many as are needed to open the circuit."""
        return IN_A_ROW - self.in_a_row if self.in_a_row else inf

    def record(self, failure: Failure | None) -> bool:
        """Counts a finished call. Returns whether the circuit is open, so that no further call should start."""
        self.finished += 1
        if failure is not None and failure.is_outage:
            self.failed += 1
            self.in_a_row += 1
        else:
            self.in_a_row = 0
        return self.in_a_row >= IN_A_ROW or (self.finished >= AT_LEAST and self.failed * 2 > self.finished)

"""Limits of one engine: how many of its calls are in flight, and how many begin in a minute."""

from math import inf

from job.engines.failures import Failure


class ConcurrencyLimiter:
    """A limit on calls in flight that starts at its maximum and adapts to the engine's answers (AIMD).

    - Increase: by one per round trip, while the limit is reached and calls are done.
    - Decrease: for each overload (502, 503, 504, no connection), by the number of overloads since a call was done,
      divided by the limit: a few among many cost little. If there are more of them than the limit, that is an outage,
      which is no matter of their number.
    - After a 429 the limit is the number of our calls that the engine still works on, at least one. Halving would be
      worse: rejections come at once and many together, so the free slots would fill and be rejected again.
    - After an outage: half of the maximum at least, whatever had come in it.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._limit = float(maximum)
        self.limit = maximum
        self._overloads = 0
        """How many there were since a call was done."""

    def update(self, failure: Failure | None, in_flight: int, failures: int) -> None:
        """Adapts to a try that has just ended, and still is in flight. `failures` take a place each."""
        if failure is None:
            self._overloads = 0
            if self._limit < self._maximum and in_flight + failures >= self.limit:
                self._set(self._limit + 1 / self._limit)
        elif failure.is_rejection:
            self._set(min(self._limit, in_flight - 1))
        elif failure.handling.lowers_limit:
            self._overloads += 1
            if self._overloads <= self._limit:
                self._set(self._limit - self._overloads / self._limit)

    def recover(self) -> None:
        """Adapts to the end of an outage."""
        self._set(max(self._limit, self._maximum / 2))

    def _set(self, limit: float) -> None:
        self._limit = min(max(limit, 1.0), float(self._maximum))
        self.limit = int(self._limit)


SLACK_SECONDS = 0.1
"""How much later than its time a call may begin without delaying those after it: timers are never exact."""
LATE_SECONDS = 1.0
"""A request that leaves so much later than its call began, as it waited for a token, counts again."""


class RateLimiter:
    """A limit on the calls that begin in a minute, evenly spread: in no 60 seconds do more begin."""

    def __init__(self, per_minute: int | None) -> None:
        # A call that is late by the slack is in one minute with the next ones: longer steps make up for that.
        self._step = (60.0 + 2 * SLACK_SECONDS) / per_minute if per_minute else 0.0
        self.not_before = -inf
        """The next call may begin then, by trio's clock."""

    def begin(self, now: float) -> None:
        if self._step:
            self.not_before = max(self.not_before, now - SLACK_SECONDS) + self._step

    def send(self, began: float, now: float) -> None:
        """The request of a call leaves that began at a time."""
        if now > began + LATE_SECONDS:
            self.begin(now)

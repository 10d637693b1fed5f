"""Limits of one engine: how many of its calls are in flight, and how many begin in a minute."""

from math import inf

from job.execution.pending_call import Try


class ConcurrencyLimiter:
    """A limit on calls in flight that starts at its maximum and adapts to the engine's answers (AIMD).

    - A call that is done shows that there was room for all that were in flight when it began, but for those that were
      rejected since. The limit is at least that, and grows by one per round trip while it is reached.
    - A call is rejected by a 429, 502, 503 or 504, a lost connection, or a limit of this process. If it began with more
      in flight than there was shown to be room for in this round trip or the one before, the limit falls by one.
      Otherwise it was rejected for a reason of its own: the limit grows by one.
    - After an outage the limit is half of its maximum at least, whatever had come in it.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._limit = float(maximum)
        self.limit = maximum
        self.in_flight: dict[Try, None] = {}
        """The tries in flight, in the order in which they began."""
        self._round_began = -inf
        """When this round trip began: it ends when a call is done that began in it."""
        self._shown = self._shown_before = 0
        """For how many calls there was room in this round trip, and in the one before."""

    def begin(self, latest: Try) -> None:
        self.in_flight[latest] = None
        latest.room = len(self.in_flight)

    def end(self, latest: Try) -> None:
        """A try has ended, whether it was done, rejected or neither."""
        del self.in_flight[latest]

    def succeed(self, latest: Try) -> None:
        """A try in flight has done its call, or a part of it."""
        if latest.started >= self._round_began:
            self._round_began, self._shown_before, self._shown = latest.ended, self._shown, 0
        self._shown = max(self._shown, latest.room)
        is_reached = len(self.in_flight) >= self.limit
        self._set(max(self._limit + is_reached / self._limit, self._shown))

    def reject(self, latest: Try) -> None:
        for later in reversed(self.in_flight):
            if later is latest:
                break
            later.room -= 1
        shown = max(self._shown, self._shown_before)
        self._set(max(shown, self._limit - 1) if latest.room > shown else self._limit + 1)

    def recover(self) -> None:
        """An outage is over."""
        self._set(max(self._limit, self._maximum / 2))

    def _set(self, limit: float) -> None:
        self._limit = min(max(limit, 1.0), float(self._maximum))
        self.limit = int(self._limit)


SLACK_SECONDS = 0.1
"""How much later than its time a call may begin without delaying those after it: timers are never exact."""


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

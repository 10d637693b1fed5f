"""Limits of one engine: how many of its calls are in flight, and how many begin in a minute."""

from bisect import bisect_left, insort
from math import inf

from job.execution.pending_call import Try


class ConcurrencyLimiter:
    """A limit on calls in flight that starts at its maximum and adapts to the engine's answers (AIMD).

    - A call that is done shows that there was room for all that were in flight when it began, but for those that were
      rejected since. The limit is at least that, and grows by one per round trip while it is reached.
    - A call is rejected by a 429, 502, 503 or 504, a lost connection, or a limit of this process. If it began with more
      in flight than there was lately shown to be room for, the limit falls by one. Otherwise it was rejected for a
      reason of its own, as one of a kind that is never done: the limit grows by one.
    - After more 429s in a row than the limit, what was shown before them counts no more: the engine may have less room
      by now.
    - After an outage the limit is half of its maximum at least, whatever had come in it.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._limit = float(maximum)
        self.limit = maximum
        self._done = 0
        """How many calls were done in this round, of as many as the limit."""
        self._shown = self._shown_before = 0
        """For how many calls there was room in this round, and in the one before."""
        self._in_a_row = 0
        """How many were rejected since a call was done."""
        self._in_flight = self._begun = 0
        self._rejected: list[int] = []
        """The numbers of the tries that were rejected, in order."""

    def begin(self, latest: Try) -> None:
        """A try begins, which ends in `end`."""
        self._begun += 1
        self._in_flight += 1
        latest.number, latest.room = self._begun, self._in_flight + len(self._rejected)

    def end(self) -> None:
        """A try in flight has ended, whether it was done, rejected or neither."""
        self._in_flight -= 1

    def succeed(self, latest: Try, failed: int) -> None:
        """A try in flight has done its call, or a part of it, while `failed` places are taken by failures."""
        self._in_a_row = 0
        self._done += 1
        if self._done >= self.limit:
            self._done, self._shown_before, self._shown = 0, self._shown, 0
        self._shown = max(self._shown, self._room(latest))
        is_reached = self._in_flight + failed >= self.limit
        self._set(max(self._limit + is_reached / self._limit, self._shown))

    def reject(self, latest: Try, *, is_full: bool) -> None:
        """A try in flight was rejected. `is_full` is whether the engine says that it has no instance free."""
        room = self._room(latest)
        insort(self._rejected, latest.number)
        self._in_a_row += 1
        if is_full and self._in_a_row > self._limit:
            self._shown = self._shown_before = 0
        shown = max(self._shown, self._shown_before)
        self._set(max(shown, self._limit - 1) if room > shown else self._limit + 1)

    def recover(self) -> None:
        """Adapts to the end of an outage."""
        self._set(max(self._limit, self._maximum / 2))

    def _room(self, latest: Try) -> int:
        """How many were in flight when a try began, itself included, that were not rejected by now."""
        return latest.room - bisect_left(self._rejected, latest.number)

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

"""Availability: whether an engine works, by its answers; when it is tried again, and when it is down."""

from math import inf

import trio

from job.engines.catalog import EngineName
from job.engines.failures import Failure
from job.execution.progress import EngineFailing, EngineRecovered, EventHandler, Gauge
from job.execution.retry import INITIAL_SECONDS, MAX_SECONDS
from job.text.messages import Message

TELL_SECONDS = 5.0
"""An outage that is shorter is not worth a word."""
TELL_AGAIN_SECONDS = 600.0
"""Of an engine that fails again and again, people are told this often at most."""


class Availability:
    """Whether one engine works.

    - It *fails* while its latest answers are outages (`Failure.is_outage`). Any answer of its own shows that it works.
    - It is *out* once as many came in a row as calls may be in flight, and no other call is. Then one call at a time is
      made, after pauses that double from 0.5 to 30 s.
    - It is *down* once it has failed for as long as its patience, and a call that began meanwhile has failed too. No
      timer says so, nor what was in flight before: a slow answer may still come.
    """

    def __init__(self, engine: EngineName, patience: float, gauge: Gauge, emit: EventHandler) -> None:
        self._engine = engine
        self._patience = patience
        self._gauge = gauge
        self._emit = emit
        self.failures = 0
        """How many outages came in a row, the latest answer included."""
        self._done_began = -inf
        """When the latest call began that was done. All times are by trio's clock."""
        self.not_before = -inf
        """No call may begin earlier."""
        self.streaks = 0
        """How many rows of failures have begun so far."""
        self._since = inf
        """When the first of the failures in a row came."""
        self._older = 0
        """How many calls are in flight that began before that."""
        self._limit_then = 0
        """The concurrency limit at that time."""
        self.limit_before: int | None = None
        """The same, if the engine is out or was when it last failed."""
        self._pause = INITIAL_SECONDS
        self._failing = trio.Event()
        self._told_at = -inf
        self._is_told = False
        self._is_outage = False
        """Whether what fails is the engine, and not just one call among others."""
        self._reason: Message | None = None
        self.given_up = 0
        """How many calls have failed for good in this row."""

    @property
    def seconds(self) -> float:
        """For how long it has been failing."""
        return max(0.0, trio.current_time() - self._since)

    @property
    def prefers_fresh(self) -> bool:
        """Whether to make other calls rather than those that failed."""
        return self.failures > 0 and self._patience > 0

    def has_worked_since(self, time: float) -> bool:
        """Whether it has done a call that began after this time. Without patience, that makes no difference."""
        return self._done_began >= time or not self._patience

    def is_down(self, streak: int) -> bool:
        """Whether it is down, after the failure of a call that began when `streaks` had this value.

        Without patience it is if two calls have used up their tries.
        """
        if not self._patience:
            return self.given_up > 1
        is_probe = streak == self.streaks and not self._older
        return is_probe and bool(self.failures) and self.seconds >= self._patience

    def update(
        self, failure: Failure | None, started: float, streak: int, others: int, limit: int, *, counts: bool = True
    ) -> bool:
        """Adds how a try ended that began at `started`, when `streaks` had this value. `others` are still in flight.

        If it does not count, it says nothing of the engine. Returns whether the engine turns out to work again.
        """
        self._older -= streak < self.streaks
        if not counts:
            return False
        if failure is None:
            self._done_began = max(self._done_began, started)
        if failure is None or failure.is_own_answer:
            was_failing = self.failures > 0
            if was_failing:
                self._works()
            return was_failing
        if failure.is_outage:
            self._fails(failure, others, limit)
        return False

    def _fails(self, failure: Failure, others: int, limit: int) -> None:
        now = trio.current_time()
        if not self.failures:
            self.streaks += 1
            self._since, self._older = now, others
            self._limit_then, self.limit_before = limit, None
            self._failing.set()
        self.failures += 1
        self._reason = failure.reason
        self._is_outage = self.failures > 1 and not self._older
        if self.failures >= limit and not others and (self._patience or failure.is_rejection):
            self.limit_before = self._limit_then
            pause = max(self._pause, min(failure.retry_after or 0.0, MAX_SECONDS))
            left = self._since + self._patience - now
            self.not_before = now + (min(pause, left) if left > 0 else pause)
            self._pause = min(2 * self._pause, MAX_SECONDS)

    async def watch(self) -> None:
        """Tells people that the engine fails, until it is cancelled."""
        while True:
            await self._failing.wait()
            await trio.sleep(max(1.0, self._since + TELL_SECONDS - trio.current_time()))
            self._tell()

    def _tell(self) -> None:
        now = trio.current_time()
        is_due = self._is_outage and self.seconds >= TELL_SECONDS and now >= self._told_at + TELL_AGAIN_SECONDS
        if is_due and not self._is_told and self._reason is not None:
            self._is_told, self._told_at = True, now
            self._emit(EngineFailing(self._engine, self._reason, self._patience))

    def _works(self) -> None:
        if self._is_told:
            self._emit(EngineRecovered(self._engine, self.seconds))
        if self._is_outage and self.seconds >= TELL_SECONDS:
            self._gauge.outages += 1
            self._gauge.seconds_out += self.seconds
        self.failures = self.given_up = 0
        self._since, self._pause, self.not_before = inf, INITIAL_SECONDS, -inf
        self._is_told = self._is_outage = False
        self._failing = trio.Event()

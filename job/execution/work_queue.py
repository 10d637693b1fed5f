"""Work queue: which call of one engine starts next, and when; and its limits: how many are in flight, and how many
begin in a minute. A call waits nowhere else.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count, islice
from math import inf

import trio

from job.engines.calls import Call
from job.engines.failures import Failure
from job.execution.availability import Availability, RetryState, Try
from job.execution.shutdown import Shutdown
from job.text.messages import Message

HALVING_SECONDS = 60.0


class ConcurrencyLimiter:
    """A limit on calls in flight that starts at its maximum and adapts to the engine's answers (AIMD).

    - Increase: by one per round trip, while the limit is reached and tries succeed.
    - Decrease: by half, once a minute at most, when the engine is overloaded (502, 503, 504, timeout, no connection).
    - After a 429 the limit is the number of our calls that the engine still works on, at least one. Halving would be
      worse: rejections come at once and many together, so the free slots would fill and be rejected again.
    - After an outage: half of what it was before, whatever had come in it.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._limit = float(maximum)
        self._fell_at = -inf
        self.limit = maximum
        """The limit as it is now."""

    def update(self, failure: Failure | None, started: float, in_flight: int) -> None:
        """Adapts to a try that began at `started`, by trio's clock, and has just ended. It still is in flight."""
        if failure is None:
            if self._limit < self._maximum and in_flight >= self.limit:
                self._set(self._limit + 1 / self._limit)
        elif failure.is_rejection:
            self._set(min(self._limit, in_flight - 1))
        elif failure.is_overload and started >= self._fell_at + HALVING_SECONDS:
            self._fell_at = trio.current_time()
            self._set(self._limit / 2)

    def recover(self, before: int) -> None:
        """Adapts to the end of an outage, before which the limit was this."""
        self._set(max(self._limit, before / 2))

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
        """A call begins."""
        if self._step:
            self.not_before = max(self.not_before, now - SLACK_SECONDS) + self._step


FAILED_TRIES_KEPT = 10
"""Maximum number of failed tries that a result lists: a rejected call may have hundreds."""


@dataclass(slots=True, eq=False)
class PendingCall:
    """A call in progress: its retries, its tries, its last failure."""

    call: Call
    retry: RetryState
    traceparent: str
    tries: int = 0
    """How often its targets were requested, also as part of larger batches."""
    retries: int = 0
    """As in `CallResult`, and `waits` too."""
    waits: int = 0
    latest: Try | None = None
    """The last try that counts."""
    due: float = -inf
    """When it may be tried again, by trio's clock."""
    failed_at: float = inf
    """When its latest try failed; infinity if none has."""
    is_repeated: bool = False
    """Whether it is a batch that was retried whole."""
    rejected: str | None = None
    """The token that the engine refused."""
    last_failure: Failure | None = None
    failed_tries: tuple[tuple[Try, Message], ...] = ()
    """The latest tries before the last one, and why each failed."""

    def join(self, latest: Try) -> None:
        """Adds a try that has just ended."""
        latest.ended = trio.current_time()
        self.latest = latest
        self.tries += 1

    def retry_after(self, wait: float, failure: Failure) -> None:
        """Another try follows the one that failed, after `wait` seconds, which may be infinite; at once if 0."""
        self.due = self.failed_at + wait if wait else -inf
        self.retries += 1
        self.waits += failure.has_no_room
        if self.latest is not None:
            kept = self.failed_tries[1 - FAILED_TRIES_KEPT :]
            self.failed_tries = (*kept, (self.latest, failure.reason))


class WorkQueue:
    """The calls of one engine: fresh ones, and those that were put back, whole or in halves, after a failed try.

    The next one is, the oldest first: a retry that is due and *free*, a fresh call, any other retry that is due. A
    retry is free once the engine has done a call that began after its failure. While the latest answer is an outage,
    fresh calls go first: a few bad ones must neither starve them nor stop the engine.

    It ends when it is closed, or when no call is left that may ever start and none is in flight.
    """

    def __init__(
        self,
        fresh: Iterator[PendingCall],
        engine: Availability,
        limiter: ConcurrencyLimiter,
        rate: RateLimiter,
        shutdown: Shutdown,
    ) -> None:
        self._fresh = fresh
        self._heads: deque[PendingCall] = deque()
        """The next fresh calls, once they were looked at."""
        self._engine = engine
        self._limiter = limiter
        self._rate = rate
        self._shutdown = shutdown
        self._ready: deque[PendingCall] = deque()
        """The retries that may start, the oldest first."""
        self._waiting: dict[int, PendingCall] = {}
        """The others, by their numbers, which count up."""
        self._numbers = count()
        self._due: list[tuple[float, int]] = []
        """A heap of the times at which they may start, and their numbers."""
        self._held: deque[int] = deque()
        """The numbers of those that may start sooner, once another call is done."""
        self.is_closed = False
        self._parked = trio.lowlevel.ParkingLot()
        self._sleeper: trio.CancelScope | None = None
        """Of the one parked worker that looks again after a time."""
        self.in_flight = 0

    async def get(self) -> PendingCall | None:
        """Returns the next call, once it may start; `None` once the queue has ended. Call `task_done` for each.

        Raises `ShutdownError` if the run stops first.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            self._shutdown.raise_if_requested()
            call, moment = self._next(trio.current_time())
            if call is not None:
                self.in_flight += 1
                if self.in_flight < self._limit:
                    self._parked.unpark()
                return call
            if self.has_ended:
                self._parked.unpark_all()
                return None
            await self._park(moment)

    def task_done(self) -> None:
        """Ends the try of a call that was returned. Whoever calls this calls `get` next."""
        self.in_flight -= 1

    def put(self, *calls: PendingCall) -> None:
        """Puts a call back after a try, or its halves: behind those that failed before, if it has to wait at all."""
        if calls[0].due == -inf:
            self._ready.extendleft(reversed(calls))
            return
        for call in calls:
            number = next(self._numbers)
            self._waiting[number] = call
            if call.due < inf:
                heappush(self._due, (call.due, number))
            if call.retry.waits_for_another:
                self._held.append(number)

    def put_fresh(self, *calls: PendingCall) -> None:
        """Puts back the halves of a call that was not tried."""
        self._heads.extendleft(reversed(calls))

    def take(self, is_taken: Callable[[PendingCall], bool]) -> list[PendingCall]:
        """Removes the calls for which this is true, and returns those of them that were put back."""
        self._heads = deque(call for call in self._heads if not is_taken(call))
        taken = [call for call in (*self._ready, *self._waiting.values()) if is_taken(call)]
        self._ready = deque(call for call in self._ready if not is_taken(call))
        self._waiting = {number: call for number, call in self._waiting.items() if not is_taken(call)}
        return taken

    def close(self) -> None:
        """Ends the queue, whatever is left in it."""
        self.is_closed = True

    @property
    def has_ended(self) -> bool:
        """Whether no call starts any more."""
        if self.is_closed:
            return True
        if self.in_flight or self.fresh() is not None:
            return False
        return self._settle(trio.current_time()) == inf and not self._ready

    def fresh(self) -> PendingCall | None:
        """The next fresh call, which stays there."""
        if not self._heads:
            self._heads.extend(islice(self._fresh, 1))
        return self._heads[0] if self._heads else None

    @property
    def _limit(self) -> int:
        """How many calls may be in flight: one, if the engine is out or as many have failed in a row as there may be.

        Until the engine has done a call, each failure takes a place: nothing shows yet that more calls are no waste.
        """
        limit, failures = self._limiter.limit, self._engine.failures
        if failures >= limit or self._engine.is_out:
            return 1
        return limit if self._engine.has_worked else limit - failures

    def _next(self, now: float) -> tuple[PendingCall | None, float]:
        """Takes the next call; or `None`, and the time at which to look again."""
        if self.is_closed or self.in_flight >= self._limit:
            return None, inf
        moment = max(self._engine.not_before, self._rate.not_before)
        if now < moment:
            return None, moment
        moment = self._settle(now)
        if self._ready and (self.fresh() is None or self._is_before_fresh(self._ready[0])):
            call = self._ready.popleft()
        elif self.fresh() is not None:
            call = self._heads.popleft()
        else:
            return None, moment
        self._rate.begin(now)
        return call, now

    def _is_before_fresh(self, retry: PendingCall) -> bool:
        is_free = retry.due == -inf or self._engine.is_trusted(retry.failed_at)
        return is_free and not self._engine.prefers_fresh

    def _settle(self, now: float) -> float:
        """Has those ready that may start by now. Returns when the next of the others may, if none is done before."""
        while self._held:
            call = self._waiting.get(self._held[0])
            if call is not None and not self._engine.has_worked_since(call.failed_at):
                break  # those behind it failed later
            self._make_ready(self._held.popleft())
        while self._due and (self._due[0][0] <= now or self._due[0][1] not in self._waiting):
            self._make_ready(heappop(self._due)[1])
        return self._due[0][0] if self._due else inf

    def _make_ready(self, number: int) -> None:
        call = self._waiting.pop(number, None)
        if call is not None:
            self._ready.append(call)

    async def _park(self, moment: float) -> None:
        """Waits until another worker calls, or until a time, if no other worker waits for an earlier one."""
        with self._shutdown.interruptible():
            if self._sleeper is not None:
                self._sleeper.deadline = min(self._sleeper.deadline, moment)
                await self._parked.park()
                return
            self._sleeper = trio.CancelScope(deadline=moment)
            try:
                with self._sleeper:
                    await self._parked.park()
            finally:
                self._sleeper = None

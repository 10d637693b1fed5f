"""Work queue: which call of one engine starts next, and when. A call waits nowhere else."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from math import inf
from typing import Generic, Protocol, TypeVar

import trio

from job.execution.availability import Availability
from job.execution.limits import ConcurrencyLimiter, RateLimiter
from job.execution.shutdown import Shutdown


class Waiting(Protocol):
    """What the queue reads of a call that was put back. All times are by trio's clock."""

    @property
    def due(self) -> float:
        """When it may be tried again; minus infinity if it need not wait at all."""

    @property
    def failed_at(self) -> float:
        """When its latest try failed."""

    @property
    def waits_for_another(self) -> bool:
        """Whether it may be tried before it is due, once it is free."""


T = TypeVar("T", bound=Waiting)


class WorkQueue(Generic[T]):
    """The calls of one engine: fresh ones, and those that were put back, whole or in halves, after a failed try.

    The next one is, the oldest first: a retry that is due and *free*, a fresh call, any other retry that is due. A
    retry is free once the engine has done a call that began after its failure. While the latest answer is a failure,
    fresh calls go first: a few bad ones must neither starve them nor stop the engine.

    It ends when no call is left that may ever start, and none is in flight.
    """

    def __init__(
        self,
        fresh: Iterator[T],
        engine: Availability,
        limiter: ConcurrencyLimiter,
        rate: RateLimiter,
        shutdown: Shutdown,
    ) -> None:
        self._fresh = fresh
        self._heads: deque[T] = deque()
        """The next fresh calls, once they were looked at."""
        self._engine = engine
        self._limiter = limiter
        self._rate = rate
        self._shutdown = shutdown
        self._waiting: list[T] = []
        """In the order of their failures, so that the free ones come first."""
        self.is_closed = False
        self._parked = trio.lowlevel.ParkingLot()
        self._sleeper: trio.CancelScope | None = None
        """Of the one parked worker that looks again after a time."""
        self.in_flight = 0

    async def get(self) -> T | None:
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

    def put(self, *calls: T) -> None:
        """Puts a call back after a try, or its halves: behind those that failed before, if it has to wait at all."""
        at = 0 if calls[0].due == -inf else len(self._waiting)
        self._waiting[at:at] = calls

    def put_fresh(self, *calls: T) -> None:
        """Puts back the halves of a call that was not tried."""
        self._heads.extendleft(reversed(calls))

    def take(self, is_taken: Callable[[T], bool]) -> list[T]:
        """Removes the calls for which this is true, and returns those of them that were put back."""
        self._heads = deque(call for call in self._heads if not is_taken(call))
        taken = [call for call in self._waiting if is_taken(call)]
        self._waiting = [call for call in self._waiting if not is_taken(call)]
        return taken

    def close(self) -> None:
        """Ends the queue, whatever is left in it."""
        self.is_closed = True

    @property
    def has_ended(self) -> bool:
        """Whether no call is in flight, and none will ever start."""
        if self.is_closed:
            return True
        if self.in_flight or self.fresh() is not None:
            return False
        return all(call.due == inf and not self._is_free(call) for call in self._waiting)

    def fresh(self) -> T | None:
        """The next fresh call, which stays there."""
        if not self._heads:
            self._heads.extend(islice(self._fresh, 1))
        return self._heads[0] if self._heads else None

    @property
    def _limit(self) -> int:
        """How many calls may be in flight: one after as many failures in a row as there may be."""
        limit = self._limiter.limit
        return limit if self._engine.failures < limit else 1

    def _next(self, now: float) -> tuple[T | None, float]:
        """Takes the next call; or `None`, and the time at which to look again."""
        if self.is_closed or self.in_flight >= self._limit:
            return None, inf
        moment = max(self._engine.not_before, self._rate.not_before)
        if now < moment:
            return None, inf if self.has_ended else moment
        call, is_free = self._retry(now) if self._waiting else (None, False)
        if (call is None or not is_free or self._engine.prefers_fresh) and self.fresh() is not None:
            call = self._heads.popleft()
        elif call is not None:
            self._waiting.remove(call)
        else:
            return None, min((call.due for call in self._waiting), default=inf)
        self._rate.begin(now)
        return call, now

    def _retry(self, now: float) -> tuple[T | None, bool]:
        """The retry that is next, and whether it is free."""
        for call in self._waiting:
            is_free = self._is_free(call)
            if call.due <= now or (call.waits_for_another and is_free):
                return call, is_free
        return None, False

    def _is_free(self, call: T) -> bool:
        return call.due == -inf or self._engine.has_worked_since(call.failed_at)

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

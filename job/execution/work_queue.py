"""Work queue: a queue whose items may be split while they are in progress."""

from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class WorkQueue(Generic[T]):
    """The work of one engine. A worker may put an item back in parts.

    The queue ends when it is empty and no item is in progress.
    """

    def __init__(self, fresh: Iterator[T], max_in_flight: Callable[[], float] = lambda: inf) -> None:
        """No fresh item is returned while `max_in_flight()` items are in progress; one item always may be."""
        self._fresh = fresh
        self._max_in_flight = max_in_flight
        self._held_back = False
        self._parts: deque[T] = deque()
        self._in_progress = 0
        self._idle = trio.lowlevel.ParkingLot()

    async def get(self) -> T | None:
        """Returns an item, parts before fresh ones; `None` once the queue has ended. Call `task_done` for each item."""
        while (item := self._next()) is None and self._in_progress:
            await self._idle.park()
        if item is not None:
            self._in_progress += 1
        return item

    def task_done(self) -> None:
        """Ends the work on an item."""
        self._in_progress -= 1
        if not self._in_progress or self._held_back:
            self._held_back = False
            self._idle.unpark_all()

    def put(self, *parts: T) -> None:
        """Puts parts of an item back, for any worker."""
        self._parts.extend(parts)
        self._idle.unpark(count=len(parts))

    def remaining(self) -> list[T]:
        """The parts that no worker has taken."""
        return list(self._parts)

    def _next(self) -> T | None:
        if self._parts:
            return self._parts.popleft()
        if self._in_progress and self._in_progress >= self._max_in_flight():
            self._held_back = True
            return None
        return next(self._fresh, None)

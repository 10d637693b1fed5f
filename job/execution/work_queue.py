"""The work of one engine, as its workers take it."""

from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class WorkQueue(Generic[T]):
    """Work that may come back in parts while it is under way; it is over when nothing is left and nothing under way."""

    def __init__(self, fresh: Iterator[T], max_in_flight: Callable[[], float] = lambda: inf) -> None:
        """No fresh piece is given out while as many as `max_in_flight` are under way; one may be at any time."""
        self._fresh = fresh
        self._max_in_flight = max_in_flight
        self._held_back = False
        self._parts: deque[T] = deque()
        self._under_way = 0
        self._idle = trio.lowlevel.ParkingLot()

    async def get(self) -> T | None:
        """A piece of work, parts before what is fresh; `None` once all is over. It is under way until `task_done`."""
        while (piece := self._next()) is None and self._under_way:
            await self._idle.park()
        if piece is not None:
            self._under_way += 1
        return piece  # noqa: ASYNC910  every call takes this path, and awaits right after it

    def task_done(self) -> None:
        """A piece that was taken is worked on no longer."""
        self._under_way -= 1
        if not self._under_way or self._held_back:
            self._held_back = False
            self._idle.unpark_all()

    def put(self, *parts: T) -> None:
        """Parts of what is under way, for any worker."""
        self._parts.extend(parts)
        self._idle.unpark(count=len(parts))

    def remaining(self) -> list[T]:
        """The parts that nobody has taken."""
        return list(self._parts)

    def _next(self) -> T | None:
        if self._parts:
            return self._parts.popleft()
        if self._under_way and self._under_way >= self._max_in_flight():
            self._held_back = True
            return None
        return next(self._fresh, None)

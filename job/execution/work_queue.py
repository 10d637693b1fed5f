"""Work queue: which call of one engine begins next, and when. A call waits nowhere else."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import chain, count
from math import inf

import trio

from job.engines.calls import Call, Item
from job.execution.circuit_breaker import CircuitBreaker
from job.execution.limits import RateLimiter
from job.execution.pending_call import PendingCall
from job.execution.progress import EngineProgress
from job.execution.retry_policy import RetryPolicy
from job.execution.shutdown import Shutdown

FAILURE_WEIGHT = 4
"""A try that has failed weighs as much as so many in flight, until a call of its card type is done."""
LAST_PAUSE = 60.0
"""After a last try has failed, the next ones wait for so long."""
Waiting = list[tuple[float, int, PendingCall]]
"""A heap, by when they are due."""


@dataclass(slots=True)
class Line:
    """The calls of one card type that wait; of a data engine, all."""

    untried: list[Sequence[Item] | PendingCall] = field(default_factory=list)
    """Calls that were not tried, of which any may be next; but parts of batches, which are last, come first."""
    free: Waiting = field(default_factory=list)
    """Calls whose latest try was free; `charged` has the others that were tried."""
    charged: Waiting = field(default_factory=list)
    weight: int = 1
    """`FAILURE_WEIGHT` for each try that has failed in a row, and one if no call was ever done."""
    load: int = 1
    """That, and how many tries are in flight."""

    def due(self, last_from: float) -> float:
        """When one of them may begin, last tries from this time on; infinity if none waits."""
        if self.untried:
            return -inf
        return min(due(self.free, last_from), due(self.charged, last_from))


def due(waiting: Waiting, last_from: float) -> float:
    if not waiting:
        return inf
    time, _, pending = waiting[0]
    return max(time, last_from) if pending.is_last else time


class WorkQueue:
    """The calls of one engine, in the order and at the times of `job/engines/README.md`.

    It ends when no call is left and none is in flight, or when the engine is down.
    """

    def __init__(
        self,
        work: Sequence[Sequence[Item]],
        begin: Callable[[Sequence[Item]], PendingCall],
        policy: RetryPolicy,
        breaker: CircuitBreaker,
        progress: EngineProgress,
        shutdown: Shutdown,
    ) -> None:
        """`work` has the items of each call, and `begin` makes it."""
        settings = policy.settings
        self.rate = RateLimiter(settings.per_minute)
        self.is_down = False
        """Whether the engine is down: nothing is tried any more."""
        self.is_failed = False
        """Whether the engine has failed: what was not tried is still tried, but nothing is tried again."""
        self.untried = 0
        """How many calls were not tried. Halves of batches count."""
        self._begin = begin
        self._policy = policy
        self._breaker = breaker
        self._progress = progress
        self._shutdown = shutdown
        self._has_halved = False
        self._largest_done = 0
        """The largest number of targets of a call that is done: once a batch was halved, none is larger."""
        self._lines = defaultdict[str | None, Line](Line)
        for items in work:
            self._put_untried(items[0].card_type, items)
        self._waiting = 0
        """How many calls are to be tried again."""
        self._last_failed = self._last_failing_since = -inf
        """When a last try has failed, and since when they do without a call that was done."""
        self._numbers = count()
        self._is_closed = False
        self._parked = trio.lowlevel.ParkingLot()
        self._sleeper: trio.CancelScope | None = None
        """Of the one parked worker that looks again after a time."""

    @property
    def left(self) -> int:
        """How many calls have yet to be done or to fail, with those in flight."""
        return self.untried + self._progress.in_flight + (0 if self.is_failed else self._waiting)

    async def get(self) -> PendingCall | None:
        """Returns the next call, once it may begin, and counts it as in flight; `None` once the queue has ended.

        Whoever gets a call says when it has `ended`, and calls this next. Raises `ShutdownError` if the run stops.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            self._shutdown.raise_if_requested()
            now = trio.current_time()
            call, moment = self._next(now)
            if call is not None:
                self.rate.begin(now)
                self._progress.in_flight += 1
                self._parked.unpark()
                return call
            if self._is_closed:
                self._parked.unpark_all()
                return None
            await self._park(moment)

    def put(self, pending: PendingCall, due: float, *, is_free: bool) -> None:
        """Puts a call back whose try has failed, and was free or not, until it is due."""
        line = self._lines[pending.call.card_type]
        heappush(line.free if is_free else line.charged, (due, next(self._numbers), pending))
        self._waiting += 1

    def put_halves(self, whole: PendingCall, *, is_too_large: bool) -> None:
        """Puts a batch back that has failed, in two parts. If it may be too large, later ones are smaller."""
        self._has_halved |= is_too_large
        first = self._first_part(whole, (len(whole.call.targets) + 1) // 2)
        self._put_untried(whole.call.card_type, first)

    def succeed(self, call: Call) -> None:
        """A try has done its call, or a part of it."""
        self._largest_done = max(self._largest_done, len(call.targets))
        line = self._lines[call.card_type]
        line.load, line.weight = line.load - line.weight, 0

    def fail(self, call: Call, now: float, *, is_last: bool) -> None:
        """A try has failed, and was not refused."""
        line = self._lines[call.card_type]
        heavier = min(line.weight + FAILURE_WEIGHT, max(FAILURE_WEIGHT, self._policy.settings.concurrency))
        line.load, line.weight = line.load + heavier - line.weight, heavier
        if is_last:
            if self._breaker.begun_well >= self._last_failed:
                self._last_failing_since = now
            self._last_failed = now

    def ended(self, call: Call) -> None:
        """A try is no longer in flight."""
        self._progress.in_flight -= 1
        self._lines[call.card_type].load -= 1

    def put_back(self) -> Iterator[PendingCall]:
        """The calls that were put back, and are not done yet."""
        for line in self._lines.values():
            yield from (call for call in line.untried if isinstance(call, PendingCall))
            yield from (call for _, _, call in chain(line.free, line.charged))

    def _next(self, now: float) -> tuple[PendingCall | None, float]:
        """The next call, if one may begin now; or `None`, and when to look again."""
        breaker = self._breaker
        self.is_down |= breaker.has_failed
        self._is_closed |= self.is_down or not self.left
        if self._is_closed or self._progress.in_flight >= min(breaker.places, self.left):
            return None, inf
        begins = max(self.rate.not_before, breaker.not_before)
        if now < begins:
            return None, begins
        lines = [line for line in self._lines.values() if line.untried] if self.is_failed else self._lines.values()
        last_from = self._last_from()
        least, found = inf, list[Line]()
        for line in lines:
            load = line.load if line.untried else line.load + 0.5
            if load <= least and line.due(last_from) <= now:
                if load < least:
                    least, found = load, []
                found.append(line)
        if not found:
            return None, min((line.due(last_from) for line in lines), default=inf)
        line = found[self._drawn(len(found))]
        line.load += 1
        return self._take(line, now, last_from), now

    def _last_from(self) -> float:
        """From when on last tries may begin: after one has failed, others wait for a minute, or until a call is done
        that began later, for a patience in a row at most; and all have to end by the deadline.
        """
        if self._breaker.begun_well >= self._last_failed:
            return -inf
        settings = self._policy.settings
        pause_ends = min(self._last_failed + LAST_PAUSE, self._last_failing_since + settings.patience)
        return min(pause_ends, self._shutdown.deadline - settings.timeout)

    def _drawn(self, count: int) -> int:
        return int(self._policy.random() * count) % count

    def _take(self, line: Line, now: float, last_from: float) -> PendingCall:
        """Of calls that were not tried, any; else what is due the longest of one kind, so that none waits for ever."""
        if line.untried:
            return self._take_untried(line)
        self._waiting -= 1
        kinds = [waiting for waiting in (line.free, line.charged) if due(waiting, last_from) <= now]
        return heappop(kinds[self._drawn(len(kinds))] if len(kinds) > 1 else kinds[0])[2]

    def _put_untried(self, card_type: str | None, *some: Sequence[Item] | PendingCall) -> None:
        self._lines[card_type].untried += some
        self.untried += len(some)

    def _take_untried(self, line: Line) -> PendingCall:
        untried = line.untried
        if not isinstance(untried[-1], PendingCall):
            drawn = -1 - self._drawn(len(untried))
            untried[drawn], untried[-1] = untried[-1], untried[drawn]
        self.untried -= 1
        first = untried.pop()
        if isinstance(first, PendingCall):
            return first
        return self._first_part(self._begin(first), self._largest_done if self._has_halved else 0)

    def _first_part(self, whole: PendingCall, size: int) -> PendingCall:
        """The first so many targets of a batch, or all if that is 0. The other parts come next, as patient as it is."""
        items = whole.call.items
        if not 0 < size < len(items):
            return whole
        parts = [self._begin(items[start : start + size]) for start in range(0, len(items), size)]
        first, *others = [replace(whole, call=part.call, traceparent=part.traceparent) for part in parts]
        others = [replace(part, retries=0, waits=0, unfollowed=None) for part in others]
        self._put_untried(whole.call.card_type, *reversed(others))
        return first

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

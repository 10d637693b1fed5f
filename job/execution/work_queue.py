"""Work queue: which call of one engine begins next, and when. A call waits nowhere else."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count
from math import inf
from operator import itemgetter
from typing import NamedTuple

import trio

from job.engines.calls import Item
from job.execution.circuit_breaker import CircuitBreaker, State
from job.execution.limits import RateLimiter
from job.execution.pending_call import PendingCall, Try
from job.execution.progress import EngineProgress
from job.execution.retry_policy import RetryPolicy
from job.execution.shutdown import Shutdown

LAST_PAUSE = 60.0
"""After a last try has failed, the next ones wait for so long, or for the patience if that is less."""
FIRST, OTHERS, BEHIND = range(3)
"""Where the calls of a card type stand: outliers come behind others, but for one in each patience."""
PROBE, UNTRIED, LAST, RETRY = range(4)
"""In which order the calls that stand there come."""
Waiting = list[tuple[float, int, PendingCall]]
"""A heap, by when they are due."""


@dataclass(slots=True)
class Line:
    """The calls of one card type that wait; of a data engine, all."""

    untried: list[Sequence[Item] | PendingCall] = field(default_factory=list)
    """Calls that were not tried, of which any may be next; but parts of batches, which are last, come first."""
    due: float = -1.0
    """When that one is due: at a random time before zero, as if each had one."""
    retries: Waiting = field(default_factory=list)
    last: Waiting = field(default_factory=list)
    """The calls that have one try left."""
    turn: float = -inf
    """From when on one of them goes before all others, if the type is an outlier."""


class Head(NamedTuple):
    """The call of a line that comes first of those of its kind."""

    stand: int
    kind: int
    due: float
    begins: float
    """When it may begin."""
    line: Line


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
        """Whether calls were not tried since the engine is down."""
        self.is_failed = False
        """Whether the engine has failed: what was not tried is still tried, but nothing is tried again."""
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
            self._lines[items[0].card_type].untried.append(items)
        self._pause_ends = self._failing_since = self._last_begun = -inf
        self._numbers = count()
        self._is_closed = False
        self._parked = trio.lowlevel.ParkingLot()
        self._sleeper: trio.CancelScope | None = None
        """Of the one parked worker that looks again after a time."""

    async def get(self) -> PendingCall | None:
        """Returns the next call, once it may begin, and counts it as in flight; `None` once the queue has ended.

        Whoever gets a call counts it out, and calls this next. Raises `ShutdownError` if the run stops first.
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

    def put(self, call: PendingCall, due: float) -> None:
        """Puts a call back whose try has failed, until it is due."""
        line = self._lines[call.call.card_type]
        heappush(line.last if call.is_last else line.retries, (due, next(self._numbers), call))

    def put_halves(self, call: PendingCall, *, is_too_large: bool) -> None:
        """Puts a batch back that has failed, in two parts. If it may be too large, later ones are smaller."""
        self._has_halved |= is_too_large
        self._lines[call.call.card_type].untried.append(self._first_part(call, (len(call.call.targets) + 1) // 2))

    def succeed(self, targets: int) -> None:
        """A call for so many targets was done."""
        self._largest_done = max(self._largest_done, targets)

    def pause(self, latest: Try) -> None:
        """A last try has failed: others pause, from the first of those that were in flight, and are then probes."""
        if latest.started >= self._pause_ends:
            self._pause_ends = latest.ended + min(LAST_PAUSE, self._policy.settings.patience)
        if self._breaker.worked_at >= self._failing_since:
            self._failing_since = latest.ended

    def left(self) -> Iterator[PendingCall]:
        """The calls that were put back, and are not done yet."""
        for line in self._lines.values():
            yield from (call for call in line.untried if isinstance(call, PendingCall))
            yield from (call for _, _, call in (*line.retries, *line.last))

    def _next(self, now: float) -> tuple[PendingCall | None, float]:
        """The next call, if one may begin now; or `None`, and when to look again."""
        breaker, state = self._breaker, self._breaker.state(now)
        heads = list(self._heads(now, state))
        has_others = any(head.stand != BEHIND for head in heads)
        has_untried = any(head.stand == OTHERS and head.kind <= UNTRIED for head in heads)
        self.is_down |= state is State.LATE and has_untried and breaker.failures_to_go <= 0
        self._is_closed |= self.is_down or not (heads or self._progress.in_flight)
        if self._is_closed or now < self.rate.not_before:
            return None, self.rate.not_before
        if self._progress.in_flight >= breaker.places(state, has_untried=has_untried):
            return None, inf
        changes = breaker.over if state is State.PROBING else inf
        if state is State.PROBING and now < breaker.not_before:
            return None, min(breaker.not_before, changes)
        later = min((head.begins for head in heads if head.begins > now), default=changes)
        head = min((head for head in heads if head.begins <= now), key=itemgetter(0, 1, 2), default=None)
        if head is None or (head.stand == BEHIND and has_others and breaker.has_outlier_in_flight):
            return None, later
        if head.stand != OTHERS:
            head.line.turn = now + self._policy.settings.patience
        if head.kind == LAST:
            self._last_begun = now
            return heappop(head.line.last)[2], now
        return heappop(head.line.retries)[2] if head.kind == RETRY else self._take_untried(head.line), now

    def _heads(self, now: float, state: State) -> Iterator[Head]:
        for card_type, line in self._lines.items():
            stand = OTHERS
            if self._breaker.is_outlier(card_type):
                stand = FIRST if state is State.CLOSED and now >= line.turn else BEHIND
            if line.untried:
                is_probe = state is not State.CLOSED and self._breaker.has_worked(card_type)
                yield Head(stand, PROBE if is_probe else UNTRIED, line.due, now, line)
            for kind, heap in ((LAST, line.last), (RETRY, line.retries)):
                if heap and not self.is_failed:
                    due = heap[0][0]
                    yield Head(stand, kind, due, self._last_begins(due) if kind == LAST else due, line)

    def _last_begins(self, due: float) -> float:
        """When a last try begins: as a probe does, while the engine has done no call since one has failed."""
        settings, breaker, begins = self._policy.settings, self._breaker, self._pause_ends
        if breaker.worked_at < self._failing_since:
            begins = min(max(begins, self._last_begun + breaker.long_life), self._failing_since + settings.patience)
        return max(due, min(begins, self._shutdown.deadline - settings.timeout))

    def _take_untried(self, line: Line) -> PendingCall:
        untried = line.untried
        line.due *= self._policy.random() ** (1 / len(untried))
        if not isinstance(untried[-1], PendingCall):
            drawn = -1 - int(self._policy.random() * len(untried)) % len(untried)
            untried[drawn], untried[-1] = untried[-1], untried[drawn]
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
        self._lines[whole.call.card_type].untried += reversed(others)
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

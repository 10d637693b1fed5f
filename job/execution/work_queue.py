"""Work queue: which call of one engine begins next, and when. A call waits nowhere else."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from itertools import count
from math import inf

import trio

from job.config.environment import EngineSettings
from job.engines.calls import Item
from job.execution.circuit_breaker import CircuitBreaker, State
from job.execution.limits import RateLimiter
from job.execution.pending_call import PendingCall, Try
from job.execution.progress import EngineProgress
from job.execution.retry_policy import RetryPolicy
from job.execution.shutdown import Shutdown

LAST_PAUSE = 60.0
"""After a last try has failed, the next ones wait for so long at most, or for the patience if that is less."""


class LastTries:
    """The calls of one engine that have one try left, and when the next of these begins.

    Each waits until its own patience is over, and then while the engine is silent, but not for longer than a patience,
    nor beyond the deadline. After one has failed, the next ones pause, since an outage may begin. A pause is half as
    long as the one before if nothing was done since: then they fail for reasons of their own.
    """

    def __init__(self, settings: EngineSettings, breaker: CircuitBreaker, shutdown: Shutdown) -> None:
        self._settings = settings
        self._breaker = breaker
        self._shutdown = shutdown
        self._pause = self._longest_pause = min(LAST_PAUSE, settings.patience)
        self._pause_ends = -inf
        self.calls: list[tuple[float, int, PendingCall]] = []
        """A heap, by when they are due."""

    def begins(self) -> float:
        """When the next one may begin."""
        if not self.calls:
            return inf
        due, worked_at = self.calls[0][0], self._breaker.worked_at
        begins = max(due, self._pause_ends)
        if begins > self._breaker.silent_from(worked_at):
            begins = max(due, worked_at + self._settings.patience)
        return max(due, min(begins, self._shutdown.deadline - self._settings.timeout))

    def fail(self, latest: Try) -> None:
        """One has failed. Of those that began before the pause, the first one counts."""
        if latest.started >= self._pause_ends:
            is_vain = self._breaker.worked_at < self._pause_ends
            self._pause = self._pause / 2 if is_vain else min(2 * self._pause, self._longest_pause)
            self._pause_ends = latest.ended + self._pause


class WorkQueue:
    """The calls of one engine, in two phases: first each is tried once, in random order; then what has failed is
    tried again, each call when it is due.

    - The parts of a batch are calls that were not tried. They come next, one half to its end before the other.
    - Last tries come as `LastTries` says.
    - While the circuit breaker is probing, a call that was not tried begins after each pause; if none is left, a retry.
    - Once it is late, as many begin that were not tried as it takes to decide that the engine is down. If none is left,
      retries begin when they are due.

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
        self._batch_size = settings.batch_size
        """A larger batch is split before it begins."""
        self._largest_done = 0
        """The largest number of targets of a call that is done."""
        self._untried = list(work)
        self._parts: list[PendingCall] = []
        """Parts of batches that were not tried; the next one is the last."""
        self._waiting: list[tuple[float, int, PendingCall]] = []
        """A heap of the retries, by the times at which they are due."""
        self.last = LastTries(settings, breaker, shutdown)
        self._numbers = count()
        self._is_closed = False
        self._has_halved = False
        self._parked = trio.lowlevel.ParkingLot()
        self._sleeper: trio.CancelScope | None = None
        """Of the one parked worker that looks again after a time."""

    async def get(self) -> PendingCall | None:
        """Returns the next call, once it may begin; `None` once the queue has ended. Call `task_done` for each.

        Raises `ShutdownError` if the run stops first.
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
            if self._is_closed or not (self._progress.in_flight or self._has_untried or self._has_retries):
                self._is_closed = True
                self._parked.unpark_all()
                return None
            await self._park(moment)

    def task_done(self) -> None:
        """Ends the try of a call that was returned. Whoever calls this calls `get` next."""
        self._progress.in_flight -= 1

    def put(self, call: PendingCall, due: float) -> None:
        """Puts a call back whose try has failed, until it is due."""
        heappush(self.last.calls if call.is_last else self._waiting, (due, next(self._numbers), call))
        self._progress.last_tries = len(self.last.calls)

    def put_halves(self, call: PendingCall, *, is_too_large: bool) -> None:
        """Puts a batch back that has failed, in two parts. If it may be too large, later ones are smaller."""
        self._has_halved |= is_too_large
        self._parts.append(self._first_part(call, (len(call.call.targets) + 1) // 2))

    def succeed(self, targets: int) -> None:
        """A call for so many targets was done. Once a batch was halved, none is larger than the largest one done."""
        self._largest_done = max(self._largest_done, targets)
        if self._has_halved:
            self._batch_size = self._largest_done

    def left(self) -> Sequence[PendingCall]:
        """The calls that were put back, and are not done yet."""
        return [*self._parts, *(call for _, _, call in (*self._waiting, *self.last.calls))]

    @property
    def _has_untried(self) -> bool:
        return bool(self._parts or self._untried)

    @property
    def _has_retries(self) -> bool:
        return bool(self._waiting or self.last.calls) and not self.is_failed

    def _next(self, now: float) -> tuple[PendingCall | None, float]:
        """The next call, if one may begin now; or `None`, and when to look again."""
        breaker, moment = self._breaker, self.rate.not_before
        state = breaker.state(now)
        if state is State.LATE and self._has_untried and breaker.failures_to_go <= 0:
            self.is_down = self._is_closed = True
        if self._is_closed or now < moment:
            return None, moment
        if self._progress.in_flight >= breaker.places(state, has_untried=self._has_untried):
            return None, breaker.opens if state is State.CLOSED else inf
        changes = breaker.over if state is State.PROBING else inf
        if state is State.PROBING and now < breaker.not_before:
            return None, min(breaker.not_before, changes)
        if self._has_untried:
            return self._take_untried(), now
        if not self._has_retries:
            return None, inf
        due, last_try = self._waiting[0][0] if self._waiting else inf, self.last.begins()
        if due <= now:
            return heappop(self._waiting)[2], now
        if last_try <= now:
            _, _, call = heappop(self.last.calls)
            self._progress.last_tries = len(self.last.calls)
            return call, now
        return None, min(due, last_try, changes)

    def _take_untried(self) -> PendingCall:
        if self._parts:
            return self._parts.pop()
        left = self._untried
        number = min(int(self._policy.random() * len(left)), len(left) - 1)
        left[number], left[-1] = left[-1], left[number]
        return self._first_part(self._begin(left.pop()), self._batch_size)

    def _first_part(self, whole: PendingCall, size: int) -> PendingCall:
        """The first so many targets of a batch. The other parts come next; each has as much patience as the whole."""
        items = whole.call.items
        if len(items) <= size:
            return whole
        parts = [self._begin(items[start : start + size]) for start in range(0, len(items), size)]
        first, *others = [replace(whole, call=part.call, traceparent=part.traceparent) for part in parts]
        for part in others:
            part.retries = part.waits = 0
            part.unfollowed = None
        self._parts += reversed(others)
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

"""Work queue: which call of one engine begins next, and when. A call waits nowhere else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count
from math import inf

import trio

from job.day.result import FailedTry
from job.engines.calls import Call, Item
from job.engines.failures import Failure, FailureKind
from job.execution.circuit_breaker import CircuitBreaker, State
from job.execution.limits import RateLimiter
from job.execution.progress import EngineProgress
from job.execution.retry_policy import RetryPolicy, RetryState, Try
from job.execution.shutdown import Shutdown

LAST_PAUSE = 60.0
"""After a last try has failed, the next ones wait for so long, or for the patience if that is less."""
FAILED_TRIES_KEPT = 4
"""Maximum number of failed tries that a result lists, the first one and the latest: a call may have hundreds."""


@dataclass(slots=True, eq=False)
class PendingCall:
    """A call in progress: its tries, its last failure."""

    call: Call
    traceparent: str
    retry: RetryState = field(default_factory=RetryState)
    tries: int = 0
    """How often its targets were requested, also as part of larger batches."""
    charged_tries: int = 0
    """As in `CallResult`."""
    retries: int = 0
    """As in `CallResult`, and `waits` too."""
    waits: int = 0
    unfollowed: tuple[Try, Failure] | None = None
    """Its latest try if that has failed, and why, until another one follows."""
    latest: Try | None = None
    last_failure: Failure | None = None
    failed_tries: tuple[FailedTry, ...] = ()
    """The first try and the latest before the last one, by trio's clock."""

    def join(self, latest: Try, failure: Failure | None) -> None:
        """Adds a try that has just ended, and why it failed, if it did."""
        latest.ended = trio.current_time()
        self.latest = latest
        self.tries += 1
        if failure is not None and failure.kind(self.call.engine, sent=latest.sent) is FailureKind.COUNTED:
            self.charged_tries += 1

    def follow(self, latest: Try, failure: Failure) -> None:
        """Another try follows one that failed, which is kept. Equal reasons are one object: each would take 0.4 KiB."""
        self.unfollowed = None
        self.retries += 1
        self.waits += failure.has_no_room
        kept = (*self.failed_tries[:1], *self.failed_tries[1:][2 - FAILED_TRIES_KEPT :])
        same = (one._replace(reason=failure.reason) if one.reason == failure.reason else one for one in kept)
        self.failed_tries = (*same, FailedTry(latest.started, latest.ended, failure.reason))


class WorkQueue:
    """The calls of one engine, in two phases: first each is tried once, in random order; then what has failed is
    tried again, each call when it is due.

    - The parts of a batch are calls that were not tried. They come next, one half to its end before the other.
    - Last tries, of calls of which one more failure is the end, come when they are due while the engine works; else
      once it did nothing for a whole patience, or in time for the deadline. After one has failed, the next ones pause.
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
        """Whether nothing is tried again."""
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
        self._last: list[tuple[float, int, PendingCall]] = []
        """A heap of those that have one try left, by when their own patience is over."""
        self._longest_pause = self._last_pause = min(LAST_PAUSE, settings.patience)
        self._last_pause_ends = -inf
        self._cut_off: list[PendingCall] = []
        """Those that are not tried again, since the engine has failed."""
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
            if self._is_closed or not (self._progress.in_flight or self._has_untried or self._waiting or self._last):
                self._is_closed = True
                self._parked.unpark_all()
                return None
            await self._park(moment)

    def task_done(self) -> None:
        """Ends the try of a call that was returned. Whoever calls this calls `get` next."""
        self._progress.in_flight -= 1

    def put(self, call: PendingCall, due: float) -> None:
        """Puts a call back whose try has failed, until it is due."""
        if self.is_failed:
            self._cut_off.append(call)
            return
        heappush(self._last if call.retry.is_last else self._waiting, (due, next(self._numbers), call))
        self._progress.last_tries = len(self._last)

    def fail_last(self, latest: Try) -> None:
        """The last try of a call has failed: the next ones pause, since the engine may be out.

        A pause is half as long as the one before if nothing was done since: then they fail for reasons of their own.
        """
        if latest.started >= self._last_pause_ends:
            is_vain = self._breaker.worked_at < self._last_pause_ends
            self._last_pause = self._last_pause / 2 if is_vain else min(2 * self._last_pause, self._longest_pause)
            self._last_pause_ends = latest.ended + self._last_pause

    def put_halves(self, call: PendingCall, *, is_too_large: bool) -> None:
        """Puts a batch back that has failed, in two parts. If it may be too large, later ones are smaller."""
        self._has_halved |= is_too_large
        self._parts.append(self._first_part(call, (len(call.call.targets) + 1) // 2))

    def succeed(self, targets: int) -> None:
        """A call for so many targets was done. Once a batch was halved, none is larger than the largest one done."""
        self._largest_done = max(self._largest_done, targets)
        if self._has_halved:
            self._batch_size = self._largest_done

    def fail(self) -> None:
        """The engine has failed: what was not tried is still tried, but nothing is tried again."""
        self.is_failed = True
        self._cut_off += [call for _, _, call in (*self._waiting, *self._last)]
        self._waiting.clear()
        self._last.clear()

    def left(self) -> Sequence[PendingCall]:
        """The calls that were put back, and are not done yet."""
        return [*self._parts, *self._cut_off, *(call for _, _, call in (*self._waiting, *self._last))]

    @property
    def _has_untried(self) -> bool:
        return bool(self._parts or self._untried)

    def _next(self, now: float) -> tuple[PendingCall | None, float]:
        """The next call, if one may begin now; or `None`, and when to look again."""
        state, moment = self._breaker.state(now), self.rate.not_before
        if state is State.LATE and self._has_untried and self._breaker.failures_to_go <= 0:
            self.is_down = self._is_closed = True
        if self._is_closed or now < moment:
            return None, moment
        if self._progress.in_flight >= self._places(state):
            return None, self._breaker.opens
        last_try = self._last_try()
        match state:
            case State.PROBING if last_try <= now:
                return self._take_last(), now
            case State.PROBING if now < self._breaker.not_before():
                return None, min(self._breaker.not_before(), self._breaker.over, last_try)
        if self._has_untried:
            return self._take_untried(), now
        if self._waiting and self._waiting[0][0] <= now:
            return heappop(self._waiting)[2], now
        if last_try <= now:
            return self._take_last(), now
        due = self._waiting[0][0] if self._waiting else inf
        return None, min(due, last_try, self._breaker.over if state is State.PROBING else inf)

    def _places(self, state: State) -> int:
        """How many calls may be in flight."""
        limit = self._breaker.limiter.limit
        match state:
            case State.CLOSED:
                return max(1, limit - self._breaker.failed)
            case State.LATE if self._has_untried:
                return min(limit, self._breaker.failures_to_go)
        return limit

    def _last_try(self) -> float:
        """When the next last try may begin: while the engine works, or once it did nothing for a whole patience."""
        if not self._last:
            return inf
        due, settings = self._last[0][0], self._policy.settings
        begins = max(due, self._last_pause_ends)
        if begins > self._breaker.works_until:
            begins = max(due, self._breaker.worked_at + settings.patience)
        return max(due, min(begins, self._shutdown.deadline - settings.timeout))

    def _take_last(self) -> PendingCall:
        _, _, call = heappop(self._last)
        self._progress.last_tries = len(self._last)
        return call

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
        first, *others = [
            replace(whole, call=part.call, traceparent=part.traceparent, retry=replace(whole.retry)) for part in parts
        ]
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

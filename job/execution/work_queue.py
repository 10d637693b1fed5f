"""Work queue: which call of one engine begins next, and when. A call waits nowhere else."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count
from math import inf

import trio

from job.config.environment import EngineSettings
from job.engines.calls import BATCHES, Call
from job.engines.failures import Failure, FailureKind
from job.execution.circuit_breaker import CircuitBreaker
from job.execution.limits import ConcurrencyLimiter, RateLimiter
from job.execution.retry_policy import FailingSince, RetryState, Try
from job.execution.shutdown import Shutdown
from job.text.messages import Message

FAILED_TRIES_KEPT = 10
"""Maximum number of failed tries that a result lists: a rejected call may have hundreds."""


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
    latest: Try | None = None
    due: float = -inf
    """When it may be tried again, by trio's clock."""
    rejected: str | None = None
    """The token that the engine refused."""
    last_failure: Failure | None = None
    failed_tries: tuple[tuple[Try, Message], ...] = ()
    """The latest tries before the last one, and why each failed."""

    def join(self, latest: Try, failure: Failure | None) -> None:
        """Adds a try that has just ended, and why it failed, if it did."""
        latest.ended = trio.current_time()
        self.latest = latest
        self.tries += 1
        if failure is not None and failure.kind(self.call.engine, sent=latest.sent) is FailureKind.COUNTED:
            self.charged_tries += 1

    def keep(self, failure: Failure) -> None:
        """Keeps the failed try, which another one follows."""
        self.retries += 1
        self.waits += failure.has_no_room
        if self.latest is not None:
            kept = self.failed_tries[1 - FAILED_TRIES_KEPT :]
            self.failed_tries = (*kept, (self.latest, failure.reason))

    def split(self, size: int, traceparent: Callable[[], str]) -> "list[PendingCall]":
        """Batches of at most so many of its targets."""
        targets = self.call.targets
        if len(targets) <= size:
            return [self]
        batch = BATCHES[self.call.engine]
        parts = [
            replace(
                self,
                call=batch(targets[start : start + size]),
                retry=replace(self.retry, failing=replace(self.retry.failing)),
                traceparent=traceparent(),
            )
            for start in range(0, len(targets), size)
        ]
        for part in parts[1:]:
            part.retries = part.waits = 0
        return parts


HELD_AT = 4
"""While so many cards of a type wait for a retry, and none was made since they failed, no other of it begins."""


class WorkQueue:
    """The calls of one engine: fresh ones, and those that were put back, whole or in parts, after a failed try.

    Retries that are due are first, then fresh calls in their order. While the circuit breaker is open, fresh calls are
    first: what failed may fail again, and may cost more.

    It ends when it is closed, or when no call is left and none is in flight.
    """

    def __init__(
        self,
        fresh: Iterator[Call],
        traceparent: Callable[[], str],
        settings: EngineSettings,
        breaker: CircuitBreaker,
        shutdown: Shutdown,
    ) -> None:
        """`traceparent` gives each call one of its own."""
        self.batch_size = settings.batch_size
        """A larger batch is split before it begins."""
        self.limiter = ConcurrencyLimiter(settings.concurrency)
        self.rate = RateLimiter(settings.per_minute)
        self._fresh = fresh
        self._head = next(fresh, None)
        self._traceparent = traceparent
        self._breaker = breaker
        self._shutdown = shutdown
        self._ready: deque[PendingCall] = deque()
        """Retries that are due, and parts of batches."""
        self._waiting: list[tuple[float, int, PendingCall]] = []
        """A heap of the other retries, by the times at which they are due."""
        self._numbers = count()
        self._stuck: dict[str | None, set[PendingCall]] = {}
        """By card type, those that are not done since one of them failed; none of the type was made meanwhile."""
        self._stuck_since: dict[str | None, float] = {}
        self._suspects: set[str] = set()
        """The targets of which a card has failed since the latest one was made."""
        self._made_at = -inf
        self._held: dict[str | None, deque[Call]] = {}
        """By card type, fresh calls that do not begin because of these."""
        self._is_closed = False
        self._parked = trio.lowlevel.ParkingLot()
        self._sleeper: trio.CancelScope | None = None
        """Of the one parked worker that looks again after a time."""
        self.in_flight = 0

    async def get(self) -> PendingCall | None:
        """Returns the next call, once it may begin; `None` once the queue has ended. Call `task_done` for each.

        Raises `ShutdownError` if the run stops first.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            self._shutdown.raise_if_requested()
            now = trio.current_time()
            moment = self._may_begin()
            if moment <= now:
                call, moment = self._take(now)
                if call is not None:
                    self.rate.begin(now)
                    self.in_flight += 1
                    if self._breaker.is_open or self.in_flight < self.limiter.limit:
                        self._parked.unpark()
                    return call
            if self._is_closed or self._is_empty:
                self._parked.unpark_all()
                return None
            await self._park(moment)

    def task_done(self) -> None:
        """Ends the try of a call that was returned. Whoever calls this calls `get` next."""
        self.in_flight -= 1

    def put(self, call: PendingCall, due: float) -> None:
        """Puts a call back whose try has failed: it is due at this time."""
        call.due = due
        heappush(self._waiting, (due, next(self._numbers), call))
        if call.call.card_type is not None and call.retries == 1:
            self._stuck.setdefault(call.call.card_type, set()).add(call)
            self._stuck_since.setdefault(call.call.card_type, trio.current_time())
            self._suspects.add(call.call.targets[0])

    def finish(self, call: PendingCall, *, is_done: bool) -> None:
        """A call is done, or has failed for good."""
        card_type = call.call.card_type
        if is_done:
            self._made_at = trio.current_time()
            self._suspects.clear()
            if card_type in self._stuck:
                del self._stuck[card_type], self._stuck_since[card_type]
        elif card_type in self._stuck:
            self._stuck[card_type].discard(call)

    @property
    def only_types_fail(self) -> bool:
        """Whether only cards of some types fail, and others were made since."""
        return max(self._stuck_since.values(), default=inf) < self._made_at

    def close(self) -> None:
        """Ends the queue, whatever is left in it."""
        self._is_closed = True

    def left(self) -> Sequence[PendingCall]:
        """The calls that were put back, and are not done yet."""
        return [*self._ready, *(call for _, _, call in self._waiting)]

    def _may_begin(self) -> float:
        """When a call may begin, whichever it is."""
        if self._is_closed:
            return inf
        if self._breaker.is_open:
            return max(self._breaker.not_before, self.rate.not_before)
        is_full = self.in_flight >= max(1, self.limiter.limit - self._breaker.failures)
        return inf if is_full else self.rate.not_before

    def _take(self, now: float) -> tuple[PendingCall | None, float]:
        """Takes the next call; or `None`, and when to look again."""
        while self._waiting and self._waiting[0][0] <= now:
            self._ready.append(heappop(self._waiting)[2])
        call = self._take_while_open() if self._breaker.is_open else self._take_while_closed()
        if call is None:
            return None, self._waiting[0][0] if self._waiting else inf
        if call.tries and not self._breaker.is_open:
            if call.retry.failing.first < self._breaker.closed_at:
                call.retry.failing = FailingSince()  # the outage is over: what follows is another one
            call.retry.failing.exclude(now - max(call.due, self._breaker.closed_at))  # it waited for a free place
            call.due = now
        if len(call.call.targets) > 1:
            size = 1 if self._breaker.is_patience_over(now) else self.batch_size
            call, *others = call.split(size, self._traceparent)
            self._ready.extendleft(reversed(others))
        return call, now

    def _take_while_closed(self) -> PendingCall | None:
        if self._ready:
            return self._ready.popleft()
        for card_type, calls in self._held.items():
            if calls and not self._is_held(card_type):
                return self._begin(calls.popleft())
        while (call := self._head) is not None:
            self._head = next(self._fresh, None)
            if not self._stuck or not self._is_held(call.card_type):
                return self._begin(call)
            self._held.setdefault(call.card_type, deque()).append(call)
        return None if self.in_flight else self._take_held()

    def _take_while_open(self) -> PendingCall | None:
        """A probe: a fresh call of a target and a type that may work, if there is one."""
        while (call := self._head) is not None:
            self._head = next(self._fresh, None)
            if call.targets[0] not in self._suspects and not self._is_at_fault(call.card_type):
                return self._begin(call)
            self._held.setdefault(call.card_type, deque()).append(call)
        if any(calls and not self._is_at_fault(card_type) for card_type, calls in self._held.items()):
            return self._take_held()
        return self._ready.popleft() if self._ready else self._take_held()

    def _take_held(self) -> PendingCall | None:
        """Takes a card that is held: of a type that may work if there is one, and far from what has failed."""
        types = sorted((card_type for card_type, calls in self._held.items() if calls), key=self._is_at_fault)
        return self._begin(self._held[types[0]].pop()) if types else None

    def _is_at_fault(self, card_type: str | None) -> bool:
        """Whether cards of the type fail, and others were made since."""
        return self._stuck_since.get(card_type, inf) < self._made_at

    def _begin(self, fresh: Call) -> PendingCall:
        call = PendingCall(fresh, self._traceparent())
        if fresh.card_type in self._stuck:
            self._stuck[fresh.card_type].add(call)
        return call

    @property
    def _is_empty(self) -> bool:
        is_left = self._head or self._ready or self._waiting or any(self._held.values())
        return not is_left and not self.in_flight

    def _is_held(self, card_type: str | None) -> bool:
        return len(self._stuck.get(card_type, ())) >= HELD_AT

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

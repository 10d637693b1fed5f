"""Work queue: which call of one engine begins next, and when. A call waits nowhere else."""

from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count
from math import inf

import trio

from job.engines.calls import BATCHES, Call, Item
from job.engines.failures import Cause, Failure, FailureKind
from job.execution.circuit_breaker import LONG_SECONDS, CircuitBreaker
from job.execution.limits import ConcurrencyLimiter, RateLimiter
from job.execution.retry_policy import RetryPolicy, RetryState, Try
from job.execution.shutdown import Shutdown
from job.text.messages import Message

FAILED_TRIES_KEPT = 10
"""Maximum number of failed tries that a result lists: a rejected call may have hundreds."""
HELD_AT = 4
"""While so many cards of a type have failed, and none of it was made since, no other of it begins."""
FILLED_AT_ONCE = 50_000
"""Calls that are counted between two checkpoints."""


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
    due: float = inf
    """When it may be tried again, by trio's clock; infinity if it has not been tried."""
    out: float = 0.0
    """For how long the engine had been out when the call was put back, as `CircuitBreaker.seconds_out` says."""
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
                retry=replace(self.retry),
                traceparent=traceparent(),
            )
            for start in range(0, len(targets), size)
        ]
        for part in parts[1:]:
            part.retries = part.waits = 0
        return parts


@dataclass(slots=True, eq=False)
class CardType:
    """The cards of one type, or all calls of a data engine: which have not begun, and which have failed."""

    fresh: "array[int]" = field(default_factory=lambda: array("I"))
    """The places of its calls in the order of all. Those before `begun` have begun; those drawn at random are gone."""
    begun: int = 0
    trying: set[PendingCall] = field(default_factory=set)
    """The cards that have failed, and are neither made nor failed for good; empty once a card of the type is made."""
    failed: int = 0
    """How many cards have failed for good after several tries, since one was made."""
    failing_since: float = inf
    """When the first of all these failed."""

    @property
    def left(self) -> int:
        """How many have not begun."""
        return len(self.fresh) - self.begun

    @property
    def is_held(self) -> bool:
        """Whether no other begins, as long as other calls are in flight."""
        return len(self.trying) + self.failed >= HELD_AT

    def take(self, number: int) -> int:
        """Takes one that has not begun, by its number among these; returns its place."""
        if number:
            return self.fresh.pop(self.begun + number)
        self.begun += 1
        return self.fresh[self.begun - 1]


class WorkQueue:
    """The calls of one engine: fresh ones, and those that were put back, whole or in parts, after a failed try.

    - While the circuit breaker is closed: retries that are due, then fresh calls in their order, then retries of calls
      that timed out. Of a card type that fails the next one is drawn at random; once four have failed, others begin
      only if nothing else is in flight.
    - While it is open: a type drawn at random, and of that one that has not begun, since neighbours and types may be at
      fault. If none is left, a retry, but no last one.
    - Once the engine's patience is over: all that has failed, half as many at a time as may be in flight.

    It ends when no call is left and none is in flight, or when the engine is down.
    """

    def __init__(
        self,
        work: Sequence[Sequence[Item]],
        call_of: Callable[[Sequence[Item]], Call],
        traceparent: Callable[[], str],
        policy: RetryPolicy,
        breaker: CircuitBreaker,
        shutdown: Shutdown,
    ) -> None:
        """`work` has the items of each call, and `call_of` makes it. `traceparent` gives each call one of its own."""
        self._settings = settings = policy.settings
        self.batch_size = settings.batch_size
        """A larger batch is split before it begins."""
        self.limiter = ConcurrencyLimiter(settings.concurrency)
        self.rate = RateLimiter(settings.per_minute)
        self.is_down = False
        """Whether calls were given up since the engine is down, and not just their card types."""
        self._work = work
        self._call_of = call_of
        self._traceparent = traceparent
        self._policy = policy
        self._breaker = breaker
        self._shutdown = shutdown
        self._types: defaultdict[str | None, CardType] = defaultdict(CardType)
        self._ready: deque[PendingCall] = deque()
        """Retries that are due, and parts of batches."""
        self._timed_out: deque[PendingCall] = deque()
        """Those of them that had no answer in time: they would hold their places for long again."""
        self._waiting: list[tuple[float, int, PendingCall]] = []
        """A heap of the other retries, by the times at which they are due."""
        self._last: deque[PendingCall] = deque()
        """Those that have one try left, which waits for the ends of their patience: these move with each outage."""
        self._numbers = count()
        self._is_closed = False
        self._parked = trio.lowlevel.ParkingLot()
        self._sleeper: trio.CancelScope | None = None
        """Of the one parked worker that looks again after a time."""
        self._latest = -inf
        """When a call began last."""
        self._longest = 0.0
        """How long a call took at most that is done."""
        self._begun: dict[PendingCall, float] = {}
        """When each call in flight began, the oldest first."""

    @property
    def in_flight(self) -> int:
        return len(self._begun)

    async def fill(self) -> None:
        """Counts the calls, before the first `get`."""
        for place, items in enumerate(self._work):
            if place % FILLED_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            self._types[items[0].card_type].fresh.append(place)

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
                self._begun[call] = self._latest = now
                self._parked.unpark()
                return call
            if self._is_closed or self._is_empty:
                self._is_closed = True
                self._parked.unpark_all()
                return None
            await self._park(moment)

    def task_done(self, call: PendingCall) -> None:
        """Ends the try of a call that was returned. Whoever calls this calls `get` next."""
        del self._begun[call]

    def put(self, call: PendingCall, due: float) -> None:
        """Puts a call back whose try has failed: it is due at this time."""
        call.due, call.out = due, self._breaker.seconds_out(trio.current_time())
        if call.retry.is_last:
            self._last.append(call)
        else:
            heappush(self._waiting, (due, next(self._numbers), call))
        if call.call.card_type is not None:
            card_type = self._types[call.call.card_type]
            card_type.trying.add(call)
            card_type.failing_since = min(card_type.failing_since, trio.current_time())

    def finish(self, call: PendingCall, *, is_done: bool) -> None:
        """A call is done, or has failed for good."""
        card_type = self._types[call.call.card_type]
        if is_done:
            if call.latest is not None:
                self._longest = max(self._longest, call.latest.ended - call.latest.started)
            card_type.trying.clear()
            card_type.failed, card_type.failing_since = 0, inf
        elif call in card_type.trying:
            card_type.trying.remove(call)
            card_type.failed += 1

    def left(self) -> Sequence[PendingCall]:
        """The calls that were put back, and are not done yet."""
        return [*self._ready, *self._timed_out, *self._last, *(call for _, _, call in self._waiting)]

    def _next(self, now: float) -> tuple[PendingCall | None, float]:
        """The next call, if one may begin now; or `None`, and when to look again."""
        moment = self._may_begin(now)
        if self._is_closed or moment > now:
            return None, moment
        self._move_due(now)
        if not self._breaker.is_open:
            call = self._next_while_closed(now)
        elif self._breaker.is_patience_over(now):
            call = self._next_after_patience()
        else:
            call = self._next_at_random() or self._next_retry()
        if call is None:
            return None, self._when_to_look(now)
        if len(call.call.targets) > 1:
            size = 1 if self._breaker.is_patience_over(now) else self.batch_size
            call, *others = call.split(size, self._traceparent)
            self._ready.extendleft(reversed(others))
        return call, now

    def _may_begin(self, now: float) -> float:
        """When a call may begin, whichever it is."""
        if self._breaker.is_patience_over(now):
            places, counts_from = max(1, self._settings.concurrency // 2), self._breaker.over
        elif self._breaker.is_open:
            return max(self._breaker.not_before(now), self.rate.not_before)
        else:
            places, counts_from = max(1, self.limiter.limit - len(self._breaker.failed)), -inf
        begun = [started for started in self._begun.values() if started >= counts_from]
        if len(begun) < places:
            return self.rate.not_before
        # A call that has been at work for long takes no place, since it may hang. If a 429 has set the limit to it,
        # another one begins each minute.
        is_long = begun[len(begun) - places] + max(LONG_SECONDS, 2 * self._longest)
        gap = LONG_SECONDS if self.limiter.is_set_by_429 else 0.0
        return max(is_long, self._latest + gap, self.rate.not_before)

    def _move_due(self, now: float) -> None:
        """Moves the retries that are due to where they are taken from."""
        due = []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(heappop(self._waiting)[2])
        while self._last and self._last_try(now) <= now:
            due.append(self._last.popleft())
        for call in due:
            has_timed_out = call.last_failure is not None and call.last_failure.cause is Cause.TIMEOUT
            (self._timed_out if has_timed_out else self._ready).append(call)

    def _last_try(self, now: float) -> float:
        """When the next last try may begin: not while the engine is out, unless its patience or the run's ends."""
        if not self._last or self._breaker.is_patience_over(now):
            return now if self._last else inf
        call, deadline = self._last[0], self._shutdown.deadline
        latest = deadline - self._settings.timeout
        if self._breaker.is_open:
            return max(call.due, latest)
        return max(call.due, self._policy.last_try(call.retry, self._breaker.seconds_out(now), deadline))

    def _next_while_closed(self, now: float) -> PendingCall | None:
        if self._ready:
            return self._take_its_turn(self._ready.popleft(), now)
        types = [card_type for card_type in self._types.values() if card_type.left and not card_type.is_held]
        if types:
            card_type = min(types, key=lambda one: one.fresh[one.begun])
            return self._begin(card_type, self._draw(card_type.left) if card_type.trying else 0)
        if self._timed_out:
            return self._take_its_turn(self._timed_out.popleft(), now)
        return None if self._begun else self._next_at_random()

    def _take_its_turn(self, call: PendingCall, now: float) -> PendingCall:
        """Does not count for how long a retry has waited for its turn, besides outages, which do not count anyway."""
        stood_still = max(0.0, self._breaker.seconds_out(now) - call.out)
        call.retry.extend(max(0.0, now - call.due - stood_still))
        return call

    def _next_after_patience(self) -> PendingCall | None:
        """A last try. If there is none any more, and none was done, the engine is down."""
        call = self._next_retry()
        if call is not None or self._waiting:
            return call
        to_go = self._breaker.failures_to_go
        if len(self._begun) < to_go:
            return self._next_at_random()
        if self._begun or to_go:
            return None
        # A card type that failed before the engine did has been given up.
        left = (card_type for card_type in self._types.values() if card_type.left)
        self.is_down = any(card_type.failing_since >= self._breaker.failing_since for card_type in left)
        self._is_closed = True
        return None

    def _next_retry(self) -> PendingCall | None:
        retries = self._ready or self._timed_out
        return retries.popleft() if retries else None

    def _next_at_random(self) -> PendingCall | None:
        """A call that has not begun, of any type, held or not. Of a bad type more are left than of the others."""
        types = [card_type for card_type in self._types.values() if card_type.left]
        if not types:
            return None
        card_type = types[self._draw(len(types))]
        return self._begin(card_type, self._draw(card_type.left))

    def _draw(self, number: int) -> int:
        """A number below this one, at random."""
        return min(int(self._policy.random() * number), number - 1)

    def _begin(self, card_type: CardType, number: int) -> PendingCall:
        place = card_type.take(number)
        return PendingCall(self._call_of(self._work[place]), self._traceparent(), RetryState(number=place))

    def _when_to_look(self, now: float) -> float:
        """When to look again if no call may begin that is there."""
        waiting = self._waiting[0][0] if self._waiting else inf
        over = self._breaker.over if now < self._breaker.over else inf
        return min(waiting, over, self._last_try(now))

    @property
    def _is_empty(self) -> bool:
        is_put_back = self._ready or self._timed_out or self._waiting or self._last
        return not (is_put_back or self._begun or any(card_type.left for card_type in self._types.values()))

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

"""Availability: whether an engine works, by its answers; when it is tried again, and when it is down.

So for a call: how long to wait after a failed try, or whether to give up. And for a card type: when to stop requesting
its cards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import trio

from job.config.environment import EngineSettings
from job.day.ledger import SetAside
from job.engines.answers import Verdict
from job.engines.calls import ENGINES, EngineName
from job.engines.failures import Cause, Failure
from job.execution.progress import EngineFailing, EngineProgress, EngineRecovered, EventHandler
from job.text.messages import Message, message

INITIAL_SECONDS = 0.5
MAX_SECONDS = 30.0
COSTLY_SECONDS = 10.0
"""How long a call whose try may have cost money waits at first for another to be done, which shows that more is no
waste; four times as long each time.
"""
LOST_LIMIT = 3
"""Tries of a costly call whose work may be paid for without a usable answer."""


@dataclass(slots=True)
class Try:
    """One try at a call, by trio's clock. It joins its call once it was answered, or may have been sent."""

    started: float
    streak: int = 0
    """The `Availability.streaks` when it began."""
    sent: bool = False
    """Whether the request may have been sent, after the token and the connection were there."""
    ended: float = 0.0
    status: int | None = None
    """The HTTP status of the answer."""
    verdict: Verdict | None = None
    """That of the answer."""


def may_have_cost(engine: EngineName, failure: Failure, latest: Try) -> bool:
    """Whether a failed try may have cost money."""
    return ENGINES[engine].is_costly and latest.sent and (failure.lost_work or failure.is_crash)


@dataclass(slots=True)
class RetryState:
    """The failures of one call so far.

    Whether a failed try uses up one of `attempts` depends on who is at fault. A try that the engine has denied does. An
    outage does only if the engine is known to work: it *is blamed*, as it has meanwhile done another call. A try that
    may have cost money always does.
    """

    engine: EngineSettings
    used: int = 0
    """Tries that are used up."""
    costs: int = 0
    """Tries whose work may be paid for."""
    backoffs: int = 0
    """How often it was put off: each time for longer."""
    token_renewed: bool = False
    waits_for_another: bool = False
    """Whether the next try may come before its time, once another call is done."""
    waiting_since: float | None = None
    """When the first try in a row began that was answered with 409 or 429.

    The engine may do such a call yet: it is at work on an earlier try, or none of its instances was free.
    """

    def next_delay(
        self, failure: Failure, latest: Try, jitter: Callable[[], float], *, is_blamed: bool
    ) -> float | None:
        """Seconds to wait before the next try; `None` if the call has failed for good.

        It is infinite if only another call that is done may bring one. `jitter` gives numbers from 0 to 1 (full
        jitter), so that calls which failed together do not come back together.
        """
        self.waits_for_another = False
        if failure.is_unauthorized and not self.token_renewed:
            self.token_renewed = True
            return 0.0
        if failure.is_refusal:
            return None
        attempts, is_costly = self.engine.attempts, ENGINES[self.engine.name].is_costly
        seconds = self.backoff(failure, jitter)
        if may_have_cost(self.engine.name, failure, latest):
            wait = COSTLY_SECONDS * 4.0 ** min(self.used, 10)
            self.used += 1
            self.costs += failure.lost_work
            seconds = max(seconds, min(self.engine.patience, wait))
            is_final, self.waits_for_another = self.costs >= LOST_LIMIT, True
        elif not failure.is_outage:  # an answer of its own, or a limit of this process
            self.used += 1
            self.costs += failure.cause is Cause.DENIED
            is_final = is_costly and failure.cause is Cause.DENIED and self.costs > 1
        else:
            self.used += self._uses_up(failure, latest, is_blamed=is_blamed)
            is_final = False
        if is_final or self.used >= attempts:
            return None
        if is_costly and self.costs == LOST_LIMIT - 1:
            self.waits_for_another, seconds = True, inf
        return seconds

    def _uses_up(self, failure: Failure, latest: Try, *, is_blamed: bool) -> bool:
        """Whether an outage uses up the try."""
        if failure.status in {409, 429}:
            self.waiting_since = latest.started if self.waiting_since is None else self.waiting_since
            if latest.ended < self.waiting_since + self.engine.timeout:
                return False
        else:
            self.waiting_since = None
        return is_blamed

    def backoff(self, failure: Failure, jitter: Callable[[], float]) -> float:
        """Seconds to wait before the call is made again: on average, twice as long each time."""
        delay = jitter() * min(MAX_SECONDS, INITIAL_SECONDS * 2.0 ** min(self.backoffs, 10))
        self.backoffs += 1
        return max(delay, min(failure.retry_after or 0.0, MAX_SECONDS))


IN_A_ROW = 20
"""Tries in a row after which a card type is set aside, and calls after which an engine without patience is down."""
TELL_SECONDS = 5.0
"""An outage that is shorter is not worth a word."""
TELL_AGAIN_SECONDS = 600.0
"""Of an engine that fails again and again, people are told this often at most."""


class Availability:
    """Whether one engine works.

    - It *fails* while its latest answers are outages (`Failure.is_outage`). Any answer of its own shows that it works.
    - It is *out* once such an answer came while no other call is in flight. Then one call at a time is made, after
      pauses that double from 0.5 s to 30, or from 10 s if the call may have cost money.
    - It is *down* once it has failed for as long as its patience, and a call that began meanwhile has failed too. No
      timer says so, nor what was in flight before: a slow answer may still come.
    """

    def __init__(self, engine: EngineName, patience: float, progress: EngineProgress, emit: EventHandler) -> None:
        self._engine = engine
        self._patience = patience
        self._progress = progress
        self._emit = emit
        self.failures = 0
        """How many outages came in a row, the latest answer included."""
        self._done_began = -inf
        """When the latest call began that was done. All times are by trio's clock."""
        self.not_before = -inf
        """No call may begin earlier."""
        self.streaks = 0
        """How many streaks of outages have begun so far."""
        self._since = inf
        """When the first of this streak came; infinity if it works."""
        self._older = 0
        """How many calls are in flight that began before that."""
        self._limit_then = 0
        """The concurrency limit when the streak began."""
        self.limit_before: int | None = None
        """The same, if the engine is out or was when it last failed."""
        self.is_out = False
        """Whether it failed in this streak while no other call was in flight."""
        self._pause = INITIAL_SECONDS
        """For how long it is left alone after the next failed probe."""
        self._failing = trio.Event()
        self._told_at = -inf
        """When people were last told that it fails."""
        self._is_outage = False
        """Whether what fails is the engine, and not just one call among others."""
        self._reason: Message | None = None
        self.given_up = 0
        """How many calls have failed for good in this streak, or may only be tried once another is done."""

    @property
    def seconds_failing(self) -> float:
        """For how long it has been failing."""
        return max(0.0, trio.current_time() - self._since)

    @property
    def has_worked(self) -> bool:
        """Whether it has done a call."""
        return self._done_began > -inf

    @property
    def prefers_fresh(self) -> bool:
        """Whether to make other calls rather than those that failed."""
        return self.failures > 0 and self._patience > 0

    def has_worked_since(self, time: float) -> bool:
        """Whether it has done a call that began after this time."""
        return self._done_began >= time

    def is_trusted(self, time: float) -> bool:
        """Whether a call that failed at this time is to blame, and not the engine: it is, without patience."""
        return self.has_worked_since(time) or not self._patience

    def is_down(self, latest: Try) -> bool:
        """Whether it is down, after the failure of this try.

        Without patience it is once 20 calls in a row have used up their tries while it was out.
        """
        if not self._patience:
            return self.is_out and self.given_up >= IN_A_ROW
        is_probe = latest.streak == self.streaks and not self._older
        return is_probe and self.seconds_failing >= self._patience

    def update(self, failure: Failure | None, latest: Try, others: int, limit: int, *, counts: bool = True) -> bool:
        """Adds how a try has just ended. `others` are still in flight.

        If it does not count, it says nothing of the engine. Returns whether the engine turns out to work again.
        """
        self._older -= latest.streak < self.streaks
        if not counts:
            return False
        if failure is None:
            self._done_began = max(self._done_began, latest.started)
        if failure is None or failure.is_own_answer:
            was_failing = self.failures > 0
            if was_failing:
                self._works(latest.started)
            return was_failing
        if failure.is_outage:
            self._fails(failure, latest, others, limit)
        return False

    def _fails(self, failure: Failure, latest: Try, others: int, limit: int) -> None:
        now = trio.current_time()
        if not self.failures:
            self.streaks += 1
            self._since, self._older = now, others
            self._limit_then, self.limit_before = limit, None
            self._failing.set()
        self.failures += 1
        self._reason = failure.reason
        self._is_outage = self.failures > 1 and not self._older
        self.is_out = self.is_out or not others
        if self.is_out and (self._patience or failure.is_rejection):
            self.limit_before = self._limit_then
            least = COSTLY_SECONDS if may_have_cost(self._engine, failure, latest) else 0.0
            pause = max(self._pause, least, min(failure.retry_after or 0.0, MAX_SECONDS))
            left = self._since + self._patience - now
            self.not_before = now + (min(pause, left) if left > 0 else pause)
            self._pause = min(2 * pause, MAX_SECONDS)

    async def watch(self) -> None:
        """Tells people that the engine fails, until it is cancelled."""
        while True:
            await self._failing.wait()
            await trio.sleep(max(1.0, self._since + TELL_SECONDS - trio.current_time()))
            now, is_told = trio.current_time(), self._told_at > self._since
            is_due = (
                self._is_outage and self.seconds_failing >= TELL_SECONDS and now >= self._told_at + TELL_AGAIN_SECONDS
            )
            if is_due and not is_told and self._reason is not None:
                self._told_at = now
                self._emit(EngineFailing(self._engine, self._reason, self._patience))

    def _works(self, since: float) -> None:
        """It works again: it has done a call that began then."""
        seconds = max(0.0, since - self._since)
        if self._told_at > self._since:
            self._emit(EngineRecovered(self._engine, seconds))
        if self._is_outage and seconds >= TELL_SECONDS:
            self._progress.outages += 1
            self._progress.seconds_out += seconds
        self.failures = self.given_up = 0
        self._since, self._pause, self.not_before = inf, INITIAL_SECONDS, -inf
        self.is_out = self._is_outage = False
        self._failing = trio.Event()


class CardTypes:
    """A circuit breaker for each card type, which is *set aside* after 20 tries in a row that were used up.

    Only outages count (`Failure.is_outage`), and only if cards of other types are made meanwhile. Any answer of the
    engine's own about the type resets its count.
    """

    def __init__(self, engine: Availability, emit: EventHandler) -> None:
        """`emit` gets a `SetAside` for each type that is set aside."""
        self._engine = engine
        self._emit = emit
        self._failures: dict[str | None, list[float]] = {}
        """When each of the tries in a row failed, by trio's clock."""
        self._set_aside: set[str | None] = set()

    def is_set_aside(self, card_type: str | None) -> bool:
        """Whether no card of this type is requested any more."""
        return card_type in self._set_aside

    def record(self, card_type: str | None, failure: Failure | None, now: float, *, is_used_up: bool) -> None:
        """Adds a try that has just ended, at `now`."""
        if failure is None or failure.is_own_answer:
            self._failures.pop(card_type, None)
        elif is_used_up and failure.is_outage and card_type not in self._set_aside:
            failures = self._failures.setdefault(card_type, [])
            failures.append(now)
            if len(failures) >= IN_A_ROW and self._engine.has_worked_since(failures[0]):
                self._set_aside.add(card_type)
                reason = message(
                    "Card type {card_type} is set aside, since {count} tries at its cards failed in a row: the rest of "
                    "them is not requested",
                    card_type=card_type or "",
                    count=IN_A_ROW,
                )
                self._emit(SetAside(card_type=card_type or "", reason=reason))

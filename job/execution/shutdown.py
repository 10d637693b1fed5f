"""Shutdown: a stop request that every worker sees, the signals that make it, and the seconds that are left then; and
when something expires, by two clocks.
"""

import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import TypeVar

import trio

from job.day.result import ShutdownReason
from job.errors import JobError
from job.text.messages import Message

T = TypeVar("T")
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Seconds by a clock that also counts the time for which the machine was suspended, if the platform has one."""
    return time.clock_gettime(_BOOT_CLOCK)


@dataclass(frozen=True, slots=True)
class Expiry:
    """When something expires, by two clocks: it has expired once the time has passed on one of them.

    The monotonic clock, which trio uses, stops while the machine is suspended. Other machines' clocks do not.
    """

    monotonic: float
    """By trio's clock."""
    boottime: float

    @classmethod
    def after(cls, seconds: float) -> "Expiry":
        """An expiry `seconds` from now."""
        return cls(trio.current_time() + seconds, boottime() + seconds)

    def has_passed(self) -> bool:
        """Whether it has expired by now."""
        return trio.current_time() >= self.monotonic or boottime() >= self.boottime


SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many seconds a start has from when the reason for its shutdown comes."""

    cards: float
    """For cards in flight: one that is cut off is paid for twice. Data calls have none."""
    closing: float
    """For all that follows the calls. Its first half is the record's, so that the lease is released, the last line
    printed and the message sent also if storage hangs.
    """


_UNHURRIED = Budget(inf, 100)
_STOPPED = Budget(5, 50)
"""Where Terraform starts the job, the deadline is 60 seconds before Cloud Run's."""
BUDGETS: Mapping[ShutdownReason | None, Budget] = {
    None: _UNHURRIED,
    ShutdownReason.QA_DOWN: _UNHURRIED,
    ShutdownReason.DEADLINE: _STOPPED,
    ShutdownReason.LEASE_LOST: _STOPPED,
    ShutdownReason.BUG: _STOPPED,
    ShutdownReason.SIGTERM: Budget(5, 4),  # Cloud Run waits 10 seconds
    ShutdownReason.SIGINT: Budget(0, 4),
}
"""By the reason; a higher reason never has more seconds."""
RECORD_SHARE = 0.5
DOCUMENTS_SHARE = RECORD_SHARE / 2
"""After this share of the closing, no document is written any more, so that the end of the record has its time."""
NIGHTS_SHARE = 0.05
"""After this share, past nights that are not read yet are no longer waited for."""
MOMENT = 0.1
"""What is printed always has this long, for a reader that is not behind."""


class ShutdownError(JobError):
    """The run was requested to stop before this call's next try."""


class Shutdown:
    """A stop request that every worker sees: after it no try starts, and every interruptible wait ends at once."""

    def __init__(self) -> None:
        self.reason: ShutdownReason | None = None
        self.deadline = inf
        """When the run's deadline passes, by trio's clock."""
        self.no_start_after: Expiry | None = None
        """No try starts after this, not even if the process was paused or the machine suspended meanwhile."""
        self.not_renewed: Message | None = None
        """Why storage did not renew the lease at the last try; `None` if it did, or if another start has the lease."""
        self.is_final = False
        """Whether the outcome is final: no later signal changes it or the exit code."""
        self.cards = trio.CancelScope()
        """The scope of the cards in flight."""
        self.nights, self.documents, self.record = trio.CancelScope(), trio.CancelScope(), trio.CancelScope()
        """The scopes of the closing: of the wait for past nights, of all documents, and of the record with these."""
        self._waits: set[trio.CancelScope] = set()
        self._is_closing = False
        self._over_by = inf

    def request(self, reason: ShutdownReason) -> None:
        """Requests the shutdown, and lowers deadlines. Once the outcome is final, it ends what is in progress."""
        if self.reason is None or reason > self.reason:
            now, cards = trio.current_time(), BUDGETS[reason].cards
            self.reason = reason
            self.cards.deadline = min(self.cards.deadline, now + cards)
            self._close_from(now if self._is_closing else now + cards)
        elif not self.is_final:
            return
        for wait in self._waits:
            wait.cancel()

    def begin_closing(self) -> None:
        """Begins the time for what follows the calls, which its scopes share."""
        self._is_closing = True
        self._close_from(trio.current_time())

    def _close_from(self, begin: float) -> None:
        seconds = BUDGETS[self.reason].closing
        self._over_by = min(self._over_by, begin + seconds)
        shares = {self.nights: NIGHTS_SHARE, self.documents: DOCUMENTS_SHARE, self.record: RECORD_SHARE}
        for scope, share in shares.items():
            scope.deadline = min(scope.deadline, begin + share * seconds)

    async def watch(self, task: Callable[..., Awaitable[T]], *arguments: object, **named: object) -> T | None:
        """What a task returns; `None` after a bug in it, which standard error has. That is a reason to shut down."""
        result: T | None = None
        try:
            result = await task(*arguments, **named)
        except* Exception:
            logging.getLogger(__name__).exception("the job has a bug")
            self.request(ShutdownReason.BUG)
        return result

    async def again_after_requests(self, step: Callable[[], Awaitable[None]]) -> None:
        """Takes a step, and begins it again whenever a request comes: a request to storage may hang until then."""
        is_done = False
        while not is_done:
            with self.until_request(trio.CancelScope()):
                await step()
                is_done = True

    @property
    def seconds_left(self) -> float:
        """How long what is printed or sent may take."""
        return max(MOMENT, self._over_by - trio.current_time())

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """The scope of a wait that a shutdown interrupts. Raises `ShutdownError` once a shutdown is requested."""
        self.raise_if_requested()
        with self.until_request(trio.CancelScope()):
            yield
        self.raise_if_requested()

    @contextmanager
    def until_request(self, scope: trio.CancelScope) -> Iterator[None]:
        """Enters a scope that the next request cancels."""
        with scope:
            self._waits.add(scope)
            try:
                yield
            finally:
                self._waits.discard(scope)

    def raise_if_requested(self) -> None:
        """Raises `ShutdownError` if no try may start any more."""
        if self.reason is None and self.no_start_after is not None and self.no_start_after.has_passed():
            self.request(ShutdownReason.LEASE_LOST)
        if self.reason is not None:
            raise ShutdownError


async def at_deadline(shutdown: Shutdown, seconds: float) -> None:
    """Requests the shutdown when the run's deadline passes."""
    shutdown.deadline = trio.current_time() + seconds
    await trio.sleep_until(shutdown.deadline)
    shutdown.request(ShutdownReason.DEADLINE)


async def on_signals(shutdown: Shutdown, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Handles the signals: the first one requests the shutdown, a second one ends the process at once.

    SIGHUP, of a terminal that was closed, counts as SIGTERM, but not as a second signal: some terminals send two. It
    stays ignored if it is, as by nohup.
    Once the outcome is final, a signal only shortens what follows. After this task has ended, the signals are ignored
    for the rest of the process.
    """
    missed: list[int] = []
    handled = [
        signum for signum in SIGNALS if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN
    ]
    for signum in handled:  # these handlers are what the receiver restores when it closes
        signal.signal(signum, lambda number, _: missed.append(number))
    with trio.open_signal_receiver(*handled) as received:
        for number in missed:
            signal.raise_signal(number)
        task_status.started()
        async for number in received:
            reason = ShutdownReason.SIGINT if number == signal.SIGINT else ShutdownReason.SIGTERM
            is_second = shutdown.reason in {ShutdownReason.SIGTERM, ShutdownReason.SIGINT}
            if is_second and number == signal.SIGHUP:
                continue
            if is_second and not shutdown.is_final:
                # The default action would not end a process that is PID 1.
                os._exit(128 + signal.Signals[reason.name])
            shutdown.request(reason)

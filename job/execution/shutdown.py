"""Shutdown: a cooperative stop request that every worker sees, the signals that make it, and the time for an ending."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from math import inf

import trio

from job.errors import JobError
from job.text.messages import Value

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class ShutdownReason(IntEnum):
    """Why a run stops early. If there are several reasons, the highest one counts."""

    QA_DOWN = 1
    DEADLINE = 2
    LEASE_LOST = 3
    SIGTERM = 4
    SIGINT = 5


_HURRIES = ShutdownReason.LEASE_LOST
"""From this reason on, the record is closed in haste: the process is about to be killed, or another start may go on."""


class ShutdownError(JobError):
    """The run was requested to stop before this call's next attempt."""


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


class Budget:
    """The seconds that each step of an ending has. Every step asks here, so that they add up.

    | reason | cards in flight | closing | last line | message | its failure | over by |
    | --- | --- | --- | --- | --- | --- | --- |
    | none, an engine failed | cut off or to their end | while the lease is trusted | 1 | 9.5 | 0.5 | no limit |
    | deadline | 5 | 30, then 3 | 1 | 9.5 | 0.5 | 49 (Terraform leaves 60) |
    | lease lost, bug | 5, 0 | 3 | 1 | 9.5 | 0.5 | 19 |
    | SIGTERM (SIGHUP), SIGINT | 5, 0 | 3 | 1 with the message | | at least 0.1 | 8.5 (Cloud Run kills at 10) |
    | a signal after the outcome is final | | | 1 | cut | at least 0.1 | 1 |

    An attempt closes its record: it writes the results, the documents and its end, and releases the lease.
    """

    GRACE = 5.0
    """For cards in flight to end: one that is cut off is paid for twice."""
    DEADLINE_CLOSING = 30.0
    CLOSING = 3.0
    """For closing a record in haste; `RELEASE` of it is reserved for releasing the lease."""
    RELEASE = 0.5
    NIGHTS = 5.0
    """For past nights that are not read yet when an attempt ends without haste."""
    LAST_LINE = 1.0
    """For what follows the outcome: after a signal, also for the message."""
    MESSAGE = 9.5
    FAILURE = 0.5
    """For the line which says that the message was not sent."""
    LAST_WORDS = 0.2
    """For the line after a second signal, if nobody reads standard error."""
    OVER = 8.5
    """From a signal until the run has ended; the process itself then takes a moment to exit."""

    def __init__(self) -> None:
        self.is_final = False
        """Whether the outcome is final: no later signal changes it or the exit code."""
        self.sending: trio.CancelScope | None = None
        """The scope in which the message is being sent. Once the outcome is final, a signal cancels only this."""
        self._over_by = inf

    def make_final(self) -> None:
        """Makes the outcome final. After a signal, the last line and the message have one second at most together."""
        self.is_final = True
        if self._over_by < inf:
            now = trio.current_time()
            self._over_by = max(now + 0.1, min(self._over_by, now + self.LAST_LINE))

    def on_signal(self) -> None:
        """Handles a signal: cancels the sending of the message; if that has not begun, limits the time that is left."""
        if self.sending is not None:
            self.sending.cancel()
        elif self.is_final:
            self._over_by = min(self._over_by, trio.current_time() + self.LAST_LINE)
        else:
            self._over_by = trio.current_time() + self.OVER

    def seconds(self, most: float) -> float:
        """How many seconds the next step after the outcome may take, at most `most`."""
        return max(0.0, min(most, self._over_by - trio.current_time()))


class Shutdown:
    """A stop request that every worker sees: after it no attempt starts, and every interruptible wait ends at once.

    In a phase that is `graceful`, calls in flight may go on for the grace period of the request.
    """

    def __init__(self) -> None:
        self.reason: ShutdownReason | None = None
        self.no_start_after: Expiry | None = None
        """No attempt starts after this, not even if the process was paused or the machine suspended meanwhile."""
        self.not_renewed: Value | None = None
        """Why storage did not renew the lease at the last try; `None` if it did, or if another start has the lease."""
        self._waits: set[trio.CancelScope] = set()
        self._closing = trio.CancelScope()
        self._phase = trio.CancelScope()
        self._graceful = False
        self._hasty_until: float | None = None
        self._late_until: float | None = None

    @property
    def hurries(self) -> bool:
        """Whether the record has to be closed in haste."""
        return self.reason is not None and self.reason >= _HURRIES

    def request(self, reason: ShutdownReason, grace_seconds: float) -> None:
        """Requests the shutdown. If it is requested again, the shorter grace period and the higher reason count."""
        self.reason = reason if self.reason is None else max(self.reason, reason)
        for scope in self._waits:
            scope.cancel()
        if self.hurries:
            self._closing.cancel()
        elif reason is ShutdownReason.DEADLINE:
            self._closing.deadline = min(self._closing.deadline, trio.current_time() + Budget.DEADLINE_CLOSING)
        grace = grace_seconds if self._graceful else 0.0
        self._phase.deadline = min(self._phase.deadline, trio.current_time() + grace)

    @contextmanager
    def phase(self, *, graceful: bool) -> Iterator[None]:
        """The scope of a phase. A shutdown cancels it: at once, or after the grace period if it is `graceful`."""
        with trio.CancelScope() as self._phase:
            self._graceful = graceful
            if self.reason is not None:
                self._phase.cancel()
            yield

    @property
    def closing_until(self) -> float:
        """Until when a record may be closed in haste, by trio's clock, counted from the first time this is asked."""
        if self._hasty_until is None:
            self._hasty_until = trio.current_time() + Budget.CLOSING - Budget.RELEASE
        return self._hasty_until

    @contextmanager
    def closing(self, until: float) -> Iterator[None]:
        """The scope in which a record is closed without haste: until trio's time `until`, or until it has to hurry."""
        if self.reason is ShutdownReason.DEADLINE:
            if self._late_until is None:
                self._late_until = trio.current_time() + Budget.DEADLINE_CLOSING
            until = min(until, self._late_until)
        with trio.CancelScope(deadline=until) as self._closing:
            if self.hurries:
                self._closing.cancel()
            yield

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """The scope of a wait that a shutdown interrupts. Raises `ShutdownError` once a shutdown is requested."""
        self.raise_if_requested()
        with trio.CancelScope() as scope:
            self._waits.add(scope)
            try:
                yield
            finally:
                self._waits.discard(scope)
        self.raise_if_requested()

    def raise_if_requested(self) -> None:
        """Raises `ShutdownError` if no attempt may start any more."""
        if self.reason is None and self.no_start_after is not None and self.no_start_after.has_passed():
            self.request(ShutdownReason.LEASE_LOST, Budget.GRACE)
        if self.reason is not None:
            raise ShutdownError


async def at_deadline(shutdown: Shutdown, seconds: float) -> None:
    """Requests the shutdown when the run's deadline passes."""
    await trio.sleep(max(0.0, seconds))
    shutdown.request(ShutdownReason.DEADLINE, Budget.GRACE)


async def on_signals(
    shutdown: Shutdown,
    budget: Budget,
    before_exit: Callable[[], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Handles the signals: the first one requests the shutdown, a second one ends the process at once.

    SIGHUP, of a terminal that was closed, counts as SIGTERM; it stays ignored if it is, as by nohup. `before_exit` is
    called before the second signal ends the process.
    Once the outcome is final, a signal only cancels the sending of the message. After this task has ended, the signals
    are ignored for the rest of the process.
    """
    missed: list[int] = []
    handled = [one for one in SIGNALS if one != signal.SIGHUP or signal.getsignal(one) is not signal.SIG_IGN]
    for one in handled:  # these handlers are what the receiver restores when it closes
        signal.signal(one, lambda number, _: missed.append(number))
    with trio.open_signal_receiver(*handled) as received:
        for number in missed:
            signal.raise_signal(number)
        task_status.started()
        async for number in received:
            is_interrupt = number == signal.SIGINT
            if budget.is_final:
                budget.on_signal()
                continue
            if shutdown.reason in {ShutdownReason.SIGTERM, ShutdownReason.SIGINT}:
                try:
                    before_exit()
                finally:
                    # The default action would not end a process that is PID 1.
                    os._exit(128 + (signal.SIGINT if is_interrupt else signal.SIGTERM))
            budget.on_signal()
            if is_interrupt:
                shutdown.request(ShutdownReason.SIGINT, 0.0)
            else:
                shutdown.request(ShutdownReason.SIGTERM, Budget.GRACE)

"""Shutdown: a cooperative stop request that every worker sees."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

import trio

from job.text.messages import Value

GRACE_SECONDS = 5.0
"""Time for cards in flight to end: one that is cut off is paid for twice. Cloud Run kills 10 s after SIGTERM."""
OVER_SECONDS = 8.5
"""Time from a signal until the run has ended; the process itself then takes a moment to exit."""
LAST_SECONDS = 1.0
"""The part of this that is left for what follows the outcome: writing the last lines and sending the message."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ShutdownReason(IntEnum):
    """Why a run stops early. If there are several reasons, the highest one counts."""

    QA_DOWN = 1
    DEADLINE = 2
    LEASE_LOST = 3
    SIGTERM = 4
    SIGINT = 5


class ShutdownError(Exception):
    """The run was requested to stop before this call's next attempt."""


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


class Shutdown:
    """A stop request that every worker sees: after it no attempt starts, and every interruptible wait ends at once.

    In a phase that is `graceful`, calls in flight may go on for the grace period of the request.
    """

    def __init__(self) -> None:
        self.reason: ShutdownReason | None = None
        self.no_start_after: Expiry | None = None
        """No attempt starts after this, not even if the process was paused or the machine suspended meanwhile."""
        self.not_renewed: Value | None = None
        """Why storage did not renew the lease at the latest try; `None` if it did, or if another run has the lease."""
        self._waits: set[trio.CancelScope] = set()
        self._phase = trio.CancelScope()
        self._graceful = False

    def request(self, reason: ShutdownReason, grace_seconds: float) -> None:
        """Requests the shutdown. If it is requested again, the shorter grace period and the higher reason count."""
        self.reason = reason if self.reason is None else max(self.reason, reason)
        for scope in self._waits:
            scope.cancel()
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
            self.request(ShutdownReason.LEASE_LOST, GRACE_SECONDS)
        if self.reason is not None:
            raise ShutdownError


async def at_deadline(shutdown: Shutdown, seconds: float) -> None:
    """Requests the shutdown when the run's deadline passes."""
    await trio.sleep(max(0.0, seconds))
    shutdown.request(ShutdownReason.DEADLINE, GRACE_SECONDS)


@dataclass(slots=True)
class Ending:
    """The end of a run: how much time is left after a signal for the last line and the message."""

    is_final: bool = False
    """Whether the outcome is final."""
    over_by: float = float("inf")
    """When the run must have ended because of a signal, by trio's clock."""
    sending: trio.CancelScope | None = None
    """The scope in which the message is being sent. Once the outcome is final, a signal cancels only this."""

    def make_final(self) -> None:
        """Makes the outcome final. After a signal, the last line and the message have one second at most together."""
        self.is_final = True
        if self.over_by < float("inf"):
            self.over_by = max(trio.current_time() + 0.1, min(self.over_by, trio.current_time() + LAST_SECONDS))

    def on_signal(self) -> None:
        """Handles a signal: cancels the sending of the message; if that has not begun, limits the time that is left."""
        if self.sending is not None:
            self.sending.cancel()
        elif self.is_final:
            self.over_by = min(self.over_by, trio.current_time() + LAST_SECONDS)
        else:
            self.over_by = trio.current_time() + OVER_SECONDS

    def seconds(self, most: float) -> float:
        """How many seconds the next step after the outcome may take, at most `most`."""
        return max(0.0, min(most, self.over_by - trio.current_time()))


async def on_signals(
    shutdown: Shutdown,
    ending: Ending,
    before_exit: Callable[[], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Handles SIGTERM and SIGINT: the first one requests the shutdown, a second one ends the process at once.

    `before_exit` is called before the second one does that.
    Once the outcome is final, a signal only cancels the sending of the message. After this task has ended, both signals
    are ignored for the rest of the process.
    """
    missed: list[int] = []
    for handled in SIGNALS:  # these handlers are what the receiver restores when it closes
        signal.signal(handled, lambda number, _: missed.append(number))
    with trio.open_signal_receiver(*SIGNALS) as received:
        for number in missed:
            signal.raise_signal(number)
        task_status.started()
        async for number in received:
            if ending.is_final:
                ending.on_signal()
                continue
            if shutdown.reason in {ShutdownReason.SIGTERM, ShutdownReason.SIGINT}:
                before_exit()
                os._exit(128 + number)  # the default action would not end a process that is PID 1
            ending.on_signal()
            if number == signal.SIGTERM:
                shutdown.request(ShutdownReason.SIGTERM, GRACE_SECONDS)
            else:
                shutdown.request(ShutdownReason.SIGINT, 0.0)

"""Cooperative shutdown: a stop request that every worker sees."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

import trio

GRACE_SECONDS = 5.0
"""For cards in flight: one that is cut off is paid for twice, and Cloud Run kills 10 s after SIGTERM."""
OVER_SECONDS = 8.5
"""After a signal, for all that follows it; the process itself then takes a moment to end."""
LAST_SECONDS = 1.0
"""Of these, for what follows the outcome: the last line, for a reader that has fallen behind, and the message."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ShutdownReason(IntEnum):
    """Why a run stops early. If there are several reasons, the highest one counts."""

    QA_DOWN = 1
    DEADLINE = 2
    LEASE_LOST = 3
    SIGTERM = 4
    SIGINT = 5


class ShutdownError(Exception):
    """The run was asked to stop before this call's next attempt."""


_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Seconds by a clock that also counts the time for which the machine was suspended, if the platform has one."""
    return time.clock_gettime(_BOOT_CLOCK)


@dataclass(frozen=True, slots=True)
class Expiry:
    """When something expires, by two clocks: it has expired as soon as one of them says so.

    The monotonic clock, which trio waits by, stands still while the machine is suspended. For others time goes on.
    """

    monotonic: float
    """By trio's clock."""
    boottime: float

    @classmethod
    def after(cls, seconds: float) -> "Expiry":
        """So many seconds from now."""
        return cls(trio.current_time() + seconds, boottime() + seconds)

    def has_passed(self) -> bool:
        """Whether it has expired by now."""
        return trio.current_time() >= self.monotonic or boottime() >= self.boottime


class Shutdown:
    """A stop request that every worker sees: after it no attempt starts, and every wait ends at once.

    Calls in flight go on for the grace period of the request, in a phase that allows one.
    """

    def __init__(self) -> None:
        self.reason: ShutdownReason | None = None
        self.no_start_after: Expiry | None = None
        """No attempt starts later: the process may have been paused, or the machine suspended, past it."""
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
        """The scope of a phase: a shutdown cuts off what is in flight in it, after the grace period or at once."""
        with trio.CancelScope() as self._phase:
            self._graceful = graceful
            if self.reason is not None:
                self._phase.cancel()
            yield

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Surrounds a wait that a shutdown ends. Raises `ShutdownError` if it does, or was requested before."""
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
    """Requests the shutdown when the run's time is up."""
    await trio.sleep(max(0.0, seconds))
    shutdown.request(ShutdownReason.DEADLINE, GRACE_SECONDS)


@dataclass(slots=True)
class Ending:
    """The end of the run, as signals and what still follows the outcome see it: the last line, then the message."""

    outcome_stands: bool = False
    """Whether it can change no more."""
    over_by: float = float("inf")
    """When all has to be over because of a signal, by trio's clock."""
    sending: trio.CancelScope | None = None
    """The sending of the message, while it goes on: all that a signal ends then."""

    def stand(self) -> None:
        """The outcome stands from now on. After a signal, all that follows shares what is left, a second at most."""
        self.outcome_stands = True
        if self.over_by < float("inf"):
            self.over_by = max(trio.current_time() + 0.1, min(self.over_by, trio.current_time() + LAST_SECONDS))

    def on_signal(self) -> None:
        """A signal has come. It ends the sending; if that has not begun, it has no more time than after any signal."""
        if self.sending is not None:
            self.sending.cancel()
        elif self.outcome_stands:
            self.over_by = min(self.over_by, trio.current_time() + LAST_SECONDS)
        else:
            self.over_by = trio.current_time() + OVER_SECONDS

    def seconds(self, most: float) -> float:
        """How long what follows the outcome may take: so many seconds at most."""
        return max(0.0, min(most, self.over_by - trio.current_time()))


async def on_signals(
    shutdown: Shutdown, ending: Ending, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Handles SIGTERM and SIGINT: the first one stops the run in order, a second one ends the process as it stands.

    Once the outcome stands, a signal changes nothing; it only ends the sending of the message. That remains so when
    this task has ended: for the rest of the process both signals do nothing.
    """
    missed: list[int] = []
    for handled in SIGNALS:  # these handlers are what the receiver restores when it closes
        signal.signal(handled, lambda number, _: missed.append(number))
    with trio.open_signal_receiver(*SIGNALS) as received:
        for number in missed:
            signal.raise_signal(number)
        task_status.started()
        async for number in received:
            if ending.outcome_stands:
                ending.on_signal()
                continue
            if shutdown.reason in {ShutdownReason.SIGTERM, ShutdownReason.SIGINT}:
                os._exit(128 + number)  # the default action would not end a process that is PID 1
            ending.on_signal()
            if number == signal.SIGTERM:
                shutdown.request(ShutdownReason.SIGTERM, GRACE_SECONDS)
            else:
                shutdown.request(ShutdownReason.SIGINT, 0.0)

"""Shutdown: a stop request that every worker sees, the signals that make it, and the seconds of each stage; and when
something expires, by two clocks.
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Literal

import trio

from job.day.result import ShutdownReason
from job.errors import JobError
from job.text.messages import Message

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
Stage = Literal["before_cards", "cards", "nights", "record", "release", "last_line", "message", "failure"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many seconds each stage of a start may take: from its begin, or from when the reason for them comes."""

    before_cards: float
    """The config, the lease and all data."""
    cards: float
    """Cards in flight: one that is cut off is paid for twice."""
    nights: float
    """Past nights that are not read yet, for their page."""
    record: float
    """The results, the documents and the end of the attempt."""
    release: float
    """Of the lease."""
    last_line: float
    message: float
    """At most; it has a limit of its own."""
    failure: float
    """The line which says that the message was not sent."""
    all: float
    """All stages together, from when the reason comes."""


# fmt: off
LIMITS: Mapping[ShutdownReason | None, Limits] = {
    # Where Terraform starts the job, the deadline is 60 seconds before Cloud Run's; after SIGTERM, Cloud Run waits 10.
    #                    before_cards cards nights record release last_line message failure all
    None:                      Limits(inf, inf, 5, 50,  0.5, 1, inf, 0.5, inf),
    ShutdownReason.QA_DOWN:    Limits(0,   inf, 5, 50,  0.5, 1, inf, 0.5, inf),
    ShutdownReason.DEADLINE:   Limits(0,   5,   5, 30,  0.5, 1, inf, 0.5, inf),
    ShutdownReason.LEASE_LOST: Limits(0,   5,   0, 2.5, 0.5, 1, inf, 0.5, inf),
    ShutdownReason.BUG:        Limits(0,   5,   0, 2.5, 0.5, 1, inf, 0.5, inf),
    ShutdownReason.SIGTERM:    Limits(0,   5,   0, 2.5, 0.5, 1, 1,   0.5, 8.5),
    ShutdownReason.SIGINT:     Limits(0,   0,   0, 2.5, 0.5, 1, 1,   0.5, 8.5),
}
# fmt: on
"""By the reason; a higher reason never has more seconds."""
MOMENT = 0.1
"""What is printed always has this long, for a reader that is not behind."""


class ShutdownError(JobError):
    """The run was requested to stop before this call's next try."""


class Shutdown:
    """A stop request that every worker sees: after it no try starts, and every interruptible wait ends at once.

    A stage in progress goes on for the seconds that it has for the reason.
    """

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
        self._stages: dict[Stage, trio.CancelScope] = {}
        self._waits: set[trio.CancelScope] = set()
        self._over_by = inf

    def request(self, reason: ShutdownReason) -> None:
        """Requests the shutdown. It ends a message in progress, and a record in progress is begun again.

        The record is, since one of its requests to storage may hang, and the others would then get no time at all.
        """
        if "message" in self._stages:
            self._stages["message"].cancel()
        if self.reason is not None and self.reason >= reason:
            return
        now, self.reason = trio.current_time(), reason
        self._over_by = min(self._over_by, now + LIMITS[reason].all)
        for wait in self._waits:
            wait.cancel()
        for stage, scope in self._stages.items():
            scope.deadline = min(scope.deadline, now + self._seconds(stage))
            if stage == "record":
                scope.cancel()

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[float]:
        """The scope of a stage, with its seconds, after which it is cancelled; the message ends itself, to say so.

        What follows the cards goes on if the scope around it is cancelled.
        """
        seconds = self._seconds(stage)
        limit = inf if stage == "message" else seconds
        shield = stage not in {"before_cards", "cards"}
        with trio.CancelScope(deadline=trio.current_time() + limit, shield=shield) as self._stages[stage]:
            try:
                yield seconds
            finally:
                del self._stages[stage]

    def _seconds(self, stage: Stage) -> float:
        """How many seconds a stage has from now on."""
        seconds: float = min(getattr(LIMITS[self.reason], stage), self._over_by - trio.current_time())
        return max(MOMENT if stage in {"last_line", "failure"} else 0.0, seconds)

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

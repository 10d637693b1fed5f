"""Shutdown: a cooperative stop request that every worker sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import trio

from job.execution.expiry import Expiry
from job.text.messages import Value

GRACE_SECONDS = 5.0
"""Time for cards in flight to end: one that is cut off is paid for twice. Cloud Run kills 10 s after SIGTERM."""


class ShutdownReason(IntEnum):
    """Why a run stops early. If there are several reasons, the highest one counts."""

    QA_DOWN = 1
    DEADLINE = 2
    LEASE_LOST = 3
    SIGTERM = 4
    SIGINT = 5


class ShutdownError(Exception):
    """The run was requested to stop before this call's next attempt."""


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

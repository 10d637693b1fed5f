"""How a run is asked to stop before its time."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import trio

GRACE_SECONDS = 5.0
"""For cards in flight: one that is cut off is paid for twice, and Cloud Run kills 10 s after SIGTERM."""


class Reason(IntEnum):
    """Why a run stops early. Where several come together, the highest stands."""

    QA_DOWN = 1
    DEADLINE = 2
    LEASE_LOST = 3
    SIGTERM = 4
    SIGINT = 5


class HaltedError(Exception):
    """The run was asked to stop before this call's next attempt."""


class Halt:
    """A request to stop that all workers see: no attempt starts after it, every wait ends at once.

    What is in flight goes on for the grace that the request gives, in a phase that allows one.
    """

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self.permitted_until = float("inf")
        """No attempt starts later, by trio's clock: the process may have been paused past it."""
        self._waits: set[trio.CancelScope] = set()
        self._phase = trio.CancelScope()
        self._graceful = False

    def ask(self, reason: Reason, grace_seconds: float) -> None:
        """Asks for the stop. May be asked again: the shorter grace and the higher reason hold."""
        self.reason = reason if self.reason is None else max(self.reason, reason)
        for scope in self._waits:
            scope.cancel()
        grace = grace_seconds if self._graceful else 0.0
        self._phase.deadline = min(self._phase.deadline, trio.current_time() + grace)

    @contextmanager
    def phase(self, *, graceful: bool) -> Iterator[None]:
        """The scope of a phase: what is in flight in it is cut off when the grace is over, or at once."""
        with trio.CancelScope() as self._phase:
            self._graceful = graceful
            if self.reason is not None:
                self._phase.cancel()
            yield

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Surrounds a wait that a stop ends. Raises `HaltedError` if it does, or has done so before."""
        self.check()
        with trio.CancelScope() as scope:
            self._waits.add(scope)
            try:
                yield
            finally:
                self._waits.discard(scope)
        self.check()

    def check(self) -> None:
        """Raises `HaltedError` where no attempt may start any more."""
        if self.reason is None and trio.current_time() >= self.permitted_until:
            self.ask(Reason.LEASE_LOST, GRACE_SECONDS)
        if self.reason is not None:
            raise HaltedError

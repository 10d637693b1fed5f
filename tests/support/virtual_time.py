"""Whole runs of trio with a clock that jumps, on a machine that may be suspended meanwhile."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import trio
from trio.abc import Clock
from trio.testing import MockClock

from job.execution import shutdown

T = TypeVar("T")


def in_virtual_time(main: Callable[[], Awaitable[T]], *, clock: Clock | None = None, **more: Any) -> T:
    """Runs a test with its own clock, if it has one. A thread that computes takes no time of it.

    A clock that jumps as soon as all tasks wait would jump while they wait for such a thread.
    """
    in_thread = trio.to_thread.run_sync

    async def run_sync(function: Callable[..., object], *arguments: object, **options: Any) -> object:
        if options.get("abandon_on_cancel"):  # it waits for something outside
            return await in_thread(function, *arguments, **options)
        await trio.lowlevel.checkpoint()
        return function(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", run_sync)
        result: T = trio.run(main, clock=clock or MockClock(autojump_threshold=0), **more)
    return result


@dataclass
class MachineClock:
    """Counts what trio's clock does, and the time for which the machine has slept."""

    slept: float = 0.0


@pytest.fixture
def machine_clock(monkeypatch: pytest.MonkeyPatch) -> MachineClock:
    """The clock that the job takes for the machine's."""
    clock = MachineClock()
    monkeypatch.setattr(shutdown, "boottime", lambda: trio.current_time() + clock.slept)
    return clock

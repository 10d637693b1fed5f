"""The clocks of a machine that is suspended, in virtual time."""

from dataclasses import dataclass

import pytest
import trio

from job.execution import shutdown


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

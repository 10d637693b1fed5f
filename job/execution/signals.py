"""Signals: what SIGTERM and SIGINT do to a run, before and after its outcome is final."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

import trio

from job.execution.shutdown import GRACE_SECONDS, Shutdown, ShutdownReason

OVER_SECONDS = 8.5
"""Time from a signal until the run has ended; the process itself then takes a moment to exit."""
LAST_SECONDS = 1.0
"""The part of this that is left for what follows the outcome: writing the last lines and sending the message."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
                try:
                    before_exit()
                finally:
                    os._exit(128 + number)  # the default action would not end a process that is PID 1
            ending.on_signal()
            if number == signal.SIGTERM:
                shutdown.request(ShutdownReason.SIGTERM, GRACE_SECONDS)
            else:
                shutdown.request(ShutdownReason.SIGINT, 0.0)

"""Reporter: what every output of a start does, and the wording that a terminal and the log share."""

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from job.config.faults import Fault
from job.engines.catalog import ENGINES
from job.execution.progress import EngineFailing, EngineRecovered, Event, Progress
from job.ledger.ledger import Ledger
from job.report.attempt import Start
from job.report.view import View
from job.text.messages import Message, duration, message

MessageEvent = Literal["config.noticed", "storage.failed", "storage.recovered", "notification.failed"]
"""What a person should know, as the log names it."""
FAILURES: Sequence[MessageEvent] = ("storage.failed", "notification.failed")


class Reporter(Protocol):
    """Reports a start to its user while it is in progress, and its end."""

    def on_faults(self, faults: Iterable[Fault]) -> None: ...
    def on_message(self, event: MessageEvent, text: Message) -> None: ...
    def on_day(self, start: Start) -> None: ...
    def on_start(self, progress: Progress) -> None: ...
    def on_barrier(self, progress: Progress) -> None: ...
    def on_progress(self, progress: Progress, now: float) -> None: ...
    def on_event(self, event: Event) -> None: ...
    def on_second_signal(self, text: Message | None) -> None: ...
    def on_finish(self, view: View) -> None: ...
    async def drain(self, seconds: float) -> None: ...


def time_status(progress: Progress, now: float) -> Message:
    """How long the run has taken, and how long the cards still take at the present pace, if that can be estimated."""
    elapsed = _whole(now - progress.began)
    left = progress.seconds_left("qa", now)
    if left is None:
        return message("{elapsed} elapsed", elapsed=elapsed)
    return message(
        "{elapsed} elapsed; at the present pace the cards are done in {left}", elapsed=elapsed, left=_whole(left)
    )


def progress_message(progress: Progress, now: float) -> Message:
    """How many cards are done so far."""
    cards, gauge = progress.ledger.counts("qa"), progress.gauges.get("qa")
    return message(
        "cards: {done} of {planned} done, {failed} failed; {time}",
        done=cards.done,
        planned=cards.planned,
        failed=gauge.counts.failed if gauge is not None else 0,
        time=time_status(progress, now),
    )


def barrier_message(ledger: Ledger) -> Message:
    """All data is ready, and perhaps cards follow."""
    if ledger.counts("qa").missing:
        return message("All data is ready; generating cards")
    return message("All data is ready")


def engine_message(event: EngineFailing | EngineRecovered) -> Message:
    """An engine is out, or works again."""
    engine = ENGINES[event.engine].label
    if isinstance(event, EngineRecovered):
        return message("The {engine} engine works again, after {time}", engine=engine, time=duration(event.seconds))
    return message(
        "The {engine} engine does no call, and is tried again for {time} at least: {reason}",
        engine=engine,
        time=duration(event.patience),
        reason=event.reason,
    )


def _whole(seconds: float) -> Message:
    """A duration in whole seconds, for display while it changes."""
    whole = max(0, round(seconds))
    return message("{seconds} s", seconds=whole) if whole < 60 else duration(whole)

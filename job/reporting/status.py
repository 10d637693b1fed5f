"""Status of a run in progress, with the same wording on a terminal and in the log."""

from job.execution.gauge import Live
from job.ledger.ledger import Ledger
from job.text.messages import Message, duration, message, plural


def run_heading(run_id: str, ledger: Ledger) -> Message:
    """The run's id, date and number of cards."""
    cards, date = ledger.counts("qa").planned, ledger.plan.date
    if date:
        return plural(
            "run {run} for {date}: 1 card", "run {run} for {date}: {count} cards", count=cards, run=run_id, date=date
        )
    return plural("run {run}: 1 card", "run {run}: {count} cards", count=cards, run=run_id)


def time_status(live: Live, now: float) -> Message:
    """How long the run has taken, and how long the cards still take at the present pace, if that can be estimated."""
    elapsed = _whole(now - live.began)
    left = live.seconds_left("qa", now)
    if left is None:
        return message("{elapsed} elapsed", elapsed=elapsed)
    return message(
        "{elapsed} elapsed; at the present pace the cards are done in {left}", elapsed=elapsed, left=_whole(left)
    )


def progress_message(live: Live, now: float) -> Message:
    """How many cards are done so far."""
    cards = live.ledger.counts("qa", now=True)
    return message(
        "cards: {done} of {planned} done, {failed} failed; {time}",
        done=cards.made,
        planned=cards.planned,
        failed=cards.failed,
        time=time_status(live, now),
    )


def barrier_message(ledger: Ledger) -> Message:
    """All data is ready, and whether cards follow: a resume may have none left."""
    if not ledger.is_complete(["qa"]) or ledger.remakes.open(["qa"]):
        return message("all data is ready; generating cards")
    return message("all data is ready; no card is left to generate")


def _whole(seconds: float) -> Message:
    """A duration in whole seconds, for display while it changes."""
    whole = max(0, round(seconds))
    return message("{seconds} s", seconds=whole) if whole < 60 else duration(whole)

"""Opening: what a person should know of a start before it makes calls, or if it makes none."""

from collections.abc import Sequence
from datetime import datetime

from job.ledger.ledger import Ledger
from job.report.attempt import Attempt, Start
from job.report.outcome import Ending, cards_line, nothing_missing, past_day_notice
from job.text.display import clock
from job.text.messages import Message, dated_time, message, plural, template


def waiting_notices(start: Start, now: datetime) -> Sequence[Message]:
    """What has changed while a start waited for another one, until `now`."""
    current = start.days.current(now)
    if start.names_day or current == start.day:
        return []
    text = template("{day} ended while this start waited: it is for {day} all the same, a new one is for {current}")
    return [message(text, day=start.day, current=current)]


def opening_notices(start: Start, ledger: Ledger, latest: Attempt | None, now: datetime) -> Sequence[Message]:
    """What a person should know of an attempt that begins `now`. `latest` is the attempt before, if any."""
    notices = []
    asks = ledger.left("financial") or ledger.left("trading")
    if asks and start.days.is_past(start.day, now):
        notices.append(past_day_notice(start.day))
    if latest is not None:
        text = template("Going on with {day}, so far: {cards}")
        notices.append(message(text, day=start.day, cards=cards_line(ledger)))
        more = ledger.counts("qa").planned - latest.cards
        fewer = plural(
            "The config asks for 1 card fewer than the last attempt at {day} did",
            "The config asks for {count} cards fewer than the last attempt at {day} did",
            count=-more,
            day=start.day,
        )
        greater = plural(
            "The config asks for 1 card more than the last attempt at {day} did",
            "The config asks for {count} cards more than the last attempt at {day} did",
            count=more,
            day=start.day,
        )
        notices += [greater] if more > 0 else [fewer] if more else []
    return notices


def nothing_left(start: Start, ledger: Ledger, ended: datetime, now: datetime) -> Ending:
    """How a start ends `now` for which nothing is left to be done since the latest attempt has `ended`."""
    days = start.days
    next_night = dated_time(days.after(days.current(now))) if days.schedule else None
    return nothing_missing(ledger, clock(ended, start.day), next_night)

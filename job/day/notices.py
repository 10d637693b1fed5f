"""Notices: what a person should know of a start before it makes calls, and of its config and its record."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from job.config.plan import Plan
from job.day.attempt import Attempt, Start
from job.day.ending import cards_line
from job.day.ledger import Ledger
from job.engines.catalog import ENGINES, EngineName
from job.text.messages import Message, duration, message, plural, template

NOTICES_LISTED = 3
NOTED_SECONDS = 60.0
"""An engine that was out for less in all is not noted."""


def waiting_notices(start: Start, now: datetime) -> Sequence[Message]:
    """What has changed while a start waited for another one, until `now`."""
    current = start.days.current(now)
    if start.names_day or current == start.day:
        return []
    text = template("{day} ended while this start waited: it is for {day} all the same, a new one is for {current}")
    return [message(text, day=start.day, current=current)]


def opening_notices(start: Start, ledger: Ledger, latest: Attempt | None) -> Sequence[Message]:
    """What a person should know of an attempt that begins. `latest` is the attempt before, if any."""
    if latest is None:
        return []
    notices = [message("Going on with {day}, so far: {cards}", day=start.day, cards=cards_line(ledger))]
    if (planned := ledger.counts("qa").planned) != latest.cards:
        notices.append(
            message(
                "Cards that the config asks for: {planned}; at the last attempt: {before}",
                planned=planned,
                before=latest.cards,
            )
        )
    return notices


def notices_of(plan: Plan) -> list[Message]:
    """What is odd about the config, at most `NOTICES_LISTED` lines and one that counts the others."""
    notices = list(plan.notices[:NOTICES_LISTED])
    if (more := len(plan.notices) - NOTICES_LISTED) > 0:
        notices.append(
            plural("And 1 more notice about the config", "And {count} more notices about the config", count=more)
        )
    return notices


def unrecorded_note(results: int, *, is_done: bool) -> Message:
    """What the record lacks if it could not be written to the end: so many results; and what to do about that.

    `is_done` is whether all the work of the day is done.
    """
    if not results:
        return message(
            "The end could not be recorded. All results are: the next start finds them, and records the end."
        )
    if is_done:
        return plural(
            "Do not start it again: all work is done, but storage failed. The record lacks 1 result, which a start "
            "would request again; so verify and its alert will report this day as not done: ignore that.",
            "Do not start it again: all work is done, but storage failed. The record lacks {count} results, which a "
            "start would request again; so verify and its alert will report this day as not done: ignore that.",
            count=results,
        )
    return plural(
        "The record lacks 1 result: the next start requests it again.",
        "The record lacks {count} results: the next start requests them again.",
        count=results,
    )


def outage_notes(outages: Mapping[EngineName, tuple[int, float]]) -> list[Message]:
    """Which engines did no call for a while, of those with so many outages, of so many seconds in all."""
    return [
        plural(
            "The {engine} engine was out once, for {time}: its calls waited",
            "The {engine} engine was out {count} times, for {time} in all: its calls waited",
            count=count,
            engine=ENGINES[engine].label,
            time=duration(seconds),
        )
        for engine, (count, seconds) in outages.items()
        if seconds >= NOTED_SECONDS
    ]


def past_day_notice(day: str) -> Message:
    """What is not as on that day, for a start of a day that is over."""
    return message(
        "{day} is over: the financial and the trading engine take no date, and prepare what is current when called",
        day=day,
    )

"""Failures: what is said of what failed, of a single call and of a group, and where it is put right."""

from collections.abc import Sequence
from dataclasses import dataclass

from job.day.attempt import Start
from job.day.failure_groups import FailureGroup, failure_groups
from job.day.history import NightBefore
from job.day.ledger import Ledger
from job.day.result import CallResult
from job.engines.calls import ENGINES, counted
from job.engines.failures import remedy_of
from job.telling.sentence import names_of
from job.text.messages import Message, duration, joined, message, plural, semicolon


def reason_of(call: CallResult) -> Message:
    """Why a call failed: the answer, and what the job knows besides."""
    reason = call.reason or Message("")
    if call.interrupted_after is not None:
        return message("cut off; the try before it failed: {reason}", reason=reason)
    if call.tried_seconds is not None:
        return message("{error} (tried for {time})", error=reason, time=duration(call.tried_seconds))
    return reason


@dataclass(frozen=True, slots=True)
class FailureText:
    """What is said of calls that failed alike."""

    heading: Message
    """What failed: the engine, the number of items, and what is known of all of them."""
    names: Sequence[str]
    """Which ones; empty if the engine is down."""
    quotes: Sequence[Message]
    """What is said of the answers: an answer is quoted; why there was none is a sentence."""
    remedy: Message | None
    """Where it is put right, and by whom."""


def failure_texts(ledger: Ledger, before: NightBefore | None, start: Start) -> list[FailureText]:
    """The failures of a day, the largest first."""
    return [
        FailureText(
            heading=_heading(group, before),
            names=[] if group.is_down else names_of(group.items),
            quotes=_quotes(group),
            remedy=remedy_of(
                group.engines[0],
                group.cause,
                group.status,
                url=start.engine_urls.get(group.engines[0]),
                account=group.account,
                is_deployed=start.job is not None,
            ),
        )
        for group in failure_groups(ledger)
    ]


def _heading(group: FailureGroup, before: NightBefore | None) -> Message:
    title, count = joined([ENGINES[engine].title for engine in group.engines]), len(group.items)
    if group.is_down:
        failed = message("{engine}: every call failed", engine=title)
    else:
        failed = message("{engine}: {items} failed", engine=title, items=counted(group.engines[0], count))
    if before is None or not before.made(group.items):
        return failed
    return semicolon(failed, plural("it was made on {day}", "all were made on {day}", count, day=before.short_day))


def _quotes(group: FailureGroup) -> list[Message]:
    if group.is_answered:
        return [message("Last answer: {answer}", answer=answer) for answer in group.answers]
    return [message("{Sentence}.", Sentence=reason) for reason in group.answers]

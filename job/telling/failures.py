"""Failures in words: a single call, what failed alike, and where it is put right."""

from collections.abc import Iterator

from job.day.report import FailureGroup, Report
from job.day.result import CallResult
from job.engines.calls import ENGINES, counted
from job.engines.failures import Cause, remedy_of
from job.telling.lines import Line, Rank
from job.telling.sentence import named
from job.text.messages import Message, colon, duration, joined, message, plural, semicolon


def reason_of(call: CallResult) -> Message:
    """Why a call failed: the answer, and what the job knows besides."""
    reason = call.reason or Message("")
    if call.interrupted_after is not None:
        return message("cut off; the try before it failed: {reason}", reason=reason)
    if call.tried_seconds is not None:
        return message("{error} (tried for {time})", error=reason, time=duration(call.tried_seconds))
    return reason


def failure_lines(report: Report) -> Iterator[Line]:
    """What failed, the largest group first: which items, what was answered, and where it is put right."""
    day_before, count = report.compared_with, len(report.failures)
    all_made = count > 1 and all(group.was_made for group in report.failures)
    for group in report.failures:
        failed = _failed(group, None if all_made else day_before)
        yield Line(message("{sentence}.", sentence=failed), mark="✗")
        for place, answer in enumerate(group.answers):
            yield Line(_quoted(group, answer), Rank.ASIDE if place else Rank.DETAIL)
        remedy = remedy_of(
            group.engines[0],
            group.cause,
            group.status,
            url=report.engine_urls.get(group.engines[0]),
            account=group.account,
            is_deployed=report.job is not None,
        )
        if remedy is not None:
            yield Line(remedy)
    if all_made and day_before is not None:
        yield Line(message("{Sentence}.", Sentence=_made_on(day_before, count)))


def _failed(group: FailureGroup, day_before: str | None) -> Message:
    """The engine, the number of items, what is known of all of them, and which they are, unless every try failed."""
    title, count = joined([ENGINES[engine].title for engine in group.engines]), group.items.count
    if group.is_down:
        failed = message("{engine}: every try failed", engine=title)
    elif group.is_cut_off:
        failed = message(
            "{engine}: {items} cut off after failed tries", engine=title, items=counted(group.engines[0], count)
        )
    else:
        failed = message("{engine}: {items} failed", engine=title, items=counted(group.engines[0], count))
    if day_before is not None and group.was_made:
        failed = semicolon(failed, _made_on(day_before, count))
    return failed if group.is_down else colon(failed, named(group.items))


def _made_on(day: str, count: int) -> Message:
    return plural("it was made on {day}", "all were made on {day}", count, day=day[5:])


def _quoted(group: FailureGroup, answer: Message) -> Message:
    """An answer is quoted; why there was none is a sentence."""
    if group.cause in {Cause.STATUS, Cause.DENIED}:
        return message("Last answer: {answer}", answer=answer)
    return message("{Sentence}.", Sentence=answer)

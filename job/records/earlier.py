"""Earlier: what images of 0.2.0 to 0.5.0 have recorded otherwise of a call, and want of an end."""

from collections.abc import Iterator

from pydantic_core import to_json

from job.day.report import Report
from job.day.result import CallResult
from job.engines.calls import BATCHES, ENGINES
from job.engines.failures import Cause
from job.text.messages import Message, Value, colon, plural, said, semicolon

_AROUND = {"{error} (tried for {time})": "error", "cut off; the try before it failed: {reason}": "reason"}
"""What they wrote around an answer, with the value that has it."""
_SEVERAL = semicolon("", "").id
_UNITS = {"hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
_CHARGED = {Cause.TRANSPORT, Cause.TIMEOUT, Cause.TOO_LARGE, Cause.UNREADABLE}
"""The causes of which they counted each try as one that may have cost money."""


def read_line(line: bytes, attempt: int = 0) -> CallResult:
    """The result in a line of the journal of an attempt, whichever image has written it, with the facts of today.

    Raises `ValueError` if the job has not written it.
    """
    result = CallResult.parse(line, attempt)
    if result.charged_tries is None:
        is_charged = result.cause in _CHARGED or result.status == 504
        result.charged_tries = result.tries if is_charged and ENGINES[result.engine].is_costly else 0
    if result.reason is not None:
        _read_around(result, result.reason)
    return result


def _read_around(result: CallResult, reason: Message) -> None:
    """Takes the facts from a reason in which they stand around the answer."""
    inner, account = reason.values.get(_AROUND.get(reason.id, "")), reason.values.get("account")
    if isinstance(account, str):
        result.account = account
    if isinstance(inner, Message):
        result.reason, result.tried_seconds = inner, _seconds_in(reason.values.get("time", "")) or None
        _read_around(result, inner)
    elif reason.id == _SEVERAL and result.engine in BATCHES and not result.by_target:
        result.by_target = tuple(_by_target(reason))


def _seconds_in(time: Value) -> float:
    """The seconds of a `duration`; 0 of anything else."""
    values = time.values.items() if isinstance(time, Message) else ()
    return sum(_UNITS[name] * float(str(value)) if name in _UNITS else _seconds_in(value) for name, value in values)


def _by_target(reason: Value) -> Iterator[tuple[str, Message]]:
    """The answer about each ticker, of those that stand one after the other."""
    if isinstance(reason, Message) and reason.id == _SEVERAL:
        for part in reason.values.values():
            yield from _by_target(part)
    elif isinstance(reason, Message) and reason.id == colon("", "").id:
        yield str(reason.values["before"]), said(reason.values["after"])


def end_json(report: Report) -> bytes:
    """The end of an attempt, as it is recorded: the facts, and the sentence without which 0.5.0 refuses it.

    Nothing here reads that sentence. 0.5.0 has its words in both languages.
    """
    cards = report.cards
    sentence = Message("All data is ready" if report.had_plan else "nothing was called")
    if cards.missing:
        of_all = {"count": cards.missing, "planned": cards.planned}
        sentence = Message("1 of {planned} cards is missing", of_all, "{count} of {planned} cards are missing")
    elif cards.done:
        sentence = plural("the card is made", "all {count} cards are made", count=cards.done)
    return to_json({**report.facts, "sentence": sentence}) + b"\n"

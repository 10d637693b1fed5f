"""Earlier: what images of 0.2.0 to 0.5.0 have recorded otherwise of a call, and want of an end."""

from pydantic_core import to_json

from job.day.attempt import Outcome
from job.day.report import Report
from job.day.result import CallResult
from job.engines.calls import ENGINES
from job.engines.failures import Cause
from job.text.messages import Message, plural

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
    if result.reason is not None and result.interrupted_after is not None:  # they wrote it around the answer, too
        inner = result.reason.values.get("reason")
        result.reason = inner if isinstance(inner, Message) else result.reason
    return result


def end_json(report: Report) -> bytes:
    """The end of an attempt, as it is recorded: the facts, and the sentence without which 0.5.0 refuses it.

    Nothing here reads that sentence. 0.5.0 has its words in both languages.
    """
    cards = report.cards
    sentence = Message("All data is ready" if report.outcome is Outcome.SUCCEEDED else "nothing was called")
    if cards.missing:
        of_all = {"count": cards.missing, "planned": cards.planned}
        sentence = Message("1 of {planned} cards is missing", of_all, "{count} of {planned} cards are missing")
    elif cards.done:
        sentence = plural("the card is made", "all {count} cards are made", count=cards.done)
    return to_json({**report.facts, "sentence": sentence}) + b"\n"

"""Results of calls, without an executor."""

from typing import Any

from job.day.result import CallResult, FailedTry
from job.engines.calls import Call
from job.engines.failures import Failure, FailureKind
from job.text.messages import message


def result_of(call: Call, failure: Failure | None = None, **changes: Any) -> CallResult:
    """How a call ended: done, or with this failure. It took one attempt from second 10 to 12, unless told otherwise."""
    is_counted = failure is not None and failure.kind(call.engine, sent=True) is FailureKind.CHARGED
    given: dict[str, Any] = {
        "engine": call.engine,
        "targets": call.targets,
        "card_type": call.card_type,
        "done": failure is None,
        "tries": 1,
        "charged_tries": int(is_counted),
        "started": 10.0,
        "ended": 12.0,
        "status": 200 if failure is None else failure.status,
        "cause": failure.cause if failure else None,
        "reason": failure.reason if failure else None,
        "traceparent": "",
        "limit": 4,
        "interrupted_after": failure.after if failure else None,
        "request": call.request,
        "date": call.date,
    }
    return CallResult(**(given | changes))


def tried(*attempts: tuple[float, float, str]) -> tuple[FailedTry, ...]:
    """Failed attempts: when each began and ended, and why it failed."""
    return tuple(FailedTry(started, ended, message(reason)) for started, ended, reason in attempts)

"""Answers: what they mean. A 2xx is not a success: the engines report most of their failures with one."""

from collections.abc import Callable, Mapping

from pydantic_core import from_json

from job.engines.calls import Call
from job.engines.catalog import EngineName
from job.engines.failures import Cause, Failure
from job.engines.transport import Response
from job.messages import Message, message
from job.text import NAMED, excerpt


def judge(call: Call, response: Response) -> Failure | None:
    """Whether the work of the call was done: `None` if all of it was."""
    if not 200 <= response.status <= 299:
        return Failure(Cause.STATUS, _status_reason(response), response.status, response.retry_after)
    try:
        answer = from_json(response.body, allow_inf_nan=True)
    except ValueError:
        shown = excerpt(response.body)
        reason = message("no JSON: {answer}", answer=shown) if shown else message("an empty answer")
        return Failure(Cause.UNREADABLE, reason, response.status)
    return _JUDGES[call.engine](call, answer)


def _status_reason(response: Response) -> Message:
    if 300 <= response.status <= 399:
        return message("HTTP {status}: a redirect, which is not followed", status=str(response.status))
    shown = excerpt(response.body)
    if not shown:
        return message("HTTP {status}", status=str(response.status))
    return message("HTTP {status}: {answer}", status=str(response.status), answer=shown)


def _financial(_: Call, answer: object) -> Failure | None:
    if not isinstance(answer, dict):
        return _misshapen(answer)
    if answer.get("error") is not None or answer.get("status", "success") != "success":
        return _denied(answer)
    return None if isinstance(answer.get("message"), str) else _misshapen(answer)


def _trading(call: Call, answer: object) -> Failure | None:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, dict):
        return _denied(answer) if isinstance(answer, dict) and _says_failed(answer) else _misshapen(answer)
    reasons: dict[str, Message] = {}
    for ticker in call.targets:
        result = results.get(ticker.upper(), results.get(ticker))
        if result is None:
            reasons[ticker] = message("not in the answer")
        elif not isinstance(result, dict) or result.get("status") != "success":
            reasons[ticker] = _reason(result)
    if not reasons:
        return None
    return Failure(Cause.DENIED, _by_ticker(reasons), 200, targets=tuple(reasons))


def _by_ticker(reasons: Mapping[str, Message]) -> Message:
    """The reason of each ticker, of the first ten if there are more."""
    shown = [message("{ticker}: {reason}", ticker=ticker, reason=why) for ticker, why in list(reasons.items())[:NAMED]]
    told = shown[0]
    for one in shown[1:]:
        told = message("{first}; {next}", first=told, next=one)
    if len(reasons) > NAMED:
        told = message("{first}; and {count} more", first=told, count=len(reasons) - NAMED)
    return told


def _news(_: Call, answer: object) -> Failure | None:
    if not isinstance(answer, dict):
        return _misshapen(answer)
    if answer.get("status") in ("success", "skipped"):
        return None
    return _denied(answer) if "status" in answer or "error" in answer else _misshapen(answer)


def _qa(_: Call, answer: object) -> Failure | None:
    if answer is None or isinstance(answer, dict):
        return None if answer and answer.get("status") == "success" else _denied(answer)
    return _misshapen(answer)


_JUDGES: Mapping[EngineName, Callable[[Call, object], Failure | None]] = {
    "financial": _financial,
    "trading": _trading,
    "news": _news,
    "qa": _qa,
}


def _says_failed(answer: dict[str, object]) -> bool:
    return answer.get("error") is not None or answer.get("status", "success") != "success"


def _denied(answer: object) -> Failure:
    return Failure(Cause.DENIED, _reason(answer), 200)


def _misshapen(answer: object) -> Failure:
    what = "null" if answer is None else excerpt(repr(answer).encode())
    return Failure(Cause.UNREADABLE, message("unexpected answer: {answer}", answer=what), 200)


def _reason(result: object) -> Message:
    """The engine's own words, if it has some."""
    if result is None:
        return message("the answer is null")
    if isinstance(result, dict):
        status = result.get("status")
        for key in ("error", "message", "detail"):
            if isinstance(result.get(key), str) and result[key].strip():
                said = excerpt(result[key].encode(errors="replace"))
                if status is None:
                    return message("{answer}", answer=said)
                return message("{status}: {answer}", status=excerpt(str(status).encode()), answer=said)
    return message("says {answer}", answer=excerpt(repr(result).encode(errors="replace")))

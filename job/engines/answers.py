"""What an answer means. A 2xx is not a success: the engines report most of their failures with one."""

from collections.abc import Callable, Mapping

from pydantic_core import from_json

from job.engines.calls import Call
from job.engines.catalog import EngineName
from job.engines.failures import Cause, Failure
from job.engines.transport import Response
from job.text import NAMED, excerpt


def judge(call: Call, reply: Response) -> Failure | None:
    """Whether the work of the call was done: `None` if all of it was."""
    if not 200 <= reply.status <= 299:
        text = f"HTTP {reply.status}"
        if 300 <= reply.status <= 399:
            return Failure(Cause.STATUS, f"{text}: a redirect, which is not followed", reply.status)
        shown = excerpt(reply.body)
        return Failure(Cause.STATUS, f"{text}: {shown}" if shown else text, reply.status, reply.retry_after)
    try:
        answer = from_json(reply.body, allow_inf_nan=True)
    except ValueError:
        shown = excerpt(reply.body)
        return Failure(Cause.UNREADABLE, f"no JSON: {shown}" if shown else "an empty answer", reply.status)
    return _JUDGES[call.engine](call, answer)


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
    reasons: dict[str, str] = {}
    for ticker in call.targets:
        result = results.get(ticker.upper(), results.get(ticker))
        if result is None:
            reasons[ticker] = "not in the answer"
        elif not isinstance(result, dict) or result.get("status") != "success":
            reasons[ticker] = _reason(result)
    if not reasons:
        return None
    text = "; ".join(f"{ticker}: {why}" for ticker, why in list(reasons.items())[:NAMED])
    if len(reasons) > NAMED:
        text += f"; and {len(reasons) - NAMED} more"
    return Failure(Cause.DENIED, text, 200, targets=tuple(reasons))


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
    return Failure(Cause.UNREADABLE, f"not an answer of this engine: {what}", 200)


def _reason(result: object) -> str:
    """The engine's own words, where it has some."""
    if result is None:
        return "the answer is null"
    if isinstance(result, dict):
        status = result.get("status")
        for key in ("error", "message", "detail"):
            if isinstance(result.get(key), str) and result[key].strip():
                said = excerpt(result[key].encode(errors="replace"))
                return f"{excerpt(str(status).encode())}: {said}" if status is not None else said
    return f"says {excerpt(repr(result).encode(errors='replace'))}"

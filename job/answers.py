"""What an answer means. A 2xx is not a success: the engines report most of their failures with one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic_core import from_json

from job.engines import NAMED, Call, EngineName

EXCERPT_LIMIT = 200
_TOKEN = re.compile(r"eyJ[\w-]{2,}(\.[\w-]*)*")
_TAG = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one attempt: any status, the whole body."""

    status: int
    body: bytes
    retry_after: float | None = None
    """Seconds, where the engine asks for a pause."""


class Cause(StrEnum):
    """Whose fault a failure is, as far as that decides what follows."""

    TRANSPORT = "transport"
    """No whole answer: refused, reset, cut short, no such host, no TLS."""
    TIMEOUT = "timeout"
    IDENTITY = "identity"
    """No token could be had: nothing was sent."""
    STATUS = "status"
    UNREADABLE = "unreadable"
    """A 2xx that is no JSON, or none of the engine's shapes."""
    DENIED = "denied"
    """A 2xx that says that the work was not done."""
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, for the policy of retries and for people; holds no token."""

    cause: Cause
    text: str
    status: int | None = None
    retry_after: float | None = None
    targets: tuple[str, ...] = ()
    """Those of a batch that failed where others succeeded; empty: all of them."""


def judge(call: Call, reply: Reply) -> Failure | None:
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


def excerpt(data: bytes) -> str:
    """The beginning of a text from outside as it may be shown: a line, without markup, control characters or tokens."""
    text = data[: EXCERPT_LIMIT * 50].decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        text = _TAG.sub(" ", text)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    text = _TOKEN.sub("[token]", text)
    return text if len(text) <= EXCERPT_LIMIT else f"{text[: EXCERPT_LIMIT - 1]}…"

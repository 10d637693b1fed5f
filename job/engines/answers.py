"""Answers: judges whether the work was done. A 2xx is not enough: the engines report most failures with one."""

import json
import re
from base64 import urlsafe_b64decode
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial, reduce
from http.client import responses
from typing import Protocol

from jiter import from_json

from job.engines.calls import Call, EngineName
from job.engines.failures import Cause, Failure
from job.errors import JobError
from job.text.messages import NAMED, Message, colon, message, said, semicolon, template
from job.text.shown import excerpt

ANSWER_LIMIT = 2**20
"""Maximum bytes of one answer. The largest real one, of a batch, has about 100 KiB; parsing this many takes 0.1 s."""
CONNECT_SECONDS = 10.0
"""Time limit for a TCP connection, and for a TLS handshake."""


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes
    retry_after: float | None = None
    """Seconds, if the engine asks for a pause."""


class AnswerError(JobError):
    """No complete answer arrived, or there was no token to ask with. Has the cause; the reason contains no secret."""

    def __init__(self, reason: Message, cause: Cause = Cause.TRANSPORT) -> None:
        super().__init__(str(reason))
        self.reason, self.cause = reason, cause


class Client(Protocol):
    """Asks one engine."""

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        on_sending: Callable[[], None] = lambda: None,
    ) -> Response:
        """The answer to a request, over a connection of its own. Raises `AnswerError`.

        `path` follows the engine's URL, with its query. `on_sending` is called when the connection is open, just
        before the request is sent: what fails before is unsent. If it raises, nothing is sent.
        """


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of an answer: without a failure, all of the work was done."""

    failure: Failure | None = None
    warning: Message | None = None
    with_error: tuple[str, ...] = ()
    """The targets of a batch that the warning is about; empty if it is about all."""


_DONE = Verdict()


def judge(call: Call, response: Response, token: str) -> Verdict:
    """Whether the work of the call was done. `token` holds the tokens that were sent; it is masked in all messages."""
    if not 200 <= response.status <= 299:
        account = account_in(token) if response.status == 403 else None
        reason = status_reason(response, token)
        return Verdict(Failure(Cause.STATUS, reason, response.status, response.retry_after, account=account))
    try:
        answer = parse_answer(response.body)
    except ValueError:
        shown = excerpt(response.body, token)
        reason = (
            message("the answer cannot be read: {answer}", answer=shown) if shown else message("the answer is empty")
        )
    else:  # they answer `null` if they failed without a word
        return _denied(answer, token) if answer is None else _JUDGES[call.engine](call, answer, token)
    return Verdict(Failure(Cause.UNREADABLE, reason, response.status))


def parse_answer(body: bytes) -> object:
    """The JSON value of an answer. Raises `ValueError` if it is not JSON, or has a key twice in one object."""
    return from_json(body.removeprefix(BOM_UTF8), catch_duplicate_keys=True)


def status_reason(response: Response, token: str) -> Message:
    status = f"HTTP {response.status}"
    shown = _own_words(response.body, token)
    if response.body.lstrip().startswith(b"<"):  # a page says its status in its heading
        shown = shown.removeprefix(f"{response.status} ")
    if not shown or shown == responses.get(response.status):
        return said(status)
    return colon(status, shown)


def _own_words(body: bytes, token: str) -> str:
    """What the engine says in the body of an error: its own words if that is JSON, else its beginning."""
    with suppress(ValueError):
        if words := _words(parse_answer(body)):
            return _said(words, token)
    return excerpt(body, token)


def _words(value: object) -> str | None:
    """The words of an error: the first sentence in what frameworks make of it, else a code or a status in words."""
    found = list(_texts(value))
    sentences = (text for text in found if text not in _PHRASES and not _CODE.fullmatch(text))
    return next(sentences, found[0] if found else None)


_PHRASES = frozenset(responses.values())
_CODE = re.compile(r"[!-~]+")


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value.strip()
    parts = value[:1] if isinstance(value, list) else []
    place = ""
    if isinstance(value, dict):
        parts = [value.get(key) for key in ("detail", "error", "message", "msg")]
        if isinstance(value.get("loc"), list):  # FastAPI says in which field it is
            place = f"{'.'.join(map(str, value['loc']))}: "
    if depth < 3:
        for part in parts:
            yield from (f"{place}{text}" for text in _texts(part, depth + 1))


def account_in(token: str) -> str | None:
    """The e-mail address of the account for which an ID token was made, if the token says it."""
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        claims = token.rpartition(" ")[2].split(".")[1]
        email = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["email"]
        return excerpt(email) or None
    return None


def _financial(_: Call, answer: object, token: str) -> Verdict:
    if _says_failed(answer):
        return _denied(answer, token)
    is_whole = isinstance(answer, dict) and isinstance(answer.get("message"), str)
    return _DONE if is_whole else _misshapen(answer, token, '{"message": "…"}')


def _trading(call: Call, answer: object, token: str) -> Verdict:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(results, dict):
        return _denied(answer, token) if _says_failed(answer) else _misshapen(answer, token, '{"results": {…}}')
    reasons: dict[str, Message] = {}
    errors: dict[str, Message] = {}
    for ticker in call.targets:
        result = results[ticker] if ticker in results else results.get(ticker.upper())
        if result is None:
            reasons[ticker] = message("the answer does not have it")
        elif not isinstance(result, dict) or result.get("status") != "success":
            reasons[ticker] = _reason(result, token)
        elif result.get("error"):
            errors[ticker] = said(_said(result["error"], token))
    verdict = _done(answer, token)
    if errors:
        verdict = Verdict(None, _has_error(_by_ticker(call, errors)), () if verdict.warning else tuple(errors))
    if not reasons:
        return verdict
    failed = tuple(reasons) if len(reasons) < len(call.targets) else ()
    by_target = tuple(reasons.items()) if len(reasons) > 1 else ()
    failure = Failure(Cause.DENIED, _by_ticker(call, reasons), 200, targets=failed, by_target=by_target)
    return replace(verdict, failure=failure)


def _by_ticker(call: Call, reasons: Mapping[str, Message]) -> Message:
    """The reason for each ticker, at most for the first ten; for the only one of a call, without its name."""
    if len(call.targets) == 1:
        return reasons[call.targets[0]]
    shown = [colon(ticker, why) for ticker, why in list(reasons.items())[:NAMED]]
    if len(reasons) > NAMED:
        shown.append(message("and {count} more", count=len(reasons) - NAMED))
    return reduce(semicolon, shown)


def _by_status(done: Sequence[str], _: Call, answer: object, token: str) -> Verdict:
    if not isinstance(answer, dict) or not ("status" in answer or "error" in answer):
        return _misshapen(answer, token, '{"status": "success"}')
    return _done(answer, token) if answer.get("status") in done else _denied(answer, token)


_JUDGES: Mapping[EngineName, Callable[[Call, object, str], Verdict]] = {
    "financial": _financial,
    "trading": _trading,
    "news": partial(_by_status, ["success", "skipped"]),
    "qa": partial(_by_status, ["success"]),
}


def _says_failed(answer: object) -> bool:
    return isinstance(answer, dict) and (
        answer.get("error") is not None or answer.get("status", "success") != "success"
    )


def _done(answer: dict[str, object], token: str) -> Verdict:
    """The work is done, even if the answer also has an error: the engines' own code defines it so."""
    error = answer.get("error")
    return Verdict(None, _has_error(_said(error, token))) if error else _DONE


def _has_error(error: Message | str) -> Message:
    return message("the answer says success, but has an error: {error}", error=error)


def _denied(answer: object, token: str) -> Verdict:
    return Verdict(Failure(Cause.DENIED, _reason(answer, token), 200))


def _misshapen(answer: object, token: str, expected: str) -> Verdict:
    text = template("unexpected answer: {answer}; expected was {expected}")
    reason = message(text, answer=_shown(answer, token), expected=expected)
    return Verdict(Failure(Cause.UNREADABLE, reason, 200))


def _reason(result: object, token: str) -> Message:
    """The engine's own error message if the answer has one, else the answer itself."""
    if isinstance(result, dict) and (words := _words(result)):
        text = _said(words, token)
        return said(text) if result.get("status") is None else colon(_said(result["status"], token), text)
    return message("the engine answered {answer}", answer=_shown(result, token))


def _said(value: object, token: str) -> str:
    return excerpt(value, token) if isinstance(value, str) else _shown(value, token)


def _shown(value: object, token: str) -> str:
    return excerpt(json.dumps(value, ensure_ascii=False), token)

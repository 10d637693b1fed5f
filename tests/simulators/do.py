"""What a service answers instead, and when: each returns what a `Fault` does in place of the service's answer."""

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from tests.simulators.service import Do, Visit
from tests.simulators.wire import Reply

_FRONT_END = "<html><head><title>{0}</title></head><body><h1>Error: {0}</h1><p>simulated front end</p></body></html>\n"


def _answering(change: Callable[[Reply], Reply]) -> Do:
    """Does the work, then sends what is made of its answer."""

    async def act(visit: Visit) -> None:
        await visit.exchange.send(change(await visit.work()))

    return act


def nothing() -> Do:
    """No fault: put before another fault, it makes an exception to it."""
    return _answering(lambda reply: reply)


def _refusal(code: int, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """An answer of the front end, in HTML."""
    return Reply(code, _FRONT_END.format(code).encode(), "text/html; charset=UTF-8", headers)


def status(code: int, body: object = None, *, retry_after: str | None = None, after: float = 0.0) -> Do:
    """Answers with this status without any work, this much later: in HTML as the front end does, or this JSON."""
    headers = () if retry_after is None else (("retry-after", retry_after),)
    reply = _refusal(code, headers) if body is None else Reply(code, json.dumps(body).encode(), headers=headers)

    async def act(visit: Visit) -> None:
        await visit.exchange.wait(after)
        await visit.exchange.send(reply)

    return act


def late_status(code: int) -> Do:
    """Does the work, then answers with this status in HTML: a 504 whose container worked on, a crash at the end."""
    return _answering(lambda _: _refusal(code))


def body(value: object) -> Do:
    """Does the work, then answers 200 with this JSON: `None` is the news engine's swallowed exception."""
    return raw_body(json.dumps(value, ensure_ascii=False).encode())


def raw_body(data: bytes, content_type: str = "application/json") -> Do:
    """Does the work, then answers 200 with these bytes: `b""` is the empty answer."""
    return _answering(lambda _: Reply(200, data, content_type))


def edited(edit: Callable[[Any], object]) -> Do:
    """Does the work, then answers with what `edit` makes of the JSON that would have been the answer."""
    return _answering(lambda reply: replace(reply, body=json.dumps(edit(json.loads(reply.body))).encode()))


def damaged() -> Do:
    """Does the work, then sends its answer with the first byte of the body changed on the way."""
    return _answering(lambda reply: replace(reply, body=bytes([reply.body[0] ^ 1]) + reply.body[1:]))


def meanwhile(action: Callable[[], Awaitable[object]]) -> Do:
    """Somebody does this between the arrival of the request and the work, which is then done as usual."""

    async def act(visit: Visit) -> None:
        await action()
        await visit.exchange.send(await visit.work())

    return act


def failing(*tickers: str) -> Do:
    """Trading's `results` say of these tickers that they failed."""
    failed = {"status": "failed", "message": "no price history"}
    return edited(
        lambda answer: answer | {"results": {k: failed if k in tickers else v for k, v in answer["results"].items()}}
    )


def hang() -> Do:
    """Never answers; ends when the client hangs up."""

    async def act(visit: Visit) -> None:
        await visit.exchange.wait(math.inf)

    return act


def redirect(url: str, code: int = 302) -> Do:
    """Sends the client elsewhere: to another simulator, which would see a token that is not meant for it."""

    async def act(visit: Visit) -> None:
        await visit.exchange.send(Reply(code, b"", "text/html", (("location", url),)))

    return act


def in_turn(*steps: Do) -> Do:
    """The first request that matches meets the first of these, and so on; the last one is for all that follow."""
    met = 0

    async def act(visit: Visit) -> None:
        nonlocal met
        step = steps[min(met, len(steps) - 1)]
        met += 1
        await step(visit)

    return act

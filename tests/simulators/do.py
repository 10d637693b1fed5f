"""What goes wrong: each returns what a `Fault` does in place of the service's answer."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from .wire import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

    from .service import Do, Visit

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_FRONT_END = "<html><head><title>{0}</title></head><body><h1>Error: {0}</h1><p>simulated front end</p></body></html>\n"


def nothing() -> Do:
    """All is well for once: put before a fault it makes an exception to it."""

    async def act(visit: Visit) -> None:
        await visit.exchange.send(await visit.work())

    return act


def status(code: int, body: object = None, *, retry_after: str | None = None, after: float = 0.0) -> Do:
    """Answers with this status without any work: in HTML as the front end does, or with this body as JSON."""

    async def act(visit: Visit) -> None:
        await visit.exchange.wait(after)
        headers = () if retry_after is None else (("retry-after", retry_after),)
        if body is None:
            await visit.exchange.send(
                Reply(code, _FRONT_END.format(code).encode(), "text/html; charset=UTF-8", headers)
            )
        else:
            await visit.exchange.send(Reply(code, json.dumps(body).encode(), headers=headers))

    return act


def late_status(code: int) -> Do:
    """Does the work, then answers with this status in HTML: a 504 whose container worked on, a crash at the end."""

    async def act(visit: Visit) -> None:
        await visit.work()
        await status(code)(visit)

    return act


def body(value: object) -> Do:
    """Does the work, then answers 200 with this JSON: `None` is the news engine's swallowed exception."""
    return raw_body(json.dumps(value, ensure_ascii=False).encode(), "application/json")


def raw_body(data: bytes, content_type: str = "application/json") -> Do:
    """Does the work, then answers 200 with these bytes: `b""` is the empty answer."""

    async def act(visit: Visit) -> None:
        await visit.work()
        await visit.exchange.send(Reply(200, data, content_type))

    return act


def html() -> Do:
    """Does the work, then answers 200 with a page of HTML."""
    return raw_body(_FRONT_END.format(200).encode(), "text/html; charset=UTF-8")


def edited(edit: Callable[[Any], object]) -> Do:
    """Does the work, then answers with what `edit` makes of the JSON that would have been the answer."""

    async def act(visit: Visit) -> None:
        reply = await visit.work()
        changed = json.dumps(edit(json.loads(reply.body))).encode()
        await visit.exchange.send(Reply(reply.status, changed, reply.content_type, reply.headers))

    return act


def lacking(*tickers: str) -> Do:
    """Trading's `results` lack these tickers."""
    return edited(lambda answer: answer | {"results": {k: v for k, v in answer["results"].items() if k not in tickers}})


def failing(*tickers: str, message: str = "no price history") -> Do:
    """Trading's `results` say of these tickers that they failed."""
    failed = {"status": "failed", "message": message}
    return edited(
        lambda answer: answer | {"results": {k: failed if k in tickers else v for k, v in answer["results"].items()}}
    )


def skipped() -> Do:
    """News has nothing to do today, which is no failure."""
    return body({"status": "skipped", "message": "No articles found for the day"})


def reset(after: float = 0.0) -> Do:
    """The connection is reset, at once or this much later: the service has done nothing."""

    async def act(visit: Visit) -> None:
        await visit.exchange.wait(after)
        visit.exchange.reset()

    return act


def reset_after_work() -> Do:
    """The connection is reset when the work is done, before a byte of the answer."""

    async def act(visit: Visit) -> None:
        await visit.work()
        visit.exchange.reset()

    return act


def reset_in_body() -> Do:
    """The connection is reset in the middle of the answer's body."""

    async def act(visit: Visit) -> None:
        await _send_half(visit)
        await visit.exchange.wait(0.02)  # or the client's kernel drops what it has not yet read
        visit.exchange.reset()

    return act


def truncated() -> Do:
    """The connection is closed in the middle of the answer's body: the content-length promised more."""
    return _send_half


async def _send_half(visit: Visit) -> None:
    reply = await visit.work()
    head = _HEAD + b"content-length: %d\r\n\r\n" % len(reply.body)
    await visit.exchange.send_raw(head + reply.body[: len(reply.body) // 2])


def slow(seconds: float) -> Do:
    """Answers well, but this much later than usual."""

    async def act(visit: Visit) -> None:
        await visit.exchange.wait(seconds)
        await visit.exchange.send(await visit.work())

    return act


def cold_start(seconds: float) -> Do:
    """Requests wait until this long after the service's first one, then are answered as usual."""

    async def act(visit: Visit) -> None:
        await visit.exchange.wait(seconds - visit.seen.elapsed)
        await visit.exchange.send(await visit.work())

    return act


def held(event: trio.Event) -> Do:
    """Answers well once the test sets the event."""

    async def act(visit: Visit) -> None:
        await visit.exchange.wait_for(event)
        await visit.exchange.send(await visit.work())

    return act


def hang() -> Do:
    """Never answers; ends when the client hangs up."""

    async def act(visit: Visit) -> None:
        await visit.exchange.wait(math.inf)

    return act


def trickle(pause: float) -> Do:
    """Does the work, then sends a true answer byte by byte with this pause before each."""

    async def act(visit: Visit) -> None:
        reply = await visit.work()
        await visit.exchange.send_raw(_HEAD + b"content-length: %d\r\n\r\n" % len(reply.body))
        for position in range(len(reply.body)):
            await visit.exchange.wait(pause)
            await visit.exchange.send_raw(reply.body[position : position + 1])

    return act


def huge(size: int = 100_000_000) -> Do:
    """Does the work, then sends a well-formed success of this many bytes."""

    async def act(visit: Visit) -> None:
        await visit.work()
        begin, end = b'{"status": "success", "message": "', b'"}'
        await visit.exchange.send_raw(_HEAD + b"content-length: %d\r\n\r\n" % size + begin)
        missing = size - len(begin) - len(end)
        while missing > 0:
            piece = min(missing, 1 << 20)
            await visit.exchange.send_raw(b"x" * piece)
            missing -= piece
        await visit.exchange.send_raw(end)

    return act


def endless_body(pause: float = 0.0) -> Do:
    """Does the work, then sends chunks of a body that never ends, with this pause before each."""

    async def act(visit: Visit) -> None:
        await visit.work()
        await visit.exchange.send_raw(_HEAD + b"transfer-encoding: chunked\r\n\r\n")
        while True:
            await visit.exchange.wait(pause)
            await visit.exchange.send_raw(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    return act


def endless_header(pause: float = 0.0) -> Do:
    """Does the work, then sends a header that never ends, with this pause before each piece."""

    async def act(visit: Visit) -> None:
        await visit.work()
        await visit.exchange.send_raw(_HEAD + b"x-trace: ")
        while True:
            await visit.exchange.wait(pause)
            await visit.exchange.send_raw(b"a" * (64 if pause else 4096))

    return act


def redirect(url: str, code: int = 302) -> Do:
    """Sends the client elsewhere: to another simulator, which would see a token that is not meant for it."""

    async def act(visit: Visit) -> None:
        await visit.exchange.send(Reply(code, b"", "text/html", (("location", url),)))

    return act


def echo_token(code: int = 500) -> Do:
    """Fails with the bearer token in the body of the error, as careless services do."""

    async def act(visit: Visit) -> None:
        detail = f"request failed, headers: {visit.seen.headers}"
        await visit.exchange.send(Reply(code, json.dumps({"detail": detail}).encode()))

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

"""What goes wrong on the wire itself: each returns what a `Fault` does in place of the service's answer."""

from contextlib import suppress

import trio

from tests.simulators.do import raw_body
from tests.simulators.service import Do, Visit
from tests.simulators.wire import ClientGoneError

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def reset() -> Do:
    """The connection is reset at once: the service has done nothing."""

    async def act(visit: Visit) -> None:
        await trio.lowlevel.checkpoint()
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
    body = (await visit.work()).body
    await visit.exchange.send_raw(answer(body)[: -len(body) // 2])


def answer(body: bytes) -> bytes:
    """A whole answer of 200, as the bytes that are sent."""
    return _HEAD + b"content-length: %d\r\n\r\n" % len(body) + body


def surplus(data: bytes, after: float | None = None) -> Do:
    """A true answer with more bytes behind it, in one segment or this much later; the connection stays open."""

    async def act(visit: Visit) -> None:
        await visit.exchange.send(await visit.work(), data if after is None else b"")
        if after is not None:
            with suppress(ClientGoneError):  # it has its answer
                await visit.exchange.wait(after)
                await visit.exchange.write(data)

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


def huge(size: int) -> Do:
    """Does the work, then sends a well-formed success of this many bytes."""
    return raw_body(b'{"status": "success", "message": "'.ljust(size - 2, b"x") + b'"}')


def _endless(head: bytes, piece: bytes) -> Do:
    async def act(visit: Visit) -> None:
        await visit.work()
        await visit.exchange.send_raw(head)
        while True:
            await visit.exchange.send_raw(piece)

    return act


def endless_body() -> Do:
    """Does the work, then sends chunks of a body that never ends."""
    return _endless(_HEAD + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n%b\r\n" % (b" " * 0x10000))


def endless_header() -> Do:
    """Does the work, then sends a header that never ends."""
    return _endless(_HEAD + b"x-trace: ", b"a" * 4096)

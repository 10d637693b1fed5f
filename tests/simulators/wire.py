"""One HTTP/1.1 connection of a client, over any trio stream; h11 keeps the protocol's state.

Nothing here knows what is asked or answered. Waiting and watching the client are one and the same act: whoever lets
time pass does it through `Exchange.wait`, which reads meanwhile, so a client that hangs up is noticed at once.
"""

import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

import h11
import trio

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_LINGER_ZERO = struct.pack("ii", 1, 0)
_READ = 65536


class ClientGoneError(Exception):
    """The client closed or reset its connection before it had its answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it goes over the wire."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Traffic:
    """What a server counts about its connections and the requests in them."""

    connections: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0


@dataclass(slots=True)
class Exchange:
    """One request, wholly read, whose answer is still owed."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    _stream: trio.abc.Stream
    _protocol: h11.Connection
    status: int | None = field(default=None, init=False)
    """The status that was sent, if any."""

    async def send(self, reply: Reply, surplus: bytes = b"") -> None:
        """Sends a whole, well-formed answer; the connection can be used again. `surplus` leaves with its last byte."""
        headers = [("content-type", reply.content_type), ("content-length", str(len(reply.body))), *reply.headers]
        head = h11.Response(status_code=reply.status, reason=_REASONS.get(reply.status, b""), headers=headers)
        parts = (head, h11.Data(data=reply.body), h11.EndOfMessage())
        self.status = reply.status
        await self.write(b"".join(self._protocol.send(part) or b"" for part in parts) + surplus)

    async def send_raw(self, data: bytes) -> None:
        """Sends bytes as they are; the connection is closed once its handler returns."""
        self._protocol.send_failed()
        await self.write(data)

    async def write(self, data: bytes) -> None:
        """Sends bytes as they are: behind a whole answer, nobody asked for them; the connection can be used again."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ClientGoneError from None

    async def wait(self, seconds: float) -> None:
        """Lets time pass; raises ClientGoneError as soon as the client hangs up."""
        if seconds > 0:
            with trio.move_on_after(seconds):
                await self._watch()

    async def _watch(self) -> None:
        while True:
            try:
                data = await self._stream.receive_some(_READ)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise ClientGoneError from None
            if not data:
                raise ClientGoneError
            self._protocol.receive_data(bytes(data))  # the next request came early: kept

    def reset(self) -> None:
        """Has the kernel answer with RST instead of FIN; the connection is closed once its handler returns.

        In memory there is no kernel: it is closed, no more.
        """
        self._protocol.send_failed()
        transport = self._stream
        while isinstance(transport, trio.SSLStream):
            transport = transport.transport_stream
        if isinstance(transport, trio.SocketStream):
            transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)


Handler = Callable[[Exchange], Awaitable[None]]


async def serve_connection(stream: trio.abc.Stream, handle: Handler, traffic: Traffic) -> None:
    """Answers one client until it hangs up, or until what was sent leaves nothing but to close; closes the stream."""
    traffic.connections += 1
    number = traffic.connections
    protocol = h11.Connection(h11.SERVER)
    try:
        while exchange := await _next_exchange(stream, protocol, number):
            traffic.in_flight += 1
            traffic.peak_in_flight = max(traffic.peak_in_flight, traffic.in_flight)
            try:
                await handle(exchange)
            finally:
                traffic.in_flight -= 1
            if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
                break
            protocol.start_next_cycle()
    except (ClientGoneError, h11.RemoteProtocolError):
        pass
    finally:
        await trio.aclose_forcefully(stream)


async def _next_exchange(stream: trio.abc.Stream, protocol: h11.Connection, number: int) -> Exchange | None:
    head: h11.Request | None = None
    body: list[bytes] = []
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            try:
                protocol.receive_data(bytes(await stream.receive_some(_READ)))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = _headers(head.headers)
            target = head.target.decode("ascii")
            return Exchange(number, head.method.decode(), target, headers, b"".join(body), stream, protocol)
        else:
            return None


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}

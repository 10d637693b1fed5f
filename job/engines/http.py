"""HTTP: a worker's own connection to an engine, over httpx, and why there is no whole answer, in words for people.

Each worker has a transport of its own, for one connection. With one that all share, httpx looks at every connection at
every request. A client would add redirects, cookies and proxies, and a third of the CPU time of a call.
"""

import errno
import socket
import ssl
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import trio

from job.engines.answers import ANSWER_LIMIT, CONNECT_SECONDS, AnswerError, Response
from job.engines.failures import Cause
from job.text.messages import Message, at_host, message, said
from job.text.shown import excerpt


def transport_error(error: Exception, url: str) -> AnswerError:
    """The error for a request to a URL that httpx could not make, or whose answer is not whole. It quotes no header."""
    causes = _causes(error)
    system = [cause for cause in causes if isinstance(cause, OSError) and cause.errno is not None]
    full = [cause for cause in system if cause.errno in (errno.EMFILE, errno.ENFILE)]
    # A host may have several addresses, some of a family that this machine does not have. That alone is not a limit.
    if full or (system and all(cause.errno == errno.EADDRNOTAVAIL for cause in system)):
        why = (full or system)[0].strerror or ""
        return AnswerError(message("this process can open no connection: {error}", error=why), Cause.PROCESS_LIMIT)
    for unknown in (cause for cause in causes if isinstance(cause, socket.gaierror)):
        what = message("the host is not known ({error})", error=unknown.strerror or str(unknown))
        return AnswerError(at_host(what, url), Cause.HOST_UNKNOWN)
    return AnswerError(at_host(_reason(error, causes), url))


def _reason(error: Exception, causes: Sequence[BaseException]) -> Message:
    """What happened, from the first known cause in the chain: httpx's own message is often empty."""
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return said(f"TLS: {getattr(cause, 'verify_message', None) or cause.reason or cause}")
    for kind, reason in _REASONS.items():
        if any(isinstance(cause, kind) for cause in causes):
            return reason
    return said(excerpt(f"{type(error).__name__}: {error}"))


_UNFIT = message("the request cannot be sent as it is")

_RESET = message("connection reset")
_REASONS: Mapping[type[Exception], Message] = {
    ConnectionRefusedError: message("connection refused"),
    ConnectionResetError: _RESET,
    BrokenPipeError: _RESET,
    # The messages of these two quote the headers, which include the token.
    httpx.LocalProtocolError: _UNFIT,
    UnicodeError: _UNFIT,
    httpx.ConnectTimeout: message("no connection within {seconds} s", seconds=CONNECT_SECONDS),
    httpx.RemoteProtocolError: message("the connection ended before the answer did, or the answer is not HTTP"),
    httpx.ReadError: _RESET,
    httpx.WriteError: _RESET,
}


def _causes(error: BaseException) -> Sequence[BaseException]:
    """The error, its causes and its contexts, breadth first. httpx sets many causes only as the context."""
    causes: list[BaseException] = [error]
    for cause in causes:
        members = cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
        causes += [c for c in (cause.__cause__, cause.__context__, *members) if c is not None and c not in causes]
    return causes


LOOK_UPS_AT_A_TIME = 64
"""Each takes a thread, which stays at work after its call was given up if the resolver does not answer."""


class Resolver(trio.abc.HostnameResolver):
    """The system's resolver, with threads of its own: no other work waits for these."""

    def __init__(self) -> None:
        self._threads = trio.CapacityLimiter(LOOK_UPS_AT_A_TIME)

    async def getaddrinfo(self, host: bytes | None, *about: Any) -> Any:
        look_up, threads = partial(socket.getaddrinfo, host, *about), self._threads
        return await trio.to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=threads)

    async def getnameinfo(self, address: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError  # nobody asks for a name


NOT_CONNECTED = {"connection.connect_tcp.failed", "connection.start_tls.failed"}
"""What httpx reports if a connection could not be opened, also because it was cut off. Without it, a request counts as
sent: the names of what it reports may change.
"""
OPENED_AT_A_TIME = 64
"""A TLS handshake takes 1.4 ms of CPU time: thousands at once would delay all else, such as renewing the lease."""
IDLE_SECONDS = 5.0
"""A connection that was idle for longer is replaced, since the engine may be about to close it."""


class Network:
    """What all connections of a run share. A TLS context per connection would cost 6.5 ms and 0.8 MB each."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.tls = tls
        self.opening = trio.Semaphore(OPENED_AT_A_TIME)


class HttpConnection:
    """A `Connection` over HTTP/1.1, opened when it is needed and used for one request at a time.

    It is closed after anything but one complete answer; if not `kept`, after every answer, so that a late second answer
    is not read as the answer to the next request. It follows no redirect, uses no proxy, cookies or credentials of the
    machine, repeats nothing, and sets no time limit for an answer: its caller does.
    """

    def __init__(self, network: Network, url: str, *, kept: bool = True) -> None:
        """`url` is the engine's: every request goes to its host, whatever the path of the request."""
        parts = urlsplit(url)
        self._network = network
        self._origin = httpx.URL(f"{parts.scheme}://{parts.netloc}")
        self._host = parts.netloc.encode("ascii")
        self._base = parts.path
        self._limits = httpx.Limits(
            max_connections=1, max_keepalive_connections=int(kept), keepalive_expiry=IDLE_SECONDS
        )
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._socket: Any = None
        """What httpx reports as the opened connection, before it speaks TLS."""
        self._is_opening = False
        self.is_unsent = True

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        on_sending: Callable[[], None] = lambda: None,
    ) -> Response:
        transport = self._transport = self._transport or httpx.AsyncHTTPTransport(
            verify=self._network.tls, limits=self._limits
        )

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.started":
                self.is_unsent = True
                await self._network.opening.acquire()
                self.is_unsent = False
                self._is_opening = True
            elif event == "connection.connect_tcp.complete":
                self._socket = info["return_value"]
            elif event in NOT_CONNECTED:
                self.is_unsent = True
            elif event == "http11.send_request_headers.started":
                self._opened()
                self.is_unsent = True
                on_sending()
                self.is_unsent = False

        self.is_unsent, is_complete = True, False
        try:
            request = self._request(method, path, headers, body, trace)
            self.is_unsent = False
            response = await transport.handle_async_request(request)
            content = await _content(response)
            is_complete = True
            wait = response.headers.get("Retry-After", "")  # the form with a date is ignored
            return Response(response.status_code, content, float(wait) if wait.isdecimal() else None)
        except (httpx.TransportError, UnicodeError) as error:
            self.is_unsent |= isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise transport_error(error, str(self._origin)) from error
        finally:
            self._opened()
            if not is_complete:
                await self.aclose()

    def _opened(self) -> None:
        if self._is_opening:
            self._is_opening = False
            self._network.opening.release()

    def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, trace: object
    ) -> httpx.Request:
        content = body or b""
        fields = [(b"Host", self._host), (b"Content-Length", str(len(content)).encode())]
        fields += [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        # A URL with this path would take httpx 19 µs to parse.
        target = f"{self._base}{path}".encode("ascii")
        more = {"target": target, "timeout": {"connect": CONNECT_SECONDS}, "trace": trace}
        return httpx.Request(method, self._origin, headers=fields, stream=httpx.ByteStream(content), extensions=more)

    async def aclose(self) -> None:
        transport, self._transport = self._transport, None
        opened, self._socket = self._socket, None
        if transport is not None:
            await transport.aclose()
        if opened is not None:  # httpx forgets one whose TLS handshake was cancelled
            await opened.aclose()


async def _content(response: httpx.Response) -> bytes:
    if not isinstance(response.stream, AsyncIterable):
        raise TypeError
    content = bytearray()
    try:
        async for piece in response.stream:
            content += piece
            if len(content) > ANSWER_LIMIT:
                # The next read fails then. `break` would leave the library's generators to the garbage collector.
                await response.aclose()
    except httpx.ReadError:
        if len(content) <= ANSWER_LIMIT:
            raise
    await response.aclose()
    if len(content) > ANSWER_LIMIT:
        reason = message("the answer is larger than {limit} MiB", limit=ANSWER_LIMIT >> 20)
        raise AnswerError(reason, Cause.TOO_LARGE)
    return bytes(content)

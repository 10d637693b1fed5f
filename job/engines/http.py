"""HTTP: requests to an engine, each over its own connection, and why there is no whole answer, in words for people.

They are sent over httpcore, on which httpx is built: a connection is opened before it is used, so that what failed
before is known to be unsent. httpx would add redirects, cookies and proxies, and a third of the CPU time of a call.
"""

import errno
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpcore
import trio

from job.engines.answers import ANSWER_LIMIT, CONNECT_SECONDS, AnswerError, Response
from job.engines.failures import Cause
from job.text.messages import Message, at_host, message, said
from job.text.shown import excerpt


def transport_error(error: Exception, url: str) -> AnswerError:
    """The error for a request to a URL that could not be made, or whose answer is not whole. It quotes no header."""
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
    """What happened, from the first known cause in the chain: the library's own is often empty."""
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
    httpcore.LocalProtocolError: _UNFIT,
    UnicodeError: _UNFIT,
    httpcore.ConnectTimeout: message("no connection within {seconds} s", seconds=CONNECT_SECONDS),
    httpcore.RemoteProtocolError: message("the connection ended before the answer did, or the answer is not HTTP"),
    httpcore.ReadError: _RESET,
    httpcore.WriteError: _RESET,
}


def _causes(error: BaseException) -> Sequence[BaseException]:
    """The error, its causes and its contexts, breadth first. Many are set as the context alone."""
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


OPENED_AT_A_TIME = 64
"""A TLS handshake takes 1.4 ms of CPU time: thousands at once would delay all else, such as renewing the lease."""
_FAILURES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, UnicodeError)


class Network:
    """What all requests of a run share. A TLS context for each would cost 6.5 ms and 0.8 MB."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.tls = tls
        self.tls.set_alpn_protocols(["http/1.1"])
        self.opening = trio.Semaphore(OPENED_AT_A_TIME)
        self.backend = httpcore.TrioBackend()


class HttpClient:
    """A `Client` over HTTP/1.1, whose every request has a connection of its own.

    Nothing but the first answer on a connection is read, so whatever a proxy sends after it is the answer to no other
    request. It follows no redirect, uses no proxy, cookies or credentials of the machine, repeats nothing, and sets no
    time limit for an answer: its caller does.
    """

    def __init__(self, network: Network, url: str) -> None:
        """`url` is the engine's: every request goes to its host, whatever the path of the request."""
        parts = urlsplit(url)
        self._network = network
        self._url = url
        self._host = parts.hostname or ""
        self._netloc = parts.netloc.encode("ascii")
        self._base = parts.path
        self._is_secure = parts.scheme == "https"
        self._origin = httpcore.Origin(
            parts.scheme.encode("ascii"), self._host.encode("ascii"), parts.port or (443 if self._is_secure else 80)
        )

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        on_sending: Callable[[], None] = lambda: None,
    ) -> Response:
        try:
            request = self._request(method, path, headers, body or b"")
            async with self._network.opening:
                stream = await self._open()
            try:
                on_sending()
                return await _answer(httpcore.AsyncHTTP11Connection(self._origin, stream), request)
            finally:
                await stream.aclose()
        except _FAILURES as error:
            raise transport_error(error, self._url) from error

    async def _open(self) -> httpcore.AsyncNetworkStream:
        stream = await self._network.backend.connect_tcp(self._host, self._origin.port, CONNECT_SECONDS)
        if not self._is_secure:
            return stream
        try:
            return await stream.start_tls(self._network.tls, self._host, CONNECT_SECONDS)
        except BaseException:  # the library forgets one whose handshake was cancelled
            await stream.aclose()
            raise

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> httpcore.Request:
        fields = [(b"Host", self._netloc), (b"Content-Length", str(len(body)).encode())]
        fields += [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        origin, target = self._origin, f"{self._base}{path}".encode("ascii")
        # A text would be parsed, and the path in it altered.
        url = httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=target)
        return httpcore.Request(method, url, headers=fields, content=body)


async def _answer(connection: httpcore.AsyncHTTP11Connection, request: httpcore.Request) -> Response:
    response = await connection.handle_async_request(request)
    content = await _content(response)
    # The form with a date is ignored.
    wait = next((value for name, value in response.headers if name.lower() == b"retry-after"), b"")
    return Response(response.status, content, float(wait) if wait.isdigit() else None)


async def _content(response: httpcore.Response) -> bytes:
    content = bytearray()
    try:
        async for piece in response.aiter_stream():
            content += piece
            if len(content) > ANSWER_LIMIT:
                # The next read fails then. `break` would leave the library's generators to the garbage collector.
                await response.aclose()
    except httpcore.ReadError:
        if len(content) <= ANSWER_LIMIT:
            raise
    if len(content) > ANSWER_LIMIT:
        reason = message("the answer is larger than {limit} MiB", limit=ANSWER_LIMIT >> 20)
        raise AnswerError(reason, Cause.TOO_LARGE)
    return bytes(content)

"""HTTP connection: a worker's own connection to an engine. The only user of httpcore.

It does not use httpcore's pool, which scans all connections at every request, and loses slots to requests that were
cancelled while connecting. Instead each worker owns one connection, which saves a third of the CPU time of each call.
A pool also connects and sends in one step, so a run could not stop in between.
"""

import errno
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import certifi
import httpcore
import trio

from job.engines.hosts import Hosts
from job.engines.transport import (
    ANSWER_LIMIT,
    HOST_UNKNOWN,
    AnswerTooLargeError,
    ProcessLimitError,
    Response,
    TransportError,
)
from job.text.masking import excerpt
from job.text.messages import Message, message

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 5.0
"""A connection that was idle for longer is replaced, since the engine may be about to close it."""


def tls_context() -> ssl.SSLContext:
    """The TLS context that all connections of a run share. One per connection would cost 6.5 ms and 0.8 MB each.

    It trusts the authorities in the file that SSL_CERT_FILE names, or else those of certifi.
    """
    tls = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
    tls.set_alpn_protocols(["http/1.1"])
    return tls


@dataclass(frozen=True)
class Network:
    """What all connections of a run share."""

    tls: ssl.SSLContext = field(default_factory=tls_context)

    def __post_init__(self) -> None:
        trio.socket.set_custom_hostname_resolver(Hosts())


class HttpConnection:
    """One HTTP/1.1 connection, kept alive and used for one request at a time.

    It is closed after anything but one complete answer, and can be opened again. If not `kept`, it is closed after
    every answer, so that a late second answer is not read as the answer to the next request. It follows no redirect,
    uses no proxy or credentials of the machine, repeats nothing, and sets no time limit for an answer: its caller does.
    """

    def __init__(self, network: Network, *, kept: bool = True) -> None:
        self._network = network
        self._kept = kept
        self._origin: Origin | None = None
        self._http: httpcore.AsyncHTTP11Connection | None = None

    async def open(self, url: str) -> None:
        """Opens the connection, or replaces it. All URLs must have the same origin. Raises `TransportError`."""
        await self.aclose()
        try:
            origin = self._origin = self._origin or Origin.of(url)
            stream = await self._stream(origin)
        except (*_FOREIGN, UnicodeError, OSError) as error:
            raise _failure(error) from error
        self._http = httpcore.AsyncHTTP11Connection(origin.core, stream, keepalive_expiry=IDLE_SECONDS)

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """The answer to one request over the open connection. Raises `TransportError`."""
        origin, http = self._origin, self._http
        if origin is None or http is None:
            raise AssertionError("the connection is not open")
        reusable = False
        try:
            if not self._kept:
                headers = {**headers, "Connection": "close"}
            response = await http.handle_async_request(origin.request(method, url, headers, body))
            content = await _content(response)
            reusable = not _has_surplus(http, response)
            return Response(response.status, content, _retry_after(response.headers))
        except (*_FOREIGN, UnicodeError, OSError) as error:
            raise _failure(error) from error
        finally:
            if not reusable:
                await self.aclose()

    def is_open(self) -> bool:
        """Whether a request can be sent over it: not if the engine has closed it or has sent unexpected data."""
        return self._http is not None and not (self._http.is_closed() or self._http.has_expired())

    async def aclose(self) -> None:
        """Closes the connection; it can be opened again."""
        http, self._http = self._http, None
        if http is not None:
            await _close_at_once(http)

    async def _stream(self, origin: "Origin") -> httpcore.AsyncNetworkStream:
        host = origin.core.host.decode()
        stream = await httpcore.TrioBackend().connect_tcp(host, origin.core.port, timeout=CONNECT_SECONDS)
        if origin.core.scheme != b"https":
            return stream
        try:
            return await stream.start_tls(self._network.tls, host, CONNECT_SECONDS)
        except BaseException:
            await _close_at_once(stream)  # noqa: ASYNC102  it is shielded there
            raise


async def _close_at_once(opened: httpcore.AsyncHTTP11Connection | httpcore.AsyncNetworkStream) -> None:
    """Closes without waiting: after a cancellation, the run must not wait for the peer to end the TLS session."""
    with trio.CancelScope(shield=True) as scope:
        scope.cancel()
        await opened.aclose()


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a connection: the parts that all its requests share, computed once."""

    text: str
    """The beginning of every URL of this origin."""
    core: httpcore.Origin
    host: bytes

    @classmethod
    def of(cls, url: str) -> "Origin":
        """The origin of a URL."""
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("ascii")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        core = httpcore.Origin(parts.scheme.encode(), host, port)
        return cls(f"{parts.scheme}://{parts.netloc}", core, parts.netloc.encode("ascii"))

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> httpcore.Request:
        """A request for a URL of this origin."""
        if not url.startswith(f"{self.text}/"):
            raise ValueError(f"the connection is to {self.text}")
        target = url[len(self.text) :].encode("ascii")
        fields = [(b"Host", self.host), (b"Content-Length", str(len(body or b"")).encode())]
        fields += [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        core = httpcore.URL(scheme=self.core.scheme, host=self.core.host, port=self.core.port, target=target)
        return httpcore.Request(method, core, headers=fields, content=body)


def _has_surplus(http: httpcore.AsyncHTTP11Connection, response: httpcore.Response) -> bool:
    """Whether more than the answer has been read: the rest would be taken for the beginning of the next answer.

    Data that has not been read yet makes the socket readable, and then `has_expired` is true.
    """
    # httpcore has no public access to the data that it has read and not used.
    rest, _ = http._h11_state.trailing_data  # noqa: SLF001
    return bool(rest) or _has_record(response.extensions["network_stream"].get_extra_info("ssl_object"))


def _has_record(tls: ssl.SSLObject | None) -> bool:
    """Whether the TLS object holds data that has not been read yet: it decrypts one record at a time."""
    if tls is None:
        return False
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        return True
    return True


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
    await response.aclose()
    if len(content) > ANSWER_LIMIT:
        raise AnswerTooLargeError
    return bytes(content)


def _retry_after(headers: Sequence[tuple[bytes, bytes]]) -> float | None:
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit():  # the form with a date is ignored
            return float(value)
    return None


_FOREIGN = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


def _failure(error: Exception) -> TransportError:
    causes = _causes(error)
    system = [cause for cause in causes if isinstance(cause, OSError) and cause.errno is not None]
    for cause in system:
        if cause.errno in (errno.EMFILE, errno.ENFILE):
            said = cause.strerror or str(cause)
            return ProcessLimitError(message("too many open files in this process: {error}", error=said))
    # A host may have several addresses, some of a family that this machine does not have. That alone is not a limit.
    if system and all(cause.errno == errno.EADDRNOTAVAIL for cause in system):
        said = system[0].strerror or str(system[0])
        return ProcessLimitError(message("no local port is free for another connection: {error}", error=said))
    return TransportError(_reason(error, causes))


def _reason(error: Exception, causes: Sequence[BaseException]) -> Message:
    """What happened, from the first known cause in the chain: httpcore's own message is often empty."""
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return message(HOST_UNKNOWN, error=cause.strerror or str(cause))
        if isinstance(cause, ssl.SSLCertVerificationError):
            return message("TLS: {error}", error=cause.verify_message)
        if isinstance(cause, ssl.SSLError):
            return message("TLS: {error}", error=str(cause.reason or cause))
        if isinstance(cause, ConnectionRefusedError):
            return message("connection refused")
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return message("connection reset")
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    return message("{error}", error=excerpt(f"{type(error).__name__}: {error}".encode(errors="replace")))


_UNFIT = message("the request cannot be sent as it is")


_WORDS: dict[type[Exception], Message] = {
    # The messages of these two quote the headers, which include the token.
    httpcore.LocalProtocolError: _UNFIT,
    UnicodeError: _UNFIT,
    httpcore.ConnectTimeout: message("no connection within {seconds} s", seconds=CONNECT_SECONDS),
    httpcore.RemoteProtocolError: message("the connection ended before the answer did, or the answer is not HTTP"),
    httpcore.ReadError: message("connection reset"),
    httpcore.WriteError: message("connection reset"),
}


def _causes(error: BaseException) -> Sequence[BaseException]:
    """The error, its causes and its contexts, breadth first."""
    found: list[BaseException] = [error]
    for cause in found:
        members = cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
        found += [c for c in (cause.__cause__, cause.__context__, *members) if c is not None and c not in found]
    return found

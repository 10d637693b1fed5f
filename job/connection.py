"""A worker's own connection to an engine. The one module that knows httpx.

There is no pool: httpx's is rescanned at every request and loses slots to requests that were cut off while connecting.
"""

import socket
import ssl
from collections.abc import Mapping, Sequence

import httpx
import trio

from job.answers import Reply, excerpt

ANSWER_LIMIT = 8 * 2**20
"""Bytes of one answer: the largest real one, of a batch, has some 100 KiB."""
CONNECT_SECONDS = 10.0


class TransportError(Exception):
    """No whole answer came back. Says why, in words that name no secret."""


def tls_context() -> ssl.SSLContext:
    """The TLS settings, for all connections of a run to share: each context of its own costs 6.5 ms and 0.8 MB."""
    return httpx.create_ssl_context()


class Connection:
    """One HTTP/1.1 connection: opened at its first use, kept alive, replaced once an exchange on it was not finished.

    Follows no redirect, takes no proxy or credentials from the machine, repeats nothing. Its user bounds the time.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        """The answer to one request. Raises `TransportError`."""
        transport = self._transport
        if transport is None:
            limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
            transport = self._transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=limits)
        whole = False
        try:
            request = httpx.Request(
                method, url, headers=headers, content=body, extensions={"timeout": {"connect": CONNECT_SECONDS}}
            )
            response = await transport.handle_async_request(request)
            reply = Reply(response.status_code, await _content(response), _retry_after(response.headers))
            whole = True
        except (httpx.TransportError, httpx.InvalidURL, UnicodeError, OSError) as error:
            raise TransportError(_words(error)) from error
        finally:
            if not whole:
                await self.aclose()
        return reply

    async def aclose(self) -> None:  # noqa: ASYNC910  closing what was never opened takes no time
        """Closes the connection; the next exchange opens another."""
        transport, self._transport = self._transport, None
        if transport is not None:
            # Closing an idle socket takes no time; one that was cut off must not wait for its peer's farewell.
            with trio.CancelScope(shield=True) as scope:
                scope.cancel()
                await transport.aclose()


async def _content(response: httpx.Response) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size <= ANSWER_LIMIT:
                chunks.append(chunk)
            else:
                # Then the next read fails. To leave the loop would leave httpx's generators to the collector.
                await response.aclose()
    except httpx.ReadError:
        if size <= ANSWER_LIMIT:
            raise
    await response.aclose()
    if size > ANSWER_LIMIT:
        raise TransportError(f"the answer is larger than {ANSWER_LIMIT >> 20} MiB")
    return b"".join(chunks)


def _retry_after(headers: httpx.Headers) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None  # the form with a date is not worth a clock


def _words(error: Exception) -> str:
    """What happened, from the innermost cause that says it: httpx's own message is often empty."""
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return f"the host is not known ({cause.strerror or cause})"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {cause.reason or cause}"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return "connection reset"
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    return excerpt(f"{type(error).__name__}: {error}".encode(errors="replace"))


_UNFIT = "the request cannot be sent as it is"
_WORDS: dict[type[Exception], str] = {
    # Their own words quote the headers, the token among them.
    httpx.LocalProtocolError: _UNFIT,
    UnicodeError: _UNFIT,
    httpx.ConnectTimeout: f"no connection within {CONNECT_SECONDS:.0f} s",
    httpx.RemoteProtocolError: "the connection ended before the answer did, or the answer is no HTTP",
    httpx.ReadError: "connection reset",
    httpx.WriteError: "connection reset",
}


def _causes(error: BaseException) -> Sequence[BaseException]:
    """The error and all that it came from, breadth first."""
    found: list[BaseException] = [error]
    for cause in found:
        members = cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
        found += [c for c in (cause.__cause__, cause.__context__, *members) if c is not None and c not in found]
    return found

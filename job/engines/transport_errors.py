"""Transport errors: why there is no whole answer, in words for people, from what httpx raises."""

import errno
import socket
import ssl
from collections.abc import Sequence

import httpx

from job.engines.failures import Cause
from job.engines.transport import CONNECT_SECONDS, TransportError
from job.text.messages import Message, message, said
from job.text.shown import excerpt


def transport_error(error: Exception) -> TransportError:
    """The error for a request that httpx could not make, or whose answer is not whole. It quotes no header."""
    causes = _causes(error)
    system = [cause for cause in causes if isinstance(cause, OSError) and cause.errno is not None]
    for cause in system:
        if cause.errno in (errno.EMFILE, errno.ENFILE):
            said = cause.strerror or str(cause)
            what = message("too many open files in this process: {error}", error=said)
            return TransportError(what, Cause.PROCESS_LIMIT)
    # A host may have several addresses, some of a family that this machine does not have. That alone is not a limit.
    if system and all(cause.errno == errno.EADDRNOTAVAIL for cause in system):
        said = system[0].strerror or str(system[0])
        what = message("no local port is free for another connection: {error}", error=said)
        return TransportError(what, Cause.PROCESS_LIMIT)
    for unknown in (cause for cause in causes if isinstance(cause, socket.gaierror)):
        what = message("the host is not known ({error})", error=unknown.strerror or str(unknown))
        return TransportError(what, Cause.HOST_UNKNOWN)
    return TransportError(_reason(error, causes))


def _reason(error: Exception, causes: Sequence[BaseException]) -> Message:
    """What happened, from the first known cause in the chain: httpx's own message is often empty."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return said(f"TLS: {cause.verify_message}")
        if isinstance(cause, ssl.SSLError):
            return said(f"TLS: {cause.reason or cause}")
        if isinstance(cause, ConnectionRefusedError):
            return message("connection refused")
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return message("connection reset")
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    return said(excerpt(f"{type(error).__name__}: {error}".encode(errors="replace")))


_UNFIT = message("the request cannot be sent as it is")


_REASONS: dict[type[Exception], Message] = {
    # The messages of these two quote the headers, which include the token.
    httpx.LocalProtocolError: _UNFIT,
    UnicodeError: _UNFIT,
    httpx.ConnectTimeout: message("no connection within {seconds} s", seconds=CONNECT_SECONDS),
    httpx.RemoteProtocolError: message("the connection ended before the answer did, or the answer is not HTTP"),
    httpx.ReadError: message("connection reset"),
    httpx.WriteError: message("connection reset"),
}


def _causes(error: BaseException) -> Sequence[BaseException]:
    """The error, its causes and its contexts, breadth first. httpx leaves many a cause only as the context."""
    found: list[BaseException] = [error]
    for cause in found:
        members = cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
        found += [c for c in (cause.__cause__, cause.__context__, *members) if c is not None and c not in found]
    return found

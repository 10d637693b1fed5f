"""Transport: the interfaces of a connection and of a token provider, and their errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from job.engines.failures import Cause
from job.errors import JobError
from job.text.messages import Message

ANSWER_LIMIT = 2**20
"""Maximum bytes of one answer. The largest real one, of a batch, has about 100 KiB; parsing this many takes 0.1 s."""
CONNECT_SECONDS = 10.0
"""Time limit for a TCP connection, and for a TLS handshake."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to one try: any status, the whole body."""

    status: int
    body: bytes
    retry_after: float | None = None
    """Seconds, if the engine asks for a pause."""


class TransportError(JobError):
    """No complete answer arrived. Has the cause and the reason, which contains no secret."""

    def __init__(self, reason: Message, cause: Cause = Cause.TRANSPORT) -> None:
        super().__init__(str(reason))
        self.reason, self.cause = reason, cause


class TokenError(JobError):
    """No token is available for an audience. Has the reason, which contains no token."""

    def __init__(self, reason: Message) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Connection(Protocol):
    """A connection to one engine, for one request at a time."""

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        on_sending: Callable[[], None] = lambda: None,
    ) -> Response:
        """The answer to a request, over the open connection or a new one. Raises `TransportError`.

        `path` follows the engine's URL, with its query. `on_sending` is called when the connection is open, just
        before the request is sent; if it raises, nothing is sent.
        """
        ...

    async def aclose(self) -> None:
        """Closes the connection at once; the next request opens another one."""
        ...


class TokenProvider(Protocol):
    """ID tokens by audience."""

    def cached(self, audience: str, rejected: str | None = None) -> str | None:
        """A token that needs no request to a token server, if there is one; never `rejected`."""
        ...

    async def get(self, audience: str, rejected: str | None = None) -> str:
        """A token, new if `rejected` is the one that was cached. Raises `TokenError`."""
        ...

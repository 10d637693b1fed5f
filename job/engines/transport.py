"""engines.transport."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Response:
    """What came back for one attempt: any status, the whole body."""

    status: int
    body: bytes
    retry_after: float | None = None
    """Seconds, where the engine asks for a pause."""


class TransportError(Exception):
    """No whole answer came back. Says why, in words that name no secret."""


class TokenError(Exception):
    """No token could be had for an audience. Says why; holds no token."""


class Connection(Protocol):
    """What a worker needs of its connection."""

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Response: ...
    async def aclose(self) -> None: ...


class TokenProvider(Protocol):
    """What a worker needs of the run's identity."""

    def cached(self, audience: str, rejected: str | None = None) -> str | None: ...
    async def get(self, audience: str, rejected: str | None = None) -> str: ...

"""What a simulator remembers of a request."""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

_IN_PATH = re.compile(r"/batch/process_(?:ticker|topic/dynamic|person/dynamic)/(.*)", re.DOTALL)
"""The paths that end with a target."""


@dataclass(slots=True)
class Seen:
    """One request that arrived. Times are of `time.monotonic`, so a test's own can be set beside them."""

    service: str
    number: int
    """1 for the first request that this service ever saw."""
    attempt: int
    """1 if no request of the same method, target and body came before."""
    connection: int
    """1 for the first connection that this service accepted."""
    method: str
    target: str
    """Path and query exactly as sent."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    arrived: float
    answered: float | None = field(default=None, init=False)
    """When the whole answer was handed to the kernel; None until then, or if there was none."""
    ended: float | None = field(default=None, init=False)
    """When the service was done with it, answered or not."""
    status: int | None = field(default=None, init=False)

    @property
    def path(self) -> str:
        """Decoded, as a server's routing sees it: an escaped slash is a slash."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> list[tuple[str, str]]:
        """Query parameters in their order, duplicates and blanks included."""
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def tickers(self) -> list[str]:
        """Every target that the request is about, whichever way it names them; if it names none, the engine."""
        body = self.json
        if isinstance(body, dict) and isinstance(body.get("tickers"), list):
            return [str(ticker) for ticker in body["tickers"]]
        if named := dict(self.query).get("ticker"):
            return [named]
        in_path = _IN_PATH.fullmatch(self.path)
        return [in_path[1] if in_path else self.service]

    @property
    def card(self) -> str | None:
        """The card type that is asked for; None at the other engines."""
        return self.path.removeprefix("/card/") if self.path.startswith("/card/") else None

    @property
    def token(self) -> str | None:
        """The bearer token as sent; None without."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else None

"""ID tokens: handing them out, and checking them as Cloud Run's front end does."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.seen import Seen
from tests.simulators.wire import Reply


def _part(value: bytes | dict[str, Any]) -> str:
    """One of the three parts of a JWT: base64url without padding."""
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Mint:
    """Hands out ID tokens, and knows its own again. They look signed."""

    email: str = "orchestrator@simulated-project.iam.gserviceaccount.com"
    issued: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The claims of each token."""

    def token(self, audience: str, lifetime: float) -> str:
        """A token for this audience, unlike any before; one of negative lifetime has expired already."""
        claims = {"aud": audience, "email": self.email, "exp": int(time.time() + lifetime)}  # noqa: TID251  a token's age is real
        header = {"alg": "HS256", "kid": "simulated", "typ": "JWT"}
        token = f"{_part(header)}.{_part(claims)}.{_part(secrets.token_bytes(32))}"
        self.issued[token] = claims
        return token

    def guard(self, audience: Callable[[], str]) -> Callable[[Seen], Reply | None]:
        """Lets in whoever has a token of this audience that lives: 403 without one, 401 with a bad one, in HTML."""

        def guard(seen: Seen) -> Reply | None:
            if "authorization" not in seen.headers:
                return _page(403, "Your client does not have permission to get this URL from this server.")
            claims = self.issued.get(seen.token or "")
            if claims is None or claims["exp"] <= time.time() or claims["aud"] != audience():  # noqa: TID251  a token's age is real
                return _page(401, "The access token could not be verified.")
            return None

        return guard


def _page(status: int, text: str) -> Reply:
    page = f"<html><head><title>{status}</title></head><body><h1>Error: {status}</h1><h2>{text}</h2></body></html>\n"
    headers = (("www-authenticate", 'Bearer error="invalid_token"'),) if status == 401 else ()
    return Reply(status, page.encode(), "text/html; charset=UTF-8", headers)

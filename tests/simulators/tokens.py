"""ID tokens: signing them, and checking them as Cloud Run's front end does."""

import base64
import hashlib
import hmac
import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.seen import Seen
from tests.simulators.wire import Reply

ISSUER = "https://accounts.google.com"
_HEADER = {"alg": "HS256", "kid": "simulated", "typ": "JWT"}


class BadTokenError(Exception):
    """The token does not prove what it claims."""


def encode_part(value: bytes | dict[str, Any]) -> str:
    """One of the three parts of a JWT: base64url without padding."""
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_part(part: str) -> bytes:
    """The bytes behind one part of a JWT; raises ValueError if it is none."""
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


@dataclass
class Mint:
    """Signs ID tokens with a secret of its own. Tokens of another mint are badly signed here."""

    email: str = "orchestrator@simulated-project.iam.gserviceaccount.com"
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _serial: Iterator[int] = field(default_factory=itertools.count)
    _proven: dict[str, dict[str, Any]] = field(default_factory=dict)

    def token(self, audience: str, lifetime: float, **claims: object) -> str:
        """A token for this audience, unlike any before; one of negative lifetime has expired already."""
        now = time.time()
        payload = {
            "iss": ISSUER,
            "aud": audience,
            "azp": "100000000000000000000",
            "sub": "100000000000000000000",
            "email": self.email,
            "email_verified": True,
            "iat": int(min(now, now + lifetime)),
            "exp": int(now + lifetime),
            "serial": next(self._serial),
        }
        signed = f"{encode_part(_HEADER)}.{encode_part(payload | claims)}"
        return f"{signed}.{encode_part(self._signature(signed))}"

    def check(self, token: str, audience: str) -> dict[str, Any]:
        """The token's claims; raises BadTokenError unless it was signed here, lives, and is for this audience."""
        claims = self._proven.get(token) or self._prove(token)
        if claims["exp"] <= time.time():
            raise BadTokenError("expired")
        if claims["aud"] != audience:
            raise BadTokenError(f"the audience is {claims['aud']}, not {audience}")
        if claims["iss"] != ISSUER:
            raise BadTokenError("foreign issuer")
        return claims

    def _prove(self, token: str) -> dict[str, Any]:
        signed, _, signature = token.rpartition(".")
        try:
            proven = hmac.compare_digest(decode_part(signature), self._signature(signed))
            claims = json.loads(decode_part(signed.partition(".")[2]))
        except ValueError:
            raise BadTokenError("malformed") from None
        if not proven or not isinstance(claims, dict):
            raise BadTokenError("badly signed")
        self._proven[token] = claims  # the signature is checked once: engines see the same token thousands of times
        return claims

    def _signature(self, signed: str) -> bytes:
        return hmac.digest(self._secret, signed.encode(), hashlib.sha256)


def front_end(mint: Mint, audience: Callable[[], str]) -> Callable[[Seen], Reply | None]:
    """A guard that lets in whoever has a good token: 403 without one, 401 with a bad one, both in HTML."""

    def guard(seen: Seen) -> Reply | None:
        if "authorization" not in seen.headers:
            return _page(403, "Your client does not have permission to get this URL from this server.")
        try:
            seen.claims = mint.check(seen.token or "", audience())
        except BadTokenError as error:
            return _page(401, f"The access token could not be verified ({error}).")
        return None

    return guard


def _page(status: int, text: str) -> Reply:
    page = f"<html><head><title>{status}</title></head><body><h1>Error: {status}</h1><h2>{text}</h2></body></html>\n"
    headers = (("www-authenticate", 'Bearer error="invalid_token"'),) if status == 401 else ()
    return Reply(status, page.encode(), "text/html; charset=UTF-8", headers)

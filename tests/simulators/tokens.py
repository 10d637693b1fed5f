"""ID tokens: Cloud Run's front end checks them, and Google Cloud's metadata server hands out those that it believes.

The server answers as far as google-auth asks it.
"""

import base64
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.seen import Seen
from tests.simulators.wire import Reply

_FLAVOR = (("metadata-flavor", "Google"), ("server", "Metadata Server for VM"))
_ROOT = "/computeMetadata/v1/"
_ACCOUNT = "instance/service-accounts/default/"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
PROJECT = "simulated-project"
LIFETIME = 3600.0
"""Of a fresh ID token, in seconds."""
CACHED_UNTIL = 240.0
"""A token is handed out again until it has this many seconds left."""


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


@dataclass
class TokenSource:
    """What the metadata server hands out; a test may change it at any time."""

    mint: Mint
    foreign_audience: str | None = None
    """Where set, every ID token is for this audience, whatever was asked for."""
    _cache: dict[str, tuple[str, float]] = field(default_factory=dict)

    def identity(self, audience: str) -> str:
        """The token for an audience: the cached one while it is good for long enough, else a fresh one."""
        cached = self._cache.get(audience)
        if cached and cached[1] - time.time() > CACHED_UNTIL and not self.foreign_audience:  # noqa: TID251  a token's age is real
            return cached[0]
        token = self.mint.token(self.foreign_audience or audience, LIFETIME)
        self._cache[audience] = (token, time.time() + LIFETIME)  # noqa: TID251  a token's age is real
        return token

    def forget(self) -> None:
        """Empties the cache: the next token is a fresh one."""
        self._cache.clear()

    def reply(self, seen: Seen) -> Reply:
        """The answer to one request, all of them with the flavor by which google-auth recognises the server."""
        if seen.path == "/":
            return _text("computeMetadata/")
        if seen.headers.get("metadata-flavor") != "Google":
            return Reply(403, b"Missing Metadata-Flavor:Google header.", "text/html", _FLAVOR)
        known = {
            "project/project-id": _text(PROJECT),
            "universe/universe-domain": _text("googleapis.com"),
            _ACCOUNT + "email": _text(self.mint.email),
            _ACCOUNT: _value({"aliases": ["default"], "email": self.mint.email, "scopes": [_SCOPE]}),
            _ACCOUNT + "token": _value({"access_token": "simulated", "expires_in": 3599, "token_type": "Bearer"}),
        }
        asked = seen.path.removeprefix(_ROOT)
        if asked == _ACCOUNT + "identity":
            audience = dict(seen.query).get("audience")
            if not audience:
                return Reply(400, b"non-empty audience parameter required", "text/html", _FLAVOR)
            return _text(self.identity(audience))
        return known.get(asked, Reply(404, b"not found", "text/html", _FLAVOR))


def _text(value: str) -> Reply:
    return Reply(200, value.encode(), "application/text", _FLAVOR)


def _value(value: object) -> Reply:
    return Reply(200, json.dumps(value).encode(), "application/json", _FLAVOR)

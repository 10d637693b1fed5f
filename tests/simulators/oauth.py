"""Identity off Google Cloud: the token endpoint for people's credentials, and impersonation."""

import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from tests.simulators.metadata import TokenSource
from tests.simulators.seen import Seen
from tests.simulators.wire import Reply


@dataclass
class Accounts:
    """People who are logged in, and whom they may impersonate; ID tokens come from the world's token source."""

    tokens: TokenSource
    impersonable: set[str] = field(default_factory=set)
    """Accounts whose ID tokens any holder of an access token may ask for."""
    _refresh: set[str] = field(default_factory=set)
    _access: set[str] = field(default_factory=set)

    def write_user_file(self, path: Path) -> None:
        """Writes what `gcloud auth application-default login` leaves behind: a person's refresh token."""
        refresh = f"1//simulated-{secrets.token_urlsafe(24)}"
        self._refresh.add(refresh)
        content = {"type": "authorized_user", "client_id": "id", "client_secret": "secret", "refresh_token": refresh}
        path.write_text(json.dumps(content), encoding="utf-8")

    def reply(self, seen: Seen) -> Reply:
        """The answer of `POST /token` and of the two endpoints of iamcredentials."""
        if seen.path == "/token":
            return self._grant(parse_qs(seen.body.decode()))
        account, _, act = seen.path.removeprefix("/v1/projects/-/serviceAccounts/").partition(":")
        if act not in {"generateIdToken", "generateAccessToken"}:
            return _answer(404, {"error": {"code": 404, "status": "NOT_FOUND"}})
        if seen.token not in self._access:
            return _answer(401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}})
        if account not in self.impersonable:
            message = f"Permission 'iam.serviceAccounts.getOpenIdToken' denied on {account}"
            return _answer(403, {"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED"}})
        if act == "generateIdToken":
            return _answer(200, {"token": self.tokens.identity(seen.json["audience"])})
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))  # noqa: TID251  a token's age is real
        return _answer(200, {"accessToken": self._access_token(), "expireTime": expires})

    def _grant(self, form: dict[str, list[str]]) -> Reply:
        if form.get("grant_type") != ["refresh_token"] or self._refresh.isdisjoint(form.get("refresh_token", [])):
            return _answer(400, {"error": "invalid_grant", "error_description": "Token has been revoked."})
        return _answer(200, {"access_token": self._access_token(), "expires_in": 3599, "token_type": "Bearer"})

    def _access_token(self) -> str:
        token = f"ya29.simulated-{secrets.token_urlsafe(24)}"
        self._access.add(token)
        return token


def _answer(status: int, value: object) -> Reply:
    return Reply(status, json.dumps(value).encode())

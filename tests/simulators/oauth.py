"""Identity off Google Cloud: the token endpoint for key files and people's credentials, and impersonation."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.simulators.tokens import decode_part
from tests.simulators.wire import Reply

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulators.metadata import TokenSource
    from tests.simulators.seen import Seen

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass
class Accounts:
    """Service accounts with a key, and who may be impersonated; the ID tokens come from the world's token source."""

    tokens: TokenSource
    impersonable: set[str] = field(default_factory=set)
    """Accounts whose ID tokens any holder of an access token may ask for."""
    _keys: dict[str, rsa.RSAPublicKey] = field(default_factory=dict)
    _refresh: set[str] = field(default_factory=set)
    _access: set[str] = field(default_factory=set)

    def write_key_file(self, path: Path, token_uri: str, email: str = "keyed@simulated-project.example") -> None:
        """Makes an account and writes its key as Google Cloud does, for GOOGLE_APPLICATION_CREDENTIALS."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._keys[email] = key.public_key()
        encoding, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        pem = key.private_bytes(encoding, pkcs8, serialization.NoEncryption())
        content = {
            "type": "service_account",
            "project_id": "simulated-project",
            "private_key_id": "simulated",
            "private_key": pem.decode(),
            "client_email": email,
            "client_id": "200000000000000000000",
            "token_uri": token_uri,
        }
        path.write_text(json.dumps(content), encoding="utf-8")

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
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        return _answer(200, {"accessToken": self._access_token(), "expireTime": expires})

    def _grant(self, form: dict[str, list[str]]) -> Reply:
        if form.get("grant_type") == ["refresh_token"]:
            if self._refresh.isdisjoint(form.get("refresh_token", [])):
                return _answer(400, {"error": "invalid_grant", "error_description": "Token has been revoked."})
            return self._granted()
        claims = self._proven(form.get("assertion", [""])[0])
        if form.get("grant_type") != [_GRANT] or claims is None:
            return _answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        if audience := claims.get("target_audience"):
            return _answer(200, {"id_token": self.tokens.identity(audience)})
        return self._granted()

    def _granted(self) -> Reply:
        return _answer(200, {"access_token": self._access_token(), "expires_in": 3599, "token_type": "Bearer"})

    def _access_token(self) -> str:
        token = f"ya29.simulated-{secrets.token_urlsafe(24)}"
        self._access.add(token)
        return token

    def _proven(self, assertion: str) -> dict[str, Any] | None:
        """The claims of an assertion that one of our keys signed and that has not expired; None of any other."""
        signed, _, signature = assertion.rpartition(".")
        try:
            claims: dict[str, Any] = json.loads(decode_part(signed.partition(".")[2]))
            key = self._keys[claims["iss"]]
            key.verify(decode_part(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, KeyError, TypeError, InvalidSignature):
            return None
        return claims if claims["exp"] > time.time() else None


def _answer(status: int, value: object) -> Reply:
    return Reply(status, json.dumps(value).encode())

"""ID tokens for the engines. The only module that uses google-auth for them.

A token comes from the metadata server on Google Cloud, from a service account's key file
(`GOOGLE_APPLICATION_CREDENTIALS`), or through impersonation. No setting turns tokens off.
"""

import os
from dataclasses import dataclass, field
from urllib.request import getproxies

import requests
import trio
from google.auth import default, impersonated_credentials
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.oauth2.id_token import fetch_id_token_credentials

from job.engines.transport import TokenError
from job.text.masking import excerpt
from job.text.messages import Message, message

RENEWAL_SECONDS = 30.0
"""Time limit for a renewal. The libraries limit only the time between two bytes: a server that sends one now and then
would delay the run forever."""
THREADS = 4
"""Maximum number of renewals for one audience that were given up and whose threads have not ended."""
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class IdTokens:
    """The run's ID tokens, one for each audience, renewed 3 min 45 s before they expire (google-auth's own threshold).

    Renewals run in `nursery`: if one caller is cancelled, the renewal goes on for the others that wait for it.
    """

    def __init__(self, nursery: trio.Nursery, impersonate: str | None) -> None:
        self._nursery = nursery
        self._impersonate = impersonate
        self._sources: dict[str, _Source] = {}

    def cached(self, audience: str, rejected: str | None = None) -> str | None:
        """A token that `get` would return without a request, if there is one."""
        source = self._sources.get(audience)
        token = source.token if source is not None else None
        return token if token != rejected else None

    async def get(self, audience: str, rejected: str | None = None) -> str:
        """A token for the audience; not `rejected`, unless the token server has no other. Raises `TokenError`."""
        token = self.cached(audience, rejected)
        if token is not None:
            return token  # noqa: ASYNC910  the caller awaits the engine right after this
        source = self._sources.setdefault(audience, _Source(audience, self._impersonate))
        return await source.renewed(self._nursery)


class _Source:
    """The credentials for one audience.

    Only one thread at a time may refresh credentials of google-auth: after a renewal that was given up, the next one
    makes new ones.
    """

    def __init__(self, audience: str, impersonate: str | None) -> None:
        self._audience = audience
        self._impersonate = impersonate
        self._credentials: Credentials | None = None
        self._renewal: _Renewal | None = None
        self._threads = trio.CapacityLimiter(THREADS)

    @property
    def token(self) -> str | None:
        """The present token, if it does not expire soon."""
        credentials = self._credentials
        return credentials.token if credentials is not None and credentials.valid else None

    async def renewed(self, nursery: trio.Nursery) -> str:
        """The token of the renewal in progress, or of a new one."""
        if self._renewal is None:
            self._renewal = _Renewal()
            nursery.start_soon(self._renew, self._renewal, name=f"token for {self._audience}")
        renewal = self._renewal
        await renewal.done.wait()
        if renewal.token is None:
            raise TokenError(message("no token for {audience}: {error}", audience=self._audience, error=renewal.error))
        return renewal.token

    async def _renew(self, renewal: "_Renewal") -> None:  # noqa: ASYNC910  the renewal was awaited
        try:
            with trio.fail_after(RENEWAL_SECONDS):
                self._credentials, renewal.token = await trio.to_thread.run_sync(
                    self._refresh, self._credentials, abandon_on_cancel=True, limiter=self._threads
                )
        except trio.TooSlowError:
            self._credentials = None
            renewal.error = message("the token server did not answer within {seconds} s", seconds=RENEWAL_SECONDS)
        except _NotATokenError:
            renewal.error = message("the token server's answer is not a token")
        except Exception as error:  # noqa: BLE001  google-auth does not wrap all errors of the libraries it uses
            renewal.error = excerpt(f"{type(error).__name__}: {error}".encode(errors="replace"))
            if str(error).lstrip().lower().startswith(("<html", "<!doctype")):
                renewal.error = message("the token server answered with a web page, not with a token")
        finally:
            self._renewal = None
            renewal.done.set()

    def _refresh(self, credentials: Credentials | None) -> tuple[Credentials, str]:
        """Credentials with a new token: those that are given, unless there are none."""
        with requests.Session() as session:
            session.trust_env = False  # a .netrc would replace the credentials; no proxy reaches the metadata server
            if self._impersonate is not None:  # on a laptop, which may need a proxy to reach Google
                session.proxies = {"https": getproxies().get("https", "")}
                session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
            request = Request(session)
            credentials = credentials or self._make(request)
            _refresh(credentials, request)
        token = credentials.token
        if not isinstance(token, str) or not token:
            raise _NotATokenError
        return credentials, token

    def _make(self, request: Request) -> Credentials:
        if self._impersonate is None:
            made: Credentials = fetch_id_token_credentials(self._audience, request)
            return made
        source, _ = default(scopes=[_SCOPE], request=request)
        target = impersonated_credentials.Credentials(source, self._impersonate, [_SCOPE])
        return impersonated_credentials.IDTokenCredentials(target, self._audience, include_email=True)


class _NotATokenError(Exception):
    """The token server's answer is a success without a token."""


def _refresh(credentials: Credentials, request: Request) -> None:
    """Fetches a token. Replaces google-auth's error for an unreadable answer, which may quote a secret in it."""
    try:
        credentials.refresh(request)
    except Exception as error:
        origin: BaseException | None = error
        while isinstance(origin, GoogleAuthError) and not isinstance(origin, ValueError):
            origin = origin.__cause__
        # Other errors of requests may be an OSError and one of these.
        if isinstance(origin, requests.JSONDecodeError) or (
            isinstance(origin, _UNREADABLE) and not isinstance(origin, OSError)
        ):
            raise _NotATokenError from None
        raise


_UNREADABLE = (LookupError, TypeError, ValueError, OverflowError)
"""What google-auth or Python raises for an unexpected answer; several errors of google-auth are a `ValueError` too."""


@dataclass(slots=True)
class _Renewal:
    """One renewal and its result."""

    done: trio.Event = field(default_factory=trio.Event)
    token: str | None = None
    error: Message | str = field(default_factory=lambda: message("the renewal was given up"))

"""Credentials for ID tokens. The only module that uses google-auth for them; imported when the first token is needed.

A token comes from the metadata server on Google Cloud, from a service account's key file
(`GOOGLE_APPLICATION_CREDENTIALS`), or through impersonation.
"""

import os
from urllib.request import getproxies

import requests
from google.auth import credentials, default, impersonated_credentials
from google.auth.exceptions import DefaultCredentialsError, TransportError
from google.auth.transport.requests import Request
from google.oauth2.id_token import fetch_id_token_credentials

from job.engines.answers import AnswerError
from job.engines.failures import Cause
from job.text.messages import message

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Credentials:
    """The credentials for one audience. Only one thread at a time may renew them."""

    def __init__(self, audience: str, impersonate: str | None) -> None:
        self._audience = audience
        self._impersonate = impersonate
        self._made: credentials.Credentials | None = None

    @property
    def token(self) -> str | None:
        return self._made.token if self._made is not None and self._made.valid else None

    def renew(self) -> str:
        """A new token. Raises `AnswerError` for an answer that is none, and what google-auth and requests raise."""
        with requests.Session() as session:
            session.trust_env = False  # a .netrc would replace the credentials; no proxy reaches the metadata server
            if self._impersonate is not None:  # on a laptop, which may need a proxy to reach Google
                session.proxies = {"https": getproxies().get("https", "")}
                session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
            request = Request(session)
            self._made = self._made or self._make(request)
            try:
                self._made.refresh(request)
            except Exception as error:
                # The error for an answer that cannot be read may quote a secret in it.
                causes = (error, error.__cause__)
                if any(isinstance(cause, _UNREADABLE) and not isinstance(cause, OSError) for cause in causes):
                    raise _not_a_token() from None
                raise
        token = self._made.token
        if not isinstance(token, str) or not token:
            raise _not_a_token()
        return token

    def _make(self, request: Request) -> credentials.Credentials:
        if self._impersonate is None:
            made: credentials.Credentials = fetch_id_token_credentials(self._audience, request)
            return made
        source, _ = default(scopes=[_SCOPE], request=request)
        target = impersonated_credentials.Credentials(source, self._impersonate, [_SCOPE])
        return impersonated_credentials.IDTokenCredentials(target, self._audience, include_email=True)


def is_no_answer(error: BaseException | None) -> bool:
    """Whether the token server did not answer. Cloud Run always has one: that none was found is the same."""
    while error is not None:
        if isinstance(error, requests.RequestException):
            return True
        if isinstance(error, TransportError) and len(error.args) == 1:  # else the answer is beside the text
            return True
        if isinstance(error, DefaultCredentialsError) and "CLOUD_RUN_JOB" in os.environ:
            return True
        error = error.__cause__
    return False


def _not_a_token() -> AnswerError:
    return AnswerError(message("the token server's answer is not a token"), Cause.IDENTITY)


_UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError)
"""What google-auth or Python raises for an unexpected answer; an error of requests is an OSError too."""

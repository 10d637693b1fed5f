"""ID tokens for the engines: fetched in threads, shared by all callers. No setting turns them off."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from job.engines.answers import TokenError
from job.engines.failures import Cause
from job.text.messages import message, said
from job.text.shown import excerpt

if TYPE_CHECKING:
    from job.engines.credentials import Credentials

RENEWAL_SECONDS = 30.0
"""Time limit for a renewal. The libraries limit only the time between two bytes."""
THREADS = 4
"""How many threads of abandoned renewals one audience may have."""


class IdTokens:
    """The run's ID tokens, one for each audience, renewed 3 min 45 s before they expire (google-auth's own threshold).

    Renewals run in `nursery`: if one caller is cancelled, the renewal goes on for the others that wait for it.
    """

    def __init__(self, nursery: trio.Nursery, impersonate: str | None) -> None:
        self._nursery = nursery
        self._impersonate = impersonate
        self._sources: dict[str, _Source] = {}

    def cached(self, audience: str, rejected: str | None = None) -> str | None:
        """A token that `get` would return without a request, if there is one; never `rejected`."""
        source = self._sources.get(audience)
        token = source.token if source is not None else None
        return token if token != rejected else None

    async def get(self, audience: str, rejected: str | None = None) -> str:
        """A token for the audience; not `rejected`, unless the token server has no other. Raises `TokenError`."""
        token = self.cached(audience, rejected)
        if token is not None:
            return token
        source = self._sources.setdefault(audience, _Source(audience, self._impersonate))
        return await source.renewed(self._nursery)


class _Source:
    """The credentials for one audience. Only one thread at a time may refresh them: abandoned ones are replaced."""

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
        return credentials.token if credentials is not None else None

    async def renewed(self, nursery: trio.Nursery) -> str:
        if self._renewal is None:
            self._renewal = _Renewal()
            nursery.start_soon(self._renew, self._renewal, name=f"token for {self._audience}")
        renewal = self._renewal
        await renewal.done.wait()
        if renewal.token is None:
            error = renewal.error
            reason = message("no token for {audience}: {error}", audience=self._audience, error=error.reason)
            raise TokenError(reason, error.cause)
        return renewal.token

    async def _renew(self, renewal: "_Renewal") -> None:
        try:
            with trio.fail_after(RENEWAL_SECONDS):
                self._credentials, renewal.token = await trio.to_thread.run_sync(
                    self._refresh, self._credentials, abandon_on_cancel=True, limiter=self._threads
                )
        except trio.TooSlowError:
            self._credentials = None
            late = message("no answer within {seconds} s", seconds=RENEWAL_SECONDS)
            renewal.error = TokenError(late, Cause.TOKEN_SERVER)
        except TokenError as error:
            renewal.error = error
        except Exception as error:  # noqa: BLE001  google-auth does not wrap all errors of the libraries it uses
            from job.engines.credentials import is_no_answer  # noqa: PLC0415  as below

            reason = said(excerpt(f"{type(error).__name__}: {error}".encode(errors="replace")))
            renewal.error = TokenError(reason, Cause.TOKEN_SERVER if is_no_answer(error) else Cause.IDENTITY)
        finally:
            self._renewal = None
            renewal.done.set()

    def _refresh(self, credentials: "Credentials | None") -> "tuple[Credentials, str]":
        """The given credentials, or new ones if there are none, with a new token."""
        from job.engines.credentials import Credentials  # noqa: PLC0415  google-auth takes 0.15 s to import

        credentials = credentials or Credentials(self._audience, self._impersonate)
        return credentials, credentials.renew()


@dataclass(slots=True)
class _Renewal:
    done: trio.Event = field(default_factory=trio.Event)
    token: str | None = None
    error: TokenError = field(default_factory=lambda: TokenError(message("the renewal of the token was cut off")))

"""ID tokens for the engines: fetched in threads, shared by all callers. No setting turns them off."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from job.engines.answers import AnswerError
from job.engines.failures import Cause
from job.text.messages import message, said
from job.text.shown import excerpt

if TYPE_CHECKING:
    from job.engines.credentials import Credentials

RENEWAL_SECONDS = 30.0
"""Time limit for a renewal. The libraries limit only the time between two bytes."""
THREADS = 4
"""How many threads of abandoned renewals one audience may have."""


@dataclass(slots=True)
class _Renewal:
    outcome: str | AnswerError
    done: trio.Event = field(default_factory=trio.Event)


class IdTokens:
    """The run's ID tokens, one for each audience, renewed 3 min 45 s before they expire (google-auth's own threshold).

    Renewals run in `nursery`: if one caller is cancelled, the renewal goes on for the others that wait for it.
    """

    def __init__(self, nursery: trio.Nursery, impersonate: str | None) -> None:
        self._nursery = nursery
        self._impersonate = impersonate
        self._credentials: dict[str, Credentials] = {}
        """By the audience. Only one thread at a time may refresh them: abandoned ones are replaced."""
        self._renewals: dict[str, _Renewal] = {}
        self._threads: dict[str, trio.CapacityLimiter] = {}

    def cached(self, audience: str, rejected: str | None = None) -> str | None:
        """A token that `get` would return without a request, if there is one; never `rejected`."""
        credentials = self._credentials.get(audience)
        token = credentials.token if credentials is not None else None
        return token if token != rejected else None

    async def get(self, audience: str, rejected: str | None = None) -> str:
        """A token for the audience; not `rejected`, unless the token server has no other. Raises `AnswerError`."""
        token = self.cached(audience, rejected)
        if token is not None:
            return token
        renewal = self._renewals.get(audience)
        if renewal is None:
            cut_off = AnswerError(message("the renewal of the token was cut off"), Cause.IDENTITY)
            renewal = self._renewals[audience] = _Renewal(cut_off)
            self._nursery.start_soon(self._renew, audience, renewal, name=f"token for {audience}")
        await renewal.done.wait()
        if isinstance(renewal.outcome, str):
            return renewal.outcome
        reason = message("no token for {audience}: {error}", audience=audience, error=renewal.outcome.reason)
        raise AnswerError(reason, renewal.outcome.cause)

    async def _renew(self, audience: str, renewal: _Renewal) -> None:
        threads = self._threads.setdefault(audience, trio.CapacityLimiter(THREADS))
        try:
            with trio.fail_after(RENEWAL_SECONDS):
                self._credentials[audience], renewal.outcome = await trio.to_thread.run_sync(
                    self._refresh, audience, self._credentials.get(audience), abandon_on_cancel=True, limiter=threads
                )
        except trio.TooSlowError:
            self._credentials.pop(audience, None)
            late = message("no answer within {seconds} s", seconds=RENEWAL_SECONDS)
            renewal.outcome = AnswerError(late, Cause.TOKEN_SERVER)
        except AnswerError as error:
            renewal.outcome = error
        except Exception as error:  # noqa: BLE001  google-auth does not wrap all errors of the libraries it uses
            from job.engines.credentials import is_no_answer  # noqa: PLC0415  as below

            reason = said(excerpt(f"{type(error).__name__}: {error}").rstrip(". "))
            renewal.outcome = AnswerError(reason, Cause.TOKEN_SERVER if is_no_answer(error) else Cause.IDENTITY)
        finally:
            del self._renewals[audience]
            renewal.done.set()

    def _refresh(self, audience: str, credentials: "Credentials | None") -> "tuple[Credentials, str]":
        from job.engines.credentials import Credentials  # noqa: PLC0415  google-auth takes 0.15 s to import

        credentials = credentials or Credentials(audience, self._impersonate)
        return credentials, credentials.renew()

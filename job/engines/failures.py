"""Failures: what can go wrong with a call, and how it affects retries and limits."""

from dataclasses import dataclass
from enum import StrEnum

from job.text.messages import Message, message


class Cause(StrEnum):
    """The kind of a failure."""

    TRANSPORT = "transport"
    """No complete answer arrived: refused, reset, cut short, no TLS."""
    HOST_UNKNOWN = "host_unknown"
    """No host has the name in the URL, so nothing was sent."""
    PROCESS_LIMIT = "process_limit"
    """Nothing was sent, since this process has reached one of its own limits."""
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    """The answer is larger than the limit, so it was not read to its end."""
    IDENTITY = "identity"
    """No token was available, so nothing was sent."""
    STATUS = "status"
    """The HTTP status is not a success."""
    UNREADABLE = "unreadable"
    """The status is a success, but the body is not JSON or not an answer of this engine."""
    DENIED = "denied"
    """The status is a success, and the body says that the work was not done."""
    INTERRUPTED = "interrupted"
    """The run ended before the answer came."""


_NO_ANSWER = {Cause.TRANSPORT, Cause.HOST_UNKNOWN, Cause.TIMEOUT}
_NO_ROOM = {429, 503}
_OVERLOAD = {*_NO_ANSWER, Cause.PROCESS_LIMIT}
_OVERLOAD_STATUS = {502, 503, 504}
_OUTAGE = {*_NO_ANSWER, Cause.TOO_LARGE, Cause.IDENTITY, Cause.UNREADABLE}
_OUTAGE_STATUS = {401, 403, 409, 429}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try failed. Holds no token."""

    cause: Cause
    reason: Message
    status: int | None = None
    retry_after: float | None = None
    """Seconds, if the engine asks for a pause."""
    targets: tuple[str, ...] = ()
    """The targets of a batch that failed while others succeeded; empty if all failed."""
    after: Cause | None = None
    """For an interruption: why the try before it failed, if there was one; `status` is then of that one."""

    @property
    def is_interruption(self) -> bool:
        """Whether the end of the run cut the try off."""
        return self.cause is Cause.INTERRUPTED

    @property
    def is_outage(self) -> bool:
        """Whether nothing shows that the engine works: no answer came, it let the call in to do no work, or it broke.

        Any other failure is an answer of its own, which refuses this call or says that its work failed.
        """
        if self.cause is Cause.STATUS:
            return self.status in _OUTAGE_STATUS or (self.status or 0) >= 500
        return self.cause in _OUTAGE

    @property
    def is_own_answer(self) -> bool:
        """Whether the engine itself refused the call, or says that its work failed."""
        return self.cause is Cause.DENIED or self.is_refusal

    @property
    def is_refusal(self) -> bool:
        """Whether the engine refuses the call as it is: no other try may succeed."""
        return self.cause is Cause.STATUS and not self.is_outage

    @property
    def is_rejection(self) -> bool:
        """Whether no instance of the engine was free, so that the request never reached it."""
        return self.status == 429

    @property
    def is_conflict(self) -> bool:
        """Whether the engine may still be at work on an earlier try of the call."""
        return self.status == 409

    @property
    def has_no_room(self) -> bool:
        """Whether the engine had no room for the request: none of its instances was free, or it was overloaded."""
        return self.status in _NO_ROOM

    @property
    def is_unauthorized(self) -> bool:
        """Whether the engine refused the token."""
        return self.status == 401

    @property
    def is_crash(self) -> bool:
        """Whether the engine says itself that it broke at work, which may have cost money."""
        return self.status in {500, 502}

    @property
    def lost_work(self) -> bool:
        """Whether the work may be done and paid for although no usable answer came, if the request was sent."""
        return self.cause in {Cause.TRANSPORT, Cause.TIMEOUT, Cause.TOO_LARGE, Cause.UNREADABLE} or self.status == 504

    @property
    def breaks_batches(self) -> bool:
        """Whether to retry a batch in halves: it may be too large, or one of its tickers may break the engine."""
        if self.cause is Cause.STATUS:
            return self.status in {500, 502, 503, 504}
        return self.cause in {*_NO_ANSWER, Cause.TOO_LARGE}

    @property
    def is_overload(self) -> bool:
        """Whether the engine, or this process, cannot handle the present number of calls."""
        return self.status in _OVERLOAD_STATUS if self.cause is Cause.STATUS else self.cause in _OVERLOAD


CUT_OFF = Failure(Cause.INTERRUPTED, message("cut off"))

"""Failures: what can go wrong with a call, and how it affects retries and limits."""

from dataclasses import dataclass
from enum import Enum, StrEnum

from job.engines.calls import ENGINES, EngineName
from job.text.messages import Message, message


class Cause(StrEnum):
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
    """The token server gives no token, so nothing was sent."""
    STATUS = "status"
    UNREADABLE = "unreadable"
    """The status is a success, but the body is not JSON or not an answer of this engine."""
    DENIED = "denied"
    """The status is a success, and the body says that the work was not done."""
    INTERRUPTED = "interrupted"
    """The run ended before the answer came."""
    TOKEN_SERVER = "token_server"  # noqa: S105
    """The token server did not answer, so nothing was sent."""


class FailureKind(Enum):
    """What follows a failed try: how often, or for how long, the call is repeated."""

    FINAL = "final"
    """The engine refuses the call as it is: it is not repeated."""
    COUNTED = "counted"
    """A costly engine may have done the work, and been paid: it is repeated up to `attempts` times."""
    BRIEF = "brief"
    """A data engine says that its work failed, or a token server gives no token: it is repeated for a minute."""
    FREE = "free"
    """Nothing was done: it is repeated until the engine's patience is over."""


_NO_ANSWER = {Cause.TRANSPORT, Cause.HOST_UNKNOWN, Cause.TIMEOUT}
_LOSES_WORK = {Cause.TRANSPORT, Cause.TIMEOUT, Cause.TOO_LARGE, Cause.UNREADABLE}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try failed. Holds no token."""

    cause: Cause
    reason: Message
    status: int | None = None
    retry_after: float | None = None
    targets: tuple[str, ...] = ()
    """The targets of a batch that failed while others succeeded; empty if all failed."""
    after: Cause | None = None
    """For an interruption: why the try before it failed, if there was one; `status` is then of that one."""
    is_no_token: bool = False
    """Whether the token server answered, and its answer is no token."""

    def kind(self, engine: EngineName, *, sent: bool) -> FailureKind:
        """What follows; `sent` is whether the request may have been sent."""
        if self.is_refusal:
            return FailureKind.FINAL
        if ENGINES[engine].is_costly and sent and self.may_have_cost:
            return FailureKind.COUNTED
        return FailureKind.BRIEF if self.cause is Cause.DENIED or self.is_no_token else FailureKind.FREE

    @property
    def is_interruption(self) -> bool:
        return self.cause is Cause.INTERRUPTED

    @property
    def is_refusal(self) -> bool:
        """Whether the engine refuses the call as it is: no other try may succeed."""
        return refuses(self.cause, self.status)

    @property
    def may_have_cost(self) -> bool:
        """Whether the work may be done, and paid for, although no usable answer came, if the request was sent."""
        if self.cause is Cause.STATUS:
            return (self.status or 0) >= 500 and self.status != 503
        return self.cause in {*_LOSES_WORK, Cause.DENIED, Cause.INTERRUPTED}

    @property
    def shows_that_it_works(self) -> bool:
        """Whether the engine works, as it did a part of the call, or is at work on an earlier try (409)."""
        return self.status == 409 or bool(self.targets)

    @property
    def is_rejection(self) -> bool:
        """Whether no instance of the engine was free, so that the request never reached it."""
        return self.status == 429

    @property
    def has_no_room(self) -> bool:
        """Whether the engine had no room for the request: none of its instances was free, or it was overloaded."""
        return self.status in {429, 503}

    @property
    def is_unauthorized(self) -> bool:
        return self.status == 401

    @property
    def breaks_batches(self) -> bool:
        """Whether to retry a batch in halves: it may be too large, or one of its tickers may break the engine."""
        if self.cause is Cause.STATUS:
            return self.status in {500, 502, 503, 504}
        return self.cause in {*_NO_ANSWER, Cause.TOO_LARGE}

    @property
    def is_overload(self) -> bool:
        """Whether the engine, or this process, cannot handle the present number of calls."""
        if self.cause is Cause.STATUS:
            return self.status in {502, 503, 504}
        return self.cause in {*_NO_ANSWER, Cause.PROCESS_LIMIT}


def refuses(cause: str | None, status: int | None) -> bool:
    """As in `Failure.is_refusal`."""
    is_passing = status in {401, 403, 409, 429} or (status or 0) >= 500
    return cause == Cause.STATUS and not is_passing


def loses_work(cause: str | None, status: int | None) -> bool:
    """Whether the tries of a failed card may have cost money, if its record does not say how many may have."""
    return cause in _LOSES_WORK or status == 504


CUT_OFF = Failure(Cause.INTERRUPTED, message("cut off"))

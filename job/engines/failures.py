"""Failures: what can go wrong with a call, how it affects retries and limits, and where it is put right."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

from job.engines.calls import BATCHES, ENGINES, EngineName
from job.text.messages import Message, message, template


class Cause(StrEnum):
    """Why a try failed. Nothing was sent to an unknown host, at a limit of this process, and without a token."""

    TRANSPORT = "transport"
    HOST_UNKNOWN = "host_unknown"
    PROCESS_LIMIT = "process_limit"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    IDENTITY = "identity"
    STATUS = "status"
    UNREADABLE = "unreadable"
    """The status is a success, but the body is not JSON or not an answer of this engine."""
    DENIED = "denied"
    """The status is a success, and the body says that the work was not done."""
    INTERRUPTED = "interrupted"
    TOKEN_SERVER = "token_server"  # noqa: S105


class FailureKind(Enum):
    """What follows a failed try: how often, or for how long, the call is repeated."""

    REFUSED = "refused"
    """The engine refuses the call as it is: it is not repeated."""
    CHARGED = "charged"
    """The engine may have done the work, and been paid: a call of a costly engine has `attempts` such tries."""
    FREE = "free"
    """Nothing was done: the call is repeated until its patience is over."""


class Remedy(StrEnum):
    """What puts a failure right, as far as the protocol alone says it: a setting of the engine, or a right."""

    AUDIENCE = "audience"
    URL = "url"
    BATCH_SIZE = "batch_size"
    CONCURRENCY = "concurrency"
    RIGHT = "right"


class Handling(NamedTuple):
    kind: FailureKind
    halves: bool = False
    """Whether a batch is tried again in halves: it may be too large, or one of its tickers may break the engine."""
    lowers_limit: bool = False
    """Whether the engine, or this process, may have no room for the present number of calls."""
    remedy: Remedy | None = None


_FREE, _CHARGED, _REFUSED = (Handling(kind) for kind in (FailureKind.FREE, FailureKind.CHARGED, FailureKind.REFUSED))
_ELSEWHERE = Handling(FailureKind.FREE, remedy=Remedy.URL)
_BY_STATUS: Mapping[int, Handling] = {
    **dict.fromkeys(range(300, 400), _ELSEWHERE),
    400: Handling(FailureKind.REFUSED, halves=True),
    401: Handling(FailureKind.FREE, remedy=Remedy.AUDIENCE),
    403: Handling(FailureKind.FREE, remedy=Remedy.RIGHT),
    404: _FREE,
    405: _ELSEWHERE,
    409: _FREE,
    413: Handling(FailureKind.REFUSED, halves=True, remedy=Remedy.BATCH_SIZE),
    422: Handling(FailureKind.REFUSED, halves=True),
    429: Handling(FailureKind.FREE, lowers_limit=True),
    500: Handling(FailureKind.CHARGED, halves=True),
    502: Handling(FailureKind.CHARGED, halves=True, lowers_limit=True),
    503: Handling(FailureKind.FREE, lowers_limit=True),
    504: Handling(FailureKind.CHARGED, halves=True, lowers_limit=True),
}
"""By the status of an answer that is no success. Any other 5xx may have cost money, any other 4xx is a refusal. What a
service may answer while it is deployed anew is none: 3xx, 404, 405.
"""
_BY_CAUSE: Mapping[str | None, Handling] = {
    Cause.TRANSPORT: Handling(FailureKind.CHARGED, halves=True, lowers_limit=True),
    Cause.TIMEOUT: Handling(FailureKind.CHARGED, halves=True),
    Cause.TOO_LARGE: Handling(FailureKind.CHARGED, halves=True),
    Cause.UNREADABLE: _CHARGED,
    Cause.DENIED: _CHARGED,
    Cause.INTERRUPTED: _CHARGED,
    Cause.HOST_UNKNOWN: Handling(FailureKind.FREE, lowers_limit=True, remedy=Remedy.URL),
    Cause.PROCESS_LIMIT: Handling(FailureKind.FREE, lowers_limit=True, remedy=Remedy.CONCURRENCY),
    Cause.IDENTITY: _FREE,
    Cause.TOKEN_SERVER: _FREE,
}


def handling_of(cause: str | None, status: int | None) -> Handling:
    """What follows a failure, also of a record. What was not sent has cost nothing, whatever this says."""
    if cause != Cause.STATUS:
        return _BY_CAUSE.get(cause, _FREE)
    return _BY_STATUS.get(status or 0, _CHARGED if (status or 0) >= 500 else _REFUSED)


def remedy_of(
    engine: EngineName,
    cause: str | None,
    status: int | None,
    *,
    url: str | None = None,
    account: str | None = None,
    is_deployed: bool = False,
) -> Message | None:
    """Where a failure is put right, and by whom; `None` if the protocol does not say it: the answer may.

    `url` is the one that failed, `account` the one that was refused. Terraform sets the variables of a job that
    `is_deployed`.
    """
    remedy = handling_of(cause, status).remedy
    if remedy is Remedy.RIGHT:
        given = {"role": "roles/run.invoker", "service": urlsplit(url or "").netloc, "account": account or ""}
        if not all(given.values()):
            return None
        return message("Who: an owner of the project gives {role} on {service} to {account}.", **given)
    if remedy is None or (remedy is Remedy.BATCH_SIZE and engine not in BATCHES):
        return None
    name = f"{engine}_ENGINE_{remedy}".upper()
    if not is_deployed:
        return message("Where: {variable}.", variable=name)
    text = template("Where: {variable} (Terraform: {setting}). Who: an owner of the project.")
    return message(text, variable=name, setting=f"engines.{engine}.{remedy}")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try failed. Holds no token."""

    cause: Cause
    reason: Message
    status: int | None = None
    retry_after: float | None = None
    targets: tuple[str, ...] = ()
    """The targets of a batch that failed while others succeeded; empty if all failed."""
    by_target: tuple[tuple[str, Message], ...] = ()
    """The answer about each target of a batch, if it has one for several."""
    account: str | None = None
    after: Cause | None = None
    """For an interruption: why the try before it failed, if there was one; all else is then of that one."""
    seconds: float | None = None
    """For how long a data engine's call was tried, if it was repeated until its patience was over."""

    @property
    def handling(self) -> Handling:
        return handling_of(self.cause, self.status)

    def kind(self, engine: EngineName, *, sent: bool) -> FailureKind:
        """What follows; `sent` is whether the request may have been sent."""
        kind = self.handling.kind
        has_cost = ENGINES[engine].is_costly and sent
        return FailureKind.FREE if kind is FailureKind.CHARGED and not has_cost else kind

    @property
    def is_interruption(self) -> bool:
        return self.cause is Cause.INTERRUPTED

    @property
    def may_be_too_large(self) -> bool:
        """Whether the size of a batch may be why it failed: one that is refused has a ticker that is refused."""
        return self.status not in {400, 422}

    @property
    def has_no_room(self) -> bool:
        """Whether the engine had no room for the request: none of its instances was free, or it was overloaded."""
        return self.status in {429, 503}


CUT_OFF = Failure(Cause.INTERRUPTED, message("cut off"))

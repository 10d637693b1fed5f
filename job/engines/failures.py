"""Failures: what can go wrong with a call, how it affects retries and limits, and what a person does about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple

from job.engines.calls import BATCHES, ENGINES, EngineName
from job.text.messages import Message, Value, message, template


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
    """The engine may have done the work, and been paid: a call of a costly engine has `attempts` such tries."""
    FREE = "free"
    """Nothing was done: the call is repeated until its patience is over."""


class Handling(NamedTuple):
    """What follows a failure."""

    kind: FailureKind
    halves: bool = False
    """Whether a batch is tried again in halves: it may be too large, or one of its tickers may break the engine."""
    lowers_limit: bool = False
    """Whether the engine, or this process, cannot handle the present number of calls."""


_FREE, _COUNTED = Handling(FailureKind.FREE), Handling(FailureKind.COUNTED)
_BY_STATUS: Mapping[int, Handling] = {
    401: _FREE,
    403: _FREE,
    409: _FREE,
    429: _FREE,
    500: Handling(FailureKind.COUNTED, halves=True),
    502: Handling(FailureKind.COUNTED, halves=True, lowers_limit=True),
    503: Handling(FailureKind.FREE, lowers_limit=True),
    504: Handling(FailureKind.COUNTED, halves=True, lowers_limit=True),
}
"""By the status of an answer that is no success. Any other 5xx may have cost money; all others are refusals."""
_BY_CAUSE: Mapping[str | None, Handling] = {
    Cause.TRANSPORT: Handling(FailureKind.COUNTED, halves=True, lowers_limit=True),
    Cause.TIMEOUT: Handling(FailureKind.COUNTED, halves=True),
    Cause.TOO_LARGE: Handling(FailureKind.COUNTED, halves=True),
    Cause.UNREADABLE: _COUNTED,
    Cause.DENIED: _COUNTED,
    Cause.INTERRUPTED: _COUNTED,
    Cause.HOST_UNKNOWN: Handling(FailureKind.FREE, lowers_limit=True),
    Cause.PROCESS_LIMIT: Handling(FailureKind.FREE, lowers_limit=True),
    Cause.IDENTITY: _FREE,
    Cause.TOKEN_SERVER: _FREE,
}


def handling_of(cause: str | None, status: int | None) -> Handling:
    """What follows a failure, also of a record. What was not sent has cost nothing, whatever this says."""
    if cause != Cause.STATUS:
        return _BY_CAUSE.get(cause, _FREE)
    return _BY_STATUS.get(status or 0, _COUNTED if (status or 0) >= 500 else Handling(FailureKind.FINAL))


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

    @property
    def handling(self) -> Handling:
        return handling_of(self.cause, self.status)

    def kind(self, engine: EngineName, *, sent: bool) -> FailureKind:
        """What follows; `sent` is whether the request may have been sent."""
        kind = self.handling.kind
        has_cost = ENGINES[engine].is_costly and sent
        return FailureKind.FREE if kind is FailureKind.COUNTED and not has_cost else kind

    @property
    def is_interruption(self) -> bool:
        return self.cause is Cause.INTERRUPTED

    @property
    def is_rejection(self) -> bool:
        """Whether no instance of the engine was free, so that the request never reached it."""
        return self.status == 429

    @property
    def has_no_room(self) -> bool:
        """Whether the engine had no room for the request: none of its instances was free, or it was overloaded."""
        return self.status in {429, 503}


CUT_OFF = Failure(Cause.INTERRUPTED, message("cut off"))


class Remedy(Enum):
    """What a person should do about a failed call. The value is its template."""

    TARGET_NOT_ACCEPTED = template("The engine does not accept the request. Correct the target in {objects}.")
    CARD_NOT_ACCEPTED = template(
        "The engine does not accept the request. Correct the target or its parameters in {objects}, or the model in "
        "llm_config.json."
    )
    MODEL_NOT_ACCEPTED = template(
        "The engine does not accept the request. The model in llm_config.json has changed: correct it first. "
        "Otherwise, correct the target or its parameters in {objects}."
    )
    """Of cards whose model has changed since the night before."""
    TARGET_NOT_KNOWN = template("The engine does not know this target. Correct it in {objects}.")
    CARD_NOT_KNOWN = template(
        "The engine does not know this card. Correct its card type in card_types.json, or its target in {objects}."
    )
    NOT_DONE = template(
        "The engine could not do this ticker: its last answer is on the day's page. If the ticker is at fault, correct "
        "or remove it in {objects}."
    )
    FAILED = template("The engine reports that it failed: its last answer is on the day's page.")
    BROKEN = template("The engine failed (HTTP 500). Look for the error in its log.")
    TOKEN_REFUSED = template("The engine refuses the token. Set {variable}_AUDIENCE to the service's run.app URL.")
    FORBIDDEN = template(
        "The job may not call this engine. Grant roles/run.invoker on the service to the job's service account."
    )
    NOT_THERE = template(
        "The engine does not know a target of this call, or there is nothing at that address. Correct the target in "
        "{objects}, or check {variable}_URL."
    )
    NOTHING_THERE = template(
        "There is nothing at that address. Check {variable}_URL, and that the service's ingress allows the job."
    )
    SOMETHING_ELSE = template("What answers there is not the engine. Check {variable}_URL.")
    REQUEST_TOO_LARGE = template("The request is too large for the engine. Lower {variable}_BATCH_SIZE.")
    NO_INSTANCE = template(
        "The engine had no free instance. Raise the service's maximum of instances, or lower {variable}_CONCURRENCY."
    )
    NOT_AVAILABLE = template("The engine was not available. Look for crashes and memory limits in its log.")
    OWN_TIMEOUT = template("The engine took longer than its own request timeout. Raise the service's timeout.")
    SLOW = template("No answer in time. Look for what is slow in the engine's log, or raise {variable}_TIMEOUT.")
    SLOW_BATCH = template(
        "No answer in time. Look for what is slow in the engine's log, raise {variable}_TIMEOUT, or lower "
        "{variable}_BATCH_SIZE."
    )
    NO_ANSWER = template("No whole answer came. Check that the service is up and that {variable}_URL is right.")
    HOST_UNKNOWN = template("No host has that name. Check {variable}_URL, and that names can be looked up here (DNS).")
    PROCESS_LIMIT = template(
        "The job may not open as many connections as it has calls. Raise its limit of open files (ulimit -n), or lower "
        "{variable}_CONCURRENCY."
    )
    NO_TOKEN = template(
        "Could not get a token. Check the job's service account; on a laptop, IMPERSONATE_SERVICE_ACCOUNT."
    )
    NO_TOKEN_SERVER = template(
        "Google's token server did not answer. Nothing has to be corrected; if it lasts, look at Google's status page."
    )
    UNREADABLE = template("This is not an answer of the engine. If every call fails like this, check {variable}_URL.")
    UNREADABLE_CARD = template(
        "This is not an answer of the engine. If every call fails like this, check {variable}_URL. Do not start again "
        "until it answers as it should: each start has these cards made, and may pay for them, again."
    )
    NOTHING_TO_DO = template("The start ended before the answer came: nothing has to be put right.")
    """Of a call that was cut off, unless a try of it had failed before."""

    @property
    def is_in_config(self) -> bool:
        return "{objects}" in self.value

    @property
    def is_of_job(self) -> bool:
        """Whether it is the same for all engines."""
        return self in {Remedy.NO_TOKEN, Remedy.NO_TOKEN_SERVER}

    def of(self, engine: EngineName, objects: Value) -> Message:
        """The sentence. `objects` of the config name the targets."""
        return message(self.value, objects=objects, variable=f"{engine.upper()}_ENGINE")

    def beside_answers(self, engine: EngineName, objects: Value) -> Message | None:
        """The same where the last answers stand beside it, if they do not say it all."""
        if self is Remedy.NOT_DONE:
            text = template(
                "The engine could not do this ticker. If it is at fault, correct or remove it in {objects}."
            )
            return message(text, objects=objects)
        return None if self is Remedy.FAILED else self.of(engine, objects)


_REMEDY_BY_STATUS: Mapping[int, Remedy] = {
    401: Remedy.TOKEN_REFUSED,
    403: Remedy.FORBIDDEN,
    404: Remedy.NOTHING_THERE,
    405: Remedy.SOMETHING_ELSE,
    413: Remedy.REQUEST_TOO_LARGE,
    429: Remedy.NO_INSTANCE,
    500: Remedy.BROKEN,
    502: Remedy.NOT_AVAILABLE,
    503: Remedy.NOT_AVAILABLE,
    504: Remedy.OWN_TIMEOUT,
}
_REMEDY_BY_CAUSE: Mapping[str | None, Remedy] = {
    Cause.TRANSPORT: Remedy.NO_ANSWER,
    Cause.HOST_UNKNOWN: Remedy.HOST_UNKNOWN,
    Cause.PROCESS_LIMIT: Remedy.PROCESS_LIMIT,
    Cause.TOO_LARGE: Remedy.SOMETHING_ELSE,
    Cause.IDENTITY: Remedy.NO_TOKEN,
    Cause.TOKEN_SERVER: Remedy.NO_TOKEN_SERVER,
    Cause.UNREADABLE: Remedy.UNREADABLE,
    Cause.INTERRUPTED: Remedy.NOTHING_TO_DO,
}


def remedy_of(
    engine: EngineName, cause: str | None, status: int | None, *, batch: int, has_done: bool | None
) -> Remedy:
    """What a person should do. `has_done` is whether the engine did another call; `None` if none was answered."""
    if cause == Cause.DENIED and engine == "trading":
        return Remedy.NOT_DONE
    if cause == Cause.UNREADABLE and ENGINES[engine].is_costly:
        return Remedy.UNREADABLE_CARD
    if cause == Cause.TIMEOUT:
        return Remedy.SLOW_BATCH if batch > 1 else Remedy.SLOW
    if cause != Cause.STATUS or status is None:
        return _REMEDY_BY_CAUSE.get(cause, Remedy.FAILED)
    if status in {500, 502} and engine in BATCHES and batch == 1:
        return Remedy.NOT_DONE
    if status in {400, 422}:
        return Remedy.CARD_NOT_ACCEPTED if engine == "qa" else Remedy.TARGET_NOT_ACCEPTED
    if status == 404 and has_done is None:
        return Remedy.NOT_THERE
    if status == 404 and has_done:
        return Remedy.CARD_NOT_KNOWN if engine == "qa" else Remedy.TARGET_NOT_KNOWN
    return Remedy.SOMETHING_ELSE if 300 <= status <= 399 else _REMEDY_BY_STATUS.get(status, Remedy.FAILED)

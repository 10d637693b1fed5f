"""Failures: what can go wrong with a call, what that means for retries and limits, and the remedy for people."""

from dataclasses import dataclass
from enum import StrEnum

from job.engines.catalog import EngineName
from job.engines.transport import ANSWER_TOO_LARGE, TOO_MANY_PIECES
from job.messages import Message, message, template


class Cause(StrEnum):
    """The kind of a failure."""

    TRANSPORT = "transport"
    """No whole answer came: refused, reset, cut short, no such host, no TLS."""
    PROCESS_LIMIT = "process_limit"
    """Nothing was sent: this process has reached a limit of its own."""
    TIMEOUT = "timeout"
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


_NO_ANSWER = {Cause.TRANSPORT, Cause.TIMEOUT}
_TRANSIENT = {*_NO_ANSWER, Cause.PROCESS_LIMIT, Cause.IDENTITY, Cause.UNREADABLE, Cause.DENIED}
_TRANSIENT_STATUS = {500, 502, 503, 504}
_OVERLOAD = {*_NO_ANSWER, Cause.PROCESS_LIMIT}
_OVERLOAD_STATUS = {502, 503, 504}
_OUTAGE = {*_NO_ANSWER, Cause.IDENTITY}
_OUTAGE_STATUS = {401, 403, 429}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed. Holds no token."""

    cause: Cause
    reason: Message
    status: int | None = None
    retry_after: float | None = None
    """Seconds, if the engine asks for a pause."""
    targets: tuple[str, ...] = ()
    """The targets of a batch that failed while others succeeded; empty if all failed."""

    @property
    def is_interruption(self) -> bool:
        """Whether the end of the run cut the attempt off: nobody's fault."""
        return self.cause is Cause.INTERRUPTED

    @property
    def is_rejection(self) -> bool:
        """Whether the engine had no room, and the request never reached it."""
        return self.status == 429

    @property
    def is_unauthorized(self) -> bool:
        """Whether the engine refused the token."""
        return self.status == 401

    @property
    def is_denial(self) -> bool:
        """Whether the engine answered that it did not do the work."""
        return self.cause is Cause.DENIED

    @property
    def is_transient(self) -> bool:
        """Whether another attempt may succeed."""
        return self.status in _TRANSIENT_STATUS if self.cause is Cause.STATUS else self.cause in _TRANSIENT

    @property
    def breaks_batches(self) -> bool:
        """Whether to retry a batch in halves: it may be too large, or hold a ticker that breaks the engine."""
        return self.status in _TRANSIENT_STATUS if self.cause is Cause.STATUS else self.cause in _NO_ANSWER

    @property
    def is_overload(self) -> bool:
        """Whether the engine, or this process, cannot cope with as many calls as there are."""
        return self.status in _OVERLOAD_STATUS if self.cause is Cause.STATUS else self.cause in _OVERLOAD

    @property
    def is_outage(self) -> bool:
        """Whether the engine could not be reached. An answer that was read is no outage."""
        if self.cause is Cause.STATUS:
            return self.status in _OUTAGE_STATUS or (self.status or 0) >= 500
        return self.cause in _OUTAGE


CUT_OFF = Failure(Cause.INTERRUPTED, message("cut off"))

_BY_STATUS = {
    401: template("The engine refuses the token. Set {variable}_AUDIENCE to the service's run.app URL."),
    403: template(
        "The job may not call this engine. Grant roles/run.invoker on the service to the job's service account."
    ),
    404: template("Nothing answers there. Check {variable}_URL, and that the service's ingress allows the job."),
    405: template("Something else answers there. Check {variable}_URL."),
    413: template("The request is too large for the engine. Lower {variable}_BATCH_SIZE."),
    422: template("The engine does not accept the request. Check the target and its parameters in the config."),
    429: template(
        "The engine had no room for as long as its timeout. Raise the service's maximum of instances, or lower "
        "{variable}_CONCURRENCY."
    ),
    500: template(
        "The engine returned an error for this request. Look into the {engine} engine's log by the trace, then resume "
        "the run."
    ),
    502: template(
        "The engine went away while it worked. Look into the {engine} engine's log by the trace, then resume the run."
    ),
    503: template("The engine was not available. Look for crashes and memory limits in its log, then resume the run."),
    504: template(
        "The engine took longer than its own request timeout. Raise the service's timeout, or lower the batch size."
    ),
}
_BY_CAUSE = {
    Cause.TRANSPORT: template(
        "No whole answer came. Check that the service is up and that {variable}_URL is right, then resume the run."
    ),
    Cause.PROCESS_LIMIT: template(
        "The job may not open as many connections as it has calls. Raise its limit of open files (ulimit -n), or lower "
        "{variable}_CONCURRENCY."
    ),
    Cause.IDENTITY: template(
        "Could not get a token. Check the job's service account, and IMPERSONATE_SERVICE_ACCOUNT if it is set."
    ),
    Cause.UNREADABLE: template(
        "This is not an answer of the engine. Look into its log by the trace; if every call fails like this, check "
        "{variable}_URL."
    ),
    Cause.INTERRUPTED: template("The run ended before the answer came. Resume the run: it makes this call again."),
}
_BY_DENIAL: dict[EngineName, str] = {
    "financial": template("The engine reports that it failed. Look into the financial engine's log by the trace."),
    "trading": template(
        "The engine could not do this ticker. Check ticker_list.json, and the engine's log by the trace."
    ),
    "news": template("The engine could not crawl or digest this target. Look into the news engine's log by the trace."),
    "qa": template(
        "The engine did not make the card. Look into the QA engine's log by the trace, then resume the run."
    ),
}
_SLOW = template("No answer in time. Look for what is slow in the engine's log, or raise {variable}_TIMEOUT.")
_SLOW_BATCH = template(
    "No answer in time. Look for what is slow in the engine's log, raise {variable}_TIMEOUT, or lower "
    "{variable}_BATCH_SIZE."
)
_TOO_LARGE = template("No engine answers at such length. Check what answers at {variable}_URL.")
_TOO_LARGE_IDS = {ANSWER_TOO_LARGE.id, TOO_MANY_PIECES.id}
_REDIRECT = template("The address redirects, which is not followed. Set {variable}_URL to where it leads.")
_OTHERWISE = template("Look into the {engine} engine's log by the trace.")


def remedy(engine: EngineName, cause: str | None, status: int | None, reason: Message | None, *, batch: int) -> Message:
    """What a person should do about a failed call. `batch` is the number of its targets."""
    text = _remedy(engine, cause, status, reason, batch)
    return message(text, engine="QA" if engine == "qa" else engine, variable=f"{engine.upper()}_ENGINE")


def _remedy(engine: EngineName, cause: str | None, status: int | None, reason: Message | None, batch: int) -> str:
    if cause == Cause.DENIED:
        return _BY_DENIAL[engine]
    if cause == Cause.TIMEOUT:
        return _SLOW_BATCH if batch > 1 else _SLOW
    if cause == Cause.TRANSPORT and reason is not None and reason.id in _TOO_LARGE_IDS:
        return _TOO_LARGE
    if cause == Cause.STATUS and status is not None:
        return _REDIRECT if 300 <= status <= 399 else _BY_STATUS.get(status, _OTHERWISE)
    return next((text for known, text in _BY_CAUSE.items() if known == cause), _OTHERWISE)

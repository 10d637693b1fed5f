"""What to do about a failure: pure, one sentence for each cause that a person can do something about."""

from dataclasses import dataclass
from enum import StrEnum

from job.engines.catalog import EngineName


class Cause(StrEnum):
    """Whose fault a failure is, as far as that decides what follows."""

    TRANSPORT = "transport"
    """No whole answer: refused, reset, cut short, no such host, no TLS."""
    TIMEOUT = "timeout"
    IDENTITY = "identity"
    """No token could be had: nothing was sent."""
    STATUS = "status"
    UNREADABLE = "unreadable"
    """A 2xx that is no JSON, or none of the engine's shapes."""
    DENIED = "denied"
    """A 2xx that says that the work was not done."""
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, for the policy of retries and for people; holds no token."""

    cause: Cause
    text: str
    status: int | None = None
    retry_after: float | None = None
    targets: tuple[str, ...] = ()
    """Those of a batch that failed where others succeeded; empty: all of them."""


_PASSING = {500, 502, 503, 504}


_AGAIN = {Cause.TRANSPORT, Cause.TIMEOUT, Cause.IDENTITY, Cause.UNREADABLE, Cause.DENIED}


def breaks_batches(failure: Failure) -> bool:
    """Whether a batch is to be asked again in halves: it may be too large, or hold a ticker that breaks the engine."""
    if failure.cause is Cause.STATUS:
        return failure.status in _PASSING
    return failure.cause in {Cause.TRANSPORT, Cause.TIMEOUT}


def is_transient(failure: Failure) -> bool:
    return failure.status in _PASSING if failure.cause is Cause.STATUS else failure.cause in _AGAIN


_OVERLOAD = {502, 503, 504}


def is_overload(failure: Failure) -> bool:
    return failure.status in _OVERLOAD if failure.cause is Cause.STATUS else failure.cause in _NO_ANSWER


_NO_ANSWER = {Cause.TRANSPORT, Cause.TIMEOUT}


_DOWN = {Cause.TRANSPORT, Cause.TIMEOUT, Cause.IDENTITY}


def is_outage(failure: Failure) -> bool:
    if failure.cause is Cause.STATUS:
        status = failure.status or 0
        return status in {401, 403, 429} or status >= 500
    return failure.cause in _DOWN


_STATUS = {
    401: "The engine refuses the token. Set {ENGINE}_ENGINE_AUDIENCE to the service's run.app URL.",
    403: "The job may not call this engine. Grant roles/run.invoker on the service to the job's service account.",
    404: "Nothing answers there. Check {ENGINE}_ENGINE_URL, and that the service's ingress allows the job.",
    405: "Something else answers there. Check {ENGINE}_ENGINE_URL.",
    413: "The request is too large for the engine. Lower its batch size.",
    422: "The engine does not accept the request. Check the target and its parameters in the config.",
    429: "The engine had no room for as long as its timeout. Raise the service's maximum of instances, or lower "
    "{ENGINE}_ENGINE_CONCURRENCY.",
    500: "The engine fails at this. Look into the {engine} engine's log by the trace, then resume the run.",
    502: "The engine was gone. Look into the {engine} engine's log by the trace, then resume the run.",
    503: "The engine was not available. Look for crashes and memory limits in its log, then resume the run.",
    504: "The engine took longer than its own request timeout. Raise the service's timeout, or lower the batch size.",
}


_CAUSE = {
    Cause.TRANSPORT: "No whole answer came. Check that the service is up and that {ENGINE}_ENGINE_URL is right, then "
    "resume the run.",
    Cause.IDENTITY: "No token could be had. Check the job's service account, and IMPERSONATE_SERVICE_ACCOUNT if set.",
    Cause.UNREADABLE: "This is not an answer of the engine. Look into its log by the trace; "
    "where every call fails so, check {ENGINE}_ENGINE_URL.",
    Cause.INTERRUPTED: "The run ended before the answer came. Resume the run: it is asked for again.",
}


_DENIED: dict[EngineName, str] = {
    "financial": "The engine says that it could not. Look into the financial engine's log by the trace.",
    "trading": "The engine could not do this ticker. Check ticker_list.json, and the engine's log by the trace.",
    "news": "The engine could not crawl or digest this target. Look into the news engine's log by the trace.",
    "qa": "The engine did not make the card. Look into the QA engine's log by the trace, then resume the run.",
}


_OTHERWISE = "Look into the {engine} engine's log by the trace."


def remedy(engine: EngineName, cause: str | None, status: int | None, reason: str, *, batch: int) -> str:
    """What a person should do about a call that failed so. `batch` is how many targets it was for."""
    text = _text(engine, cause, status, reason, batch)
    return text.format(ENGINE=engine.upper(), engine="QA" if engine == "qa" else engine)


def _text(engine: EngineName, cause: str | None, status: int | None, reason: str, batch: int) -> str:
    if cause == Cause.DENIED:
        return _DENIED[engine]
    if cause == Cause.TIMEOUT:
        smaller = ", or lower {ENGINE}_ENGINE_BATCH_SIZE" if batch > 1 else ""
        return (
            f"No answer in time. Look for what is slow in the engine's log, raise {{ENGINE}}_ENGINE_TIMEOUT{smaller}."
        )
    if cause == Cause.TRANSPORT and "larger than" in reason:
        return "The answer is larger than any of the engine's. Check what stands at {ENGINE}_ENGINE_URL."
    if cause == Cause.STATUS and status is not None:
        if 300 <= status <= 399:
            return "The address redirects, which is not followed. Set {ENGINE}_ENGINE_URL to where it leads."
        return _STATUS.get(status, _OTHERWISE)
    return next((text for known, text in _CAUSE.items() if known == cause), _OTHERWISE)

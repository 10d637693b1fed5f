"""Remedies: what a person does about a call that failed."""

from dataclasses import dataclass

from job.engines.calls import BATCHES
from job.engines.catalog import ENGINES, EngineName
from job.engines.failures import Cause
from job.engines.transport import HOST_UNKNOWN
from job.text.messages import Message, message, template


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a person should do about a failed call."""

    what: Message
    """What to correct."""
    in_config: bool
    """Whether it is in the config."""


_NOT_ACCEPTED = template(
    "The engine does not accept the request. Correct the target in ticker_list.json or card_targets.json."
)
_CARD_NOT_ACCEPTED = template(
    "The engine does not accept the request. Correct the target's parameters in card_targets.json, or the model in "
    "llm_config.json."
)
_BY_STATUS = {
    401: template("The engine refuses the token. Set {variable}_AUDIENCE to the service's run.app URL."),
    403: template(
        "The job may not call this engine. Grant roles/run.invoker on the service to the job's service account."
    ),
    404: template(
        "There is nothing at that address. Check {variable}_URL, and that the service's ingress allows the job."
    ),
    405: template("Something else answers there. Check {variable}_URL."),
    413: template("The request is too large for the engine. Lower {variable}_BATCH_SIZE."),
    429: template(
        "The engine had no free instance for as long as its timeout. Raise the service's maximum of instances, or "
        "lower {variable}_CONCURRENCY."
    ),
    500: template(
        "The engine returned an error for this request. Search the {engine} engine's log for the day's trace id."
    ),
    502: template("The engine went away while it worked. Search the {engine} engine's log for the day's trace id."),
    503: template("The engine was not available. Look for crashes and memory limits in its log."),
    504: template(
        "The engine took longer than its own request timeout. Raise the service's timeout, or lower the batch size."
    ),
}
NOTHING_TO_DO = template("The run ended before the answer came: there is nothing to put right.")
"""The remedy of a call that was cut off, unless a try of it had failed before."""
_BY_CAUSE = {
    Cause.PROCESS_LIMIT: template(
        "The job may not open as many connections as it has calls. Raise its limit of open files (ulimit -n), or lower "
        "{variable}_CONCURRENCY."
    ),
    Cause.TRANSPORT: template("No whole answer came. Check that the service is up and that {variable}_URL is right."),
    Cause.TOO_LARGE: template("No engine sends an answer this large. Check what answers at {variable}_URL."),
    Cause.IDENTITY: template(
        "Could not get a token. Check the job's service account, and IMPERSONATE_SERVICE_ACCOUNT if it is set."
    ),
    Cause.UNREADABLE: template(
        "This is not an answer of the engine. Search its log for the day's trace id; if every call fails like this, "
        "check {variable}_URL."
    ),
    Cause.INTERRUPTED: NOTHING_TO_DO,
}
_NOT_DONE = template(
    "The engine could not do this ticker. Correct or remove it in ticker_list.json or card_targets.json if it is at "
    "fault, else search the {engine} engine's log for the day's trace id."
)
_BREAKING = {500, 502}
"""The statuses that the engine returns for a ticker that breaks it."""
_BY_DENIAL: dict[EngineName, str] = {
    "financial": template(
        "The engine reports that it failed. Search the financial engine's log for the day's trace id."
    ),
    "trading": _NOT_DONE,
    "news": template(
        "The engine could not crawl or digest this target. Search the news engine's log for the day's trace id."
    ),
    "qa": template("The engine did not make the card. Search the QA engine's log for the day's trace id."),
}
_SLOW = template("No answer in time. Look for what is slow in the engine's log, or raise {variable}_TIMEOUT.")
_SLOW_BATCH = template(
    "No answer in time. Look for what is slow in the engine's log, raise {variable}_TIMEOUT, or lower "
    "{variable}_BATCH_SIZE."
)
_NO_HOST = template("No host has that name. Check {variable}_URL, and that names can be looked up here (DNS).")
_REDIRECT = template("The address redirects, which is not followed. Set {variable}_URL to where it leads.")
_OTHERWISE = template("Search the {engine} engine's log for the day's trace id.")
_NOT_KNOWN = template("The engine does not know this target. Correct it in ticker_list.json or card_targets.json.")
_CARD_NOT_KNOWN = template(
    "The engine does not know this card. Correct its card type in card_types.json, or its target in card_targets.json."
)
_IN_CONFIG = {_NOT_ACCEPTED, _CARD_NOT_ACCEPTED, _NOT_DONE}
"""Remedies that correct the config."""


def remedy(
    engine: EngineName,
    cause: str | None,
    status: int | None,
    reason: Message | None,
    *,
    batch: int,
    after: str | None = None,
) -> Remedy:
    """What a person should do about a failed call.

    `batch` is the number of its targets. If it was cut off, `after` is the cause of the failed try before. The
    remedy is for that cause, since the next try would probably have failed as well.
    """
    if cause == Cause.INTERRUPTED and after is not None and status != 429:
        inner = reason.values.get("reason") if reason is not None else None
        cause, reason = after, inner if isinstance(inner, Message) else None
    text = _remedy(engine, cause, status, reason, batch)
    what = message(text, engine=ENGINES[engine].word, variable=f"{engine.upper()}_ENGINE")
    return Remedy(what, in_config=text in _IN_CONFIG)


def not_known(engine: EngineName) -> Remedy:
    """What a person should do about a 404 of an engine that has done other calls, so that its address is right."""
    text = _CARD_NOT_KNOWN if engine == "qa" else _NOT_KNOWN
    return Remedy(message(text), in_config=True)


def _remedy(engine: EngineName, cause: str | None, status: int | None, reason: Message | None, batch: int) -> str:
    if cause == Cause.DENIED:
        return _BY_DENIAL[engine]
    if cause == Cause.TIMEOUT:
        return _SLOW_BATCH if batch > 1 else _SLOW
    if cause == Cause.TRANSPORT and reason is not None and reason.id == HOST_UNKNOWN:
        return _NO_HOST
    if cause == Cause.STATUS and status is not None:
        if status in _BREAKING and engine in BATCHES and batch == 1:
            return _NOT_DONE
        if status in {400, 422}:
            return _CARD_NOT_ACCEPTED if engine == "qa" else _NOT_ACCEPTED
        return _REDIRECT if 300 <= status <= 399 else _BY_STATUS.get(status, _OTHERWISE)
    return next((text for known, text in _BY_CAUSE.items() if known == cause), _OTHERWISE)

"""Remedies: where a failure is put right, and by whom, as far as that is known. Why it failed, the answer says.

It is decided here alone, by the engine, by what it answered, and by what it had made on the night before.
"""

from collections.abc import Mapping

from job.engines.calls import BATCHES, ENGINES, EngineName
from job.engines.failures import Cause
from job.text.messages import Message, message

_VARIABLES: Mapping[str | int | None, str] = {
    401: "audience",
    405: "url",
    413: "batch_size",
    Cause.HOST_UNKNOWN: "url",
    Cause.TOO_LARGE: "url",
    Cause.PROCESS_LIMIT: "concurrency",
}
"""The setting of the engine that has to be another one, by cause or status."""
_NO_ANSWER = {Cause.TRANSPORT, Cause.UNREADABLE}
_OF_TARGET = {400, 404, 422, 500, 502, Cause.DENIED, Cause.TIMEOUT}
"""What an engine answers, or does not, if it fails for one target."""


def remedy_of(
    engine: EngineName,
    cause: str | None,
    status: int | None,
    *,
    made_before: bool | None,
    account: str | None = None,
    is_deployed: bool = False,
) -> Message | None:
    """Where to put right what failed, and who does; `None` if neither is known.

    `made_before` is whether the engine made all of it on the night before; false if all of it is new since then, `None`
    if neither is known. `account` is the one that was refused. Terraform sets the variables of a job that
    `is_deployed`.
    """
    answer = status if cause == Cause.STATUS else cause
    is_server_error = isinstance(answer, int) and answer >= 500
    where, who = _objects(engine, answer, made_before), Message("")
    if answer == 403 and account is not None:
        who = message("an owner of the project gives {role} to {account}", role="roles/run.invoker", account=account)
    elif is_server_error or (made_before and answer in {404, Cause.TIMEOUT, *_NO_ANSWER}):
        who = message("the {engine} engine's owner", engine=ENGINES[engine].label)
    elif not where and (setting := _setting(engine, answer, made_before)) is not None:
        where = _variable(engine, setting, is_deployed=is_deployed)
        who = message("an owner of the project") if is_deployed else who
    parts = [
        *([message("Where: {where}.", where=where)] if where else []),
        *([message("Who: {who}.", who=who)] if who.id else []),
    ]
    if len(parts) == 2:
        return Message("{where} {who}", {"where": parts[0], "who": parts[1]})
    return parts[0] if parts else None


def _objects(engine: EngineName, answer: str | int | None, made_before: bool | None) -> str:
    """The config objects that name what failed, or have its parameters; empty if they may not be at fault."""
    if answer in {400, 422} and engine == "qa" and made_before is not False:
        return "card_targets.json, llm_config.json"
    is_named = answer in {400, 422} or (answer == Cause.DENIED and engine == "trading")
    if is_named or (made_before is False and answer in _OF_TARGET):
        return "card_types.json, card_targets.json" if engine == "qa" else "ticker_list.json, card_targets.json"
    return ""


def _setting(engine: EngineName, answer: str | int | None, made_before: bool | None) -> str | None:
    if answer in _NO_ANSWER or answer == 404 or (isinstance(answer, int) and 300 <= answer < 400):
        return None if made_before else "url"
    setting = _VARIABLES.get(answer)
    return setting if setting != "batch_size" or engine in BATCHES else None


def _variable(engine: EngineName, setting: str, *, is_deployed: bool) -> str:
    name = f"{engine}_ENGINE_{setting}".upper()
    if is_deployed:
        name += f" (Terraform: engines.{engine}.{setting})"
    return name

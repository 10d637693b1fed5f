"""Earlier: what images of 0.2.0 to 0.5.0 have recorded otherwise, and want of a record. Nothing else knows of it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from pydantic_core import from_json, to_json

from job.day.report import Report
from job.day.result import CallResult
from job.engines.calls import BATCHES, ENGINES
from job.engines.failures import Cause
from job.text.messages import Message, Value, colon, plural, said, semicolon

# --- a result ---

_AROUND = {"{error} (tried for {time})": "error", "cut off; the try before it failed: {reason}": "reason"}
"""What they wrote around an answer, with the value that has it."""
_SEVERAL = semicolon("", "").id
_UNITS = {"hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
_CHARGED = {Cause.TRANSPORT, Cause.TIMEOUT, Cause.TOO_LARGE, Cause.UNREADABLE}
"""The causes of which they counted each try as one that may have cost money."""


def read_line(line: bytes, attempt: int = 0) -> CallResult:
    """The result in a line of the journal of an attempt, whichever image has written it, with the facts of today.

    Raises `ValueError` if the job has not written it.
    """
    result = CallResult.parse(line, attempt)
    if result.charged_tries is None:
        is_charged = result.cause in _CHARGED or result.status == 504
        result.charged_tries = result.tries if is_charged and ENGINES[result.engine].is_costly else 0
    if result.reason is not None:
        _read_around(result, result.reason)
    return result


def _read_around(result: CallResult, reason: Message) -> None:
    """Takes the facts from a reason in which they stand around the answer."""
    inner, account = reason.values.get(_AROUND.get(reason.id, "")), reason.values.get("account")
    if isinstance(account, str):
        result.account = account
    if isinstance(inner, Message):
        result.reason, result.tried_seconds = inner, _seconds_in(reason.values.get("time", "")) or None
        _read_around(result, inner)
    elif reason.id == _SEVERAL and result.engine in BATCHES and not result.by_target:
        result.by_target = tuple(_by_target(reason))


def _seconds_in(time: Value) -> float:
    """The seconds of a `duration`; 0 of anything else."""
    values = time.values.items() if isinstance(time, Message) else ()
    return sum(_UNITS[name] * float(str(value)) if name in _UNITS else _seconds_in(value) for name, value in values)


def _by_target(reason: Value) -> Iterator[tuple[str, Message]]:
    """The answer about each ticker, of those that stand one after the other."""
    if isinstance(reason, Message) and reason.id == _SEVERAL:
        for part in reason.values.values():
            yield from _by_target(part)
    elif isinstance(reason, Message) and reason.id == colon("", "").id:
        yield str(reason.values["before"]), said(reason.values["after"])


# --- the end of an attempt ---

_SWITCHES = {
    "1 card was made without {engine} data; a plain start does not make it again": "switched_off",
    "1 card was made with {engine} data, unlike on {day}; a plain start does not make it again": "switched_on",
}
"""How they said that an engine was switched."""


def read_end(data: bytes) -> object:
    """What an end holds, whichever image has written it, with the facts of today. Raises `ValueError`."""
    stored = from_json(data)
    if isinstance(stored, dict) and "failures" not in stored:
        with suppress(LookupError, TypeError, ValueError, AttributeError):  # it is validated afterwards
            stored = {**stored, "failures": [*_failures(stored)], **_changes(stored)}
    return stored


def _failures(stored: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
    """What failed alike, of what was missing, with the last answer of each engine."""
    answers = {answer["values"]["before"]: answer["values"]["after"] for answer in reversed(stored.get("answers", []))}
    alike: dict[tuple[str, str | None], dict[str, list[str]]] = {}
    for group in stored.get("missing", []):
        if group["state"] == "failed":
            targets = alike.setdefault((group["engine"], group.get("cause")), {})
            for target in group["targets"]:
                targets.setdefault(target, []).extend(filter(None, [group.get("card_type")]))
    for (engine, cause), targets in alike.items():
        listed = [{"target": target, "card_types": types} for target, types in targets.items()]
        count = sum(len(types) or 1 for types in targets.values())
        yield {
            "engines": [engine],
            "cause": cause,
            "answers": [answers[engine]] if engine in answers else [],
            "items": {"count": count, "targets_count": len(targets), "targets": listed},
        }


def _changes(stored: Mapping[str, Any]) -> Mapping[str, object]:
    """Which engines were switched or moved, and since when, of sentences."""
    changes, since = list[Mapping[str, object]](), ""
    for sentence in stored.get("changed", []):
        values = sentence["values"]
        if (kind := _SWITCHES.get(sentence["id"])) is not None:
            changes.append({"kind": kind, "name": _text(values["engine"]), "cards": values["count"]})
        else:
            values = values["change"]["values"]
            moved = {"before": values["before"], "after": values["after"]}
            changes.append({"kind": "moved", "name": values["variable"], "cards": 1, "values": [moved]})
        since = values.get("day", since)
    if not since:
        return {"changes": changes}
    year = int(stored["day"][:4])
    year -= f"{year}-{since}" >= stored["day"]
    return {"changes": changes, "compared_with": f"{year}-{since}"}


def _text(message: Any) -> str:
    """The engine whose label it is."""
    return next(name for name, engine in ENGINES.items() if engine.label.id == message["id"])


def end_json(report: Report) -> bytes:
    """The end of an attempt, as it is recorded: the facts, and the sentence without which 0.5.0 refuses it.

    Nothing here reads that sentence. 0.5.0 has its words in both languages.
    """
    cards = report.cards
    sentence = Message("All data is ready" if report.had_plan else "nothing was called")
    if cards.missing:
        of_all = {"count": cards.missing, "planned": cards.planned}
        sentence = Message("1 of {planned} cards is missing", of_all, "{count} of {planned} cards are missing")
    elif cards.done:
        sentence = plural("the card is made", "all {count} cards are made", count=cards.done)
    return to_json({**report.facts, "sentence": sentence}) + b"\n"

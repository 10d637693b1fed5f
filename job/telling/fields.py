"""Fields: what programs are told of a day: in `report.json`, in the last line of the log, and with the message."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass

from pydantic import BaseModel

from job.day.report import Report
from job.telling.view import View
from job.text.messages import Message


def report_json(view: View) -> bytes:
    """The bytes of `report.json`: the facts, and how they are put into words. Each message is its English text."""
    report = view.report
    words = {
        "sentence": view.sentence,
        "notes": view.notes,
        "changed": view.changed,
        "answers": report.answers,
    }
    return json.dumps({**report.facts, **words}, default=_plain, ensure_ascii=False, indent=1).encode()


def _plain(value: object) -> object:
    """What has no JSON of its own."""
    if isinstance(value, BaseModel):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, Message):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)


def totals_of(report: Report) -> Mapping[str, object]:
    """How a start ended, and the totals: in the last line of the log and in the message."""
    return {
        "outcome": report.outcome,
        "exit_code": report.exit_code,
        "ended": report.ended,
        "cards": asdict(report.cards),
        "engines": {name: asdict(engine) for name, engine in report.engines.items()},
        **({"asked_again": report.asked_again, "made_again": report.made_again} if report.asked_again else {}),
        **({"without": report.without} if report.without else {}),
    }

"""What 0.5.0 has stored as sentences is read as facts; and it is told what it wants of an end."""

import json
from typing import Any

import pytest

from job.day.report import Change, Report, ValueChange
from job.records.earlier import end_json
from job.records.objects import RecordError, read_report
from job.telling.sentence import sentence_of
from tests.support.days import DAY, SCENES

SWITCHED = {
    "id": "1 card was made without {engine} data; a plain start does not make it again",
    "values": {"count": 34, "engine": {"id": "news", "values": {}, "plural": None}},
    "plural": "{count} cards were made without {engine} data; a plain start does not make them again",
}
WAS = {"variable": "QA_ENGINE_URL", "day": "11-23", "before": "https://a", "after": "https://b"}
MOVED = {
    "id": "{change}; a plain start does not make any card again",
    "values": {"change": {"id": "{variable} changed since {day}: {before} → {after}", "values": WAS, "plural": None}},
    "plural": None,
}


def read_as_of_0_5_0(scene: str, **more: Any) -> Report:
    """The end of a day as 0.5.0 has recorded it."""
    report = SCENES[scene]().report
    stored = json.loads(end_json(report))
    for name in ("failures", "changes", "compared_with"):
        del stored[name]
    stored |= {"answers": [vars_of(answer) for answer in report.answers], **more}
    return read_report(DAY, 1, json.dumps(stored).encode())


def vars_of(message: Any) -> object:
    if not hasattr(message, "id"):
        return message
    values = {name: vars_of(value) for name, value in message.values.items()}
    return {"id": message.id, "values": values, "plural": message.plural}


def test_what_was_said_to_have_changed_is_a_change_with_the_day_before() -> None:
    report = read_as_of_0_5_0("all made", changed=[SWITCHED, MOVED])
    assert report.changes == (
        Change("switched_off", "news", 34),
        Change("moved", "QA_ENGINE_URL", 1, (ValueChange("https://a", "https://b"),)),
    )
    assert (report.compared_with, report.severity) == ("2026-11-23", "warn")


@pytest.mark.parametrize("scene", ["cards missing", "data failed"])
def test_what_was_missing_has_failed_alike_with_the_answer_of_its_engine(scene: str) -> None:
    view = SCENES[scene]()
    report = read_as_of_0_5_0(scene)
    shown = [(group.engines, group.cause, group.answers[:1], group.items) for group in view.report.failures]
    assert [(group.engines, group.cause, group.answers, group.items) for group in report.failures] == shown
    assert (sentence_of(report), report.answers) == (view.sentence, view.report.answers)


@pytest.mark.parametrize("changed", [[{}], [1], 1, [{"id": "x", "values": {}}]])
def test_what_it_has_not_written_so_is_refused_or_has_no_change(changed: object) -> None:
    try:
        report = read_as_of_0_5_0("all made", changed=changed)
    except RecordError:
        return
    assert report.changes == ()


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        ("all made", "all 58 cards are made"),
        ("cards missing", "6 of 58 cards are missing"),
        ("data alone", "All data is ready"),
        ("bad config", "nothing was called"),
    ],
)
def test_an_end_has_the_sentence_without_which_0_5_0_refuses_it(scene: str, sentence: str) -> None:
    stored = json.loads(end_json(SCENES[scene]().report))["sentence"]
    assert (stored["plural"] or stored["id"]).format(**stored["values"]) == sentence

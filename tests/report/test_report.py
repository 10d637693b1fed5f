"""The report has the documented fields, adds up, and is read as it was written."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from job.engines.catalog import EngineName
from job.ledger.ledger import Ledger
from job.report.format import RecordError
from job.report.outcome import Outcome
from job.report.report import RunReport, read_report, report_of
from tests.records.test_record import INPUTS
from tests.support.nights import Night


def test_a_report_is_read_as_it_was_written() -> None:
    report, _ = Night(["AAPL"], ["news_card"]).build()
    assert read_report("report.json", report.model_dump_json().encode()) == report
    newer = {**json.loads(report.model_dump_json()), "more": 1}
    assert read_report("report.json", json.dumps(newer).encode()) == report


@pytest.mark.parametrize("change", [{"format": 2}, {"cards": []}, {"run_id": None}])
def test_a_report_of_another_format_is_refused(change: dict[str, object]) -> None:
    report, _ = Night(["AAPL"], ["news_card"]).build()
    data = json.dumps({**json.loads(report.model_dump_json()), **change}).encode()
    with pytest.raises(RecordError, match=r"report\.json"):
        read_report("report.json", data)


def test_every_field_of_the_report_is_in_its_schema() -> None:
    schema = RunReport.model_json_schema()
    assert schema["properties"].keys() >= {"format", "run_id", "cards", "engines", "failures", "config_generations"}


def half_fail(engine: EngineName, number: int) -> Any:
    return ([], "denied", "no", 200) if engine == "qa" and number % 2 else ([], None, None, 200)


def test_every_missing_card_is_in_the_report_with_its_state_and_cause() -> None:
    report, ledger = Night(["A", "B"], ["a", "b"], fate=half_fail).build("cards_missing", 3, "x")
    assert [card.model_dump() for card in report.missing] == [
        {"target": "A", "card_type": "b", "state": "failed", "cause": "denied"},
        {"target": "B", "card_type": "b", "state": "failed", "cause": "denied"},
    ]
    assert report.missing_not_listed == 0
    assert len(list(ledger.items["qa"].missing())) == 2


def test_of_many_missing_cards_10_000_are_listed_and_the_rest_is_counted() -> None:
    night = Night([f"T{n}" for n in range(6_000)], ["a", "b", "c"])
    ledger = Ledger(night.plan())
    report = report_of(INPUTS, ledger, state=Outcome.KILLED)
    assert (len(report.missing), report.missing_not_listed) == (10_000, 8_000)
    assert {(card.state, card.cause) for card in report.missing} == {("not_attempted", None)}
    assert report.missing[0].target == "T0"
    assert report.cards.planned == 18_000


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_state_of_a_missing_card_is_that_of_its_listed_failure(order: tuple[int, ...]) -> None:
    """Whatever the order in which the attempts' results are read."""
    night = Night(["A"], ["a"], fate=lambda engine, _: ([], "denied" if engine == "qa" else None, "no", 200))
    ledger = Ledger(night.plan())
    *data, card = night.results()
    attempts = [
        replace(card, cause=cause, ended=card.ended + later)
        for later, cause in enumerate(["denied", "status", "interrupted"])
    ]
    for result in [*data, *(attempts[place] for place in order)]:
        ledger.add(result)
    report = report_of(INPUTS, ledger, state=Outcome.KILLED)
    assert [failure.cause for failure in report.failures] == ["interrupted"]
    assert [(card.state, card.cause) for card in report.missing] == [("cut_off", "interrupted")]
    assert (report.engines["qa"].failed, report.engines["qa"].cut_off) == (1, 1)


def test_a_text_is_stored_in_english_and_whole_for_readers_in_other_languages() -> None:
    report, _ = Night(["A"], ["a"], fate=half_fail).build("cards_missing", 3, "Cards are missing.")
    stored = json.loads(report.model_dump_json())
    assert stored["sentence"] == "Cards are missing."
    assert stored["sentence_message"] == {"id": "Cards are missing.", "values": {}, "plural": None}
    early = {name: value for name, value in stored.items() if not name.endswith("_message")}
    for attempt in early["attempts"]:
        del attempt["sentence_message"]
    assert str(read_report("report.json", json.dumps(early).encode()).sentence) == "Cards are missing."


def test_a_text_that_was_altered_is_not_hidden_by_its_message() -> None:
    report, _ = Night(["A", "B"], ["a"], fate=half_fail).build("cards_missing", 3, "Cards are missing.")
    stored = json.loads(report.model_dump_json())
    stored["failures"][0]["reason"] = "altered"
    assert str(read_report("report.json", json.dumps(stored).encode()).failures[0].reason) == "altered"
    stored["sentence"] = "Everything was done."
    with pytest.raises(RecordError, match="its sentence is not that of its last attempt"):
        read_report("report.json", json.dumps(stored).encode())

"""The summary of a run is small whatever the run was, and says what was missing and since when."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from job.engines.catalog import EngineName
from job.ledger.ledger import Ledger
from job.report.format import RecordError
from job.report.report import summary_of
from job.report.summary import SUMMARY_LIMIT, NightBefore, RunSummary, pack_summary, read_summary
from tests.support.nights import Night


def half_fail(engine: EngineName, number: int) -> Any:
    return ([], "denied", "no", 200) if engine == "qa" and number % 2 else ([], None, None, 200)


def no_news(engine: EngineName, _number: int) -> Any:
    return ([], "status", "HTTP 500", 500) if engine == "news" else ([], None, None, 200)


def summarized(night: Night, before: RunSummary | None = None, **changes: Any) -> RunSummary:
    report, ledger = night.build("cards_missing", 3, "Cards are missing.", **changes)
    return summary_of(report, ledger, NightBefore.of(before, night.plan()) if before else None)


def test_a_summary_is_read_as_it_was_written_and_agrees_with_the_report() -> None:
    night = Night(["AAPL", "美联储"], ["a", "b"], fate=half_fail)
    report, ledger = night.build("cards_missing", 3, "Cards are missing.")
    summary = summary_of(report, ledger, None)
    assert read_summary("summary.json", pack_summary(summary), night.run_id) == summary
    for name in ("run_id", "day", "date", "config_uri", "started", "ended", "outcome", "exit_code", "cards", "engines"):
        assert getattr(summary, name) == getattr(report, name), name
    (group,) = summary.missing
    assert (group.engine, group.card_type, group.state, group.cause) == ("qa", "b", "failed", "denied")
    assert (group.since, group.nights, group.targets) == ("2026-11-24", 1, ("AAPL", "美联储"))
    assert summary.missing_not_listed == 0


def test_the_median_of_each_card_type_is_that_of_the_cards_that_were_made_the_slowest_first() -> None:
    night = Night(["A", "B", "C"], ["quick", "slow", "never"])
    ledger = Ledger(night.plan())
    for made in night.results():
        result = made
        if result.card_type is not None:
            seconds = {"A": 1, "B": 2, "C": 7}[result.targets[0]] * (10 if result.card_type == "slow" else 1)
            result = replace(result, ended=result.started + seconds)
            if result.card_type == "never":
                result = replace(result, done=False, cause="denied")
        ledger.add(result)
    report, _ = night.build()
    medians = summary_of(report, ledger, None).card_seconds
    assert list(medians) == ["slow", "quick"]
    assert list(medians.values()) == pytest.approx([20.0, 2.0], abs=0.01)


def test_the_seconds_of_a_phase_are_those_in_which_its_calls_were_in_flight() -> None:
    night = Night(["A"], ["a"])
    ledger = Ledger(night.plan())
    spans = {"financial": (100, 110), "trading": (105, 120), "news": (1000, 1003), "qa": (2000, 2004)}
    for result in night.results():
        started, ended = spans[result.engine]
        ledger.add(replace(result, started=float(started), ended=float(ended)))
    report, _ = night.build()
    assert summary_of(report, ledger, None).phases == {"data": 23.0, "cards": 4.0}


def test_a_summary_says_since_when_an_item_is_missing() -> None:
    first = summarized(Night(["A", "B"], ["a", "b"], fate=half_fail), day="2026-11-22")
    second = summarized(Night(["A", "B"], ["a", "b"], fate=no_news), first, day="2026-11-23")
    data, cards = [group for group in second.missing if group.engine == "news"], second.missing
    assert [(group.state, group.cause, group.nights, group.targets) for group in data] == [
        ("failed", "status", 1, ("A", "B"))
    ]
    third = summarized(Night(["A", "B"], ["a", "b"], fate=half_fail), second, day="2026-11-24")
    (group,) = third.missing
    assert (group.card_type, group.cause) == ("b", "denied")
    assert (group.since, group.nights) == ("2026-11-24", 1), "the cards were made on the night before"
    assert not [one for one in cards if one.engine == "qa"]


def test_an_item_not_attempted_in_between_keeps_its_cause_and_its_beginning() -> None:
    night = Night(["A", "B"], ["a", "b"], fate=half_fail)
    first = summarized(night, day="2026-11-22")
    report, _ = night.build(day="2026-11-23")
    second = summary_of(report, Ledger(night.plan()), NightBefore.of(first, night.plan()))
    cards = {group.card_type: group for group in second.missing if group.engine == "qa"}
    assert (cards["a"].state, cards["a"].cause, cards["a"].since, cards["a"].nights) == (
        "not_attempted", None, "2026-11-23", 1
    )  # fmt: skip
    assert (cards["b"].state, cards["b"].cause, cards["b"].since, cards["b"].nights) == (
        "not_attempted", "denied", "2026-11-22", 2
    )  # fmt: skip


@pytest.mark.parametrize("letter", ["x", "图", '"'])
def test_a_summary_is_never_too_large_and_counts_what_it_does_not_list(letter: str) -> None:
    night = Night([f"{number:06}{letter * 50}" for number in range(6000)], [f"{n}{letter * 60}" for n in range(3)])
    report, _ = night.build()
    summary = summary_of(report, Ledger(night.plan()), None)
    assert SUMMARY_LIMIT * 0.9 < len(pack_summary(summary)) <= SUMMARY_LIMIT
    listed = sum(len(group.targets) for group in summary.missing)
    assert listed + summary.missing_not_listed == 6 * 6000
    assert listed > 1000


ODD = ["\x1b[2J", "\u202e", "\n", "\x00", "\u2028"]
MISSING: dict[str, object] = {
    "engine": "qa",
    "card_type": "a",
    "state": "failed",
    "cause": "denied",
    "since": "2026-11-24",
    "nights": 1,
    "targets": ["A"],
}


def test_the_missing_items_that_are_altered_below_are_accepted_as_they_are() -> None:
    night = Night(["A"], ["a"])
    data = json.dumps({**json.loads(pack_summary(summarized(night))), "missing": [MISSING]}).encode()
    (group,) = read_summary("summary.json", data, night.run_id).missing
    assert group.model_dump(mode="json") == MISSING


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2}, {"run_id": "another"}, {"missing": [{"engine": "qa"}]}, {"day": "yesterday"},
        {"phases": {"data": -1}}, {"missing_not_listed": -1}, {"sentence": "x" * SUMMARY_LIMIT},
        *({field: f"a{odd}b"} for field in ("run_id", "config_uri", "started", "outcome", "sentence") for odd in ODD),
        *({"card_seconds": {f"a{odd}b": 1.0}} for odd in ODD),
        *({"missing": [{**MISSING, field: f"a{odd}b"}]} for field in MISSING for odd in ODD),
        *({"missing": [{**MISSING, "targets": [f"a{odd}b"]}]} for odd in ODD),
        {"missing": [{**MISSING, "cause": "No such cause"}]},
    ],
)  # fmt: skip
def test_a_summary_that_was_changed_is_refused_by_name(change: dict[str, object]) -> None:
    night = Night(["A"], ["a"])
    data = json.dumps({**json.loads(pack_summary(summarized(night))), **change}).encode()
    with pytest.raises(RecordError, match=r"summary\.json"):
        read_summary("summary.json", data, night.run_id)

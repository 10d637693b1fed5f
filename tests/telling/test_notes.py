"""A good night says nothing more; what is odd about one is a note, and what is not asked for any more is loud."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import pytest

from job.config.plan import Plan
from job.day.attempt import Outcome
from job.day.changes import lost_numbers, plan_then
from job.day.ending import Ending, ending_of
from job.day.history import Nights
from job.day.ledger import Ledger
from job.day.report import Change
from job.engines.calls import ALL_ENGINES
from job.telling.advice import Commands, advice
from job.telling.changes import change_of
from job.telling.lines import SIGNS
from job.telling.notes import ledger_notes
from job.telling.view import View, day_lines
from job.text.messages import message
from tests.simulators.job import ROOT
from tests.support.days import SCENES, Day, night_of
from tests.support.fakes import plan_of, target
from tests.support.records import NOW, RecordedAttempt, config, plan_from, report_at, start_at
from tests.support.results import result_of


def test_a_start_without_a_plan_is_compared_with_none() -> None:
    before = RecordedAttempt("2026-11-23")
    night = before.report(), before.plan
    refused = report_at(Ending(Outcome.BAD_CONFIG), start=start_at(number=0), before=night)
    assert (refused.changes, refused.compared_with) == ((), None)


def test_the_night_before_is_the_latest_one_with_a_plan() -> None:
    first, second, last = (night_of(Day(f"2026-11-{day}").play().view().report) for day in (20, 21, 23))
    faulty = night_of(report_at(Ending(Outcome.BAD_CONFIG), start=start_at("2026-11-22", number=0)))
    assert Nights([last, faulty, second, first]).before(last.day) == second.report
    assert Nights([last, faulty]).before(last.day) is None


# --- what is not asked for as on the night before ---

THEN = config(["AAPL", "MSFT", "TSLA"], ["news_card", "price_card"])
TOPIC = {"ticker_list.json": '["AAPL", "MSFT"]', "card_targets.json": '[{"id": "TSLA", "card_types": ["price_card"]}]'}
MODEL = '{"default": {"backend": "b", "model_name": "small"}, "tasks": {"news_card": {"model_name": "large"}}}'


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ({}, []),
        (
            {"ticker_list.json": '["AAPL", "NVDA"]', "card_types.json": '["news_card", "risk_card"]'},
            ["! No longer asked for since 2026-11-23, 5 cards: AAPL/price_card, MSFT (2), TSLA (2)"],
        ),
        (
            TOPIC,
            [
                "! No longer asked for since 2026-11-23, 1 card: TSLA/news_card",
                "! Another kind of target since 2026-11-23, equity → topic: TSLA/price_card",
            ],
        ),
        ({"llm_config.json": MODEL}, ["Made with another model than on 2026-11-23: – → large, small"]),
        ({"card_targets.json": '[{"id": "AAPL", "date": "2026-11-20"}]'}, []),
    ],
    ids=["nothing", "gone", "kind", "model", "date"],
)
def test_three_facts_are_told_of_the_night_before_and_two_are_loud(
    objects: Mapping[str, str], expected: list[str]
) -> None:
    before, now = RecordedAttempt("2026-11-23", objects=THEN), RecordedAttempt(objects={**THEN, **objects})
    found = report_at(Ending(Outcome.SUCCEEDED), now.ledger(), before=(before.report(), before.plan))
    told = [f"{'! ' * (one in found.loud_changes)}{change_of(one, before.day)}" for one in found.changes]
    assert told == expected
    assert found.severity == ("warn" if any(one.startswith("!") for one in expected) else "good")


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ({"card_types": ["price_card", "risk_card"]}, "price_card"),
        ({}, "news_card, price_card"),
        ({"card_types": ["risk_card"]}, ""),
        ({"target_type": "topic"}, ""),
        ({"category": "sector"}, ""),
    ],
)
def test_a_ticker_that_becomes_a_topic_unseen_is_a_fault_if_its_cards_had_numbers(
    entry: Mapping[str, object], names: str
) -> None:
    types = {"card_types.json": '["news_card", "price_card", "risk_card"]'}
    now = {**TOPIC, **types, "card_targets.json": json.dumps([{"id": "TSLA", **entry}])}
    found = [str(fault) for fault in lost_numbers(plan_from(THEN, "2026-11-23"), plan_from(now))]
    fault = (
        'card_targets.json: "TSLA": is no ticker of ticker_list.json any more: these cards would lack the numbers that '
        f"they had on 2026-11-23: {names}; add it there again, remove it here, or give it a target_type"
    )
    assert found == ([fault] if names else [])
    off = plan_from({**THEN, "engine_control.json": '{"run_financials_engine": false, "run_trading_engine": false}'})
    assert [*lost_numbers(off, plan_from(now))] == []


def test_a_plan_that_asks_for_the_same_is_not_made_again() -> None:
    plan, before = RecordedAttempt().plan, RecordedAttempt("2026-11-23")
    other = before.stored.model_copy(update={"objects": config(["NVDA"])})
    assert plan_then(other, plan) is plan
    assert plan_then(other.model_copy(update={"plan": ""}), plan) == other.plan_again()
    unsound = other.model_copy(update={"plan": "", "objects": {"ticker_list.json": "?"}})
    assert plan_then(unsound, plan) is None


# --- what is odd about a night, and the command that puts it right ---

PLAN = plan_of([target("AAPL", ["a", "b"]), target("MSFT", ["a", "b"])])


def made(plan: Plan = PLAN) -> Ledger:
    """The ledger of a day on which each engine has done all its calls."""
    ledger = Ledger(plan)
    for engine in ALL_ENGINES:
        for call in plan.calls(engine):
            ledger.add(result_of(call))
    return ledger


def notes(ledger: Ledger) -> list[str]:
    return [str(note) for note in ledger_notes(ledger)]


def advised(ledger: Ledger) -> str | None:
    """The command with which the cards are made again."""
    start = start_at("2026-11-24", job="cards", qa_attempts=3)
    report = report_at(ending_of(ledger, None), ledger, start)
    found = [step.below for step in advice(report, ledger, Commands(start, "", start.days, NOW))]
    return next((command for command in found if "--again" in (command or "")), None)


# --- what the config has left behind ---


def plan_with(objects: Mapping[str, str]) -> Plan:
    return plan_from(config(types=["a", "b"]) | dict(objects))


OFF = {"engine_control.json": '{"run_news_engine": false}'}
OFF_NOTE = "engine_control.json: the {} engine is switched off. Cards without its data"


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (
            {"engine_control.json": '{"run_trading_engine": false}', "card_targets.json": '[{"id": "Topic"}]'},
            [f"{OFF_NOTE.format('trading')}: 4"],
        ),
        (
            OFF | {"card_targets.json": '[{"id": "AAPL", "run_engines": {"news": true}}]'},
            [f"{OFF_NOTE.format('news')}: 2"],
        ),
        (OFF | {"card_targets.json": '[{"id": "equities_default", "run_engines": {"news": true}}]'}, []),
        ({"card_targets.json": '[{"id": "AAPL", "run_engines": {"news": false, "trading": false}}]'}, []),
        (
            {"card_targets.json": '[{"id": "AAPL", "date": "2026-11-20"}, {"id": "MSFT", "date": "2026-11-24"}]'},
            ["2 cards for another date: AAPL (2026-11-20)"],
        ),
    ],
    ids=["trading", "on for one", "on for all", "off for one", "date"],
)
def test_a_switch_and_a_date_are_noted_not_those_of_entries(objects: Mapping[str, str], expected: list[str]) -> None:
    assert notes(made(plan_with(objects))) == expected


# --- the command for cards that are odd ---


def with_errors(*names: str, plan: Plan = PLAN) -> Ledger:
    """The ledger of a day on which these cards were done with an error besides."""
    ledger = made(plan)
    for call in plan.calls("qa"):
        if f"{call.targets[0]}/{call.card_type}" in names:
            ledger.add(result_of(call, ended=21.0, warning=message("odd")))
    return ledger


def test_of_many_cards_there_is_no_command() -> None:
    plan = plan_of([target(f"T{number:02}", ["a"]) for number in range(11)])
    odd = [f"T{number:02}/a" for number in range(11)]
    assert advised(with_errors(*odd[1:], plan=plan)) is not None
    assert advised(with_errors(*odd, plan=plan)) is None


def test_what_is_left_out_is_in_no_command_but_as_left_out() -> None:
    plan = replace(PLAN, targets=(*PLAN.targets, target("TSLA"))).without(["TSLA"])
    left = with_errors("AAPL/a", plan=plan)
    left.add(result_of(next(call for call in plan.without([]).calls("qa") if call.targets == ("TSLA",)), ended=1.0))
    arguments = "--args=run,--date=2026-11-24,--again=AAPL/a,--without=TSLA"
    assert advised(left) == f"gcloud run jobs execute cards {arguments}"


# --- which notes are loud ---

GONE = {"changes": (Change("gone", 1),), "compared_with": "2026-11-23", "changed_objects": ("ticker_list.json",)}
MODEL_ALONE = {"changes": (Change("other_model", 1),), "compared_with": "2026-11-23", "changed_objects": ("x",)}
LOUD: dict[str, Callable[[], View]] = {
    "results are not recorded: do not start it again": lambda: replace(SCENES["all made"](), unrecorded=1),
    "an engine reported an error besides": SCENES["made with errors"],
    "its end is not recorded": lambda: replace(good(), unrecorded=0),
    "it was done before its own time, as after a change of the schedule; with the command that makes it anew": lambda: (
        good(
            schedule="30 22 * * *",
            started="2026-11-24T22:30:03+08:00",
            done_since=datetime.fromisoformat("2026-11-24T22:19:59+08:00"),
        )
    ),
    "cards are no longer asked for since the night before, or targets are of another kind; it names the config objects "
    "that were written since": lambda: good(**GONE),
    "cards are made with another model than on the night before": lambda: good(**MODEL_ALONE),
    "something is left out": SCENES["without one"],
}


def good(**about: object) -> View:
    view = SCENES["all made"]()
    return replace(view, report=view.report.model_copy(update=about))


def test_which_notes_are_loud_is_the_table_of_the_page() -> None:
    """Message, both pages and `report` take their mark from the same severity."""
    page = (ROOT / "job" / "faults.md").read_text(encoding="utf-8").partition("<!-- loud -->")[2]
    rows = [line.strip("| ").split(" | ") for line in page.partition("<!-- /loud -->")[0].splitlines()[3:] if line]
    shown = {what: mark.split("`")[1] for what, mark in rows}
    assert shown == {what: SIGNS[view().severity] for what, view in LOUD.items()}
    assert (good(**GONE).report.exit_code, bool(good(**GONE).report.done_at)) == (0, True)


@pytest.mark.parametrize(("about", "is_said"), [(GONE, True), (MODEL_ALONE, False)])
def test_the_objects_that_were_written_are_named_with_a_loud_change(about: dict[str, object], *, is_said: bool) -> None:
    said = [str(line.text) for line in day_lines(good(**about)) if "Changed or written again" in str(line.text)]
    assert bool(said) is is_said

"""A good night says nothing more; what is odd about one, new, gone or still missing is a note, and some are loud."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from job.config.plan import Plan
from job.day.attempt import Outcome
from job.day.ending import Ending, ending_of
from job.day.history import NightBefore, night_before
from job.day.ledger import Ledger
from job.day.report import Change, Report, ValueChange
from job.day.result import ShutdownReason
from job.engines.calls import ALL_ENGINES
from job.engines.failures import Cause, Failure
from job.telling.advice import Commands, advice
from job.telling.lines import SIGNS
from job.telling.notes import ledger_notes, still_missing
from job.telling.view import View, day_lines
from job.text.messages import message
from tests.simulators.job import ROOT
from tests.support.days import DAY, RESET, SCENES, Day, Fate, failing, well
from tests.support.fakes import plan_of, target
from tests.support.records import NOW, RecordedAttempt, config, plan_from, report_at, start_at
from tests.support.results import result_of

NO = Failure(Cause.DENIED, message("no"), 200)


def night(day: int, fate: Fate = well, **start: object) -> Day:
    return Day(f"2026-11-{day}", [target(name, ["a", "b"]) for name in "ABC"], start).play(fate)


def played(fates: Sequence[Fate | None]) -> tuple[list[Report], Ledger]:
    """The reports of a night for each fate, and the ledger of the last; `None` is one whose config was faulty."""
    reports, ledger = list[Report](), Ledger.empty(DAY)
    for day, fate in enumerate(fates, 20):
        if fate is None:
            begun = start_at(f"2026-11-{day}", number=0)
            reports.append(report_at(Ending(Outcome.BAD_CONFIG), start=begun))
            continue
        last = night(day, fate)
        reports.append(last.view(None, *reports).report)
        ledger = last.ledger
    return reports, ledger


def cards(*names: str) -> Fate:
    return lambda engine, name, card: NO if engine == "qa" and f"{name}/{card}" in names else None


STILL = "Still missing, for {} nights: {}"
THREE = [STILL.format(3, "A/a"), STILL.format(2, "B/b")]


@pytest.mark.parametrize(
    ("fates", "expected"),
    [
        pytest.param([cards("A/a")], [], id="no night before"),
        pytest.param([cards("A/a"), well], [], id="mended"),
        pytest.param([well, cards("A/a")], [], id="new"),
        pytest.param([cards("A/a"), cards("A/a")], [STILL.format(2, "A/a")], id="still"),
        pytest.param([cards("A/a"), cards("A/a", "B/b"), cards("A/a", "B/b", "C/a")], THREE, id="new and still"),
        pytest.param([cards("A/a"), well, cards("A/a")], [], id="again after a good night"),
        pytest.param([cards("A/a"), None, cards("A/a")], [STILL.format(2, "A/a")], id="the night before had no plan"),
        pytest.param([failing(NO, "news", "A")] * 2, [STILL.format(2, "A")], id="data"),
        pytest.param([failing(RESET, "news")] * 2, [], id="a whole engine"),
        pytest.param([failing(RESET, "qa")] * 2, [], id="the whole QA engine"),
        pytest.param(
            [well, failing(NO, "news", "A"), cards("A/a")], [STILL.format(2, "A/a")], id="the night before made no card"
        ),
    ],
)
def test_what_is_new_and_what_is_still_missing(fates: Sequence[Fate | None], expected: list[str]) -> None:
    (*_, last), _ = played(fates)
    assert list(map(str, still_missing(last))) == expected


def test_a_qa_engine_that_went_down_is_told_by_the_headline_alone() -> None:
    fate = lambda engine, name, _: RESET if engine == "qa" and name != "AAPL" else None  # noqa: E731
    day, before = Day(DAY).play(fate), Day("2026-11-23").play(fate).view().report
    assert [str(line)[:5] for line in day.view(None, before).notes] == ["Still"]
    assert day.view(ending_of(day.ledger, ShutdownReason.QA_DOWN), before).notes == ()


def test_what_was_left_out_is_no_news_when_it_is_back_and_fails() -> None:
    before = night(20, without=("C",)).view().report
    assert before.cards.left_out == 2
    assert list(map(str, night(21, cards("C/a")).view(None, before).notes)) == [STILL.format(2, "C/a")]


def test_a_plan_that_wants_the_same_cards_is_not_made_again() -> None:
    now, before = RecordedAttempt(), RecordedAttempt("2026-11-23")
    other = before.stored.model_copy(update={"objects": config(["NVDA"])})
    night = NightBefore.of([before.report()], other, DAY, now.plan)
    assert night is not None
    assert (night.plan, night.is_other) == (now.plan, False)


def test_a_start_without_a_plan_is_compared_with_none() -> None:
    before = RecordedAttempt("2026-11-23")
    night = NightBefore.of([before.report()], before.stored, DAY, before.plan)
    refused = report_at(Ending(Outcome.BAD_CONFIG), start=start_at(number=0), before=night)
    assert (refused.changes, refused.compared_with) == ((), None)


def test_the_night_before_is_the_latest_one_with_a_plan_in_whatever_order_they_come() -> None:
    (first, second, faulty, last), _ = played([well, well, None, well])
    assert night_before([faulty, first, last, second], last.day) == second
    assert night_before([faulty, last], last.day) is None


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


@pytest.mark.parametrize("dated", [True, False])
def test_what_was_written_is_named_for_cards_of_another_date(*, dated: bool) -> None:
    plan = plan_with({"card_targets.json": '[{"id": "AAPL", "date": "2026-11-20"}]'} if dated else {})
    told = {"compared_with": "2026-11-23", "changed_objects": ("card_targets.json", "ticker_list.json")}
    view = replace(good(**told), ledger=made(plan))
    names = [str(line.text) for line in day_lines(view) if "card_targets.json, ticker_list.json" in str(line.text)]
    assert bool(names) is dated


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

CHANGED = {"changes": (Change("switched_off", "news", 34),)}
MOVED = Change("moved", "QA_ENGINE_URL", 0, (ValueChange("a", "b"),))
QUIET = {"changes": (Change("new", "", 1), Change("gone", "", 1), MOVED)}
FEWER = {"changes": (Change("new", "", 1), Change("gone", "", 2))}
LOUD: dict[str, Callable[[], View]] = {
    "results are not recorded: do not start it again": lambda: replace(SCENES["all made"](), unrecorded=1),
    "an engine reported an error besides": SCENES["made with errors"],
    "its end is not recorded": lambda: replace(good(), unrecorded=0),
    "since the night before, an engine was switched and cards were made so, or its URL or audience changed": (
        lambda: good(**CHANGED)
    ),
    "a change of config asks for fewer cards than the night before; it names the config objects that were written "
    "since": lambda: good(**FEWER),
    "as many or more cards of which some are new or no longer asked for, or made with another model or other "
    "parameters": lambda: good(**QUIET),
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
    loud = good(**CHANGED).report
    assert (loud.exit_code, loud.severity_unchanged, bool(loud.done_at)) == (0, "good", True)

"""A night that is good says nothing more; whatever is odd about one is a note, with the command that puts it right."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from job.config.plan import Plan
from job.day.ending import ending_of
from job.day.ledger import Ledger
from job.day.report import Change, ValueChange
from job.engines.calls import ALL_ENGINES
from job.telling.advice import Commands
from job.telling.lines import SIGNS
from job.telling.notes import ledger_notes
from job.telling.view import View, day_lines
from job.text.messages import message
from tests.simulators.job import ROOT
from tests.support.days import SCENES
from tests.support.fakes import plan_of, target
from tests.support.records import NOW, config, plan_from, report_at, start_at
from tests.support.results import result_of

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


def advised(ledger: Ledger, *without: str) -> str | None:
    """The sentence and the command with which the cards are made again."""
    start = start_at("2026-11-24", job="cards", qa_attempts=3, schedule="30 22 * * *", without=without)
    report = report_at(ending_of(ledger, None), ledger, start)
    view = View.of(report, ledger, Commands(start, "", start.days, NOW))
    found = [step for step in view.steps if "--again" in (step.below or "")]
    return f"{found[0].text} {found[0].below}" if found else None


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
def test_a_switch_and_a_date_are_noted_and_what_entries_switch_off_is_not(
    objects: Mapping[str, str], expected: list[str]
) -> None:
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


AGAIN = (
    "Once what the error names is put right, this makes {0} cards again (by today's config; for a maintainer). It "
    "cannot be taken back: they count as missing until they are made, and {0} to {1} tries are charged per start:"
)
COMMAND = "gcloud run jobs execute cards --args=run,--date=2026-11-24"


def test_a_few_cards_are_named_in_the_command() -> None:
    assert advised(with_errors("AAPL/a", "MSFT/b")) == f"{AGAIN.format(2, 6)} {COMMAND},--again=AAPL/a,--again=MSFT/b"


def test_of_many_cards_there_is_no_command() -> None:
    plan = plan_of([target(f"T{number:02}", ["a"]) for number in range(11)])
    odd = [f"T{number:02}/a" for number in range(11)]
    assert advised(with_errors(*odd[1:], plan=plan)) is not None
    assert advised(with_errors(*odd, plan=plan)) is None


def test_what_is_left_out_is_in_no_command_but_as_left_out() -> None:
    plan = replace(PLAN, targets=(*PLAN.targets, target("TSLA"))).without(["TSLA"])
    left = with_errors("AAPL/a", plan=plan)
    left.add(result_of(next(call for call in plan.without([]).calls("qa") if call.targets == ("TSLA",)), ended=1.0))
    one = AGAIN.format(1, 3).replace("1 cards again", "1 card again").replace("they count", "the card counts")
    one = one.replace("until they are made", "until it is made")
    assert advised(left) == f"{one} {COMMAND},--again=AAPL/a,--without=TSLA"


def test_as_long_as_a_card_is_missing_there_is_no_such_command() -> None:
    ledger = with_errors("AAPL/a")
    ledger.rerun([PLAN.items("qa")[0]._replace(target="MSFT")], 2)
    assert advised(ledger) is None


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

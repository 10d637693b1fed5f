"""The sentence at the end says how the day stands; 0 means that its work is done, and no sentence claims more."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from job.config.faults import FaultKind
from job.day.attempt import ExitCode, Outcome
from job.day.ending import Ending, ending_of
from job.day.ledger import Ledger
from job.day.result import EngineFailedError, ShutdownReason
from job.engines.calls import ALL_ENGINES, DATA_ENGINES, ENGINES, EngineName, Item
from job.engines.failures import Cause, Failure
from job.telling.advice import Commands
from job.telling.notes import notes_of
from job.telling.sentence import sentence_of
from job.text.messages import message
from tests.support.days import SCENES
from tests.support.fakes import plan_of, target
from tests.support.records import DAY, FAULT, NOW, report_at, start_at
from tests.support.results import result_of
from tests.telling.test_notes import made

NO = Failure(Cause.STATUS, message("what an engine answered"), 500)


def ledger_of(made: int, planned: int) -> Ledger:
    """A ledger of so many cards, of which so many are made, and the others failed."""
    ledger = Ledger(plan_of([target(f"T{number}", engines=()) for number in range(planned)]))
    for number, call in enumerate(ledger.plan.calls("qa")):
        ledger.add(result_of(call, None if number < made else NO))
    return ledger


def refusing(*statuses: int) -> Ledger:
    """A ledger of cards that failed with these statuses."""
    ledger = Ledger(plan_of([target(f"T{number}") for number in range(len(statuses))]))
    for status, call in zip(statuses, ledger.plan.calls("qa"), strict=True):
        ledger.add(result_of(call, Failure(Cause.STATUS, message("no"), status)))
    return ledger


def data_of(*done: EngineName, failed: Sequence[EngineName] = ()) -> Ledger:
    """A ledger of a card whose data these engines have prepared; these have failed; the others are not done."""
    ledger = Ledger(plan_of([target("A")]))
    for engine in (*done, *failed):
        for call in ledger.plan.calls(engine):
            ledger.add(result_of(call, NO if engine in failed else None))
    return ledger


def shown(ending: Ending, ledger: Ledger | None = None, **about: Any) -> tuple[str, int | None, str]:
    """How a start ended; without a ledger, one that called nothing."""
    faults = about.pop("faults", ())
    start = start_at(**{"number": 0 if ledger is None else 1, **about})
    sentence = sentence_of(report_at(ending, ledger, start, faults=faults))
    return ending.outcome.value, ending.exit_code, str(sentence)


def noted(ending: Ending, ledger: Ledger) -> list[str]:
    return [*map(str, notes_of(report_at(ending, ledger, start_at(schedule=None)), ledger))]


SIGTERM, SIGINT = ShutdownReason.SIGTERM, ShutdownReason.SIGINT
DEADLINE, QA_DOWN, LEASE_LOST = ShutdownReason.DEADLINE, ShutdownReason.QA_DOWN, ShutdownReason.LEASE_LOST
ONE, OF_TWO = "1 card is missing", "1 of 2 cards made; 1 missing: T1/news_card"
LATE = "The deadline of 4 min passed"
NONE = "0 of 2 cards made; 2 missing"
NO_DATA = "0 of 1 cards made; 1 missing; data: "
REST = f"/news_card: {', '.join(f'T{number}' for number in range(1, 11))} and 55 more"
UNREADY = f"{NONE}; data: financial 0/2, trading 0/2, news 0/2"
NOTHING = "nothing was called"
FAILED = "The QA engine failed"


@pytest.mark.parametrize(
    ("ledger", "reason", "expected"),
    [
        (ledger_of(1, 1), None, ("succeeded", 0, "Done: 1 of 1 cards made")),
        (ledger_of(0, 0), None, ("succeeded", 0, "Done")),
        (ledger_of(0, 2), None, ("qa_engine_down", 3, f"{FAILED}: {NONE}")),
        (refusing(400, 422), None, ("cards_missing", 3, f"{FAILED}: {UNREADY}")),
        (refusing(500, 422), None, ("cards_missing", 3, f"{FAILED}: {UNREADY}")),
        (ledger_of(1, 2), QA_DOWN, ("qa_engine_down", 3, f"{FAILED}: {OF_TWO}")),
        (
            ledger_of(1, 66),
            QA_DOWN,
            ("qa_engine_down", 3, f"{FAILED}: 1 of 66 cards made; 65 missing: {REST}"),
        ),
        (refusing(503, 403), QA_DOWN, ("qa_engine_down", 3, f"{FAILED}: {UNREADY}")),
        (refusing(401, 403), QA_DOWN, ("qa_engine_down", 3, f"{FAILED}: {UNREADY}")),
        (ledger_of(1, 2), DEADLINE, ("deadline", 4, f"{LATE}: {OF_TWO}")),
        (data_of(), DEADLINE, ("deadline", 4, f"{LATE}: {NO_DATA}financial 0/1, trading 0/1, news 0/1")),
        (data_of("financial", "trading"), DEADLINE, ("deadline", 4, f"{LATE}: {NO_DATA}news 0/1")),
        (ledger_of(1, 2), SIGTERM, ("interrupted", 143, f"Interrupted by SIGTERM: {OF_TWO}")),
        (ledger_of(0, 2), SIGINT, ("interrupted", 130, f"Interrupted by SIGINT: {NONE}")),
        (ledger_of(1, 2), LEASE_LOST, ("busy", 75, f"Another start is at work, or has taken over: {OF_TWO}")),
        # a data engine that failed comes first
        (
            data_of(failed=["news"]),
            SIGTERM,
            ("data_engine_failed", 1, f"The news engine failed: {NO_DATA}financial 0/1, trading 0/1, news 0/1"),
        ),
    ],
)
def test_how_an_attempt_ended(ledger: Ledger, reason: ShutdownReason | None, expected: tuple[str, int, str]) -> None:
    failed = [one for one in ledger.failures if one.engine in DATA_ENGINES]
    ending = ending_of(ledger, reason, EngineFailedError(failed[-1]) if failed else None)
    assert shown(ending, ledger, deadline=240.0) == expected
    answer = report_at(ending, ledger).detail
    assert (answer and str(answer)) == ("news A: what an engine answered" if failed else None)


@pytest.mark.parametrize("reason", [None, *({*ShutdownReason} - {ShutdownReason.BUG})])
def test_a_day_whose_work_is_done_has_succeeded_whatever_stopped_the_attempt(reason: ShutdownReason | None) -> None:
    """A signal or the deadline may come after the last card: nothing is left to do."""
    assert ending_of(ledger_of(2, 2), reason, not_renewed=message("503")).exit_code == ExitCode.DONE


@pytest.mark.parametrize("reason", [None, *ShutdownReason])
@pytest.mark.parametrize("lacks", ["a card", "data", "a card that is to be made again"])
def test_a_day_that_lacks_anything_is_never_a_success(reason: ShutdownReason | None, lacks: str | None) -> None:
    plan = plan_of([target("A", ["a", "b"]), target("B", [])])
    ledger = Ledger(plan)
    for engine in ALL_ENGINES:
        calls = list(plan.calls(engine))
        for call in calls[: -1 if (engine, lacks) in {("qa", "a card"), ("news", "data")} else None]:
            ledger.add(result_of(call))
    if lacks == "a card that is to be made again":
        ledger.rerun([Item("qa", "A", "a")], 2)
        sentence = "1 card is missing: 1 of 2 cards made; 1 missing"
        assert shown(ending_of(ledger, None), ledger)[2] == sentence
        ledger.rerun([Item("qa", "A", "b")], 2)
        none = "Interrupted by SIGTERM: 0 of 2 cards made; 2 missing"
        assert shown(ending_of(ledger, SIGTERM), ledger)[2] == none
    assert not ledger.is_complete
    assert ending_of(ledger, reason).exit_code not in {ExitCode.DONE, None}


def test_a_lease_that_could_not_be_renewed_is_not_said_to_be_anothers() -> None:
    ending = ending_of(ledger_of(1, 2), ShutdownReason.LEASE_LOST, None, message("No space left on device"))
    assert shown(ending, ledger_of(1, 2)) == ("storage_failed", 75, f"Storage failed: {OF_TWO}")
    assert str(ending.detail) == "No space left on device"
    assert ending_of(ledger_of(1, 2), ShutdownReason.SIGTERM, None, message("No space")).detail is None


# --- what a person left out, or asked for again ---


def test_without_a_target_not_all_cards_are_there() -> None:
    ledger = made(plan_of([target("A"), target("B"), target("C")]).without(["C"]))
    ending = ending_of(ledger, None)
    assert shown(ending, ledger) == ("succeeded", 0, "Done: 2 of 2 cards made; 1 left out: C")
    assert noted(ending, ledger) == []
    assert shown(Ending(Outcome.UNFORESEEN), ledger)[2] == "The job has a bug: 2 of 2 cards made; 1 left out: C"
    there = Ending(Outcome.SUCCEEDED, done_since=datetime.fromisoformat(f"{DAY}T06:41:00+08:00"))
    assert shown(there, ledger, number=0)[2] == "Done: 2 of 2 cards made; 1 left out: C; nothing was called"
    assert noted(there, ledger) == [f"{DAY} has been done since 06:41 UTC+08:00"]


@pytest.mark.parametrize(("engine", "items", "names"), [("qa", "2 cards", "A (2)"), ("trading", "1 target", "A")])
def test_a_success_with_an_error_besides_is_a_warning_with_names(engine: EngineName, items: str, names: str) -> None:
    ledger = Ledger(plan_of([target("A", ["a", "b"], ("trading",))]))
    for call in (*ledger.plan.calls("trading"), *ledger.plan.calls("qa")):
        ledger.add(result_of(call, warning=message("no credit") if call.engine == engine else None))
    ending = ending_of(ledger, None)
    assert shown(ending, ledger) == ("succeeded", 0, "Done: 2 of 2 cards made")
    said = [f"Look at {items} of the {ENGINES[engine].label} engine: {names}"]
    if items == "1 target":  # the line with its error names it
        said = []
    there = Ending(Outcome.SUCCEEDED, done_since=datetime.fromisoformat("2026-11-24T02:30:00+08:00"))
    assert noted(ending, ledger) == said == noted(there, ledger)[1:]
    report = report_at(ending, ledger)
    assert (report.severity, report.engines[engine].with_error) == ("warn", int(items[0]))


# --- without calls ---


SO_FAR = f"The configuration has 1 fault: {OF_TWO}; {NOTHING}"


def test_an_ending_without_calls_says_what_is_there() -> None:
    refused = Ending(Outcome.BAD_CONFIG)
    assert shown(refused, ledger_of(1, 2), number=0, faults=[FAULT]) == ("bad_config", 2, SO_FAR)
    of_command = [replace(FAULT, kind=FaultKind.COMMAND)] * 2
    assert shown(refused, faults=of_command) == ("bad_config", 2, f"The command was refused: {NOTHING}")
    assert shown(Ending(Outcome.UNFORESEEN), ledger_of(2, 2))[2] == "The job has a bug: 2 of 2 cards made"


HELD = "Not recorded, since storage failed: 12 results. No card is requested before that is."


@pytest.mark.parametrize(
    ("scene", "cards", "lacks"),
    [
        ("cards missing", 12, []),
        ("cards missing", 0, []),
        ("interrupted before the cards", 0, [HELD]),
    ],
)
def test_what_the_record_lacks(scene: str, cards: int, lacks: list[str]) -> None:
    """A failed card is requested again for nothing; a record that only lacks its end is closed by the next start."""
    view = SCENES[scene]()
    commands = Commands(view.report, "", view.report.days, NOW)
    assert [*map(str, view.unended(12, cards, commands).notes)] == [*map(str, view.notes), *lacks]


# --- what holds for all ---


@pytest.mark.parametrize("scene", SCENES)
def test_a_sentence_quotes_no_answer_nor_claims_too_much_and_its_exit_code_is_that_of_its_outcome(scene: str) -> None:
    view = SCENES[scene]()
    report, sentence = view.report, str(view.sentence)
    assert not re.search(r"HTTP|refused|reset|null|since \d+ tries", sentence)
    outcome = report.outcome
    assert outcome.exit is None or report.exit_code == outcome.exit
    lacks = any(engine.missing for engine in report.engines.values())
    assert (report.exit_code == 0) is (report.outcome is Outcome.SUCCEEDED)
    assert report.exit_code != 0 or not lacks
    claims = "all" in re.findall(r"\w+", sentence.lower())
    assert not claims or not (lacks or report.without), sentence

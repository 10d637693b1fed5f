"""A report is read as it was written, adds up, and stays small enough for lists that read many."""

import json

import pytest

from job.config.faults import Fault
from job.day.attempt import ExitCode, Outcome
from job.day.ending import Ending
from job.day.failure_groups import GROUPS_LISTED
from job.day.ledger import Ledger
from job.day.report import MISSING_LISTED
from job.day.summary import FAULTS_LISTED, report_of
from job.engines.failures import CUT_OFF, Cause, Failure
from job.records.objects import RecordError, read_report
from job.telling.fields import report_json
from job.text.messages import message
from tests.support.days import SCENES, Day, failing
from tests.support.fakes import plan_of, target
from tests.support.records import DAY, RecordedAttempt, report_at, start_at
from tests.support.results import result_of

NO = Failure(Cause.DENIED, message("no"), 200)
MISSING = Ending(Outcome.CARDS_MISSING)


@pytest.mark.parametrize("scene", SCENES)
def test_a_report_is_read_as_it_was_written_and_adds_up(scene: str) -> None:
    view = SCENES[scene]()
    report = view.report
    if report.exit_code is not None:
        assert read_report(report.day, report.number, report.to_json()) == report
    listed = sum(len(group.targets) for group in report.missing)
    assert listed + report.missing_not_listed == sum(engine.planned - engine.done for engine in report.engines.values())
    for engine in report.engines.values():
        assert engine.done + engine.failed + engine.not_attempted == engine.planned


@pytest.mark.parametrize(
    "change",
    [
        *({"engines": []}, {"exit_code": 3}, {"outcome": "cards_missing"}),
        *({"outcome": "cards_missing", "exit_code": code} for code in (None, 99)),
        *({"ended": "2026-11-24T02:00:03"}, {"ended": "9999-11-24T02:00:03+00:00"}),
    ],
)
def test_a_report_that_the_job_has_not_written_is_refused(change: dict[str, object]) -> None:
    data = json.dumps({**json.loads(RecordedAttempt().report().to_json()), **change}).encode()
    with pytest.raises(RecordError, match=rf"^{DAY}/ends/000001\.json is not as the job wrote it"):
        read_report(DAY, 1, data)


def test_a_phase_lasts_from_its_first_call_to_its_end_in_each_attempt() -> None:
    ledger = Ledger(plan_of([target(name, engines=["news"]) for name in "ABCD"]))
    for call, (started, ended, attempt) in zip(
        ledger.plan.calls("news"), ((8, 10, 0), (1, 9, 0), (13, 15, 0), (50, 51, 1)), strict=True
    ):
        ledger.add(result_of(call, started=float(started), ended=float(ended), attempt=attempt))
    ledger.add(result_of(next(ledger.plan.calls("qa")), started=20.0, ended=24.0))
    assert report_at(MISSING, ledger).phases == {"data": 15.0, "cards": 4.0}


# --- what is missing ---


def test_missing_items_are_in_groups_the_failed_ones_first() -> None:
    ledger = Ledger(plan_of([target(name, ["a", "b"], ()) for name in "ABC"]))
    fates = {("A", "a"): NO, ("B", "a"): NO, ("C", "b"): CUT_OFF}
    for call in ledger.plan.calls("qa"):
        card = (call.targets[0], call.card_type or "")
        if card != ("C", "a"):
            ledger.add(result_of(call, fates.get(card)))
    groups = report_at(MISSING, ledger).missing
    assert [(one.engine, one.card_type, one.state, one.cause, one.targets) for one in groups] == [
        ("qa", "a", "failed", "denied", ("A", "B")),
        ("qa", "a", "not_attempted", None, ("C",)),
        ("qa", "b", "cut_off", "interrupted", ("C",)),
    ]


def test_of_much_that_is_missing_the_first_is_listed_and_the_rest_is_counted() -> None:
    plan = plan_of([target(f"T{number:05}", ["a", "b", "c"], ()) for number in range(1_000)])
    ledger = Ledger(plan)
    for number, call in enumerate(plan.calls("qa")):
        if number % 7 == 0:
            ledger.add(result_of(call, Failure(list(Cause)[number % len(Cause)], message("no"), 500)))
    report = report_at(MISSING, ledger)
    listed = sum(len(group.targets) for group in report.missing)
    assert (listed, report.missing_not_listed) == (MISSING_LISTED, 2_000)
    failed = sum(len(group.targets) for group in report.missing if group.state == "failed")
    assert failed == ledger.counts("qa").failed - ledger.counts("qa").cut_off
    assert sum(group.items.count for group in report.failures) == failed
    assert len(report.failures) <= GROUPS_LISTED


def test_of_many_faults_the_first_are_listed() -> None:
    faults = [Fault(f"{number}", message("图"), message("词")) for number in range(250)]
    report = report_at(Ending(Outcome.BAD_CONFIG), start=start_at(number=0), faults=faults)
    assert (len(report.faults), report.faults_not_listed) == (FAULTS_LISTED, 250 - FAULTS_LISTED)


# --- for other programs ---


def test_for_programs_each_message_is_its_english_text() -> None:
    view = SCENES["cards missing"]()
    report, found = view.report, json.loads(report_json(view))
    assert (found["sentence"], found["notes"]) == (str(view.sentence), [*map(str, view.notes)])
    assert found["engines"]["qa"]["planned"] == 58
    assert found["missing"][0]["targets"] == list(report.missing[0].targets)
    assert found["failures"][0]["items"]["targets"][1] == {"target": "TSLA", "card_types": ["news_card"]}
    assert "values" not in json.dumps(found)


def test_what_people_asked_to_have_made_again_is_counted_and_how_much_of_it_was() -> None:
    made, failed, plain = (SCENES[name]().report for name in ("made again", "not made again", "all made"))
    assert (made.asked_again, made.made_again) == (5, 5)
    assert (failed.asked_again, failed.made_again) == (2, 1)
    assert (plain.asked_again, plain.made_again) == (0, 0)


def test_who_is_at_fault_is_known_only_if_data_failed() -> None:
    assert SCENES["data failed"]().report.at_fault == ("AAPL",)
    day = Day().play(failing(NO, "news", "AAPL"))
    stopped = Ending(Outcome.INTERRUPTED, signal=ExitCode.SIGTERM)
    assert report_of(start_at(), day.ledger, stopped, seconds=1).at_fault == ()


@pytest.mark.parametrize(
    ("started", "calls", "said"),
    [("2026-11-25T01:49:59", 24, 0), ("2026-11-25T01:50:00", 24, 1), ("2026-11-25T01:50:00", 0, 0)],
)
def test_a_past_day_says_that_some_data_is_of_today_if_it_has_prepared_any(started: str, calls: int, said: int) -> None:
    """Its calls began some hours after 02:00:03 on the day."""
    view = Day(at=calls * 3600.0, start={"started": f"{started}+08:00"}).play().view()
    assert sum("take no date" in str(note) for note in view.notes) == said

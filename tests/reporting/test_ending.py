"""The end of a failed run shows each cause once, what to do about it, and the command that resumes the run."""

from __future__ import annotations

from typing import Any

from job.engines.calls import card, news
from job.engines.catalog import EngineName
from job.engines.failures import Cause, Failure
from job.execution.events import CallFinished
from job.records.groups import FailureGroup, failure_groups
from job.records.results import CallResult
from job.reporting.ending import NextSteps, failure_lines, next_step_lines
from job.text.messages import message
from tests.support.nights import Night

WAY = NextSteps("night", "cards_missing", 57, 5, "f" * 32, "/runs/night/report.html", "python -m job resume night")


def result(call: Any, cause: Cause, reason: str, status: int | None = None) -> CallResult:
    failure = Failure(cause, message("{reason}", reason=reason), status)
    return CallResult.of(CallFinished(call, failure, 1, 1.0, 2.0, status, "00-a-b-01", 4), 0.0)


def groups(*results: CallResult) -> list[FailureGroup]:
    return failure_groups(results)


def lines(found: list[FailureGroup], not_listed: int = 0) -> list[str]:
    return [f"{mark} {text}" for mark, text in failure_lines(found, not_listed)]


REFUSES = "The engine does not accept the request. Correct the target and its parameters in the config."
REFUSED = [
    result(card(f"T{n:02}", "outlook_card", None, []), Cause.DENIED, "the model refused", 200) for n in range(12)
]


def test_a_cause_is_printed_once_with_its_remedy_and_the_first_names() -> None:
    assert lines(groups(*REFUSED)) == [
        "✗ QA engine: 12 cards failed: outlook_card: T00, T01, T02, T03, T04, T05, T06, T07, T08, T09 and 2 more",
        "  last answer: the model refused",
        "  what to do: The engine did not make the card. Search the QA engine's log for the run's trace id.",
    ]


def test_one_target_is_singular_and_a_fault_of_the_config_says_how_to_resume() -> None:
    assert lines(groups(result(news("AAPL", "equity", "AAPL", None), Cause.STATUS, "HTTP 422", 422))) == [
        "✗ News engine: 1 target failed: AAPL",
        "  last answer: HTTP 422",
        f"  what to do: {REFUSES} A plain resume keeps the recorded config: resume with --new-config.",
    ]


def test_calls_that_were_cut_off_are_not_failed_and_come_last() -> None:
    cut_off = [result(news(f"T{n}", "equity", "T", None), Cause.INTERRUPTED, "interrupted") for n in range(20)]
    found = lines(groups(*cut_off, *REFUSED[:1]))
    assert found[0].startswith("✗ QA engine: 1 card failed: T00 outlook_card")
    assert found[3].startswith("! News engine: 20 targets cut off: T0, ")


def test_a_failed_call_and_one_that_was_cut_off_are_two_groups_even_if_their_remedy_is_one() -> None:
    failed = result(news("A", "equity", "A", None), Cause.STATUS, "HTTP 401", 401)
    cut_off = result(news("B", "equity", "B", None), Cause.INTERRUPTED, "interrupted", 401)
    cut_off = cut_off.model_copy(update={"interrupted_after": "status"})
    assert cut_off.remedy == failed.remedy
    assert [(group.is_cut_off, group.items) for group in groups(cut_off, failed)] == [(False, 1), (True, 1)]


def test_the_most_frequent_answers_are_shown_and_the_others_counted() -> None:
    answers = [result(card(f"T{n}", "a", None, []), Cause.DENIED, f"no {n % 5}", 200) for n in range(11)]
    found = lines(groups(*answers))
    assert found[1:5] == [
        "  last answer for 3: no 0",
        "  last answer for 2: no 1",
        "  last answer for 2: no 2",
        "  other last answers: 2",
    ]


def test_failures_that_are_not_listed_are_counted() -> None:
    assert lines(groups(*REFUSED), 12_345)[-1] == "✗ 12,345 more failed"


def back(found: list[FailureGroup], **changes: Any) -> list[str]:
    values = {name: getattr(WAY, name) for name in NextSteps.__slots__}
    return [str(line) for line in next_step_lines(found, NextSteps(**{**values, **changes}))]


def test_the_end_says_where_to_look_and_ends_with_the_command_on_a_line_of_its_own() -> None:
    assert back(groups(*REFUSED[:5])) == [
        f"trace id: {'f' * 32}",
        "page: /runs/night/report.html",
        "Once the cause is put right, this requests only what is missing:",
        "  python -m job resume night",
    ]


def test_cards_that_no_group_names_are_counted_with_the_command_that_names_them() -> None:
    listing = "python -m job report night --missing"
    assert back(groups(*REFUSED), missing=1_200)[0] == f"1,200 cards are missing; their names: {listing}"
    assert back([], missing=1)[0] == f"1 card is missing; its name: {listing}"
    assert not any("--missing" in line for line in back(groups(*REFUSED[:5])))


def test_without_a_record_the_end_says_what_a_new_run_costs() -> None:
    found = back(groups(*REFUSED), command=None, page=None, missing=12)
    again = "a new run makes the 45 cards that are there again."
    assert found[-1] == f"This run is not recorded and cannot be resumed: {again}"
    assert back([], command=None, page=None, missing=57) == [
        "57 cards are missing. Only a recorded run lists its missing cards: set RUNS_URI.",
        "This run is not recorded and cannot be resumed: start a new run.",
    ]
    assert not any("job re" in line for line in found), "no command of a record that is not there"


def test_the_sentence_before_the_command_fits_the_end() -> None:
    assert back([], outcome="deadline", missing=0)[-2] == "Go on with what is missing:"
    assert back([], outcome="lease_lost", missing=0)[-2].startswith("Once no other run is at work")
    assert back([], outcome="unfinished", missing=0)[-2].startswith("Go on with what is missing:")


def fate(engine: EngineName, number: int) -> Any:
    return ([], "status", "HTTP 422", 422) if engine == "qa" and not number else ([], None, None, 200)


def test_the_report_of_a_night_has_the_command_that_its_failures_need() -> None:
    report, _ = Night(["A", "B"], ["a"], fate=fate).build("cards_missing", 3, "x")
    assert report.resume_command == "python -m job resume cards-nightly-x7k2p --new-config"
    assert [failure.then for failure in report.failures] == ["new_config"]
    whole, _ = Night(["A", "B"], ["a"]).build()
    assert (whole.resume_command, whole.missing) == (None, ())

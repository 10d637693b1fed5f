"""The end of a failed run shows each cause once, what to do about it, and the command that resumes the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from job.engines.calls import card, news
from job.engines.failures import Cause, Failure
from job.ledger.ledger import Ledger
from job.report.advice import Step
from job.report.failures import FailureGroup, failure_groups
from job.report.outcome import ending_of
from job.reporting.terminal import as_text, failure_lines
from job.text.messages import message
from tests.support.endings import report_at
from tests.support.records import Recorded
from tests.support.results import result_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from job.engines.calls import Call
    from job.ledger.result import CallResult


def result(call: Call, cause: Cause, reason: str, status: int | None = None) -> CallResult:
    return result_of(call, Failure(cause, message("{reason}", reason=reason), status))


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
        "  what to do: The engine did not make the card. Search the QA engine's log for the day's trace id.",
    ]


def test_one_target_is_singular() -> None:
    assert lines(groups(result(news("AAPL", "equity", "AAPL", None), Cause.STATUS, "HTTP 422", 422))) == [
        "✗ News engine: 1 target failed: AAPL",
        "  last answer: HTTP 422",
        f"  what to do: {REFUSES}",
    ]


def test_calls_that_were_cut_off_are_not_failed_and_come_last() -> None:
    cut_off = [result(news(f"T{n}", "equity", "T", None), Cause.INTERRUPTED, "interrupted") for n in range(20)]
    found = lines(groups(*cut_off, *REFUSED[:1]))
    assert found[0].startswith("✗ QA engine: 1 card failed: T00 outlook_card")
    assert found[3].startswith("! News engine: 20 targets cut off: T0, ")
    assert len(found) == 4, "there is nothing to be done about them"


def test_a_failed_call_and_one_that_was_cut_off_are_two_groups_even_if_their_remedy_is_one() -> None:
    failed = result(news("A", "equity", "A", None), Cause.STATUS, "HTTP 401", 401)
    cut_off = result(news("B", "equity", "B", None), Cause.INTERRUPTED, "interrupted", 401)
    cut_off = replace(cut_off, interrupted_after="status")
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


GO_ON = Step("resume", message("Go on:"), "resume night")
LISTING = "python -m job report night --missing"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def ending(planned: int, failed: Sequence[CallResult], steps: Sequence[Step] = (GO_ON,), **more: Any) -> list[str]:
    """The lines of a run of so many cards, after those about the causes."""
    ledger = Ledger(Recorded(tickers=[f"T{n:02}" for n in range(planned)], more=OUTLOOK).inputs.plan())
    for one in failed:
        ledger.add(one)
    report = report_at(ending_of(ledger, None), ledger, Recorded().inputs, **more)
    shown = as_text(report, ledger, steps).splitlines()
    return shown[max(at for at, line in enumerate(shown) if line.startswith(("  what to do: ", "qa "))) + 1 :]


OUTLOOK = {"card_types.json": '["outlook_card"]'}
TRACE = f"trace id: {report_at(ending_of(Ledger(Recorded().inputs.plan()), None)).trace_id}"


def test_the_end_says_where_to_look_and_what_to_do_and_how_the_run_ended() -> None:
    assert ending(5, REFUSED[:5], page="/runs/night/report.html") == [
        TRACE,
        "page: /runs/night/report.html",
        "Go on:",
        "  resume night",
        "Cards are missing: 0 of 5 cards are there, 5 failed. (exit code 3)",
    ]


@pytest.mark.parametrize("page", [None, ""])
def test_only_a_page_that_is_written_is_named(page: str | None) -> None:
    assert not any("page" in line for line in ending(5, REFUSED[:5], page=page))


def test_cards_that_no_group_names_are_counted_with_the_command_that_names_them() -> None:
    assert ending(1_200, REFUSED)[0] == f"1,200 cards are missing; their names: {LISTING}"
    assert ending(1, [])[:2] == ["Complete: 0 of 1 stock", f"1 card is missing; its name: {LISTING}"]
    assert not any("--missing" in line for line in ending(5, REFUSED[:5]))


def test_without_a_record_the_end_has_no_command_of_a_record() -> None:
    steps = [Step("look", message("Not listed.")), Step("again", message("Again:"), "start")]
    assert ending(12, REFUSED, steps, is_recorded=False)[1:-1] == ["Not listed.", "Again:", "  start"]
    assert ending(5, REFUSED[:5], steps, is_recorded=False)[1:-1] == ["Again:", "  start"], "all are named above"

"""The closing line fits into a log entry, and the report has the documented fields."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from job.engines.calls import trading
from job.engines.catalog import EngineName
from job.engines.failures import Cause, Failure
from job.engines.identity import RunIdentity
from job.execution.events import CallFinished
from job.execution.outcome import UNFORESEEN, ExitCode, Outcome, outcome_of
from job.execution.phases import EngineFailedError
from job.execution.progress import FAILURES_KEPT, RunProgress
from job.execution.shutdown import ShutdownReason
from job.records.format import RecordError
from job.records.reading import read_report
from job.records.report import RunReport, build_report
from job.records.timeline import Timeline
from job.reporting.cloud_log import LISTED, CloudLogReporter, error_report, summary_of
from job.text.messages import message
from tests.records.test_record import INPUTS
from tests.support.fakes import plan_of, settings_of, target
from tests.support.nights import Night

ENTRY = 256 * 1024
"""Bytes that an entry of Cloud Logging may have."""


def failed(targets: int, words: str) -> CallFinished:
    call = trading([f"{number:06}.SS" for number in range(targets)])
    text = "; ".join(f"{name}: {words}" for name in call.targets)
    return CallFinished(
        call, Failure(Cause.DENIED, message(text), 200), 4, 0.0, 1.0, 200, RunIdentity("r").traceparent(), 4
    )


def progress_with(failures: Sequence[CallFinished]) -> RunProgress:
    """The progress of a run in which these calls have failed."""
    planned = sum(len(event.call.targets) for event in failures)
    progress = RunProgress(plan_of([target(f"T{number}") for number in range(planned)], settings_of()), {})
    for event in failures:
        progress.on_event(event)
    return progress


@pytest.mark.parametrize(
    ("count", "targets", "words"), [(1, 1000, "没有数据" * 50), (5000, 1, "x" * 200), (300, 9, "😀" * 99)]
)
async def test_the_closing_line_is_within_an_entry(
    capfd: pytest.CaptureFixture[str], count: int, targets: int, words: str
) -> None:
    progress = progress_with([failed(targets, words)] * count)
    error = EngineFailedError(progress.failures[0], 4, None)
    log = CloudLogReporter(RunIdentity("r"), None)
    log.on_finish(outcome_of(progress, None, error), progress)
    log.on_event(progress.failures[0])
    await log.drain(5.0)
    for line in capfd.readouterr().out.splitlines():
        assert len(line.encode()) < ENTRY
        assert json.loads(line)["severity"] == "ERROR"


async def test_a_warning_is_in_the_log_of_the_call(capfd: pytest.CaptureFixture[str]) -> None:
    call = trading(["AAPL"])
    log = CloudLogReporter(RunIdentity("r"), None)
    log.on_event(CallFinished(call, None, 1, 0.0, 1.0, 200, "00-a-b-01", 4, warning=message("it is odd")))
    log.on_event(CallFinished(call, None, 1, 0.0, 1.0, 200, "00-a-b-01", 4))
    await log.drain(5.0)
    warned, plain = map(json.loads, capfd.readouterr().out.splitlines())
    assert warned["severity"] == "WARNING"
    assert warned["message"] == "trading AAPL: done in 1.00 s; it is odd"
    assert (warned["warning"], warned["outcome"]) == ("it is odd", "done")
    assert plain["severity"] == "INFO"
    assert "warning" not in plain


def test_failures_that_are_not_listed_are_counted() -> None:
    for count in (1000, FAILURES_KEPT + 1000):
        progress = progress_with([failed(1, "no")] * count)
        summary = summary_of(outcome_of(progress, None, None), progress)
        assert len(summary["failures"]) == LISTED  # type: ignore[arg-type]
        assert summary["failures_not_listed"] == count - LISTED
        assert len(progress.failures) <= FAILURES_KEPT


def test_the_error_of_a_failed_run_is_grouped_by_its_outcome_and_has_no_stack() -> None:
    found = error_report(Outcome("data_engine_failed", ExitCode.FAILED, message("x")))
    assert found["context"] == {
        "reportLocation": {"filePath": "job/orchestrator.py", "lineNumber": 1, "functionName": "data_engine_failed"}
    }
    assert "stack_trace" not in found


@pytest.mark.parametrize(
    "outcome",
    [UNFORESEEN, Outcome("succeeded", ExitCode.DONE, message("")), Outcome("superseded", ExitCode.DONE, message(""))],
)
def test_an_outcome_without_an_error_or_with_one_already_logged_has_no_error_report(outcome: Outcome) -> None:
    assert error_report(outcome) == {}


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
    report, timeline = Night(["A", "B"], ["a", "b"], fate=half_fail).build("cards_missing", 3, "x")
    assert [card.model_dump() for card in report.missing] == [
        {"target": "A", "card_type": "b", "state": "failed", "cause": "denied"},
        {"target": "B", "card_type": "b", "state": "failed", "cause": "denied"},
    ]
    assert report.missing_not_listed == 0
    assert len(list(timeline.items["qa"].missing())) == 2


def test_of_many_missing_cards_10_000_are_listed_and_the_rest_is_counted() -> None:
    night = Night([f"T{n}" for n in range(6_000)], ["a", "b", "c"])
    timeline = Timeline(night.plan())
    report = build_report(INPUTS, night.plan(), timeline)
    assert (len(report.missing), report.missing_not_listed) == (10_000, 8_000)
    assert {(card.state, card.cause) for card in report.missing} == {("not_attempted", None)}
    assert report.missing[0].target == "T0"
    assert report.cards.planned == 18_000


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_state_of_a_missing_card_is_that_of_its_listed_failure(order: tuple[int, ...]) -> None:
    """Whatever the order in which the attempts' results are read."""
    night = Night(["A"], ["a"], fate=lambda engine, _: ([], "denied" if engine == "qa" else None, "no", 200))
    timeline = Timeline(night.plan())
    *data, card = night.results()
    attempts = [
        card.model_copy(update={"cause": cause, "ended": card.ended + later})
        for later, cause in enumerate(["denied", "status", "interrupted"])
    ]
    for result in [*data, *(attempts[place] for place in order)]:
        timeline.add(result)
    report = build_report(INPUTS, night.plan(), timeline)
    assert [failure.cause for failure in report.failures] == ["interrupted"]
    assert [(card.state, card.cause) for card in report.missing] == [("cut_off", "interrupted")]
    assert (report.engines["qa"].failed, report.engines["qa"].cut_off) == (1, 1)


async def test_the_last_line_has_the_command_that_goes_on_if_there_is_a_record(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def last(
        progress: RunProgress | None,
        *,
        recorded: bool = True,
        outcome: Outcome | None = None,
        date: str | None = "2026-11-24",
    ) -> dict[str, Any]:
        log = CloudLogReporter(RunIdentity("r"), None)
        if recorded:
            log.on_record(INPUTS.model_copy(update={"job": "nightly", "region": "r1", "project": "p", "date": date}))
        log.on_finish(outcome or outcome_of(progress, ShutdownReason.DEADLINE, None), progress)
        await log.drain(5.0)
        line: dict[str, Any] = json.loads(capfd.readouterr().out)
        return line

    command = "gcloud run jobs execute nightly --region=r1 --project=p --args=resume,run"
    plan = plan_of([target("AAPL")], settings_of())
    assert (await last(RunProgress(plan, {})))["resume_command"] == command
    assert "start_command" not in await last(RunProgress(plan, {}))
    over = await last(RunProgress(plan, {}), date=None)
    assert "resume_command" not in over, "a run of an earlier day that has no date of its own"
    assert over["start_command"] == (
        "gcloud run jobs execute nightly --region=r1 --project=p --update-env-vars=RUN_DATE=2026-11-24"
    )
    refused = progress_with([failed(1, "no")])
    assert (await last(refused))["resume_command"] == f"{command},--new-config", "the trading engine cannot do a ticker"
    assert (await last(None))["resume_command"] == command, "shut down before it had a plan"
    assert "resume_command" not in await last(RunProgress(plan, {}), recorded=False)
    assert "resume_command" not in await last(None, outcome=Outcome("succeeded", ExitCode.DONE, message("")))

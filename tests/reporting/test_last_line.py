"""The last line of the log fits into an entry, counts what it does not list, and has the commands of the steps."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from job.engines.calls import trading
from job.engines.failures import Cause, Failure
from job.engines.identity import RunIdentity
from job.ledger.ledger import FAILURES_KEPT, Ledger
from job.report.advice import Kind, Step
from job.report.outcome import UNFORESEEN, Ending, ExitCode, Outcome, ending_of
from job.report.report import AttemptSummary, RunReport, report_of
from job.reporting.cloud_log import LISTED, CloudLogReporter, error_report
from job.text.messages import message
from tests.records.test_record import INPUTS
from tests.support.fakes import plan_of, settings_of, target
from tests.support.results import result_of

if TYPE_CHECKING:
    from typing import Any

    from job.ledger.result import CallResult

ENTRY = 256 * 1024
"""Bytes that an entry of Cloud Logging may have."""


def failed(targets: int, words: str, number: int = 0) -> CallResult:
    """The call of this number, of so many targets, which has failed."""
    call = trading([f"{first:06}.SS" for first in range(number * targets, (number + 1) * targets)])
    text = "; ".join(f"{name}: {words}" for name in call.targets)
    return result_of(call, Failure(Cause.DENIED, message(text), 200), traceparent=RunIdentity("r").traceparent())


def ledger_with(*failures: CallResult) -> Ledger:
    """The ledger of a run in which these calls have failed."""
    ledger = Ledger(plan_of([target(name) for call in failures for name in call.targets], settings_of()))
    for failure in failures:
        ledger.add(failure)
    return ledger


def report_with(ending: Ending, ledger: Ledger) -> RunReport:
    return report_of(INPUTS, ledger, [AttemptSummary.of(ending, INPUTS, datetime.now(UTC), 1.0)])


async def last_line(
    capfd: pytest.CaptureFixture[str], report: RunReport, ledger: Ledger, *steps: Step
) -> dict[str, Any]:
    log = CloudLogReporter(RunIdentity("r"), None)
    log.on_finish(report, ledger, steps)
    await log.drain(5.0)
    line = capfd.readouterr().out
    assert len(line.encode()) < ENTRY
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.parametrize(
    ("count", "targets", "words"),
    [(1, 1000, "没有数据" * 50), (5000, 1, "x" * 200), (300, 9, "😀" * 99)],
    ids=["one batch", "many calls", "long characters"],
)
async def test_every_line_is_within_an_entry(
    capfd: pytest.CaptureFixture[str], count: int, targets: int, words: str
) -> None:
    failure, *others = (failed(targets, words, number) for number in range(count))
    ledger = ledger_with(failure, *others)
    sentence = message("No card was requested: {reason}", reason=failure.reason or "")
    report = report_with(Ending(Outcome.DATA_ENGINE_FAILED, ExitCode.FAILED, sentence), ledger)
    assert (await last_line(capfd, report, ledger))["severity"] == "ERROR"
    log = CloudLogReporter(RunIdentity("r"), None)
    log.on_event(failure)
    await log.drain(5.0)
    line = capfd.readouterr().out
    assert len(line.encode()) < ENTRY
    assert json.loads(line)["severity"] == "ERROR"


async def test_a_warning_is_in_the_log_of_the_call(capfd: pytest.CaptureFixture[str]) -> None:
    call = trading(["AAPL"])
    log = CloudLogReporter(RunIdentity("r"), None)
    log.on_event(result_of(call, started=0.0, ended=1.0, warning=message("it is odd")))
    log.on_event(result_of(call, started=0.0, ended=1.0))
    await log.drain(5.0)
    warned, plain = map(json.loads, capfd.readouterr().out.splitlines())
    assert warned["severity"] == "WARNING"
    assert warned["message"] == "trading AAPL: done in 1.00 s; it is odd"
    assert (warned["warning"], warned["outcome"]) == ("it is odd", "done")
    assert plain["severity"] == "INFO"
    assert "warning" not in plain


@pytest.mark.parametrize("count", [1000, FAILURES_KEPT + 1000])
async def test_failures_that_are_not_listed_are_counted(capfd: pytest.CaptureFixture[str], count: int) -> None:
    ledger = ledger_with(*(failed(1, "no", number) for number in range(count)))
    line = await last_line(capfd, report_with(ending_of(ledger, None), ledger), ledger)
    assert len(line["failures"]) == LISTED
    assert line["failures_not_listed"] == count - LISTED
    assert len(ledger.failed_now) <= FAILURES_KEPT


def test_the_error_of_a_failed_run_is_grouped_by_its_outcome_and_has_no_stack() -> None:
    ending = Ending(Outcome.DATA_ENGINE_FAILED, ExitCode.FAILED, message("x"))
    found = error_report(report_with(ending, ledger_with(failed(1, "no"))))
    assert found["context"] == {
        "reportLocation": {"filePath": "job/orchestrator.py", "lineNumber": 1, "functionName": "data_engine_failed"}
    }
    assert "stack_trace" not in found


@pytest.mark.parametrize(
    "ending",
    [
        UNFORESEEN,
        Ending(Outcome.SUCCEEDED, ExitCode.DONE, message("")),
    ],
)
def test_an_outcome_without_an_error_or_with_one_already_logged_has_no_error_report(ending: Ending) -> None:
    assert error_report(report_with(ending, ledger_with(failed(1, "no")))) == {}


KINDS: tuple[Kind, ...] = ("resume", "start", "again", "look")
STEPS = {kind: Step(kind, message("Do this:"), f"command of {kind}") for kind in KINDS}


@pytest.mark.parametrize(
    ("steps", "resume", "start"),
    [
        ((), None, None),
        ([STEPS["resume"]], "command of resume", None),
        ([STEPS["start"]], None, "command of start"),
        ([STEPS["resume"], STEPS["start"]], "command of resume", "command of start"),
        ([STEPS["look"], STEPS["again"]], None, "command of again"),
        ([STEPS["look"]], None, None),
    ],
)
async def test_the_last_line_has_the_commands_of_the_steps(
    capfd: pytest.CaptureFixture[str], steps: list[Step], resume: str | None, start: str | None
) -> None:
    ledger = ledger_with(failed(1, "no"))
    line = await last_line(capfd, report_with(ending_of(ledger, None), ledger), ledger, *steps)
    assert (line.get("resume_command"), line.get("start_command")) == (resume, start)

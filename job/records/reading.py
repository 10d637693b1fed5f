"""Reading of reports. A report that no run can have written is refused, since it was altered."""

from contextlib import suppress

from pydantic import ValidationError

from job.execution.outcome import ExitCode
from job.execution.progress import CardTotals, Part
from job.records.format import RecordError, check_format
from job.records.report import REFUSED, RunReport
from job.text.display import counted

_NO_FAILURE = {"succeeded", "superseded"}
"""The outcomes of exit code 0."""


def read_report(name: str, data: bytes) -> RunReport:
    """The report that an object of this name holds. Raises `RecordError`, also if it contradicts itself."""
    check_report_format(name, data)
    try:
        report = RunReport.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(f"{name} is not what a run writes ({counted(error.error_count(), 'fault')})") from error
    if (problem := _contradiction(report)) is not None:
        raise RecordError(f"{name} is not what a run writes: {problem}")
    return report


class _Format(Part):
    """The field that reports of all formats have."""

    format: int


def check_report_format(name: str, data: bytes) -> None:
    """Raises `RecordError` for a report of another format. Ignores data that is not a report."""
    with suppress(ValidationError):
        check_format(name, {"format": _Format.model_validate_json(data).format})


def earlier_report(data: bytes) -> RunReport | None:
    """The report of an earlier attempt; `None` if it cannot be read, or if the run had no plan."""
    try:
        report = read_report("", data)
    except RecordError:
        return None
    return None if report.outcome == REFUSED else report


def _contradiction(report: RunReport) -> str | None:
    """A contradiction within the report; `None` if there is none."""
    last = report.attempts[-1] if report.attempts else None
    if last is None or (last.outcome, last.exit_code) != (report.outcome, report.exit_code):
        return "its outcome is not that of its last attempt"
    if last.sentence not in {"", report.sentence}:  # a report of an earlier version has none
        return "its sentence is not that of its last attempt"
    if (report.outcome in _NO_FAILURE) is not (report.exit_code == ExitCode.DONE):
        return "its exit code is not that of its outcome"
    for name, engine in report.engines.items():
        parts = (engine.done, engine.skipped, engine.failed, engine.not_attempted)
        if sum(parts) != engine.planned or engine.cut_off > engine.failed:
            return f"the totals of {name} do not add up"
        if report.outcome == "succeeded" and engine.done + engine.skipped < engine.planned:
            return f"it succeeded, and {name} did not do everything"
    cards = report.engines["qa"].cards() if "qa" in report.engines else CardTotals()
    return None if report.cards == cards else "the totals of the cards are not those of qa"

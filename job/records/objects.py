"""Objects: the names of what is recorded of a day, and how one is read.

A day is a folder below RUNS_URI that is named by its date. `D` stands for it here.
"""

from typing import Any, TypeVar

from pydantic_core import from_json

from job.config.faults import ConfigError, FaultKind
from job.config.plan import Plan
from job.day.attempt import FORMAT, Attempt, ExitCode, Outcome
from job.day.report import Report
from job.errors import JobError
from job.text.messages import Message, message, semicolon, template

ATTEMPTS = "attempts/"
"""`D/attempts/000001.json` is how an attempt began."""
RESULTS = "results/"
"""`D/results/000001-000000.jsonl` has results of an attempt."""
ENDS = "ends/"
"""`D/ends/000001.json` is how an attempt ended; that of number 0 is a start that was refused."""
R = TypeVar("R", Attempt, Report)


RESTORE_IT = message("do not start this day: an owner can bring it back, in a bucket for seven days")


class RecordError(JobError):
    """A record cannot be used: it has another format, is incomplete, or was altered. Says which object and why."""

    def __init__(self, what: Message, remedy: Message = RESTORE_IT, kind: FaultKind = FaultKind.RECORD) -> None:
        self.what, self.remedy, self.kind = what, remedy, kind
        self.text = semicolon(what, remedy)
        super().__init__(str(what))


class FormatError(RecordError):
    """Another version of the job has written a record, in a format of its own."""


def gone(day: str) -> RecordError:
    """The error of a day that was begun, and of which nothing is there."""
    return RecordError(message("the record of {day} is gone", day=day))


def missing(name: str) -> RecordError:
    return RecordError(message("{object} is missing", object=name))


def altered(name: str, remedy: Message = RESTORE_IT) -> RecordError:
    """The error of an object that the job has not written so, or not at all."""
    return RecordError(message("{object} is not as the job wrote it", object=name), remedy)


def attempt_name(day: str, number: int) -> str:
    return f"{day}/{ATTEMPTS}{number:06}.json"


def results_name(day: str, number: int, sequence: int) -> str:
    return f"{day}/{RESULTS}{number:06}-{sequence:06}.jsonl"


def end_name(day: str, number: int) -> str:
    return f"{day}/{ENDS}{number:06}.json"


def check_format(name: str, stored_format: object, version: str = "") -> None:
    """Raises `RecordError` unless the format is the one that is known here. `version` is what has written it."""
    if stored_format == FORMAT:
        return
    text = template("version {version} of the job has written {object}, in format {found}; this one knows {known}")
    what = message(text, version=version or "?", object=name, found=str(stored_format), known=str(FORMAT))
    remedy = message("finish this day with the image of version {version}: an owner puts it back", version=version)
    raise FormatError(what, remedy, FaultKind.IMAGE)


def read_attempt(day: str, number: int, data: bytes) -> Attempt:
    return _read(Attempt, attempt_name(day, number), day, number, data)


def plan_of(attempt: Attempt) -> Plan:
    """The plan of an attempt, made again. Raises `RecordError` if one of its config objects is not sound."""
    try:
        return attempt.plan_again()
    except ConfigError as error:  # it was sound when it was recorded
        raise altered(attempt_name(attempt.day, attempt.number)) from error


def read_report(day: str, number: int, data: bytes) -> Report:
    name = end_name(day, number)
    report = _read(Report, name, day, number, data)
    code = report.exit_code
    if code is None or (code is ExitCode.DONE) is not (report.outcome is Outcome.SUCCEEDED):
        raise altered(name)
    return report


def _read(kind: type[R], name: str, day: str, number: int, data: bytes) -> R:
    try:
        stored: Any = from_json(data)
        # A newer one may look different altogether.
        check_format(name, stored["format"], str(stored.get("version", "")))
        found = kind.model_validate(stored)
    except (ValueError, TypeError, LookupError, AttributeError, OSError) as error:
        raise altered(name) from error
    if (found.day, found.number) != (day, number):
        raise altered(name)
    return found

"""Format of the record of a day: its version, the names of its objects, and the types of its values.

A day is a folder below RUNS_URI that is named by its date. `D` stands for it here.
"""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator

from job.errors import JobError
from job.text.messages import Message, message, template

FORMAT = 1
"""The version of the record's format. A record of another format is refused."""
ATTEMPTS = "attempts/"
"""`D/attempts/000001.json` is how an attempt began."""
RESULTS = "results/"
"""`D/results/000001-000000.jsonl` has results of an attempt."""
ENDS = "ends/"
"""`D/ends/000001.json` is how an attempt ended; that of number 0 is a start that was refused."""
REPORT = "report.json"
PAGE = "report.html"
CARDS = "cards.csv"
NIGHTS_PAGE = "index.html"
"""Stored beside the days."""


def _check_stamp(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not 1970 <= moment.year < 9000:
        raise ValueError("no time of a run")
    return text


Stamp = Annotated[str, AfterValidator(_check_stamp)]
"""ISO 8601 with an offset. The range of years allows calculations without overflow."""


class RecordError(JobError):
    """A record cannot be used: it has another format, is incomplete, or was altered. Says which object and why."""

    def __init__(self, what: Message, remedy: Message | None = None) -> None:
        """`remedy` is what to do, if that is not to restore the object."""
        self.remedy = remedy
        # The name of an object may not be UTF-8, or may contain control characters for a terminal.
        values = {name: _escaped(value) if isinstance(value, str) else value for name, value in what.values.items()}
        self.what = Message(what.id, values, what.plural)
        super().__init__(str(self.what))


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def missing(name: str) -> RecordError:
    """The error of a record that lacks this object."""
    return RecordError(message("{object} is missing", object=name))


def altered(name: str, remedy: Message | None = None) -> RecordError:
    """The error of an object that the job has not written so, or not at all."""
    return RecordError(message("{object} is not what the job writes", object=name), remedy)


def attempt_name(day: str, number: int) -> str:
    """The name of the object of an attempt."""
    return f"{day}/{ATTEMPTS}{number:06}.json"


def results_name(day: str, number: int, sequence: int) -> str:
    """The name of an object of results of an attempt."""
    return f"{day}/{RESULTS}{number:06}-{sequence:06}.jsonl"


def end_name(day: str, number: int) -> str:
    """The name of the report with which an attempt ended."""
    return f"{day}/{ENDS}{number:06}.json"


def check_format(name: str, found: object, version: str = "") -> None:
    """Raises `RecordError` if an object of this name is of the format that was `found` in it, and not of this one.

    `version` is what has written it, if that is known.
    """
    if found != FORMAT:
        text = template("{object} has format {found}; this version of the job knows {known}")
        if version:
            text = template("{object} has format {found}, of version {version}; this version of the job knows {known}")
        what = message(text, object=name, found=str(found), version=version, known=str(FORMAT))
        raise RecordError(what, message("use the image of the job that has written it"))
